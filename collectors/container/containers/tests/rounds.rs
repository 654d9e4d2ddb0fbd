//! Counters over several rounds: whatever comes and goes, no series runs backwards unless the kernel's own figure began anew.

use super::super::*;
use super::ID;
use crate::kit::testing::{Opened, Tree};
use std::collections::HashMap;

fn container() -> String {
    format!("/system.slice/docker-{ID}.scope")
}

fn machine() -> Tree {
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
fn figures(page: &str, family: &str) -> HashMap<String, f64> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(family)?.rsplit_once(' '));
    lines.map(|(labels, figure)| (labels.to_owned(), figure.parse().unwrap())).collect()
}

fn one(page: &str, family: &str) -> f64 {
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

fn round(opened: &mut Opened) -> String {
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
fn ticks_of_version_1_are_read_again_when_time_was_used() {
    let tree = Tree::new(&[("proc/vmstat", "nr_free_pages 1\n")]);
    let file = |name: &str, text: &str| tree.write(&format!("cgroup/cpu,cpuacct/docker/{ID}/{name}"), text);
    tree.write(&format!("cgroup/memory/docker/{ID}/memory.usage_in_bytes"), "1\n");
    file("cpuacct.usage", "1000000000\n");
    file("cpuacct.stat", "user 70\nsystem 30\n");
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let user = |page: &str| one(page, "container_cpu_user_seconds_total");
    assert_eq!(user(&round(&mut opened)), 0.7);
    // It can't have changed: it is not looked at.
    file("cpuacct.stat", "user 1\nsystem 1\n");
    assert_eq!(user(&round(&mut opened)), 0.7);
    file("cpuacct.usage", "1500000000\n");
    file("cpuacct.stat", "user 110\nsystem 40\n");
    assert_eq!(user(&round(&mut opened)), 1.1);
    // A new one under the same path has not what was kept of the old one.
    for tree_of in ["memory", "cpu,cpuacct"] {
        let old = format!("{}/cgroup/{tree_of}/docker/{ID}", tree.path());
        std::fs::rename(old, format!("{}/old-{tree_of}", tree.path())).unwrap();
    }
    tree.write(&format!("cgroup/memory/docker/{ID}/memory.usage_in_bytes"), "1\n");
    file("cpuacct.usage", "1500000000\n");
    file("cpuacct.stat", "user 5\nsystem 0\n");
    assert_eq!(user(&round(&mut opened)), 0.05);
}

#[test]
fn kills_are_looked_for_when_the_machine_had_some() {
    let tree = machine();
    let events =
        |kills: u32| tree.write(&format!("cgroup{}/memory.events", container()), &format!("oom_kill {kills}\n"));
    let machine_s = |kills: u32| tree.write("proc/vmstat", &format!("oom_kill {kills}\n"));
    events(1);
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let mut kills = || one(&round(&mut opened), "container_oom_events_total");
    assert_eq!((kills(), kills(), kills()), (1.0, 1.0, 1.0));
    events(9);
    assert_eq!(kills(), 1.0, "the machine had none");
    machine_s(21);
    events(2);
    assert_eq!(kills(), 2.0);
    // The cgroup is told of a little later.
    events(3);
    assert_eq!((kills(), kills()), (3.0, 3.0));
}

#[test]
fn version_1_before_it_counted_kills() {
    let tree = Tree::new(&[("proc/vmstat", "nr_free_pages 1\n")]);
    let file = format!("cgroup/memory/docker/{ID}/memory.oom_control");
    tree.write(&file, "oom_kill_disable 0\nunder_oom 0\n");
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    assert_eq!(figures(&round(&mut opened), "container_oom_events_total").len(), 0);
    tree.write("proc/vmstat", "oom_kill 0\n");
    tree.write(&file, "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
    assert_eq!(one(&round(&mut opened), "container_oom_events_total"), 0.0);
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
fn while_the_root_of_version_1_tells_of_no_disk_nobody_else_is_asked() {
    let tree = Tree::new(&[]);
    let files = |path: &str, bytes: u32| {
        for (name, figure) in [("service_bytes_recursive", bytes), ("serviced_recursive", bytes / 4096)] {
            let text = format!("8:0 Read {figure}\n8:0 Write 0\nTotal {figure}\n");
            tree.write(&format!("cgroup/blkio{path}/blkio.throttle.io_{name}"), &text);
        }
    };
    let of_one = format!("/docker/{ID}");
    tree.write(&format!("cgroup/memory{of_one}/memory.usage_in_bytes"), "1\n");
    files("", 0);
    files(&of_one, 4096);
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let mut reads = || figures(&round(&mut opened), "container_fs_reads_total").len();
    assert_eq!([reads(), reads(), reads()], [0; 3]);
    files("", 4096);
    assert_eq!([reads(), reads()], [0, 1], "within half a minute");
}

#[test]
fn pressure_is_read_again_when_somebody_on_the_machine_had_to_wait() {
    let tree = machine();
    let total = |path: &str, total: u32| tree.write(path, &format!("some avg10=0.00 total={total}\n"));
    let own = format!("cgroup{}/cpu.pressure", container());
    let whole = "proc/pressure/cpu";
    total(&own, 1_000_000);
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let waiting = |opened: &mut Opened| one(&round(opened), "container_pressure_cpu_waiting_seconds_total");
    // Without the machine's own figure it is read every time.
    assert_eq!(waiting(&mut opened), 1.0);
    total(&own, 2_000_000);
    assert_eq!(waiting(&mut opened), 2.0);
    total(whole, 7);
    assert_eq!(waiting(&mut opened), 2.0);
    total(&own, 2_500_000);
    assert_eq!(waiting(&mut opened), 2.5, "what the kernel adds up later than the machine's");
    assert_eq!(waiting(&mut opened), 2.5);
    total(&own, 3_000_000);
    assert_eq!(waiting(&mut opened), 2.5, "nobody on the machine had to wait");
    total(whole, 8);
    assert_eq!(waiting(&mut opened), 3.0);
    total(&own, 4_000_000);
    let later: Vec<f64> = (0..4).map(|_| waiting(&mut opened)).collect();
    assert_eq!(later[0], 4.0);
    total(&own, 5_000_000);
    let later: Vec<f64> = (0..4).map(|_| waiting(&mut opened)).collect();
    assert!(later.starts_with(&[4.0]) && later.ends_with(&[5.0]), "every half minute in any case: {later:?}");
}

#[test]
fn swap_is_read_where_something_is_swapped_out() {
    let tree = machine();
    let own = |bytes: &str| tree.write(&format!("cgroup{}/memory.swap.current", container()), bytes);
    let free = |kibibytes: u32| tree.write("proc/meminfo", &format!("SwapTotal: 8 kB\nSwapFree: {kibibytes} kB\n"));
    own("0\n");
    tree.write(&format!("cgroup{}/memory.current", container()), "4096\n");
    free(8);
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let mut swap = || one(&round(&mut opened), "container_memory_swap");
    assert_eq!([swap(), swap()], [0.0, 0.0]);
    free(4);
    own("4096\n");
    assert_eq!([swap(), swap()], [4096.0, 4096.0]);
    free(8);
    assert_eq!(swap(), 4096.0, "it is the file that is believed, when it is looked at");
    assert_eq!(swap(), 0.0);
    tree.write("proc/meminfo", "SwapTotal: 0 kB\nSwapFree: 0 kB\n");
    assert_eq!([swap(), swap()], [0.0, 0.0], "nobody has any");
}

#[test]
fn where_the_machine_never_killed_nobody_is_looked_into() {
    let tree = machine();
    tree.write("proc/vmstat", "oom_kill 0\n");
    let path = container();
    tree.write(&format!("cgroup{path}/memory.current"), "4096\n");
    tree.write(&format!("cgroup{path}/memory.events"), "oom_kill 7\n");
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    assert_eq!(one(&round(&mut opened), "container_oom_events_total"), 0.0);
    tree.write("proc/vmstat", "oom_kill 1\n");
    assert_eq!(one(&round(&mut opened), "container_oom_events_total"), 7.0);
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

/// Of version 2, where a cgroup counts what is read in those below it.
#[test]
fn disks_are_read_of_where_something_moved_above() {
    let tree = Tree::new(&[
        ("calls/clock", "wall 1700000100\nboot 100\n"),
        ("cgroup/cgroup.controllers", "io\n"),
        ("cgroup/docker/io.stat", "8:0 rbytes=60 wbytes=0 rios=6 wios=0\n"),
    ]);
    let id = |at: usize| ID.replace('0', &at.to_string());
    let says = |at: usize, bytes: u64| {
        let text = format!("8:0 rbytes={bytes} wbytes=0 rios=1 wios=0\n");
        tree.write(&format!("cgroup/docker/{}/io.stat", id(at)), &text);
    };
    (1..=3).for_each(|at| says(at, 10));
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let bytes = |opened: &mut Opened| -> Vec<u64> {
        let told = figures(&opened.round(), "container_fs_reads_bytes_total");
        let of =
            |at: usize| told.iter().find(|(labels, _)| labels.contains(&id(at))).map_or(0, |(_, bytes)| *bytes as u64);
        (1..=4).map(of).collect()
    };
    // Once to find them, once to remember what is told above.
    assert_eq!(bytes(&mut opened), [10, 10, 10, 0]);
    says(1, 20);
    assert_eq!(bytes(&mut opened), [20, 10, 10, 0]);
    // The kernel would not do this: it shows that nobody looks.
    says(1, 30);
    assert_eq!(bytes(&mut opened), [20, 10, 10, 0]);
    // One that is new is looked at.
    says(4, 40);
    assert_eq!(bytes(&mut opened), [20, 10, 10, 40]);
    tree.write("cgroup/docker/io.stat", "8:0 rbytes=61 wbytes=0 rios=6 wios=0\n");
    assert_eq!(bytes(&mut opened), [30, 10, 10, 40]);
    says(2, 11);
    assert_eq!(bytes(&mut opened), [30, 10, 10, 40]);
    // Seldom, all are looked at whatever is told above.
    opened.advance(SELDOM);
    assert_eq!(bytes(&mut opened), [30, 11, 10, 40]);
    // Who tells of nothing above is not believed.
    tree.remove("cgroup/docker/io.stat");
    says(3, 12);
    assert_eq!(bytes(&mut opened), [30, 11, 12, 40]);
}
