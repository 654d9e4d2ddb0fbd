//! RAPL as the kernel keeps it for `perf`, where powercap is missing or may not be read: it sums up to 64 bits,
//! so that it starts anew once in years, which is taken for a reset.

use super::powercap::{Processors, Zone, bounds, place};
use super::source::{Found, Way};
use super::tree::Role;
use crate::kit::{Error, Host, PerfEvent, Root, parse};

const FOLDER: &str = "bus/event_source/devices/power";
/// How many processors read for others.
const CPUS_MAX: usize = 64;
/// Events, and what powercap calls their zones.
const EVENTS: [(&str, &str); 5] = [
    ("energy-pkg", "package"),
    ("energy-ram", "dram"),
    ("energy-cores", "core"),
    ("energy-gpu", "uncore"),
    ("energy-psys", "psys"),
];

/// A processor that reads for a package, or for a die of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reader {
    cpu: u32,
    package: u64,
    die: u64,
}

/// What can be counted; nothing on machines without RAPL.
///
/// # Errors
/// Counting is not permitted, or a file can't be read.
pub(super) fn find(processors: Processors, host: &mut Host) -> Result<Vec<Found>, Error> {
    let unit = match host.number(Root::Sys, format_args!("{FOLDER}/type")) {
        Err(error) if error.is_nothing() => return Ok(Vec::new()),
        unit => u32::try_from(unit?).unwrap_or(u32::MAX),
    };
    let cpus = host.read(Root::Sys, format_args!("{FOLDER}/cpumask"))?;
    let cpus: Vec<u32> = parse::ranges(cpus).flatten().flat_map(|(first, last)| first..=last).take(CPUS_MAX).collect();
    let readers: Vec<Reader> = cpus.into_iter().map(|cpu| reader(cpu, host)).collect();
    let mut found = Vec::new();
    for (event, name) in EVENTS {
        let Some((config, scale)) = counted(event, host) else { continue };
        for reader in &readers {
            let zone = zone(name, reader, &readers);
            let (role, component, parent) = place(&zone, &[]);
            found.push(Found {
                role,
                component,
                id: zone.id(),
                parent,
                source: "rapl_perf",
                label: event.to_owned(),
                folder: FOLDER.to_owned(),
                way: Way::Perf {
                    event: PerfEvent { unit, config, cpu: reader.cpu },
                    scale,
                    limit: bounds(component).1,
                },
                unusable: (processors.is_amd && component == "core").then_some("one_core_only"),
            });
        }
    }
    know_platforms(&mut found);
    // Whether it is permitted is the same for all.
    if let Some(Way::Perf { event, .. }) = found.first().map(|found| &found.way) {
        host.perf(*event)?;
    }
    Ok(found)
}

/// Packages and their memory are in the platform of their socket, or in the only one that there is.
fn know_platforms(found: &mut [Found]) {
    let platforms: Vec<String> =
        found.iter().filter(|found| found.role == Role::Platform).map(|found| found.id.clone()).collect();
    for part in found.iter_mut().filter(|found| matches!(found.role, Role::Package | Role::Memory)) {
        let socket = part.id.split(['-', '/']).nth(1).unwrap_or_default();
        let own = format!("psys-{socket}");
        let of = platforms.iter().find(|platform| **platform == own);
        part.parent = of.or_else(|| platforms.iter().find(|platform| *platform == "psys")).cloned().unwrap_or_default();
    }
}

fn reader(cpu: u32, host: &mut Host) -> Reader {
    let mut number = |file: &str| host.number(Root::Sys, format_args!("devices/system/cpu/cpu{cpu}/topology/{file}"));
    // Only since Linux 5.2 it is known which die it is.
    Reader { cpu, package: number("physical_package_id").unwrap_or(0), die: number("die_id").unwrap_or(0) }
}

/// The number of an event and how many joules its unit is; `None`: there is no such event, or it counts something else.
fn counted(event: &str, host: &mut Host) -> Option<(u64, f64)> {
    let mut text = |file: &str| host.text(Root::Sys, format_args!("{FOLDER}/events/{event}{file}")).ok();
    let config = config(&text("")?)?;
    let scale: f64 = text(".scale")?.parse().ok()?;
    (text(".unit")? == "Joules" && scale > 0.0 && scale <= 1.0).then_some((config, scale))
}

/// `event=0x02`
fn config(text: &str) -> Option<u64> {
    let number = text.strip_prefix("event=")?;
    match number.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    }
}

