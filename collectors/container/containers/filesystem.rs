//! How full writable layers are, and for the whole machine its filesystems.
//!
//! Nobody's files are looked at for it. The quota of a project tells, where a layer has one; else the runtime, which
//! has walked through its layers anyway; else, if that is wished for, a walk of our own that takes its time. All figures of
//! the machine's filesystems come from statfs(2), as those of the collector `filesystem` do.

use super::metrics::{Metric, Page, Wanted};
use super::state::State;
use crate::kit::cgroup::{Kind, Node};
use crate::kit::mounts::{Table, visible};
use crate::kit::{Error, Host, Mount, Opt, OptKind, Options, Question, Root, StatFs, Usage, Walker, Want};
use crate::model::{Batch, Entity, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const FAMILIES: [Metric; 5] =
    [Metric::FsUsage, Metric::FsLimit, Metric::FsInodes, Metric::FsInodesFree, Metric::WalkAge];
/// How long a round waits for disks.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a quota's figure is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// How many filesystems are known, and how many layers are told of.
const DISKS_MAX: usize = 1000;
const LAYERS_MAX: usize = 10_000;

pub(super) const WALK: Opt = Opt {
    name: "walk",
    kind: OptKind::Flag,
    default: "false",
    help: "Whether to walk through the writable layers of containers whose size neither a quota nor their runtime tells.",
};
pub(super) const WALK_RATE: Opt = Opt {
    name: "walk.rate",
    kind: OptKind::Number,
    default: "1000",
    help: "How many inodes a second a walk looks at, at most.",
};
pub(super) const WALK_PERIOD: Opt = Opt {
    name: "walk.period",
    kind: OptKind::Span,
    default: "5m",
    help: "How long a layer is left alone between two walks; twelve times as long if its container has written nothing.",
};

/// The filesystems of the machine, and the layers on them.
#[derive(Debug)]
pub(super) struct Filesystems {
    table: Table,
    disks: Vec<Disk>,
    /// Where each of them is mounted, as places in the list above.
    places: Vec<(String, usize)>,
    /// The disks have been asked in this round.
    is_asked: bool,
    layers: HashMap<Arc<Mount>, Layer>,
    put: Vec<Put>,
    walk: Option<(Walker, u32)>,
}

/// A filesystem.
#[derive(Debug)]
struct Disk {
    device: String,
    mount: Arc<Mount>,
    has_quotas: bool,
    size: Option<StatFs>,
}

/// What is known of a layer with a quota.
#[derive(Debug, Default)]
struct Layer {
    usage: Option<Usage>,
    /// It belongs to no project, and never will.
    has_none: bool,
    due: Duration,
    is_seen: bool,
}

/// What is to be put when the round is over: all disks are asked at once.
#[derive(Debug)]
struct Put {
    of: Entity,
    wanted: Wanted,
    id: String,
    upper: Option<Upper>,
    written: Option<u64>,
}

/// Where a container writes.
#[derive(Clone, Debug)]
pub(super) struct Upper {
    path: Arc<str>,
    quota: Arc<Mount>,
    walk: Arc<Mount>,
}

/// What a state keeps of it.
#[derive(Clone, Debug, Default)]
pub(super) enum Place {
    /// It was not looked for yet, or could not be.
    #[default]
    Unknown,
    /// It is here.
    Known(Upper),
    /// Its root is no overlay.
    None,
}

impl Filesystems {
    pub(super) fn new(host: &Host, options: &Options) -> Self {
        let rate = options.number("walk.rate").and_then(|rate| u32::try_from(rate).ok()).unwrap_or(1000);
        let period = options.span("walk.period").unwrap_or(Duration::from_secs(300));
        let walk = options.flag("walk").then(|| (Walker::new(host.machine(), period), rate));
        let (disks, places, layers, put) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
        Self { table: Table::new(), disks, places, is_asked: false, layers, put, walk }
    }

    /// Looks for new filesystems.
    pub(super) fn begin(&mut self, host: &mut Host, out: &mut Batch) {
        (self.is_asked, self.put) = (false, std::mem::take(&mut self.put));
        self.put.clear();
        let text = self.table.read(host);
        if let Some(text) = out.found(text).flatten() {
            (self.disks, self.places) = disks(&text, host);
        }
    }

    /// Asks all filesystems, once a round.
    fn ask(&mut self, host: &mut Host, out: &mut Batch) {
        if std::mem::replace(&mut self.is_asked, true) {
            return;
        }
        let mounts: Vec<Arc<Mount>> = self.disks.iter().map(|disk| Arc::clone(&disk.mount)).collect();
        for (disk, size) in self.disks.iter_mut().zip(host.statfs(&mounts, PATIENCE)) {
            disk.size = out.found(size);
        }
    }

    /// Puts what cAdvisor says of the whole machine: each of its filesystems.
    pub(super) fn put_root(&mut self, host: &mut Host, page: &mut Page<'_>) {
        if !page.wanted.any(&FAMILIES) {
            return;
        }
        self.ask(host, page.out);
        for disk in &self.disks {
            let Some(size) = &disk.size else { continue };
            let of = page.out.part(page.of, &["device"], [&disk.device]);
            page.put_of(Metric::FsUsage, of, bytes(size, size.blocks.saturating_sub(size.blocks_free)));
            page.put_of(Metric::FsLimit, of, bytes(size, size.blocks));
            page.put_of(Metric::FsInodes, of, Some(size.files));
            page.put_of(Metric::FsInodesFree, of, Some(size.files_free));
        }
    }

    /// Takes a container in; see [`Self::end`].
    pub(super) fn take(&mut self, host: &mut Host, node: &mut Node<State>, page: &mut Page<'_>) -> Result<(), Error> {
        let Kind::Container { id, .. } = &node.kind else { return Ok(()) };
        if !page.wanted.any(&FAMILIES) || self.put.len() >= LAYERS_MAX {
            return Ok(());
        }
        let named = node.own.named.as_deref();
        let has_quotas = self.disks.iter().any(|disk| disk.has_quotas);
        let pid = named.filter(|named| !named.is_sandbox).and_then(|named| named.pid);
        if let (Place::Unknown, Some(pid), true) = (&node.own.layer, pid, has_quotas || self.walk.is_some()) {
            let rate = self.walk.as_ref().map_or(0, |(_, rate)| *rate);
            // A process that is gone by now, or may not be seen, costs only this.
            match host.upper_folder(pid) {
                Ok(Some((mount, path))) => node.own.layer = Place::Known(upper(host, mount, &path, rate)),
                Ok(None) => node.own.layer = Place::None,
                Err(error) if error.is_nothing() => {}
                Err(error) => {
                    node.own.layer = Place::None;
                    return Err(error);
                }
            }
        }
        let upper = if let Place::Known(upper) = &node.own.layer { Some(upper.clone()) } else { None };
        if upper.is_none() && !host.machine().written.knows(id) {
            return Ok(());
        }
        let (of, wanted, id, written) = (page.of, page.wanted, id.clone(), node.own.written);
        self.put.push(Put { of, wanted, id, upper, written });
        Ok(())
    }

    /// Asks for the quotas of all containers that were taken in, and puts how full their layers are.
    pub(super) fn end(&mut self, host: &mut Host, out: &mut Batch) {
        self.ask_quotas(host, out);
        let put = std::mem::take(&mut self.put);
        self.want(&put, out);
        for Put { of, wanted, id, upper, .. } in &put {
            let quota = upper.as_ref().and_then(|upper| self.layers.get(&upper.quota)?.usage);
            let told = host.machine().written.of(id).filter(|_| quota.is_none());
            let found = match (&told, upper, &self.walk) {
                (None, Some(upper), Some((walker, _))) if quota.is_none() => walker.found(&upper.walk),
                _ => None,
            };
            let (usage, age) = match (quota, &told, found) {
                (Some(usage), ..) => (usage, None),
                (_, Some(told), _) => {
                    let usage = Usage { bytes: told.bytes, inodes: told.inodes, ..Usage::default() };
                    (usage, Some(host.wall().saturating_sub(told.taken)))
                }
                (.., Some((walked, age))) => {
                    (Usage { bytes: walked.bytes, inodes: Some(walked.inodes), ..Usage::default() }, Some(age))
                }
                _ => continue,
            };
            self.ask(host, out);
            let path =
                upper.as_ref().map_or_else(|| told.map(|told| told.folder), |upper| Some(upper.path.to_string()));
            let disk = path.and_then(|path| self.disk(&path));
            put_layer(&usage, age, disk, &mut Page { out: &mut *out, of: *of, wanted: *wanted });
        }
        self.put = put;
    }

    /// Asks for the quotas whose time has come.
    fn ask_quotas(&mut self, host: &mut Host, out: &mut Batch) {
        let now = host.monotonic();
        let mut due = Vec::new();
        self.layers.values_mut().for_each(|layer| layer.is_seen = false);
        for upper in self.put.iter().filter_map(|put| put.upper.as_ref()) {
            if !self.disk(&upper.path).is_some_and(|disk| disk.has_quotas) {
                continue;
            }
            let layer = self.layers.entry(Arc::clone(&upper.quota)).or_default();
            if !layer.has_none && layer.due <= now && !layer.is_seen {
                due.push((Arc::clone(&upper.quota), Arc::clone(&upper.path)));
            }
            layer.is_seen = true;
        }
        self.layers.retain(|_, layer| layer.is_seen);
        if due.is_empty() {
            return;
        }
        self.ask(host, out);
        let folders: Vec<Arc<Mount>> = due.iter().map(|(folder, _)| Arc::clone(folder)).collect();
        for ((folder, path), quota) in due.iter().zip(host.quotas(&folders, PATIENCE)) {
            let whole = self.disk(path).and_then(|disk| disk.size);
            let quota = out.found(quota);
            let Some(layer) = self.layers.get_mut(folder) else { continue };
            layer.usage = quota.as_ref().and_then(|quota| quota.usage(whole.as_ref()));
            layer.has_none = quota.is_some_and(|quota| quota.project == 0);
            layer.due = now + BELIEVED;
        }
    }

    /// Says which layers are to be walked: those that nobody else tells of.
    fn want(&mut self, put: &[Put], out: &mut Batch) {
        let Some((walker, _)) = &mut self.walk else { return };
        let is_told = |upper: &Upper| self.layers.get(&upper.quota).is_some_and(|layer| layer.usage.is_some());
        let wants = put.iter().filter_map(|put| {
            let upper = put.upper.as_ref().filter(|upper| !is_told(upper))?;
            Some(Want { folder: Arc::clone(&upper.walk), written: put.written })
        });
        let wants: Vec<Want> = wants.collect();
        walker.want(&wants).into_iter().for_each(|error| out.fault(error));
    }

    /// The filesystem that a path is on.
    fn disk(&self, path: &str) -> Option<&Disk> {
        let holds = |(mount_point, _): &&(String, usize)| {
            let rest = path.strip_prefix(mount_point.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (_, disk) = self.places.iter().filter(holds).max_by_key(|(mount_point, _)| mount_point.len())?;
        self.disks.get(*disk)
    }
}

fn upper(host: &Host, mount: u64, path: &str, rate: u32) -> Upper {
    let question = |question| host.folder(mount, path, question);
    Upper { path: path.into(), quota: question(Question::Quota), walk: question(Question::Walk(rate)) }
}

/// The filesystems on disks, each once, and all places where they are mounted.
fn disks(text: &[u8], host: &Host) -> (Vec<Disk>, Vec<(String, usize)>) {
    let rootfs = host.root(Root::Rootfs).as_bytes().to_vec();
    // What is wrong with the table is told by the collector `filesystem`.
    let mut rows = visible(text, &rootfs, |_| {});
    // Folders of a filesystem may be mounted before all of it, and elsewhere.
    rows.sort_by_key(|row| (!row.is_whole, row.mount_point.len()));
    let (mut disks, mut places, mut known): (Vec<Disk>, _, _) = (Vec::new(), Vec::new(), HashMap::new());
    for row in &rows {
        let is_disk = row.device.starts_with(b"/dev/") || matches!(row.fs_type, b"zfs" | b"bcachefs");
        if !is_disk || matches!(row.fs_type, b"squashfs" | b"erofs" | b"iso9660" | b"udf") {
            continue;
        }
        let disk = match known.get(row.device) {
            Some(disk) => *disk,
            None if disks.len() == DISKS_MAX => continue,
            None => {
                let device = String::from_utf8_lossy(row.device).into_owned();
                let (mount, has_quotas) = (host.mount(row, Question::Size), row.has_quotas);
                disks.push(Disk { device, mount, has_quotas, size: None });
                disks.len() - 1
            }
        };
        known.insert(row.device, disk);
        places.push((String::from_utf8_lossy(&row.mount_point).into_owned(), disk));
    }
    (disks, places)
}

/// Puts how full a layer is. Where it has no limit of its own, that of its filesystem is one.
fn put_layer(usage: &Usage, age: Option<Duration>, disk: Option<&Disk>, page: &mut Page<'_>) {
    let size = disk.and_then(|disk| disk.size.as_ref());
    let device = disk.map_or("", |disk| &disk.device);
    let of = page.out.part(page.of, &["device"], [device]);
    page.put_of(Metric::FsUsage, of, Some(usage.bytes));
    let whole = size.and_then(|size| bytes(size, size.blocks));
    page.put_of(Metric::FsLimit, of, usage.bytes_max.map(Value::from).or(whole));
    let own = usage.inodes_max.zip(usage.inodes).map(|(limit, used)| (limit, limit.saturating_sub(used)));
    let inodes = own.or(size.map(|size| (size.files, size.files_free)));
    page.put_of(Metric::FsInodes, of, inodes.map(|(limit, _)| limit));
    page.put_of(Metric::FsInodesFree, of, inodes.map(|(_, free)| free));
    page.put(Metric::WalkAge, age.map(|age| Value::Scaled(i64::try_from(age.as_millis()).unwrap_or(i64::MAX), 3)));
}

fn bytes(size: &StatFs, blocks: u64) -> Option<Value> {
    blocks.checked_mul(size.block_size).map(Value::from)
}

#[cfg(test)]
mod tests;
