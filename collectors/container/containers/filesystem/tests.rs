use super::super::metrics::FAMILIES as ALL;
use super::*;
use crate::kit::cgroup::{Forest, Layer as Told, Life, Named};
use crate::kit::testing::Tree;
use crate::model::Snapshot;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const TABLE: &str = "22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n30 22 8:1 / /var/lib/docker rw - xfs /dev/sdb1 rw,prjquota\n\
                     31 22 8:1 /a /srv/bind rw - xfs /dev/sdb1 rw,prjquota\n32 22 0:5 / /dev rw - devtmpfs udev rw\n\
                     33 22 7:0 / /snap/x ro - squashfs /dev/loop0 ro\n";
const SIZES: &str = "/ 4096 1000 500 400 64 32\n/var/lib/docker 4096 2000 1500 1500 100 60\n";

fn tree(upper: &str) -> Tree {
    Tree::new(&[
        ("calls/clock", "wall 1700000100\nboot 10\n"),
        ("proc/1/mountinfo", TABLE),
        ("calls/statfs", SIZES),
        (
            "proc/77/mountinfo",
            &format!("700 650 0:60 / / rw - overlay overlay rw,lowerdir=/l,upperdir={upper},workdir=/w\n"),
        ),
        ("cgroup/cgroup.controllers", "\n"),
        (&format!("cgroup/system.slice/docker-{ID}.scope/cgroup.procs"), ""),
    ])
}

struct Rounds {
    host: Host,
    forest: Forest<State>,
    filesystems: Filesystems,
}

impl Rounds {
    fn new(tree: &Tree, options: &[(&str, &str)]) -> Self {
        let mut host = tree.host();
        let given: Vec<_> = options.iter().map(|(name, word)| ((*name).to_owned(), vec![(*word).to_owned()])).collect();
        let options = Options::new(super::super::OPTIONS, &given).unwrap();
        let forest = Forest::open(&mut host).unwrap().unwrap();
        let filesystems = Filesystems::new(&host, &options);
        Self { host, forest, filesystems }
    }

    /// What is said of the container with process 77, and of the root with its id; then the reasons of faults.
    fn round(&mut self) -> String {
        let mut out = Batch::new(1000);
        self.filesystems.begin(&mut self.host, &mut out);
        let filesystems = &mut self.filesystems;
        let visit = &mut |host: &mut Host, _: &_, node: &mut Node<State>| {
            let wanted = Wanted::these(&FAMILIES);
            if node.kind == Kind::Root {
                let of = out.entity(&["id"], [&node.path]);
                filesystems.put_root(host, &mut Page { out: &mut out, of, wanted });
            } else if matches!(node.kind, Kind::Container { .. }) {
                node.own.named = Some(Arc::new(Named { pid: Some(77), ..Named::default() }));
                let of = out.machine();
                let taken = filesystems.take(host, node, &mut Page { out: &mut out, of, wanted });
                out.ok(taken);
            }
            Life::Alive
        };
        self.forest.round(&mut self.host, visit).unwrap();
        self.filesystems.end(&mut self.host, &mut out);
        assert!(out.columns().iter().all(|column| ALL.iter().any(|family| family.name == column.family.name)));
        let snapshot = Snapshot::new(vec![Arc::new(out)]);
        let batch = &snapshot.batches()[0];
        let mut text = String::new();
        for column in batch.columns() {
            for sample in &column.samples {
                let labels: Vec<_> =
                    batch.labels().all(sample.of).iter().map(|(name, value)| format!("{name}={value}")).collect();
                let name = column.family.name.replace("container_", "");
                text += &format!("{name} {} {}\n", labels.join(" "), sample.value.as_f64().unwrap());
            }
        }
        batch.fault_counts().keys().for_each(|reason| text += &format!("! {reason}\n"));
        text
    }

    fn of_container(&mut self) -> String {
        let page = self.round();
        page.lines().filter(|line| !line.contains("id=/")).map(|line| format!("{line}\n")).collect()
    }
}

