//! The whole collector, over powercap, hwmon and batteries that a script drives.

mod random;

use super::*;
use crate::kit::testing::{Opened, Tree};

const RAPL: &str = "sys/class/powercap";
/// A package of Intel, and a server's memory.
const PACKAGE: u64 = 262_143_328_850;
const DRAM: u64 = 65_712_999_613;

fn zone(tree: &Tree, folder: &str, name: &str, energy: u64, range: u64) {
    tree.write(&format!("{RAPL}/{folder}/name"), &format!("{name}\n"));
    tree.write(&format!("{RAPL}/{folder}/max_energy_range_uj"), &format!("{range}\n"));
    set(tree, folder, energy);
}

fn set(tree: &Tree, folder: &str, energy: u64) {
    tree.write(&format!("{RAPL}/{folder}/energy_uj"), &format!("{energy}\n"));
}

/// The next sample, after some seconds.
fn after(opened: &mut Opened, seconds: u64) -> String {
    opened.advance(Duration::from_secs(seconds));
    opened.round()
}

/// The figure of a series; `None`: it is not there.
fn figure(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn energy(page: &str, component: &str, id: &str, parent: &str) -> Option<f64> {
    let parent = if parent.is_empty() { String::new() } else { format!(",parent=\"{parent}\"") };
    figure(page, &format!("node_energy_joules_total{{component=\"{component}\",id=\"{id}\"{parent},source=\"rapl\"}}"))
}

fn event(page: &str, id: &str, event: &str) -> Option<f64> {
    figure(page, &format!("node_power_counter_events_total{{source=\"rapl\",id=\"{id}\",event=\"{event}\"}}"))
}

fn whole(page: &str, source: &str, scope: &str) -> Option<f64> {
    figure(page, &format!("node_host_energy_joules_total{{source=\"{source}\",scope=\"{scope}\"}}"))
}

#[test]
fn without_a_source_it_says_so_and_no_more() {
    let tree =
        Tree::new(&[("sys/class/hwmon/hwmon0/name", "coretemp\n"), ("sys/class/hwmon/hwmon0/temp1_input", "1\n")]);
    tree.check(&SPEC, &[], "node_power_source_info{source=\"none\"} 1\n");
    Tree::new(&[]).check(&SPEC, &[], "node_power_source_info{source=\"none\"} 1\n");
}

#[test]
fn a_server_counts_on_over_wraps_resets_and_zones_that_come_and_go() {
    let tree = Tree::new(&[]);
    zone(&tree, "intel-rapl:0", "package-0", PACKAGE - 10_000_000, PACKAGE);
    zone(&tree, "intel-rapl:0:0", "dram", DRAM - 1, DRAM);
    zone(&tree, "intel-rapl-mmio:0", "package-0", 7, PACKAGE);
    let mut opened = tree.open(&SPEC, &[]);
    let page = opened.round();
    assert_eq!(energy(&page, "package", "package-0", ""), Some(0.0), "{page}");
    assert_eq!(page.matches("node_energy_joules_total{component=\"package\"").count(), 1, "mmio is the same once more");
    // Both go over their ends.
    set(&tree, "intel-rapl:0", 40_000_000);
    set(&tree, "intel-rapl:0:0", 4_999_999);
    let page = after(&mut opened, 5);
    assert_eq!(energy(&page, "package", "package-0", ""), Some(50.0));
    assert_eq!(energy(&page, "dram", "package-0/dram", ""), Some(5.0));
    assert_eq!((event(&page, "package-0", "wrap"), event(&page, "package-0/dram", "wrap")), (Some(1.0), Some(1.0)));
    assert_eq!(whole(&page, "components", "components"), Some(55.0));
    let power = "node_power_watts{component=\"package\",id=\"package-0\",source=\"rapl\"}";
    assert_eq!(figure(&page, power), Some(10.0));
    // One is set back, and the module of the other is loaded anew: what was is kept, what was lost is not made up.
    set(&tree, "intel-rapl:0", 0);
    tree.remove(&format!("{RAPL}/intel-rapl:0:0"));
    let page = after(&mut opened, 5);
    assert_eq!(
        (energy(&page, "package", "package-0", ""), event(&page, "package-0", "reset")),
        (Some(50.0), Some(1.0))
    );
    assert_eq!(energy(&page, "dram", "package-0/dram", ""), None);
    zone(&tree, "intel-rapl:0:1", "dram", 9_000_000, DRAM);
    zone(&tree, "intel-rapl:1", "package-1", 5, PACKAGE);
    after(&mut opened, 5);
    set(&tree, "intel-rapl:0:1", 10_000_000);
    set(&tree, "intel-rapl:1", 3_000_005);
    let page = after(&mut opened, 5);
    assert_eq!(energy(&page, "package", "package-0", ""), Some(50.0));
    assert_eq!(energy(&page, "dram", "package-0/dram", ""), Some(6.0));
    assert_eq!(energy(&page, "package", "package-1", ""), Some(3.0));
    assert_eq!(whole(&page, "components", "components"), Some(59.0));
}

#[test]
fn the_platform_is_the_whole_if_it_can_be() {
    let laptop = |psys: u64| {
        let tree = Tree::new(&[]);
        zone(&tree, "intel-rapl:0", "package-0", 0, PACKAGE);
        zone(&tree, "intel-rapl:0:0", "core", 0, PACKAGE);
        zone(&tree, "intel-rapl:1", "psys", 0, PACKAGE);
        let mut opened = tree.open(&SPEC, &[]);
        opened.round();
        for n in 1..=5 {
            set(&tree, "intel-rapl:0", n * 40_000_000);
            set(&tree, "intel-rapl:0:0", n * 30_000_000);
            set(&tree, "intel-rapl:1", n * psys);
            after(&mut opened, 5);
        }
        opened.round()
    };
    let page = laptop(60_000_000);
    assert_eq!(energy(&page, "package", "package-0", "psys"), Some(200.0), "{page}");
    assert_eq!(energy(&page, "core", "package-0/core", "package-0"), Some(150.0));
    assert_eq!((whole(&page, "psys", "platform"), whole(&page, "components", "components")), (Some(180.0), None));
    let page = laptop(20_000_000);
    assert_eq!((whole(&page, "psys", "platform"), whole(&page, "components", "components")), (None, Some(200.0)));
}

#[test]
fn zones_that_can_not_be_used() {
    let tree = Tree::new(&[("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor\n\n")]);
    zone(&tree, "intel-rapl:0", "package-0", 0, PACKAGE);
    zone(&tree, "intel-rapl:0:0", "core", 0, PACKAGE);
    zone(&tree, "intel-rapl:1", "package-1", 0, PACKAGE);
    tree.write("calls/errno", "sys/class/powercap/intel-rapl:1/energy_uj EACCES\n");
    let mut opened = tree.open(&SPEC, &[]);
    let mut page = opened.round();
    for reason in ["one_core_only\"} 0", "denied\"} 0"] {
        assert!(page.contains(reason), "{page}");
    }
    assert!(page.contains(",virtualized=\"true\"} 1") && page.contains("! denied"), "{page}");
    // The host of this guest does not count: never a figure of power, and soon none of energy.
    for _ in 0..12 {
        assert!(!page.contains("_watts"), "{page}");
        page = after(&mut opened, 5);
    }
    assert_eq!(energy(&page, "package", "package-0", ""), None);
    assert!(page.contains("node_power_source_up{source=\"rapl\",id=\"package-0\",reason=\"frozen\"} 0"), "{page}");
    assert!(!page.contains("joules_total{component") && !page.contains("node_host"), "{page}");
}

#[test]
fn one_sensor_that_fails_costs_itself() {
    let tree = Tree::new(&[]);
    for n in 0..6 {
        zone(&tree, &format!("intel-rapl:{n}"), &format!("package-{n}"), 0, PACKAGE);
    }
    tree.write(&format!("{RAPL}/intel-rapl:1/energy_uj"), "-1\n");
    tree.write(&format!("{RAPL}/intel-rapl:2/energy_uj"), "");
    tree.remove(&format!("{RAPL}/intel-rapl:3/max_energy_range_uj"));
    tree.write(
        "calls/errno",
        "sys/class/powercap/intel-rapl:4/energy_uj ENODATA\nsys/class/powercap/intel-rapl:5/energy_uj EIO\n",
    );
    let mut opened = tree.open(&SPEC, &[]);
    opened.round();
    set(&tree, "intel-rapl:0", 1_000_000);
    set(&tree, "intel-rapl:3", 2_000_000);
    let page = after(&mut opened, 5);
    let all: Vec<_> = (0..6).map(|n| energy(&page, "package", &format!("package-{n}"), "")).collect();
    assert_eq!(all, [Some(1.0), None, None, Some(2.0), None, None], "{page}");
    assert_eq!(page.matches("! malformed").count(), 2);
    assert_eq!(event(&page, "package-5", "read_error"), Some(2.0));
    assert_eq!(whole(&page, "components", "components"), Some(3.0));
}

#[test]
fn meters_that_give_watts_are_summed_up_and_say_so() {
    let tree = Tree::new(&[
        ("sys/class/hwmon/hwmon0/name", "power_meter\n"),
        ("sys/class/hwmon/hwmon0/device/power1_average", "200000000\n"),
        ("sys/class/hwmon/hwmon0/device/power1_is_battery", "0\n"),
        ("sys/class/hwmon/hwmon1/name", "pfe1100\n"),
        ("sys/class/hwmon/hwmon1/power1_input", "120000000\n"),
        ("sys/class/hwmon/hwmon1/power1_label", "pin\n"),
        ("sys/class/hwmon/hwmon1/power2_input", "110000000\n"),
        ("sys/class/hwmon/hwmon1/power2_label", "pout1\n"),
        ("sys/class/hwmon/hwmon2/name", "ina3221\n"),
        ("sys/class/hwmon/hwmon2/in1_input", "5000\n"),
        ("sys/class/hwmon/hwmon2/curr1_input", "2000\n"),
        ("sys/class/hwmon/hwmon2/in1_label", "VDD_IN\n"),
        ("sys/class/hwmon/hwmon3/name", "power_meter\n"),
        ("sys/class/hwmon/hwmon3/power1_average", "4294967295000\n"),
    ]);
    let mut opened = tree.open(&SPEC, &[]);
    let page = opened.round();
    assert_eq!(figure(&page, "node_host_power_watts{source=\"psu\",scope=\"wall\"}"), Some(120.0), "{page}");
    let page = after(&mut opened, 5);
    let of = |component, id, source| {
        figure(&page, &format!("node_energy_joules_total{{component=\"{component}\",id=\"{id}\",source=\"{source}\"}}"))
    };
    assert_eq!(of("board", "power_meter/power1", "acpi_meter"), Some(1000.0), "{page}");
    assert_eq!(of("psu", "pfe1100/power1", "pmbus"), Some(600.0));
    assert_eq!(of("psu_output", "pfe1100/power2", "pmbus"), Some(550.0));
    assert_eq!(of("board", "ina3221/in1", "hwmon"), Some(50.0));
    assert_eq!(whole(&page, "psu", "wall"), Some(600.0));
    assert!(page.contains("kind=\"integrated\"") && page.contains("reason=\"unknown\"} 0"), "{page}");
    let mut chosen = tree.open(&SPEC, &[("host-source", "meter")]);
    chosen.round();
    assert_eq!(whole(&after(&mut chosen, 5), "meter", "wall"), Some(1000.0));
}

#[test]
fn a_battery_is_the_machine_only_while_it_feeds_it() {
    let tree = Tree::new(&[
        ("sys/class/power_supply/BAT0/type", "Battery\n"),
        ("sys/class/power_supply/BAT0/status", "Discharging\n"),
        ("sys/class/power_supply/BAT0/current_now", "-1000000\n"),
        ("sys/class/power_supply/BAT0/voltage_now", "12000000\n"),
        ("sys/class/power_supply/AC/type", "Mains\n"),
        ("sys/class/power_supply/AC/online", "0\n"),
        ("sys/class/power_supply/hidpp_0/type", "Battery\n"),
        ("sys/class/power_supply/hidpp_0/scope", "Device\n"),
        ("sys/class/hwmon/hwmon0/name", "BAT0\n"),
        ("sys/class/hwmon/hwmon0/power1_input", "12000000\n"),
        ("sys/class/hwmon/hwmon0/device/type", "Battery\n"),
    ]);
    let mut opened = tree.open(&SPEC, &[]);
    opened.round();
    let page = after(&mut opened, 5);
    assert_eq!(whole(&page, "battery", "board_in"), Some(60.0), "{page}");
    assert_eq!(page.matches("node_power_source_info").count(), 1, "neither the mouse nor the mirror: {page}");
    tree.write("sys/class/power_supply/AC/online", "1\n");
    let page = after(&mut opened, 5);
    assert!(page.contains("reason=\"mains\"} 0") && !page.contains("_joules_total{"), "{page}");
    tree.write("sys/class/power_supply/AC/online", "0\n");
    assert_eq!(whole(&after(&mut opened, 5), "battery", "board_in"), Some(60.0), "nobody knows what was in between");
    assert_eq!(whole(&after(&mut opened, 5), "battery", "board_in"), Some(120.0));
}

#[test]
fn the_energy_of_the_packages_is_shared_out() {
    let tree = Tree::new(&[
        ("cgroup/cgroup.controllers", "cpu\n"),
        ("cgroup/system.slice/cpu.stat", "usage_usec 0\n"),
        ("cgroup/system.slice/a.service/cpu.stat", "usage_usec 0\n"),
        ("sys/devices/system/cpu/online", "0-1\n"),
    ]);
    zone(&tree, "intel-rapl:0", "package-0", PACKAGE - 1, PACKAGE);
    zone(&tree, "intel-rapl:0:0", "dram", 0, DRAM);
    let mut opened = tree.open(&SPEC, &[]);
    opened.round();
    set(&tree, "intel-rapl:0", 99_999_999);
    set(&tree, "intel-rapl:0:0", 1_000_000);
    tree.write("cgroup/system.slice/cpu.stat", "usage_usec 5000000\n");
    tree.write("cgroup/system.slice/a.service/cpu.stat", "usage_usec 2500000\n");
    let page = after(&mut opened, 5);
    let share =
        "container_energy_joules_total{id=\"/system.slice/a.service\",component=\"package\",method=\"cpu_time\"}";
    assert_eq!(figure(&page, share), Some(25.0), "{page}");
    let nobodys = |reason| {
        figure(&page, &format!("node_energy_unattributed_joules_total{{component=\"package\",reason=\"{reason}\"}}"))
    };
    assert_eq!([nobodys("idle"), nobodys("system"), nobodys("exited")], [Some(50.0), Some(25.0), Some(0.0)]);
}

#[test]
fn shares_do_not_depend_on_how_often_they_are_made() {
    let share = |seconds: u64| {
        let tree = Tree::new(&[
            ("cgroup/cgroup.controllers", "cpu\n"),
            ("cgroup/system.slice/a.service/cpu.stat", "usage_usec 0\n"),
            ("sys/devices/system/cpu/online", "0-1\n"),
        ]);
        zone(&tree, "intel-rapl:0", "package-0", 7, PACKAGE);
        let mut opened = tree.open(&SPEC, &[]);
        opened.round();
        let mut page = String::new();
        for round in 1..=600 / seconds {
            set(&tree, "intel-rapl:0", 7 + round * seconds * 40_123_457);
            let used = round * seconds * 333_333;
            tree.write("cgroup/system.slice/cpu.stat", &format!("usage_usec {used}\n"));
            tree.write("cgroup/system.slice/a.service/cpu.stat", &format!("usage_usec {used}\n"));
            page = after(&mut opened, seconds);
        }
        let of =
            "container_energy_joules_total{id=\"/system.slice/a.service\",component=\"package\",method=\"cpu_time\"}";
        figure(&page, of).unwrap()
    };
    let often = share(5);
    assert!((often / 4012.0 - 1.0).abs() < 1e-3, "a sixth of 40 W for ten minutes: {often}");
    for seldom in [10, 20] {
        assert!((share(seldom) / often - 1.0).abs() < 1e-6, "{seldom} s");
    }
}
