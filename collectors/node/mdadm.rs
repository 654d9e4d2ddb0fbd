//! `/proc/mdstat`: arrays of the md driver, and `/sys/block/DEVICE/md/` for what it leaves out.
//!
//! The driver may be loaded or unloaded at any time; its file comes and goes with it. It runs apart from the others
//! because the kernel takes locks of the array for both, and an array whose disks do not answer may hold them.

use crate::kit::{Error, Host, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static BLOCKS: Family =
    gauge("node_md_blocks", "Size of the array in blocks of 1024 bytes, from /proc/mdstat.", &["device"]);
static BLOCKS_SYNCED: Family = gauge(
    "node_md_blocks_synced",
    "Blocks that the running recovery, resync, check or reshape has done, or all blocks of an array at rest; from /proc/mdstat.",
    &["device"],
);
static DISKS: Family = gauge(
    "node_md_disks",
    "Disks of the array by state (active, failed, spare), from /proc/mdstat.",
    &["device", "state"],
);
static REQUIRED: Family =
    gauge("node_md_disks_required", "Disks that a complete array has, from /proc/mdstat.", &["device"]);
static STATE: Family = gauge(
    "node_md_state",
    "1 for the state that the array is in, from /proc/mdstat; reshape and broken are told only while they hold.",
    &["device", "state"],
);
static DEGRADED: Family =
    gauge("node_md_degraded", "Disks that the array lacks, from /sys/block/DEVICE/md/degraded.", &["device"]);
static RAID_DISKS: Family = gauge(
    "node_md_raid_disks",
    "Disks that the array was made for, from /sys/block/DEVICE/md/raid_disks.",
    &["device"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "mdadm",
        "Software RAID arrays from /proc/mdstat.",
        &[&BLOCKS, &BLOCKS_SYNCED, &DISKS, &REQUIRED, &STATE, &DEGRADED, &RAID_DISKS],
        open,
    )
};

struct Mdadm;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(if host.exists(Root::Proc, "mdstat") { Some(Box::new(Mdadm)) } else { None })
}

impl Collector for Mdadm {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let arrays = arrays(host.read(Root::Proc, "mdstat")?);
        for array in arrays {
            match array {
                Ok(array) => put(&array, out),
                Err(line) => out.fault(Error::malformed("/proc/mdstat", line, "an array")),
            }
        }
        if let Some(names) = out.found(host.devices(Root::Sys, "block", |name| name.starts_with("md"))) {
            names.iter().for_each(|name| attributes(name, host, out));
        }
        Ok(())
    }
}

fn put(array: &Array, out: &mut Batch) {
    const DEVICE_STATE: &[&str; 2] = &["device", "state"];
    let name = array.name.as_str();
    let device = out.entity(&["device"], [name]);
    out.put_some(&BLOCKS, device, array.blocks);
    out.put_some(&BLOCKS_SYNCED, device, array.synced);
    if array.blocks.is_some() && array.synced.is_none() {
        out.fault(Error::malformed("/proc/mdstat", 0, "how far a recovery, resync, check or reshape is"));
    }
    out.put(&REQUIRED, device, array.required);
    for (state, disks) in [("active", array.active), ("failed", array.failed), ("spare", array.spare)] {
        let of = out.entity(DEVICE_STATE, [name, state]);
        out.put(&DISKS, of, disks);
    }
    let usual = ["active", "inactive", "recovering", "resync", "check"];
    let rare = (!usual.contains(&array.state)).then_some(array.state);
    for state in usual.into_iter().chain(rare) {
        let of = out.entity(DEVICE_STATE, [name, state]);
        out.put(&STATE, of, state == array.state);
    }
}

/// What `/sys/block` says of an array, whether the other file names it or not.
///
/// Arrays without redundancy have no `degraded`, and lack no disk while they run. Containers, and arrays whose driver is
/// not there, have no number of disks. During a reshape `raid_disks` says `4 (3)`: after and before.
fn attributes(name: &str, host: &mut Host, out: &mut Batch) {
    let device = out.entity(&["device"], [name]);
    let level = out.found(host.text(Root::Sys, format_args!("block/{name}/md/level")));
    let is_of = |levels: &[&str]| level.as_deref().is_some_and(|level| levels.contains(&level));
    let degraded = out.found(host.number(Root::Sys, format_args!("block/{name}/md/degraded")));
    let never = is_of(&["raid0", "linear", "multipath", "faulty", "container", "imsm", "ddf"]);
    out.put_some(&DEGRADED, device, degraded.or(never.then_some(0)));
    if is_of(&["", "container", "imsm", "ddf"]) {
        return;
    }
    let Some(text) = out.found(host.read(Root::Sys, format_args!("block/{name}/md/raid_disks"))) else { return };
    match parse::words(text).next().map(parse::number) {
        Some(Some(disks)) => out.put(&RAID_DISKS, device, disks),
        Some(None) => out.fault(Error::malformed(&format!("/sys/block/{name}/md/raid_disks"), 1, "a whole number")),
        None => {}
    }
}

