//! The threads: one fast lane for all collectors that were measured to be quick, one lane for each that may be slow.

use super::slot::{Job, Phase, Slot, Told};
use super::{PATIENCE, Shared, own};
use collectors::kit::{Machine, lock};
use collectors::{Chosen, Pace, Spec};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// Collectors use little stack; what is not touched costs nothing.
const STACK: usize = 512 << 10;

/// All slots, and the fast lane's queue.
#[derive(Debug)]
pub(super) struct State {
    pub(super) slots: Vec<Slot>,
    queue: VecDeque<usize>,
    wanted: Arc<Condvar>,
    /// Which thread is the fast lane: the one with this number. Others are stuck, and end when they get unstuck.
    ticket: u64,
    has_thread: bool,
    current: Option<usize>,
}

impl State {
    pub(super) fn new(specs: &[&'static Spec], machine: &Arc<Machine>) -> Self {
        let slots = specs.iter().map(|spec| Slot::new(spec, machine)).collect();
        Self { slots, queue: VecDeque::new(), wanted: Arc::default(), ticket: 0, has_thread: false, current: None }
    }

    pub(super) fn configure(&mut self, chosen: &[Chosen]) {
        for slot in &mut self.slots {
            let options =
                chosen.iter().find(|chosen| std::ptr::eq(chosen.spec, slot.spec)).map(|chosen| &chosen.options);
            slot.configure(options);
            // A lane whose collector was turned off ends.
            slot.wanted.notify_one();
        }
    }

    /// Until when an asker should wait for a slot before it looks again; `None`: no longer.
    pub(super) fn awaited(&self, at: usize, now: Duration) -> Option<Duration> {
        let slot = &self.slots[at];
        match (slot.phase, slot.spec.pace) {
            (Phase::Idle, _) | (Phase::Running { lost: true, .. }, _) => None,
            (Phase::Running { since, .. }, Pace::Apart { .. }) => Some(since + PATIENCE).filter(|&until| now < until),
            (Phase::Queued, Pace::Apart { .. }) => Some(now + PATIENCE),
            // On the fast lane somebody runs, and is overtaken if it takes too long.
            (_, Pace::Round) => match self.current.map(|current| self.slots[current].phase) {
                Some(Phase::Running { since, .. }) => Some(since + PATIENCE),
                _ => Some(now + PATIENCE),
            },
        }
    }
}

/// Sees to it that the slot's next round is under way, unless its last one is new enough.
pub(super) fn begin(shared: &Arc<Shared>, state: &mut State, at: usize, asked: Duration) {
    let slot = &mut state.slots[at];
    if !slot.is_due(asked, shared.max_age) {
        return;
    }
    slot.phase = Phase::Queued;
    let has_thread = match slot.spec.pace {
        Pace::Round => {
            state.queue.push_back(at);
            state.wanted.notify_one();
            if !state.has_thread {
                state.has_thread = spawn("fast", shared, fast, state.ticket);
            }
            state.has_thread
        }
        Pace::Apart { .. } => {
            slot.wanted.notify_one();
            if !slot.has_thread {
                slot.has_thread = spawn(slot.spec.name, shared, apart, at as u64);
            }
            slot.has_thread
        }
    };
    if !has_thread {
        // The kernel gives no thread now: the slot stays as it is, and the next asker tries again.
        state.queue.retain(|&queued| queued != at);
        state.slots[at].phase = Phase::Idle;
    }
}

fn spawn(name: &str, shared: &Arc<Shared>, run: fn(&Arc<Shared>, u64), number: u64) -> bool {
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK);
    thread.spawn(move || run(&shared, number)).is_ok()
}

/// If a collector has held the fast lane for too long, it keeps that thread, and a new one carries on with the rest.
pub(super) fn replace_if_stuck(shared: &Arc<Shared>, state: &mut State, now: Duration) {
    let Some(at) = state.current else { return };
    let Phase::Running { since, .. } = state.slots[at].phase else { return };
    if now < since + PATIENCE {
        return;
    }
    state.slots[at].phase = Phase::Running { since, lost: true };
    state.current = None;
    state.ticket += 1;
    state.has_thread = spawn("fast", shared, fast, state.ticket);
    if !state.has_thread {
        for at in std::mem::take(&mut state.queue) {
            state.slots[at].phase = Phase::Idle;
        }
    }
    shared.own.instruments.lane_replaced(state.slots[at].spec.name);
    shared.ended.notify_all();
}

/// The fast lane: runs what is queued, one after another.
fn fast(shared: &Arc<Shared>, ticket: u64) {
    let mut state = lock(&shared.state);
    while state.ticket == ticket {
        let Some(at) = state.queue.pop_front() else {
            // Askers wait for several collectors, so they are woken once, when the queue is done.
            shared.ended.notify_all();
            let wanted = Arc::clone(&state.wanted);
            state = wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        state.current = Some(at);
        state = run(shared, state, at);
        if state.ticket == ticket {
            state.current = None;
        }
    }
    shared.ended.notify_all();
}

/// A lane of its own: runs its one collector whenever it is asked to, until that is turned off.
fn apart(shared: &Arc<Shared>, at: u64) {
    let at = at as usize;
    let mut state = lock(&shared.state);
    loop {
        if state.slots[at].phase == Phase::Queued {
            state = run(shared, state, at);
            shared.ended.notify_all();
        }
        if !state.slots[at].is_on {
            state.slots[at].has_thread = false;
            return;
        }
        if state.slots[at].phase != Phase::Queued {
            let wanted = Arc::clone(&state.slots[at].wanted);
            state = wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Runs one round without holding the lock.
fn run<'a>(shared: &'a Shared, mut state: MutexGuard<'a, State>, at: usize) -> MutexGuard<'a, State> {
    let job: Option<Job> = state.slots[at].start(shared.machine.clock.monotonic());
    let Some(job) = job else {
        state.slots[at].phase = Phase::Idle;
        return state;
    };
    let name = state.slots[at].spec.name;
    drop(state);
    let ended = job.run();
    own::count(&shared.own.instruments, name, &ended);
    let mut state = lock(&shared.state);
    let news: Vec<Told> = state.slots[at].end(ended, shared.machine.clock.monotonic());
    if news.is_empty() {
        return state;
    }
    // A log that nobody reads must not hold the engine up.
    drop(state);
    news.iter().for_each(|told| told.log(name));
    lock(&shared.state)
}
