//! How full the mounted filesystems are: `/proc/1/mountinfo`, and `statfs(2)` by way of a child process.
//!
//! Differences to node_exporter: a filesystem that hangs costs its own series only, in the first round too; one that is
//! mounted over is not shown with the figures of the one above it; mounts of pods and containers are left out by default,
//! as their volumes are the kubelet's to report. In a container whose mounts are all that can be seen, those outside of the
//! machine's own tree are left out: the call would be made on something else.

use crate::kit::mounts::{Table, visible};
use crate::kit::{Error, Filter, Host, Mount, Opt, OptKind, Options, Question, Root, StatFs};
use crate::model::{Batch, Entity, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::sync::Arc;
use std::time::Duration;

const LABELS: &[&str; 4] = &["device", "device_error", "fstype", "mountpoint"];

static SIZE: Family = gauge("node_filesystem_size_bytes", "How large the filesystem is, in bytes.", LABELS);
static FREE: Family = gauge("node_filesystem_free_bytes", "Space that root can still fill, in bytes.", LABELS);
static AVAIL: Family = gauge("node_filesystem_avail_bytes", "Space that everybody can still fill, in bytes.", LABELS);
static FILES: Family = gauge("node_filesystem_files", "How many inodes the filesystem has.", LABELS);
static FILES_FREE: Family = gauge("node_filesystem_files_free", "How many inodes are not in use.", LABELS);
static PURGEABLE: Family = gauge(
    "node_filesystem_purgeable_bytes",
    "Bytes in use that the system would give up for others; macOS has such, Linux none: always 0.",
    LABELS,
);
static READONLY: Family =
    gauge("node_filesystem_readonly", "1 if the mount or its filesystem is read-only, else 0.", LABELS);
static DEVICE_ERROR: Family =
    gauge("node_filesystem_device_error", "1 if the filesystem did not say how full it is, else 0.", LABELS);
static MOUNT_INFO: Family = gauge(
    "node_filesystem_mount_info",
    "1 for each mount, with the number of its device.",
    &["device", "major", "minor", "mountpoint"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: OPTIONS,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "filesystem",
        "Size and use of mounted filesystems, from mountinfo and statfs.",
        &[&SIZE, &FREE, &AVAIL, &FILES, &FILES_FREE, &PURGEABLE, &READONLY, &DEVICE_ERROR, &MOUNT_INFO],
        open,
    )
};

const OPTIONS: &[Opt] = &[
    Opt {
        name: "mount-points-exclude",
        kind: OptKind::Regex,
        default: concat!(
            r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+",
            r"|(.+/)?kubelet/(pods|plugins)/.+|(.+/)?containerd/io\.containerd\..+|(.+/)?containers/storage/overlay.*/.+",
            r"|run/(containerd|containers/storage|k3s)/.+|run/snapd/ns|var/lib/containerd/.+",
            r"|var/lib/rancher/(k3s|rke2)/agent/.+|var/snap/docker/common/var-lib-docker/.+)($|/)",
        ),
        help: "Mount points to leave out.",
    },
    Opt {
        name: "mount-points-include",
        kind: OptKind::Instead("mount-points-exclude"),
        default: "",
        help: "Mount points to show, and no others.",
    },
    Opt {
        name: "fs-types-exclude",
        kind: OptKind::Regex,
        default: concat!(
            "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs",
            "|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$"
        ),
        help: "Filesystem types to leave out.",
    },
    Opt {
        name: "fs-types-include",
        kind: OptKind::Instead("fs-types-exclude"),
        default: "",
        help: "Filesystem types to show, and no others.",
    },
];

/// How long a round waits for filesystems that do not answer. Local ones take microseconds, network ones milliseconds.
const PATIENCE: Duration = Duration::from_millis(150);
/// How many filesystems are shown; the rest are left out with a fault, and nobody asks them.
const SHOWN_MAX: usize = 10_000;

struct Filesystem {
    mount_points: Filter,
    types: Filter,
    table: Table,
    mounts: Vec<Arc<Mount>>,
    shown: Vec<Shown>,
    /// What was wrong with the table; as long as it is the same, so is that.
    faults: Vec<Error>,
}

/// A mount that is shown.
#[derive(Default)]
struct Shown {
    device: String,
    mount_point: String,
    fs_type: String,
    major: String,
    minor: String,
    readonly: bool,
    /// Whether we saw it writable since the table was read.
    was_writable: bool,
}

impl Shown {
    /// Whether it is read-only, by the table or by an answer.
    ///
    /// A filesystem turns read-only by itself after an error, without a change of the table. But an answer is about the
    /// mount as we see it, and a container or a hardened service sees all of them read-only: only what was writable turned.
    fn is_readonly(&mut self, answer: Option<&StatFs>) -> bool {
        self.was_writable |= answer.is_some_and(|size| !size.readonly);
        self.readonly || (self.was_writable && answer.is_some_and(|size| size.readonly))
    }
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Filesystem {
        mount_points: options.filter("mount-points-include", "mount-points-exclude"),
        types: options.filter("fs-types-include", "fs-types-exclude"),
        table: Table::new(),
        mounts: Vec::new(),
        shown: Vec::new(),
        faults: Vec::new(),
    })))
}

