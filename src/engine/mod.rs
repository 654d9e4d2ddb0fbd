//! Slots, rounds, freshness, deadlines: what runs when, and who waits for whom.
//!
//! Nobody runs anything by a timer: whoever wants a page asks, and what is older than `max_age` is read anew. An asker
//! joins the rounds that are under way, and leaves at its deadline with what is ready: a collector that hangs costs its own
//! series and one thread.

mod lane;
mod own;
mod slot;
#[cfg(test)]
mod tests;

use collectors::kit::{Machine, lock};
use collectors::model::{Batch, Snapshot};
use collectors::{Chosen, Spec};
use lane::State;
use own::{Own, Row};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub use own::{Extra, Instruments, families};

/// How long an asker waits for a collector.
const PATIENCE: Duration = Duration::from_millis(250);

/// Runs collectors for whoever asks.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What the engine's threads and its askers share.
#[derive(Debug)]
struct Shared {
    machine: Arc<Machine>,
    max_age: Duration,
    state: Mutex<State>,
    /// A round has ended.
    ended: Condvar,
    own: Own,
}

impl Engine {
    /// An engine for these collectors, none of which runs yet: see [`Engine::configure`].
    pub fn new(machine: Arc<Machine>, specs: &[&'static Spec], max_age: Duration, own: Instruments) -> Self {
        let state = Mutex::new(State::new(specs, &machine));
        let own = Own::new(own);
        Self { shared: Arc::new(Shared { machine, max_age, state, ended: Condvar::new(), own }) }
    }

    /// Turns on what is chosen, and off what is not. What was on with the same options goes on undisturbed.
    pub fn configure(&self, chosen: &[Chosen]) {
        lock(&self.shared.state).configure(chosen);
    }

    /// Which collectors a request means: those of the page that are on, narrowed by its filters.
    ///
    /// # Errors
    /// One sentence: the filters name something that is not there, or exclude each other.
    pub fn select(&self, group: Option<&str>, collect: &[String], exclude: &[String]) -> Result<Vec<usize>, String> {
        if !collect.is_empty() && !exclude.is_empty() {
            return Err("Combined collect and exclude queries are not allowed.".to_owned());
        }
        let state = lock(&self.shared.state);
        let find = |name: &String| state.slots.iter().find(|slot| slot.spec.name == name);
        for name in collect {
            match find(name) {
                None => return Err(format!("missing collector: {name}")),
                Some(slot) if !slot.is_on => return Err(format!("disabled collector: {name}")),
                Some(_) => {}
            }
        }
        if let Some(name) = exclude.iter().find(|name| find(name).is_none()) {
            return Err(format!("missing collector: {name}"));
        }
        let is_meant = |spec: &Spec| {
            group.is_none_or(|name| spec.group.name() == name || spec.group.aliases().contains(&name))
                && (collect.is_empty() || collect.iter().any(|name| name == spec.name))
                && !exclude.iter().any(|name| name == spec.name)
        };
        let slots = state.slots.iter().enumerate();
        Ok(slots.filter(|(_, slot)| slot.is_on && is_meant(slot.spec)).map(|(at, _)| at).collect())
    }

    /// What the machine says now, from the selected collectors, after at most `patience`.
    pub fn ask(&self, selection: &[usize], patience: Duration) -> Snapshot {
        let (batches, rows) = self.shared.round(selection, patience);
        self.shared.own.snapshot(batches, &rows, &self.shared.machine)
    }

    /// Lets somebody else put points about the daemon on every page; only the first one is taken.
    pub fn extend(&self, extra: Extra) {
        let _ = self.shared.own.extra.set(extra);
    }

    /// The counters of the daemon about itself.
    pub fn instruments(&self) -> &Instruments {
        &self.shared.own.instruments
    }
}

impl Shared {
    /// Asks the selected collectors and waits for them: their batches, and how each fared.
    fn round(self: &Arc<Self>, selection: &[usize], patience: Duration) -> (Vec<Arc<Batch>>, Vec<Row>) {
        let clock = &self.machine.clock;
        let asked = clock.monotonic();
        let deadline = asked + patience;
        let mut state = lane::begin(self, lock(&self.state), selection, asked);
        loop {
            let now = clock.monotonic();
            lane::overtake(self, &mut state, now);
            let waits = selection.iter().filter_map(|&at| state.awaited(at, now)).min();
            match waits {
                Some(until) if now < deadline => state = clock.wait(&self.ended, state, until.min(deadline)),
                _ => break,
            }
        }
        // Text from users comes last: where it repeats what a collector says, the collector is right.
        let (last, first): (Vec<usize>, Vec<usize>) =
            selection.iter().partition(|&&at| state.slots[at].spec.clash.is_some());
        let now = clock.monotonic();
        let mut batches = Vec::with_capacity(selection.len() + 2);
        let mut rows = Vec::with_capacity(selection.len());
        let mut stuck = Vec::new();
        for at in first.into_iter().chain(last) {
            let slot = &mut state.slots[at];
            let batch = slot.batch_for(asked, self.max_age).cloned();
            let row = Row::of(slot, batch.as_ref().map(|_| batches.len()), now);
            if row.is_stuck() && slot.found_stuck() {
                stuck.push(slot.spec.name);
            }
            rows.push(row);
            batches.extend(batch);
        }
        drop(state);
        stuck.into_iter().for_each(|name| slot::Told::Stuck.log(name));
        (batches, rows)
    }
}
