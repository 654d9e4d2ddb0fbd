//! The cgroups of containers, pods and services, under cAdvisor's names.
//!
//! The cgroups are walked once a round, parents before their children, and each file is read once. What a cgroup is, is
//! told by its path; who it is, by what its runtime left on disk. What costs little and is asked for by dashboards is told
//! of every container ([`LEAN`]), the rest when it is asked for.

mod cpu;
mod filesystem;
mod hugetlb;
mod io;
mod labels;
mod life;
mod limits;
mod memory;
mod metrics;
mod network;
mod numa;
mod options;
mod pressure;
mod processes;
mod root;
mod schedule;
mod scheduler;
mod sockets;
mod state;

use crate::kit::cgroup::{Controller, Forest, Kind, Life, Named, Node, Trees, is_of_a_user};
use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use filesystem::Filesystems;
use hugetlb::Sizes;
use io::Disks;
use labels::Style;
use limits::Limits;
use memory::{Kills, Swap};
use metrics::{FAMILIES, Metric, Page, Wanted};
use network::{Networks, Place};
use options::OPTIONS;
use pressure::Stalls;
use regex_lite::Regex;
use state::State;
use std::sync::Arc;
use std::time::Duration;

static SCRAPE_ERROR: Family =
    gauge("container_scrape_error", "1 if nothing could be told of containers on this page, else 0.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: OPTIONS,
    scrape_error: Some(&SCRAPE_ERROR),
    // With 200 containers it takes several milliseconds.
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Container,
        "containers",
        "Processor time, memory, disks, network and limits of containers, pods and services, from their cgroups.",
        &FAMILIES,
        open,
    )
};

/// What is told of containers: what dashboards and rules use. With a quota and one disk these are at most 32 series, and 8
/// where it has a network of its own, which those of pods have not: 40. Each further disk has 4, each further interface 8,
/// and a layer whose size is known 2.
const LEAN: Wanted = Wanted::these(&[
    Metric::CpuUsage,
    Metric::CpuUser,
    Metric::CpuSystem,
    Metric::CfsPeriods,
    Metric::CfsThrottledPeriods,
    Metric::CfsThrottledSeconds,
    Metric::MemoryUsage,
    Metric::WorkingSet,
    Metric::Cache,
    Metric::Rss,
    Metric::Swap,
    Metric::Failures,
    Metric::OomEvents,
    Metric::FsReadsBytes,
    Metric::FsWritesBytes,
    Metric::FsReads,
    Metric::FsWrites,
    Metric::FsUsage,
    Metric::FsLimit,
    Metric::CpuPeriod,
    Metric::CpuQuota,
    Metric::CpuShares,
    Metric::MemoryLimit,
    Metric::StartTime,
    Metric::LastSeen,
    Metric::CpuWaiting,
    Metric::CpuStalled,
    Metric::IoWaiting,
    Metric::IoStalled,
    Metric::MemoryWaiting,
    Metric::MemoryStalled,
    Metric::HealthState,
    Metric::Restarts,
]);
/// What is told of what holds the network of containers, beside other things.
const NETWORK: Wanted = Wanted::these(&network::COLUMNS);
/// What is told of slices, services and the whole machine.
const FEW: Wanted = Wanted::these(&[Metric::CpuUsage, Metric::WorkingSet]);
/// What is told of the whole machine only: how full its disks are.
const DISKS: Wanted = Wanted::these(&[Metric::FsUsage, Metric::FsLimit]);
/// What is told of pods. Kills of a container that is no more still count there.
const POD: Wanted = Wanted::these(&[Metric::CpuUsage, Metric::WorkingSet, Metric::OomEvents]);
/// How long a round may count open files and sockets.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often what changes seldom is read again.
const SELDOM: Duration = Duration::from_secs(30);

struct Containers {
    forest: Forest<State>,
    reader: Reader,
}

/// What is told of each kind of cgroup, and what it takes to read it.
struct Reader {
    root: Wanted,
    slices: Wanted,
    services: Wanted,
    pods: Wanted,
    sandboxes: Wanted,
    containers: Wanted,
    style: Style,
    /// Processor time is told by processor.
    per_cpu: bool,
    disks: Disks,
    kills: Kills,
    stalls: Stalls,
    swap: Swap,
    memory_stat: memory::Stat,
    filesystems: Filesystems,
    sizes: Sizes,
    networks: Networks,
    /// Until when, by [`Host::monotonic`], this round may count what costs much.
    until: Duration,
    /// When this round began, by [`Host::monotonic`] and by [`Host::wall`].
    now: Duration,
    wall: Duration,
    meminfo: KeptFile,
    stat: KeptFile,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let Some(forest) = Forest::open(host)?.map(Forest::keeping_folders) else { return Ok(None) };
    let reader = Reader::new(host, options, forest.trees.unified());
    reader.style.announce(host);
    Ok(Some(Box::new(Containers { forest, reader })))
}

