//! `/proc/stat`, its CPU lines, and `/sys/devices/system/cpu/{present,online}`: what each CPU spent its time on.
//!
//! The kernel's figures can go back. `iowait` does by nature, as the CPU a task waits on may change; a CPU that is
//! plugged in again may start anew. So the last figures are held: a small step back shows the old figure until it is
//! passed, and a CPU whose idle time fell by a lot, or that was away for a round, starts anew.
//!
//! A CPU that is offline has no line, and no series but `node_cpu_online`. That one is shown only where the first CPU
//! can be taken offline too, which on x86 it can't be since Linux 6.5. The two lists tell in two reads what the file
//! `online` of each CPU tells in hundreds.

use crate::kit::{Error, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, Value, counter, gauge};
use crate::{Collector, Group, Spec};
use std::fmt::Write as _;

static SECONDS: Family =
    counter("node_cpu_seconds_total", "Time that each CPU spent in each mode, in seconds.", &["cpu", "mode"]);
static GUEST_SECONDS: Family = counter(
    "node_cpu_guest_seconds_total",
    "Time that each CPU spent running virtual machines, in seconds. It is part of the modes user and nice.",
    &["cpu", "mode"],
);
static ONLINE: Family = gauge("node_cpu_online", "Whether the CPU is online: tasks are put on it.", &["cpu"]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt {
        name: "guest",
        kind: OptKind::Flag,
        default: "true",
        help: "Whether to show node_cpu_guest_seconds_total.",
    }],
    ..Spec::new(
        Group::Node,
        "cpu",
        "What each CPU spends its time on, from /proc/stat.",
        &[&SECONDS, &GUEST_SECONDS, &ONLINE],
        open,
    )
};

/// The columns of a CPU line; old kernels have fewer.
const MODES: [(&Family, &str); COLUMNS] = [
    (&SECONDS, "user"),
    (&SECONDS, "nice"),
    (&SECONDS, "system"),
    (&SECONDS, "idle"),
    (&SECONDS, "iowait"),
    (&SECONDS, "irq"),
    (&SECONDS, "softirq"),
    (&SECONDS, "steal"),
    (&GUEST_SECONDS, "user"),
    (&GUEST_SECONDS, "nice"),
];
const COLUMNS: usize = 10;
const GUEST: usize = 8;
const IDLE: usize = 3;
/// Idle time that falls by so many ticks (3 s) was not adjusted but started anew.
const ANEW: i64 = 300;
/// No kernel is built for more CPUs.
const CPUS_MAX: u32 = 8192;

struct Cpu {
    stat: KeptFile,
    /// How many columns are shown.
    shown: usize,
    held: Vec<Held>,
    before: Vec<Held>,
    online: Option<Online>,
}

/// What was said of a CPU last.
struct Held {
    cpu: u32,
    ticks: [i64; COLUMNS],
}

struct Online {
    present: KeptFile,
    online: KeptFile,
    ranges: Vec<(u32, u32)>,
    label: String,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let online = host.exists(Root::Sys, "devices/system/cpu/cpu0/online").then(|| Online {
        present: KeptFile::new(Root::Sys, "devices/system/cpu/present"),
        online: KeptFile::new(Root::Sys, "devices/system/cpu/online"),
        ranges: Vec::new(),
        label: String::new(),
    });
    let stat = KeptFile::shared("stat");
    let shown = if options.flag("guest") { COLUMNS } else { GUEST };
    Ok(Some(Box::new(Cpu { stat, shown, held: Vec::new(), before: Vec::new(), online })))
}

impl Collector for Cpu {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.stat)?;
        std::mem::swap(&mut self.held, &mut self.before);
        self.held.clear();
        // The CPU lines come first: stop before the endless line `intr`.
        for (line, number) in parse::lines(text).take_while(|line| line.starts_with(b"cpu")).zip(1..) {
            if line.starts_with(b"cpu ") {
                continue;
            }
            match cpu(line).filter(|now| self.held.last().is_none_or(|last| last.cpu < now.cpu)) {
                Some(now) => {
                    if now.ticks.contains(&Tick::Malformed) {
                        out.fault(Error::malformed("/proc/stat", number, "counts of clock ticks"));
                    }
                    self.put(&now, out);
                }
                None => out.fault(Error::malformed("/proc/stat", number, "CPUs in rising order")),
            }
        }
        if let Some(online) = &mut self.online {
            let told = online.put(host, out);
            out.ok(told);
        }
        if self.held.is_empty() { Err(Error::malformed("/proc/stat", 0, "a line for each CPU")) } else { Ok(()) }
    }
}

