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
    let line =
        |(id, (path, kind)): (usize, &(&str, &str))| format!("{id} {} 0:9 / {path} rw - {kind} x rw\n", id + 1_000_000);
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
    let tree = Tree::new(&[("proc/1/mountinfo", &format!("22 1 what\n{ROOT}")), ("calls/statfs", "/ 1 1 1 1 1 1\n")]);
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
