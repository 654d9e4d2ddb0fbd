use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn seconds_by_mode() {
    let tree = Tree::new(&[("proc/stat", "cpu  9 9 9 9\ncpu0 1 2 3 4 5 6 7 150 30 11\nintr 1\n")]);
    let figures = [("user", 0.01), ("nice", 0.02), ("system", 0.03), ("idle", 0.04)];
    let more = [("iowait", 0.05), ("irq", 0.06), ("softirq", 0.07), ("steal", 1.5)];
    let page: String = figures
        .iter()
        .chain(&more)
        .map(|(mode, seconds)| format!("node_cpu_seconds_total{{cpu=\"0\",mode={mode:?}}} {seconds}\n"))
        .collect();
    tree.check(&SPEC, &[("guest", "false")], &page);
    let guest = "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"} 0.3\n\
                 node_cpu_guest_seconds_total{cpu=\"0\",mode=\"nice\"} 0.11\n";
    tree.check(&SPEC, &[], &format!("{guest}{page}"));
}

fn page(cpus: &[(&str, [f64; 4])]) -> String {
    let line = |cpu, (mode, x)| format!("node_cpu_seconds_total{{cpu={cpu:?},mode={mode:?}}} {x}\n");
    cpus.iter()
        .flat_map(|(cpu, seconds)| {
            MODES.iter().zip(seconds).map(move |((_, mode), seconds)| line(cpu, (mode, seconds)))
        })
        .collect()
}

#[test]
fn small_steps_back_are_held_and_large_ones_start_anew() {
    let tree = Tree::new(&[("proc/stat", "cpu0 100 0 0 1000\n")]);
    let mut opened = tree.open(&SPEC, &[]);
    assert_eq!(opened.round(), page(&[("0", [1.0, 0.0, 0.0, 10.0])]));
    tree.remove("proc/stat");
    assert_eq!(opened.round(), "! absent\n");
    tree.write("proc/stat", "cpu0 90 100 0 701\n");
    assert_eq!(opened.round(), page(&[("0", [1.0, 1.0, 0.0, 10.0])]));
    tree.write("proc/stat", "cpu0 90 100 0 700\n");
    assert_eq!(opened.round(), page(&[("0", [0.9, 1.0, 0.0, 7.0])]));
}

#[test]
fn a_cpu_that_was_away_starts_anew() {
    let both = "cpu0 100 0 0 0\ncpu1 500 0 0 0\n";
    let tree = Tree::new(&[("proc/stat", both)]);
    let mut opened = tree.open(&SPEC, &[]);
    let seconds = |x| [x, 0.0, 0.0, 0.0];
    assert_eq!(opened.round(), page(&[("0", seconds(1.0)), ("1", seconds(5.0))]));
    tree.write("proc/stat", "cpu1 600 0 0 0\n");
    assert_eq!(opened.round(), page(&[("1", seconds(6.0))]));
    tree.write("proc/stat", both);
    assert_eq!(opened.round(), page(&[("0", seconds(1.0)), ("1", seconds(6.0))]));
    tree.write("proc/stat", "cpu0 10 0 0 0\n");
    assert_eq!(opened.round(), page(&[("0", seconds(1.0))]));
    tree.write("proc/stat", "cpu0 10 0 0 0\ncpu1 1 0 0 0\n");
    assert_eq!(opened.round(), page(&[("0", seconds(1.0)), ("1", seconds(0.01))]));
}

#[test]
fn what_does_not_read_costs_only_itself() {
    let tree = Tree::new(&[("proc/stat", "cpu0 1 x 3\ncpu0 1 2 3\ncpu9999 1\ncpux 1\ncpu1 5\ncpu2 7")]);
    let expected = "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 0.01\n\
                    node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 0.03\n\
                    node_cpu_seconds_total{cpu=\"1\",mode=\"user\"} 0.05\n";
    tree.check(&SPEC, &[], &format!("{expected}{}", "! malformed\n".repeat(4)));
    Tree::new(&[("proc/stat", "intr 1\n")]).check(&SPEC, &[], "! malformed\n");
}

