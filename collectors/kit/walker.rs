//! Sees to it that folders are walked, one after another, by the child.
//!
//! Nobody waits for it: whoever wants figures says which folders, round by round, and takes what was found before. While
//! nothing is to be walked nothing runs, not even a timer. Time passes only while rounds are asked for.

use super::{Error, Machine, Mount, Walked, lock, walk};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How long the child is waited for before it is seen whether anybody still wants the figure.
const PATIENCE: Duration = Duration::from_millis(250);
const TICK: Duration = Duration::from_secs(1);
/// After so many periods a folder is walked although nothing seems to have been written: files may have been removed, and
/// not all filesystems say on whose behalf they write.
const UNWRITTEN: u32 = 12;
/// After how many ticks a walk is left to itself: the disk may be dead.
const TICKS_MAX: u32 = walk::TIME_MAX.as_secs() as u32;

/// A folder to be walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The folder, with the rate as its question.
    pub folder: Arc<Mount>,
    /// How much has been written on its behalf, where the kernel tells; if that is as it was, so is the folder.
    pub written: Option<u64>,
}

/// Walks, on a thread of its own that is there as long as this is.
#[derive(Debug)]
pub struct Walker {
    shared: Arc<Shared>,
    is_started: bool,
}

#[derive(Debug)]
struct Shared {
    machine: Arc<Machine>,
    period: Duration,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    folders: HashMap<Arc<Mount>, Folder>,
    faults: Vec<Error>,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Folder {
    written: Option<u64>,
    /// When it was walked last, with or without success, and what had been written when that walk began.
    walked: Option<(Duration, Option<u64>)>,
    found: Option<(Walked, Duration)>,
}

impl Folder {
    /// How long it has been waiting; `None`: it is as it was.
    fn due(&self, now: Duration, period: Duration) -> Option<Duration> {
        let Some((at, written)) = self.walked else { return Some(Duration::MAX) };
        let age = now.saturating_sub(at);
        let is_same = written.is_some() && written == self.written && self.found.is_some();
        let due = if is_same { period.saturating_mul(UNWRITTEN) } else { period };
        (age >= due).then_some(age)
    }
}

impl Walker {
    /// A walker that lets `period` pass between two walks of one folder.
    pub fn new(machine: &Arc<Machine>, period: Duration) -> Self {
        let (state, wake) = (Mutex::default(), Condvar::new());
        let shared = Shared { machine: Arc::clone(machine), period, state, wake };
        Self { shared: Arc::new(shared), is_started: false }
    }

    /// Says which folders are of interest; what was found in others is forgotten. What went wrong since the last time comes
    /// back.
    pub fn want(&mut self, wants: &[Want]) -> Vec<Error> {
        let now = self.shared.machine.clock.monotonic();
        let mut state = lock(&self.shared.state);
        let mut before = std::mem::take(&mut state.folders);
        for want in wants {
            let mut folder = before.remove(&want.folder).unwrap_or_default();
            folder.written = want.written;
            state.folders.insert(Arc::clone(&want.folder), folder);
        }
        let is_due = state.folders.values().any(|folder| folder.due(now, self.shared.period).is_some());
        let faults = std::mem::take(&mut state.faults);
        drop(state);
        if is_due && !self.is_started {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("walk".to_owned());
            self.is_started = thread.spawn(move || shared.work()).is_ok();
        }
        if is_due {
            self.shared.wake.notify_one();
        }
        faults
    }

    /// What was found in a folder, and how long ago.
    pub fn found(&self, folder: &Mount) -> Option<(Walked, Duration)> {
        let now = self.shared.machine.clock.monotonic();
        let state = lock(&self.shared.state);
        let (walked, at) = state.folders.get(folder)?.found?;
        Some((walked, now.saturating_sub(at)))
    }
}

impl Drop for Walker {
    /// The thread is not waited for: it ends within a tick.
    fn drop(&mut self) {
        lock(&self.shared.state).is_over = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn work(&self) {
        let mut state = lock(&self.state);
        while !state.is_over {
            let now = self.machine.clock.monotonic();
            let waiting = state.folders.iter().filter_map(|(key, folder)| Some((folder.due(now, self.period)?, key)));
            let Some(next) = waiting.max_by_key(|(age, _)| *age).map(|(_, key)| Arc::clone(key)) else {
                state = self.wake.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            };
            let written = state.folders.get(&next).and_then(|folder| folder.written);
            let (result, back) = self.walk(state, &next);
            state = back;
            let now = self.machine.clock.monotonic();
            // It may be wanted no more.
            if let Some(folder) = state.folders.get_mut(&next) {
                folder.walked = Some((now, written));
                folder.found = result.as_ref().ok().map(|walked| (*walked, now)).or(folder.found);
            }
            // A layer that went with its container is no fault.
            state.faults.extend(result.err().filter(|error| !error.is_nothing()));
        }
    }

    /// Has the child walk, and waits for it without holding the lock.
    fn walk<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        folder: &Arc<Mount>,
    ) -> (Result<Walked, Error>, MutexGuard<'a, State>) {
        for _ in 0..TICKS_MAX {
            drop(state);
            let answer = self.machine.walker.walk(folder, PATIENCE);
            state = lock(&self.state);
            let is_wanted = !state.is_over && state.folders.contains_key(folder);
            if !is_wanted || !matches!(answer, Err(Error::Stuck { .. })) {
                return (answer, state);
            }
            let tick = self.wake.wait_timeout(state, TICK);
            state = tick.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        let path = String::from_utf8_lossy(&folder.path).replace('\0', "");
        (Err(Error::Stuck { path }), state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(walked: Option<(u64, Option<u64>)>, written: Option<u64>) -> Folder {
        let found = walked.map(|_| (Walked::default(), Duration::ZERO));
        Folder { written, walked: walked.map(|(at, written)| (Duration::from_secs(at), written)), found }
    }

    #[test]
    fn who_wrote_nothing_is_left_alone() {
        let (now, period) = (Duration::from_secs(10_000), Duration::from_secs(300));
        let due = |folder: Folder| folder.due(now, period).is_some();
        assert!(due(folder(None, Some(1))), "never walked");
        assert!(!due(folder(Some((9_800, Some(1))), Some(2))), "walked not long ago");
        assert!(due(folder(Some((9_700, Some(1))), Some(2))));
        assert!(!due(folder(Some((9_700, Some(1))), Some(1))));
        assert!(due(folder(Some((9_700, None)), None)), "not known");
        assert!(due(folder(Some((6_400, Some(1))), Some(1))), "after twelve periods");
        assert!(due(Folder { found: None, ..folder(Some((9_700, Some(1))), Some(1)) }), "it failed");
        let (first, second) = (folder(None, None), folder(Some((0, None)), None));
        assert!(first.due(now, period) > second.due(now, period), "new ones first");
    }
}
