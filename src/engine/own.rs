//! What the daemon says about itself: how each collector fared on this page, and its own counters.

use super::PATIENCE;
use super::slot::{Ended, Outcome, Phase, Slot};
use collectors::kit::{Itself, Machine, lock};
use collectors::model::{Batch, Family, Layout, Loss, POINTS_MAX, Snapshot, counter, gauge};
use collectors::{Group, Pace, Spec};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

mod instruments;
mod process;

pub use instruments::Instruments;

static DURATION: Family =
    gauge("node_scrape_collector_duration_seconds", "How long the collector's last round took.", &["collector"]);
static SUCCESS: Family = gauge(
    "node_scrape_collector_success",
    "1 if the collector's last round went well; 0 if it failed, did not answer, or has nothing to read here.",
    &["collector"],
);
static STATE: Family = gauge(
    "wholenode_collector_state",
    "1 for the state that the collector is in: ok, absent, denied, gone, io, malformed, stuck, panic, …",
    &["collector", "reason"],
);
static ROUNDS: Family = counter("wholenode_rounds_total", "Rounds that the collector has run.", &["collector"]);
static AGE: Family = gauge(
    "wholenode_collector_age_seconds",
    "How old the points of a collector with a clock of its own are, or of a slow one where they are those of an earlier page.",
    &["collector"],
);
static ERRORS: Family = counter(
    "promhttp_metric_handler_errors_total",
    "Pages that lack points because two sources put the same series (gathering); none is ever left unwritten (encoding).",
    &["cause"],
);
static HANDLES: Family = gauge("wholenode_kept_handles", "Kernel files that are kept open.", &[]);
static STUCK: Family =
    gauge("wholenode_stuck_calls", "Calls to filesystems, made by the child process, that have not come back.", &[]);

/// The families of this file, for the reference.
pub fn families() -> impl Iterator<Item = &'static Family> {
    [&DURATION, &SUCCESS, &STATE, &ROUNDS, &AGE, &ERRORS, &HANDLES, &STUCK]
        .into_iter()
        .chain(process::FAMILIES.iter().copied())
        .chain(instruments::FAMILIES.iter().copied())
}

/// How one collector fared on one page.
#[derive(Debug)]
pub(super) struct Row {
    spec: &'static Spec,
    /// Which of the page's batches is its own.
    batch: Option<usize>,
    took: Duration,
    success: bool,
    reason: &'static str,
    rounds: u64,
    age: Option<Duration>,
}

impl Row {
    /// How the slot fared, for an asker that leaves now with its batch, or without.
    pub(super) fn of(slot: &Slot, batch: Option<usize>, now: Duration) -> Self {
        let (took, reason) = match (slot.phase, &slot.latest) {
            (Phase::Running { since, .. }, _) if batch.is_none() => (now - since, "stuck"),
            (Phase::Queued, _) if batch.is_none() => (Duration::ZERO, "waiting"),
            (_, Some(latest)) => (latest.took, slot.outcome.reason()),
            (_, None) => (Duration::ZERO, slot.outcome.reason()),
        };
        let age = match (slot.spec.pace, &slot.latest) {
            (Pace::Apart { .. }, Some(latest)) if batch.is_some() => {
                Some(now - latest.started).filter(|age| *age > PATIENCE)
            }
            (Pace::Every { .. }, Some(latest)) if batch.is_some() => Some(now - latest.started),
            _ => None,
        };
        let success = batch.is_some() && slot.outcome == Outcome::Well;
        Self { spec: slot.spec, batch, took, success, reason, rounds: slot.rounds, age }
    }

    /// Whether the machine has nothing of what it is about. node_exporter takes that for a failure, and so do alerts; of
    /// what is not node_exporter's, they hear nothing then.
    fn is_elsewhere(&self) -> bool {
        self.reason == "absent" && self.spec.group != Group::Node
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.reason == "stuck"
    }
}

/// Something else that puts points about the daemon on every page.
pub type Extra = Box<dyn Fn(&mut Batch) + Send + Sync>;

