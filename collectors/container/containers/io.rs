//! Reads and writes that reached disks: `io.stat` of version 2, the files of `blkio` of version 1.
//!
//! A disk that a cgroup has never used is not told of. Version 2 leaves it out itself; version 1 lists all that there are,
//! each loop device too.
//!
//! In version 2, what a cgroup reads and writes counts for all that it is in, at once. Where nothing was read or written
//! since the last round, nobody looks further down.

use super::cpu::microseconds;
use super::metrics::{Metric, Page, Wanted};
use super::state::State;
use super::{SELDOM, is_below, scheduler};
use crate::kit::cgroup::{Controller, Handle, Node, Trees};
use crate::kit::{Error, Host, Root, parse};
use std::collections::HashMap;
use std::time::Duration;

const COUNTS: [Metric; 4] = [Metric::FsReads, Metric::FsWrites, Metric::FsReadsBytes, Metric::FsWritesBytes];
const BYTES: [Metric; 5] =
    [Metric::FsReadsBytes, Metric::FsWritesBytes, Metric::SectorReads, Metric::SectorWrites, Metric::BlkioDeviceUsage];
/// What the kernel calls a sector, whatever the disk has.
const SECTOR: u64 = 512;
const COST: [Metric; 4] = [Metric::IoCostUsage, Metric::IoCostWait, Metric::IoCostIndebt, Metric::IoCostIndelay];
/// How many disks one cgroup may tell of.
pub(super) const DISKS_MAX: usize = 64;

/// The files of version 1 that tell of bytes and of reads and writes: those of BFQ and CFQ know what goes on below. The first
/// in which anything is told are taken for all, for good: a kernel has those of BFQ also where no disk uses it.
const BLKIO: [[&str; 2]; 4] = [
    ["blkio.bfq.io_service_bytes_recursive", "blkio.bfq.io_serviced_recursive"],
    ["blkio.io_service_bytes_recursive", "blkio.io_serviced_recursive"],
    ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"],
    ["blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced"],
];

/// A disk, as cgroups name it.
pub(super) type Number = (u32, u32);

/// The disks of the machine, and which files tell of them.
#[derive(Debug, Default)]
pub(super) struct Disks {
    names: HashMap<Number, String>,
    /// When the names are asked for again: numbers of disks that went are given to others.
    due: Duration,
    blkio: Option<[&'static str; 2]>,
    /// The root, which sums up what is below, has told of nothing: none of the others tells of anything.
    is_silent: bool,
    /// The root's files.
    root: [Handle; BLKIO.len()],
    /// The cgroup of version 2, seen in this round, below which nothing has moved; empty: none.
    still: String,
    told: Vec<(Number, Told)>,
}

/// What is told of one disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
    reads: Option<u64>,
    writes: Option<u64>,
    /// In the order of [`COST`], in microseconds.
    cost: [Option<u64>; COST.len()],
}

impl Told {
    fn is_used(&self) -> bool {
        let Self { read_bytes, written_bytes, reads, writes, .. } = self;
        [read_bytes, written_bytes, reads, writes].iter().any(|figure| **figure > Some(0))
    }
}

impl Disks {
    /// Looks for what has come and gone, once a round.
    pub(super) fn look(&mut self, host: &mut Host, trees: &Trees, now: Duration) {
        self.still.clear();
        if now >= self.due {
            self.names.clear();
            self.root.iter_mut().for_each(Handle::retry);
            self.due = now + SELDOM;
        }
        if let Some(tree) = trees.of(Controller::Io).filter(|_| self.blkio.is_none() && !trees.unified()) {
            self.is_silent = matches!(speaking(host, tree, "/", &mut self.root, &mut self.told), Ok((None, true)));
        }
    }
}

/// Looks whether anything moved in a cgroup that holds several, if that is told of them and not of itself.
pub(super) fn look_above(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    disks: &mut Disks,
    (wanted, below): (Wanted, Wanted),
) -> Result<(), Error> {
    match trees.of(Controller::Io).filter(|_| trees.unified() && is_wanted(below) && !is_wanted(wanted)) {
        Some(tree) if node.children().len() > 2 => of_unified(host, tree, node, disks),
        _ => Ok(()),
    }
}

fn is_wanted(wanted: Wanted) -> bool {
    [&COUNTS[..], &COST, &BYTES, &scheduler::NAMES].iter().any(|metrics| wanted.any(metrics))
}