impl Cpu {
    fn put(&mut self, now: &Line<'_>, out: &mut Batch) {
        let before = self.before.binary_search_by_key(&now.cpu, |held| held.cpu);
        let before = before.ok().and_then(|at| self.before.get(at)).map_or([0; COLUMNS], |held| held.ticks);
        let ticks = advance(before, &now.ticks);
        let of = out.entity(&["cpu"], [now.label]);
        for ((family, mode), (tick, ticks)) in MODES.iter().take(self.shown).zip(now.ticks.iter().zip(ticks)) {
            if matches!(tick, Tick::Count(_)) {
                let of = out.part(of, &["mode"], [mode]);
                out.put(*family, of, Value::Scaled(ticks, 2));
            }
        }
        self.held.push(Held { cpu: now.cpu, ticks });
    }
}

impl Online {
    fn put(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let expected = |name| Error::malformed(name, 1, "a list such as 0-3,5");
        self.ranges.clear();
        for range in parse::ranges(host.read_kept(&mut self.online)?) {
            self.ranges.push(range.ok_or_else(|| expected("/sys/devices/system/cpu/online"))?);
        }
        for range in parse::ranges(host.read_kept(&mut self.present)?) {
            let (first, last) = range.ok_or_else(|| expected("/sys/devices/system/cpu/present"))?;
            for cpu in first..=last {
                self.label.clear();
                // Writing to a string can't fail.
                let _ = write!(self.label, "{cpu}");
                let is_online = self.ranges.iter().any(|(first, last)| (first..=last).contains(&&cpu));
                let of = out.entity(&["cpu"], [&self.label]);
                out.put(&ONLINE, of, is_online);
            }
        }
        Ok(())
    }
}

