//! Of a CPU.

use crate::model::{Family, gauge};

/// From `/proc/cpuinfo` (collector cpu, with the package and the core) and from cpufreq (without).
pub static FREQUENCY_HERTZ: Family = gauge(
    "node_cpu_frequency_hertz",
    "Clock that the CPU runs at, in hertz; with package and core from /proc/cpuinfo, without from cpufreq.",
    &["core", "cpu", "package"],
);
