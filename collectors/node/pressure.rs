//! `/proc/pressure/{cpu,io,memory,irq}`: how long tasks had to wait because something was scarce.
//!
//! Files and lines depend on the kernel: none before 4.20 or when built without; a read is refused (EOPNOTSUPP) when
//! switched off at boot; `irq` came with 6.1 and only says `full`. The line `full` of `cpu` is always 0 for a whole
//! machine and is left out.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, Value, counter};
use crate::{Collector, Group, Spec};
use rustix::io::Errno;

static CPU_WAITING: Family =
    counter("node_pressure_cpu_waiting_seconds_total", "Time in which some task waited for a CPU, in seconds.", &[]);
static IO_WAITING: Family =
    counter("node_pressure_io_waiting_seconds_total", "Time in which some task waited for I/O, in seconds.", &[]);
static IO_STALLED: Family = counter(
    "node_pressure_io_stalled_seconds_total",
    "Time in which all tasks with work to do waited for I/O, in seconds.",
    &[],
);
static MEMORY_WAITING: Family = counter(
    "node_pressure_memory_waiting_seconds_total",
    "Time in which some task waited for memory, in seconds.",
    &[],
);
static MEMORY_STALLED: Family = counter(
    "node_pressure_memory_stalled_seconds_total",
    "Time in which all tasks with work to do waited for memory, in seconds.",
    &[],
);
static IRQ_STALLED: Family = counter(
    "node_pressure_irq_stalled_seconds_total",
    "Time in which all tasks with work to do waited for interrupts to be served, in seconds.",
    &[],
);

/// Its row in the table.
pub static SPEC: Spec = Spec::new(
    Group::Node,
    "pressure",
    "How long tasks waited for CPU, I/O, memory and interrupts, from /proc/pressure.",
    &[&CPU_WAITING, &IO_WAITING, &IO_STALLED, &MEMORY_WAITING, &MEMORY_STALLED, &IRQ_STALLED],
    open,
);

/// The first words of a file's lines, and their families.
type Lines = &'static [(&'static [u8], &'static Family)];

const RESOURCES: [(&str, Lines); 4] = [
    ("pressure/cpu", &[(b"some", &CPU_WAITING)]),
    ("pressure/io", &[(b"some", &IO_WAITING), (b"full", &IO_STALLED)]),
    ("pressure/memory", &[(b"some", &MEMORY_WAITING), (b"full", &MEMORY_STALLED)]),
    ("pressure/irq", &[(b"full", &IRQ_STALLED)]),
];

/// The files that this kernel offers; which they are was decided when it started.
struct Pressure(Vec<(KeptFile, &'static str, Lines)>);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let mut files = Vec::new();
    for (path, lines) in RESOURCES {
        // A file that fails otherwise is there: each round will tell.
        if !host.read(Root::Proc, path).is_err_and(|error| is_not_offered(&error)) {
            files.push((KeptFile::single(path), path, lines));
        }
    }
    Ok(if files.is_empty() { None } else { Some(Box::new(Pressure(files))) })
}

impl Collector for Pressure {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let machine = out.machine();
        for (file, path, lines) in &mut self.0 {
            let Some(text) = out.ok(host.read_kept(file)) else { continue };
            for (share, family) in *lines {
                match total(text, share) {
                    Some(total) => out.put(*family, machine, Value::Scaled(total, 6)),
                    None => out.fault(Error::malformed(&format!("/proc/{path}"), 0, "total= of some and full")),
                }
            }
        }
        Ok(())
    }
}

fn is_not_offered(error: &Error) -> bool {
    error.is_absent() || matches!(error, Error::Io { errno: Errno::OPNOTSUPP, .. })
}

/// `some avg10=5.90 avg60=2.46 avg300=0.79 total=8454464`: the total of the line that begins with `share`, in µs.
fn total(text: &[u8], share: &[u8]) -> Option<i64> {
    let line = parse::lines_of_record(text).find(|line| parse::words(line).next() == Some(share))?;
    let total = parse::words(line).find_map(|word| word.strip_prefix(b"total="))?;
    parse::number(total)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const BOTH: &str = "some avg10=5.90 avg60=2.46 avg300=0.79 total=8454464\n\
                        full avg10=0.00 avg60=0.00 avg300=0.00 total=1000001\n";
    const CPU: &str = "node_pressure_cpu_waiting_seconds_total 8.454464\n";
    const IO: &str =
        "node_pressure_io_stalled_seconds_total 1.000001\nnode_pressure_io_waiting_seconds_total 8.454464\n";

    #[test]
    fn totals_in_seconds() {
        let tree = Tree::new(&[
            ("proc/pressure/cpu", BOTH),
            ("proc/pressure/io", BOTH),
            ("proc/pressure/memory", "some total=2\nfull total=1\n"),
            ("proc/pressure/irq", "full avg10=0.00 avg60=0.00 avg300=0.00 total=3"),
        ]);
        let irq = "node_pressure_irq_stalled_seconds_total 0.000003\n";
        let memory = "node_pressure_memory_stalled_seconds_total 0.000001\n\
                      node_pressure_memory_waiting_seconds_total 0.000002\n";
        tree.check(&SPEC, &[], &format!("{CPU}{IO}{irq}{memory}"));
    }

    #[test]
    fn a_kernel_without_it_has_no_such_collector() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        let refused: String = RESOURCES.iter().map(|(path, _)| format!("proc/{path} EOPNOTSUPP\n")).collect();
        Tree::new(&[("proc/pressure/cpu", BOTH), ("calls/errno", &refused)]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn it_may_be_taken_away() {
        let tree = Tree::new(&[("proc/pressure/cpu", BOTH)]);
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), CPU);
        tree.remove("proc/pressure");
        assert_eq!(opened.round(), "! absent\n");
    }

    #[test]
    fn a_file_that_fails_costs_only_itself() {
        let tree = Tree::new(&[
            ("proc/pressure/io", BOTH),
            ("proc/pressure/memory", "some total=x\nfull avg10=0.00\n"),
            ("proc/pressure/irq", "full avg10=0.00"),
            ("calls/errno", "proc/pressure/cpu EIO\n"),
        ]);
        tree.check(&SPEC, &[], &format!("{IO}! io\n{}", "! malformed\n".repeat(3)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            total(&bytes, b"some");
            total(&[b"some total=", &bytes[..], b"\n"].concat(), b"some");
        }
    }
}
