//! The child's side: asks filesystem after filesystem, and goes on with another thread when one does not answer.
//!
//! The main thread only reads requests, a second one only writes answers and hires: neither ever asks a filesystem, so
//! the child hears and speaks whatever hangs.

use super::super::{Clock, lock};
use super::frame::{self, Outcome, PATH_MAX};
use crate::kit::StatFs;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// How many threads may ask, and so how many filesystems may be stuck before no other can be asked.
const HANDS_MAX: usize = super::STUCK_MAX;
/// How often to look whether the work goes on.
const STALL: Duration = Duration::from_millis(5);
/// Fewer calls than this in a stall: these filesystems are asked over a network, or are stuck, and more hands help.
const BRISK: u64 = 64;
/// Threads of the child need little: a path and a system call.
const STACK: usize = 64 << 10;
/// Answers are written when they are this long, or when nothing is left to do.
const LONG: usize = 16 << 10;

#[derive(Default)]
struct Work {
    queue: VecDeque<(u64, Vec<u8>)>,
    answers: Vec<u8>,
    /// Requests that were dealt with, ever; it stands still while all hands are stuck.
    done: u64,
    /// Threads that are inside a call.
    busy: usize,
    hands: usize,
}

#[derive(Default)]
struct Shared {
    work: Mutex<Work>,
    /// For the hands: there is something to ask.
    wanted: Condvar,
    /// For the foreman: something began or came back.
    moved: Condvar,
}

/// Answers requests from standard input on standard output until that ends.
pub fn serve() {
    let shared = Arc::new(Shared::default());
    let theirs = Arc::clone(&shared);
    if Builder::new().stack_size(STACK).spawn(move || oversee(&theirs)).is_err() {
        return;
    }
    let mut input = std::io::stdin().lock();
    while let Some(request) = read_request(&mut input) {
        let is_mark = request.1.is_empty();
        lock(&shared.work).queue.push_back(request);
        // Behind every batch comes a mark; nobody is woken for less.
        if is_mark {
            shared.moved.notify_one();
        }
    }
    // The daemon is gone. Threads that are stuck can't hold this back: they hold nothing of anybody's.
    std::process::exit(0);
}

fn read_request(input: &mut impl Read) -> Option<(u64, Vec<u8>)> {
    let mut head = [0; 10];
    input.read_exact(&mut head).ok()?;
    let (number, length) = frame::request_head(head);
    if length > PATH_MAX {
        return None;
    }
    let mut path = vec![0; length];
    input.read_exact(&mut path).ok()?;
    Some((number, path))
}

/// The foreman: writes answers, and sees to it that somebody is working while there is work.
fn oversee(shared: &Arc<Shared>) {
    let mut work = lock(&shared.work);
    loop {
        if !work.answers.is_empty() && (work.queue.is_empty() || work.answers.len() >= LONG) {
            work = write(shared, work);
            continue;
        }
        if work.queue.is_empty() {
            work = shared.moved.wait(work).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        if work.busy < work.hands {
            shared.wanted.notify_one();
        } else if work.hands == 0 {
            hire(shared, &mut work, 1);
        }
        let before = work.done;
        let (guard, wait) = shared.moved.wait_timeout(work, STALL).unwrap_or_else(PoisonError::into_inner);
        work = guard;
        if wait.timed_out() && work.busy == work.hands && !work.queue.is_empty() && work.done - before < BRISK {
            // Twice as many each time: 256 stuck filesystems are passed within nine stalls.
            let more = work.hands.max(1);
            if hire(shared, &mut work, more) == 0 && work.done == before {
                refuse(&mut work);
            }
        }
        if wait.timed_out() && !work.answers.is_empty() {
            work = write(shared, work);
        }
    }
}

/// Up to `more` new threads, no more than there are requests; how many it became.
fn hire(shared: &Arc<Shared>, work: &mut Work, more: usize) -> usize {
    let more = more.min(work.queue.len()).min(HANDS_MAX - work.hands.min(HANDS_MAX));
    let before = work.hands;
    for _ in 0..more {
        let theirs = Arc::clone(shared);
        let thread = Builder::new().stack_size(STACK).spawn(move || labour(&theirs));
        work.hands += usize::from(thread.is_ok());
    }
    work.hands - before
}

/// Every thread that the machine gives us is stuck: says so, rather than let the queue grow.
fn refuse(work: &mut Work) {
    while let Some((number, path)) = work.queue.pop_front() {
        let outcome = if path.is_empty() { mark() } else { Outcome::Refused };
        frame::answer(&mut work.answers, number, outcome);
        work.done += 1;
    }
}

fn labour(shared: &Shared) {
    let mut work = lock(&shared.work);
    loop {
        let Some((number, path)) = work.queue.pop_front() else {
            // One thread waits for more work; those that were needed once are not kept.
            if work.hands - work.busy > 1 {
                work.hands -= 1;
                return;
            }
            work = shared.wanted.wait(work).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let outcome = if path.is_empty() {
            mark()
        } else {
            work.busy += 1;
            drop(work);
            let result = statfs(&path);
            let outcome = Outcome::Returned(result, Clock::Real.monotonic());
            work = lock(&shared.work);
            work.busy -= 1;
            outcome
        };
        frame::answer(&mut work.answers, number, outcome);
        work.done += 1;
        if work.queue.is_empty() || work.answers.len() >= LONG {
            shared.moved.notify_one();
        }
    }
}

fn mark() -> Outcome {
    Outcome::Returned(Ok(StatFs::default()), Duration::ZERO)
}

/// Writes what there is, without holding anybody up meanwhile: the daemon may read only in its next round.
fn write<'a>(shared: &'a Shared, mut work: std::sync::MutexGuard<'a, Work>) -> std::sync::MutexGuard<'a, Work> {
    let bytes = std::mem::take(&mut work.answers);
    drop(work);
    let output = std::io::stdout();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match rustix::io::write(output.as_fd(), rest) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Nobody listens any more; standard input will say so too.
            Err(_) => break,
        }
    }
    lock(&shared.work)
}

fn statfs(path: &[u8]) -> Result<StatFs, Errno> {
    let stat = rustix::fs::statfs(path)?;
    Ok(StatFs {
        block_size: stat.f_bsize as u64,
        blocks: stat.f_blocks,
        blocks_free: stat.f_bfree,
        blocks_available: stat.f_bavail,
        files: stat.f_files,
        files_free: stat.f_ffree,
    })
}
