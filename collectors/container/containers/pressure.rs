//! Waiting for resources: `cpu.pressure`, `io.pressure` and `memory.pressure`, which only version 2 has.
//!
//! Who waits within a cgroup waits within the machine too: while the machine's own figure stands still, so do all others, and
//! nobody looks at them.

use super::cpu::microseconds;
use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Handle, Node, Trees};
use crate::kit::{Error, Host, KeptFile, parse};

const FILES: [(&str, Metric, Metric); 3] = [
    ("cpu.pressure", Metric::CpuWaiting, Metric::CpuStalled),
    ("io.pressure", Metric::IoWaiting, Metric::IoStalled),
    ("memory.pressure", Metric::MemoryWaiting, Metric::MemoryStalled),
];

/// How long some tasks waited, and how long all of them, in microseconds.
type Totals = (Option<u64>, Option<u64>);

/// The figures of the whole machine, in the order of [`FILES`].
#[derive(Debug)]
pub(super) struct Stalls([(KeptFile, Option<u64>, u32); FILES.len()]);

/// One of the files of a cgroup, what it said, and how often the machine's figure had moved by then.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    pub(super) handle: Handle,
    told: Option<(Totals, u32)>,
}

impl Default for Stalls {
    fn default() -> Self {
        Self(["pressure/cpu", "pressure/io", "pressure/memory"].map(|path| (KeptFile::single(path), None, 0)))
    }
}

impl Stalls {
    /// Looks whether somebody had to wait, once a round and before the cgroups are looked at.
    pub(super) fn look(&mut self, host: &mut Host, trees: &Trees) {
        if trees.of_pressure().is_none() {
            return;
        }
        for (file, last, moves) in &mut self.0 {
            let some = host.read_kept(file).ok().and_then(|text| totals(text).0);
            if some.is_none() || some != *last {
                *moves = moves.wrapping_add(1);
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
    Stalls(stalls): &Stalls,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    let Some(tree) = trees.of_pressure() else { return Ok(()) };
    let is_due = node.own.is_due;
    for (((file, waiting, stalled), of), (.., moves)) in FILES.into_iter().zip(&mut node.own.pressure).zip(stalls) {
        if !page.wanted.any(&[waiting, stalled]) {
            continue;
        }
        let (some, full) = match of.told {
            Some((totals, at)) if at == *moves && !is_due => totals,
            _ => {
                of.told = None;
                let Some(text) = host.cgroup(tree, &node.path, file, &mut of.handle)? else { continue };
                let totals = totals(text);
                of.told = Some((totals, *moves));
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
