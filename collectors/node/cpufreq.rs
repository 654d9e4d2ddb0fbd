//! `/sys/devices/system/cpu/cpuN/cpufreq/`: the clocks of each CPU, their limits, and who sets them.
//!
//! A read may ask the hardware, or wake a sleeping CPU. Linux 4.13 to 5.17 on x86 even wait 10 ms for each CPU to measure
//! its clock; `/proc/cpuinfo` makes them measure all CPUs in one such wait, so it is read where the first was slow.

use crate::families::cpu::FREQUENCY_HERTZ;
use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use rustix::io::Errno;
use std::time::Duration;

const FOLDER: &str = "devices/system/cpu";
const CPU: &[&str; 1] = &["cpu"];
/// A read of a clock that takes so long has waited for a measurement.
const SLOW: Duration = Duration::from_millis(5);
const LOOK_AGAIN: Duration = Duration::from_secs(60);

static FREQUENCY_AVG: Family =
    gauge("node_cpu_frequency_avg_hertz", "Clock of the CPU, averaged by the hardware, in hertz.", CPU);
static FREQUENCY_MIN: Family =
    gauge("node_cpu_frequency_min_hertz", "Lowest clock that the CPU can run at, in hertz.", CPU);
static FREQUENCY_MAX: Family =
    gauge("node_cpu_frequency_max_hertz", "Highest clock that the CPU can run at, in hertz.", CPU);
static SCALING: Family =
    gauge("node_cpu_scaling_frequency_hertz", "Clock that the kernel takes the CPU to run at, in hertz.", CPU);
static SCALING_MIN: Family =
    gauge("node_cpu_scaling_frequency_min_hertz", "Lowest clock that the CPU may run at, in hertz.", CPU);
static SCALING_MAX: Family =
    gauge("node_cpu_scaling_frequency_max_hertz", "Highest clock that the CPU may run at, in hertz.", CPU);
static GOVERNOR: Family = gauge(
    "node_cpu_scaling_governor",
    "Whether this is the governor that sets the clock; one series for each that could.",
    &["cpu", "governor"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "cpufreq",
        "Clocks of the CPUs and their governors from /sys/devices/system/cpu/cpu*/cpufreq.",
        &[
            &FREQUENCY_HERTZ,
            &FREQUENCY_AVG,
            &FREQUENCY_MIN,
            &FREQUENCY_MAX,
            &SCALING,
            &SCALING_MIN,
            &SCALING_MAX,
            &GOVERNOR,
        ],
        open,
    )
};

/// In kHz.
const CLOCKS: [(&str, &Family); 7] = [
    ("scaling_cur_freq", &SCALING),
    ("cpuinfo_cur_freq", &FREQUENCY_HERTZ),
    ("cpuinfo_avg_freq", &FREQUENCY_AVG),
    ("cpuinfo_min_freq", &FREQUENCY_MIN),
    ("cpuinfo_max_freq", &FREQUENCY_MAX),
    ("scaling_min_freq", &SCALING_MIN),
    ("scaling_max_freq", &SCALING_MAX),
];

struct Cpufreq {
    offline: KeptFile,
    /// The CPUs that were offline when the others were looked for.
    away: Vec<(u32, u32)>,
    /// The numbers of those that have clocks.
    cpus: Vec<String>,
    looked: Option<Duration>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let offline = KeptFile::new(Root::Sys, format!("{FOLDER}/offline"));
    let cpufreq = Cpufreq { offline, away: Vec::new(), cpus: Vec::new(), looked: None };
    Ok(host.exists(Root::Sys, FOLDER).then(|| Box::new(cpufreq) as Box<dyn Collector>))
}

impl Collector for Cpufreq {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        self.look(host)?;
        let mut is_measured = false;
        for cpu in &self.cpus {
            let before = host.monotonic();
            put_clocks(cpu, host, out);
            if !is_measured && host.monotonic().saturating_sub(before) >= SLOW {
                is_measured = true;
                // What it says is of no account, and that it is slow is why it is read.
                let _ = host.read(Root::Proc, "cpuinfo");
            }
            put_governors(cpu, host, out);
        }
        Ok(())
    }
}

impl Cpufreq {
    /// Looks which CPUs have clocks, when some went or came back, and now and then as drivers are loaded late.
    fn look(&mut self, host: &mut Host) -> Result<(), Error> {
        let now = host.monotonic();
        let text = host.read_kept(&mut self.offline).unwrap_or_default();
        let is_same = parse::ranges(text).flatten().eq(self.away.iter().copied());
        if is_same && self.looked.is_some_and(|looked| now.saturating_sub(looked) < LOOK_AGAIN) {
            return Ok(());
        }
        self.away = parse::ranges(text).flatten().collect();
        self.cpus.clear();
        for name in host.names(Root::Sys, FOLDER)? {
            let Some(cpu) = name.strip_prefix("cpu") else { continue };
            let Some(number) = parse::number(cpu.as_bytes()) else { continue };
            let is_in = |(first, last): &(u32, u32)| (u64::from(*first)..=u64::from(*last)).contains(&number);
            if !self.away.iter().any(is_in) && host.exists(Root::Sys, format_args!("{FOLDER}/{name}/cpufreq")) {
                self.cpus.push(cpu.to_owned());
            }
        }
        self.looked = Some(now);
        Ok(())
    }
}

