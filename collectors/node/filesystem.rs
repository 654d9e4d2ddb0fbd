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
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    const ROOT: &str = "22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n";

    #[test]
    fn a_filesystem() {
        let tree = Tree::new(&[("proc/1/mountinfo", ROOT), ("calls/statfs", "/ 4096 1000 500 400 64 32\n")]);
        let expected = r#"
node_filesystem_avail_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 1638400
node_filesystem_device_error{device="/dev/vda1",fstype="ext4",mountpoint="/"} 0
node_filesystem_files{device="/dev/vda1",fstype="ext4",mountpoint="/"} 64
node_filesystem_files_free{device="/dev/vda1",fstype="ext4",mountpoint="/"} 32
node_filesystem_free_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 2048000
node_filesystem_mount_info{device="/dev/vda1",major="254",minor="1",mountpoint="/"} 1
node_filesystem_purgeable_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 0
node_filesystem_readonly{device="/dev/vda1",fstype="ext4",mountpoint="/"} 0
node_filesystem_size_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 4096000
"#;
        tree.check(&SPEC, &[], expected.trim_start());
    }

    #[test]
    fn what_does_not_answer_says_why_and_nothing_else() {
        let tree = Tree::new(&[
            (
                "proc/1/mountinfo",
                "30 22 0:40 / /a ro - nfs4 srv:/a rw\n31 22 0:41 / /b rw - fuse.x x ro\n32 22 0:42 / /c rw - xfs c rw\n",
            ),
            ("calls/statfs", "/a STUCK\n/b ENOTCONN\n"),
        ]);
        let expected = r#"
node_filesystem_device_error{device="srv:/a",device_error="mountpoint timeout",fstype="nfs4",mountpoint="/a"} 1
node_filesystem_device_error{device="x",device_error="transport endpoint is not connected",fstype="fuse.x",mountpoint="/b"} 1
node_filesystem_device_error{device="c",device_error="no such file or directory",fstype="xfs",mountpoint="/c"} 1
node_filesystem_readonly{device="srv:/a",device_error="mountpoint timeout",fstype="nfs4",mountpoint="/a"} 1
node_filesystem_readonly{device="x",device_error="transport endpoint is not connected",fstype="fuse.x",mountpoint="/b"} 1
node_filesystem_readonly{device="c",device_error="no such file or directory",fstype="xfs",mountpoint="/c"} 0
! absent
! io
! stuck
"#;
        tree.check(&SPEC, &[], expected.trim_start());
    }

    #[test]
    fn a_view_that_is_read_only_says_nothing_of_the_machine() {
        let shown = |readonly| Shown { readonly, ..Shown::default() };
        let says = |readonly| {
            let (block_size, blocks, blocks_free, blocks_available, files, files_free) = (1, 1, 1, 1, 1, 1);
            Some(StatFs { block_size, blocks, blocks_free, blocks_available, files, files_free, readonly })
        };
        let after =
            |mut shown: Shown, answers: [Option<StatFs>; 3]| answers.map(|answer| shown.is_readonly(answer.as_ref()));
        assert_eq!(after(shown(false), [says(true), None, says(true)]), [false, false, false]);
        assert_eq!(after(shown(false), [says(false), says(true), None]), [false, true, false]);
        assert_eq!(after(shown(true), [says(true), None, says(false)]), [true, true, true]);
    }

    fn shown(tree: &Tree, options: &[(&str, &str)]) -> Vec<String> {
        let page = tree.open(&SPEC, options).round();
        let points = page.lines().filter(|line| line.starts_with("node_filesystem_readonly"));
        let mount_point = |line: &str| line.split("mountpoint=\"").nth(1)?.split('"').next().map(str::to_owned);
        points.filter_map(mount_point).collect()
    }

    fn table(mounts: &[(&str, &str)]) -> String {
        // Each on a parent of its own, so that none hides another.
        let line = |(id, (path, kind)): (usize, &(&str, &str))| {
            format!("{id} {} 0:9 / {path} rw - {kind} x rw\n", id + 1_000_000)
        };
        mounts.iter().enumerate().map(line).collect()
    }

    #[test]
    fn mounts_of_pods_and_containers_are_left_out_unless_wished() {
        let out = [
            "/dev/shm",
            "/proc/x",
            "/sys",
            "/run/credentials/a.service",
            "/var/lib/docker/x",
            "/var/lib/containers/storage/overlay",
            "/var/lib/kubelet/pods/u/volumes/v",
            "/var/lib/kubelet/plugins/kubernetes.io/csi/x/globalmount",
            "/var/snap/microk8s/common/var/lib/kubelet/pods/u/v",
            "/var/lib/k0s/kubelet/pods/u/v",
            "/run/containerd/io.containerd.grpc.v1.cri/sandboxes/s/shm",
            "/run/containers/storage/overlay-containers/c/userdata/shm",
            "/run/k3s/containerd/io.containerd.grpc.v1.cri/sandboxes/s/shm",
            "/var/lib/containerd/io.containerd.snapshotter.v1.x/1",
            "/var/lib/rancher/k3s/agent/containerd/x",
            "/run/k0s/containerd/io.containerd.grpc.v1.cri/sandboxes/s/shm",
            "/var/snap/microk8s/common/run/containerd/io.containerd.grpc.v1.cri/sandboxes/s/shm",
            "/var/snap/docker/common/var-lib-docker/overlay2/x/merged",
            "/home/a/.local/share/containers/storage/overlay/x/merged",
            "/run/user/1000/containers/storage/overlay-containers/c/userdata/shm",
            "/run/snapd/ns",
        ];
        let kept = [
            "/",
            "/device",
            "/home",
            "/run",
            "/run/user/0",
            "/var/lib/docker",
            "/var/lib/kubelet",
            "/var/lib/containerd",
            "/var/lib/rancher/k3s",
            "/srv/kubelet",
            "/srv/containers/storage/data",
            "/srv/containerd",
        ];
        let all: Vec<_> = out.iter().chain(&kept).map(|path| (*path, "ext4")).collect();
        let tree = Tree::new(&[("proc/1/mountinfo", &table(&all))]);
        assert_eq!(shown(&tree, &[]), kept);
        assert_eq!(shown(&tree, &[("mount-points-include", "^/(sys|home)$")]), ["/sys", "/home"]);
    }

    #[test]
    fn types_are_chosen() {
        let tree = Tree::new(&[(
            "proc/1/mountinfo",
            &table(&[("/a", "overlay"), ("/b", "cgroup2"), ("/c", "xfs"), ("/d", "tmpfs")]),
        )]);
        assert_eq!(shown(&tree, &[]), ["/c", "/d"]);
        assert_eq!(shown(&tree, &[("fs-types-include", "^overlay$")]), ["/a"]);
        assert_eq!(shown(&tree, &[("fs-types-exclude", "^xfs$")]), ["/a", "/b", "/d"]);
    }

    #[test]
    fn process_1_is_not_always_to_be_seen() {
        let tree = Tree::new(&[("proc/self/mountinfo", ROOT), ("proc/1/mountinfo", "")]);
        assert_eq!(shown(&tree, &[]), [""; 0]);
        tree.write("calls/errno", "proc/1/mountinfo EACCES\n");
        assert_eq!(shown(&tree, &[]), ["/"]);
        tree.remove("calls/errno");
        tree.remove("proc/1");
        assert_eq!(shown(&tree, &[]), ["/"]);
        tree.remove("proc/self");
        tree.check(&SPEC, &[], "! absent\n");
    }

    #[test]
    fn a_line_that_is_no_mount_costs_only_itself() {
        let tree =
            Tree::new(&[("proc/1/mountinfo", &format!("22 1 what\n{ROOT}")), ("calls/statfs", "/ 1 1 1 1 1 1\n")]);
        let page = tree.open(&SPEC, &[]).round();
        assert!(page.contains("node_filesystem_size_bytes") && page.ends_with("\n! malformed\n"), "{page}");
    }

    #[test]
    fn a_hundred_thousand_mounts() {
        let paths: Vec<String> = (0..100_000).map(|n| format!("/srv/{n}")).collect();
        let mounts: Vec<_> = paths.iter().map(|path| (path.as_str(), "tmpfs")).collect();
        let tree = Tree::new(&[("proc/1/mountinfo", &table(&mounts))]);
        let begun = std::time::Instant::now();
        let page = tree.open(&SPEC, &[("mount-points-exclude", "^/srv/0$")]).round();
        assert_eq!(page.matches("node_filesystem_readonly").count(), SHOWN_MAX);
        assert!(page.ends_with("\n! other\n"));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
