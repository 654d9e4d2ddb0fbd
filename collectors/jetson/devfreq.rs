//! `/sys/class/devfreq/` of a Jetson's GPU: how busy it is, at which clock, and whether it has power.
//!
//! The GPU's device is known by its node in the device tree: JetPack 6 renamed it (`17000000.ga10b`, `17000000.gpu`). It may
//! appear after the daemon has started. A GPU without power tells no load. Thor has clocks here and its load in NVML.

use crate::kit::{Error, Host, Options, Root, jetson};
use crate::model::{Batch, Entity, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

/// Where old kernels have it too, whether or not it is among the devfreq devices.
const OLD: &[&str] = &["devices/gpu.0", "devices/platform/gpu.0"];
/// Clocks as the chip has them, below debugfs: the label, and the file.
const ACTUAL: &[(&str, &str)] = &[
    ("gpc0", "bpmp/debug/clk/nafll_gpc0/pto_counter"),
    ("gpc1", "bpmp/debug/clk/nafll_gpc1/pto_counter"),
    ("gpc", "bpmp/debug/clk/gpcclk/rate"),
    ("gpc", "clk/gpcclk/clk_rate"),
];
const GPU: &[&str; 1] = &["gpu"];
const CLOCK: &[&str; 2] = &["gpu", "clock"];
const GOVERNOR: &[&str; 1] = &["governor"];

static LOAD: Family =
    gauge("jetson_gpu_utilization_ratio", "Share of the last moments in which the GPU was busy.", GPU);
static CUR: Family = gauge(
    "jetson_gpu_frequency_hertz",
    "Clock that the GPU is set to, in hertz; while it has no power it is the lowest one.",
    CLOCK,
);
static MIN: Family = gauge("jetson_gpu_min_hertz", "Lowest clock that the GPU may be set to, in hertz.", CLOCK);
static MAX: Family = gauge("jetson_gpu_max_hertz", "Highest clock that the GPU may be set to, in hertz.", CLOCK);
static TRUE_CLOCK: Family = gauge("jetson_gpu_actual_hertz", "Clock that the GPU has, in hertz, from debugfs.", CLOCK);
static GOVERNORS: Family =
    gauge("jetson_gpu_governor_info", "Always 1: what sets the clock of the GPU.", &["gpu", "clock", "governor"]);
static GATED: Family =
    gauge("jetson_gpu_railgated", "Whether the GPU is without power, for it has nothing to do.", GPU);
static GATING: Family =
    gauge("jetson_gpu_railgate_enabled", "Whether the GPU loses its power when it has nothing to do.", GPU);
static SCALING: Family =
    gauge("jetson_gpu_scaling_enabled", "Whether the GPU's clock follows its load (enable_3d_scaling).", GPU);
static ACTIVE: Family = gauge("jetson_gpu_active", "Whether the GPU's driver has it awake (runtime_status).", GPU);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "devfreq",
        "Load, clocks and power state of a Jetson's GPU from /sys/class/devfreq.",
        &[&LOAD, &CUR, &MIN, &MAX, &TRUE_CLOCK, &GOVERNORS, &GATED, &GATING, &SCALING, &ACTIVE],
        open,
    )
};

/// A clock, and its folder.
struct Clock {
    name: String,
    folder: String,
}

#[derive(Default)]
struct Devfreq {
    look: jetson::Look,
    debugfs: jetson::Debugfs,
    clocks: Vec<Clock>,
    /// The folder of the GPU itself.
    device: Option<String>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(Devfreq::default()) as Box<dyn Collector>))
}

impl Collector for Devfreq {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            (self.clocks, self.device) = find(host)?;
        }
        for clock in &self.clocks {
            put_clock(clock, host, out);
        }
        if let Some(device) = &self.device {
            put_device(device, host, out);
        }
        if let Some(debugfs) = self.debugfs.folder(host, out) {
            for (name, file) in ACTUAL {
                let rate = host.number(Root::Sys, format_args!("{debugfs}/{file}"));
                if let Some(rate) = jetson::sensed(rate, out) {
                    let of = out.entity(CLOCK, ["0", name]);
                    out.put(&TRUE_CLOCK, of, rate);
                }
            }
        }
        Ok(())
    }
}

