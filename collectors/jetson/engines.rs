//! Engines beside the GPU: encoders, decoders, JPEG, VIC, optical flow, DLA, PVA, APE.
//!
//! Whether one is awake, and for how long it was, is in the runtime power management of its device, which everybody may
//! read; its clock is in devfreq if its driver puts it there, and else in debugfs. Loads are in thousandths, where there are
//! any.

use crate::kit::{Error, Host, Options, Root, jetson};
use crate::model::{Batch, Entity, Family, Value, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::BTreeMap;
use std::time::Duration;

const ENGINE: &[&str; 1] = &["engine"];
const DEVICES: &str = "bus/platform/devices";
/// How the names of engines begin.
const NAMES: &[&str] = &["msenc", "nvdec", "nvdla", "nvenc", "nvjpg", "ofa", "pva", "vic"];
/// The second decoder of Xavier, whose address is the lower one.
const SECOND: &str = "15140000.nvdec";
/// The video engines of Thor's GPU share a clock.
const VIDEO: &str = "gpu-nvd-";
/// Engines, and what debugfs calls their clocks, where that is another name.
const CLOCKS: &[(&str, &str)] = &[
    ("ape", "ape"),
    ("cvnas", "cvnas"),
    ("nvdec", "nvdec"),
    ("nvdec1", "nvdec1"),
    ("nvdla0", "dla0_core"),
    ("nvdla0", "nafll_dla"),
    ("nvdla1", "dla1_core"),
    ("nvenc", "nvenc"),
    ("nvenc", "msenc"),
    ("nvenc1", "nvenc1"),
    ("nvjpg", "nvjpg"),
    ("nvjpg1", "nvjpg1"),
    ("ofa", "ofa"),
    ("pva0", "pva0_cpu_axi"),
    ("pva1", "pva1_cpu_axi"),
    ("se", "se"),
    ("vic", "vic"),
    ("vic", "vic03"),
];
/// Below debugfs: a folder for each clock, and in it its rate, its highest rate, and how many use it.
const TREES: &[(&str, [&str; 3])] =
    &[("bpmp/debug/clk", ["rate", "max_rate", "state"]), ("clk", ["clk_rate", "clk_max_rate", "clk_enable_count"])];
/// Below debugfs: a folder for each engine whose load is measured.
const LOADS: &[&str] = &["tegra-host1x/actmon", "tegra-host1x.0/actmon"];
/// Below debugfs: the load of the VIC up to Xavier.
const VIC_LOAD: &str = "vic/actmon_avg_norm";

static RATE: Family =
    gauge("jetson_engine_frequency_hertz", "Clock of the engine, in hertz; none while its clock is off.", ENGINE);
static MAX: Family = gauge("jetson_engine_max_hertz", "Highest clock of the engine, in hertz.", ENGINE);
static ACTIVE: Family = gauge("jetson_engine_active", "Whether the engine is awake.", ENGINE);
static TIME: Family =
    counter("jetson_engine_active_seconds_total", "Time that the engine was awake, in seconds.", ENGINE);
static LOAD: Family =
    gauge("jetson_engine_utilization_ratio", "Share of the last moments in which the engine was busy.", ENGINE);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "engines",
        "Clocks, loads and time awake of a Jetson's video and vision engines.",
        &[&RATE, &MAX, &ACTIVE, &TIME, &LOAD],
        open,
    )
};

/// Where an engine's figures are.
#[derive(Debug, Default, PartialEq)]
struct Engine {
    /// The folder of its device.
    device: Option<String>,
    /// Its folder of devfreq.
    devfreq: Option<String>,
    /// The folder of its clock below debugfs, and its files.
    clock: Option<(String, &'static [&'static str; 3])>,
    /// The file of its load.
    load: Option<String>,
}

#[derive(Default)]
struct Engines {
    look: jetson::Look,
    debugfs: jetson::Debugfs,
    engines: BTreeMap<String, Engine>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(Engines::default()) as Box<dyn Collector>))
}

