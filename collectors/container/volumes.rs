//! How full the volumes of pods are, under the kubelet's names: `statfs(2)` by way of a child process, so that one that
//! hangs costs its own series only.
//!
//! Which volumes there are is told by the table of mounts: those of CSI, of which `vol_data.json` says that they outlive
//! their pod, and local volumes. Volumes of plugins within the kubelet can be a pod's own as well as a claim's, and nothing
//! on the node tells which: they are left out. Only the API server knows the name of a claim. So the name of the volume is
//! told in its place, as `volumename`, under which kube-state-metrics has both:
//! `… * on(volumename) group_left(persistentvolumeclaim) kube_persistentvolumeclaim_info`. The namespace is that of a pod
//! which has it, as the collector `containers` knows it. One that several pods of the node have is told once.

use crate::kit::cgroup::VolumeData;
use crate::kit::mounts::{Row, Table, visible};
use crate::kit::{Error, Host, Mount, Options, Question, Root, StatFs};
use crate::model::{Batch, Entity, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::sync::Arc;
use std::time::Duration;

const LABELS: &[&str; 2] = &["namespace", "volumename"];

static CAPACITY: Family =
    gauge("kubelet_volume_stats_capacity_bytes", "How large the volume's filesystem is, in bytes.", LABELS);
static AVAILABLE: Family =
    gauge("kubelet_volume_stats_available_bytes", "Space that everybody can still fill, in bytes.", LABELS);
static USED: Family = gauge("kubelet_volume_stats_used_bytes", "Space in use, in bytes.", LABELS);
static INODES: Family = gauge("kubelet_volume_stats_inodes", "How many inodes the volume's filesystem has.", LABELS);
static INODES_FREE: Family = gauge("kubelet_volume_stats_inodes_free", "How many inodes are not in use.", LABELS);
static INODES_USED: Family = gauge("kubelet_volume_stats_inodes_used", "How many inodes are in use.", LABELS);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Container,
        "volumes",
        "Size and use of the persistent volumes of pods, from mountinfo and statfs.",
        &[&CAPACITY, &AVAILABLE, &USED, &INODES, &INODES_FREE, &INODES_USED],
        open,
    )
};

/// How long a round waits for volumes that do not answer.
const PATIENCE: Duration = Duration::from_millis(150);
/// How many volumes are told of.
const VOLUMES_MAX: usize = 1_000;

struct Volumes {
    table: Table,
    mounts: Vec<Arc<Mount>>,
    /// In the order of the mounts.
    volumes: Vec<Volume>,
}

/// A volume, as a pod has it.
#[derive(Debug, PartialEq, Eq)]
struct Volume {
    name: String,
    /// The pods that have it.
    pods: Vec<String>,
}

/// What the path of a mount says.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// A volume of CSI, and the folder that its file is in.
    Csi { pod: &'a str, folder: &'a str },
    /// A local volume, by its name.
    Local { pod: &'a str, name: &'a str },
}

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Volumes { table: Table::new(), mounts: Vec::new(), volumes: Vec::new() })))
}

impl Collector for Volumes {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if let Some(text) = self.table.read(host)? {
            self.look(&text, host, out);
        }
        let answers = host.statfs(&self.mounts, PATIENCE);
        for (volume, answer) in self.volumes.iter().zip(answers) {
            let Some(size) = out.found(answer) else { continue };
            let namespace = volume.pods.iter().find_map(|pod| host.machine().names.pod(pod));
            let namespace = namespace.map(|(namespace, _)| namespace);
            let of = out.entity(LABELS, [namespace.as_deref().unwrap_or_default(), &volume.name]);
            put(&size, of, out);
        }
        Ok(())
    }
}

impl Volumes {
    /// Looks for the volumes in a table of mounts that has changed.
    fn look(&mut self, text: &[u8], host: &mut Host, out: &mut Batch) {
        let rootfs = host.root(Root::Rootfs).as_bytes().to_vec();
        (self.mounts, self.volumes) = (Vec::new(), Vec::new());
        // What is wrong with the table is told by the collector `filesystem`.
        for row in visible(text, &rootfs, |_| {}) {
            let Ok(path) = std::str::from_utf8(&row.mount_point) else { continue };
            let (pod, name) = match place(path) {
                None => continue,
                Some(Place::Local { pod, name }) => (pod, name.to_owned()),
                Some(Place::Csi { pod, folder }) => {
                    let data =
                        host.read(Root::Rootfs, format_args!("{}/vol_data.json", folder.trim_start_matches('/')));
                    match out.found(data).and_then(VolumeData::parse) {
                        Some(data) if data.is_persistent => (pod, data.volume),
                        _ => continue,
                    }
                }
            };
            self.add(&row, pod, name, host, out);
        }
    }

    fn add(&mut self, row: &Row<'_>, pod: &str, name: String, host: &Host, out: &mut Batch) {
        if let Some(known) = self.volumes.iter_mut().find(|volume| volume.name == name) {
            known.pods.push(pod.to_owned());
        } else if self.volumes.len() < VOLUMES_MAX {
            self.volumes.push(Volume { name, pods: vec![pod.to_owned()] });
            self.mounts.push(host.mount(row, Question::Size));
        } else {
            let path = format!("{}/{}", host.root(Root::Proc), self.table.path());
            out.fault(Error::Other { path, why: format!("more than {VOLUMES_MAX} volumes to show") });
        }
    }
}

