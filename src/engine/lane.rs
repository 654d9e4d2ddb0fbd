//! The threads: one lane for all collectors that were measured to be quick, one for those that may be slow.
//!
//! A lane runs its collectors one after another on one thread. If one of them takes too long it keeps that thread, and
//! another one carries on with the rest; so a collector that hangs costs one thread, and those that are slow run side by
//! side. Threads that come back wait for more, a few of them.

use super::slot::{Phase, Slot};
use super::{PATIENCE, Shared, own};
use collectors::kit::{Machine, lock};
use collectors::{Chosen, Pace, Spec};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a collector that may be slow has its lane to itself.
const STALL: Duration = Duration::from_millis(10);
/// How many threads of a lane wait for work.
const IDLE_MAX: usize = 4;
/// Collectors use little stack; what is not touched costs nothing.
const STACK: usize = 512 << 10;

/// All slots, and the lanes that they run on.
#[derive(Debug)]
pub(super) struct State {
    pub(super) slots: Vec<Slot>,
    lanes: [Lane; 2],
}

#[derive(Debug)]
struct Lane {
    name: &'static str,
    /// How long one collector may have the lane to itself.
    limit: Duration,
    queue: VecDeque<usize>,
    /// The collector that runs, unless it has taken its thread with it.
    current: Option<usize>,
    idle: usize,
    wanted: Arc<Condvar>,
}

impl State {
    pub(super) fn new(specs: &[&'static Spec], machine: &Arc<Machine>) -> Self {
        let slots = specs.iter().map(|spec| Slot::new(spec, machine)).collect();
        let lane =
            |name, limit| Lane { name, limit, queue: VecDeque::new(), current: None, idle: 0, wanted: Arc::default() };
        Self { slots, lanes: [lane("fast", PATIENCE), lane("slow", STALL)] }
    }

    pub(super) fn configure(&mut self, chosen: &[Chosen]) {
        for slot in &mut self.slots {
            let options =
                chosen.iter().find(|chosen| std::ptr::eq(chosen.spec, slot.spec)).map(|chosen| &chosen.options);
            slot.configure(options);
        }
    }

    /// Until when an asker should wait for a slot before it looks again; `None`: no longer.
    pub(super) fn awaited(&self, at: usize, now: Duration) -> Option<Duration> {
        let slot = &self.slots[at];
        let lane = &self.lanes[lane_of(slot.spec)];
        match slot.phase {
            Phase::Idle => None,
            Phase::Running { since, lost: false } => Some(since + lane.limit),
            Phase::Running { since, lost: true } => Some(since + PATIENCE).filter(|&until| now < until),
            // Somebody else runs, and is overtaken if it takes too long.
            Phase::Queued => match lane.current.map(|current| self.slots[current].phase) {
                Some(Phase::Running { since, .. }) => Some(since + lane.limit),
                _ => Some(now + lane.limit),
            },
        }
    }
}

fn lane_of(spec: &Spec) -> usize {
    match spec.pace {
        Pace::Round => 0,
        Pace::Apart { .. } => 1,
    }
}

/// Sees to it that the next round of these slots is under way, unless their last one is new enough.
pub(super) fn begin<'a>(
    shared: &'a Arc<Shared>,
    mut state: MutexGuard<'a, State>,
    selection: &[usize],
    asked: Duration,
) -> MutexGuard<'a, State> {
    for &at in selection {
        if state.slots[at].is_due(asked, shared.max_age) {
            let lane = lane_of(state.slots[at].spec);
            state.slots[at].phase = Phase::Queued;
            state.lanes[lane].queue.push_back(at);
        }
    }
    let wanted: [Option<Arc<Condvar>>; 2] = std::array::from_fn(|lane| staff(shared, &mut state, lane));
    // Whoever is woken needs the lock first.
    drop(state);
    wanted.iter().flatten().for_each(|wanted| wanted.notify_one());
    lock(&shared.state)
}

/// Sees to it that somebody works on what is queued: a thread that waits is to be notified, or a new one is started.
fn staff(shared: &Arc<Shared>, state: &mut State, at: usize) -> Option<Arc<Condvar>> {
    let lane = &mut state.lanes[at];
    if lane.queue.is_empty() || lane.current.is_some() {
        return None;
    }
    if lane.idle > 0 {
        return Some(Arc::clone(&lane.wanted));
    }
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(lane.name.to_owned()).stack_size(STACK);
    if thread.spawn(move || work(&shared, at)).is_err() {
        // The kernel gives no thread now: the slots stay as they are, and the next asker tries again.
        for at in std::mem::take(&mut lane.queue) {
            state.slots[at].phase = Phase::Idle;
        }
    }
    None
}

/// If a collector has had a lane for too long, it keeps its thread, and another one carries on with the rest.
pub(super) fn overtake(shared: &Arc<Shared>, state: &mut State, now: Duration) {
    for lane in 0..state.lanes.len() {
        let Some(at) = state.lanes[lane].current else { continue };
        let Phase::Running { since, .. } = state.slots[at].phase else { continue };
        if now < since + state.lanes[lane].limit {
            continue;
        }
        state.slots[at].phase = Phase::Running { since, lost: true };
        state.lanes[lane].current = None;
        if state.slots[at].spec.pace == Pace::Round {
            shared.own.instruments.lane_replaced(state.slots[at].spec.name);
        }
        if let Some(wanted) = staff(shared, state, lane) {
            wanted.notify_one();
        }
    }
}

/// A thread of a lane: runs what is queued, one after another, while nobody else does.
fn work(shared: &Arc<Shared>, lane: usize) {
    let mut state = lock(&shared.state);
    loop {
        let next = if state.lanes[lane].current.is_none() { state.lanes[lane].queue.pop_front() } else { None };
        match next {
            Some(at) => {
                state.lanes[lane].current = Some(at);
                state = run(shared, state, at, lane);
            }
            None => {
                // Askers wait for several collectors, so they are woken once, when there is no more to be done.
                shared.ended.notify_all();
                if state.lanes[lane].idle == IDLE_MAX {
                    return;
                }
                let wanted = Arc::clone(&state.lanes[lane].wanted);
                state.lanes[lane].idle += 1;
                state = wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.lanes[lane].idle -= 1;
            }
        }
    }
}

/// Runs one round without holding the lock.
fn run<'a>(shared: &'a Shared, mut state: MutexGuard<'a, State>, at: usize, lane: usize) -> MutexGuard<'a, State> {
    let Some(job) = state.slots[at].start(shared.machine.clock.monotonic()) else {
        state.slots[at].phase = Phase::Idle;
        state.lanes[lane].current = None;
        return state;
    };
    let name = state.slots[at].spec.name;
    drop(state);
    let ended = job.run();
    own::count(&shared.own.instruments, name, &ended);
    let mut state = lock(&shared.state);
    if !matches!(state.slots[at].phase, Phase::Running { lost: true, .. }) {
        state.lanes[lane].current = None;
    }
    let news = state.slots[at].end(ended, shared.machine.clock.monotonic());
    if news.is_empty() {
        return state;
    }
    // A log that nobody reads must not hold the engine up.
    drop(state);
    news.iter().for_each(|told| told.log(name));
    lock(&shared.state)
}