#[test]
fn offline_cpus_are_told_where_the_first_can_be_one() {
    let lists = [
        ("proc/stat", "cpu0 1\n"),
        ("sys/devices/system/cpu/present", "0-2,4\n"),
        ("sys/devices/system/cpu/online", "0,2\n"),
    ];
    let tree = Tree::new(&lists);
    let seconds = "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 0.01\n";
    tree.check(&SPEC, &[], seconds);
    tree.write("sys/devices/system/cpu/cpu0/online", "1\n");
    let online = "node_cpu_online{cpu=\"0\"} 1\nnode_cpu_online{cpu=\"1\"} 0\n\
                  node_cpu_online{cpu=\"2\"} 1\nnode_cpu_online{cpu=\"4\"} 0\n";
    tree.check(&SPEC, &[], &format!("{online}{seconds}"));
    tree.write("sys/devices/system/cpu/present", "0-4294967295\n");
    tree.check(&SPEC, &[], &format!("{seconds}! malformed\n"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        cpu(&bytes);
        cpu(&[b"cpu0 ", &bytes[..]].concat());
        parse::ranges(&bytes).for_each(drop);
    }

    #[test]
    fn nothing_goes_back_while_idle_does_not(a: [u32; COLUMNS], b: [u32; COLUMNS]) {
        let before = a.map(i64::from);
        let mut now = b.map(|ticks| Tick::Count(ticks.into()));
        now[IDLE] = Tick::Count(before[IDLE]);
        let after = advance(before, &now);
        prop_assert!(before.iter().zip(after).all(|(before, after)| *before <= after));
    }
}

const STAT: (&str, &str) = ("proc/stat", "cpu0 1\n");
const USER: &str = "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 0.01\n";

#[test]
fn without_the_lists_each_cpu_is_asked() {
    let online = |cpu: &str, online: &str| (format!("sys/devices/system/cpu/{cpu}/online"), online.to_owned());
    let files = [online("cpu0", "1\n"), online("cpu1", "0\n"), online("cpufreq", "1\n")];
    let tree = Tree::new(&[STAT]);
    files.iter().for_each(|(path, text)| tree.write(path, text));
    let expected = format!("node_cpu_online{{cpu=\"0\"}} 1\nnode_cpu_online{{cpu=\"1\"}} 0\n{USER}");
    assert_eq!(tree.open(&SPEC, &[]).round(), expected);
}

#[test]
fn isolated_cpus() {
    let clock = ("calls/clock", "wall 86400\nboot 10\n");
    let tree = Tree::new(&[clock, STAT, ("sys/devices/system/cpu/isolated", "1,3-4\n")]);
    let isolated = |cpu| format!("node_cpu_isolated{{cpu=\"{cpu}\"}} 1\n");
    let mut opened = tree.open(&SPEC, &[]);
    assert_eq!(opened.round(), format!("{}{}{}{USER}", isolated(1), isolated(3), isolated(4)));
    tree.write("sys/devices/system/cpu/isolated", "\n");
    opened.advance(Duration::from_secs(60));
    assert_eq!(opened.round(), USER);
    tree.write("sys/devices/system/cpu/isolated", "none\n");
    opened.advance(Duration::from_secs(60));
    assert_eq!(opened.round(), format!("{USER}! malformed\n"));
}

/// A CPU with its counts.
fn throttled(tree: &Tree, cpu: &str, package: &str, core: &str, counts: &[(&str, &str)]) {
    let folder = format!("sys/devices/system/cpu/cpu{cpu}");
    tree.write(&format!("{folder}/topology/physical_package_id"), &format!("{package}\n"));
    tree.write(&format!("{folder}/topology/core_id"), &format!("{core}\n"));
    for (name, count) in counts {
        tree.write(&format!("{folder}/thermal_throttle/{name}_throttle_count"), &format!("{count}\n"));
    }
}

#[test]
fn throttles_are_told_once_for_each_core_and_package() {
    let tree = Tree::new(&[STAT, ("sys/devices/system/cpu/cpufreq/", ""), ("sys/devices/system/cpu/cpuidle/", "")]);
    throttled(&tree, "0", "0", "0", &[("core", "5"), ("package", "30")]);
    throttled(&tree, "1", "0", "0", &[("core", "6"), ("package", "31")]);
    throttled(&tree, "2", "0", "1", &[("core", "7"), ("package", "32")]);
    throttled(&tree, "3", "1", "0", &[("core", "8")]);
    throttled(&tree, "4", "-1", "0", &[("core", "9")]);
    throttled(&tree, "5", "2", "0", &[]);
    let core =
        |package, core, n| format!("node_cpu_core_throttles_total{{core=\"{core}\",package=\"{package}\"}} {n}\n");
    let package = |package, n| format!("node_cpu_package_throttles_total{{package=\"{package}\"}} {n}\n");
    let mut opened = tree.open(&SPEC, &[]);
    let all = format!("{}{}{}{}", core(0, 0, 5), core(0, 1, 7), core(1, 0, 8), package(0, 30));
    assert_eq!(opened.round(), format!("{all}{USER}"));
    assert_eq!(opened.round(), format!("{all}{USER}"));
    // A CPU that goes takes its counts along; its core's other CPU is found when the list of CPUs has changed.
    tree.remove("sys/devices/system/cpu/cpu0");
    let rest = format!("{}{}", core(0, 1, 7), core(1, 0, 8));
    assert_eq!(opened.round(), format!("{rest}{USER}"));
    tree.write("proc/stat", "cpu0 1\ncpu1 1\n");
    let all = format!("{}{}{}{}", core(0, 0, 6), core(0, 1, 7), core(1, 0, 8), package(0, 31));
    let user = format!("{USER}{}", USER.replace("\"0\"", "\"1\""));
    assert_eq!(opened.round(), format!("{all}{user}"));
    tree.write("sys/devices/system/cpu/cpu3/thermal_throttle/core_throttle_count", "many\n");
    let all = format!("{}{}{}", core(0, 0, 6), core(0, 1, 7), package(0, 31));
    assert_eq!(opened.round(), format!("{all}{user}"));
    throttled(&tree, "3", "1", "0", &[("core", "9")]);
    assert_eq!(opened.round(), format!("{all}{user}"));
}

const CPUINFO: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
    model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\nstepping\t: 4\nmicrocode\t: 0x2006b06\n\
    cpu MHz\t\t: 2100.123\ncache size\t: 22528 KB\nphysical id\t: 0\nsiblings\t: 32\ncore id\t\t: 7\n\
    flags\t\t: fpu vme aes avx avx2\nbugs\t\t: spectre_v1 mds\nbogomips\t: 4200.00\n\
    power management:\n\nprocessor\t: 1\nvendor_id\t: GenuineIntel\nflags\t\t: fpu aes avx\ncpu MHz\t\t: fast\n\n";

#[test]
fn what_the_cpus_are_is_told_when_asked_for() {
    let tree = Tree::new(&[STAT, ("proc/cpuinfo", CPUINFO)]);
    tree.check(&SPEC, &[], USER);
    tree.check(&SPEC, &[("info.flags-include", ""), ("info.bugs-include", "")], USER);
    let info = "node_cpu_frequency_hertz{cpu=\"0\",core=\"7\",package=\"0\"} 2100123000\n\
        node_cpu_info{cpu=\"0\",core=\"7\",package=\"0\",vendor=\"GenuineIntel\",family=\"6\",model=\"85\",\
        model_name=\"Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\",microcode=\"0x2006b06\",stepping=\"4\",\
        cachesize=\"22528 KB\"} 1\n\
        node_cpu_info{cpu=\"1\",vendor=\"GenuineIntel\"} 1\n";
    tree.check(&SPEC, &[("info", "true")], &format!("{info}{USER}! malformed\n"));
    let flags = "node_cpu_flag_info{flag=\"avx\"} 1\nnode_cpu_flag_info{flag=\"avx2\"} 1\n";
    tree.check(&SPEC, &[("info.flags-include", "^avx")], &format!("{flags}{info}{USER}! malformed\n"));
    let bugs = "node_cpu_bug_info{bug=\"mds\"} 1\n";
    tree.check(&SPEC, &[("info.bugs-include", "mds")], &format!("{bugs}{info}{USER}! malformed\n"));
}

#[test]
fn arm_tells_features() {
    let text = "processor\t: 0\nBogoMIPS\t: 38.40\nFeatures\t: fp asimd aes\nCPU implementer\t: 0x41\n\n\
                processor\t: 1\nBogoMIPS\t: 38.40\nFeatures\t: fp\n\nHardware\t: BCM2711\n";
    let tree = Tree::new(&[STAT, ("proc/cpuinfo", text)]);
    let expected = "node_cpu_flag_info{flag=\"aes\"} 1\nnode_cpu_info{cpu=\"0\"} 1\nnode_cpu_info{cpu=\"1\"} 1\n";
    tree.check(&SPEC, &[("info.flags-include", "aes")], &format!("{expected}{USER}"));
}

#[test]
fn without_cpuinfo_the_rest_is_told() {
    let tree = Tree::new(&[STAT]);
    tree.check(&SPEC, &[("info", "true")], &format!("{USER}! absent\n"));
    tree.write("proc/cpuinfo", "Processor : x\nprocessor : x\n");
    tree.check(&SPEC, &[("info", "true")], &format!("{USER}! malformed\n! malformed\n"));
}
