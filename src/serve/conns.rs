//! Every connection, what it is doing and since when; who has to go when there are too many.

use super::{Limits, State, lock};
use hyper::body::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// What a connection is doing. The order is the order in which connections have to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// A request's head is awaited: the first one, or one of which a part is there.
    Head,
    /// Nothing since the last answer.
    Idle,
    /// An answer is on its way out.
    Writing,
    /// An answer is being made.
    Making,
}

/// One connection.
pub(super) struct Conn {
    id: u64,
    limits: Limits,
    now: Mutex<Now>,
    abort: OnceLock<AbortHandle>,
}

struct Now {
    phase: Phase,
    since: Instant,
    /// A request waits for its answer. With pipelining, the one before may still be on its way out.
    making: bool,
    /// Answers that are not yet in hyper's buffer.
    unbuffered: usize,
    /// The last bytes read were the end of a head, so nothing of a next request is there.
    whole: bool,
    /// The page on its way out: its address, which tells it from others as long as it lives, and its length.
    page: Option<(usize, usize)>,
}

impl Now {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}

impl Conn {
    fn new(id: u64, limits: Limits) -> Self {
        let now =
            Now { phase: Phase::Head, since: Instant::now(), making: false, unbuffered: 0, whole: false, page: None };
        Conn { id, limits, now: Mutex::new(now), abort: OnceLock::new() }
    }

    /// The task that serves it.
    pub(super) fn served_by(&self, abort: AbortHandle) {
        // Set once, right after the task was made.
        let _ = self.abort.set(abort);
    }

    /// What it does, and when that is over at the latest. Whoever waits for a page gives up by itself.
    pub(super) fn due(&self) -> (Phase, Option<Instant>) {
        let now = lock(&self.now);
        let limits = &self.limits;
        let limit = match now.phase {
            Phase::Head => limits.header,
            Phase::Idle => limits.idle,
            Phase::Writing => limits.write,
            Phase::Making => return (Phase::Making, None),
        };
        (now.phase, Some(now.since + limit))
    }

    /// Bytes came in.
    pub(super) fn read(&self, bytes: &[u8]) {
        let mut now = lock(&self.now);
        now.whole = bytes.ends_with(b"\n\r\n") || bytes.ends_with(b"\n\n");
        if now.phase == Phase::Idle {
            now.enter(Phase::Head);
        }
    }

    /// A head is complete.
    pub(super) fn asked(&self) {
        let mut now = lock(&self.now);
        now.making = true;
        if now.phase != Phase::Writing {
            now.enter(Phase::Making);
        }
    }

    /// The answer is there and goes to hyper.
    pub(super) fn answering(&self, body: &Bytes) {
        let mut now = lock(&self.now);
        now.making = false;
        now.unbuffered += 1;
        if now.phase != Phase::Writing {
            now.enter(Phase::Writing);
        }
        now.page = now.page.or((!body.is_empty()).then(|| (body.as_ptr() as usize, body.len())));
    }

    /// The answer is in hyper's buffer.
    pub(super) fn buffered(&self) {
        let mut now = lock(&self.now);
        now.unbuffered = now.unbuffered.saturating_sub(1);
    }

    /// hyper's buffer is empty: everything is with the kernel.
    pub(super) fn flushed(&self) {
        let mut now = lock(&self.now);
        if now.phase == Phase::Writing && now.unbuffered == 0 {
            now.page = None;
            let next = match (now.making, now.whole) {
                (true, _) => Phase::Making,
                (false, true) => Phase::Idle,
                (false, false) => Phase::Head,
            };
            now.enter(next);
        }
    }

    fn rank(&self) -> (bool, Phase, Instant) {
        let now = lock(&self.now);
        // Half-open and idle ones are equal: the oldest goes. Among the served, those that read go first.
        let served = now.phase > Phase::Idle;
        (served, if served { now.phase } else { Phase::Idle }, now.since)
    }

    fn cut(&self) {
        if let Some(abort) = self.abort.get() {
            abort.abort();
        }
    }
}

