//! `/sys/class/powercap/`: the energy that packages, cores, memory and the rest of the platform have used.
//!
//! Since Linux 5.10 only root may read the counters. They start anew when they have reached `max_energy_range_uj`.

use crate::kit::{Error, Host, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, Kind, Value, counter};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = "class/powercap";
/// How many families may be named at run time. Machines have five.
const FAMILIES_MAX: usize = 64;

static JOULES: Family = counter(
    "node_rapl_joules_total",
    "Energy that the zone has used, in joules; with the option enable-zone-label.",
    &["index", "path", "rapl_zone"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[RunTime {
        pattern: "node_rapl_<zone>_joules_total",
        kind: "counter",
        help: "Energy that the zones of this name have used, in joules.",
        labels: &["index", "path"],
    }],
    options: &[Opt {
        name: "enable-zone-label",
        kind: OptKind::Flag,
        default: "false",
        help: "Whether to show one family with the label rapl_zone in place of one for each name of a zone.",
    }],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "rapl", "Energy counters from /sys/class/powercap.", &[&JOULES], open)
};

struct Rapl {
    zone_label: bool,
    families: HashMap<String, Arc<Family>>,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let zone_label = options.flag("enable-zone-label");
    let rapl = || Box::new(Rapl { zone_label, families: HashMap::new() }) as Box<dyn Collector>;
    Ok(host.exists(Root::Sys, FOLDER).then(rapl))
}

