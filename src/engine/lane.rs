//! The lanes: one for all collectors that were measured to be quick, one for those that may be slow.
//!
//! The engine has no threads. Whoever asks brings one and runs what it needs, in each lane one collector at a time. A
//! collector that has had its lane for too long keeps the thread that it is on, and the lane is free for others: so one
//! that hangs costs one thread, those that are slow run side by side, and a machine on which all is well never switches
//! between threads for a page.

use super::slot::{Ended, Job, Phase, Slot, Told};
use super::{Ask, PATIENCE};
use collectors::kit::Machine;
use collectors::{Chosen, Pace, Spec};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long a collector that may be slow has its lane to itself.
const STALL: Duration = Duration::from_millis(10);

/// All slots, and the lanes that they run on.
#[derive(Debug)]
pub(super) struct State {
    pub(super) slots: Vec<Slot>,
    /// The slots that are on.
    pub(super) on: Vec<usize>,
    lanes: [Lane; 2],
    /// How many askers wait for somebody else's thread.
    pub(super) waiting: usize,
}

#[derive(Debug)]
struct Lane {
    /// How long one collector may have the lane to itself.
    limit: Duration,
    current: Option<Current>,
}

/// The collector that has the lane.
#[derive(Debug)]
struct Current {
    slot: usize,
    since: Duration,
    /// Tells the asker whose thread it is on that the thread is lost.
    held_up: Arc<AtomicBool>,
}

impl State {
    pub(super) fn new(specs: &[&'static Spec], machine: &Arc<Machine>) -> Self {
        let slots = specs.iter().map(|spec| Slot::new(spec, machine)).collect();
        let lane = |limit| Lane { limit, current: None };
        Self { slots, on: Vec::new(), lanes: [lane(PATIENCE), lane(STALL)], waiting: 0 }
    }

    pub(super) fn configure(&mut self, chosen: &[Chosen]) {
        for slot in &mut self.slots {
            let options =
                chosen.iter().find(|chosen| std::ptr::eq(chosen.spec, slot.spec)).map(|chosen| &chosen.options);
            slot.configure(options);
        }
        self.on = (0..self.slots.len()).filter(|&at| self.slots[at].is_on).collect();
    }

    /// Puts the slots in line whose last round is not new enough for this asker.
    pub(super) fn begin(&mut self, ask: &Ask, max_age: Duration) {
        for &at in ask.selection.iter() {
            if self.slots[at].is_due(ask.asked, ask.is_clock, max_age) {
                self.slots[at].phase = Phase::Queued;
            }
        }
    }

    /// The next round that this asker can run on its own thread.
    pub(super) fn next(&mut self, ask: &Ask, now: Duration) -> Option<(usize, Job)> {
        let mut slot = None;
        for &at in ask.selection.iter().filter(|&&at| self.slots[at].phase == Phase::Queued) {
            let lane = lane_of(self.slots[at].spec);
            if self.lanes[lane].current.is_some() {
                continue;
            }
            slot = slot.or(Some(at));
            // The fast ones first: what is slow may take the thread.
            if lane == 0 {
                slot = Some(at);
                break;
            }
        }
        let slot = slot?;
        let Some(job) = self.slots[slot].start(now) else {
            self.slots[slot].phase = Phase::Idle;
            return None;
        };
        let held_up = Arc::clone(&ask.held_up);
        self.lanes[lane_of(self.slots[slot].spec)].current = Some(Current { slot, since: now, held_up });
        Some((slot, job))
    }

    /// Takes back a round that has run, and frees the lane if it still has it.
    pub(super) fn end(&mut self, at: usize, ended: Ended, now: Duration) -> Vec<Told> {
        if !self.slots[at].is_lost() {
            self.lanes[lane_of(self.slots[at].spec)].current = None;
        }
        self.slots[at].end(ended, now)
    }

    /// Frees the lanes whose collector has had them for too long, or holds this asker up beyond its deadline. The names of
    /// those collectors.
    pub(super) fn overtake(&mut self, now: Duration, ask: &Ask) -> Vec<&'static str> {
        let mut names = Vec::new();
        for lane in &mut self.lanes {
            let is_late = |current: &mut Current| {
                let is_mine = Arc::ptr_eq(&current.held_up, &ask.held_up);
                now >= current.since + lane.limit || (is_mine && now >= ask.deadline)
            };
            let Some(current) = lane.current.take_if(is_late) else { continue };
            let slot = &mut self.slots[current.slot];
            slot.phase = Phase::Running { since: current.since, lost: true };
            current.held_up.store(true, Relaxed);
            names.push(slot.spec.name);
        }
        names
    }

    /// Until when an asker should wait for a slot before it looks again; `None`: no longer.
    pub(super) fn awaited(&self, at: usize, now: Duration) -> Option<Duration> {
        let slot = &self.slots[at];
        let lane = &self.lanes[lane_of(slot.spec)];
        match slot.phase {
            Phase::Idle => None,
            Phase::Running { since, lost: true } => Some(since + PATIENCE).filter(|&until| now < until),
            Phase::Running { since, lost: false } => Some(since + lane.limit),
            // Somebody else has the lane, and is overtaken if that takes too long.
            Phase::Queued => Some(lane.current.as_ref().map_or(now, |current| current.since + lane.limit)),
        }
    }
}

fn lane_of(spec: &Spec) -> usize {
    match spec.pace {
        Pace::Round => 0,
        Pace::Apart { .. } | Pace::Every { .. } => 1,
    }
}