#[test]
fn the_whole_machine_has_each_disk_once() {
    let expected = "fs_usage_bytes id=/ device=/dev/vda1 2048000\nfs_usage_bytes id=/ device=/dev/sdb1 2048000\n\
                    fs_limit_bytes id=/ device=/dev/vda1 4096000\nfs_limit_bytes id=/ device=/dev/sdb1 8192000\n\
                    fs_inodes_total id=/ device=/dev/vda1 64\nfs_inodes_total id=/ device=/dev/sdb1 100\n\
                    fs_inodes_free id=/ device=/dev/vda1 32\nfs_inodes_free id=/ device=/dev/sdb1 60\n";
    let tree = tree("/var/lib/docker/overlay2/x/diff");
    assert_eq!(Rounds::new(&tree, &[]).round(), expected, "and nothing of the container: it has no project");
}

#[test]
fn a_disk_that_does_not_answer_costs_only_itself() {
    let tree = tree("/x");
    tree.write("calls/statfs", "/ STUCK\n/var/lib/docker 4096 2000 1500 1500 100 60\n");
    let page = Rounds::new(&tree, &[]).round();
    assert!(page.contains("fs_limit_bytes id=/ device=/dev/sdb1 8192000\n") && page.ends_with("! stuck\n"), "{page}");
    assert!(!page.contains("vda1"), "{page}");
}

#[test]
fn a_quota_tells() {
    let tree = tree("/var/lib/docker/overlay2/x/diff");
    tree.write("calls/quotas", "/var/lib/docker/overlay2/x/diff 9 4096 7 1048576 50\n");
    let mut rounds = Rounds::new(&tree, &[]);
    let page = "fs_usage_bytes device=/dev/sdb1 4096\nfs_limit_bytes device=/dev/sdb1 1048576\n\
                fs_inodes_total device=/dev/sdb1 50\nfs_inodes_free device=/dev/sdb1 43\n";
    assert_eq!(rounds.of_container(), page);
    // The path is looked for once in a life.
    tree.remove("proc/77");
    assert_eq!(rounds.of_container(), page);
    assert_eq!(rounds.filesystems.layers.len(), 1);
    tree.remove(&format!("cgroup/system.slice/docker-{ID}.scope"));
    assert_eq!((rounds.of_container(), rounds.filesystems.layers.len()), (String::new(), 0), "nothing is left behind");
}

#[test]
fn the_nearest_mount_says_which_disk_it_is() {
    let tree = tree("/srv/bind/x");
    tree.write("calls/quotas", "/srv/bind/x 9 4096 7 0 0\n");
    assert!(Rounds::new(&tree, &[]).of_container().starts_with("fs_usage_bytes device=/dev/sdb1 4096\n"));
    tree.remove("proc/77");
    tree.write("proc/77/mountinfo", "700 650 0:60 / / rw - overlay o rw,upperdir=/srv/bindx/x\n");
    tree.write("calls/quotas", "/srv/bindx/x 9 4096 7 0 0\n");
    assert_eq!(Rounds::new(&tree, &[]).of_container(), "", "a disk without quotas");
}

#[test]
fn a_quota_without_limits_has_those_of_the_disk() {
    let tree = tree("/var/lib/docker/x");
    tree.write("calls/quotas", "/var/lib/docker/x 9 4096 7 0 0\n");
    let page = "fs_usage_bytes device=/dev/sdb1 4096\nfs_limit_bytes device=/dev/sdb1 8192000\n\
                fs_inodes_total device=/dev/sdb1 100\nfs_inodes_free device=/dev/sdb1 60\n";
    assert_eq!(Rounds::new(&tree, &[]).of_container(), page);
}

