//! Every connection, what it is doing and since when; who has to go when there are too many.

use super::guard::Serving;
use super::hub::Hub;
use super::{Limits, State, lock};
use hyper::body::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Wake;
use std::time::{Duration, Instant};

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
    pub(super) id: u64,
    limits: Limits,
    now: Mutex<Now>,
    hub: Arc<Hub>,
    /// It is on the list of those that have something to do.
    listed: AtomicBool,
    /// hyper, as long as the connection is open. Held only by who drives or closes it, and never while a page is made.
    pub(super) serving: Mutex<Option<Serving>>,
}

/// Whoever waits for a page is woken by the thread that made it, which goes on with the connection.
impl Wake for Conn {
    fn wake(self: Arc<Self>) {
        if !self.listed.swap(true, AcqRel) {
            let hub = Arc::clone(&self.hub);
            hub.ready(self);
        }
    }
}

struct Now {
    phase: Phase,
    since: Instant,
    /// Requests that wait for their answer. With pipelining, the one before may still be on its way out.
    making: usize,
    /// Answers that are not yet in hyper's buffer.
    unbuffered: usize,
    /// With HTTP/2, since when each of these is on its way.
    sending: Vec<Instant>,
    /// With HTTP/2, bytes may wait for the kernel.
    unflushed: bool,
    /// HTTP/2 is spoken: bytes may come in at any time and need not be a request's.
    multiplexed: bool,
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

    /// Everything that was written is with the kernel. If nothing more is to come, the answer is over.
    fn settle(&mut self) {
        if self.phase == Phase::Writing && self.unbuffered == 0 {
            self.page = None;
            let next = match (self.making, self.whole || self.multiplexed) {
                (1.., _) => Phase::Making,
                (0, true) => Phase::Idle,
                (0, false) => Phase::Head,
            };
            self.enter(next);
        }
    }
}

impl Conn {
    fn new(id: u64, limits: Limits, hub: Arc<Hub>) -> Self {
        let now = Now {
            phase: Phase::Head,
            since: Instant::now(),
            making: 0,
            unbuffered: 0,
            sending: Vec::new(),
            unflushed: false,
            multiplexed: false,
            whole: false,
            page: None,
        };
        Conn { id, limits, now: Mutex::new(now), hub, listed: AtomicBool::new(false), serving: Mutex::default() }
    }

    /// It was taken off the list.
    pub(super) fn taken(&self) {
        self.listed.store(false, Release);
    }

    /// HTTP/2 is spoken from now on.
    pub(super) fn multiplex(&self) {
        lock(&self.now).multiplexed = true;
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        lock(&self.now).multiplexed
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
        if now.multiplexed {
            return;
        }
        now.whole = bytes.ends_with(b"\n\r\n") || bytes.ends_with(b"\n\n");
        if now.phase == Phase::Idle {
            now.enter(Phase::Head);
        }
    }

    /// A head is complete. To be kept until the answer is there; the client may give it up before.
    pub(super) fn asked(&self) -> Asked<'_> {
        let mut now = lock(&self.now);
        now.making += 1;
        if now.phase != Phase::Writing {
            now.enter(Phase::Making);
        }
        Asked(self)
    }

    /// The answer is there and goes to hyper. With HTTP/2, it has to be told when the last of it was sent.
    pub(super) fn answering(&self, body: &Bytes) -> Instant {
        let mut now = lock(&self.now);
        let begun = Instant::now();
        now.unbuffered += 1;
        if now.multiplexed {
            now.sending.push(begun);
            now.unflushed = true;
        }
        if now.phase != Phase::Writing {
            now.enter(Phase::Writing);
        }
        now.page = now.page.or((!body.is_empty()).then(|| (body.as_ptr() as usize, body.len())));
        begun
    }

    /// With HTTP/2: the last of an answer went below hyper, or will never go.
    pub(super) fn sent(&self, begun: Instant) {
        let mut now = lock(&self.now);
        now.unbuffered = now.unbuffered.saturating_sub(1);
        if let Some(at) = now.sending.iter().position(|other| *other == begun) {
            now.sending.remove(at);
        }
        // The oldest of the others is the one that may be late.
        if let (Phase::Writing, Some(oldest)) = (now.phase, now.sending.iter().min().copied()) {
            now.since = oldest;
        }
        // hyper lets go of the bytes only after it has flushed them.
        if !now.unflushed {
            now.settle();
        }
    }

    /// With TLS: bytes went below hyper.
    pub(super) fn written(&self) {
        lock(&self.now).unflushed = true;
    }

    /// The answer is in hyper's buffer.
    pub(super) fn buffered(&self) {
        let mut now = lock(&self.now);
        now.unbuffered = now.unbuffered.saturating_sub(1);
    }

    /// hyper's buffer is empty: everything is with the kernel.
    pub(super) fn flushed(&self) {
        let mut now = lock(&self.now);
        now.unflushed = false;
        now.settle();
    }

    fn rank(&self) -> (bool, Phase, Instant) {
        let now = lock(&self.now);
        // Half-open and idle ones are equal: the oldest goes. Among the served, those that read go first.
        let served = now.phase > Phase::Idle;
        (served, if served { now.phase } else { Phase::Idle }, now.since)
    }

    /// Closes it. To be called with no other lock held.
    pub(super) fn cut(&self) {
        let serving = lock(&self.serving).take();
        drop(serving);
    }
}

/// A request that waits for its answer, as long as it lives.
pub(super) struct Asked<'a>(&'a Conn);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut now = lock(&self.0.now);
        now.making = now.making.saturating_sub(1);
        if now.making == 0 && now.phase == Phase::Making {
            now.enter(Phase::Idle);
        }
    }
}

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
        let mut readers: Vec<(Instant, u64, (usize, usize))> = open
            .values()
            .filter_map(|conn| {
                let now = lock(&conn.now);
                let page = now.page.filter(|_| now.phase == Phase::Writing)?;
                Some((now.since, conn.id, page))
            })
            .collect();
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
            conn.cut();
            self.gone(&conn);
        }
    }

    /// How long a page may take with this patience, before the client is told.
    pub(super) fn wait(&self, patience: Duration) -> Duration {
        patience + self.limits.grace
    }
}
