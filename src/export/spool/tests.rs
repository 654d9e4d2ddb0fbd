//! The spool over days, outages, crashes and full disks: what came in is what was answered, dropped, or waits.

use super::*;
use proptest::prelude::*;
use std::path::Path;

mod crash;
mod disk;
mod random;

const BOOT: BootId = BootId([1; 16]);
const EARLIER: BootId = BootId([2; 16]);
/// When these boots were.
const THIS: u64 = 1_790_000_000_000_000_000;
const THAT: u64 = THIS - 7200 * 1_000_000_000;

fn at(seconds: u64) -> Moment {
    Moment { boot: BOOT, now: Duration::from_secs(seconds), boot_time: Some(THIS) }
}

fn in_memory(bytes: u64, age: u64) -> SpoolSettings {
    SpoolSettings { directory: None, max_bytes: bytes, max_age: Duration::from_secs(age) }
}

fn on_disk(folder: &Path, bytes: u64) -> SpoolSettings {
    let directory = Some(folder.to_str().unwrap().to_owned());
    SpoolSettings { directory, max_bytes: bytes, max_age: Duration::from_secs(86_400 * 2) }
}

/// Bytes that don't shrink, and are others for each `seed`.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&(state ^ state >> 29).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A record of about so many bytes, taken at a second of this boot.
fn record(seconds: u64, length: usize) -> Record {
    let points = u32::try_from(seconds % 1000 + 1).unwrap();
    Record { taken: Duration::from_secs(seconds), boot: BOOT, points, request: noise(seconds, length) }
}

/// Sends all that waits; when it was taken.
#[track_caller]
fn drain(spool: &mut Spool, at: Moment) -> Vec<u64> {
    let mut taken = Vec::new();
    while let Next::Record { ticket, record: sent, boot_time } = spool.next(at) {
        assert_eq!(boot_time, THIS);
        assert_eq!(sent, record(sent.taken.as_secs(), sent.request.len()));
        taken.push(sent.taken.as_secs());
        assert!(spool.answered(ticket));
        assert!(!spool.answered(ticket), "only once");
    }
    taken
}

/// What came in is what was answered, dropped, or waits.
#[track_caller]
fn nothing_is_lost(figures: &SpoolFigures) {
    let (mut came, mut went) = (figures.found, figures.waiting);
    came.add(figures.pushed);
    went.add(figures.answered);
    figures.dropped.iter().for_each(|dropped| went.add(*dropped));
    assert_eq!(came, went, "{figures:?}");
}

fn dropped(spool: &Spool, reason: Reason) -> u64 {
    let figures = spool.figures(at(0));
    nothing_is_lost(&figures);
    figures.dropped[reason as usize].records
}

#[test]
fn what_waits_goes_out_oldest_first_and_stays_until_it_is_answered_for() {
    let mut spool = Spool::open(&in_memory(1 << 20, 3600), at(0)).unwrap();
    assert_eq!(spool.next(at(0)), Next::Nothing);
    (1..=5).for_each(|second| spool.push(&[record(second, 100)], at(second)));
    let Next::Record { ticket, record: first, .. } = spool.next(at(6)) else { panic!("five wait") };
    let Next::Record { ticket: again, record: second, .. } = spool.next(at(7)) else { panic!("five wait") };
    assert_eq!((ticket, first), (again, second));
    let figures = spool.figures(at(8));
    assert_eq!(figures.oldest, Some(Duration::from_secs(7)));
    assert_eq!(figures.oldest_age(Duration::from_secs(10)), Some(Duration::from_secs(9)));
    assert_eq!(drain(&mut spool, at(9)), [1, 2, 3, 4, 5]);
    assert!(spool.is_empty() && spool.figures(at(9)).bytes == 0);
    nothing_is_lost(&spool.figures(at(9)));
}

#[test]
fn the_oldest_makes_room() {
    let mut spool = Spool::open(&in_memory(5000, 3600), at(0)).unwrap();
    (1..=3).for_each(|second| spool.push(&[record(second, 1000)], at(second)));
    let Next::Record { ticket, .. } = spool.next(at(4)) else { panic!("three wait") };
    (4..=10).for_each(|second| spool.push(&[record(second, 1000)], at(second)));
    assert!(spool.figures(at(10)).bytes <= 5000);
    assert!(!spool.answered(ticket), "it had to go meanwhile");
    assert_eq!(dropped(&spool, Reason::Full), 6);
    assert_eq!(drain(&mut spool, at(11)), [7, 8, 9, 10]);
    // What is larger than the whole spool is no exception.
    spool.push(&[record(12, 6000)], at(12));
    assert!(spool.is_empty());
    assert_eq!(dropped(&spool, Reason::Full), 7);
}

#[test]
fn what_is_too_old_goes() {
    let mut spool = Spool::open(&in_memory(1 << 20, 60), at(0)).unwrap();
    (1..=100).for_each(|second| spool.push(&[record(second, 10)], at(second)));
    spool.prune(at(101));
    assert_eq!(spool.figures(at(101)).waiting.records, 60);
    assert_eq!(drain(&mut spool, at(131)), (71..=100).collect::<Vec<_>>());
    assert_eq!(dropped(&spool, Reason::Old), 70);
    let drops: Vec<_> = spool.figures(at(0)).drops().map(|(reason, tally)| (reason, tally.records)).collect();
    assert_eq!(drops, [("full", 0), ("old", 70), ("torn", 0), ("undatable", 0)]);
}

#[test]
fn what_cannot_be_dated_yet_waits_and_what_never_can_is_dropped() {
    let unset = |seconds| Moment { boot_time: None, ..at(seconds) };
    let mut spool = Spool::open(&in_memory(1 << 20, 3600), unset(0)).unwrap();
    spool.push(&[Record { boot: EARLIER, ..record(1, 10) }], unset(1));
    spool.push(&[record(2, 10)], unset(2));
    assert_eq!(spool.next(unset(3)), Next::NotYet);
    assert_eq!(dropped(&spool, Reason::Undatable), 1);
    assert_eq!(drain(&mut spool, at(4)), [2]);
}

#[test]
fn a_day_in_memory_is_bounded() {
    let mut spool = Spool::open(&in_memory(256 << 10, 86_400), at(0)).unwrap();
    for minute in 0..1440 {
        spool.push(&[record(minute * 60, 4000)], at(minute * 60));
        assert!(spool.figures(at(minute * 60)).bytes <= 256 << 10);
    }
    let figures = spool.figures(at(86_400));
    nothing_is_lost(&figures);
    assert_eq!(figures.waiting.records, 64);
    assert_eq!(figures.oldest, Some(Duration::from_secs(64 * 60)));
}
