//! What is counted of an endpoint, and how the page tells it.

use super::spool::{Reason, SpoolFigures};
use collectors::kit::lock;
use collectors::model::{Batch, Family, counter, gauge};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

static UP: Family = gauge(
    "wholenode_export_up",
    "1 if the receiver took what it was sent last; absent until something was sent. A receiver never makes this process unready.",
    &["endpoint"],
);
static REQUESTS: Family = counter(
    "wholenode_export_requests_total",
    "Requests by what became of them: taken; refused for good; failed, to be sent again.",
    &["endpoint", "outcome"],
);
static PRODUCED: Family =
    counter("wholenode_export_produced_points_total", "Points that were made to be pushed.", &["endpoint"]);
static POINTS: Family = counter(
    "wholenode_export_points_total",
    "Points by what became of them: sent; rejected by a receiver that took the rest of the request; refused with all of it; dropped here.",
    &["endpoint", "outcome"],
);
static WAITING: Family = gauge(
    "wholenode_export_waiting_points",
    "Points that are under way or wait, in memory and on disk.",
    &["endpoint"],
);
static BYTES: Family = counter(
    "wholenode_export_bytes_total",
    "Bytes of requests that were sent, as compressed as they were.",
    &["endpoint"],
);
static RETRIES: Family =
    counter("wholenode_export_retries_total", "Requests that were sent again because they had failed.", &["endpoint"]);
static RECORDS: Family = gauge("wholenode_spool_records", "Requests that wait in the spool.", &["endpoint"]);
static SPOOL_BYTES: Family = gauge("wholenode_spool_bytes", "Bytes that the spool takes.", &["endpoint"]);
static OLDEST: Family = gauge(
    "wholenode_spool_oldest_age_seconds",
    "How old the oldest request in the spool is at least; absent if none waits.",
    &["endpoint"],
);
static DROPPED: Family = counter(
    "wholenode_spool_dropped_points_total",
    "Points that will never be pushed, by the reason: full, old, torn, undatable; io if the disk takes nothing in, or what was in memory is lost.",
    &["endpoint", "reason"],
);

/// The families of this file, for the reference.
pub(crate) static FAMILIES: [&Family; 11] =
    [&UP, &REQUESTS, &PRODUCED, &POINTS, &WAITING, &BYTES, &RETRIES, &RECORDS, &SPOOL_BYTES, &OLDEST, &DROPPED];

/// What is counted of one endpoint, from its first start to the end of the process.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// 0: nothing was sent; 1: it was not taken; 2: it was.
    up: AtomicU8,
    pub(super) taken: AtomicU64,
    pub(super) refusals: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// Points.
    pub(super) produced: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) refused: AtomicU64,
    /// Points dropped outside the spool, because their request can't be dated.
    pub(super) undatable: AtomicU64,
    /// Points dropped because the spool takes nothing in: its disk hangs or fails, or the process ended.
    pub(super) io: AtomicU64,
    /// Points in memory, on their way to the receiver or into the spool.
    pub(super) held: AtomicU64,
    /// Requests on their way into the spool.
    pub(super) entering: AtomicU64,
    spool: Mutex<Spools>,
}

/// What the spool told last, and the points that those dropped which were before it, in the order of [`Reason::ALL`].
#[derive(Debug, Default)]
struct Spools {
    now: Option<SpoolFigures>,
    dropped: [u64; Reason::ALL.len()],
}

impl Spools {
    /// The spool is no more; what it told last.
    fn end(&mut self) -> SpoolFigures {
        let last = self.now.take().unwrap_or_default();
        for (all, dropped) in self.dropped.iter_mut().zip(last.dropped) {
            *all += dropped.points;
        }
        last
    }
}

impl Figures {
    /// Whether the receiver took what it was sent last.
    pub(super) fn set_up(&self, is_up: bool) {
        self.up.store(1 + u8::from(is_up), Relaxed);
    }

    /// Whether it took the last one; `None` if nothing was sent.
    pub(super) fn is_up(&self) -> Option<bool> {
        match self.up.load(Relaxed) {
            0 => None,
            up => Some(up == 2),
        }
    }

    /// The spool's own figures: what is new about its disk, if anything is.
    pub(super) fn set_spool(&self, figures: SpoolFigures) -> Option<Option<String>> {
        let fault = figures.fault.clone();
        let before = lock(&self.spool).now.replace(figures).and_then(|before| before.fault);
        (fault != before).then_some(fault)
    }