/// Puts them.
pub(super) fn put(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    disks: &mut Disks,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    if !is_wanted(page.wanted) {
        return Ok(());
    }
    let Some(tree) = trees.of(Controller::Io) else { return Ok(()) };
    disks.told.clear();
    if trees.unified() {
        of_unified(host, tree, node, disks)?;
    } else {
        if disks.blkio.is_none() && !disks.is_silent && node.own.is_due {
            (disks.blkio, _) = speaking(host, tree, &node.path, &mut Default::default(), &mut disks.told)?;
        }
        let files = disks.blkio.map(|[bytes, counts]| [(bytes, true), (counts, false)]);
        for ((file, is_bytes), handle) in files.into_iter().flatten().zip(&mut node.own.io) {
            if let Some(text) = host.cgroup(tree, &node.path, file, handle)? {
                separate(text, is_bytes, &mut disks.told);
            }
        }
        disks.told.retain(|(_, told)| told.is_used());
    }
    // Version 1 takes what is written later for the kernel's own.
    let written = disks.told.iter().filter_map(|(_, told)| told.written_bytes);
    node.own.written = trees.unified().then(|| written.fold(0, u64::saturating_add));
    put_disks(host, disks, page);
    match disks.blkio.filter(|_| !trees.unified()) {
        Some([bytes, _]) => scheduler::put(host, tree, &node.path, bytes, disks, page),
        None => Ok(()),
    }
}

/// Finds out what a cgroup of version 2 tells, which is what it told before if nothing moved.
fn of_unified(host: &mut Host, tree: &str, node: &mut Node<State>, disks: &mut Disks) -> Result<(), Error> {
    let Disks { still, told, .. } = disks;
    let is_below = !still.is_empty() && is_below(&node.path, still);
    told.clear();
    let before = node.own.moved.take();
    if let Some(figures) = before.as_deref().filter(|_| is_below && !node.own.is_due) {
        told.extend_from_slice(figures);
        node.own.moved = before;
        return Ok(());
    }
    let Some(text) = host.cgroup(tree, &node.path, "io.stat", &mut node.own.io[0])? else { return Ok(()) };
    unified(text, told);
    let has_moved = before.as_deref() != Some(told);
    if has_moved && is_below {
        // Since the one above was looked at. What else moved then is seen there in the next round.
        still.clear();
    } else if !has_moved && !is_below && told.len() < DISKS_MAX && !node.children().is_empty() {
        still.clone_from(&node.path);
    }
    node.own.moved = if has_moved { Some(told.as_slice().into()) } else { before };
    Ok(())
}

/// The files in which this cgroup tells that something was read or written, if it tells; and whether what is below would be
/// told there too.
fn speaking(
    host: &mut Host,
    tree: &str,
    path: &str,
    handles: &mut [Handle; BLKIO.len()],
    told: &mut Vec<(Number, Told)>,
) -> Result<(Option<[&'static str; 2]>, bool), Error> {
    let mut has_sums = false;
    for (files, handle) in BLKIO.into_iter().zip(handles) {
        told.clear();
        if let Some(text) = host.cgroup(tree, path, files[0], handle)? {
            separate(text, true, told);
            has_sums |= files == BLKIO[2];
        }
        if told.iter().any(|(_, of)| of.read_bytes > Some(0) || of.written_bytes > Some(0)) {
            return Ok((Some(files), has_sums));
        }
    }
    told.clear();
    Ok((None, has_sums))
}

impl Disks {
    /// How a disk is called.
    pub(super) fn name(&mut self, host: &mut Host, number: Number) -> &str {
        self.names.entry(number).or_insert_with(|| name(host, number))
    }
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
        page.put_of(Metric::SectorReads, of, told.read_bytes.map(|bytes| bytes / SECTOR));
        page.put_of(Metric::SectorWrites, of, told.written_bytes.map(|bytes| bytes / SECTOR));
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
    name.map_or_else(|| format!("{major}:{minor}"), |name| format!("/dev/{}", name.replace('!', "/")))
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
        let is_known = told.iter().any(|(known, _)| *known == number);
        // Old kernels print the number alone for disks of which they have nothing to tell.
        if of != Told::default() && !is_known && told.len() < DISKS_MAX {
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
        let known = told.iter().position(|(known, _)| *known == number);
        if known.is_none() && told.len() < DISKS_MAX {
            told.push((number, Told::default()));
        }
        let at = known.unwrap_or(told.len().saturating_sub(1));
        let Some((_, of)) = told.get_mut(at).filter(|(known, _)| *known == number) else { continue };
        match (operation, is_bytes) {
            (b"Read", true) => of.read_bytes = Some(value),
            (b"Read", false) => of.reads = Some(value),
            (_, true) => of.written_bytes = Some(value),
            (_, false) => of.writes = Some(value),
        }
    }
}

/// `253:0`.
pub(super) fn number(word: &[u8]) -> Option<Number> {
    let colon = word.iter().position(|byte| *byte == b':')?;
    let part = |digits: Option<&[u8]>| u32::try_from(parse::number(digits?)?).ok();
    Some((part(word.get(..colon))?, part(word.get(colon + 1..))?))
}

#[cfg(test)]
mod tests {
    use super::*;
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