/// All connections.
pub(super) struct Conns {
    limits: Limits,
    state: Arc<State>,
    open: Mutex<BTreeMap<u64, Arc<Conn>>>,
    stopping: AtomicBool,
}

/// A connection's place among the others, given up on drop.
pub(super) struct Place {
    pub(super) conn: Arc<Conn>,
    conns: Arc<Conns>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.conns.open);
        open.remove(&self.conn.id);
        self.conns.state.connections.store(open.len(), Relaxed);
    }
}

impl Conns {
    pub(super) fn new(limits: Limits, state: Arc<State>) -> Self {
        Conns { limits, state, open: Mutex::default(), stopping: AtomicBool::new(false) }
    }

    /// Whether another connection has to go before a new one is admitted.
    pub(super) fn full(&self) -> bool {
        lock(&self.open).len() >= self.most()
    }

    fn most(&self) -> usize {
        self.limits.connections.max(1)
    }

    /// A place for a new connection. Another one may have to go; none if all others are waiting for their page.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Place> {
        let id = self.state.accepted.fetch_add(1, Relaxed);
        let mut open = lock(&self.open);
        if open.len() >= self.most() && !self.evict(&mut open, Phase::Writing) {
            return None;
        }
        let conn = Arc::new(Conn::new(id, self.limits));
        open.insert(id, Arc::clone(&conn));
        self.state.connections.store(open.len(), Relaxed);
        Some(Place { conn, conns: Arc::clone(self) })
    }

    /// The oldest connection that nobody works for goes: file descriptors or kernel memory have run out.
    pub(super) fn spare(&self) {
        self.evict(&mut lock(&self.open), Phase::Idle);
    }

    fn evict(&self, open: &mut BTreeMap<u64, Arc<Conn>>, up_to: Phase) -> bool {
        let first = open.values().map(|conn| (conn.rank(), conn.id)).min();
        let Some(conn) = first.filter(|(rank, _)| rank.1 <= up_to).and_then(|(_, id)| open.remove(&id)) else {
            return false;
        };
        conn.cut();
        self.state.connections.store(open.len(), Relaxed);
        self.state.crowded_out.fetch_add(1, Relaxed);
        true
    }

    /// Whether the pages in memory take more than they may.
    pub(super) fn over(&self) -> usize {
        self.state.page_bytes.load(Relaxed).saturating_sub(self.limits.page_bytes)
    }

    /// Cuts off those that have been reading longest until the pages in memory fit again.
    pub(super) fn make_room(&self) {
        let mut over = self.over();
        if over == 0 {
            return;
        }
        let mut open = lock(&self.open);
        let mut readers: Vec<(Instant, u64, (usize, usize))> = open
            .values()
            .filter_map(|conn| {
                let now = lock(&conn.now);
                let page = now.page.filter(|_| now.phase == Phase::Writing)?;
                Some((now.since, conn.id, page))
            })
            .collect();
        readers.sort_unstable();
        for (at, (_, id, page)) in readers.iter().enumerate() {
            if over == 0 {
                break;
            }
            if let Some(conn) = open.remove(id) {
                conn.cut();
                self.state.crowded_out.fetch_add(1, Relaxed);
            }
            // A shared page goes with its last reader.
            if !readers.iter().skip(at + 1).any(|later| later.2 == *page) {
                over = over.saturating_sub(page.1);
            }
        }
        self.state.connections.store(open.len(), Relaxed);
    }

    /// A connection ran out of time.
    pub(super) fn late(&self, phase: Phase) {
        let count = match phase {
            Phase::Head => &self.state.late_header,
            Phase::Idle => &self.state.late_idle,
            Phase::Writing | Phase::Making => &self.state.late_write,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Whether the server is stopping: no request is taken that has not begun.
    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Closes what nobody works for; the rest ends with the answer it is at.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Relaxed);
        for conn in lock(&self.open).values() {
            if conn.due().0 <= Phase::Idle {
                conn.cut();
            }
        }
    }

    /// How long a page may take with this patience, before the client is told.
    pub(super) fn wait(&self, patience: Duration) -> Duration {
        patience + self.limits.grace
    }
}
