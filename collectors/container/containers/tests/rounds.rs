//! Counters over several rounds: whatever comes and goes, no series runs backwards unless the kernel's own figure began anew.

use super::super::*;
use super::ID;
use crate::kit::testing::{Opened, Tree};
use std::collections::HashMap;

pub(super) fn container() -> String {
    format!("/system.slice/docker-{ID}.scope")
}

pub(super) fn machine() -> Tree {
    let tree = Tree::new(&[
        ("calls/clock", "wall 1700000100\nboot 100\n"),
        ("cgroup/cgroup.controllers", "cpu memory\n"),
        ("proc/vmstat", "oom_kill 20\n"),
    ]);
    network(&tree, 1, 1_000);
    tree.write("proc/net/dev", "-> ../1/net/dev");
    tree
}

/// A process, and a network of its own.
fn network(tree: &Tree, pid: u32, bytes: u64) {
    let row = format!("  eth0: {bytes} 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n");
    tree.write(&format!("proc/{pid}/net/dev"), &format!("Inter-|   Receive\n face |bytes\n{row}"));
}

/// A process of a cgroup, whose network is its own or another's.
fn process(tree: &Tree, pid: u32, path: &str, of: Result<u64, u32>) {
    match of {
        Ok(bytes) => network(tree, pid, bytes),
        Err(other) => tree.write(&format!("proc/{pid}/net/dev"), &format!("-> ../../{other}/net/dev")),
    }
    tree.write(&format!("proc/{pid}/cgroup"), &format!("0::{path}\n"));
    tree.write(
        &format!("proc/{pid}/stat"),
        &format!("{pid} (a) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {pid} 4096 1\n"),
    );
    tree.write(&format!("cgroup{path}/cgroup.procs"), &format!("{pid}\n"));
}

/// The figures of a family, by the labels.
pub(super) fn figures(page: &str, family: &str) -> HashMap<String, f64> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(family)?.rsplit_once(' '));
    lines.map(|(labels, figure)| (labels.to_owned(), figure.parse().unwrap())).collect()
}

pub(super) fn one(page: &str, family: &str) -> f64 {
    let figures = figures(page, family);
    assert_eq!(figures.len(), 1, "{figures:?}");
    figures.into_values().next().unwrap()
}

/// The counters of two pages that ran backwards.
fn backwards(before: &str, after: &str) -> Vec<String> {
    let counters: Vec<&str> =
        FAMILIES.iter().map(|family| &*family.name).filter(|name| name.ends_with("_total")).collect();
    let mut found = Vec::new();
    for name in counters {
        let after = figures(after, name);
        let before = figures(before, name);
        found.extend(
            before.into_iter().filter(|(of, figure)| after.get(of).is_some_and(|now| now < figure)).map(|(of, _)| of),
        );
    }
    found
}

pub(super) fn round(opened: &mut Opened) -> String {
    let page = opened.round();
    opened.advance(Duration::from_secs(15));
    page
}

/// Puts the folder elsewhere: were it removed, its number would be given to the next one.
fn replace(tree: &Tree, path: &str) {
    let (old, new) =
        (format!("{}/cgroup{path}", tree.path()), format!("{}/old{}", tree.path(), path.replace('/', "_")));
    std::fs::rename(old, new).unwrap();
}

#[test]
fn one_started_anew_under_the_same_path_begins_anew() {
    let tree = machine();
    let file = |name: &str, text: &str| tree.write(&format!("cgroup{}/{name}", container()), text);
    let fill = |usage: u32, kills: u32| {
        file("cpu.stat", &format!("usage_usec {usage}000000\nuser_usec 0\nsystem_usec 0\n"));
        file("memory.events", &format!("oom_kill {kills}\n"));
    };
    fill(50, 3);
    process(&tree, 50, &container(), Ok(500));
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let before = round(&mut opened);
    let start = one(&before, "container_start_time_seconds");
    assert_eq!((one(&before, "container_oom_events_total"), start), (3.0, 1_700_000_000.5));
    replace(&tree, &container());
    fill(1, 0);
    tree.remove("proc/50");
    process(&tree, 70, &container(), Ok(7));
    let after = round(&mut opened);
    // Nothing of what was kept of the old one is told of the new one.
    assert_eq!(one(&after, "container_cpu_usage_seconds_total"), 1.0);
    assert_eq!(one(&after, "container_oom_events_total"), 0.0);
    assert_eq!(one(&after, "container_network_receive_bytes_total"), 7.0);
    assert_eq!(one(&after, "container_start_time_seconds"), 1_700_000_000.7);
}

