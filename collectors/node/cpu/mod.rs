//! `/proc/stat`, its CPU lines, `/sys/devices/system/cpu/{present,online,isolated}`, and what the parts of this folder
//! read: what each CPU spent its time on, and what it is.
//!
//! The kernel's figures can go back. `iowait` does by nature, as the CPU a task waits on may change; a CPU that is
//! plugged in again may start anew. So the last figures are held: a small step back shows the old figure until it is
//! passed, and a CPU whose idle time fell by a lot, or that was away for a round, starts anew.
//!
//! A CPU that is offline has no line, and no series but `node_cpu_online`. That one is shown only where the first CPU
//! can be taken offline too, which on x86 it can't be since Linux 6.5. The two lists tell in two reads what the file
//! `online` of each CPU tells in hundreds.

mod info;
#[cfg(test)]
mod tests;
mod throttle;

use crate::families::cpu::FREQUENCY_HERTZ;
use crate::kit::{Error, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, Value, counter, gauge};
use crate::{Collector, Group, Spec};
use info::{BUG_INFO, FLAG_INFO, INFO, Info};
use std::fmt::Write as _;
use throttle::{CORE_THROTTLES, PACKAGE_THROTTLES, Throttles};

const FOLDER: &str = "devices/system/cpu";
const CPU: &[&str; 1] = &["cpu"];

static SECONDS: Family =
    counter("node_cpu_seconds_total", "Time that each CPU spent in each mode, in seconds.", &["cpu", "mode"]);
static GUEST_SECONDS: Family = counter(
    "node_cpu_guest_seconds_total",
    "Time that each CPU spent running virtual machines, in seconds. It is part of the modes user and nice.",
    &["cpu", "mode"],
);
static ONLINE: Family = gauge("node_cpu_online", "Whether the CPU is online: tasks are put on it.", CPU);
static ISOLATED: Family =
    gauge("node_cpu_isolated", "Always 1: the CPU is isolated, tasks are put on it only when they ask for it.", CPU);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt {
            name: "guest",
            kind: OptKind::Flag,
            default: "true",
            help: "Whether to show node_cpu_guest_seconds_total.",
        },
        Opt {
            name: "info",
            kind: OptKind::Flag,
            default: "false",
            help: "Whether to read /proc/cpuinfo, which takes long on some kernels, and show node_cpu_info and clocks.",
        },
        Opt {
            name: "info.flags-include",
            kind: OptKind::Regex,
            default: "",
            help: "Features of the first CPU to show as node_cpu_flag_info; turns info on.",
        },
        Opt {
            name: "info.bugs-include",
            kind: OptKind::Regex,
            default: "",
            help: "Flaws of the first CPU to show as node_cpu_bug_info; turns info on.",
        },
    ],
    ..Spec::new(
        Group::Node,
        "cpu",
        "What each CPU spends its time on, from /proc/stat; isolated and throttled CPUs, from /sys/devices/system/cpu.",
        &[
            &SECONDS,
            &GUEST_SECONDS,
            &ONLINE,
            &ISOLATED,
            &CORE_THROTTLES,
            &PACKAGE_THROTTLES,
            &INFO,
            &FREQUENCY_HERTZ,
            &FLAG_INFO,
            &BUG_INFO,
        ],
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
    lists: Lists,
    throttles: Throttles,
    info: Option<Info>,
}

/// What was said of a CPU last.
struct Held {
    cpu: u32,
    ticks: [i64; COLUMNS],
}