impl Collector for Engines {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let debugfs = self.debugfs.folder(host, out);
        if self.look.is_due(host) {
            self.engines = devices(host)?;
            if let Some(debugfs) = debugfs {
                add_clocks(debugfs, &mut self.engines, host);
            }
        }
        for (name, engine) in &self.engines {
            let of = out.entity(ENGINE, [name]);
            put(name, engine, of, host, out);
        }
        Ok(())
    }
}

/// The engines that have a device, by name. Two of one name (`15380000.nvjpg`, `15540000.nvjpg`) are told apart by a number.
fn devices(host: &mut Host) -> Result<BTreeMap<String, Engine>, Error> {
    let mut engines: BTreeMap<String, Engine> = BTreeMap::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let listed = match host.names(Root::Sys, DEVICES) {
        Err(error) if error.is_absent() => Vec::new(),
        listed => listed?,
    };
    let clocked = jetson::clocked(host)?;
    let devices = listed.iter().chain(clocked.iter().map(|clocked| &clocked.device));
    let (second, first): (Vec<&String>, Vec<&String>) = devices.partition(|device| *device == SECOND);
    for device in first.into_iter().chain(second) {
        let Some(engine) = engine_of(device) else { continue };
        if names.contains_key(device) {
            continue;
        }
        let number =
            names.values().filter(|name| name.trim_end_matches(|c: char| c.is_ascii_digit()) == engine).count();
        let is_taken = names.values().any(|name| name == engine);
        names.insert(device.clone(), if is_taken { format!("{engine}{number}") } else { engine.to_owned() });
    }
    for device in listed {
        if let Some(name) = names.get(&device) {
            engines.entry(name.clone()).or_default().device = Some(format!("{DEVICES}/{device}"));
        }
    }
    for clocked in clocked {
        let name = match clocked.device.strip_prefix(VIDEO) {
            Some(number) => format!("nvd{number}"),
            None => match names.get(&clocked.device) {
                Some(name) => name.clone(),
                None => continue,
            },
        };
        let engine = engines.entry(name).or_default();
        engine.device.get_or_insert_with(|| format!("{}/device", clocked.folder));
        engine.devfreq = Some(clocked.folder);
    }
    for engine in engines.values_mut() {
        let load = engine.device.as_ref().map(|device| format!("{device}/load"));
        engine.load = load.filter(|load| host.exists(Root::Sys, load));
    }
    Ok(engines)
}

/// Adds what debugfs has.
fn add_clocks(debugfs: &str, engines: &mut BTreeMap<String, Engine>, host: &mut Host) {
    for (tree, files) in TREES {
        for (name, clock) in CLOCKS {
            let folder = format!("{debugfs}/{tree}/{clock}");
            if host.exists(Root::Sys, format_args!("{folder}/{}", files[0])) {
                let engine = engines.entry((*name).to_owned()).or_default();
                engine.clock.get_or_insert((folder, files));
            }
        }
    }
    for tree in LOADS {
        for name in host.names(Root::Sys, format_args!("{debugfs}/{tree}")).unwrap_or_default() {
            let load = format!("{debugfs}/{tree}/{name}/module0/usage");
            if engine_of(&format!("0.{name}")).is_some() && host.exists(Root::Sys, &load) {
                engines.entry(name).or_default().load.get_or_insert(load);
            }
        }
    }
    let load = format!("{debugfs}/{VIC_LOAD}");
    if host.exists(Root::Sys, &load) {
        engines.entry("vic".to_owned()).or_default().load.get_or_insert(load);
    }
}

