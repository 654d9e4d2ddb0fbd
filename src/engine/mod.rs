//! Slots, rounds, freshness, deadlines: what runs when, and who waits for whom.
//!
//! Whoever wants a page asks, and what is older than `max_age` is read anew. An asker joins the rounds that are under way,
//! and leaves at its deadline with what is ready: a collector that hangs costs its own series and one thread. Nothing runs
//! by a timer but the collectors that say so, see [`Engine::keep_time`].

mod finding;
mod keeper;
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
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

pub use finding::Finding;
pub use own::{Extra, Instruments, families};

/// How often a thread that was started for an asker is looked after.
const GLANCE: Duration = Duration::from_millis(10);
/// How long an asker waits for a collector.
const PATIENCE: Duration = Duration::from_millis(250);

/// Runs collectors for whoever asks.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What somebody asked: worked on by one thread after another, until one of them has the answer.
#[derive(Debug)]
pub struct Ask {
    selection: Arc<[usize]>,
    asked: Duration,
    deadline: Duration,
    held_up: Arc<AtomicBool>,
    /// Whether a collector's own clock asks, and not somebody for a page.
    is_clock: bool,
}

/// What all askers share.
#[derive(Debug)]
struct Shared {
    machine: Arc<Machine>,
    max_age: Duration,
    state: Mutex<State>,
    /// A round has ended.
    ended: Condvar,
    /// Collectors were turned on or off: for those who keep their clocks.
    clocks: Condvar,
    own: Own,
}

impl Engine {
    /// An engine for these collectors, none of which runs yet: see [`Engine::configure`].
    pub fn new(machine: Arc<Machine>, specs: &[&'static Spec], max_age: Duration, own: Instruments) -> Self {
        let state = Mutex::new(State::new(specs, &machine));
        let own = Own::new(own, &machine);
        let (ended, clocks) = (Condvar::new(), Condvar::new());
        Self { shared: Arc::new(Shared { machine, max_age, state, ended, clocks, own }) }
    }

    /// Turns on what is chosen, and off what is not. What was on with the same options goes on undisturbed.
    pub fn configure(&self, chosen: &[Chosen]) {
        lock(&self.shared.state).configure(chosen);
        self.shared.clocks.notify_all();
    }

    /// Which collectors a request means: those of the page that are on, narrowed by its filters.
    ///
    /// To leave out what is not there is no error: scrape configurations name collectors of other versions and systems.
    ///
    /// # Errors
    /// One sentence: the filters wish for something that is not there, or exclude each other.
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
        let is_meant = |spec: &Spec| {
            group.is_none_or(|name| spec.group.name() == name || spec.group.aliases().contains(&name))
                && (collect.is_empty() || collect.iter().any(|name| name == spec.name))
                && !exclude.iter().any(|name| name == spec.name)
        };
        Ok(state.on.iter().copied().filter(|&at| is_meant(state.slots[at].spec)).collect())
    }

    /// Asks the selected collectors, whose points must be new from now on.
    pub fn begin(&self, selection: Arc<[usize]>, patience: Duration) -> Ask {
        let asked = self.shared.machine.clock.monotonic();
        Ask { selection, asked, deadline: asked + patience, held_up: Arc::default(), is_clock: false }
    }

    /// Works on what was asked, on this thread, until it is answered or the asker's patience ends.
    ///
    /// `None` if a collector held this thread up: then somebody else was to go on with another one.
    pub fn work(&self, ask: &Ask) -> Option<Snapshot> {
        let (batches, rows) = self.shared.work(ask)?;
        Some(self.shared.own.snapshot(batches, &rows, &self.shared.machine))
    }

    /// Whether a collector holds up the thread that works on this, so that another one has to. Said once for each.
    pub fn is_held_up(&self, ask: &Ask) -> bool {
        self.shared.overtake(&mut lock(&self.shared.state), ask);
        ask.held_up.swap(false, Relaxed)
    }