/// The GPU's clocks, and its device.
fn find(host: &mut Host) -> Result<(Vec<Clock>, Option<String>), Error> {
    let (mut clocks, mut device) = (Vec::new(), None);
    for clocked in jetson::clocked(host)? {
        if let Some(name) = clocked.of_gpu() {
            device.get_or_insert_with(|| format!("{}/device", clocked.folder));
            clocks.push(Clock { name, folder: clocked.folder });
        }
    }
    let old = || OLD.iter().find(|old| host.exists(Root::Sys, old)).map(|old| (*old).to_owned());
    let device = device.or_else(old);
    Ok((clocks, device))
}

fn put_clock(clock: &Clock, host: &mut Host, out: &mut Batch) {
    let of = out.entity(CLOCK, ["0", &clock.name]);
    for (family, file) in [(&CUR, "cur_freq"), (&MIN, "min_freq"), (&MAX, "max_freq")] {
        let rate = host.number(Root::Sys, format_args!("{}/{file}", clock.folder));
        let rate = jetson::sensed(rate, out);
        out.put_some(family, of, rate);
    }
    let governor = host.text(Root::Sys, format_args!("{}/governor", clock.folder));
    if let Some(governor) = out.found(governor) {
        let of = out.part(of, GOVERNOR, [&governor]);
        out.put(&GOVERNORS, of, 1u64);
    }
}

fn put_device(device: &str, host: &mut Host, out: &mut Batch) {
    let of = out.entity(GPU, ["0"]);
    let gated = word(device, "is_railgated", host, out).map(|word| word == "yes");
    out.put_some(&GATED, of, gated);
    put_load(device, gated == Some(true), of, host, out);
    for (family, file) in [(&GATING, "railgate_enable"), (&SCALING, "enable_3d_scaling")] {
        let is_on = word(device, file, host, out).map(|word| word != "0");
        out.put_some(family, of, is_on);
    }
    // Other words (unsupported, resuming) say neither.
    let active = match word(device, "power/runtime_status", host, out).as_deref() {
        Some("active") => Some(true),
        Some("suspended") => Some(false),
        _ => None,
    };
    out.put_some(&ACTIVE, of, active);
}

/// The load is in thousandths. Without power there is either none, or none that can be read.
fn put_load(device: &str, is_gated: bool, of: Entity, host: &mut Host, out: &mut Batch) {
    let load = host.number(Root::Sys, format_args!("{device}/load"));
    let load = if is_gated { load.ok() } else { jetson::sensed(load, out) };
    if let Some(load) = load.filter(|load| *load <= 1000) {
        out.put(&LOAD, of, Value::Scaled(load as i64, 3));
    }
}

