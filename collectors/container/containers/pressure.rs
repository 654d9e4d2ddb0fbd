//! Waiting for resources: `cpu.pressure`, `io.pressure` and `memory.pressure`, which only version 2 has.
//!
//! Who waits within a cgroup waits within the machine too: once the machine's own figure has stood still for a while, so do
//! all others, and nobody looks at them. For a while, since the kernel adds up each of these files every two seconds only, and
//! each in a rhythm of its own.

use super::cpu::microseconds;
use super::metrics::{Metric, Page};
use super::state::State;
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
    now: Duration,
}

/// One of the files of a cgroup, what it said, and when.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    pub(super) handle: Handle,
    told: Option<(Totals, Duration)>,
}

impl Default for Stalls {
    fn default() -> Self {
        let files = ["pressure/cpu", "pressure/io", "pressure/memory"].map(|path| (KeptFile::single(path), None));
        Self { files, moved: Default::default(), now: Duration::ZERO }
    }
}

impl Stalls {
    /// Looks whether somebody had to wait, once a round and before the cgroups are looked at.
    pub(super) fn look(&mut self, host: &mut Host, trees: &Trees, now: Duration) {
        self.now = now;
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

/// Puts them.
pub(super) fn put(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    stalls: &Stalls,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    let Some(tree) = trees.of_pressure() else { return Ok(()) };
    let is_due = node.own.is_due;
    for (((file, waiting, stalled), of), moved) in FILES.into_iter().zip(&mut node.own.pressure).zip(stalls.moved) {
        if !page.wanted.any(&[waiting, stalled]) {
            continue;
        }
        let (some, full) = match of.told {
            Some((totals, at)) if at >= moved + SETTLED && !is_due => totals,
            _ => {
                of.told = None;
                let Some(text) = host.cgroup(tree, &node.path, file, &mut of.handle)? else { continue };
                let totals = totals(text);
                of.told = Some((totals, stalls.now));
                totals
            }
        };
        page.put(waiting, some.and_then(microseconds));
        page.put(stalled, full.and_then(microseconds));
    }
    Ok(())
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
