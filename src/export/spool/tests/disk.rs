//! A folder: what is written when, what is found again, what a refusing disk costs.

use super::*;
use std::fs;

/// The files of segments.
fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "spool")).collect();
    segments.sort();
    segments
}

fn refuse(spool: &mut Spool, errno: Option<Errno>) {
    spool.disk.as_mut().unwrap().refuse(errno);
}

#[test]
fn a_receiver_that_answers_costs_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&on_disk(folder.path(), 64 << 20), at(0)).unwrap();
    let writes = spool.figures(at(0)).writes;
    for minute in 1..=30 {
        // Four requests at once, more than is worth a write if it had waited.
        (0..4).for_each(|part| spool.push(&[record(minute * 60 + part, 30_000)], at(minute * 60)));
        assert_eq!(drain(&mut spool, at(minute * 60 + 3)).len(), 4);
        spool.prune(at(minute * 60 + 3));
    }
    assert_eq!(spool.figures(at(0)).writes, writes);
    assert_eq!(segments(folder.path()), [""; 0].map(Into::<std::path::PathBuf>::into));
}

#[test]
fn an_outage_costs_one_write_for_each_round_and_not_more_than_two_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&on_disk(folder.path(), 64 << 20), at(0)).unwrap();
    let mut last = spool.figures(at(0)).writes;
    let mut writes = move |spool: &Spool| {
        let all = spool.figures(at(0)).writes;
        all - std::mem::replace(&mut last, all)
    };
    // A small board: 2 KiB a minute for a day, laid by when the next round is there.
    for minute in 0..1440 {
        spool.push(&[record(minute * 60, 2048)], at(minute * 60 + 60));
        assert_eq!(spool.memory.bytes(), 0, "what is half a minute old survives the process");
    }
    // And a seal for each MiB.
    assert!((1440..=1440 + 3).contains(&writes(&spool)));
    let bytes = spool.figures(at(86_400)).bytes;
    assert!(bytes < 1440 * 2200 && segments(folder.path()).len() == 3, "{bytes} bytes");
    // A large node: 100 KiB a minute, in requests of a third.
    for minute in 1440..1500 {
        let requests = [0, 1, 2].map(|part| record(minute * 60 + part, 34 << 10));
        spool.push(&requests, at(minute * 60 + 60));
    }
    let of_minutes = writes(&spool);
    assert!(
        (60..=60 + 6 + 6).contains(&of_minutes),
        "{of_minutes} writes: a batch may be split by the end of a segment"
    );
    // An impatient one.
    (0..120).for_each(|round| spool.push(&[record(90_000 + round * 5, 100)], at(90_000 + round * 5 + 5)));
    let of_rounds = writes(&spool);
    assert!((18..=20 + 1).contains(&of_rounds), "{of_rounds} writes");
    assert_eq!(drain(&mut spool, at(91_000)).len(), 1440 + 3 * 60 + 120);
    assert!(segments(folder.path()).is_empty(), "removed when the last was answered for");
    nothing_is_lost(&spool.figures(at(91_000)));
}

#[test]
fn a_killed_process_leaves_what_is_half_a_minute_old() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_disk(folder.path(), 64 << 20);
    let mut spool = Spool::open(&settings, at(0)).unwrap();
    (0..60).for_each(|second| spool.push(&[record(second, 500)], at(second)));
    // Nobody closes it.
    drop(spool);
    let mut spool = Spool::open(&settings, at(61)).unwrap();
    assert_eq!(drain(&mut spool, at(61)), (0..=30).collect::<Vec<_>>());
}

#[test]
fn a_clean_stop_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_disk(folder.path(), 64 << 20);
    let mut expected = Vec::new();
    for run in 0..40 {
        let mut spool = Spool::open(&settings, at(run * 100)).unwrap();
        assert_eq!(spool.figures(at(run * 100)).waiting.records, expected.len() as u64);
        for second in run * 100..run * 100 + 5 {
            spool.push(&[record(second, 500)], at(second));
            expected.push(second);
        }
        for second in expected.drain(..3) {
            let Next::Record { ticket, record, .. } = spool.next(at(run * 100 + 9)) else { panic!("some wait") };
            assert_eq!(record.taken.as_secs(), second);
            spool.answered(ticket);
        }
        nothing_is_lost(&spool.figures(at(run * 100 + 9)));
        assert_eq!(spool.close(at(run * 100 + 10)), Tally::default());
    }
    assert_eq!(segments(folder.path()).len(), 1, "short runs share a file");
    let mut spool = Spool::open(&settings, at(5000)).unwrap();
    assert_eq!(drain(&mut spool, at(5000)), expected);
}

