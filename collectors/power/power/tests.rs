//! The whole collector, over powercap, hwmon and batteries that a script drives.

use super::*;
use crate::kit::testing::{Opened, Tree};
use proptest::prelude::*;

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

/// What a script does to a zone in an interval.
#[derive(Clone, Debug)]
enum Play {
    /// It draws so many milliwatts.
    Draws(u64),
    /// It is set back to 0.
    SetBack,
    Vanishes,
    /// It can't be read.
    Fails,
}

/// A zone of the script: where its counter is, and whether it is there.
struct Played {
    folder: &'static str,
    name: &'static str,
    range: u64,
    energy: u64,
    is_there: bool,
}

impl Played {
    fn play(&mut self, play: &Play, seconds: u64, tree: &Tree) {
        if !self.is_there {
            zone(tree, self.folder, self.name, self.energy, self.range);
            self.is_there = true;
        }
        match play {
            Play::Draws(milliwatts) => {
                self.energy = (self.energy + milliwatts * 1000 * seconds) % self.range;
                set(tree, self.folder, self.energy);
            }
            Play::SetBack => {
                self.energy = 0;
                set(tree, self.folder, 0);
            }
            Play::Vanishes => {
                tree.remove(&format!("{RAPL}/{}", self.folder));
                (self.is_there, self.energy) = (false, 0);
            }
            Play::Fails => tree.write(&format!("{RAPL}/{}/energy_uj", self.folder), ""),
        }
    }
}

/// All counters on a page, in microjoules.
fn counters(page: &str) -> std::collections::BTreeMap<String, i64> {
    let lines = page.lines().filter(|line| line.contains("_total{"));
    let counters = lines.filter_map(|line| line.rsplit_once(' '));
    counters
        .map(|(series, figure)| (series.to_owned(), (figure.parse::<f64>().unwrap() * 1e6).round() as i64))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Packages and memory that wrap, are set back, come, go and fail, while services work: no counter runs backwards, none
    /// adds more than was drawn, and the shares of each interval add up to what the packages are said to have used in it.
    #[test]
    fn whatever_happens_to_counters_the_shares_are_exact(
        starts in (0..PACKAGE, 0..DRAM, 0..PACKAGE),
        intervals in prop::collection::vec(
            (
                1u64..12,
                prop::collection::vec(
                    prop_oneof![8 => (1_000u64..300_000).prop_map(Play::Draws), 1 => Just(Play::SetBack), 1 => Just(Play::Vanishes), 1 => Just(Play::Fails)],
                    3,
                ),
                prop::collection::vec(0u64..20_000_000, 2),
            ),
            1..25,
        ),
    ) {
        let tree = Tree::new(&[("cgroup/cgroup.controllers", "cpu\n"), ("sys/devices/system/cpu/online", "0-3\n")]);
        let played = |folder, name, range, energy| Played { folder, name, range, energy, is_there: false };
        let mut zones = [
            played("intel-rapl:0", "package-0", PACKAGE, starts.0),
            played("intel-rapl:0:0", "dram", DRAM, starts.1),
            played("intel-rapl:1", "package-1", PACKAGE, starts.2),
        ];
        // One after the other: the folder of the memory is not in its package's here.
        zones.iter_mut().for_each(|zone| zone.play(&Play::Draws(0), 0, &tree));
        let mut used = [0u64; 3];
        let work = |used: &[u64; 3]| {
            for (path, usec) in ["", "/a.service", "/b.service"].iter().zip(used) {
                tree.write(&format!("cgroup/system.slice{path}/cpu.stat"), &format!("usage_usec {usec}\n"));
            }
        };
        work(&used);
        let mut opened = tree.open(&SPEC, &[]);
        let mut known = counters(&opened.round());
        prop_assert!(known.values().all(|figure| *figure == 0), "what was not observed is not counted");
        let mut measured = 0;
        for (seconds, plays, worked) in intervals {
            zones.iter_mut().zip(&plays).for_each(|(zone, play)| zone.play(play, seconds, &tree));
            used = [used[0] + worked[0] + worked[1], used[1] + worked[0], used[2] + worked[1]];
            work(&used);
            let now = counters(&after(&mut opened, seconds));
            let mut grown = 0;
            for (series, figure) in &now {
                let before = known.insert(series.clone(), *figure).unwrap_or(0);
                prop_assert!(*figure >= before, "{} ran backwards", series);
                if series.starts_with("node_energy_joules_total{component=\"package\"") {
                    grown += figure - before;
                }
            }
            measured += grown;
            let is_share = |series: &&String| series.starts_with("container_energy") || series.starts_with("node_energy_unattributed");
            let shared: i64 = known.keys().filter(is_share).map(|series| known[series]).sum();
            prop_assert_eq!(shared, measured);
            // Two packages of at most 300 W, some of it drawn while they could not be read.
            prop_assert!(grown <= 2 * 300_000_000 * 12 * 25);
        }
    }
}