/// The zone that powercap would have for this.
fn zone(name: &str, reader: &Reader, readers: &[Reader]) -> Zone {
    let Reader { package, die, .. } = reader;
    let dies = readers.iter().filter(|other| other.package == *package).count();
    let of = if dies > 1 { format!("package-{package}-die-{die}") } else { format!("package-{package}") };
    let alone = |name: String| Zone { folder: String::new(), name, above: None };
    match name {
        "package" => alone(of),
        "psys" if *package == 0 && dies <= 1 => alone("psys".to_owned()),
        "psys" => alone(of.replacen("package", "psys", 1)),
        name => Zone { folder: String::new(), name: name.to_owned(), above: Some(of) },
    }
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;
    use std::time::Duration;

    /// 2^-32 joules.
    const SCALE: &str = "2.3283064365386962890625e-10";

    fn tree(counters: &str) -> Tree {
        let tree = Tree::new(&[]);
        tree.write(&format!("sys/{FOLDER}/type"), "31\n");
        tree.write(&format!("sys/{FOLDER}/cpumask"), "0,8\n");
        for (cpu, package) in [(0, 0), (8, 1)] {
            tree.write(
                &format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"),
                &format!("{package}\n"),
            );
        }
        for (event, number, unit) in
            [("energy-pkg", "0x02", "Joules"), ("energy-ram", "0x03", "Joules"), ("energy-gpu", "0x04", "Furlongs")]
        {
            tree.write(&format!("sys/{FOLDER}/events/{event}"), &format!("event={number}\n"));
            tree.write(&format!("sys/{FOLDER}/events/{event}.scale"), &format!("{SCALE}\n"));
            tree.write(&format!("sys/{FOLDER}/events/{event}.unit"), &format!("{unit}\n"));
        }
        tree.write("calls/perf", counters);
        tree
    }

    /// The counters are opened once more to see whether that is permitted; a joule is 2^32.
    const COUNTERS: &str = "31 2 0 0 429496729600 858993459200\n31 2 8 4294967296 4294967296 47244640256\n\
                            31 3 0 0 21474836480 21474836480\n31 3 8 EINVAL\n";

    /// The page after the first count and two more, five seconds apart.
    fn counted_twice(counters: &str) -> String {
        let tree = tree(counters);
        let mut opened = tree.open(&SPEC, &[]);
        opened.round();
        for _ in 0..2 {
            opened.advance(Duration::from_secs(5));
            opened.round();
        }
        opened.round()
    }

    #[test]
    fn without_powercap_perf_counts() {
        let page = counted_twice(COUNTERS);
        for line in [
            "node_energy_joules_total{component=\"package\",id=\"package-0\",source=\"rapl_perf\"} 200\n",
            "node_energy_joules_total{component=\"package\",id=\"package-1\",source=\"rapl_perf\"} 10\n",
            "node_energy_joules_total{component=\"dram\",id=\"package-0/dram\",source=\"rapl_perf\"} 5\n",
            "node_power_source_up{source=\"rapl_perf\",id=\"package-1/dram\",reason=\"io\"} 0\n",
            "node_host_energy_joules_total{source=\"components\",scope=\"components\"} 215\n",
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
        assert!(!page.contains("uncore"), "what counts something else is none: {page}");
    }

    #[test]
    fn a_count_that_goes_over_its_64_bits_goes_on() {
        let page = counted_twice("31 2 0 18446744069414584320 4294967296 8589934592\n");
        for line in [
            "node_energy_joules_total{component=\"package\",id=\"package-0\",source=\"rapl_perf\"} 3\n",
            "source=\"rapl_perf\",id=\"package-0\",event=\"wrap\"} 1\n",
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
    }

    #[test]
    fn powercap_comes_first_where_it_can_be_read() {
        let tree = tree(COUNTERS);
        tree.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
        tree.write("sys/class/powercap/intel-rapl:0/energy_uj", "5\n");
        let page = tree.open(&SPEC, &[]).round();
        assert!(page.contains("source=\"rapl\"") && !page.contains("rapl_perf"), "{page}");
        tree.write("calls/errno", "sys/class/powercap/intel-rapl:0/energy_uj EACCES\n");
        let page = tree.open(&SPEC, &[]).round();
        assert!(
            !page.contains("source=\"rapl\"") && page.contains("rapl_perf") && !page.contains("! denied"),
            "{page}"
        );
        tree.write("calls/perf", "31 2 0 EACCES\n");
        let page = tree.open(&SPEC, &[]).round();
        assert!(page.contains("source=\"rapl\"") && page.contains("! denied"), "neither may be read: {page}");
    }

    #[test]
    fn it_is_told_what_would_permit_it() {
        let tree = tree("31 2 0 EACCES\n");
        let mut opened = tree.open(&SPEC, &[]);
        for _ in 0..2 {
            let page = opened.round();
            assert!(page.contains("! denied") && page.contains("source=\"none\"} 1"), "{page}");
        }
    }

    #[test]
    fn dies_and_platforms_are_called_as_powercap_calls_them() {
        let readers: Vec<Reader> =
            [(0, 0, 0), (4, 0, 1), (8, 1, 0)].map(|(cpu, package, die)| Reader { cpu, package, die }).to_vec();
        let ids = |name: &str| readers.iter().map(|reader| zone(name, reader, &readers).id()).collect::<Vec<_>>();
        assert_eq!(ids("package"), ["package-0-die-0", "package-0-die-1", "package-1"]);
        assert_eq!(ids("dram"), ["package-0-die-0/dram", "package-0-die-1/dram", "package-1/dram"]);
        assert_eq!(ids("psys"), ["psys-0-die-0", "psys-0-die-1", "psys-1"]);
        assert_eq!(zone("psys", &readers[0], &readers[..1]).id(), "psys");
        assert_eq!((config("event=0x02"), config("event=9"), config("umask=1")), (Some(2), Some(9), None));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            config(&text);
        }
    }
}