#[test]
fn a_pod_whose_sandbox_is_replaced() {
    let tree = machine();
    let pod = "/kubepods.slice/kubepods-pod1b7e5f6a_0000.slice";
    let id = |digit: &str| ID.replace('0', digit);
    let scope = |digit: &str| format!("{pod}/cri-containerd-{}.scope", id(digit));
    let bundle = |digit: &str, pid: u32, kind: &str| {
        let folder = format!("rootfs/run/containerd/io.containerd.runtime.v2.task/k8s.io/{}", id(digit));
        let text = r#"{"annotations":{"io.kubernetes.cri.sandbox-name":"p","io.kubernetes.cri.sandbox-uid":"1b7e5f6a-0000","io.kubernetes.cri.container-type":"KIND"}}"#;
        tree.write(&format!("{folder}/config.json"), &text.replace("KIND", kind));
        tree.write(&format!("{folder}/init.pid"), &pid.to_string());
    };
    tree.write(&format!("cgroup{pod}/memory.events"), "oom_kill 5\n");
    process(&tree, 10, &scope("a"), Ok(900));
    process(&tree, 11, &scope("b"), Err(10));
    bundle("a", 10, "sandbox");
    bundle("b", 11, "container");
    let mut opened = tree.open(&SPEC, &[]);
    let first = round(&mut opened);
    let of = |page: &str, digit: &str| {
        let all = figures(page, "container_network_receive_bytes_total");
        all.into_iter().find(|(of, _)| of.contains(&id(digit))).map(|(_, bytes)| bytes)
    };
    assert_eq!((of(&first, "a"), of(&first, "b"), of(&first, "c")), (Some(900.0), None, None));
    // All that were in it die with the old one, and the kernel has counted for the pod.
    for (digit, pid) in [("a", 10), ("b", 11)] {
        tree.remove(&format!("cgroup{}", scope(digit)));
        tree.remove(&format!("proc/{pid}"));
    }
    tree.write("proc/vmstat", "oom_kill 21\n");
    tree.write(&format!("cgroup{pod}/memory.events"), "oom_kill 6\n");
    let second = round(&mut opened);
    process(&tree, 20, &scope("c"), Ok(3));
    process(&tree, 21, &scope("d"), Err(20));
    bundle("c", 20, "sandbox");
    bundle("d", 21, "container");
    let third = round(&mut opened);
    assert_eq!((of(&third, "a"), of(&third, "c"), of(&third, "d")), (None, Some(3.0), None));
    for (before, after) in [(&first, &second), (&second, &third), (&first, &third)] {
        assert_eq!(backwards(before, after), Vec::<String>::new());
    }
    let kills = |page: &str| {
        let all = figures(page, "container_oom_events_total");
        all.into_iter().find(|(of, _)| of.contains(&format!("{pod}\""))).map(|(_, kills)| kills)
    };
    assert_eq!([kills(&first), kills(&second), kills(&third)], [Some(5.0), Some(6.0), Some(6.0)]);
}

