//! The external memory controller: its clock, the limits of it, and how much of it is used.
//!
//! The clock is in debugfs, but for Thor's; the activity is counted by actmon, in kHz, in sysfs up to Xavier and in debugfs
//! from Orin on. A ratio needs both. The power mode may cap the clock; 0 is no cap.

use crate::kit::{Error, Host, Options, Root, jetson};
use crate::model::{Batch, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

/// The files of the clock, the lowest and the highest one, and whether it is pinned; those below debugfs.
const RATES: &[[&str; 4]] = &[
    [
        "bpmp/debug/clk/emc/rate",
        "bpmp/debug/clk/emc/min_rate",
        "bpmp/debug/clk/emc/max_rate",
        "bpmp/debug/clk/emc/mrq_rate_locked",
    ],
    ["clk/override.emc/clk_rate", "tegra_bwmgr/emc_min_rate", "tegra_bwmgr/emc_max_rate", ""],
    ["clk/emc/clk_rate", "tegra_bwmgr/emc_min_rate", "tegra_bwmgr/emc_max_rate", ""],
];
/// The same of Thor, which everybody may read.
const OPEN_RATES: [&str; 4] =
    ["class/devfreq/bwmgr/cur_freq", "class/devfreq/bwmgr/min_freq", "class/devfreq/bwmgr/max_freq", ""];
const CAPS: &[&str] = &["kernel/nvpmodel_clk_cap/emc", "kernel/nvpmodel_emc_cap/emc_iso_cap"];
/// Up to Xavier, and Orin with L4T 35.
const OPEN_ACTIVITY: &str = "kernel/actmon_avg_activity/mc_all";
/// Below debugfs: Orin from L4T 36 on, and Thor.
const ACTIVITIES: &[&str] = &["cactmon/mc_all", "bpmp/debug/actmon/mc_all_avg_activity"];

static RATE: Family = gauge("jetson_emc_frequency_hertz", "Clock of the memory controller, in hertz.", &[]);
static MIN: Family = gauge("jetson_emc_min_hertz", "Lowest clock of the memory controller, in hertz.", &[]);
static MAX: Family = gauge("jetson_emc_max_hertz", "Highest clock of the memory controller, in hertz.", &[]);
static CAP: Family =
    gauge("jetson_emc_cap_hertz", "Highest clock that the power mode lets the memory controller have, in hertz.", &[]);
static ACTIVITY: Family = gauge(
    "jetson_emc_activity_hertz",
    "How many of the memory controller's cycles a second moved data, on average.",
    &[],
);
static UTILIZATION: Family = gauge(
    "jetson_emc_utilization_ratio",
    "Share of the memory controller's cycles that moved data; only where its clock can be read.",
    &[],
);
static LOCKED: Family = gauge("jetson_emc_rate_locked", "Whether the memory controller's clock is pinned.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "emc",
        "Clock and use of a Jetson's memory controller.",
        &[&RATE, &MIN, &MAX, &CAP, &ACTIVITY, &UTILIZATION, &LOCKED],
        open,
    )
};

#[derive(Default)]
struct Emc {
    debugfs: jetson::Debugfs,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(Emc::default()) as Box<dyn Collector>))
}

impl Collector for Emc {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let of = out.machine();
        let mut rate = rates("", &OPEN_RATES, host, out);
        let mut activity = number(format_args!("{OPEN_ACTIVITY}"), host, out);
        if (rate.is_none() || activity.is_none())
            && let Some(debugfs) = self.debugfs.folder(host, out)
        {
            let debugfs = format!("{debugfs}/");
            rate = rate.or_else(|| RATES.iter().find_map(|files| rates(&debugfs, files, host, out)));
            let mut read = |file: &&str| number(format_args!("{debugfs}{file}"), host, out);
            activity = activity.or_else(|| ACTIVITIES.iter().find_map(&mut read));
        }
        let cap = CAPS.iter().find_map(|file| number(format_args!("{file}"), host, out));
        out.put_some(&CAP, of, cap.filter(|cap| *cap > 0));
        let activity = activity.and_then(|kilohertz| kilohertz.checked_mul(1000));
        out.put_some(&ACTIVITY, of, activity);
        if let (Some(rate @ 1..), Some(activity)) = (rate, activity) {
            out.put(&UTILIZATION, of, Value::Float(activity as f64 / rate as f64));
        }
        Ok(())
    }
}