fn word(device: &str, file: &str, host: &mut Host, out: &mut Batch) -> Option<String> {
    out.found(host.text(Root::Sys, format_args!("{device}/{file}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    const TEGRA: (&str, &str) = ("proc/device-tree/compatible", "nvidia,tegra234\0");

    fn board(device: &str, node: &str) -> Tree {
        let tree = Tree::new(&[TEGRA]);
        let home = format!("sys/class/devfreq/{device}");
        tree.write(&format!("{home}/device/of_node/name"), &format!("{node}\0"));
        for (file, text) in [
            ("cur_freq", "306000000"),
            ("min_freq", "306000000"),
            ("max_freq", "1300500000"),
            ("governor", "nvhost_podgov"),
        ] {
            tree.write(&format!("{home}/{file}"), &format!("{text}\n"));
        }
        tree
    }

    const CLOCKS: &str = "jetson_gpu_frequency_hertz{gpu=\"0\",clock=\"gpc\"} 306000000\n\
                          jetson_gpu_governor_info{gpu=\"0\",clock=\"gpc\",governor=\"nvhost_podgov\"} 1\n\
                          jetson_gpu_max_hertz{gpu=\"0\",clock=\"gpc\"} 1300500000\n\
                          jetson_gpu_min_hertz{gpu=\"0\",clock=\"gpc\"} 306000000\n";

    #[test]
    fn the_gpu_is_known_by_its_node_whatever_its_device_is_called() {
        for (device, node) in [("57000000.gpu", "gpu"), ("17000000.gp10b", "gp10b"), ("17000000.ga10b", "ga10b")] {
            board(device, node).check(&SPEC, &[], CLOCKS);
        }
        board("15340000.vic", "vic").check(&SPEC, &[], "");
    }

    #[test]
    fn load_and_power() {
        let tree = board("17000000.gpu", "gpu");
        let device = "sys/class/devfreq/17000000.gpu/device";
        for (file, text) in [
            ("load", "840"),
            ("is_railgated", "no"),
            ("railgate_enable", "1"),
            ("enable_3d_scaling", "0"),
            ("power/runtime_status", "active"),
        ] {
            tree.write(&format!("{device}/{file}"), &format!("{text}\n"));
        }
        let page = tree.open(&SPEC, &[]).round();
        for line in [
            "jetson_gpu_active{gpu=\"0\"} 1",
            "jetson_gpu_railgated{gpu=\"0\"} 0",
            "jetson_gpu_railgate_enabled{gpu=\"0\"} 1",
            "jetson_gpu_scaling_enabled{gpu=\"0\"} 0",
            "jetson_gpu_utilization_ratio{gpu=\"0\"} 0.84",
        ] {
            assert!(page.lines().any(|other| other == line), "{line}\n{page}");
        }
        tree.write("calls/errno", "sys/class/devfreq/17000000.gpu/device/load EIO\n");
        assert!(tree.open(&SPEC, &[]).round().ends_with("! io\n"));
        tree.write(&format!("{device}/is_railgated"), "yes\n");
        tree.write(&format!("{device}/power/runtime_status"), "unsupported\n");
        let page = tree.open(&SPEC, &[]).round();
        assert!(page.contains("jetson_gpu_railgated{gpu=\"0\"} 1\n") && !page.contains('!'), "{page}");
        assert!(!page.contains("utilization") && !page.contains("active"), "{page}");
    }

    #[test]
    fn clusters_of_thor_and_old_kernels_without_devfreq() {
        let tree = Tree::new(&[
            TEGRA,
            ("sys/class/devfreq/gpu-gpc-0/cur_freq", "314000000\n"),
            ("sys/class/devfreq/gpu-gpc-1/cur_freq", "315000000\n"),
            ("sys/class/devfreq/gpu-nvd-0/cur_freq", "316000000\n"),
        ]);
        let expected = "jetson_gpu_frequency_hertz{gpu=\"0\",clock=\"gpc0\"} 314000000\n\
                        jetson_gpu_frequency_hertz{gpu=\"0\",clock=\"gpc1\"} 315000000\n";
        tree.check(&SPEC, &[], expected);
        let old = Tree::new(&[TEGRA, ("sys/devices/gpu.0/load", "5\n")]);
        old.check(&SPEC, &[], "jetson_gpu_utilization_ratio{gpu=\"0\"} 0.005\n");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn the_clock_that_it_has_is_roots() {
        let tree = Tree::new(&[TEGRA, ("sys/kernel/debug/bpmp/debug/clk/nafll_gpc0/pto_counter", "306000000\n")]);
        tree.check(&SPEC, &[], "jetson_gpu_actual_hertz{gpu=\"0\",clock=\"gpc0\"} 306000000\n");
        tree.write("calls/errno", "sys/kernel/debug EACCES\n");
        tree.check(&SPEC, &[], "! denied\n");
    }
}
