//! Every connection; who has to go when there are too many.

use super::conn::{Conn, Phase};
use super::hub::Hub;
use super::{Limits, State, lock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// All connections.
pub(super) struct Conns {
    limits: Limits,
    state: Arc<State>,
    hub: Arc<Hub>,
    open: Mutex<BTreeMap<u64, Arc<Conn>>>,
    /// Told when the last one is gone while the server stops.
    empty: Condvar,
    stopping: AtomicBool,
}

impl Conns {
    pub(super) fn new(limits: Limits, state: Arc<State>, hub: Arc<Hub>) -> Self {
        Conns { limits, state, hub, open: Mutex::default(), empty: Condvar::new(), stopping: AtomicBool::new(false) }
    }

    /// The connection with this number, if it is still open.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Conn>> {
        lock(&self.open).get(&id).cloned()
    }

    /// A connection is closed.
    pub(super) fn gone(&self, conn: &Conn) {
        let mut open = lock(&self.open);
        open.remove(&conn.id);
        self.state.connections.store(open.len(), Relaxed);
        if open.is_empty() && self.stopping() {
            self.empty.notify_all();
        }
    }

    /// Those that may be out of time, and when the next one will be.
    pub(super) fn due(&self) -> (Vec<Arc<Conn>>, Option<Instant>) {
        let now = Instant::now();
        let (mut late, mut next) = (Vec::new(), None::<Instant>);
        for conn in lock(&self.open).values() {
            match conn.due().1 {
                Some(due) if due <= now => late.push(Arc::clone(conn)),
                Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                None => {}
            }
        }
        (late, next)
    }

    /// Whether another connection has to go before a new one is admitted.
    pub(super) fn full(&self) -> bool {
        lock(&self.open).len() >= self.most()
    }

    fn most(&self) -> usize {
        self.limits.connections.max(1)
    }

    /// A place for a new connection. Another one may have to go; none if all others are waiting for their page.
    pub(super) fn admit(&self) -> Option<Arc<Conn>> {
        let id = self.state.accepted.fetch_add(1, Relaxed);
        let mut open = lock(&self.open);
        let out = if open.len() >= self.most() { Some(self.evict(&mut open, Phase::Writing)?) } else { None };
        let conn = Arc::new(Conn::new(id, self.limits, Arc::clone(&self.hub)));
        open.insert(id, Arc::clone(&conn));
        self.state.connections.store(open.len(), Relaxed);
        drop(open);
        if let Some(out) = out {
            out.cut();
        }
        Some(conn)
    }

    /// The oldest connection that nobody works for goes: file descriptors or kernel memory have run out.
    pub(super) fn spare(&self) {
        let out = self.evict(&mut lock(&self.open), Phase::Idle);
        if let Some(out) = out {
            out.cut();
        }
    }

    /// The connection that has to go first, if any has to.
    fn evict(&self, open: &mut BTreeMap<u64, Arc<Conn>>, up_to: Phase) -> Option<Arc<Conn>> {
        let first = open.values().map(|conn| (conn.rank(), conn.id)).min();
        let out = first.filter(|(rank, _)| rank.1 <= up_to).and_then(|(_, id)| open.remove(&id))?;
        self.state.connections.store(open.len(), Relaxed);
        self.state.crowded_out.fetch_add(1, Relaxed);
        Some(out)
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
        let mut readers: Vec<_> = open.values().filter_map(|conn| conn.reads()).collect();
        readers.sort_unstable();
        let mut out = Vec::new();
        for (at, (_, id, page)) in readers.iter().enumerate() {
            if over == 0 {
                break;
            }
            if let Some(conn) = open.remove(id) {
                out.push(conn);
                self.state.crowded_out.fetch_add(1, Relaxed);
            }
            // A shared page goes with its last reader.
            if !readers.iter().skip(at + 1).any(|later| later.2 == *page) {
                over = over.saturating_sub(page.1);
            }
        }
        self.state.connections.store(open.len(), Relaxed);
        drop(open);
        out.iter().for_each(|conn| conn.cut());
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

    /// Closes what nobody works for; the rest may end with the answer it is at, and is closed after this time.
    pub(super) fn stop(&self, limit: Duration) {
        self.stopping.store(true, Relaxed);
        self.close(|conn| conn.due().0 <= Phase::Idle);
        let left = |open: &mut BTreeMap<u64, Arc<Conn>>| !open.is_empty();
        // Running out of time here is what the next line is for.
        drop(self.empty.wait_timeout_while(lock(&self.open), limit, left).unwrap_or_else(PoisonError::into_inner));
        self.close(|_| true);
    }

    fn close(&self, which: impl Fn(&Conn) -> bool) {
        let all: Vec<Arc<Conn>> = lock(&self.open).values().filter(|conn| which(conn)).cloned().collect();
        for conn in all {
            conn.try_cut();
            self.gone(&conn);
        }
    }

    /// How long a page may take with this patience, before the client is told.
    pub(super) fn wait(&self, patience: Duration) -> Duration {
        patience + self.limits.grace
    }
}