/// `/var/lib/kubelet/pods/UID/volumes/kubernetes.io~csi/NAME/mount`, wherever the kubelet has its folder.
fn place(path: &str) -> Option<Place<'_>> {
    let (above, rest) = path.rsplit_once("/volumes/kubernetes.io~")?;
    let (pods, pod) = above.rsplit_once('/')?;
    let is_pod = pods.ends_with("/pods") && (8..=64).contains(&pod.len());
    let mut rest = rest.split('/');
    match (is_pod, rest.next(), rest.next(), rest.next(), rest.next()) {
        (true, Some("csi"), Some(_), Some("mount"), None) => {
            Some(Place::Csi { pod, folder: path.strip_suffix("/mount")? })
        }
        (true, Some("local-volume"), Some(name), None, None) if !name.is_empty() => Some(Place::Local { pod, name }),
        _ => None,
    }
}

fn put(size: &StatFs, of: Entity, out: &mut Batch) {
    let bytes = |blocks: u64| match blocks.checked_mul(size.block_size) {
        Some(bytes) => Value::from(bytes),
        None => Value::Float(blocks as f64 * size.block_size as f64),
    };
    out.put(&CAPACITY, of, bytes(size.blocks));
    out.put(&AVAILABLE, of, bytes(size.blocks_available));
    out.put(&USED, of, bytes(size.blocks.saturating_sub(size.blocks_free)));
    // Some have none that could run out.
    if size.files > 0 {
        out.put(&INODES, of, size.files);
        out.put(&INODES_FREE, of, size.files_free);
        out.put(&INODES_USED, of, size.files.saturating_sub(size.files_free));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::cgroup::{Named, Runtime};
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const POD: &str = "1b7e5f6a-0000-4000-8000-000000000001";
    const OTHER: &str = "1b7e5f6a-0000-4000-8000-000000000002";

    fn machine() -> Tree {
        let kubelet = "/var/lib/kubelet/pods";
        let mounts = [
            format!("{kubelet}/{POD}/volumes/kubernetes.io~csi/pvc-1/mount"),
            format!("{kubelet}/{OTHER}/volumes/kubernetes.io~csi/pvc-1/mount"),
            format!("{kubelet}/{POD}/volumes/kubernetes.io~csi/inline/mount"),
            format!("{kubelet}/{POD}/volumes/kubernetes.io~csi/stuck/mount"),
            format!("{kubelet}/{OTHER}/volumes/kubernetes.io~local-volume/disk-7"),
            format!("{kubelet}/{OTHER}/volumes/kubernetes.io~empty-dir/cache"),
            format!("{kubelet}/{OTHER}/volumes/kubernetes.io~nfs/data"),
        ];
        let row = |(at, path): (usize, &String)| format!("{} 1 0:{at} / {path} rw - nfs4 server:/{at} rw\n", at + 2);
        let table: String = mounts.iter().enumerate().map(row).collect();
        let tree = Tree::new(&[
            ("proc/1/mountinfo", &format!("1 0 8:0 / / rw - ext4 /dev/sda rw\n{table}")),
            (
                "calls/statfs",
                &format!("{} 4096 1000 500 400 64 32\n{} STUCK\n{} 512 10 5 4 0 0\n", mounts[0], mounts[3], mounts[4]),
            ),
        ]);
        for (at, name, mode) in [
            (0, "pvc-1", "Persistent"),
            (1, "pvc-1", "Persistent"),
            (2, "inline", "Ephemeral"),
            (3, "stuck", "Persistent"),
        ] {
            let text = format!(r#"{{"specVolID":"{name}","volumeLifecycleMode":"{mode}"}}"#);
            tree.write(&format!("rootfs{}/vol_data.json", mounts[at].trim_end_matches("/mount")), &text);
        }
        tree
    }

    #[test]
    fn volumes_that_outlive_their_pods() {
        let tree = machine();
        let mut opened = tree.open(&SPEC, &[]);
        let named = Named { pod: "db-0".into(), namespace: "shop".into(), pod_uid: POD.into(), ..Named::default() };
        opened.host.machine().names.tell(Runtime::Containerd, &"0".repeat(64), named);
        let page = opened.round();
        let lines: Vec<&str> = page.lines().filter(|line| !line.starts_with('!')).collect();
        let of = "{namespace=\"shop\",volumename=\"pvc-1\"}";
        for line in [
            &format!("kubelet_volume_stats_capacity_bytes{of} 4096000"),
            &format!("kubelet_volume_stats_available_bytes{of} 1638400"),
            &format!("kubelet_volume_stats_used_bytes{of} 2048000"),
            &format!("kubelet_volume_stats_inodes{of} 64"),
            &format!("kubelet_volume_stats_inodes_free{of} 32"),
            &format!("kubelet_volume_stats_inodes_used{of} 32"),
            "kubelet_volume_stats_used_bytes{volumename=\"disk-7\"} 2560",
        ] {
            assert!(lines.contains(&line), "{line} in\n{page}");
        }
        assert_eq!(lines.len(), 9, "{page}");
        assert_eq!(page.lines().filter(|line| line.starts_with('!')).count(), 1, "the one that hangs: {page}");
        assert_eq!(opened.round(), page);
    }

    #[test]
    fn paths_of_volumes() {
        let csi = |folder, pod| Some(Place::Csi { pod, folder });
        let path = "/data/k8s/pods/1b7e5f6a/volumes/kubernetes.io~csi/pvc-1";
        assert_eq!(place(&format!("{path}/mount")), csi(path, "1b7e5f6a"));
        for other in [
            path,
            "/pods/1b7e5f6a/volumes/kubernetes.io~csi/a/b/mount",
            "/pods/1b7e5f6a/volumes/kubernetes.io~local-volume/",
            "/pods/1/volumes/kubernetes.io~local-volume/a",
            "/volumes/kubernetes.io~local-volume/a",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path: String, parts in "(/(pods|volumes|kubernetes.io~csi|1b7e5f6a|mount)?){0,8}") {
            place(&path);
            place(&parts);
        }
    }
}
