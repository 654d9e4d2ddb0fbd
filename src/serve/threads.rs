//! The threads that pages are made on.
//!
//! Handing a page over costs one wake-up of one thread: always the one that waits for the shortest time, whose stack and
//! tables are the warmest.

use super::lock;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, Builder, Thread};
use std::time::{Duration, Instant};

/// How long a thread waits for work before it goes, unless it is the last one.
const IDLE: Duration = Duration::from_secs(300);

/// What a thread does for somebody. It may take its time, and must not panic.
pub(super) trait Work: Send + Sync {
    fn run(&self);
}

/// Threads that are started when there is work for them. Dropping this waits for none of them.
pub(super) struct Threads(Arc<Shared>);

struct Shared {
    most: usize,
    idle: Duration,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    queue: VecDeque<Arc<dyn Work>>,
    /// Those that wait for work, the latest last.
    waiting: Vec<Thread>,
    threads: usize,
    ended: bool,
}

impl Threads {
    /// At most so many threads; what else is to be done waits for one.
    pub(super) fn new(most: usize) -> Self {
        Self::with_idle(most, IDLE)
    }

    fn with_idle(most: usize, idle: Duration) -> Self {
        Threads(Arc::new(Shared { most: most.max(1), idle, now: Mutex::default() }))
    }

    /// Has this done.
    ///
    /// # Errors
    /// There is no thread, and none could be started.
    pub(super) fn submit(&self, work: Arc<dyn Work>) -> io::Result<()> {
        let mut now = lock(&self.0.now);
        now.queue.push_back(work);
        let waiting = now.waiting.pop();
        let start = waiting.is_none() && now.threads < self.0.most;
        now.threads += usize::from(start);
        drop(now);
        // Woken after the lock was given back: it would run into it.
        if let Some(thread) = waiting {
            thread.unpark();
        }
        if !start {
            return Ok(());
        }
        let shared = Arc::clone(&self.0);
        let started = Builder::new().name("page".to_owned()).spawn(move || shared.work());
        started.map(drop).or_else(|error| {
            let mut now = lock(&self.0.now);
            now.threads -= 1;
            // Another thread will come to it, or there is none.
            if now.threads > 0 {
                return Ok(());
            }
            now.queue.clear();
            Err(error)
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut now = lock(&self.0.now);
        now.ended = true;
        let waiting = std::mem::take(&mut now.waiting);
        drop(now);
        waiting.iter().for_each(Thread::unpark);
    }
}

impl Shared {
    fn work(&self) {
        let me = thread::current();
        let mut since = Instant::now();
        loop {
            let mut now = lock(&self.now);
            now.waiting.retain(|thread| thread.id() != me.id());
            if let Some(work) = now.queue.pop_front() {
                drop(now);
                work.run();
                drop(work);
                since = Instant::now();
                continue;
            }
            let rest = self.idle.saturating_sub(since.elapsed());
            if now.ended || (rest.is_zero() && now.threads > 1) {
                now.threads -= 1;
                return;
            }
            now.waiting.push(me.clone());
            let last = now.threads == 1;
            drop(now);
            if last {
                thread::park();
            } else {
                thread::park_timeout(rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::mpsc::{Sender, channel};
    use std::thread::ThreadId;

    /// Tells who did it, once all have come that have to.
    struct Told(Sender<ThreadId>, Option<Arc<Barrier>>);

    impl Work for Told {
        fn run(&self) {
            if let Some(barrier) = &self.1 {
                barrier.wait();
            }
            self.0.send(thread::current().id()).unwrap();
        }
    }

    fn until(what: impl Fn() -> bool) {
        let begun = Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn one_after_the_other_is_done_by_the_same_thread() {
        let (tell, told) = channel();
        let threads = Threads::new(4);
        let mut ids = Vec::new();
        for _ in 0..20 {
            threads.submit(Arc::new(Told(tell.clone(), None))).unwrap();
            ids.push(told.recv().unwrap());
            until(|| lock(&threads.0.now).waiting.len() == 1);
        }
        assert!(ids.iter().all(|id| *id == ids[0]));
    }

    #[test]
    fn what_is_too_much_waits_and_who_is_too_many_goes() {
        let (tell, told) = channel();
        let threads = Threads::with_idle(2, Duration::from_millis(20));
        let barrier = Arc::new(Barrier::new(3));
        for _ in 0..2 {
            threads.submit(Arc::new(Told(tell.clone(), Some(Arc::clone(&barrier))))).unwrap();
        }
        threads.submit(Arc::new(Told(tell.clone(), None))).unwrap();
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "both threads are held up");
        barrier.wait();
        assert_eq!(told.iter().take(3).count(), 3);
        until(|| lock(&threads.0.now).threads == 1);
        threads.submit(Arc::new(Told(tell, None))).unwrap();
        assert!(told.recv().is_ok(), "the last one stays");
        let shared = Arc::clone(&threads.0);
        drop(threads);
        until(|| lock(&shared.now).threads == 0);
    }
}
