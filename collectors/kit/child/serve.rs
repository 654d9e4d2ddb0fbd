//! The child's side: asks filesystem after filesystem, and goes on with another thread when one does not answer.

use super::super::{StatFs, lock};
use super::{STUCK_MAX, encode};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a call may take before another thread carries on with the rest.
const STALL: Duration = Duration::from_millis(5);
/// Threads of the child need little: a path and a system call.
const STACK: usize = 64 << 10;

#[derive(Default)]
struct Work {
    queue: VecDeque<(u32, String)>,
    answers: Vec<u8>,
    /// Calls that have returned, ever; it stands still while all workers are stuck.
    returned: u64,
    busy: usize,
    workers: usize,
}

#[derive(Default)]
struct Shared {
    work: Mutex<Work>,
    wanted: Condvar,
    begun: Condvar,
}

/// Answers requests from standard input on standard output until that ends.
pub fn serve() {
    let shared = Arc::new(Shared::default());
    let watched = Arc::clone(&shared);
    let watch = std::thread::Builder::new().stack_size(STACK).spawn(move || watch(&watched));
    if watch.is_err() {
        return;
    }
    let mut input = std::io::stdin().lock();
    let mut head = [0; 6];
    let mut bytes = Vec::new();
    loop {
        if input.read_exact(&mut head).is_err() {
            // The daemon is gone. Threads that are stuck can't hold this back: they hold nothing of anybody's.
            std::process::exit(0);
        }
        let [a, b, c, d, low, high] = head;
        bytes.resize(usize::from(u16::from_le_bytes([low, high])), 0);
        if input.read_exact(&mut bytes).is_err() {
            std::process::exit(0);
        }
        let path = String::from_utf8_lossy(&bytes).into_owned();
        lock(&shared.work).queue.push_back((u32::from_le_bytes([a, b, c, d]), path));
        shared.begun.notify_one();
    }
}

/// Sees to it that somebody is working while there is work: twice as many threads each time that nothing came back.
fn watch(shared: &Arc<Shared>) {
    let mut work = lock(&shared.work);
    loop {
        while work.queue.is_empty() {
            work = shared.begun.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        if work.busy < work.workers {
            shared.wanted.notify_one();
        } else {
            let more = work.workers.max(1).min(work.queue.len()).min(STUCK_MAX + 1 - work.workers.min(STUCK_MAX));
            for _ in 0..more {
                let shared = Arc::clone(shared);
                let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || labour(&shared));
                work.workers += usize::from(thread.is_ok());
            }
        }
        let before = work.returned;
        while !work.queue.is_empty() {
            let (guard, wait) = shared.begun.wait_timeout(work, STALL).unwrap_or_else(PoisonError::into_inner);
            work = guard;
            if wait.timed_out() && work.returned == before {
                break;
            }
        }
        flush(&mut work);
    }
}

fn labour(shared: &Shared) {
    let mut work = lock(&shared.work);
    loop {
        let Some((number, path)) = work.queue.pop_front() else {
            flush(&mut work);
            // One thread waits for more work; those that were needed once are not kept.
            if work.workers - work.busy > 1 {
                work.workers -= 1;
                return;
            }
            work = shared.wanted.wait(work).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        work.busy += 1;
        drop(work);
        let answer = statfs(&path);
        work = lock(&shared.work);
        work.busy -= 1;
        work.returned += 1;
        let frame = encode(number, answer);
        work.answers.extend_from_slice(&frame);
    }
}

fn flush(work: &mut Work) {
    if !work.answers.is_empty() && std::io::stdout().write_all(&work.answers).is_ok() {
        let _ = std::io::stdout().flush();
    }
    work.answers.clear();
}

fn statfs(path: &str) -> Result<StatFs, Errno> {
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