/// The engine's own points, and the memory to put them into.
pub(super) struct Own {
    pub(super) instruments: Instruments,
    itself: Mutex<Itself>,
    /// Whether the daemon tells of more than how its collectors fare.
    pub(super) is_told: AtomicBool,
    /// Pages that lacked points.
    incomplete: AtomicU64,
    pub(super) extra: OnceLock<Extra>,
    spare: Mutex<Option<Arc<Batch>>>,
    /// How the last page was laid out.
    layout: Mutex<Arc<Layout>>,
    told: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

impl Own {
    pub(super) fn new(instruments: Instruments, machine: &Arc<Machine>) -> Self {
        Self {
            instruments,
            itself: Mutex::new(Itself::new(machine)),
            is_told: AtomicBool::new(true),
            incomplete: AtomicU64::new(0),
            extra: OnceLock::new(),
            spare: Mutex::default(),
            layout: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Merges the collectors' batches with the engine's own.
    pub(super) fn snapshot(&self, batches: Vec<Arc<Batch>>, rows: &[Row], machine: &Machine) -> Snapshot {
        let own = self.batch(rows, machine);
        let mut all = Vec::with_capacity(batches.len() + 2);
        all.push(Arc::clone(&own));
        if self.is_told.load(Relaxed) {
            all.push(self.instruments.batch());
        }
        let first = all.len();
        all.extend(batches);
        *lock(&self.spare) = Some(own);
        let mut layout = lock(&self.layout);
        let snapshot = Snapshot::like(&layout, all);
        *layout = Arc::clone(snapshot.layout());
        drop(layout);
        if snapshot.losses().is_empty() {
            return snapshot;
        }
        self.incomplete.fetch_add(1, Relaxed);
        let mut clash = Batch::new(rows.len());
        for loss in snapshot.losses() {
            let row = rows.iter().find(|row| row.batch.is_some_and(|batch| batch + first == loss.batch));
            if let Some(row) = row {
                self.lost(row.spec, loss);
                if let Some(family) = row.spec.clash {
                    clash.put(family, clash.machine(), true);
                }
            }
        }
        if clash.is_empty() {
            return snapshot;
        }
        let mut all = snapshot.batches().to_vec();
        all.insert(0, Arc::new(clash));
        Snapshot::new(all)
    }

    fn lost(&self, spec: &Spec, loss: &Loss) {
        /// How many different clashes are remembered as told.
        const TOLD_MAX: usize = 256;
        let (collector, family, why) = (spec.name, &loss.family, loss.why);
        self.instruments.dropped(collector, "clash", loss.points);
        let mut told = lock(&self.told);
        let is_news = told.len() < TOLD_MAX && told.insert(format!("{collector} {family} {why}"));
        drop(told);
        if is_news {
            tracing::warn!(collector, family, why, "points left out of the page");
        }
    }

    fn batch(&self, rows: &[Row], machine: &Machine) -> Arc<Batch> {
        let mut batch = Batch::renewed(lock(&self.spare).take(), POINTS_MAX);
        let out = Arc::make_mut(&mut batch);
        (out.taken, out.uptime) = (machine.clock.wall(), machine.clock.boot());
        process::put_build(self.instruments.version(), out);
        let is_told = self.is_told.load(Relaxed);
        for row in rows {
            put_row(row, is_told, out);
        }
        if is_told {
            self.put_more(machine, out);
        }
        batch
    }

    /// What `--web.disable-exporter-metrics` leaves out, besides how each collector fares.
    fn put_more(&self, machine: &Machine, out: &mut Batch) {
        for (cause, errors) in [("encoding", 0), ("gathering", self.incomplete.load(Relaxed))] {
            let of = out.entity(&["cause"], [cause]);
            out.put(&ERRORS, of, errors);
        }
        let machine_itself = out.machine();
        out.put(&HANDLES, machine_itself, machine.handles() as u64);
        out.put(&STUCK, machine_itself, machine.child.stuck() as u64);
        process::put(&mut lock(&self.itself), out);
        if let Some(extra) = self.extra.get() {
            extra(out);
        }
    }
}

/// How one collector fared; `is_told`: with what node_exporter does not tell.
fn put_row(row: &Row, is_told: bool, out: &mut Batch) {
    let is_here = !row.is_elsewhere();
    if !is_here && !is_told {
        return;
    }
    let collector = out.entity(&["collector"], [row.spec.name]);
    if is_here {
        out.put(&DURATION, collector, row.took.as_secs_f64());
        out.put(&SUCCESS, collector, row.success);
        // A machine that has no such thing has not failed to tell of it.
        if let Some(family) = row.spec.scrape_error.filter(|_| row.reason != "absent") {
            out.put(family, out.machine(), !row.success);
        }
    }
    if is_told {
        if is_here {
            out.put(&ROUNDS, collector, row.rounds);
        }
        out.put_some(&AGE, collector, row.age.map(|age| age.as_secs_f64()));
        let state = out.part(collector, &["reason"], [row.reason]);
        out.put(&STATE, state, true);
    }
}

/// What is counted when a round has ended.
pub(super) fn count(instruments: &Instruments, collector: &'static str, ended: &Ended) {
    for (reason, count) in ended.batch().fault_counts() {
        instruments.faults(collector, reason, *count);
    }
    if ended.batch().dropped() > 0 {
        instruments.dropped(collector, "full", ended.batch().dropped());
    }
    if matches!(ended.outcome(), Outcome::Panicked(_)) {
        instruments.panicked(collector);
    }
}