/// The kernel's lists of CPUs.
struct Lists {
    /// Whether each CPU that is present is online too; `None`: it always is.
    online: Option<[KeptFile; 2]>,
    isolated: Option<KeptFile>,
    ranges: Vec<(u32, u32)>,
    label: String,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let list = |name| KeptFile::new(Root::Sys, format!("{FOLDER}/{name}"));
    let online = host.exists(Root::Sys, format_args!("{FOLDER}/cpu0/online"));
    let isolated = host.exists(Root::Sys, format_args!("{FOLDER}/isolated"));
    Ok(Some(Box::new(Cpu {
        stat: KeptFile::shared("stat"),
        shown: if options.flag("guest") { COLUMNS } else { GUEST },
        held: Vec::new(),
        before: Vec::new(),
        lists: Lists {
            online: online.then(|| [list("online"), list("present")]),
            isolated: isolated.then(|| list("isolated").rarely()),
            ranges: Vec::new(),
            label: String::new(),
        },
        throttles: Throttles::default(),
        info: Info::asked_for(options),
    })))
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
        if self.held.is_empty() {
            return Err(Error::malformed("/proc/stat", 0, "a line for each CPU"));
        }
        if !self.held.iter().map(|held| held.cpu).eq(self.before.iter().map(|held| held.cpu)) {
            self.throttles.cpus_changed();
        }
        self.throttles.put(host, out);
        let told = self.lists.put_online(host, out);
        out.ok(told);
        let told = self.lists.put_isolated(host, out);
        out.ok(told);
        let told = self.info.as_mut().map_or(Ok(()), |info| info.put(host, out));
        out.ok(told);
        Ok(())
    }
}

impl Cpu {
    fn put(&mut self, now: &Line<'_>, out: &mut Batch) {
        let before = self.before.binary_search_by_key(&now.cpu, |held| held.cpu);
        let before = before.ok().and_then(|at| self.before.get(at)).map_or([0; COLUMNS], |held| held.ticks);
        let ticks = advance(before, &now.ticks);
        let of = out.entity(CPU, [now.label]);
        for ((family, mode), (tick, ticks)) in MODES.iter().take(self.shown).zip(now.ticks.iter().zip(ticks)) {
            if matches!(tick, Tick::Count(_)) {
                let of = out.part(of, &["mode"], [mode]);
                out.put(*family, of, Value::Scaled(ticks, 2));
            }
        }
        self.held.push(Held { cpu: now.cpu, ticks });
    }
}

impl Lists {
    fn put_online(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let Some([online, present]) = &mut self.online else { return Ok(()) };
        let expected = |name| Error::malformed(name, 1, "a list such as 0-3,5");
        self.ranges.clear();
        let list = match host.read_kept(online) {
            Err(error) if error.is_absent() => return put_each_online(host, out),
            list => list?,
        };
        for range in parse::ranges(list) {
            self.ranges.push(range.ok_or_else(|| expected("/sys/devices/system/cpu/online"))?);
        }
        for range in parse::ranges(host.read_kept(present)?) {
            let (first, last) = range.ok_or_else(|| expected("/sys/devices/system/cpu/present"))?;
            for cpu in first..=last {
                let is_online = self.ranges.iter().any(|(first, last)| (first..=last).contains(&&cpu));
                let of = out.entity(CPU, [number(&mut self.label, cpu)]);
                out.put(&ONLINE, of, is_online);
            }
        }
        Ok(())
    }

    /// The list is of what was said at start, and on new kernels of what cpusets say since.
    fn put_isolated(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let Some(isolated) = &mut self.isolated else { return Ok(()) };
        for range in parse::ranges(host.read_kept(isolated)?) {
            let (first, last) =
                range.ok_or_else(|| Error::malformed("/sys/devices/system/cpu/isolated", 1, "a list such as 0-3,5"))?;
            for cpu in first..=last {
                let of = out.entity(CPU, [number(&mut self.label, cpu)]);
                out.put(&ISOLATED, of, true);
            }
        }
        Ok(())
    }
}

/// By the file of each CPU: in a copy of sysfs the lists may be left out.
fn put_each_online(host: &mut Host, out: &mut Batch) -> Result<(), Error> {
    let is_cpu = |name: &str| name.strip_prefix("cpu").is_some_and(|cpu| parse::number(cpu.as_bytes()).is_some());
    for name in host.devices(Root::Sys, FOLDER, is_cpu)? {
        let online = host.number(Root::Sys, format_args!("{FOLDER}/{name}/online"));
        let of = out.entity(CPU, [name.trim_start_matches("cpu")]);
        let online = out.found(online);
        out.put_some(&ONLINE, of, online);
    }
    Ok(())
}

/// The number as text, in memory that is used again.
fn number(label: &mut String, number: u32) -> &str {
    label.clear();
    // Writing to a string can't fail.
    let _ = write!(label, "{number}");
    label
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
