//! Waiting for resources: `cpu.pressure`, `io.pressure` and `memory.pressure`, which only version 2 has.

use super::cpu::microseconds;
use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Node, Trees};
use crate::kit::{Error, Host, parse};
use crate::model::Value;

const FILES: [(&str, Metric, Metric); 3] = [
    ("cpu.pressure", Metric::CpuWaiting, Metric::CpuStalled),
    ("io.pressure", Metric::IoWaiting, Metric::IoStalled),
    ("memory.pressure", Metric::MemoryWaiting, Metric::MemoryStalled),
];

/// Puts them.
pub(super) fn put(host: &mut Host, trees: &Trees, node: &mut Node<State>, page: &mut Page<'_>) -> Result<(), Error> {
    let Some(tree) = trees.of_pressure() else { return Ok(()) };
    for ((file, waiting, stalled), handle) in FILES.into_iter().zip(&mut node.own.pressure) {
        if !page.wanted.any(&[waiting, stalled]) {
            continue;
        }
        if let Some(text) = host.cgroup(tree, &node.path, file, handle)? {
            let (some, full) = totals(text);
            page.put(waiting, some);
            page.put(stalled, full);
        }
    }
    Ok(())
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=42\nfull …`, in microseconds.
fn totals(text: &[u8]) -> (Option<Value>, Option<Value>) {
    let (mut some, mut full) = (None, None);
    for line in parse::lines_of_record(text) {
        let total = parse::words(line).find_map(|word| word.strip_prefix(b"total="));
        let total = total.and_then(parse::number).and_then(microseconds);
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
        assert_eq!(totals(text), (Some(Value::Scaled(42, 6)), Some(Value::Scaled(7, 6))));
        assert_eq!(totals(b"some avg10=0.00 total=42\n"), (Some(Value::Scaled(42, 6)), None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            totals(&bytes);
        }
    }
}