/// Puts what an engine's files tell.
fn put(name: &str, engine: &Engine, of: Entity, host: &mut Host, out: &mut Batch) {
    let mut number = |folder: &str, file: &str, out: &mut Batch| {
        jetson::sensed(host.number(Root::Sys, format_args!("{folder}/{file}")), out)
    };
    let mut is_active = None;
    if let Some(clock) = &engine.clock {
        let (folder, [rate, max, users]) = (&clock.0, clock.1);
        let rate = number(folder, rate, out);
        // A PVA that runs says that nobody uses its clock.
        let is_pva = name.starts_with("pva") && rate.is_some_and(|rate| rate > 0);
        is_active = number(folder, users, out).map(|users| users > 0 || is_pva);
        if engine.devfreq.is_none() {
            out.put_some(&RATE, of, rate.filter(|_| is_active != Some(false)));
            // A huge number says that there is no limit.
            let max = number(folder, max, out).filter(|max| *max < i64::MAX as u64);
            out.put_some(&MAX, of, max);
        }
    }
    if let Some(devfreq) = &engine.devfreq {
        for (family, file) in [(&RATE, "cur_freq"), (&MAX, "max_freq")] {
            let rate = number(devfreq, file, out);
            out.put_some(family, of, rate);
        }
    }
    if let Some(load) = &engine.load {
        let load = jetson::sensed(host.number(Root::Sys, load), out);
        if let Some(load) = load.filter(|load| *load <= 1000) {
            out.put(&LOAD, of, Value::Scaled(load as i64, 3));
        }
    }
    if let Some(device) = &engine.device {
        is_active = put_time(device, of, host, out).or(is_active);
    }
    out.put_some(&ACTIVE, of, is_active);
}

/// Puts how long the device was awake; whether it is now. Drivers without runtime power management say `unsupported`.
fn put_time(device: &str, of: Entity, host: &mut Host, out: &mut Batch) -> Option<bool> {
    let status = host.text(Root::Sys, format_args!("{device}/power/runtime_status"));
    let is_active = match out.found(status)?.as_str() {
        "active" | "suspending" => true,
        "suspended" | "resuming" => false,
        _ => return None,
    };
    let time = host.number(Root::Sys, format_args!("{device}/power/runtime_active_time"));
    if let Some(milliseconds) = out.found(time).and_then(|time| i64::try_from(time).ok()) {
        out.put(&TIME, of, Value::Scaled(milliseconds, 3));
    }
    Some(is_active)
}