fn put_clocks(cpu: &str, host: &mut Host, out: &mut Batch) {
    let of = out.entity(CPU, [cpu]);
    for (file, family) in CLOCKS {
        let path = format_args!("{FOLDER}/cpu{cpu}/cpufreq/{file}");
        let clock = match host.read(Root::Sys, path) {
            Ok(text) => hertz(text).ok_or_else(|| Error::malformed(&format!("/sys/{path}"), 1, "a clock in kHz")),
            // The first is for root alone; the average of an idle CPU is not there to be had.
            Err(Error::Denied { .. } | Error::Io { errno: Errno::AGAIN, .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let clock = out.found(clock).flatten();
        out.put_some(family, of, clock);
    }
}

fn put_governors(cpu: &str, host: &mut Host, out: &mut Batch) {
    let governor = host.text(Root::Sys, format_args!("{FOLDER}/cpu{cpu}/cpufreq/scaling_governor"));
    let Some(governor) = out.found(governor).filter(|governor| !governor.is_empty()) else { return };
    let available = host.read(Root::Sys, format_args!("{FOLDER}/cpu{cpu}/cpufreq/scaling_available_governors"));
    let Some(available) = out.found(available) else { return };
    for word in parse::words(available) {
        let of = out.entity(&["cpu", "governor"], [cpu, &parse::text(word)]);
        out.put(&GOVERNOR, of, word == governor.as_bytes());
    }
}

/// `2400000` in kHz: in hertz; `Some(None)` where the driver says `<unknown>`.
fn hertz(text: &[u8]) -> Option<Option<u64>> {
    match parse::trim(text) {
        b"<unknown>" => Some(None),
        text => parse::number(text)?.checked_mul(1000).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn files(cpu: u32) -> [(String, &'static str); 9] {
        let path = |file| format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/{file}");
        [
            (path("cpuinfo_cur_freq"), "1799998\n"),
            (path("cpuinfo_avg_freq"), "1700000\n"),
            (path("cpuinfo_min_freq"), "800000\n"),
            (path("cpuinfo_max_freq"), "2400000\n"),
            (path("scaling_cur_freq"), "1219917\n"),
            (path("scaling_min_freq"), "900000\n"),
            (path("scaling_max_freq"), "2300000\n"),
            (path("scaling_governor"), "powersave\n"),
            (path("scaling_available_governors"), "performance powersave \n"),
        ]
    }

    fn tree(cpus: &[u32]) -> Tree {
        let tree =
            Tree::new(&[("sys/devices/system/cpu/cpufreq/policy0/", ""), ("sys/devices/system/cpu/cpuidle/", "")]);
        cpus.iter().flat_map(|cpu| files(*cpu)).for_each(|(path, text)| tree.write(&path, text));
        tree
    }

    const CPU0: &str = "\
node_cpu_frequency_avg_hertz{cpu=\"0\"} 1700000000
node_cpu_frequency_hertz{cpu=\"0\"} 1799998000
node_cpu_frequency_max_hertz{cpu=\"0\"} 2400000000
node_cpu_frequency_min_hertz{cpu=\"0\"} 800000000
node_cpu_scaling_frequency_hertz{cpu=\"0\"} 1219917000
node_cpu_scaling_frequency_max_hertz{cpu=\"0\"} 2300000000
node_cpu_scaling_frequency_min_hertz{cpu=\"0\"} 900000000
node_cpu_scaling_governor{cpu=\"0\",governor=\"performance\"} 0
node_cpu_scaling_governor{cpu=\"0\",governor=\"powersave\"} 1
";

    #[test]
    fn clocks_of_cpus_that_are_online() {
        let tree = tree(&[0, 1]);
        tree.write("sys/devices/system/cpu/offline", "1\n");
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), CPU0);
        tree.write("sys/devices/system/cpu/offline", "0\n");
        assert_eq!(opened.round(), CPU0.replace("cpu=\"0\"", "cpu=\"1\""));
        // A driver that is gone, or that is loaded late, is noticed within a minute.
        tree.remove("sys/devices/system/cpu/cpu1/cpufreq");
        assert_eq!(opened.round(), "");
        files(1).iter().for_each(|(path, text)| tree.write(path, text));
        opened.advance(LOOK_AGAIN);
        assert_eq!(opened.round(), CPU0.replace("cpu=\"0\"", "cpu=\"1\""));
    }

    #[test]
    fn what_is_not_told_is_absent() {
        let tree = tree(&[0]);
        tree.write("sys/devices/system/cpu/offline", "\n");
        tree.write(
            "calls/errno",
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_cur_freq EACCES\n\
             sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_avg_freq EAGAIN\n\
             sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq EIO\n",
        );
        tree.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "<unknown>\n");
        tree.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "fast\n");
        tree.remove("sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors");
        let expected = "node_cpu_frequency_max_hertz{cpu=\"0\"} 2400000000\n\
                        node_cpu_frequency_min_hertz{cpu=\"0\"} 800000000\n! io\n! malformed\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn machines_without_it() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/devices/system/cpu/cpu0/", "")]).check(&SPEC, &[], "");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, number: u64) {
            hertz(&bytes);
            hertz(number.to_string().as_bytes());
        }
    }
}
