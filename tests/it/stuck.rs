//! Filesystems that hang cost their own series and nothing else.

use crate::fuse::{self, Fuse, Mood};
use collectors::kit::{Child, Clock, Error, Host, Machine, Mount, Options, Question, Roots, StatFs};
use collectors::model::Batch;
use collectors::node::filesystem::SPEC;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wholenode");
/// More than the collector has: these tests run beside others.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a round may take more than that on a busy machine.
const BUSY: Duration = Duration::from_millis(1000);

fn at(id: u64, path: &Path) -> Arc<Mount> {
    let path = path.as_os_str().as_bytes().to_vec();
    Arc::new(Mount { id, path, never_sleeps: false, question: Question::Size })
}

fn all(of: &[Fuse]) -> Vec<Arc<Mount>> {
    of.iter().zip(1..).map(|(fuse, id)| at(id, fuse.path())).collect()
}

fn many(mood: Mood, count: usize) -> Vec<Fuse> {
    (0..count).map(|_| Fuse::mount(mood)).collect()
}

#[track_caller]
fn round(child: &Child, mounts: &[Arc<Mount>]) -> Vec<Result<StatFs, Error>> {
    let begun = Instant::now();
    let answers = child.statfs(mounts, PATIENCE);
    assert!(begun.elapsed() < PATIENCE + BUSY, "a round of {:?}", begun.elapsed());
    answers
}

fn blocks(answers: &[Result<StatFs, Error>]) -> Vec<Option<u64>> {
    answers.iter().map(|answer| answer.as_ref().ok().map(|size| size.blocks)).collect()
}

/// Waits until it is so.
#[track_caller]
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The state of a process that may have ended, as `ps` shows it, and how many threads it has.
fn process(pid: u32) -> (char, usize) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('X');
    (state, std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count))
}

fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn eighteen_that_hang_cost_only_their_own_series_from_the_first_round_on() {
    if !fuse::available() {
        return;
    }
    let mut hanging = many(Mood::Mute, 9);
    hanging.extend(many(Mood::Deaf, 9));
    let awake = many(Mood::Awake, 2);
    let child = Child::new(PROGRAM);
    let mut mounts = all(&hanging);
    mounts.extend([at(100, awake[0].path()), at(101, awake[1].path()), at(102, Path::new("/"))]);
    mounts.swap(0, 18);
    for number in 0..5 {
        let answers = round(&child, &mounts);
        let failed = answers.iter().filter(|answer| matches!(answer, Err(Error::Stuck { .. }))).count();
        assert_eq!(failed, 18, "round {number}: {answers:?}");
        assert_eq!(blocks(&answers)[0], Some(1000));
        assert_eq!(blocks(&answers)[19], Some(1000));
        assert_eq!(child.stuck(), 18);
    }
    let quickest = (0..5).map(|_| {
        let begun = Instant::now();
        round(&child, &mounts);
        begun.elapsed()
    });
    assert!(quickest.min().unwrap() < PATIENCE, "nobody waits twice");
    let pid = child.id().unwrap();
    assert!(process(pid).1 <= 18 + 4);
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let files: Vec<_> = files.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    // The socket to be asked over, and the pipes that cargo gives to everybody.
    let is_a = |file: &Path, kind: &str| file.to_string_lossy().starts_with(kind);
    assert_eq!(files.iter().filter(|file| is_a(file, "socket:")).count(), 1, "{files:?}");
    assert!(
        files.iter().all(|file| ["/dev/null", "socket:", "pipe:"].iter().any(|kind| is_a(file, kind))),
        "{files:?}"
    );

    // They come back.
    hanging.iter().for_each(|fuse| fuse.resize(2000));
    hanging.iter().for_each(|fuse| fuse.set(Mood::Awake));
    eventually("all are back", || round(&child, &mounts).iter().all(Result::is_ok));
    hanging.iter().for_each(|fuse| fuse.resize(3000));
    assert_eq!(blocks(&round(&child, &mounts))[1..18], [Some(3000); 17]);
    assert_eq!(child.stuck(), 0);
    eventually("threads that are not needed end", || process(pid).1 <= 3);
}

