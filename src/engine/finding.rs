//! How each collector fares, for somebody who wants to know why.

use super::lane::State;
use super::slot::{Outcome, Phase, Slot};
use super::{Ask, Engine, lock};
use collectors::Spec;
use collectors::kit::Error;
use collectors::model::Snapshot;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

/// How one collector fared in its last round.
#[derive(Debug)]
pub struct Finding {
    /// Its row.
    pub spec: &'static Spec,
    /// As in `wholenode_collector_state`: ok, absent, denied, stuck, …
    pub state: &'static str,
    /// How many series it put.
    pub series: usize,
    /// How many it had no room for.
    pub dropped: u64,
    /// How long it took, or has taken so far.
    pub took: Duration,
    /// What it could not read; where it failed as a whole, the reason is the last one.
    pub faults: Vec<Error>,
    /// How many more faults there were.
    pub more_faults: u64,
    /// With which words it panicked.
    pub panic: Option<String>,
}

impl Engine {
    /// Lets these collectors run once, and tells how each fared.
    pub fn findings(self: &Arc<Self>, selection: &[usize], patience: Duration) -> Vec<Finding> {
        let state = self.run_all(&self.begin(selection.into(), patience));
        let now = self.shared.machine.clock.monotonic();
        selection.iter().map(|&at| Finding::of(&state.slots[at], now)).collect()
    }

    /// What the machine says now, from those too for which a page would not wait: for somebody who asks only once.
    pub fn ask_once(self: &Arc<Self>, selection: Arc<[usize]>, patience: Duration) -> Snapshot {
        let ask = self.begin(selection, patience);
        let (batches, rows) = self.shared.gather(&ask, self.run_all(&ask));
        self.shared.own.snapshot(batches, &rows, &self.shared.machine)
    }

    /// Lets all that is asked run, and waits longer than a page would for those that are slow.
    fn run_all(self: &Arc<Self>, ask: &Ask) -> MutexGuard<'_, State> {
        let clock = &self.shared.machine.clock;
        drop(self.ask(Arc::clone(&ask.selection), ask.deadline.saturating_sub(clock.monotonic())));
        let mut state = lock(&self.shared.state);
        while clock.monotonic() < ask.deadline && ask.selection.iter().any(|&at| state.slots[at].phase != Phase::Idle) {
            state.waiting += 1;
            state = clock.wait(&self.shared.ended, state, ask.deadline);
            state.waiting -= 1;
        }
        state
    }
}

impl Finding {
    fn of(slot: &Slot, now: Duration) -> Self {
        let mut finding = Self {
            spec: slot.spec,
            state: slot.outcome.reason(),
            series: 0,
            dropped: 0,
            took: Duration::ZERO,
            faults: Vec::new(),
            more_faults: 0,
            panic: None,
        };
        match (slot.phase, &slot.latest) {
            (Phase::Running { since, .. }, None) => (finding.state, finding.took) = ("stuck", now - since),
            (_, None) => {}
            (_, Some(latest)) => {
                let batch = &latest.batch;
                (finding.series, finding.dropped, finding.took) = (batch.len(), batch.dropped(), latest.took);
                finding.faults = batch.faults().to_vec();
                let all: u64 = batch.fault_counts().values().sum();
                finding.more_faults = all - batch.faults().len() as u64;
            }
        }
        match &slot.outcome {
            Outcome::Absent(Some(error)) => finding.faults.push(error.clone()),
            // Beyond the first faults of a round, the batch only counts.
            Outcome::Failed(error) if finding.faults.last() != Some(error) => {
                finding.faults.push(error.clone());
                finding.more_faults = finding.more_faults.saturating_sub(1);
            }
            Outcome::Panicked(message) => finding.panic = Some(message.clone()),
            _ => {}
        }
        finding
    }
}