/// One array, as `/proc/mdstat` tells it.
#[derive(Debug, Default, PartialEq)]
struct Array {
    name: String,
    state: &'static str,
    blocks: Option<u64>,
    synced: Option<u64>,
    required: u64,
    active: u64,
    failed: u64,
    spare: u64,
}

/// The arrays in the order of the file; instead of one that does not read as it should, the line where it begins.
///
/// An array is a line that begins with its name, and the indented lines below it.
fn arrays(text: &[u8]) -> Vec<Result<Array, u32>> {
    let mut lines = (1..).zip(parse::lines(text)).peekable();
    let mut arrays = Vec::new();
    while let Some((number, first)) = lines.next() {
        let is_general = [&b"Personalities"[..], b"unused devices", b"read_ahead"].iter().any(|s| first.starts_with(s));
        if is_general || is_indented(first) {
            continue;
        }
        let mut below = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty() && is_indented(line)) {
            below.push(line);
        }
        arrays.push(array(first, &below).ok_or(number));
    }
    arrays
}

fn is_indented(line: &[u8]) -> bool {
    line.first().is_none_or(u8::is_ascii_whitespace)
}

/// `md1 : active (auto-read-only) raid5 sdc[2] sdb[1](F) sda[0]` and the lines below.
fn array(first: &[u8], below: &[&[u8]]) -> Option<Array> {
    let mut words = parse::words(first);
    let name = std::str::from_utf8(words.next()?).ok()?.to_owned();
    if words.next()? != b":" {
        return None;
    }
    let state = match words.next()? {
        b"active" => "active",
        b"inactive" => "inactive",
        b"broken" => "broken",
        _ => return None,
    };
    let mut array = Array { name, state, ..Array::default() };
    let (mut disks, mut personality) = (0, None);
    for word in words {
        match disk(word) {
            Some(flags) => {
                disks += 1;
                array.failed += u64::from(flags.windows(3).any(|flag| flag == b"(F)"));
                array.spare += u64::from(flags.windows(3).any(|flag| flag == b"(S)"));
            }
            None if !word.starts_with(b"(") => personality = Some(word),
            None => {}
        }
    }
    array.blocks = below.iter().find_map(|line| before(line, b"blocks"));
    let slots = below.iter().find_map(|line| parse::words(line).find_map(|word| pair(word, b'[', b']')));
    (array.required, array.active) = match (slots, personality) {
        _ if state == "inactive" => (0, 0),
        (Some(slots), _) => slots,
        (None, Some(b"raid1" | b"raid4" | b"raid5" | b"raid6" | b"raid10")) => return None,
        // raid0, linear: a disk that is missing is the end of the array, so no count is printed.
        (None, _) => (disks, disks - array.failed),
    };
    array.synced = array.blocks;
    if let Some((running, done)) = below.iter().find_map(|line| progress(line)) {
        (array.state, array.synced) = (running, done);
    }
    Some(array)
}

/// `sdb1[1](W)(F)`: what follows the bracket, for a word that is a disk.
fn disk(word: &[u8]) -> Option<&[u8]> {
    let from = word.iter().position(|&byte| byte == b'[')?;
    let to = from + word.get(from..)?.iter().position(|&byte| byte == b']')?;
    parse::number(word.get(from + 1..to)?)?;
    if from == 0 { None } else { word.get(to + 1..) }
}

/// `1047552 blocks super 1.2`: the number before the word.
fn before(line: &[u8], wanted: &[u8]) -> Option<u64> {
    let mut last = None;
    for word in parse::words(line) {
        if word == wanted {
            return last.and_then(parse::number);
        }
        last = Some(word);
    }
    None
}

/// `[4/3]` or `(610816/2095104)`: both numbers.
fn pair(word: &[u8], open: u8, close: u8) -> Option<(u64, u64)> {
    let inner = word.strip_prefix(&[open])?.strip_suffix(&[close])?;
    let slash = inner.iter().position(|&byte| byte == b'/')?;
    Some((parse::number(&inner[..slash])?, parse::number(&inner[slash + 1..])?))
}

/// `[==>...]  recovery = 29.1% (610816/2095104) finish=0.2min speed=122163K/sec` or `resync=PENDING`.
///
/// The state and the blocks done: none yet while it waits (PENDING, DELAYED, or on another node of a cluster: REMOTE).
/// The inner `None`: something runs, and how far it is does not read.
fn progress(line: &[u8]) -> Option<(&'static str, Option<u64>)> {
    const RUNNING: [(&[u8], &str); 4] =
        [(b"recovery", "recovering"), (b"resync", "resync"), (b"check", "check"), (b"reshape", "reshape")];
    let (state, rest) = parse::words(line).find_map(|word| {
        let (name, state) = RUNNING.iter().find(|(name, _)| word.starts_with(name))?;
        let rest = word.get(name.len()..)?;
        (rest.is_empty() || rest.starts_with(b"=")).then_some((*state, rest))
    })?;
    let waits = [&b"=PENDING"[..], b"=DELAYED", b"=REMOTE"].contains(&rest);
    let done = parse::words(line).find_map(|word| pair(word, b'(', b')')).map(|(done, _)| done);
    Some((state, if waits { Some(0) } else { done }))
}

#[cfg(test)]
mod tests;