#[test]
fn a_late_answer_serves_once_and_never_in_the_place_of_a_new_one() {
    if !fuse::available() {
        return;
    }
    let slow = Fuse::mount(Mood::Mute);
    let child = Child::new(PROGRAM);
    let mounts = [at(1, slow.path())];
    let late = || {
        slow.set(Mood::Mute);
        slow.resize(1000);
        assert_eq!(blocks(&round(&child, &mounts)), [None]);
        slow.set(Mood::Awake);
        std::thread::sleep(Duration::from_millis(200));
    };
    late();
    slow.resize(2000);
    assert_eq!(blocks(&round(&child, &mounts)), [Some(2000)], "it answers promptly");
    late();
    slow.set(Mood::Mute);
    slow.resize(3000);
    assert_eq!(blocks(&round(&child, &mounts)), [Some(1000)], "it was late");
    assert_eq!(blocks(&round(&child, &mounts)), [None], "used already");
}

#[test]
fn who_mounts_anew_where_a_dead_one_was_is_seen() {
    if !fuse::available() {
        return;
    }
    let dead = Fuse::mount(Mood::Mute);
    let child = Child::new(PROGRAM);
    assert_eq!(blocks(&round(&child, &[at(1, dead.path())])), [None]);
    dead.detach();
    assert_eq!(blocks(&round(&child, &[at(1, dead.path())])), [None]);
    assert!(round(&child, &[at(2, dead.path())])[0].is_ok());
}

#[test]
fn threads_are_bounded_whatever_hangs() {
    if !fuse::available() {
        return;
    }
    let dead = Fuse::mount(Mood::Mute);
    let child = Child::new(PROGRAM);
    let mounts: Vec<Arc<Mount>> = (0..300).map(|id| at(id, dead.path())).collect();
    for _ in 0..3 {
        let (hang, unknown): (Vec<_>, Vec<_>) =
            round(&child, &mounts).into_iter().partition(|answer| matches!(answer, Err(Error::Stuck { .. })));
        assert_eq!(hang.len(), collectors::kit::child::STUCK_MAX);
        assert!(unknown.iter().all(|answer| matches!(answer, Err(Error::Other { .. }))), "nobody was free to ask them");
    }
    let (_, threads) = process(child.id().unwrap());
    assert!(threads <= collectors::kit::child::STUCK_MAX + 2, "{threads}");
    assert!(child.stuck() <= collectors::kit::child::STUCK_MAX, "{}", child.stuck());
    dead.set(Mood::Awake);
    eventually("all are back", || round(&child, &mounts).iter().all(Result::is_ok));
}

#[test]
fn a_child_that_was_killed_has_a_successor() {
    let child = Child::new(PROGRAM);
    let root = [at(1, Path::new("/"))];
    assert!(round(&child, &root)[0].is_ok());
    let first = child.id().unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    kill(first);
    assert!(round(&child, &root)[0].is_ok(), "the round is not lost");
    kill(child.id().unwrap());
    let answer = round(&child, &root).remove(0);
    assert!(matches!(answer, Err(Error::Other { .. })), "not twice in a second: {answer:?}");
    eventually("a third one", || round(&child, &root)[0].is_ok());
    assert_eq!(process(first), ('X', 0), "no zombie is left");
}