/// Puts the clock and its limits; the clock, if it is there.
fn rates(folder: &str, files: &[&str; 4], host: &mut Host, out: &mut Batch) -> Option<u64> {
    let [rate, min, max, locked] = files;
    let of = out.machine();
    let rate = number(format_args!("{folder}{rate}"), host, out)?;
    out.put(&RATE, of, rate);
    for (family, file) in [(&MIN, min), (&MAX, max)] {
        // A huge number says that there is no limit.
        let limit = number(format_args!("{folder}{file}"), host, out).filter(|limit| *limit < i64::MAX as u64);
        out.put_some(family, of, limit);
    }
    if !locked.is_empty() {
        let locked = number(format_args!("{folder}{locked}"), host, out);
        out.put_some(&LOCKED, of, locked.map(|locked| locked != 0));
    }
    Some(rate)
}

fn number(path: std::fmt::Arguments<'_>, host: &mut Host, out: &mut Batch) -> Option<u64> {
    jetson::sensed(host.number(Root::Sys, path), out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    const TEGRA: (&str, &str) = ("proc/device-tree/compatible", "nvidia,tegra194\0");

    #[test]
    fn xavier_with_and_without_the_right_to_read_debugfs() {
        let tree = Tree::new(&[
            TEGRA,
            ("sys/kernel/debug/bpmp/debug/clk/emc/rate", "1600000000\n"),
            ("sys/kernel/debug/bpmp/debug/clk/emc/min_rate", "204000000\n"),
            ("sys/kernel/debug/bpmp/debug/clk/emc/max_rate", "18446744073709551615\n"),
            ("sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked", "0\n"),
            ("sys/kernel/nvpmodel_emc_cap/emc_iso_cap", "0\n"),
            ("sys/kernel/actmon_avg_activity/mc_all", "32000\n"),
        ]);
        let expected = "jetson_emc_activity_hertz 32000000\njetson_emc_frequency_hertz 1600000000\n\
                        jetson_emc_min_hertz 204000000\njetson_emc_rate_locked 0\njetson_emc_utilization_ratio 0.02\n";
        tree.check(&SPEC, &[], expected);
        tree.write("calls/errno", "sys/kernel/debug EACCES\n");
        tree.check(&SPEC, &[], "jetson_emc_activity_hertz 32000000\n! denied\n");
        tree.write("calls/errno", "sys/kernel/debug EACCES\nsys/kernel/nvpmodel_emc_cap/emc_iso_cap EACCES\n");
        tree.check(&SPEC, &[], "jetson_emc_activity_hertz 32000000\n! denied\n! denied\n");
    }

    #[test]
    fn nano() {
        let tree = Tree::new(&[
            TEGRA,
            ("sys/kernel/debug/clk/override.emc/clk_rate", "1600000000\n"),
            ("sys/kernel/debug/tegra_bwmgr/emc_min_rate", "40800000\n"),
            ("sys/kernel/debug/tegra_bwmgr/emc_max_rate", "1600000000\n"),
        ]);
        let expected =
            "jetson_emc_frequency_hertz 1600000000\njetson_emc_max_hertz 1600000000\njetson_emc_min_hertz 40800000\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn orin_and_thor() {
        let tree = Tree::new(&[
            TEGRA,
            ("sys/kernel/debug/bpmp/debug/clk/emc/rate", "3199000000\n"),
            ("sys/kernel/debug/cactmon/mc_all", "575820\n"),
            ("sys/kernel/nvpmodel_clk_cap/emc", "3199000000\n"),
        ]);
        let expected = "jetson_emc_activity_hertz 575820000\njetson_emc_cap_hertz 3199000000\n\
                        jetson_emc_frequency_hertz 3199000000\njetson_emc_utilization_ratio 0.18\n";
        tree.check(&SPEC, &[], expected);
        let tree = Tree::new(&[
            TEGRA,
            ("sys/class/devfreq/bwmgr/cur_freq", "2750000000\n"),
            ("sys/class/devfreq/bwmgr/max_freq", "4266000000\n"),
            ("sys/kernel/debug/bpmp/debug/actmon/mc_all_avg_activity", "0\n"),
        ]);
        let expected = "jetson_emc_activity_hertz 0\njetson_emc_frequency_hertz 2750000000\n\
                        jetson_emc_max_hertz 4266000000\njetson_emc_utilization_ratio 0\n";
        tree.check(&SPEC, &[], expected);
        Tree::new(&[TEGRA]).check(&SPEC, &[], "");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }
}
