//! The threads of the server: equal ones, of which one takes each event and does all that follows from it.
//!
//! So a page costs one wake-up: the thread that reads the request makes the page and writes the answer. It sees to it
//! that another thread waits meanwhile, for it may be held up. The kernel wakes the thread that came last, whose stack
//! and tables are the warmest.

use super::hub::{ALARM, BELL, CLOCK, Hub, LISTENERS};
use super::routes::Server;
use rustix::event::Timespec;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::Builder;

/// How long a thread waits for work before it goes, unless it is needed.
const IDLE: Timespec = Timespec { tv_sec: 300, tv_nsec: 0 };
/// Threads that stay: one that works and one that waits.
const KEPT: usize = 2;
/// Threads beside those that make the pages that may be made at once: for those that are held up.
const SPARE: usize = 64;
/// Connections that are driven in a row.
const TURN: usize = 64;
/// More than so many there never are. Pages that find no thread wait for one.
const MOST: usize = 512;

/// How many threads there are.
pub(super) struct Threads {
    most: usize,
    all: AtomicUsize,
    waiting: AtomicUsize,
    /// That there are too few of them was told.
    told: AtomicBool,
}

impl Threads {
    /// None yet.
    pub(super) fn new(max_requests: usize) -> Self {
        let no = || AtomicUsize::new(0);
        let most = max_requests.saturating_add(SPARE).min(MOST);
        Threads { most, all: no(), waiting: no(), told: AtomicBool::new(false) }
    }

    /// Whether another thread waits for events; it is started if there is none.
    pub(super) fn relieved(&self, server: &Arc<Server>) -> bool {
        let started = if self.waiting.load(SeqCst) > 0 { Ok(()) } else { start(server) };
        if !self.told.swap(started.is_err(), SeqCst)
            && let Err(error) = &started
        {
            tracing::error!(%error, "pages wait for a thread");
        }
        started.is_ok()
    }

    /// One less, unless it is one of those that stay, or no other waits: the rest may be held up. Who asks waits no more.
    fn leave(&self) -> bool {
        self.waiting.load(SeqCst) > 0
            && self.all.fetch_update(SeqCst, SeqCst, |all| (all > KEPT).then(|| all - 1)).is_ok()
    }
}

/// Starts another thread.
///
/// # Errors
/// There are too many, or the kernel has none left.
pub(super) fn start(server: &Arc<Server>) -> io::Result<()> {
    let threads = &server.threads;
    let more = |all| (all < threads.most).then(|| all + 1);
    if threads.all.fetch_update(SeqCst, SeqCst, more).is_err() {
        return Err(io::Error::other("too many of them are held up"));
    }
    // It counts as waiting already: nobody else needs to start one.
    threads.waiting.fetch_add(1, SeqCst);
    let mine = Arc::clone(server);
    let started = Builder::new().name("serve".to_owned()).spawn(move || serve(&mine));
    started.map(drop).inspect_err(|_| {
        threads.waiting.fetch_sub(1, SeqCst);
        threads.all.fetch_sub(1, SeqCst);
    })
}

fn serve(server: &Arc<Server>) {
    let (hub, threads) = (&server.hub, &server.threads);
    let mut room = Vec::with_capacity(1);
    while !hub.ended() {
        // Those that stay need no timer.
        let timeout = (threads.all.load(SeqCst) > KEPT).then_some(&IDLE);
        let event = hub.wait(&mut room, timeout);
        threads.waiting.fetch_sub(1, SeqCst);
        let key = match event {
            Ok(Some(key)) => key,
            Ok(None) if threads.leave() => return,
            Ok(None) => BELL,
            Err(error) => {
                tracing::error!(%error, "a thread gives up");
                threads.all.fetch_sub(1, SeqCst);
                return;
            }
        };
        let all = || {
            happened(server, key);
            work(server, hub);
        };
        // Pages and connections that panic are seen to further down; nothing else may cost a thread either.
        let _ = catch_unwind(AssertUnwindSafe(all));
        threads.waiting.fetch_add(1, SeqCst);
    }
}

fn happened(server: &Arc<Server>, key: u64) {
    match key {
        BELL => {}
        ALARM => server.share.look_after(),
        CLOCK => server.rung(),
        _ if key >= LISTENERS => server.accept(key),
        id => {
            if let Some(conn) = server.conns.find(id) {
                server.drive(&conn, true);
            }
        }
    }
}

/// Does what is on the lists.
fn work(server: &Arc<Server>, hub: &Hub) {
    loop {
        // What can hold up nobody comes first.
        let drive = |_: &usize| hub.take_ready().map(|conn| server.drive(&conn, false)).is_some();
        if (0..TURN).take_while(drive).count() == TURN {
            // A client that asks on and on is ready again and again; what happened to the others comes before the bell.
            hub.nudge();
        }
        let Some((job, more)) = hub.take_job() else { return };
        if !server.threads.relieved(server) && server.threads.all.load(SeqCst) > 1 {
            // Somebody else will come to it, and somebody has to listen.
            return hub.put_back(job);
        }
        if more {
            hub.nudge();
        }
        job.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_stays_to_listen() {
        let threads = Threads::new(0);
        let now = |all, waiting| {
            threads.all.store(all, SeqCst);
            threads.waiting.store(waiting, SeqCst);
            threads.leave()
        };
        assert!(!now(2, 1), "two stay");
        assert!(now(3, 1));
        assert!(!now(3, 0), "the others may be held up");
        assert!(now(4, 1));
        assert_eq!(threads.all.load(SeqCst), 3);
    }
}
