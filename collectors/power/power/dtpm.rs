//! What the kernel's own model says that the machine draws: the control type `dtpm` of `/sys/class/powercap`.
//!
//! It adds up tables of the device tree and measures nothing, so it is an estimate, and is shown to those who ask for it.

use super::counter::{Integral, Moment};
use super::estimate::{ENERGY, INFO, POWER};
use super::shares::joules;
use super::source::{GAP, POWER_MAX};
use crate::kit::{Error, Host, Opt, OptKind, Options, Root};
use crate::model::{Batch, Value};
use std::time::Duration;

const FOLDER: &str = "class/powercap";
const MODEL: &str = "dtpm";
/// How often it is looked for zones.
const LOOK: Duration = Duration::from_secs(30);

pub(super) const OPTION: Opt = Opt {
    name: "estimate-dtpm",
    kind: OptKind::Flag,
    default: "false",
    help: "Show node_estimated_* by the kernel's own model (dtpm), where it has one.",
};

#[derive(Debug)]
pub(super) struct Dtpm {
    /// The zones that are in no other one.
    roots: Vec<String>,
    look: Duration,
    meter: Integral,
    /// In microjoules.
    total: u64,
}

impl Dtpm {
    /// `None`: nobody wants one.
    pub(super) fn open(options: &Options) -> Option<Self> {
        let dtpm = Self { roots: Vec::new(), look: Duration::ZERO, meter: Integral::new(GAP), total: 0 };
        options.flag(OPTION.name).then_some(dtpm)
    }

    pub(super) fn put(&mut self, host: &mut Host, out: &mut Batch) {
        let now = Moment { awake: host.monotonic(), boot: host.machine().clock.boot() };
        if now.awake >= self.look {
            self.look = now.awake + LOOK;
            let is_root = |name: &str| name.strip_prefix("dtpm:").is_some_and(|number| !number.contains(':'));
            let zones = host.names(Root::Sys, FOLDER);
            self.roots = out.found(zones).unwrap_or_default();
            self.roots.retain(|name| is_root(name));
        }
        if self.roots.is_empty() {
            return self.meter.forget();
        }
        let Some(power) = out.found(self.power(host)) else { return self.meter.forget() };
        let added = self.meter.step(power, now).added.map_or(0, |(added, _)| added);
        self.total = self.total.saturating_add(added);
        let names = &["model", "model_version", "min_watts", "max_watts"];
        let info = out.entity(names, [MODEL, "", "", ""]);
        out.put(&INFO, info, true);
        let of = out.entity(&["model"], [MODEL]);
        out.put_some(&POWER, of, i64::try_from(power).ok().map(|power| Value::Scaled(power, 6)));
        out.put(&ENERGY, of, joules(self.total));
    }

    /// In microwatts.
    fn power(&self, host: &mut Host) -> Result<u64, Error> {
        let mut sum = 0u64;
        for root in &self.roots {
            let path = format!("{FOLDER}/{root}/power_uw");
            let power = host.number(Root::Sys, &path)?;
            if power > POWER_MAX {
                return Err(Error::malformed(&format!("/sys/{path}"), 1, "so many microwatts as a machine can draw"));
            }
            sum = sum.saturating_add(power);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;

    fn tree() -> Tree {
        Tree::new(&[
            ("sys/class/powercap/dtpm/enabled", "1\n"),
            ("sys/class/powercap/dtpm:0/name", "soc\n"),
            ("sys/class/powercap/dtpm:0/power_uw", "3000000\n"),
            ("sys/class/powercap/dtpm:0:0/name", "package\n"),
            ("sys/class/powercap/dtpm:0:0/power_uw", "2000000\n"),
        ])
    }

    #[test]
    fn it_is_an_estimate_for_those_who_ask_for_it() {
        let tree = tree();
        tree.check(&SPEC, &[], "node_power_source_info{source=\"none\"} 1\n");
        let mut opened = tree.open(&SPEC, &[("estimate-dtpm", "true")]);
        opened.round();
        tree.write("sys/class/powercap/dtpm:0/power_uw", "5000000\n");
        opened.advance(Duration::from_secs(5));
        let page = opened.round();
        for line in [
            "node_estimated_power_watts{model=\"dtpm\"} 5\n",
            "node_estimated_energy_joules_total{model=\"dtpm\"} 20\n",
            "node_estimated_power_info{model=\"dtpm\"} 1\n",
            "node_power_source_info{source=\"none\"} 1\n",
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
        assert!(!page.contains("node_host") && !page.contains("node_energy"), "never in a total: {page}");
    }

    #[test]
    fn a_model_that_can_not_be_read_says_nothing() {
        let tree = tree();
        let page = |tree: &Tree| tree.open(&SPEC, &[("estimate-dtpm", "true")]).round();
        tree.write("sys/class/powercap/dtpm:0/power_uw", "18446744073709551615\n");
        assert!(!page(&tree).contains("node_estimated") && page(&tree).contains("! malformed"), "{}", page(&tree));
        tree.write("calls/errno", "sys/class/powercap/dtpm:0/power_uw EACCES\n");
        assert!(!page(&tree).contains("node_estimated") && page(&tree).contains("! denied"), "{}", page(&tree));
        assert!(!page(&Tree::new(&[])).contains("node_estimated"));
    }
}