    /// A spool was opened that found so many points. What one that broke had beyond them is lost.
    pub(super) fn begin_spool(&self, found: u64) {
        let before = lock(&self.spool).end();
        add(&self.io, before.waiting.points.saturating_sub(found));
    }

    /// The spool has ended, and so many points with it.
    pub(super) fn end_spool(&self, lost: u64) {
        lock(&self.spool).end();
        add(&self.io, lost);
    }

    /// So many requests, with so many points, never came into the spool.
    pub(super) fn shut_out(&self, requests: u64, points: u64) {
        less(&self.entering, requests);
        less(&self.held, points);
        add(&self.io, points);
    }

    /// What the spool told last.
    fn of_spool<T: Default>(&self, told: impl FnOnce(&SpoolFigures) -> T) -> T {
        lock(&self.spool).now.as_ref().map(told).unwrap_or_default()
    }

    /// How many requests wait in the spool, and how many bytes they take.
    pub(super) fn spooled(&self) -> (u64, u64) {
        self.of_spool(|spool| (spool.waiting.records, spool.bytes))
    }

    /// Whether anything is older than what was made last.
    pub(super) fn has_older(&self) -> bool {
        self.entering.load(Relaxed) > 0 || self.spooled().0 > 0
    }

    /// Points that were dropped, by the reason.
    pub(super) fn dropped(&self) -> [(&'static str, u64); 5] {
        let spools = lock(&self.spool);
        let now = spools.now.as_ref().map(|spool| spool.dropped).unwrap_or_default();
        let [full, old, torn, undatable] =
            std::array::from_fn(|at| (Reason::ALL[at].name(), spools.dropped[at] + now[at].points));
        let undatable = (undatable.0, undatable.1 + self.undatable.load(Relaxed));
        [full, old, torn, undatable, ("io", self.io.load(Relaxed))]
    }

    /// Points that are under way or wait.
    pub(super) fn waiting(&self) -> u64 {
        self.held.load(Relaxed) + self.of_spool(|spool| spool.waiting.points)
    }

    /// Puts all of it; `now` is the time since the machine was started.
    pub(super) fn put(&self, name: &str, now: Duration, out: &mut Batch) {
        let endpoint = out.entity(&["endpoint"], [name]);
        let get = |figure: &AtomicU64| figure.load(Relaxed);
        out.put_some(&UP, endpoint, self.is_up());
        for (outcome, figure) in [("taken", &self.taken), ("refused", &self.refusals), ("failed", &self.failures)] {
            let of = out.part(endpoint, &["outcome"], [outcome]);
            out.put(&REQUESTS, of, get(figure));
        }
        let dropped = self.dropped();
        let all_dropped: u64 = dropped.iter().map(|(_, points)| points).sum();
        let points = [
            ("sent", get(&self.sent)),
            ("rejected", get(&self.rejected)),
            ("refused", get(&self.refused)),
            ("dropped", all_dropped),
        ];
        for (outcome, points) in points {
            let of = out.part(endpoint, &["outcome"], [outcome]);
            out.put(&POINTS, of, points);
        }
        for (reason, points) in dropped {
            let of = out.part(endpoint, &["reason"], [reason]);
            out.put(&DROPPED, of, points);
        }
        out.put(&PRODUCED, endpoint, get(&self.produced));
        out.put(&WAITING, endpoint, self.waiting());
        out.put(&BYTES, endpoint, get(&self.bytes));
        out.put(&RETRIES, endpoint, get(&self.retries));
        let (records, bytes) = self.spooled();
        out.put(&RECORDS, endpoint, records);
        out.put(&SPOOL_BYTES, endpoint, bytes);
        let oldest = self.of_spool(|spool| spool.oldest_age(now));
        out.put_some(&OLDEST, endpoint, oldest.map(|age| age.as_secs_f64()));
    }
}

/// Adds to a figure.
pub(super) fn add(figure: &AtomicU64, by: u64) {
    figure.fetch_add(by, Relaxed);
}

/// Takes from a figure what was added to it.
pub(super) fn less(figure: &AtomicU64, by: u64) {
    let _ = figure.fetch_update(Relaxed, Relaxed, |was| Some(was.saturating_sub(by)));
}