#[test]
fn a_full_disk_costs_the_oldest_and_is_tried_once_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&on_disk(folder.path(), 4 << 20), at(0)).unwrap();
    (0..20).for_each(|minute| spool.push(&[record(minute * 60, 100 << 10)], at(minute * 60)));
    let (before, files) = (spool.figures(at(1200)), segments(folder.path()).len());
    refuse(&mut spool, Some(Errno::NOSPC));
    for second in 1200..1500 {
        spool.push(&[record(second, 1000)], at(second));
        spool.prune(at(second));
    }
    let figures = spool.figures(at(1500));
    assert_eq!(figures.fault.as_deref(), Some("No space left on device (os error 28)"));
    assert!(figures.writes - before.writes <= 5, "{} writes", figures.writes - before.writes);
    assert_eq!((figures.dropped, segments(folder.path()).len()), ([Tally::default(); 4], files), "there is memory");
    // When that is full as well, the oldest goes.
    (1500..1540).for_each(|second| spool.push(&[record(second, 30_000)], at(second)));
    nothing_is_lost(&spool.figures(at(1540)));
    assert!(dropped(&spool, Reason::Full) > 0 && segments(folder.path()).len() < files);
    assert!(spool.memory.bytes() <= 1 << 20);
    refuse(&mut spool, None);
    spool.prune(at(1700));
    let figures = spool.figures(at(1700));
    assert_eq!((figures.fault, spool.memory.bytes()), (None, 0));
    assert_eq!(drain(&mut spool, at(1701)).last(), Some(&1539));
    nothing_is_lost(&spool.figures(at(1701)));
}

#[test]
fn a_broken_disk_costs_what_memory_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&on_disk(folder.path(), 4 << 20), at(0)).unwrap();
    (0..5).for_each(|minute| spool.push(&[record(minute * 60, 100 << 10)], at(minute * 60)));
    spool.prune(at(400));
    refuse(&mut spool, Some(Errno::IO));
    (400..500).for_each(|second| spool.push(&[record(second, 30_000)], at(second)));
    let taken = drain(&mut spool, at(500));
    assert_eq!(taken[..5], [0, 60, 120, 180, 240], "what was written is still there");
    assert_eq!(taken.last(), Some(&499));
    assert_eq!(dropped(&spool, Reason::Full), 105 - taken.len() as u64);
}

#[test]
fn what_had_to_go_from_the_disk_meanwhile_is_not_answered_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&on_disk(folder.path(), 1 << 20), at(0)).unwrap();
    (0..5).for_each(|minute| spool.push(&[record(minute * 60, 100 << 10)], at(minute * 60)));
    spool.prune(at(400));
    let Next::Record { ticket, record: first, .. } = spool.next(at(400)) else { panic!("five wait") };
    assert_eq!(first.taken.as_secs(), 0);
    (7..20).for_each(|minute| spool.push(&[record(minute * 60, 100 << 10)], at(minute * 60)));
    assert!(dropped(&spool, Reason::Full) > 0);
    let before = spool.figures(at(1200));
    assert!(!spool.answered(ticket));
    assert_eq!(spool.figures(at(1200)), before);
    // From memory to the disk it stays the same record.
    drain(&mut spool, at(1200));
    spool.push(&[record(1200, 1000)], at(1200));
    let Next::Record { ticket, .. } = spool.next(at(1201)) else { panic!("one waits") };
    spool.prune(at(1600));
    assert_eq!((segments(folder.path()).len(), spool.answered(ticket)), (1, true));
    nothing_is_lost(&spool.figures(at(1600)));
}

#[test]
fn a_folder_with_more_than_may_wait_makes_room_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&on_disk(folder.path(), 64 << 20), at(0)).unwrap();
    (0..100).for_each(|minute| spool.push(&[record(minute * 60, 100 << 10)], at(minute * 60)));
    spool.close(at(6000));
    let mut spool = Spool::open(&on_disk(folder.path(), 3 << 20), at(6000)).unwrap();
    let figures = spool.figures(at(6000));
    nothing_is_lost(&figures);
    assert!((2 << 20..=3 << 20).contains(&figures.bytes), "{}", figures.bytes);
    assert_eq!(drain(&mut spool, at(6000)).last(), Some(&(99 * 60)));
}

#[test]
fn what_is_not_ours_is_left_alone_and_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("notes.txt"), "mine").unwrap();
    fs::write(path("0000000000000003.spool"), "a diary that somebody named like this").unwrap();
    fs::write(path("0000000000000004.spool"), "").unwrap();
    fs::write(path("0000000000000005.spool"), [0; 5000]).unwrap();
    fs::create_dir(path("0000000000000006.spool")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("9999999999999999.spool")).unwrap();
    let settings = on_disk(folder.path(), 1 << 20);
    let mut spool = Spool::open(&settings, at(0)).unwrap();
    assert_eq!(dropped(&spool, Reason::Torn), 2, "of what was nothing written, as after a loss of power");
    (1..=10).for_each(|second| spool.push(&[record(second, 10_000)], at(second)));
    spool.close(at(11));
    let mut spool = Spool::open(&settings, at(12)).unwrap();
    assert_eq!(drain(&mut spool, at(12)), (1..=10).collect::<Vec<_>>());
    let left: Vec<_> = segments(folder.path());
    let expected = ["0000000000000003", "0000000000000006", "9999999999999999"];
    assert_eq!(left, expected.map(|name| path(&format!("{name}.spool"))));
    assert_eq!(fs::read(path("notes.txt")).unwrap(), b"mine");
}