#[test]
fn a_network_that_moves_from_one_to_another() {
    let tree = machine();
    let path = |digit: &str| format!("/docker/{}", ID.replace('0', digit));
    process(&tree, 10, &path("a"), Ok(100));
    process(&tree, 11, &path("b"), Err(10));
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let mut pages = vec![round(&mut opened)];
    assert_eq!(one(&pages[0], "container_network_receive_bytes_total"), 100.0);
    // Who told it dies; the other one has it still, and goes on telling when a third joins that is older.
    let bytes = |bytes: u64| {
        let text = std::fs::read_to_string(format!("{}/proc/1/net/dev", tree.path())).unwrap();
        tree.write("proc/77/net/dev", &text.replace("1000", &bytes.to_string()));
    };
    std::fs::create_dir_all(format!("{}/proc/77/net", tree.path())).unwrap();
    std::fs::rename(format!("{}/proc/10/net/dev", tree.path()), format!("{}/proc/77/net/dev", tree.path())).unwrap();
    for pid in [10, 11] {
        let _ = std::fs::remove_file(format!("{}/proc/{pid}/net/dev", tree.path()));
        tree.write(&format!("proc/{pid}/net/dev"), "-> ../../77/net/dev");
    }
    bytes(200);
    pages.push(round(&mut opened));
    tree.remove(&format!("cgroup{}", path("a")));
    bytes(300);
    pages.push(round(&mut opened));
    process(&tree, 5, &path("9"), Err(77));
    bytes(400);
    pages.push(round(&mut opened));
    let told: Vec<f64> = pages.iter().map(|page| one(page, "container_network_receive_bytes_total")).collect();
    assert_eq!(told, [100.0, 200.0, 300.0, 400.0], "once each");
    for pair in pages.windows(2) {
        assert_eq!(backwards(&pair[0], &pair[1]), Vec::<String>::new());
    }
    let of = |page: &str| figures(page, "container_network_receive_bytes_total").into_keys().next().unwrap();
    assert!(of(&pages[0]) == of(&pages[1]) && of(&pages[2]) == of(&pages[3]) && of(&pages[1]) != of(&pages[2]));
}

#[test]
fn the_files_that_tell_of_disks_on_version_1_stay_the_same() {
    let tree = Tree::new(&[]);
    let file = |name: &str, text: &str| tree.write(&format!("cgroup/blkio/docker/{ID}/blkio.{name}"), text);
    tree.write(&format!("cgroup/memory/docker/{ID}/memory.usage_in_bytes"), "1\n");
    file("bfq.io_service_bytes_recursive", "Total 0\n");
    file("bfq.io_serviced_recursive", "Total 0\n");
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    assert_eq!(figures(&round(&mut opened), "container_fs_reads_bytes_total").len(), 0);
    file("throttle.io_service_bytes", "7:0 Read 0\n7:0 Write 0\n8:0 Read 4096\n8:0 Write 0\nTotal 4096\n");
    file("throttle.io_serviced", "7:0 Read 0\n7:0 Write 0\n8:0 Read 7\n8:0 Write 0\nTotal 7\n");
    let page = round(&mut opened);
    assert_eq!(figures(&page, "container_fs_reads_total").len(), 0, "it is looked for every half minute");
    let page = round(&mut opened);
    assert_eq!((one(&page, "container_fs_reads_bytes_total"), one(&page, "container_fs_reads_total")), (4096.0, 7.0));
    // Somebody sets BFQ for a disk: what it counts from then on is less.
    file("bfq.io_service_bytes_recursive", "8:0 Read 512\n8:0 Write 0\nTotal 512\n");
    assert_eq!(one(&round(&mut opened), "container_fs_reads_bytes_total"), 4096.0);
}

#[test]
fn when_one_of_version_1_was_made() {
    let tree = Tree::new(&[("calls/clock", "wall 1700001000\nboot 900\n")]);
    let trees = ["memory", "cpu,cpuacct", "pids"];
    trees.iter().for_each(|name| tree.write(&format!("cgroup/{name}/docker/{ID}/cgroup.procs"), ""));
    tree.write("cgroup/unified/cgroup.controllers", "\n");
    tree.write(&format!("cgroup/unified/docker/{ID}/cgroup.events"), "populated 0\n");
    tree.write(&format!("cgroup/unified/docker/{ID}/child/cgroup.procs"), "");
    let touch = |name: &str, seconds: u64| {
        let path = format!("{}/cgroup/{name}", tree.path());
        std::fs::File::open(path).unwrap().set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    let start =
        |tree: &Tree| one(&tree.open(&SPEC, &[("levels", "containers")]).round(), "container_start_time_seconds");
    touch(&format!("memory/docker/{ID}"), 1_700_000_900);
    assert_eq!(start(&tree), 1_700_000_900.0);
    // Any of the trees may have been looked at before.
    touch(&format!("unified/docker/{ID}/cgroup.events"), 1_700_000_500);
    assert_eq!(start(&tree), 1_700_000_500.0);
    touch(&format!("cpu,cpuacct/docker/{ID}"), 1_700_000_200);
    assert_eq!(start(&tree), 1_700_000_200.0);
    // A board that did not know the time yet.
    touch(&format!("pids/docker/{ID}"), 1_500_000_000);
    assert_eq!(start(&tree), 1_700_000_100.0);
}
