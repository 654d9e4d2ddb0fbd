//! What the scheduler of a disk counts for each cgroup of version 1, where it is BFQ or CFQ; told where it is asked for.
//!
//! Since Linux 5.3, BFQ does so only in kernels that are built for looking into it. Three reads of three calls.

use super::cpu::nanoseconds;
use super::io::{DISKS_MAX, Disks, Number, number};
use super::metrics::{Metric, Page};
use crate::kit::cgroup::Handle;
use crate::kit::{Error, Host, parse};

/// The files, behind the prefix of the scheduler, and what is told of reads, of writes and of all; times are in nanoseconds.
type File = (&'static str, bool, [Option<Metric>; 3]);
const FILES: [File; 3] = [
    ("io_merged_recursive", false, [Some(Metric::ReadsMerged), Some(Metric::WritesMerged), None]),
    ("io_service_time_recursive", true, [Some(Metric::ReadSeconds), Some(Metric::WriteSeconds), Some(Metric::IoTime)]),
    ("io_queued_recursive", false, [None, None, Some(Metric::IoCurrent)]),
];
pub(super) const NAMES: [Metric; 6] = [
    Metric::ReadsMerged,
    Metric::WritesMerged,
    Metric::ReadSeconds,
    Metric::WriteSeconds,
    Metric::IoTime,
    Metric::IoCurrent,
];

/// Puts it. `bytes` is the file that tells of bytes: whose it is tells which scheduler counts.
pub(super) fn put(
    host: &mut Host,
    tree: &str,
    path: &str,
    bytes: &str,
    disks: &mut Disks,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    let Some(prefix) = bytes.strip_suffix("io_service_bytes_recursive").filter(|prefix| !prefix.contains("throttle"))
    else {
        return Ok(());
    };
    for (file, is_time, metrics) in FILES {
        let wanted = metrics.map(|metric| metric.filter(|metric| page.wanted.any(&[*metric])));
        if wanted == [None; 3] {
            continue;
        }
        let text = host.cgroup(tree, path, &format!("{prefix}{file}"), &mut Handle::default())?;
        for (number, figures) in text.map(figures).unwrap_or_default() {
            let of = page.out.part(page.of, &["device"], [disks.name(host, number)]);
            for (metric, figure) in wanted.into_iter().zip(figures) {
                let Some(metric) = metric else { continue };
                if is_time {
                    page.put_of(metric, of, figure.and_then(nanoseconds));
                } else {
                    page.put_of(metric, of, figure);
                }
            }
        }
    }
    Ok(())
}

/// `8:0 Read 4\n8:0 Write 1\n…\n8:0 Total 5\nTotal 5`: of each disk, what is said of reads, of writes and of all.
fn figures(text: &[u8]) -> Vec<(Number, [Option<u64>; 3])> {
    let mut told: Vec<(Number, [Option<u64>; 3])> = Vec::new();
    for line in parse::lines_of_record(text) {
        let mut words = parse::words(line);
        let Some(number) = words.next().and_then(number) else { continue };
        let place = match words.next() {
            Some(b"Read") => 0,
            Some(b"Write") => 1,
            Some(b"Total") => 2,
            _ => continue,
        };
        let at = told.iter().position(|(known, _)| *known == number).unwrap_or_else(|| {
            told.push((number, [None; 3]));
            told.len() - 1
        });
        if at >= DISKS_MAX {
            told.truncate(DISKS_MAX);
            break;
        }
        if let Some((_, figures)) = told.get_mut(at) {
            figures[place] = words.next().and_then(parse::number);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn of_cfq() {
        let tree = Tree::new(&[(&format!("cgroup/memory/docker/{ID}/"), "")]);
        for (file, read, write) in [
            ("io_service_bytes", 4096, 1024),
            ("io_serviced", 3, 2),
            ("io_merged", 7, 1),
            ("io_service_time", 1_500_000_000u64, 500_000_000),
            ("io_queued", 1, 1),
        ] {
            let total = read + write;
            let text = format!("8:0 Read {read}\n8:0 Write {write}\n8:0 Sync 0\n8:0 Total {total}\nTotal {total}\n");
            tree.write(&format!("cgroup/blkio/docker/{ID}/blkio.{file}_recursive"), &text);
        }
        let options = [("levels", "containers"), ("families", "container_fs_(sector|.*merged|.*seconds|io_)")];
        let page = tree.open(&SPEC, &options).round();
        let of = format!("{{id=\"/docker/{ID}\",name=\"{ID}\",device=\"8:0\"}}");
        for (name, figure) in [
            ("sector_reads_total", "8"),
            ("sector_writes_total", "2"),
            ("reads_merged_total", "7"),
            ("writes_merged_total", "1"),
            ("read_seconds_total", "1.5"),
            ("write_seconds_total", "0.5"),
            ("io_time_seconds_total", "2"),
            ("io_current", "2"),
        ] {
            let line = format!("container_fs_{name}{of} {figure}\n");
            assert!(page.contains(&line), "{line} in\n{page}");
        }
        let lean = tree.open(&SPEC, &options[..1]).round();
        assert!(!lean.contains("sector") && !lean.contains("merged") && !lean.contains("io_current"), "{lean}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            prop_assert!(figures(&bytes).len() <= DISKS_MAX);
        }
    }
}
