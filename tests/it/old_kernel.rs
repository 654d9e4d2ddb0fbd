//! The daemon under kernels and containers of old: every system call newer than Linux 4.9 is refused.
//!
//! An old kernel answers ENOSYS. Docker before 20.10.10 (JetPack 4 has 19.03) answers EPERM for calls that its seccomp profile
//! does not know, so that nobody can tell a call that isn't there from one that isn't allowed.

use crate::daemon::{Daemon, LONG, has};
use seccompiler::{apply_filter, sock_filter};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The last call of Linux 4.9, `pkey_free`, of the processor that this test runs on.
const LAST: u32 = if cfg!(target_arch = "x86_64") { 331 } else { 290 };
/// Series that tell of time only.
const LATE: &[&str] = &[
    "wholenode_collector_age_seconds",
    "wholenode_overruns_total",
    "wholenode_read_errors_total{collector=\"filesystem\",reason=\"other\"}",
];
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// Refuses newer calls to this thread, and to all that it starts.
fn grow_old(errno: u32) {
    const LOAD: u16 = 0x20;
    const JUMP_IF_GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const REFUSE: u32 = 0x0005_0000;
    let step = |code, jt, k| sock_filter { code, jt, jf: 0, k };
    // The number of the call is the first word of what the filter is shown.
    let filter =
        [step(LOAD, 0, 0), step(JUMP_IF_GREATER, 1, LAST), step(RETURN, 0, ALLOW), step(RETURN, 0, REFUSE | errno)];
    apply_filter(&filter).unwrap();
}

/// What is done by a thread that has only the calls of old.
fn old_thread<T: Send + 'static>(errno: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let grown_old = move || {
        grow_old(errno);
        work()
    };
    std::thread::spawn(grown_old).join().unwrap()
}

/// What the page has, without figures.
fn series(daemon: &Daemon) -> BTreeSet<String> {
    let page = daemon.get("/metrics");
    // What comes late on a busy machine is a matter of time, and so is what the child did not come to.
    let is_late = |line: &str| LATE.iter().any(|series| line.contains(series));
    let lasting = page.lines().filter(|line| !is_late(line));
    lasting.map(|line| if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap().0 }.to_owned()).collect()
}

#[test]
fn calls_newer_than_linux_4_9_are_not_missed() {
    let all: Vec<String> = crate::golden::collectors().iter().map(|name| format!("--collector.{name}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let today = Daemon::start(&all);
    for errno in [ENOSYS, EPERM] {
        if errno == EPERM && crate::program::is_emulated() {
            crate::skipped("qemu needs clone3, or to hear that there is none");
            continue;
        }
        let mut command = Daemon::command("127.0.0.1:0", &all);
        let process = old_thread(errno, move || command.spawn().unwrap());
        let old = Daemon::of(process);
        // Other tests mount filesystems meanwhile, and processes of many names come and go.
        let begun = Instant::now();
        loop {
            let (then, of_old, now) = (series(&today), series(&old), series(&today));
            let missing: Vec<_> = then.intersection(&now).filter(|series| !of_old.contains(*series)).collect();
            let odd: Vec<_> =
                of_old.iter().filter(|series| !then.contains(*series) && !now.contains(*series)).collect();
            if missing.is_empty() && odd.is_empty() {
                break;
            }
            assert!(begun.elapsed() < LONG, "errno {errno}: missing {missing:#?}, not there today {odd:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        let page = old.get("/metrics");
        assert!(has(&page, "node_scrape_collector_success{collector=\"filesystem\"} 1"), "{page}");
        let (is_well, took) = old.stop();
        assert!(is_well && took < Duration::from_secs(2), "SIGTERM: {took:?}");
    }
}

#[test]
fn the_filter_refuses_what_it_should() {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    for errno in [ENOSYS, EPERM] {
        let open = || openat2(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::empty());
        let answer = old_thread(errno, move || open().unwrap_err());
        assert_eq!(answer.raw_os_error(), errno as i32);
    }
}
