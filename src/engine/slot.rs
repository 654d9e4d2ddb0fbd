//! One collector: whether it is open, whether it runs, what it said last.

use collectors::kit::{Error, Host, Machine, Options};
use collectors::model::Batch;
use collectors::{Collector, Pace, Spec};
use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// After which time a thing that was not there is looked for again.
const ABSENT_RETRY: Duration = Duration::from_secs(60);
/// After which time a collector that panicked is opened again; doubled each time, up to the time above.
const PANIC_RETRY: Duration = Duration::from_secs(1);
/// How old the batch of a collector apart may be at most, whatever the interval of the scrapes.
const AGE_MAX: Duration = Duration::from_secs(120);
/// How many different faults are remembered as told.
const TOLD_MAX: usize = 256;

/// Where a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Queued,
    Running {
        since: Duration,
        /// It had its lane for too long, and has taken the thread with it.
        lost: bool,
    },
}

/// How the last round went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has not run yet.
    New,
    Well,
    /// This machine has no such thing now; what was looked for, if that is known.
    Absent(Option<Error>),
    Failed(Error),
    Panicked(String),
}

impl Outcome {
    /// One word for the label `reason`.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Outcome::New => "new",
            Outcome::Well => "ok",
            Outcome::Absent(_) => "absent",
            Outcome::Failed(error) => error.reason(),
            Outcome::Panicked(_) => "panic",
        }
    }
}

/// A collector and its door to the machine; away from the slot while it runs.
pub(super) struct Seat {
    host: Host,
    collector: Option<Box<dyn Collector>>,
    options: Options,
    epoch: u64,
}

/// A round that ended.
#[derive(Debug)]
pub(super) struct Latest {
    pub(super) batch: Arc<Batch>,
    pub(super) started: Duration,
    pub(super) took: Duration,
}

pub(super) struct Slot {
    pub(super) spec: &'static Spec,
    pub(super) is_on: bool,
    pub(super) phase: Phase,
    pub(super) outcome: Outcome,
    pub(super) latest: Option<Latest>,
    pub(super) rounds: u64,
    seat: Option<Seat>,
    spare: Option<Arc<Batch>>,
    options: Options,
    /// Grows when the options change: what was opened with older ones is dropped.
    epoch: u64,
    retry: Option<Duration>,
    panics: u32,
    last_asked: Option<Duration>,
    interval: Duration,
    told: HashSet<String>,
    is_stuck: bool,
    /// Whether a thread keeps its clock.
    pub(super) is_kept: bool,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("name", &self.spec.name).field("phase", &self.phase).finish_non_exhaustive()
    }
}

/// A round to be run.
pub(super) struct Job {
    spec: &'static Spec,
    seat: Seat,
    batch: Arc<Batch>,
    started: Duration,
}

/// A round that was run, and what is to be logged of it.
pub(super) struct Ended {
    seat: Seat,
    batch: Arc<Batch>,
    started: Duration,
    took: Duration,
    outcome: Outcome,
}

impl Slot {
    pub(super) fn new(spec: &'static Spec, machine: &Arc<Machine>) -> Self {
        let host = Host::new(Arc::clone(machine));
        Self {
            spec,
            is_on: false,
            phase: Phase::Idle,
            outcome: Outcome::New,
            latest: None,
            rounds: 0,
            seat: Some(Seat { host, collector: None, options: Options::default(), epoch: 0 }),
            spare: None,
            options: Options::default(),
            epoch: 0,
            retry: None,
            panics: 0,
            last_asked: None,
            interval: Duration::ZERO,
            told: HashSet::new(),
            is_stuck: false,
            is_kept: false,
        }
    }

    /// Turns it on with these options, or off. The same options change nothing, but look again for what was absent.
    pub(super) fn configure(&mut self, options: Option<&Options>) {
        self.retry = None;
        if self.is_on != options.is_some() || options.is_some_and(|options| *options != self.options) {
            self.epoch += 1;
            self.latest = None;
            self.outcome = Outcome::New;
            self.told.clear();
        }
        self.is_on = options.is_some();
        if let Some(options) = options {
            self.options = options.clone();
        } else if let Some(seat) = &mut self.seat {
            seat.collector = None;
        }
    }

    /// Whether an asker needs a round that is neither there nor under way.
    pub(super) fn is_due(&mut self, asked: Duration, is_clock: bool, max_age: Duration) -> bool {
        let min = match self.spec.pace {
            Pace::Round => max_age,
            Pace::Apart { min } => min.max(max_age),
            // Its clock asks as often as it should, and everybody else only where no clock is kept.
            Pace::Every { period } if is_clock => period / 2,
            Pace::Every { period } => period * 2,
        };
        let is_due = self.is_on
            && self.phase == Phase::Idle
            && self.retry.is_none_or(|at| at <= asked)
            && self.latest.as_ref().is_none_or(|latest| latest.started + min < asked);
        if is_due && let Some(last) = self.last_asked.replace(asked) {
            self.interval = asked - last;
        }
        is_due
    }

    /// The batch that an asker may take for new: read at most `max_age` before it asked. A collector apart may also give
    /// the one before, as long as it has missed one round only.
    pub(super) fn batch_for(&self, asked: Duration, max_age: Duration) -> Option<&Arc<Batch>> {
        let age = match self.spec.pace {
            Pace::Round => max_age,
            Pace::Apart { min } => (self.interval.max(min) * 2).min(AGE_MAX).max(max_age),
            Pace::Every { period } => (period * 3).max(max_age),
        };
        self.latest.as_ref().filter(|latest| latest.started + age >= asked).map(|latest| &latest.batch)
    }

