//! `/proc/schedstat`: how long each CPU ran tasks, and how long tasks waited for it.
//!
//! Only kernels built with `CONFIG_SCHEDSTATS` have it. The lines of scheduling domains, several for each CPU, make up
//! most of it and are skipped.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, Value, counter};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static RUNNING: Family =
    counter("node_schedstat_running_seconds_total", "Time that the CPU spent running tasks, in seconds.", &["cpu"]);
static WAITING: Family =
    counter("node_schedstat_waiting_seconds_total", "Time that tasks waited for the CPU, in seconds.", &["cpu"]);
static TIMESLICES: Family =
    counter("node_schedstat_timeslices_total", "How often a task was put on the CPU.", &["cpu"]);

/// Its row in the table. A machine with 256 CPUs prints some 200 KB.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "schedstat",
        "How long tasks ran on each CPU and waited for it, from /proc/schedstat.",
        &[&RUNNING, &WAITING, &TIMESLICES],
        open,
    )
};

struct Schedstat(KeptFile);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let is_there = host.exists(Root::Proc, "schedstat");
    Ok(if is_there { Some(Box::new(Schedstat(KeptFile::new(Root::Proc, "schedstat")))) } else { None })
}

impl Collector for Schedstat {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.0)?;
        for (line, number) in parse::lines(text).zip(1..) {
            if !line.starts_with(b"cpu") {
                continue;
            }
            let Some(cpu) = cpu(line) else {
                out.fault(Error::malformed("/proc/schedstat", number, "a CPU and nine numbers"));
                continue;
            };
            let of = out.entity(&["cpu"], [cpu.label]);
            out.put(&RUNNING, of, seconds(cpu.running_ns));
            out.put(&WAITING, of, seconds(cpu.waiting_ns));
            out.put(&TIMESLICES, of, cpu.timeslices);
        }
        Ok(())
    }
}

struct Cpu<'a> {
    label: &'a str,
    running_ns: u64,
    waiting_ns: u64,
    timeslices: u64,
}

/// `cpu0 0 0 6403 2553 3853 2465 94281390 10277912 3722`: the CPU and its last three figures.
fn cpu(line: &[u8]) -> Option<Cpu<'_>> {
    /// How many figures come before: yields, switches, wake-ups.
    const BEFORE: usize = 6;
    let mut words = parse::words(line);
    let label = words.next()?.strip_prefix(b"cpu")?;
    parse::number(label)?;
    let mut figures = words.map(parse::number).skip(BEFORE);
    let mut next = || figures.next()?;
    Some(Cpu { label: std::str::from_utf8(label).ok()?, running_ns: next()?, waiting_ns: next()?, timeslices: next()? })
}

fn seconds(ns: u64) -> Value {
    i64::try_from(ns).map_or(Value::Float(ns as f64 / 1e9), |ns| Value::Scaled(ns, 9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn page(cpu: &str, running: &str, waiting: &str, timeslices: u64) -> [String; 3] {
        [
            format!("node_schedstat_running_seconds_total{{cpu=\"{cpu}\"}} {running}\n"),
            format!("node_schedstat_timeslices_total{{cpu=\"{cpu}\"}} {timeslices}\n"),
            format!("node_schedstat_waiting_seconds_total{{cpu=\"{cpu}\"}} {waiting}\n"),
        ]
    }

    #[test]
    fn nanoseconds_become_seconds() {
        let text = "version 17\ntimestamp 4294952032\n\
                    cpu0 0 0 6403 2553 3853 2465 1500000000 250000001 3722\ndomain0 MC 3 12 12 0 0 0 0 0 12\n\
                    cpu12 0 0 1 1 1 1 2000000000 0 7\n";
        let [a, b] = [page("0", "1.5", "0.250000001", 3722), page("12", "2", "0", 7)];
        let expected: String = a.iter().zip(&b).flat_map(|(a, b)| [a.as_str(), b.as_str()]).collect();
        Tree::new(&[("proc/schedstat", text)]).check(&SPEC, &[], &expected);
    }

    #[test]
    fn a_bad_line_costs_only_itself() {
        let text = "cpu0 0 0 1 1 1 1 5\ncpux 0 0 1 1 1 1 5 5 5\ncpu1 0 0 1 1 1 1 18446744073709551616 0 1\n\
                    cpu2 0 0 1 1 1 1 1000000000 0 1 99\ncpu3 0 0 1 1 1 1 5 5 5";
        let expected = format!("{}{}", page("2", "1", "0", 1).concat(), "! malformed\n".repeat(3));
        Tree::new(&[("proc/schedstat", text)]).check(&SPEC, &[], &expected);
    }

    #[test]
    fn what_has_run_below_zero_is_told_as_the_kernel_prints_it() {
        let tree = Tree::new(&[("proc/schedstat", "cpu0 0 0 1 1 1 1 1 18446744073709551615 1\n")]);
        tree.check(&SPEC, &[], &page("0", "0.000000001", "18446744073.709553", 1).concat());
    }

    #[test]
    fn kernels_without_it_have_no_such_collector() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            cpu(&bytes);
            cpu(&[b"cpu0 1 1 1 1 1 1 1 ", &bytes[..]].concat());
        }
    }
}
