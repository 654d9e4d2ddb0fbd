//! The processes that use most processor time, and their shares of the packages' power.
//!
//! It is a view of one interval and no part of the ledger: the energy is that of the containers and services in which the
//! processes are. What ends between two samples is not seen here; there, it is.

use super::shares::Spread;
use crate::kit::{Error, Host, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, Value, gauge};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How many are shown at most.
const SHOWN_MAX: u64 = 100;
/// How many are read.
const READ_MAX: usize = 65_536;
/// The kernel counts the time of processes in hundredths of a second, on all machines that we run on.
const TICK: u64 = 10_000_000;
const METHOD: &str = "cpu_time";
/// How long a name may be, in bytes: those of the kernel's own threads are the longest.
const COMM_MAX: usize = 64;

pub(super) static POWER: Family = gauge(
    "node_process_power_watts",
    "Share of the measured power of the packages by processor time over the last sample, in watts, of the processes that used most of it; it is part of the shares of containers and services.",
    &["pid", "comm", "method"],
);

pub(super) const OPTION: Opt = Opt {
    name: "processes",
    kind: OptKind::Number,
    default: "0",
    help: "Of how many processes that use most processor time a share of the power is shown, up to 100. It reads a file of each process every five seconds.",
};

/// What a process had used when it was seen last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    pid: u32,
    /// When it was started, in ticks: numbers are given again.
    start: u64,
    ticks: u64,
}

/// One that is shown: what it used, which it is, and its name.
type Shown = (u64, Reverse<u32>, String);

#[derive(Debug)]
pub(super) struct Processes {
    count: usize,
    pids: Vec<u32>,
    /// In the order of their numbers, now and at the last sample.
    seen: Vec<Seen>,
    before: Vec<Seen>,
    /// The one that used least comes first.
    shown: BinaryHeap<Reverse<Shown>>,
    is_begun: bool,
    /// What all of them used, in nanoseconds, and what is shared out among whom.
    used: u64,
    energy: u64,
    spread: Option<Spread>,
}

impl Processes {
    /// `None`: nobody wants them.
    ///
    /// # Errors
    /// More are wanted than can be.
    pub(super) fn open(options: &Options) -> Result<Option<Self>, Error> {
        let count = options.number(OPTION.name).unwrap_or(0);
        if count > SHOWN_MAX {
            let why = format!("expected no more than {SHOWN_MAX}");
            return Err(Error::Other { path: OPTION.name.to_owned(), why });
        }
        let count = usize::try_from(count).unwrap_or(0);
        Ok((count > 0).then(|| Self {
            count,
            pids: Vec::new(),
            seen: Vec::new(),
            before: Vec::new(),
            shown: BinaryHeap::new(),
            is_begun: false,
            used: 0,
            energy: 0,
            spread: None,
        }))
    }

    /// Reads the times of all processes, right after those of the cgroups.
    pub(super) fn sample(&mut self, energy: u64, spread: Option<Spread>, host: &mut Host, out: &mut Batch) {
        (self.energy, self.spread, self.used) = (energy, spread, 0);
        std::mem::swap(&mut self.seen, &mut self.before);
        self.seen.clear();
        self.shown.clear();
        let pids = host.numbers(Root::Proc, "", &mut self.pids);
        if out.ok(pids).is_none() {
            self.is_begun = false;
            return;
        }
        self.pids.sort_unstable();
        self.pids.truncate(READ_MAX);
        for at in 0..self.pids.len() {
            let Some(pid) = self.pids.get(at).copied() else { break };
            let Some(stat) = out.found(host.read_once(Root::Proc, format_args!("{pid}/stat"))) else { continue };
            let Some((comm, ticks, start)) = times(stat) else {
                let path = format!("/proc/{pid}/stat");
                out.fault(Error::malformed(&path, 1, "a name, times and when it was started"));
                continue;
            };
            self.take(Seen { pid, start, ticks }, comm);
        }
        self.is_begun = true;
    }

    fn take(&mut self, now: Seen, comm: &[u8]) {
        self.seen.push(now);
        if !self.is_begun {
            return;
        }
        let before = self.before.binary_search_by_key(&now.pid, |seen| seen.pid).ok();
        let before = before.and_then(|at| self.before.get(at)).filter(|before| before.start == now.start);
        let used = now.ticks.saturating_sub(before.map_or(0, |before| before.ticks)).saturating_mul(TICK);
        self.used = self.used.saturating_add(used);
        let is_among_them = match self.shown.peek() {
            Some(Reverse((least, pid, _))) if self.shown.len() >= self.count => {
                (used, Reverse(now.pid)) > (*least, *pid)
            }
            _ => true,
        };
        if used > 0 && is_among_them {
            if self.shown.len() >= self.count {
                self.shown.pop();
            }
            let comm = parse::text(comm);
            let comm = comm.get(..comm.floor_char_boundary(COMM_MAX)).unwrap_or_default().to_owned();
            self.shown.push(Reverse((used, Reverse(now.pid), comm)));
        }
    }

    pub(super) fn put(&self, out: &mut Batch) {
        let Some(Spread { whole, passed }) = self.spread else { return };
        // Ticks are coarse: together they may say more than there was.
        let whole = u128::from(whole.max(self.used));
        let nanos = passed.as_nanos();
        for Reverse((used, Reverse(pid), comm)) in &self.shown {
            let share = (u128::from(self.energy) * u128::from(*used)).checked_div(whole).unwrap_or(0);
            let power = (share * 1_000_000_000).checked_div(nanos).and_then(|power| i64::try_from(power).ok());
            if let Some(power) = power.filter(|_| self.energy > 0) {
                let of = out.entity(&["pid", "comm", "method"], [&pid.to_string(), comm, METHOD]);
                out.put(&POWER, of, Value::Scaled(power, 6));
            }
        }
    }
}

/// `17 (a (b) c) S 2 …`: the name, which is anything and ends at the last bracket, and then the 12th and 13th number, time
/// for itself and in the kernel, and the 20th, when it was started.
fn times(stat: &[u8]) -> Option<(&[u8], u64, u64)> {
    let begin = stat.iter().position(|byte| *byte == b'(')?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let comm = stat.get(begin + 1..end)?;
    let mut words = parse::words(stat.get(end + 1..)?);
    let (own, system) = (parse::number(words.nth(11)?)?, parse::number(words.next()?)?);
    let start = parse::number(words.nth(6)?)?;
    Some((comm, own.checked_add(system)?, start))
}

#[cfg(test)]
mod tests;