    /// Takes what the round needs out of the slot.
    pub(super) fn start(&mut self, now: Duration) -> Option<Job> {
        let mut seat = self.seat.take()?;
        if seat.epoch != self.epoch {
            seat.collector = None;
            seat.options = self.options.clone();
            seat.epoch = self.epoch;
        }
        let mut batch = Batch::renewed(self.spare.take(), self.spec.points_max);
        if let Some(latest) = &self.latest {
            Arc::make_mut(&mut batch).expect(&latest.batch);
        }
        self.phase = Phase::Running { since: now, lost: false };
        Some(Job { spec: self.spec, seat, batch, started: now })
    }

    /// Takes back what the round used, and keeps what it said. What is worth a line in the log comes back.
    pub(super) fn end(&mut self, ended: Ended, now: Duration) -> Vec<Told> {
        let Ended { seat, batch, started, took, outcome } = ended;
        self.phase = Phase::Idle;
        let is_current = seat.epoch == self.epoch && self.is_on;
        self.seat = Some(seat);
        if !is_current {
            if let Some(seat) = &mut self.seat {
                seat.collector = None;
            }
            return Vec::new();
        }
        self.rounds += 1;
        self.retry = match &outcome {
            Outcome::Absent(_) => Some(now + ABSENT_RETRY),
            Outcome::Panicked(_) => {
                let wait = PANIC_RETRY.saturating_mul(1 << self.panics.min(10)).min(ABSENT_RETRY);
                self.panics += 1;
                Some(now + wait)
            }
            Outcome::Failed(_) if self.seat.as_ref().is_none_or(|seat| seat.collector.is_none()) => {
                Some(now + ABSENT_RETRY)
            }
            _ => {
                self.panics = 0;
                None
            }
        };
        let told = self.news(&outcome, &batch);
        self.outcome = outcome;
        let latest = Latest { batch, started, took };
        self.spare = self.latest.replace(latest).map(|old| old.batch);
        told
    }

    /// Whether it runs, and nobody waits for the thread that it is on.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.phase, Phase::Running { lost: true, .. })
    }

    /// An asker left without it. Whether that is news.
    pub(super) fn found_stuck(&mut self) -> bool {
        !std::mem::replace(&mut self.is_stuck, true)
    }

    /// What changed: the outcome, or a fault that was not told before.
    fn news(&mut self, outcome: &Outcome, batch: &Batch) -> Vec<Told> {
        let mut news = Vec::new();
        // One that gave up waiting has not come back: it will hang again with the next page.
        let is_back = !matches!(outcome, Outcome::Failed(Error::Stuck { .. })) && std::mem::take(&mut self.is_stuck);
        let is_new = outcome.reason() != self.outcome.reason();
        match outcome {
            Outcome::Well if is_back || (is_new && self.outcome != Outcome::New) => news.push(Told::Recovered),
            Outcome::New | Outcome::Well => {}
            _ if !is_new => {}
            Outcome::Absent(_) => news.push(Told::Absent),
            Outcome::Failed(error) => news.push(Told::Failed(error.to_string())),
            Outcome::Panicked(message) => news.push(Told::Panicked(message.clone())),
        }
        if *outcome == Outcome::Well {
            for fault in batch.faults() {
                let text = fault.to_string();
                if self.told.len() < TOLD_MAX && self.told.insert(text.clone()) {
                    news.push(Told::Fault(text));
                }
            }
        }
        news
    }
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Recovered,
    Stuck,
    Absent,
    Failed(String),
    Panicked(String),
    Fault(String),
}

impl Told {
    pub(super) fn log(&self, collector: &str) {
        match self {
            Told::Recovered => tracing::info!(collector, "collector works again"),
            Told::Stuck => tracing::warn!(collector, "collector does not answer; pages go on without it"),
            Told::Absent => tracing::debug!(collector, "nothing to collect on this machine now"),
            Told::Failed(error) => tracing::warn!(collector, error, "collector failed"),
            Told::Panicked(message) => tracing::error!(collector, error = message, "collector panicked"),
            Told::Fault(error) => tracing::warn!(collector, error, "could not read a value"),
        }
    }
}

impl Ended {
    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

impl Job {
    /// Runs the round on this thread, however long it takes.
    pub(super) fn run(self) -> Ended {
        let Job { spec, mut seat, mut batch, started } = self;
        let clock = seat.host.machine().clock.clone();
        // It is this round's alone: nothing is copied.
        let out = Arc::make_mut(&mut batch);
        (out.taken, out.uptime) = (clock.wall(), clock.boot());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if seat.collector.is_none() {
                seat.collector = match (spec.open)(&mut seat.host, &seat.options) {
                    Ok(Some(collector)) => Some(collector),
                    Ok(None) => return Outcome::Absent(None),
                    Err(error) if error.is_absent() => return Outcome::Absent(Some(error)),
                    Err(error) => return Outcome::Failed(error),
                };
            }
            match seat.collector.as_mut().map(|collector| collector.collect(&mut seat.host, out)) {
                Some(Err(error)) => Outcome::Failed(error),
                _ => Outcome::Well,
            }
        }))
        .unwrap_or_else(|panic| Outcome::Panicked(message(&*panic)));
        match &outcome {
            Outcome::Failed(error) => out.fail(error.clone()),
            Outcome::Panicked(_) => {
                // Half a round may be in it, and half a state in the collector.
                *out = Batch::new(spec.points_max);
                seat.collector = None;
            }
            _ => {}
        }
        seat.host.settle();
        Ended { seat, batch, started, took: clock.monotonic() - started, outcome }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests;