#[test]
fn an_earlier_boot_is_dated_if_its_time_was_learnt_and_not_otherwise() {
    for (learnt, answered, undatable) in [(Some(THAT), 10, 0), (None, 0, 10)] {
        let folder = tempfile::tempdir().unwrap();
        let settings = on_disk(folder.path(), 1 << 20);
        let then = |seconds, boot_time| Moment { boot: EARLIER, now: Duration::from_secs(seconds), boot_time };
        let mut spool = Spool::open(&settings, then(0, None)).unwrap();
        (1..=10).for_each(|second| spool.push(&[Record { boot: EARLIER, ..record(second, 50) }], then(second, None)));
        assert_eq!(spool.next(then(11, None)), Next::NotYet);
        spool.prune(then(12, learnt));
        spool.close(then(13, learnt));
        // The next boot, two hours later.
        let mut spool = Spool::open(&settings, Moment { boot_time: None, ..at(5) }).unwrap();
        assert_eq!(spool.boot_time(EARLIER), learnt);
        assert!(spool.figures(Moment { boot_time: None, ..at(5) }).oldest.is_some_and(|age| age.as_secs() == 5));
        let age = spool.figures(at(5)).oldest.map(|age| age.as_secs());
        assert_eq!(age, Some(if learnt.is_some() { 7200 + 5 - 1 } else { 5 }));
        while let Next::Record { ticket, record, boot_time } = spool.next(at(5)) {
            assert_eq!((record.boot, boot_time), (EARLIER, THAT));
            spool.answered(ticket);
        }
        let figures = spool.figures(at(5));
        nothing_is_lost(&figures);
        assert_eq!((figures.answered.records, dropped(&spool, Reason::Undatable)), (answered, undatable));
    }
}

#[test]
fn a_large_spool_is_opened_at_once_and_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_disk(folder.path(), 1 << 30);
    let mut spool = Spool::open(&settings, at(0)).unwrap();
    (0..100).for_each(|minute| spool.push(&[record(minute * 60, 100 << 10)], at(minute * 60)));
    spool.close(at(6000));
    // Of this thread alone; not every kernel counts.
    let read = || {
        let text = fs::read_to_string("/proc/thread-self/io").ok()?;
        text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse::<u64>().ok())
    };
    let before = read();
    let spool = Spool::open(&settings, at(6000)).unwrap();
    let after = read();
    assert_eq!(spool.figures(at(6000)).waiting.records, 100);
    let Some((before, after)) = before.zip(after) else { return println!("this kernel does not count what is read") };
    // Start and seal of ten files, and one by its heads: of 10 MiB.
    assert!(after - before < 20_000, "{} bytes read", after - before);
}

/// The folder of a file system of 1 MiB, in the process that sees it.
const SMALL: &str = "WHOLENODE_SMALL_FILESYSTEM";

#[test]
fn a_file_system_that_is_really_full_is_survived() {
    if let Some(folder) = std::env::var_os(SMALL) {
        return fill(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}::a_file_system_that_is_really_full_is_survived", module_path!().split_once("::").unwrap().1);
    let script = "mount -t tmpfs -o size=1m,mode=700 none \"$0\" || exit 9; exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(folder.path()).arg(std::env::current_exe().unwrap());
    command.args(["--exact", &name]).env(SMALL, folder.path());
    match command.output() {
        Ok(output) if output.status.success() => assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed")),
        Ok(output) if output.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&output.stdout)),
        other => println!("skipped: no file system can be mounted here: {other:?}"),
    }
}

fn fill(folder: &Path) {
    let mut spool = Spool::open(&on_disk(folder, 8 << 20), at(0)).unwrap();
    let (mut faults, before) = (0, spool.figures(at(0)).writes);
    for minute in 0..240 {
        spool.push(&[record(minute * 60, 20 << 10)], at(minute * 60));
        let figures = spool.figures(at(minute * 60));
        nothing_is_lost(&figures);
        faults += u64::from(figures.fault.is_some());
    }
    let figures = spool.figures(at(14_400));
    assert!(faults > 100 && figures.writes - before < 500, "{faults} faults, {} writes", figures.writes);
    // 1 MiB on the disk and 2 MiB in memory are the newest.
    let newest = drain(&mut spool, at(14_400));
    assert!((90..170).contains(&newest.len()), "{}", newest.len());
    assert_eq!(newest, (240 - newest.len() as u64..240).map(|minute| minute * 60).collect::<Vec<_>>());
    // Somebody else fills it, and makes room again.
    let ballast = folder.join("ballast");
    let _ = fs::write(&ballast, vec![1; 2 << 20]);
    (240..250).for_each(|minute| spool.push(&[record(minute * 60, 20 << 10)], at(minute * 60)));
    assert!(spool.figures(at(15_000)).fault.is_some());
    fs::remove_file(ballast).unwrap();
    spool.prune(at(15_300));
    assert_eq!((spool.figures(at(15_300)).fault, spool.memory.bytes()), (None, 0));
    assert_eq!(drain(&mut spool, at(15_300)).len(), 10);
    nothing_is_lost(&spool.figures(at(15_300)));
}