    /// What the machine says now, from the selected collectors, after at most `patience`.
    pub fn ask(self: &Arc<Self>, selection: Arc<[usize]>, patience: Duration) -> Snapshot {
        let ask = Arc::new(self.begin(selection, patience));
        let answer = Arc::new((Mutex::new(None), Condvar::new()));
        loop {
            let (engine, asked, given) = (Arc::clone(self), Arc::clone(&ask), Arc::clone(&answer));
            let worker = std::thread::Builder::new().name("ask".to_owned());
            let started = worker.spawn(move || {
                if let Some(snapshot) = engine.work(&asked) {
                    *lock(&given.0) = Some(snapshot);
                    given.1.notify_all();
                }
            });
            if started.is_err() {
                // The kernel gives no thread: this one has to do, and nobody looks after it.
                return self.work(&ask).unwrap_or_default();
            }
            loop {
                let mut given = lock(&answer.0);
                if given.is_none() {
                    let clock = &self.shared.machine.clock;
                    given = clock.wait(&answer.1, given, clock.monotonic() + GLANCE);
                }
                if let Some(snapshot) = given.take() {
                    return snapshot;
                }
                drop(given);
                if self.is_held_up(&ask) {
                    break;
                }
            }
        }
    }

    /// Whether pages have what the daemon says about itself, besides how its collectors fare.
    pub fn tell_of_itself(&self, yes: bool) {
        self.shared.own.is_told.store(yes, Relaxed);
    }

    /// Lets somebody else put points about the daemon on every page; only the first one is taken.
    pub fn extend(&self, extra: Extra) {
        let _ = self.shared.own.extra.set(extra);
    }

    /// The machine that the collectors look at.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.shared.machine
    }

    /// The counters of the daemon about itself.
    pub fn instruments(&self) -> &Instruments {
        &self.shared.own.instruments
    }
}

impl Shared {
    /// Runs the selected collectors, or waits for those that others run: their batches, and how each fared.
    fn work(&self, ask: &Ask) -> Option<(Vec<Arc<Batch>>, Vec<Row>)> {
        let clock = &self.machine.clock;
        let mut state = lock(&self.state);
        state.begin(ask, self.max_age);
        loop {
            let now = clock.monotonic();
            self.overtake(&mut state, ask);
            if now >= ask.deadline {
                break;
            }
            if let Some((at, job)) = state.next(ask, now) {
                let name = state.slots[at].spec.name;
                drop(state);
                let ended = job.run();
                own::count(&self.own.instruments, name, &ended);
                state = lock(&self.state);
                let was_lost = state.slots[at].is_lost();
                let news = state.end(at, ended, clock.monotonic());
                if state.waiting > 0 {
                    self.ended.notify_all();
                }
                if !news.is_empty() {
                    // A log that nobody reads must not hold the engine up.
                    drop(state);
                    news.iter().for_each(|told| told.log(name));
                    state = lock(&self.state);
                }
                if was_lost {
                    return None;
                }
                continue;
            }
            let Some(until) = ask.selection.iter().filter_map(|&at| state.awaited(at, now)).min() else { break };
            state.waiting += 1;
            state = clock.wait(&self.ended, state, until.min(ask.deadline));
            state.waiting -= 1;
        }
        Some(self.gather(ask, state))
    }

    /// Frees the lanes of those who have had them for too long, and wakes the askers that wait for them.
    fn overtake(&self, state: &mut State, ask: &Ask) {
        let held_up = state.overtake(self.machine.clock.monotonic(), ask);
        if !held_up.is_empty() && state.waiting > 0 {
            self.ended.notify_all();
        }
        held_up.into_iter().for_each(|name| self.own.instruments.overrun(name));
    }

    /// What is there for an asker that leaves now.
    fn gather(&self, ask: &Ask, mut state: MutexGuard<'_, State>) -> (Vec<Arc<Batch>>, Vec<Row>) {
        // Text from users comes last: where it repeats what a collector says, the collector is right.
        let (last, first): (Vec<usize>, Vec<usize>) =
            ask.selection.iter().partition(|&&at| state.slots[at].spec.clash.is_some());
        let now = self.machine.clock.monotonic();
        let mut batches = Vec::with_capacity(ask.selection.len() + 2);
        let mut rows = Vec::with_capacity(ask.selection.len());
        let mut stuck = Vec::new();
        for at in first.into_iter().chain(last) {
            let slot = &mut state.slots[at];
            let batch = slot.batch_for(ask.asked, self.max_age).cloned();
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
