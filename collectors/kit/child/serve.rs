//! The child's side: asks filesystem after filesystem, and goes on with another thread when one does not answer.
//!
//! All threads are alike. Each waits for a packet of requests and works until none is left; before it begins, it sees to
//! it that another one waits. A packet without requests is a nudge: the daemon has not heard for a while, so whoever
//! works may be stuck, and the one that is woken by the nudge carries on. So nobody wakes anybody while all is well.

use super::super::{Clock, StatFs, lock};
use super::frame;
use super::{Answer, PACKET_MAX, Question, STUCK_MAX};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

/// One for each call that may hang, and one that waits for marks and nudges.
const THREADS_MAX: usize = STUCK_MAX + 1;
/// How many threads wait; those that were needed once are not kept.
const WAITING_MAX: usize = 2;
/// Threads of the child need little: a path and a system call.
const STACK: usize = 64 << 10;
/// Answers are sent when they are this long, or when nothing is left to do.
const LONG: usize = 16 << 10;
const _: () = assert!(LONG + frame::ANSWER_MAX <= PACKET_MAX);

#[derive(Default)]
struct Work {
    queue: VecDeque<(u64, Question, Vec<u8>)>,
    answers: Vec<u8>,
    threads: usize,
    waiting: usize,
}

/// Answers requests from standard input, which is a socket, until the daemon is gone.
///
/// The main thread asks nothing: when the process is killed while calls hang, it is the one that ends and shows it.
pub fn serve() {
    let work = Arc::new(Mutex::new(Work::default()));
    hire(&work, &mut lock(&work));
    while lock(&work).threads > 0 {
        std::thread::park();
    }
}

fn labour(work: &Arc<Mutex<Work>>) {
    let socket = std::io::stdin();
    let mut packet = vec![0; PACKET_MAX];
    loop {
        let length = match rustix::io::read(socket.as_fd(), &mut packet) {
            Ok(length @ 1..) => length,
            Err(Errno::INTR) => continue,
            // The daemon is gone. Threads that are stuck can't hold this back: they hold nothing of anybody's.
            _ => std::process::exit(0),
        };
        let mut state = lock(work);
        state.waiting -= 1;
        state.queue.extend(frame::requests(packet.get(..length).unwrap_or_default()));
        if state.waiting == 0 && state.threads < THREADS_MAX {
            hire(work, &mut state);
        }
        while let Some((number, question, path)) = state.queue.pop_front() {
            let (result, at) = if path.is_empty() {
                (Ok(Answer::Size(StatFs::default())), Duration::ZERO)
            } else {
                drop(state);
                let answer = (question.ask(&path), Clock::Real.monotonic());
                state = lock(work);
                answer
            };
            frame::answer(&mut state.answers, number, &result, at);
            if state.answers.len() >= LONG {
                send(&mut state);
            }
        }
        send(&mut state);
        if state.waiting >= WAITING_MAX {
            state.threads -= 1;
            return;
        }
        state.waiting += 1;
    }
}

fn hire(work: &Arc<Mutex<Work>>, state: &mut Work) {
    let theirs = Arc::clone(work);
    if Builder::new().stack_size(STACK).spawn(move || labour(&theirs)).is_ok() {
        state.threads += 1;
        state.waiting += 1;
    }
}

/// Sends what there is. The socket takes more than was asked for at once; if it does not, the daemon is not reading, and
/// asks again.
fn send(state: &mut Work) {
    if !state.answers.is_empty() {
        let _ = rustix::io::write(std::io::stdin().as_fd(), &state.answers);
        state.answers.clear();
    }
}
