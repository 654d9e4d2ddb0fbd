//! A process that is killed, and a file system that kept only some of what was written.

use super::*;
use std::fs;

/// Writes `records` of 5,000 bytes, twenty to a segment, and lets go of the folder without a word.
fn killed(folder: &Path, records: u64) {
    let mut spool = Spool::open(&on_disk(folder, 800_000), at(0)).unwrap();
    (0..records).for_each(|minute| spool.push(&[record(minute * 60, 5000)], at(minute * 60)));
    spool.prune(at(records * 60 + 300));
}

fn taken(minutes: impl IntoIterator<Item = u64>) -> Vec<u64> {
    minutes.into_iter().map(|minute| minute * 60).collect()
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path(), 50);
    let mut spool = Spool::open(&on_disk(folder.path(), 800_000), at(9000)).unwrap();
    assert_eq!(drain(&mut spool, at(9000)), taken(0..50));
    assert_eq!(dropped(&spool, Reason::Torn), 0);
}

/// A test's name, as the program of tests knows it.
fn name_of(test: &str) -> String {
    format!("{}::{test}", module_path!().split_once("::").unwrap().1)
}

/// The folder of a process that writes until it is killed.
const DOOMED: &str = "WHOLENODE_DOOMED_SPOOL";

#[test]
fn a_process_that_is_killed_while_it_writes_leaves_whole_records() {
    let settings = |folder: &Path| SpoolSettings { max_age: Duration::MAX, ..on_disk(folder, 64 << 20) };
    if let Some(folder) = std::env::var_os(DOOMED) {
        let mut spool = Spool::open(&settings(Path::new(&folder)), at(0)).unwrap();
        (0..1_000_000).for_each(|minute| spool.push(&[record(minute * 301, 5000)], at(minute * 301)));
        panic!("nobody killed it");
    }
    let name = name_of("a_process_that_is_killed_while_it_writes_leaves_whole_records");
    for round in 1..=5u64 {
        let folder = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &name]).env(DOOMED, folder.path()).stdout(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        let first = folder.path().join("0000000000000001.spool");
        while fs::metadata(&first).map_or(0, |file| file.len()) < 20_000 {
            assert!(child.try_wait().unwrap().is_none(), "it never began");
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(997) * u32::try_from(round * round).unwrap());
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let mut spool = Spool::open(&settings(folder.path()), at(0)).unwrap();
        let sent = drain(&mut spool, at(0));
        assert!(!sent.is_empty());
        assert_eq!(sent, (0..sent.len() as u64).map(|minute| minute * 301).collect::<Vec<_>>());
        assert!(dropped(&spool, Reason::Torn) <= 1);
    }
}

#[test]
fn a_killed_process_sends_few_again() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path(), 50);
    for sent in [3, 8, 13, 21, 22] {
        let mut spool = Spool::open(&on_disk(folder.path(), 800_000), at(9000)).unwrap();
        let Next::Record { record: first, .. } = spool.next(at(9000)) else { panic!("some wait") };
        let first = first.taken.as_secs() / 60;
        for minute in first..sent {
            let Next::Record { ticket, record, .. } = spool.next(at(9000)) else { panic!("some wait") };
            assert_eq!(record.taken.as_secs(), minute * 60);
            spool.answered(ticket);
        }
        drop(spool);
        let mut spool = Spool::open(&on_disk(folder.path(), 800_000), at(9000)).unwrap();
        let Next::Record { record, .. } = spool.next(at(9000)) else { panic!("some wait") };
        let again = sent - record.taken.as_secs() / 60;
        assert!(again < 8, "{again} of {sent} again");
    }
}

#[test]
fn a_torn_record_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path(), 60);
    let path = folder.path().join("0000000000000001.spool");
    let mut bytes = fs::read(&path).unwrap();
    let size = bytes.len();
    // A head of one, a body of another, and the seal.
    let place = |record: usize| 24 + record * ((size - 24 - 44) / 20);
    assert_eq!(bytes[place(3)..place(3) + 4], *b"wnR1");
    bytes[place(3) + 9] ^= 1;
    bytes[place(7) + 100] ^= 1;
    for is_sealed in [true, false] {
        if !is_sealed {
            bytes[size - 1] ^= 1;
        }
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        fs::write(copy.path().join("0000000000000001.spool"), &bytes).unwrap();
        let mut spool = Spool::open(&on_disk(copy.path(), 800_000), at(9000)).unwrap();
        assert_eq!(drain(&mut spool, at(9000)), taken((0..60).filter(|minute| ![3, 7].contains(minute))));
        // The torn seal is one more that might have been a record.
        assert_eq!(dropped(&spool, Reason::Torn), if is_sealed { 2 } else { 3 });
    }
}

#[test]
fn a_segment_that_vanishes_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path(), 60);
    let mut spool = Spool::open(&on_disk(folder.path(), 800_000), at(9000)).unwrap();
    fs::remove_file(folder.path().join("0000000000000002.spool")).unwrap();
    let sent = drain(&mut spool, at(9000));
    assert_eq!(dropped(&spool, Reason::Torn), 60 - sent.len() as u64);
    assert_eq!(sent, taken((0..20).chain(40..60)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_cut_or_overwritten_the_rest_comes_back(
        file in 1..=3usize, place: prop::sample::Index, cut: bool, junk in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let folder = tempfile::tempdir().unwrap();
        killed(folder.path(), 45);
        let path = folder.path().join(format!("{file:016}.spool"));
        let mut bytes = fs::read(&path).unwrap();
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            let end = bytes.len().min(place + junk.len());
            bytes[place..end].copy_from_slice(&junk[..end - place]);
        }
        fs::write(&path, bytes).unwrap();
        let mut spool = Spool::open(&on_disk(folder.path(), 800_000), at(9000)).unwrap();
        nothing_is_lost(&spool.figures(at(9000)));
        // It goes on where it can, and what comes after is found as well.
        (200..205).for_each(|minute| spool.push(&[record(minute * 60, 50)], at(minute * 60)));
        spool.close(at(12_400));
        let mut spool = Spool::open(&on_disk(folder.path(), 800_000), at(12_400)).unwrap();
        // What was torn at the end of the last file was counted, and is gone.
        prop_assert!(dropped(&spool, Reason::Torn) == 0 || !cut || file < 3);
        let sent = drain(&mut spool, at(12_400));
        nothing_is_lost(&spool.figures(at(12_400)));
        prop_assert!(sent.is_sorted());
        // Of the other files all; of this one what is before the place, and behind the junk.
        let whole = |minute: u64| minute / 20 + 1 != file as u64 || minute >= 200;
        let is_there = |minute: u64| sent.contains(&(minute * 60));
        let mut lost = (0..45).chain(200..205).filter(|minute| !is_there(*minute));
        prop_assert!(lost.clone().all(|minute| !whole(minute)), "{:?}", lost.collect::<Vec<_>>());
        if !cut && place >= 24 {
            prop_assert!(lost.by_ref().count() <= 2);
        }
    }
}
