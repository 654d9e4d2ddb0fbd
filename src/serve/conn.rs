//! One connection: what it is doing and since when.

use super::guard::Serving;
use super::hub::Hub;
use super::{Limits, lock};
use hyper::body::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, TryLockError};
use std::task::Wake;
use std::time::Instant;

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
    /// The demands of the web configuration that it began under.
    generation: AtomicU64,
    /// It is closed as soon as nothing is left to be done.
    leaving: AtomicBool,
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
    pub(super) fn new(id: u64, limits: Limits, hub: Arc<Hub>) -> Self {
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
        let (no, generation) = (|| AtomicBool::new(false), AtomicU64::new(0));
        Conn {
            id,
            limits,
            now: Mutex::new(now),
            hub,
            generation,
            leaving: no(),
            listed: no(),
            serving: Mutex::default(),
        }
    }

    /// What is demanded of it has this number.
    pub(super) fn begin(&self, generation: u64) {
        self.generation.store(generation, Relaxed);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The answer that is being made is its last one.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
    }

    pub(super) fn leaves(&self) -> bool {
        self.leaving.load(Relaxed)
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

    pub(super) fn rank(&self) -> (bool, Phase, Instant) {
        let now = lock(&self.now);
        // Half-open and idle ones are equal: the oldest goes. Among the served, those that read go first.
        let served = now.phase > Phase::Idle;
        (served, if served { now.phase } else { Phase::Idle }, now.since)
    }

    /// The page that it reads, since when, and its number.
    pub(super) fn reads(&self) -> Option<(Instant, u64, (usize, usize))> {
        let now = lock(&self.now);
        let page = now.page.filter(|_| now.phase == Phase::Writing)?;
        Some((now.since, self.id, page))
    }

    /// Closes it. To be called with no other lock held.
    pub(super) fn cut(&self) {
        let serving = lock(&self.serving).take();
        drop(serving);
    }

    /// Closes it, unless a thread drives it right now, which may be held up.
    pub(super) fn try_cut(&self) {
        let serving = match self.serving.try_lock() {
            Ok(mut serving) => serving.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
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