impl Collector for Rapl {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let mut used: HashMap<String, u64> = HashMap::new();
        let mut denied = None;
        for folder in host.names(Root::Sys, FOLDER)? {
            let name = host.text(Root::Sys, format_args!("{FOLDER}/{folder}/name"));
            let Some(name) = out.found(name) else { continue };
            let (name, index) = split(&name);
            let index = index.unwrap_or_else(|| used.get(name).copied().unwrap_or(0));
            used.insert(name.to_owned(), index.saturating_add(1));
            match host.number(Root::Sys, format_args!("{FOLDER}/{folder}/energy_uj")) {
                Ok(energy) => {
                    let path = format!("{}/{FOLDER}/{folder}", host.root(Root::Sys));
                    self.put(name, &index.to_string(), &path, energy, out);
                }
                Err(error) if error.is_nothing() => {}
                Err(error @ Error::Denied { .. }) => denied = Some(error),
                Err(error) => out.fault(error),
            }
        }
        match denied {
            Some(error) if out.is_empty() => Err(error),
            Some(error) => {
                out.fault(error);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Rapl {
    fn put(&mut self, name: &str, index: &str, path: &str, energy: u64, out: &mut Batch) {
        let energy = i64::try_from(energy).map_or(Value::Float(energy as f64 / 1e6), |energy| Value::Scaled(energy, 6));
        if self.zone_label {
            let of = out.entity(&["index", "path", "rapl_zone"], [index, path, name]);
            return out.put(&JOULES, of, energy);
        }
        if !self.families.contains_key(name) {
            if self.families.len() >= FAMILIES_MAX {
                let why = format!("more than {FAMILIES_MAX} names of zones");
                return out.fault(Error::Other { path: format!("/sys/{FOLDER}"), why });
            }
            let help = format!("Energy that the zones {name} have used, in joules, from /sys/{FOLDER}.");
            let family = Family::at_run_time(family_name(name), help, Kind::Counter);
            self.families.insert(name.to_owned(), family);
        }
        if let Some(family) = self.families.get(name) {
            let of = out.entity(&["index", "path"], [index, path]);
            out.put(family, of, energy);
        }
    }
}

/// `package-1`: the name and the number; others, such as `dram` and `package-0-die-1`, have none.
fn split(name: &str) -> (&str, Option<u64>) {
    let halves = name.split_once('-').filter(|(_, index)| !index.contains('-'));
    match halves.and_then(|(name, index)| Some((name, parse::number(index.as_bytes())?))) {
        Some((name, index)) => (name, Some(index)),
        None => (name, None),
    }
}

/// One underscore for each run of what may not stand in a name.
fn family_name(zone: &str) -> String {
    let mut clean = String::new();
    let mut is_gap = false;
    for c in zone.chars() {
        if c.is_ascii_alphanumeric() || c == '_' && !is_gap {
            clean.push(c);
            is_gap = false;
        } else if !is_gap {
            clean.truncate(clean.trim_end_matches('_').len());
            clean.push('_');
            is_gap = true;
        }
    }
    format!("node_rapl_{clean}_joules_total")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn tree(zones: &[(&str, &str, &str)]) -> Tree {
        let tree = Tree::new(&[("sys/class/powercap/intel-rapl/enabled", "1\n")]);
        for (folder, name, energy) in zones {
            tree.write(&format!("sys/class/powercap/{folder}/name"), &format!("{name}\n"));
            tree.write(&format!("sys/class/powercap/{folder}/energy_uj"), &format!("{energy}\n"));
        }
        tree
    }

    #[test]
    fn zones_of_one_name_are_told_apart() {
        let tree = tree(&[
            ("intel-rapl:0", "package-0", "240422366267"),
            ("intel-rapl:0:0", "core", "118821284256"),
            ("intel-rapl:0:1", "dram", "1"),
            ("intel-rapl:1", "package-1", "2000000"),
            ("intel-rapl:1:0", "core", "3000000"),
            ("intel-rapl:2", "package-0-die-1", "4000000"),
        ]);
        let path = |folder| format!("{}/sys/class/powercap/{folder}", tree.path());
        let line = |name, index, folder, joules| {
            format!("node_rapl_{name}_joules_total{{index=\"{index}\",path=\"{}\"}} {joules}\n", path(folder))
        };
        let expected = [
            line("core", 0, "intel-rapl:0:0", "118821.284256"),
            line("core", 1, "intel-rapl:1:0", "3"),
            line("dram", 0, "intel-rapl:0:1", "0.000001"),
            line("package_0_die_1", 0, "intel-rapl:2", "4"),
            line("package", 0, "intel-rapl:0", "240422.366267"),
            line("package", 1, "intel-rapl:1", "2"),
        ];
        tree.check(&SPEC, &[], &expected.concat());
        let zones = tree.open(&SPEC, &[("enable-zone-label", "true")]).round();
        let first = format!(
            "node_rapl_joules_total{{index=\"0\",path=\"{}\",rapl_zone=\"package\"}} 240422.366267\n",
            path("intel-rapl:0")
        );
        assert!(zones.starts_with(&first), "{zones}");
    }

    #[test]
    fn without_the_right_to_read_the_round_fails() {
        let tree = tree(&[("intel-rapl:0", "package-0", "1"), ("intel-rapl:0:0", "core", "1000000")]);
        let denied = |folder| format!("sys/class/powercap/{folder}/energy_uj EACCES\n");
        tree.write("calls/errno", &denied("intel-rapl:0"));
        let path = format!("{}/sys/class/powercap/intel-rapl:0:0", tree.path());
        tree.check(&SPEC, &[], &format!("node_rapl_core_joules_total{{index=\"0\",path=\"{path}\"}} 1\n! denied\n"));
        tree.write("calls/errno", &(denied("intel-rapl:0") + &denied("intel-rapl:0:0")));
        tree.check(&SPEC, &[], "! denied\n");
    }

    #[test]
    fn zones_that_count_nothing() {
        let tree = tree(&[("dtpm:0", "dtpm", "x")]);
        tree.check(&SPEC, &[], "! malformed\n");
        tree.remove("sys/class/powercap/dtpm:0/energy_uj");
        tree.check(&SPEC, &[], "");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn names_of_families() {
        for (zone, name) in [("psys", "psys"), ("a_-_b", "a_b"), ("-x--y-", "_x_y_"), ("ü", "_")] {
            assert_eq!(family_name(zone), format!("node_rapl_{name}_joules_total"), "{zone}");
        }
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String) {
            split(&name);
            let family = family_name(&name);
            prop_assert!(family.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{}", family);
        }
    }
}