impl Collector for Filesystem {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        self.look(host)?;
        self.faults.iter().for_each(|fault| out.fault(fault.clone()));
        let answers = host.statfs(&self.mounts, PATIENCE);
        let mut unknown = None;
        for (shown, answer) in self.shown.iter_mut().zip(answers) {
            let error = match &answer {
                Ok(_) => String::new(),
                Err(error) => words(error),
            };
            let of = out.entity(LABELS, [&shown.device, &error, &shown.fs_type, &shown.mount_point]);
            out.put(&READONLY, of, shown.is_readonly(answer.as_ref().ok()));
            match answer {
                Ok(size) => {
                    out.put(&DEVICE_ERROR, of, 0u64);
                    put_size(&size, of, out);
                    put_info(shown, out);
                }
                // The child's fault, not the filesystem's: told once.
                Err(error @ Error::Other { .. }) => unknown = Some(error),
                Err(error) => {
                    out.put(&DEVICE_ERROR, of, 1u64);
                    out.fault(error);
                }
            }
        }
        if let Some(error) = unknown {
            out.fault(error);
        }
        Ok(())
    }
}

impl Filesystem {
    /// Looks for new mounts to ask and to show.
    fn look(&mut self, host: &mut Host) -> Result<(), Error> {
        let Some(text) = self.table.read(host)? else { return Ok(()) };
        let path = format!("{}/{}", host.root(Root::Proc), self.table.path());
        let rootfs = host.root(Root::Rootfs).as_bytes().to_vec();
        (self.mounts, self.shown, self.faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut left_out = false;
        for row in visible(&text, &rootfs, |line| self.faults.push(Error::malformed(&path, line, "a mount"))) {
            let mount_point = String::from_utf8_lossy(&row.mount_point);
            let fs_type = String::from_utf8_lossy(row.fs_type);
            if !self.mount_points.keeps(&mount_point) || !self.types.keeps(&fs_type) {
                continue;
            }
            if self.mounts.len() == SHOWN_MAX {
                left_out = true;
                break;
            }
            self.shown.push(Shown {
                device: String::from_utf8_lossy(row.device).into_owned(),
                mount_point: mount_point.into_owned(),
                fs_type: fs_type.into_owned(),
                major: row.number.0.to_string(),
                minor: row.number.1.to_string(),
                readonly: row.readonly,
                was_writable: false,
            });
            self.mounts.push(host.mount(&row, Question::Size));
        }
        self.mount_points.rest();
        self.types.rest();
        if left_out {
            let why = format!("more than {SHOWN_MAX} filesystems to show");
            self.faults.push(Error::Other { path, why });
        }
        Ok(())
    }
}

fn put_size(size: &StatFs, of: Entity, out: &mut Batch) {
    let bytes = |blocks: u64| match blocks.checked_mul(size.block_size) {
        Some(bytes) => Value::from(bytes),
        None => Value::Float(blocks as f64 * size.block_size as f64),
    };
    out.put(&SIZE, of, bytes(size.blocks));
    out.put(&FREE, of, bytes(size.blocks_free));
    out.put(&AVAIL, of, bytes(size.blocks_available));
    out.put(&FILES, of, size.files);
    out.put(&FILES_FREE, of, size.files_free);
    out.put(&PURGEABLE, of, 0u64);
}

fn put_info(shown: &Shown, out: &mut Batch) {
    let values = [&*shown.device, &shown.major, &shown.minor, &shown.mount_point];
    let of = out.entity(&["device", "major", "minor", "mountpoint"], values);
    out.put(&MOUNT_INFO, of, 1u64);
}

/// What the label `device_error` says.
fn words(error: &Error) -> String {
    match error {
        Error::Stuck { .. } => "mountpoint timeout".to_owned(),
        Error::Absent { .. } => "no such file or directory".to_owned(),
        Error::Denied { .. } => "permission denied".to_owned(),
        Error::Gone { .. } => "no such device".to_owned(),
        Error::Io { errno, .. } => {
            let text = errno.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            text.chars().take(1).flat_map(char::to_lowercase).chain(text.chars().skip(1)).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