impl Collector for Containers {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let reader = &mut self.reader;
        (reader.now, reader.wall) = (host.monotonic(), host.wall());
        reader.until = reader.now + PATIENCE;
        reader.kills.look(host);
        reader.stalls.look(host, &self.forest.trees, reader.now);
        reader.swap.look(host, &self.forest.trees);
        reader.disks.look(host, &self.forest.trees, reader.now);
        reader.filesystems.begin(host, out);
        self.forest.round(host, &mut |host, trees, node| reader.put(host, trees, node, out))?;
        reader.filesystems.end(host, out);
        reader.networks.put(host, &mut self.forest, out);
        if self.forest.is_full() {
            let path = host.root(Root::Cgroup).to_owned();
            out.fault(Error::Other { path, why: "too many cgroups to look at all of them".to_owned() });
        }
        host.machine().names.trouble().into_iter().for_each(|error| out.fault(error));
        Ok(())
    }
}

impl Reader {
    fn new(host: &Host, options: &Options, unified: bool) -> Self {
        let more = options.text("families").filter(|text| !text.is_empty()).and_then(|text| Regex::new(text).ok());
        let more = more.map(|regex| Wanted::named(|name| regex.is_match(name))).unwrap_or_default();
        // Those who have layers walked through want to know when that was.
        let age = if options.flag("walk") { Wanted::these(&[Metric::WalkAge]) } else { Wanted::default() };
        let levels = options.text("levels").unwrap_or_default();
        let level = |name: &str, wanted: Wanted| {
            let is_on = levels.split(',').any(|level| level.trim() == name);
            if is_on { wanted.and(more) } else { Wanted::default() }
        };
        Self {
            root: level("root", FEW.and(NETWORK).and(DISKS)),
            slices: level("slices", FEW),
            services: level("services", FEW),
            pods: level("pods", POD.and(NETWORK)),
            sandboxes: level("sandboxes", NETWORK),
            containers: level("containers", LEAN.and(NETWORK).and(age)),
            style: Style::new(options),
            per_cpu: options.flag("per-cpu"),
            disks: Disks::default(),
            kills: Kills::default(),
            stalls: Stalls::default(),
            swap: Swap::default(),
            memory_stat: memory::Stat::new(unified),
            filesystems: Filesystems::new(host, options),
            sizes: Sizes::default(),
            networks: Networks::new(),
            until: Duration::ZERO,
            now: Duration::ZERO,
            wall: Duration::ZERO,
            meminfo: KeptFile::shared("meminfo"),
            stat: KeptFile::shared("stat"),
        }
    }

    fn put(&mut self, host: &mut Host, trees: &Trees, node: &mut Node<State>, out: &mut Batch) -> Life {
        let is_new = self.due(node);
        self.name(host, trees, node, is_new);
        let wanted = match &node.kind {
            Kind::Root => self.root,
            Kind::Slice => self.slices,
            Kind::Service => self.services,
            Kind::Inside => return Life::Alive,
            Kind::Pod { .. } => self.pods,
            Kind::Container { .. } if node.own.named.as_ref().is_some_and(|named| named.is_sandbox) => self.sandboxes,
            Kind::Container { .. } => self.containers,
        };
        (node.own.place, node.is_heard) = (None, false);
        if matches!(node.kind, Kind::Slice | Kind::Pod { .. }) {
            let wanted = (wanted, self.containers);
            let looked = [
                io::look_above(host, trees, node, &mut self.disks, wanted),
                pressure::look_above(host, trees, node, &mut self.stalls, wanted),
            ];
            for error in looked.into_iter().filter_map(Result::err) {
                if matches!(error, Error::Gone { .. }) {
                    return Life::Gone;
                }
                out.fault(error);
            }
        }
        if wanted.is_empty() {
            return Life::Alive;
        }
        if node.own.is_due {
            Self::recall(host, trees, node, wanted, out);
        }
        let of = self.style.entity(node, out);
        node.own.place = Some(Place { of, wanted });
        let mut page = Page { out, of, wanted };
        let put = if node.kind == Kind::Root { root::put } else { Self::put_all };
        match put(self, host, trees, node, &mut page) {
            Err(Error::Gone { .. }) => Life::Gone,
            Err(error) => {
                page.out.fault(error);
                Life::Alive
            }
            Ok(()) => Life::Alive,
        }
    }