#[test]
fn a_child_that_was_killed_while_calls_hang_has_a_successor() {
    if !fuse::available() {
        return;
    }
    let dead = Fuse::mount(Mood::Mute);
    let child = Child::new(PROGRAM);
    let mounts = [at(1, dead.path()), at(2, Path::new("/"))];
    let mut killed = Vec::new();
    for _ in 0..4 {
        assert!(round(&child, &mounts)[1].is_ok(), "the round is not lost");
        let pid = child.id().unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        kill(pid);
        eventually("the kernel keeps it, as a zombie with a thread", || process(pid) == ('Z', 2));
        killed.push(pid);
    }
    // More of them are not risked, until the kernel lets go.
    assert!(matches!(round(&child, &mounts)[1], Err(Error::Other { .. })));
    dead.set(Mood::Awake);
    eventually("a successor", || round(&child, &mounts).iter().all(Result::is_ok));
    eventually("no zombie is left", || {
        round(&child, &mounts);
        killed.iter().all(|pid| process(*pid) == ('X', 0))
    });
}

#[test]
fn a_child_that_is_silent_has_a_successor() {
    let child = Child::new(PROGRAM);
    let root = [at(1, Path::new("/"))];
    assert!(round(&child, &root)[0].is_ok());
    let first = child.id().unwrap();
    signal(first, rustix::process::Signal::STOP);
    eventually("it has stopped", || process(first).0 == 'T');
    // Its threads stop one after another.
    std::thread::sleep(Duration::from_millis(50));
    assert!(matches!(round(&child, &root)[0], Err(Error::Other { .. })), "not the filesystem's fault");
    eventually("the successor answers", || round(&child, &root)[0].is_ok());
    assert_ne!(child.id(), Some(first));
}

#[test]
fn the_child_ends_with_the_daemon() {
    if !fuse::available() {
        return;
    }
    // A daemon of which nothing is left but this: the socket that was its child's standard input is closed.
    let start = |of: &[Fuse]| {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let child = std::process::Command::new(PROGRAM)
            .arg(collectors::kit::child::ARGUMENT)
            .stdin(std::process::Stdio::from(theirs))
            .spawn()
            .unwrap();
        for (fuse, number) in of.iter().zip(0u64..) {
            let path = fuse.path().as_os_str().as_bytes();
            let length = u16::try_from(path.len()).unwrap();
            let request = [&number.to_le_bytes()[..], &[0; 4], &length.to_le_bytes(), path].concat();
            rustix::io::write(&socket, &request).unwrap();
        }
        eventually("all are asked", || process(child.id()).1 >= of.len() + 2);
        child
    };
    let killable = many(Mood::Deaf, 9);
    let mut deaf = start(&killable);
    eventually("it ends though calls hang", || deaf.try_wait().unwrap().is_some());
    let hanging = many(Mood::Mute, 9);
    let mut mute = start(&hanging);
    eventually("only what can't end lingers", || process(mute.id()) == ('Z', 10));
    drop(hanging);
    eventually("and goes as soon as it can", || mute.try_wait().unwrap().is_some());
}

#[test]
fn each_question_has_its_own_answers() {
    if !fuse::available() {
        return;
    }
    let child = Child::new(PROGRAM);
    let mute = Fuse::mount(Mood::Mute);
    let mounts = [at(1, mute.path()), at(2, Path::new("/proc"))];
    let devices = mounts.each_ref().map(|mount| Mount { question: Question::Devices, ..(**mount).clone() }.into());
    for _ in 0..2 {
        let answers = child.btrfs(&devices, PATIENCE);
        assert!(matches!(answers[..], [Err(Error::Stuck { .. }), Err(Error::Gone { .. })]), "{answers:?}");
        let answers = child.statfs(&mounts, PATIENCE);
        assert!(matches!(answers[..], [Err(Error::Stuck { .. }), Ok(_)]), "{answers:?}");
    }
    assert_eq!(child.stuck(), 2);
}

