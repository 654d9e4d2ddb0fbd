//! Files that are not opened while something else tells that they would say what they said, and that they are opened again.

use super::super::*;
use super::ID;
use super::rounds::{container, figures, machine, one, round};
use crate::kit::testing::{Opened, Tree};

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
fn pressure_is_read_where_somebody_further_up_had_to_wait() {
    let tree = machine();
    let total = |path: &str, total: u64| tree.write(path, &format!("some avg10=0.00 total={total}000000\n"));
    let id = |at: usize| ID.replace('0', &at.to_string());
    let own = |at: usize| format!("cgroup/docker/{}/io.pressure", id(at));
    (1..=3).for_each(|at| total(&own(at), 1));
    total("cgroup/docker/io.pressure", 3);
    let mut opened = tree.open(&SPEC, &[("levels", "containers")]);
    let mut second = 0;
    // Somebody on the machine always waits.
    let mut waiting = || -> Vec<u64> {
        second += 1;
        total("proc/pressure/io", second);
        let told = figures(&round(&mut opened), "container_pressure_io_waiting_seconds_total");
        (1..=3)
            .filter_map(|at| told.iter().find(|(labels, _)| labels.contains(&id(at))))
            .map(|(_, of)| *of as u64)
            .collect()
    };
    assert_eq!([waiting(), waiting(), waiting()], [[1, 1, 1]; 3]);
    // The kernel would not do this: it shows that nobody looks.
    total(&own(2), 2);
    assert_eq!(waiting(), [1, 1, 1]);
    total("cgroup/docker/io.pressure", 4);
    assert_eq!(waiting(), [1, 2, 1]);
    total(&own(3), 3);
    assert_eq!(waiting(), [1, 2, 3], "what the kernel adds up later than further up");
    assert_eq!(waiting(), [1, 2, 3]);
    total(&own(1), 5);
    assert_eq!([waiting(), waiting()], [[1, 2, 3], [5, 2, 3]], "every half minute in any case");
    tree.remove("cgroup/docker/io.pressure");
    total(&own(1), 6);
    assert_eq!(waiting(), [6, 2, 3], "nobody tells of it further up");
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
    // One that tells of nothing any more is told of no more, whatever is above.
    assert_eq!(bytes(&mut opened), [30, 11, 10, 40]);
    tree.remove(&format!("cgroup/docker/{}/io.stat", id(3)));
    opened.advance(SELDOM);
    assert_eq!([bytes(&mut opened), bytes(&mut opened)], [[30, 11, 0, 40]; 2]);
    says(3, 10);
    opened.advance(SELDOM);
    assert_eq!(bytes(&mut opened), [30, 11, 10, 40]);
    // Who tells of nothing above is not believed.
    tree.remove("cgroup/docker/io.stat");
    says(3, 12);
    assert_eq!(bytes(&mut opened), [30, 11, 12, 40]);
}
