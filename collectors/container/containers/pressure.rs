//! Waiting for resources: `cpu.pressure`, `io.pressure` and `memory.pressure`, which only version 2 has.
//!
//! Who waits within a cgroup waits within all that it is in: once the figure of the machine, or of a slice, has stood still for
//! a while, so do all others below, and nobody looks at them. For a while, since the kernel adds up each of these files every
//! two seconds only, and each in a rhythm of its own.

use super::cpu::microseconds;
use super::metrics::{Metric, Page, Wanted};
use super::state::State;
use super::{is_below, survive};
use crate::kit::cgroup::{Handle, Node, Trees};
use crate::kit::{Error, Host, KeptFile, parse};
use std::time::Duration;

const FILES: [(&str, Metric, Metric); 3] = [
    ("cpu.pressure", Metric::CpuWaiting, Metric::CpuStalled),
    ("io.pressure", Metric::IoWaiting, Metric::IoStalled),
    ("memory.pressure", Metric::MemoryWaiting, Metric::MemoryStalled),
];

/// After which time a figure has what the machine's has: two of the kernel's periods.
const SETTLED: Duration = Duration::from_secs(4);

/// How long some tasks waited, and how long all of them, in microseconds.
type Totals = (Option<u64>, Option<u64>);

/// The figures of the whole machine, in the order of [`FILES`].
#[derive(Debug)]
pub(super) struct Stalls {
    files: [(KeptFile, Option<u64>); FILES.len()],
    /// When each was last seen to have moved, by [`Host::monotonic`].
    moved: [Duration; FILES.len()],
    /// The cgroup, seen in this round, whose figure has stood still since then, if there is one.
    still: [Option<(String, Duration)>; FILES.len()],
    now: Duration,
}

/// One of the files of a cgroup, and what it said.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    pub(super) handle: Handle,
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    totals: Totals,
    at: Duration,
    /// When it was last seen to have moved.
    moved: Duration,
}

impl Default for Stalls {
    fn default() -> Self {
        let files = ["pressure/cpu", "pressure/io", "pressure/memory"].map(|path| (KeptFile::single(path), None));
        Self { files, moved: Default::default(), still: Default::default(), now: Duration::ZERO }
    }
}

impl Stalls {
    /// Looks whether somebody had to wait, once a round and before the cgroups are looked at.
    pub(super) fn look(&mut self, host: &mut Host, trees: &Trees, now: Duration) {
        (self.now, self.still) = (now, Default::default());
        if trees.of_pressure().is_none() {
            return;
        }
        for ((file, last), moved) in self.files.iter_mut().zip(&mut self.moved) {
            let some = host.read_kept(file).ok().and_then(|text| totals(text).0);
            if some.is_none() || some != *last {
                *moved = now;
            }
            *last = some;
        }
    }
}

/// Looks whether somebody waited in a cgroup that holds several, if that is told of them and not of itself.
pub(super) fn look_above(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    stalls: &mut Stalls,
    (wanted, below): (Wanted, Wanted),
) -> Result<(), Error> {
    let Some(tree) = trees.of_pressure().filter(|_| node.children().len() > 2) else { return Ok(()) };
    for (at, (_, waiting, stalled)) in FILES.into_iter().enumerate() {
        let metrics = [waiting, stalled];
        if below.any(&metrics) && !wanted.any(&metrics) {
            stalls.of(host, tree, node, at)?;
        }
    }
    Ok(())
}

/// Puts them.
pub(super) fn put(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    stalls: &mut Stalls,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    let Some(tree) = trees.of_pressure() else { return Ok(()) };
    for (at, (_, waiting, stalled)) in FILES.into_iter().enumerate() {
        if page.wanted.any(&[waiting, stalled]) {
            let told = stalls.of(host, tree, node, at).map(|(some, full)| {
                page.put(waiting, some.and_then(microseconds));
                page.put(stalled, full.and_then(microseconds));
            });
            survive(told, page)?;
        }
    }
    Ok(())
}

impl Stalls {
    /// What the file of a cgroup says, or has said if that can't have changed.
    fn of(&mut self, host: &mut Host, tree: &str, node: &mut Node<State>, at: usize) -> Result<Totals, Error> {
        let of = &mut node.own.pressure[at];
        let above = self.still[at].as_ref().filter(|(path, _)| is_below(&node.path, path)).map(|(_, since)| *since);
        let moved = above.map_or(self.moved[at], |since| since.min(self.moved[at]));
        let before = of.told.take();
        if let Some(told) = before.filter(|told| told.at >= moved + SETTLED && !node.own.is_due) {
            of.told = before;
            return Ok(told.totals);
        }
        let Some(text) = host.cgroup(tree, &node.path, FILES[at].0, &mut of.handle)? else { return Ok((None, None)) };
        let totals = totals(text);
        let stood = before.filter(|before| before.totals.0.is_some() && before.totals.0 == totals.0);
        let moved = stood.map_or(self.now, |before| before.moved);
        of.told = Some(Told { totals, at: self.now, moved });
        if above.is_none() && self.now >= moved + SETTLED && !node.children().is_empty() {
            self.still[at] = Some((node.path.clone(), moved));
        }
        Ok(totals)
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=42\nfull …`, in microseconds.
fn totals(text: &[u8]) -> Totals {
    let (mut some, mut full) = (None, None);
    for line in parse::lines_of_record(text) {
        let total = parse::words(line).find_map(|word| word.strip_prefix(b"total=")).and_then(parse::number);
        match parse::words(line).next() {
            Some(b"some") => some = total,
            Some(b"full") => full = total,
            _ => {}
        }
    }
    (some, full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn some_and_full() {
        let text = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(totals(text), (Some(42), Some(7)));
        assert_eq!(totals(b"some avg10=0.00 total=42\n"), (Some(42), None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            totals(&bytes);
        }
    }
}