/// What to say of a CPU of which `before` was said and that says `now`.
fn advance(before: [i64; COLUMNS], now: &[Tick; COLUMNS]) -> [i64; COLUMNS] {
    let is_anew = matches!(now[IDLE], Tick::Count(idle) if before[IDLE] - idle >= ANEW);
    let before = if is_anew { [0; COLUMNS] } else { before };
    std::array::from_fn(|at| match now[at] {
        Tick::Count(ticks) => ticks.max(before[at]),
        Tick::None | Tick::Malformed => before[at],
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tick {
    /// The kernel is too old for this column.
    None,
    Malformed,
    Count(i64),
}

struct Line<'a> {
    cpu: u32,
    label: &'a str,
    ticks: [Tick; COLUMNS],
}

/// `cpu3 1166 938 1242 141998 41 0 10 2 0 0`: the CPU and its ticks; old kernels have fewer columns.
fn cpu(line: &[u8]) -> Option<Line<'_>> {
    let mut words = parse::words(line);
    let label = words.next()?.strip_prefix(b"cpu")?;
    let cpu = u32::try_from(parse::number(label)?).ok().filter(|cpu| *cpu < CPUS_MAX)?;
    let mut ticks = [Tick::None; COLUMNS];
    for (tick, word) in ticks.iter_mut().zip(words) {
        let count = parse::number(word).and_then(|count| i64::try_from(count).ok());
        *tick = count.map_or(Tick::Malformed, Tick::Count);
    }
    Some(Line { cpu, label: std::str::from_utf8(label).ok()?, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn seconds_by_mode() {
        let tree = Tree::new(&[("proc/stat", "cpu  9 9 9 9\ncpu0 1 2 3 4 5 6 7 150 30 11\nintr 1\n")]);
        let figures = [("user", 0.01), ("nice", 0.02), ("system", 0.03), ("idle", 0.04)];
        let more = [("iowait", 0.05), ("irq", 0.06), ("softirq", 0.07), ("steal", 1.5)];
        let page: String = figures
            .iter()
            .chain(&more)
            .map(|(mode, seconds)| format!("node_cpu_seconds_total{{cpu=\"0\",mode={mode:?}}} {seconds}\n"))
            .collect();
        tree.check(&SPEC, &[("guest", "false")], &page);
        let guest = "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"} 0.3\n\
                     node_cpu_guest_seconds_total{cpu=\"0\",mode=\"nice\"} 0.11\n";
        tree.check(&SPEC, &[], &format!("{guest}{page}"));
    }

    fn page(cpus: &[(&str, [f64; 4])]) -> String {
        let line = |cpu, (mode, x)| format!("node_cpu_seconds_total{{cpu={cpu:?},mode={mode:?}}} {x}\n");
        cpus.iter()
            .flat_map(|(cpu, seconds)| {
                MODES.iter().zip(seconds).map(move |((_, mode), seconds)| line(cpu, (mode, seconds)))
            })
            .collect()
    }

    #[test]
    fn small_steps_back_are_held_and_large_ones_start_anew() {
        let tree = Tree::new(&[("proc/stat", "cpu0 100 0 0 1000\n")]);
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), page(&[("0", [1.0, 0.0, 0.0, 10.0])]));
        tree.remove("proc/stat");
        assert_eq!(opened.round(), "! absent\n");
        tree.write("proc/stat", "cpu0 90 100 0 701\n");
        assert_eq!(opened.round(), page(&[("0", [1.0, 1.0, 0.0, 10.0])]));
        tree.write("proc/stat", "cpu0 90 100 0 700\n");
        assert_eq!(opened.round(), page(&[("0", [0.9, 1.0, 0.0, 7.0])]));
    }

    #[test]
    fn a_cpu_that_was_away_starts_anew() {
        let both = "cpu0 100 0 0 0\ncpu1 500 0 0 0\n";
        let tree = Tree::new(&[("proc/stat", both)]);
        let mut opened = tree.open(&SPEC, &[]);
        let seconds = |x| [x, 0.0, 0.0, 0.0];
        assert_eq!(opened.round(), page(&[("0", seconds(1.0)), ("1", seconds(5.0))]));
        tree.write("proc/stat", "cpu1 600 0 0 0\n");
        assert_eq!(opened.round(), page(&[("1", seconds(6.0))]));
        tree.write("proc/stat", both);
        assert_eq!(opened.round(), page(&[("0", seconds(1.0)), ("1", seconds(6.0))]));
        tree.write("proc/stat", "cpu0 10 0 0 0\n");
        assert_eq!(opened.round(), page(&[("0", seconds(1.0))]));
        tree.write("proc/stat", "cpu0 10 0 0 0\ncpu1 1 0 0 0\n");
        assert_eq!(opened.round(), page(&[("0", seconds(1.0)), ("1", seconds(0.01))]));
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let tree = Tree::new(&[("proc/stat", "cpu0 1 x 3\ncpu0 1 2 3\ncpu9999 1\ncpux 1\ncpu1 5\ncpu2 7")]);
        let expected = "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 0.01\n\
                        node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 0.03\n\
                        node_cpu_seconds_total{cpu=\"1\",mode=\"user\"} 0.05\n";
        tree.check(&SPEC, &[], &format!("{expected}{}", "! malformed\n".repeat(4)));
        Tree::new(&[("proc/stat", "intr 1\n")]).check(&SPEC, &[], "! malformed\n");
    }

    #[test]
    fn offline_cpus_are_told_where_the_first_can_be_one() {
        let lists = [
            ("proc/stat", "cpu0 1\n"),
            ("sys/devices/system/cpu/present", "0-2,4\n"),
            ("sys/devices/system/cpu/online", "0,2\n"),
        ];
        let tree = Tree::new(&lists);
        let seconds = "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 0.01\n";
        tree.check(&SPEC, &[], seconds);
        tree.write("sys/devices/system/cpu/cpu0/online", "1\n");
        let online = "node_cpu_online{cpu=\"0\"} 1\nnode_cpu_online{cpu=\"1\"} 0\n\
                      node_cpu_online{cpu=\"2\"} 1\nnode_cpu_online{cpu=\"4\"} 0\n";
        tree.check(&SPEC, &[], &format!("{online}{seconds}"));
        tree.write("sys/devices/system/cpu/present", "0-4294967295\n");
        tree.check(&SPEC, &[], &format!("{seconds}! malformed\n"));
        tree.remove("sys/devices/system/cpu/online");
        tree.check(&SPEC, &[], &format!("{seconds}! absent\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            cpu(&bytes);
            cpu(&[b"cpu0 ", &bytes[..]].concat());
            parse::ranges(&bytes).for_each(drop);
        }

        #[test]
        fn nothing_goes_back_while_idle_does_not(a: [u32; COLUMNS], b: [u32; COLUMNS]) {
            let before = a.map(i64::from);
            let mut now = b.map(|ticks| Tick::Count(ticks.into()));
            now[IDLE] = Tick::Count(before[IDLE]);
            let after = advance(before, &now);
            prop_assert!(before.iter().zip(after).all(|(before, after)| *before <= after));
        }
    }
}