#[test]
fn what_has_no_project_is_not_asked_again() {
    let tree = tree("/var/lib/docker/x");
    tree.write("calls/quotas", "/var/lib/docker/x 0 0 0 0 0\n");
    let mut rounds = Rounds::new(&tree, &[]);
    assert_eq!(rounds.of_container(), "");
    assert!(rounds.filesystems.layers.values().all(|layer| layer.has_none));
    // A folder on a disk without quotas is never asked.
    let tree = self::tree("/x");
    tree.write("calls/quotas", "/x STUCK\n");
    assert_eq!(Rounds::new(&tree, &[]).of_container(), "");
}

#[test]
fn a_quota_that_can_t_be_read_is_a_fault_and_no_figure() {
    let tree = tree("/var/lib/docker/x");
    tree.write("calls/quotas", "/var/lib/docker/x EIO\n");
    assert_eq!(Rounds::new(&tree, &[]).of_container(), "! io\n");
}

#[test]
fn a_runtime_tells_where_there_is_no_quota() {
    let tree = tree("/x");
    tree.remove("proc/77");
    let mut rounds = Rounds::new(&tree, &[]);
    let folder = "/var/lib/docker/containers".to_owned();
    let told = Told { bytes: 5000, inodes: Some(3), taken: Duration::from_secs(1_700_000_040), folder };
    rounds.host.machine().written.tell([(ID.to_owned(), told)].into());
    let page = "fs_usage_bytes device=/dev/sdb1 5000\nfs_limit_bytes device=/dev/sdb1 8192000\n\
                fs_inodes_total device=/dev/sdb1 100\nfs_inodes_free device=/dev/sdb1 60\nwholenode_walk_age_seconds  60\n";
    assert_eq!(rounds.of_container(), page);
}

#[test]
fn what_a_container_mounts_itself_is_no_layer() {
    let tree = tree("/etc");
    tree.write("calls/quotas", "/etc 9 4096 7 0 0\n/var/lib/docker/../../../etc 9 4096 7 0 0\n");
    tree.write("proc/1/mountinfo", &TABLE.replace(" rw\n30 ", " rw,prjquota\n30 "));
    let of_container = || Rounds::new(&tree, &[]).of_container();
    let page = of_container();
    assert!(page.starts_with("fs_usage_bytes device=/dev/vda1 4096\n"), "{page}");
    tree.write("proc/77/uid_map", "         0          0 4294967295\n");
    assert_eq!(of_container(), page, "nobody but a runtime can have mounted it");
    tree.write("proc/77/uid_map", "         0     100000      65536\n");
    assert_eq!(of_container(), "");
    let merged = "40 22 0:60 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/etc,workdir=/w\n";
    tree.write("proc/1/mountinfo", &format!("{}{merged}", TABLE.replace(" rw\n30 ", " rw,prjquota\n30 ")));
    assert_eq!(of_container(), page, "the machine has it too");
    tree.write("proc/77/mountinfo", "1 2 0:60 / / rw - overlay o rw,upperdir=/var/lib/docker/../../../etc\n");
    tree.remove("proc/77/uid_map");
    assert_eq!(of_container(), "", "a path that leads back");
}

#[test]
fn paths_that_were_shortened_are_found_in_the_runtimes_homes() {
    let tree = tree("abc/diff");
    tree.write("rootfs/var/lib/docker/overlay2/abc/diff/", "");
    tree.write("calls/quotas", "/var/lib/docker/overlay2/abc/diff 9 4096 7 0 0\n");
    assert!(Rounds::new(&tree, &[]).of_container().starts_with("fs_usage_bytes device=/dev/sdb1 4096\n"));
    tree.remove("rootfs");
    assert_eq!(Rounds::new(&tree, &[]).of_container(), "");
}

#[test]
fn a_walk_that_nobody_can_make_is_a_fault() {
    let tree = tree("/x");
    let mut rounds = Rounds::new(&tree, &[("walk", "true")]);
    rounds.of_container();
    let began = std::time::Instant::now();
    while rounds.of_container() != "! other\n" {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(rounds.of_container(), "", "told once a period");
}
