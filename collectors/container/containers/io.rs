//! Reads and writes that reached disks: `io.stat` of version 2, the files of `blkio` of version 1.

use super::cpu::microseconds;
use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Controller, Handle, Node, Trees};
use crate::kit::{Error, Host, Root, parse};
use std::collections::HashMap;

const COUNTS: [Metric; 4] = [Metric::FsReads, Metric::FsWrites, Metric::FsReadsBytes, Metric::FsWritesBytes];
const BYTES: [Metric; 3] = [Metric::FsReadsBytes, Metric::FsWritesBytes, Metric::BlkioDeviceUsage];
const COST: [Metric; 4] = [Metric::IoCostUsage, Metric::IoCostWait, Metric::IoCostIndebt, Metric::IoCostIndelay];
/// How many disks one cgroup may tell of.
const DISKS_MAX: usize = 64;

/// The files of version 1 that tell of bytes and of reads and writes, the best first: those of BFQ and CFQ, which know what
/// goes on below and tell of the disks that they schedule, then those of the throttle, which since Linux 6.10 tells of none
/// before something was throttled.
const BLKIO: [[&str; 2]; 4] = [
    ["blkio.bfq.io_service_bytes_recursive", "blkio.bfq.io_serviced_recursive"],
    ["blkio.io_service_bytes_recursive", "blkio.io_serviced_recursive"],
    ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"],
    ["blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced"],
];

/// A disk, as cgroups name it.
type Number = (u32, u32);

/// The disks of the machine, and which files tell of them.
#[derive(Debug, Default)]
pub(super) struct Disks {
    names: HashMap<Number, String>,
    blkio: Option<[&'static str; 2]>,
    told: Vec<(Number, Told)>,
}

/// What is told of one disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
    reads: Option<u64>,
    writes: Option<u64>,
    /// In the order of [`COST`], in microseconds.
    cost: [Option<u64>; COST.len()],
}

impl Disks {
    /// Finds out which files of version 1 tell of the most disks. Files may be there that tell of none.
    pub(super) fn choose(&mut self, host: &mut Host, trees: &Trees) {
        let Some(tree) = trees.of(Controller::Io).filter(|_| !trees.unified()) else { return };
        let mut best: Option<(usize, [&str; 2])> = None;
        for files in BLKIO {
            let Ok(Some(text)) = host.cgroup(tree, "/", files[0], &mut Handle::default()) else { continue };
            self.told.clear();
            separate(text, true, &mut self.told);
            let disks = self.told.len();
            let is_better = match best {
                None => true,
                Some((0, [bytes, _])) => disks > 0 || (files[0].contains("throttle") && !bytes.contains("throttle")),
                Some((most, _)) => disks > most,
            };
            if is_better {
                best = Some((disks, files));
            }
        }
        self.blkio = best.map(|(_, files)| files);
    }
}

/// Puts them.
pub(super) fn put(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    disks: &mut Disks,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    if !page.wanted.any(&COUNTS) && !page.wanted.any(&COST) && !page.wanted.any(&BYTES) {
        return Ok(());
    }
    let Some(tree) = trees.of(Controller::Io) else { return Ok(()) };
    disks.told.clear();
    if trees.unified() {
        if let Some(text) = host.cgroup(tree, &node.path, "io.stat", &mut node.own.io[0])? {
            unified(text, &mut disks.told);
        }
    } else {
        let [bytes, counts] = match disks.blkio {
            Some(files) => files,
            None => {
                let is_there =
                    |[file, _]: &&[&str; 2]| host.exists(Root::Cgroup, format_args!("{tree}{}/{file}", node.path));
                *disks.blkio.insert(*BLKIO.iter().find(is_there).unwrap_or(&BLKIO[3]))
            }
        };
        for (file, handle, is_bytes) in [(bytes, 0, true), (counts, 1, false)] {
            if let Some(handle) = node.own.io.get_mut(handle)
                && let Some(text) = host.cgroup(tree, &node.path, file, handle)?
            {
                separate(text, is_bytes, &mut disks.told);
            }
        }
    }
    // Version 1 takes what is written later for the kernel's own.
    let written = disks.told.iter().filter_map(|(_, told)| told.written_bytes);
    node.own.written = trees.unified().then(|| written.fold(0, u64::saturating_add));
    put_disks(host, disks, page);
    Ok(())
}

fn put_disks(host: &mut Host, disks: &mut Disks, page: &mut Page<'_>) {
    let Disks { names, told, .. } = disks;
    for (number, told) in told {
        let name = names.entry(*number).or_insert_with(|| name(host, *number));
        let of = page.out.part(page.of, &["device"], [name.as_str()]);
        page.put_of(Metric::FsReads, of, told.reads);
        page.put_of(Metric::FsWrites, of, told.writes);
        page.put_of(Metric::FsReadsBytes, of, told.read_bytes);
        page.put_of(Metric::FsWritesBytes, of, told.written_bytes);
        for (metric, time) in COST.into_iter().zip(told.cost) {
            page.put_of(metric, of, time.and_then(microseconds));
        }
        if !page.wanted.any(&[Metric::BlkioDeviceUsage]) {
            continue;
        }
        let (major, minor) = (number.0.to_string(), number.1.to_string());
        for (operation, bytes) in [("Read", told.read_bytes), ("Write", told.written_bytes)] {
            let names = &["device", "major", "minor", "operation"];
            let of = page.out.part(page.of, names, [name.as_str(), major.as_str(), minor.as_str(), operation]);
            page.put_of(Metric::BlkioDeviceUsage, of, bytes);
        }
    }
}