/// `15340000.vic`: the engine behind the address, `vic`. The encoder was called MSENC once.
fn engine_of(device: &str) -> Option<&str> {
    let (address, name) = device.split_once('.')?;
    let is_address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit());
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (is_address && NAMES.contains(&stem)).then_some(if name == "msenc" { "nvenc" } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const TEGRA: (&str, &str) = ("proc/device-tree/compatible", "nvidia,tegra234\0");

    #[test]
    fn what_everybody_may_read() {
        let tree = Tree::new(&[
            TEGRA,
            ("sys/bus/platform/devices/15340000.vic/power/runtime_status", "suspended\n"),
            ("sys/bus/platform/devices/15340000.vic/power/runtime_active_time", "401203\n"),
            ("sys/bus/platform/devices/15340000.vic/load", "310\n"),
            ("sys/class/devfreq/15340000.vic/cur_freq", "115200000\n"),
            ("sys/class/devfreq/15340000.vic/max_freq", "729600000\n"),
            ("sys/bus/platform/devices/15380000.nvjpg/power/runtime_status", "active\n"),
            ("sys/bus/platform/devices/15540000.nvjpg/power/runtime_status", "unsupported\n"),
            ("sys/bus/platform/devices/15880000.nvdla0/power/runtime_status", "active\n"),
            ("sys/bus/platform/devices/15980000.serial/power/runtime_status", "active\n"),
            ("sys/class/devfreq/gpu-nvd-0/cur_freq", "314000000\n"),
        ]);
        let expected = "jetson_engine_active{engine=\"nvdla0\"} 1\njetson_engine_active{engine=\"nvjpg\"} 1\n\
                        jetson_engine_active{engine=\"vic\"} 0\njetson_engine_active_seconds_total{engine=\"vic\"} 401.203\n\
                        jetson_engine_frequency_hertz{engine=\"nvd0\"} 314000000\n\
                        jetson_engine_frequency_hertz{engine=\"vic\"} 115200000\n\
                        jetson_engine_max_hertz{engine=\"vic\"} 729600000\n\
                        jetson_engine_utilization_ratio{engine=\"vic\"} 0.31\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn two_engines_of_one_name() {
        let device = |name: &str, status: &str| {
            (format!("sys/bus/platform/devices/{name}/power/runtime_status"), format!("{status}\n"))
        };
        let tree = Tree::new(&[TEGRA]);
        for (path, status) in [
            device("15140000.nvdec", "active"),
            device("15480000.nvdec", "suspended"),
            device("154c0000.nvenc", "suspended"),
            device("15a80000.nvenc1", "active"),
        ] {
            tree.write(&path, &status);
        }
        let expected = "jetson_engine_active{engine=\"nvdec\"} 0\njetson_engine_active{engine=\"nvdec1\"} 1\n\
                        jetson_engine_active{engine=\"nvenc\"} 0\njetson_engine_active{engine=\"nvenc1\"} 1\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn what_debugfs_adds() {
        let clk = "sys/kernel/debug/bpmp/debug/clk";
        let tree = Tree::new(&[TEGRA]);
        for (clock, rate, state) in
            [("ape", 174, "1"), ("nvenc", 115, "0"), ("pva0_cpu_axi", 652, "0"), ("other", 1, "1")]
        {
            tree.write(&format!("{clk}/{clock}/rate"), &format!("{rate}000000\n"));
            tree.write(&format!("{clk}/{clock}/state"), &format!("{state}\n"));
        }
        tree.write(&format!("{clk}/ape/max_rate"), "18446744073709551615\n");
        tree.write("sys/kernel/debug/tegra-host1x/actmon/nvdec/module0/usage", "400\n");
        tree.write("sys/kernel/debug/vic/actmon_avg_norm", "1\n");
        let expected = "jetson_engine_active{engine=\"ape\"} 1\njetson_engine_active{engine=\"nvenc\"} 0\n\
                        jetson_engine_active{engine=\"pva0\"} 1\n\
                        jetson_engine_frequency_hertz{engine=\"ape\"} 174000000\n\
                        jetson_engine_frequency_hertz{engine=\"pva0\"} 652000000\n\
                        jetson_engine_utilization_ratio{engine=\"nvdec\"} 0.4\n\
                        jetson_engine_utilization_ratio{engine=\"vic\"} 0.001\n";
        tree.check(&SPEC, &[], expected);
        tree.write("calls/errno", "sys/kernel/debug EACCES\n");
        tree.check(&SPEC, &[], "! denied\n");
    }

    #[test]
    fn old_kernels_count_who_uses_a_clock() {
        let tree = Tree::new(&[
            TEGRA,
            ("sys/kernel/debug/clk/ape/clk_rate", "25000000\n"),
            ("sys/kernel/debug/clk/ape/clk_enable_count", "3\n"),
            ("sys/kernel/debug/clk/ape/clk_max_rate", "25000000\n"),
            ("sys/kernel/debug/clk/msenc/clk_rate", "716800000\n"),
            ("sys/kernel/debug/clk/msenc/clk_enable_count", "1\n"),
        ]);
        let expected = "jetson_engine_active{engine=\"ape\"} 1\njetson_engine_active{engine=\"nvenc\"} 1\n\
                        jetson_engine_frequency_hertz{engine=\"ape\"} 25000000\n\
                        jetson_engine_frequency_hertz{engine=\"nvenc\"} 716800000\n\
                        jetson_engine_max_hertz{engine=\"ape\"} 25000000\n";
        tree.check(&SPEC, &[], expected);
        // Its device has the one name or the other; the engine is the same.
        for device in ["544c0000.nvenc", "544c0000.msenc"] {
            let status = format!("sys/bus/platform/devices/{device}/power/runtime_status");
            tree.write(&status, "active\n");
            tree.check(&SPEC, &[], expected);
            tree.write(&status, "unsupported\n");
        }
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String) {
            engine_of(&name);
        }
    }
}