    /// Whether a cgroup is new; notes whether it is time for what changes seldom.
    fn due(&self, node: &mut Node<State>) -> bool {
        let own = &mut node.own;
        let is_new = own.due == Duration::ZERO;
        own.is_due = self.now >= own.due;
        if own.is_due {
            own.due = self.now + SELDOM;
        }
        is_new
    }

    /// Reads what changes seldom.
    fn recall(host: &mut Host, trees: &Trees, node: &mut Node<State>, wanted: Wanted, out: &mut Batch) {
        node.own.retry();
        if node.kind == Kind::Root {
            return;
        }
        if node.own.started.is_none() {
            node.own.started = life::started(host, trees, node);
        }
        if node.own.made.is_none() && wanted.any(&[Metric::CreationTime]) {
            node.own.made = host.cgroup_made(trees, &node.path);
        }
        let limits = Limits::read(host, trees, &node.path, wanted);
        if let Some(limits) = out.found(limits) {
            node.own.limits = limits;
        }
    }

    /// Asks who it is: when it is new, until all is known, and seldom later, so that a new name is heard of.
    fn name(&mut self, host: &mut Host, trees: &Trees, node: &mut Node<State>, is_new: bool) {
        if is_of_a_user(&node.path) {
            return;
        }
        let own = &mut node.own;
        match &node.kind {
            Kind::Container { runtime, id } if !self.containers.and(self.sandboxes).is_empty() => {
                if is_new {
                    host.machine().names.renew(id);
                }
                let pid = own.named.as_ref().and_then(|named| named.pid);
                if pid.is_some() && !own.is_due {
                    return;
                }
                let named = host.who(*runtime, id);
                if named == own.named || named.is_none() {
                    return;
                }
                own.labels = named.as_deref().map(|named| self.style.chosen(named)).unwrap_or_default();
                own.named = named;
                let first = own.named.as_ref().and_then(|named| named.pid).filter(|first| pid != Some(*first));
                own.started = first.and_then(|pid| host.started(pid)).or(own.started);
            }
            Kind::Pod { uid, .. } if own.named.is_none() && !self.pods.is_empty() => {
                let of = |(namespace, pod): (Arc<str>, Arc<str>)| Named {
                    namespace: namespace.to_string(),
                    pod: pod.to_string(),
                    pod_uid: uid.clone(),
                    ..Named::default()
                };
                own.named = host.who_pod(trees, &node.path, uid).map(of).map(Arc::new);
            }
            _ => {}
        }
    }

    /// Each part costs only itself, except that a cgroup that is gone has no other parts either.
    fn put_all(
        &mut self,
        host: &mut Host,
        trees: &Trees,
        node: &mut Node<State>,
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        // The first to be read is a file that is kept, which hears of the cgroup's death.
        let mut memory = |host: &mut Host, node: &mut Node<State>, page: &mut Page<'_>| {
            survive(memory::put(host, trees, node, (&self.kills, &self.swap, &mut self.memory_stat), page), page)
        };
        if trees.unified() {
            memory(host, node, page)?;
        }
        survive(cpu::put(host, trees, node, self.per_cpu, page), page)?;
        if !trees.unified() {
            memory(host, node, page)?;
        }
        survive(pressure::put(host, trees, node, &mut self.stalls, page), page)?;
        for part in [threads, numa::put, schedule::put] {
            survive(part(host, trees, node, page), page)?;
        }
        survive(io::put(host, trees, node, &mut self.disks, page), page)?;
        survive(hugetlb::put(host, trees, node, &mut self.sizes, page), page)?;
        survive(processes::put(host, trees, node, self.until, page), page)?;
        survive(self.filesystems.take(host, node, page), page)?;
        node.own.limits.put(page);
        life::put(host, node, self.wall, page);
        Ok(())
    }
}

/// Tells of a failure, unless it means that the cgroup is gone.
fn survive(result: Result<(), Error>, page: &mut Page<'_>) -> Result<(), Error> {
    match result {
        Err(error @ Error::Gone { .. }) => Err(error),
        Err(error) => {
            page.out.fault(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Whether a cgroup is in another one.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// How many threads there are.
fn threads(host: &mut Host, trees: &Trees, node: &mut Node<State>, page: &mut Page<'_>) -> Result<(), Error> {
    if page.wanted.any(&[Metric::Threads])
        && let Some(tree) = trees.of(Controller::Pids)
        && let Some(text) = host.cgroup(tree, &node.path, "pids.current", &mut node.own.threads)?
    {
        page.put(Metric::Threads, parse::number(parse::trim(text)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
