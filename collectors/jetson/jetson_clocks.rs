//! Whether the tool of that name has pinned the clocks: it leaves no file that says so.
//!
//! They are pinned if the GPU's and every CPU's lowest clock is its highest, and the memory controller's is locked as far as
//! that can be read.

use crate::kit::{Error, Host, Options, Root, jetson};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const POLICIES: &str = "devices/system/cpu/cpufreq";
const EMC: &str = "kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked";

static LOCKED: Family = gauge(
    "jetson_clocks_locked",
    "Whether the clocks of GPU, CPUs and, as far as that can be read, memory controller are pinned: judged from their limits.",
    &[],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(Group::Jetson, "jetson_clocks", "Whether a Jetson's clocks are pinned.", &[&LOCKED], open)
};

#[derive(Default)]
struct JetsonClocks {
    look: jetson::Look,
    /// The folders of the GPU's clocks.
    gpu: Vec<String>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(JetsonClocks::default()) as Box<dyn Collector>))
}

impl Collector for JetsonClocks {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            let clocks = jetson::clocked(host)?;
            self.gpu = clocks.into_iter().filter(|c| c.of_gpu().is_some()).map(|c| c.folder).collect();
        }
        let mut pinned = Vec::new();
        for folder in &self.gpu {
            pinned.push(out.found(is_pinned(host, folder, ["min_freq", "max_freq"])));
        }
        let policies = out.found(host.names(Root::Sys, POLICIES)).unwrap_or_default();
        let mut policies = policies.iter().filter(|name| name.starts_with("policy")).peekable();
        let is_complete = !self.gpu.is_empty() && policies.peek().is_some();
        for policy in policies {
            // A policy whose CPUs are all off answers nothing.
            let is_pinned = is_pinned(host, &format!("{POLICIES}/{policy}"), ["scaling_min_freq", "scaling_max_freq"]);
            match is_pinned {
                Err(error) if error.is_nothing() => {}
                is_pinned => pinned.push(out.ok(is_pinned)),
            }
        }
        if let Ok(locked) = host.number(Root::Sys, EMC) {
            pinned.push(Some(locked != 0));
        }
        if is_complete && let Some(pinned) = pinned.into_iter().collect::<Option<Vec<bool>>>() {
            out.put(&LOCKED, out.machine(), pinned.iter().all(|pinned| *pinned));
        }
        Ok(())
    }
}

fn is_pinned(host: &mut Host, folder: &str, [lowest, highest]: [&str; 2]) -> Result<bool, Error> {
    let lowest = host.number(Root::Sys, format_args!("{folder}/{lowest}"))?;
    Ok(lowest == host.number(Root::Sys, format_args!("{folder}/{highest}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn pinned_if_all_are() {
        let cpus = "sys/devices/system/cpu/cpufreq";
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra194\0"),
            ("sys/class/devfreq/17000000.gv11b/device/of_node/name", "gv11b\0"),
            ("sys/class/devfreq/17000000.gv11b/min_freq", "1109250000\n"),
            ("sys/class/devfreq/17000000.gv11b/max_freq", "1109250000\n"),
        ]);
        tree.check(&SPEC, &[], "");
        for (policy, lowest) in [(0, 1_907_200), (2, 1_907_200)] {
            tree.write(&format!("{cpus}/policy{policy}/scaling_min_freq"), &format!("{lowest}\n"));
            tree.write(&format!("{cpus}/policy{policy}/scaling_max_freq"), "1907200\n");
        }
        tree.write(&format!("{cpus}/policy4/"), "");
        tree.check(&SPEC, &[], "jetson_clocks_locked 1\n");
        tree.write(&format!("sys/{EMC}"), "0\n");
        tree.check(&SPEC, &[], "jetson_clocks_locked 0\n");
        tree.write(&format!("sys/{EMC}"), "1\n");
        tree.check(&SPEC, &[], "jetson_clocks_locked 1\n");
        tree.write(&format!("{cpus}/policy2/scaling_min_freq"), "1190400\n");
        tree.check(&SPEC, &[], "jetson_clocks_locked 0\n");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }
}
