use super::super::SPEC;
use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;
use std::time::Duration;

/// A machine of two processors whose package has used so much.
fn machine() -> Tree {
    let tree = Tree::new(&[
        ("cgroup/cgroup.controllers", "cpu\n"),
        ("cgroup/system.slice/cpu.stat", "usage_usec 0\n"),
        ("cgroup/system.slice/a.service/cpu.stat", "usage_usec 0\n"),
        ("sys/devices/system/cpu/online", "0-1\n"),
        ("sys/class/powercap/intel-rapl:0/name", "package-0\n"),
    ]);
    energy(&tree, 0);
    tree
}

fn energy(tree: &Tree, joules: u64) {
    tree.write("sys/class/powercap/intel-rapl:0/energy_uj", &format!("{}\n", joules * 1_000_000));
}

fn process(tree: &Tree, pid: u32, comm: &str, ticks: u64, start: u64) {
    let stat = format!("{pid} ({comm}) S 1 1 1 0 -1 4194560 1 0 0 0 {ticks} 0 0 0 20 0 1 0 {start} 1 1 1 0\n");
    tree.write(&format!("proc/{pid}/stat"), &stat);
}

fn watts(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("node_process_power_watts")).collect()
}

#[test]
fn those_that_use_most_are_shown() {
    let tree = machine();
    process(&tree, 1, "init", 50, 1);
    process(&tree, 7, "a) \"S\\ 1", 100, 9);
    process(&tree, 8, "small", 0, 9);
    process(&tree, 9, "old", 9_000, 9);
    let mut opened = tree.open(&SPEC, &[("processes", "2")]);
    assert_eq!(watts(&opened.round()), [""; 0]);
    process(&tree, 7, "a) \"S\\ 1", 350, 9);
    process(&tree, 8, "small", 10, 9);
    // Its number is given to another one, which has used little so far.
    process(&tree, 9, "new", 500, 77);
    energy(&tree, 100);
    tree.write("cgroup/system.slice/cpu.stat", "usage_usec 7600000\n");
    opened.advance(Duration::from_secs(5));
    let page = opened.round();
    // 20 W; of ten seconds of processors, five and two and a half.
    let [one, other] = [
        "{pid=\"9\",comm=\"new\",method=\"cpu_time\"} 10",
        "{pid=\"7\",comm=\"a) \\\"S\\\\ 1\",method=\"cpu_time\"} 5",
    ];
    let mut shown = watts(&page);
    shown.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(shown, [one, other], "{page}");
    let without = tree.open(&SPEC, &[]).round();
    assert_eq!(watts(&without), [""; 0]);
    let sums = |page: &str| page.lines().filter(|line| line.contains("_total{")).count();
    assert_eq!(sums(&page), sums(&without), "it adds to no sum");
    // Nobody did anything.
    opened.advance(Duration::from_secs(5));
    energy(&tree, 200);
    assert_eq!(watts(&opened.round()), [""; 0]);
}

#[test]
fn ticks_that_say_more_than_there_was_get_no_more_than_there_was() {
    let tree = machine();
    process(&tree, 1, "one", 0, 1);
    process(&tree, 2, "two", 0, 1);
    let mut opened = tree.open(&SPEC, &[("processes", "5")]);
    opened.round();
    process(&tree, 1, "one", 3_000, 1);
    process(&tree, 2, "two", 1_000, 1);
    energy(&tree, 100);
    opened.advance(Duration::from_secs(5));
    let page = opened.round();
    let all: f64 = watts(&page).iter().map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
    assert_eq!((watts(&page).len(), all), (2, 20.0), "{page}");
}

#[test]
fn more_than_a_hundred_are_refused() {
    let of = |count: &str| {
        let options = Options::new(SPEC.options, &[("processes".to_owned(), vec![count.to_owned()])]).unwrap();
        Processes::open(&options).map(|processes| processes.is_some())
    };
    assert_eq!((of("0"), of("100")), (Ok(false), Ok(true)));
    assert_eq!(of("101").unwrap_err().to_string(), "processes: expected no more than 100");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, comm: String, words in prop::collection::vec(any::<u64>(), 0..30)) {
        times(&bytes);
        let words: Vec<String> = words.iter().map(u64::to_string).collect();
        times(format!("1 ({comm}) S {}\n", words.join(" ")).as_bytes());
    }
}