/// `/dev/sda` for 8:0, as long as sysfs knows it; the number itself else.
fn name(host: &mut Host, (major, minor): Number) -> String {
    let link = host.link(Root::Sys, format_args!("dev/block/{major}:{minor}")).ok();
    let name = link.as_deref().and_then(|link| link.rsplit('/').next()).filter(|name| !name.is_empty());
    name.map_or_else(|| format!("{major}:{minor}"), |name| format!("/dev/{name}"))
}

/// `253:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`, a line for each disk.
fn unified(text: &[u8], told: &mut Vec<(Number, Told)>) {
    for line in parse::lines_of_record(text) {
        let mut words = parse::words(line);
        let Some(number) = words.next().and_then(number) else { continue };
        let mut of = Told::default();
        for word in words {
            let Some(at) = word.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (word.get(..at), word.get(at + 1..).and_then(parse::number));
            match key {
                Some(b"rbytes") => of.read_bytes = value,
                Some(b"wbytes") => of.written_bytes = value,
                Some(b"rios") => of.reads = value,
                Some(b"wios") => of.writes = value,
                Some(b"cost.usage") => of.cost[0] = value,
                Some(b"cost.wait") => of.cost[1] = value,
                Some(b"cost.indebt") => of.cost[2] = value,
                Some(b"cost.indelay") => of.cost[3] = value,
                _ => {}
            }
        }
        // Old kernels print the number alone for disks of which they have nothing to tell.
        if of != Told::default() && told.len() < DISKS_MAX {
            told.push((number, of));
        }
    }
}

/// `8:0 Read 4096\n8:0 Write 0\n…\nTotal 4096`.
fn separate(text: &[u8], is_bytes: bool, told: &mut Vec<(Number, Told)>) {
    for line in parse::lines_of_record(text) {
        let mut words = parse::words(line);
        let Some(number) = words.next().and_then(number) else { continue };
        let (Some(operation), Some(value)) = (words.next(), words.next().and_then(parse::number)) else { continue };
        if !matches!(operation, b"Read" | b"Write") {
            continue;
        }
        let at = told.iter().position(|(known, _)| *known == number).unwrap_or_else(|| {
            told.push((number, Told::default()));
            told.len() - 1
        });
        let Some((_, of)) = told.get_mut(at).filter(|_| at < DISKS_MAX) else { continue };
        match (operation, is_bytes) {
            (b"Read", true) => of.read_bytes = Some(value),
            (b"Read", false) => of.reads = Some(value),
            (_, true) => of.written_bytes = Some(value),
            (_, false) => of.writes = Some(value),
        }
    }
    told.truncate(DISKS_MAX);
}

/// `253:0`.
fn number(word: &[u8]) -> Option<Number> {
    let colon = word.iter().position(|byte| *byte == b':')?;
    let part = |digits: Option<&[u8]>| u32::try_from(parse::number(digits?)?).ok();
    Some((part(word.get(..colon))?, part(word.get(colon + 1..))?))
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn a_line_for_each_disk() {
        let mut told = Vec::new();
        unified(b"253:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0 cost.usage=9\n7:0\n8:16 wios=1\n", &mut told);
        let cost = [Some(9), None, None, None];
        let of = Told { read_bytes: Some(1), written_bytes: Some(2), reads: Some(3), writes: Some(4), cost };
        assert_eq!(told, [((253, 0), of), ((8, 16), Told { writes: Some(1), ..Told::default() })]);
    }

    #[test]
    fn files_that_tell_of_no_disk_are_not_taken() {
        let id = "0123456789abcdef".repeat(4);
        let of = |file: &str| format!("cgroup/blkio/docker/{id}/{file}");
        let tree = Tree::new(&[
            ("calls/clock", "wall 1700000000\nboot 10\n"),
            (&format!("cgroup/cpuacct/docker/{id}/cpuacct.usage"), "1\n"),
            ("cgroup/blkio/blkio.bfq.io_service_bytes_recursive", "Total 0\n"),
            ("cgroup/blkio/blkio.throttle.io_service_bytes", "8:0 Read 4096\n8:0 Write 0\nTotal 4096\n"),
            (&of("blkio.bfq.io_service_bytes_recursive"), "Total 0\n"),
            (&of("blkio.throttle.io_service_bytes"), "8:0 Read 4096\n8:0 Write 0\nTotal 4096\n"),
        ]);
        let page = tree.open(&SPEC, &[("levels", "containers")]).round();
        assert!(page.contains("container_fs_reads_bytes_total{") && page.contains("device=\"8:0\"} 4096"), "{page}");
        // A scheduler that tells of its disks knows more.
        for file in
            [of("blkio.bfq.io_service_bytes_recursive"), "cgroup/blkio/blkio.bfq.io_service_bytes_recursive".into()]
        {
            tree.write(&file, "8:0 Read 8192\n8:0 Write 0\nTotal 8192\n");
        }
        let page = tree.open(&SPEC, &[("levels", "containers")]).round();
        assert!(page.contains("device=\"8:0\"} 8192"), "{page}");
    }

    #[test]
    fn a_line_for_each_operation() {
        let mut told = Vec::new();
        separate(b"8:0 Read 4096\n8:0 Write 1\n8:0 Sync 0\n8:0 Total 4097\n8:16 Read 2\nTotal 4099\n", true, &mut told);
        separate(b"8:0 Read 7\n8:0 Write 8\nTotal 15\n", false, &mut told);
        assert_eq!(told.len(), 2);
        let of =
            Told { read_bytes: Some(4096), written_bytes: Some(1), reads: Some(7), writes: Some(8), ..Told::default() };
        assert_eq!(told[0], ((8, 0), of));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, is_bytes: bool) {
            let mut told = Vec::new();
            unified(&bytes, &mut told);
            separate(&bytes, is_bytes, &mut told);
            prop_assert!(told.len() <= DISKS_MAX);
        }
    }
}
