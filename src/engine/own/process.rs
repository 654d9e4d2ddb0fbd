//! The daemon as a process, under the names that client libraries have for it, and as a build.
//!
//! It is the one process that is meant: what its child takes is in none of these. `process_network_*` of newer client
//! libraries is not put: under the name of the process, it counts everybody's traffic in the same network namespace.

use collectors::kit::Itself;
use collectors::model::{Batch, Family, Value, counter, gauge};

static BUILD: Family = gauge(
    "node_exporter_build_info",
    "The version of wholenode, which takes node_exporter's place, and what it was built for; always 1.",
    &["goarch", "goos", "version"],
);
static CPU: Family = counter("process_cpu_seconds_total", "CPU time that this process has used, in seconds.", &[]);
static MAX_FDS: Family = gauge("process_max_fds", "How many files this process may have open.", &[]);
static OPEN_FDS: Family = gauge("process_open_fds", "How many files this process has open.", &[]);
static RESIDENT: Family = gauge("process_resident_memory_bytes", "Bytes of this process that are in memory.", &[]);
static START: Family =
    gauge("process_start_time_seconds", "When this process was started, in seconds since 1970.", &[]);
static VIRTUAL: Family = gauge("process_virtual_memory_bytes", "Bytes of address space of this process.", &[]);
static VIRTUAL_MAX: Family = gauge(
    "process_virtual_memory_max_bytes",
    "How many bytes of address space this process may have; 2^64 where there is no limit.",
    &[],
);

/// The families of this file, for the reference.
pub(super) static FAMILIES: &[&Family] =
    &[&BUILD, &CPU, &MAX_FDS, &OPEN_FDS, &RESIDENT, &START, &VIRTUAL, &VIRTUAL_MAX];

/// Go's word for what this was built for: dashboards know those.
const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    ""
};

/// Puts what it was built from. node_exporter's other labels tell of Go, or are not known here.
pub(super) fn put_build(version: &str, out: &mut Batch) {
    let of = out.entity(&["goarch", "goos", "version"], [ARCHITECTURE, "linux", version]);
    out.put(&BUILD, of, 1u64);
}

/// Puts what the kernel says of this process.
pub(super) fn put(itself: &mut Itself, out: &mut Batch) {
    let figures = itself.figures();
    let (cpu, born) = (figures.cpu, figures.born);
    let of = out.machine();
    out.put(&CPU, of, i64::try_from(cpu.as_nanos()).map_or(Value::Float(cpu.as_secs_f64()), |ns| Value::Scaled(ns, 9)));
    out.put_some(&START, of, born);
    out.put_some(&RESIDENT, of, figures.resident_bytes);
    out.put_some(&VIRTUAL, of, figures.virtual_bytes);
    out.put_some(&OPEN_FDS, of, figures.open_files);
    // Without a limit, the kernel's figure is the largest that there is.
    out.put(&MAX_FDS, of, figures.open_files_max.unwrap_or(u64::MAX));
    out.put(&VIRTUAL_MAX, of, figures.virtual_bytes_max.unwrap_or(u64::MAX));
}
