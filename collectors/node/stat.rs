//! `/proc/stat` without its CPU lines: boot, scheduling, interrupts.
//!
//! The line `intr` names every interrupt of the machine and is by far the longest; only its sum is read.

use crate::kit::{Error, Host, KeptFile, Opt, OptKind, Options, parse};
use crate::model::{Batch, Family, counter, gauge};
use crate::{Collector, Group, Spec};

static BOOT_TIME: Family = gauge("node_boot_time_seconds", "When the machine started, in seconds since 1970.", &[]);
static CONTEXT_SWITCHES: Family =
    counter("node_context_switches_total", "How often a CPU went from one task to another.", &[]);
static FORKS: Family = counter("node_forks_total", "Processes and threads that were started.", &[]);
static INTR: Family = counter("node_intr_total", "Interrupts that were served.", &[]);
static PROCS_RUNNING: Family = gauge("node_procs_running", "Tasks that run or wait for a CPU.", &[]);
static PROCS_BLOCKED: Family = gauge("node_procs_blocked", "Tasks that wait for I/O.", &[]);
static SOFTIRQS: Family =
    counter("node_softirqs_total", "Interrupts whose work was put off, by what they were for.", &["vector"]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt {
        name: "softirq",
        kind: OptKind::Flag,
        default: "false",
        help: "Whether to show node_softirqs_total, one series for each kind of deferred interrupt.",
    }],
    ..Spec::new(
        Group::Node,
        "stat",
        "Boot time, context switches, forks, interrupts and waiting tasks from /proc/stat.",
        &[&BOOT_TIME, &CONTEXT_SWITCHES, &FORKS, &INTR, &PROCS_RUNNING, &PROCS_BLOCKED, &SOFTIRQS],
        open,
    )
};

/// The deferred interrupts, in the order of the line `softirq`, after its sum.
const VECTORS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

struct Stat {
    file: KeptFile,
    softirq: bool,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Stat { file: KeptFile::shared("stat"), softirq: options.flag("softirq") })))
}

impl Collector for Stat {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        let machine = out.machine();
        for (line, number) in parse::lines_of_record(text).zip(1..) {
            if let Some((family, count)) = figure(line) {
                match count {
                    Some(count) => out.put(family, machine, count),
                    None => out.fault(Error::malformed("/proc/stat", number, "a count")),
                }
            } else if self.softirq && line.starts_with(b"softirq ") {
                for (vector, count) in softirqs(line) {
                    let of = out.entity(&["vector"], [vector]);
                    match count {
                        Some(count) => out.put(&SOFTIRQS, of, count),
                        None => out.fault(Error::malformed("/proc/stat", number, "a count of softirqs")),
                    }
                }
            }
        }
        if out.is_empty() { Err(Error::malformed("/proc/stat", 0, "ctxt, intr and the like")) } else { Ok(()) }
    }
}

/// `ctxt 407499`, or `intr 233185 0 0 13`: what is counted, and the count; `None` for all other lines.
fn figure(line: &[u8]) -> Option<(&'static Family, Option<u64>)> {
    let mut words = parse::words(line);
    let family = match words.next()? {
        b"btime" => &BOOT_TIME,
        b"ctxt" => &CONTEXT_SWITCHES,
        b"intr" => &INTR,
        b"processes" => &FORKS,
        b"procs_running" => &PROCS_RUNNING,
        b"procs_blocked" => &PROCS_BLOCKED,
        _ => return None,
    };
    Some((family, words.next().and_then(parse::number)))
}

/// `softirq 160095 0 19689 4 3744`: the counts by vector.
fn softirqs(line: &[u8]) -> impl Iterator<Item = (&'static str, Option<u64>)> {
    VECTORS.into_iter().zip(parse::words(line).skip(2).map(parse::number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const TEXT: &str = "cpu  1 2 3 4\ncpu0 1 2 3 4\nintr 900 1 2 3\nctxt 800\nbtime 1700000000\nprocesses 70\n\
                        procs_running 3\nprocs_blocked 1\nsoftirq 55 1 2 3 4 5 6 7 8 9 10\n";
    const PAGE: &str = "node_boot_time_seconds 1700000000\nnode_context_switches_total 800\nnode_forks_total 70\n\
                        node_intr_total 900\nnode_procs_blocked 1\nnode_procs_running 3\n";

    #[test]
    fn sums_of_the_machine() {
        Tree::new(&[("proc/stat", TEXT)]).check(&SPEC, &[], PAGE);
    }

    #[test]
    fn softirqs_are_shown_when_asked_for() {
        let vectors: String =
            VECTORS.iter().zip(1..).map(|(v, n)| format!("node_softirqs_total{{vector=\"{v}\"}} {n}\n")).collect();
        Tree::new(&[("proc/stat", TEXT)]).check(&SPEC, &[("softirq", "true")], &format!("{PAGE}{vectors}"));
    }

    #[test]
    fn a_bad_line_costs_only_itself() {
        let tree = Tree::new(&[("proc/stat", "intr\nctxt -1\nprocesses 70")]);
        tree.check(&SPEC, &[], "node_forks_total 70\n! malformed\n! malformed\n");
        Tree::new(&[("proc/stat", "else 1\n")]).check(&SPEC, &[], "! malformed\n");
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            figure(&bytes);
            prop_assert!(softirqs(&bytes).count() <= VECTORS.len());
        }
    }
}