#[test]
fn a_hundred_thousand_mounts_fill_no_pipe() {
    let child = Child::new(PROGRAM);
    let root = |id| at(id, Path::new("/"));
    let mounts: Vec<Arc<Mount>> = (0..100_000).map(root).collect();
    let answers = child.statfs(&mounts, Duration::from_secs(30));
    assert!(answers.iter().all(Result::is_ok));
    // Patience is kept, and everybody's turn comes.
    let mut served = vec![false; mounts.len()];
    let (mut all, mut in_vain) = (0, 0);
    while all < served.len() {
        let begun = Instant::now();
        let answers = child.statfs(&mounts, Duration::from_millis(20));
        assert!(begun.elapsed() < BUSY, "{:?}", begun.elapsed());
        served.iter_mut().zip(answers).for_each(|(served, answer)| *served |= answer.is_ok());
        let before = std::mem::replace(&mut all, served.iter().filter(|served| **served).count());
        in_vain = if all > before { 0 } else { in_vain + 1 };
        assert!(in_vain < 100, "{all} had their turn, and no more come");
    }
    assert!(round(&child, &[root(1_000_000)])[0].is_ok());
}

/// The collector's page over the live `/proc`, for these mount points only.
fn page(host: &mut Host, of: &[Fuse]) -> BTreeMap<String, f64> {
    let names: Vec<_> = of.iter().filter_map(|fuse| fuse.path().to_str()).collect();
    let include = format!("^({})$", names.join("|").replace('.', r"\."));
    let options = Options::new(SPEC.options, &[("mount-points-include".to_owned(), vec![include])]).unwrap();
    let mut collector = (SPEC.open)(host, &options).unwrap().unwrap();
    let mut batch = Batch::new(SPEC.points_max);
    let begun = Instant::now();
    collector.collect(host, &mut batch).unwrap();
    assert!(begun.elapsed() < PATIENCE + BUSY, "{:?}", begun.elapsed());
    let mut page = BTreeMap::new();
    for column in batch.columns() {
        for sample in &column.samples {
            let labels = batch.labels().all(sample.of);
            let of = |name| labels.iter().find(|label| label.0 == name).map_or("", |label| label.1);
            let at = names.iter().position(|path| *path == of("mountpoint")).unwrap();
            let key = format!("{at} {} {}", column.family.name, of("device_error")).trim_end().to_owned();
            page.insert(key, sample.value.as_f64().unwrap());
        }
    }
    page
}

#[test]
fn the_page_tells_who_hangs_and_who_is_back() {
    if !fuse::available() {
        return;
    }
    let fuses = [Fuse::mount(Mood::Mute), Fuse::mount(Mood::Awake), Fuse::mount(Mood::Deaf)];
    let mut host = Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::new(PROGRAM)));
    let mut first = page(&mut host, &fuses);
    // The collector has less patience than these tests.
    eventually("the first that the machine had time for", || {
        let known = first.contains_key("1 node_filesystem_size_bytes")
            && first.contains_key("0 node_filesystem_readonly mountpoint timeout")
            && first.contains_key("2 node_filesystem_readonly mountpoint timeout");
        if !known {
            first = page(&mut host, &fuses);
        }
        known
    });
    for at in [0, 2] {
        let own: Vec<_> = first.iter().filter(|(key, _)| key.starts_with(&format!("{at} "))).collect();
        let error = format!("{at} node_filesystem_device_error mountpoint timeout");
        let readonly = format!("{at} node_filesystem_readonly mountpoint timeout");
        assert_eq!(own, [(&error, &1.0), (&readonly, &0.0)]);
    }
    assert_eq!(first["1 node_filesystem_size_bytes"], 4_096_000.0);
    assert_eq!(first["1 node_filesystem_avail_bytes"], 1_024_000.0);
    assert_eq!(first["1 node_filesystem_mount_info"], 1.0);
    assert_eq!(first["1 node_filesystem_device_error"], 0.0);

    fuses.iter().for_each(|fuse| fuse.set(Mood::Awake));
    eventually("all are back", || {
        (0..3).all(|at| page(&mut host, &fuses).contains_key(&format!("{at} node_filesystem_size_bytes")))
    });
    // Nothing that is well is held.
    fuses.iter().for_each(|fuse| fuse.unmount().unwrap());
    assert!(page(&mut host, &fuses).is_empty());
}
