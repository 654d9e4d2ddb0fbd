//! What the directory of names remembers, and for how long.

use super::parse::Stored;
use super::pods::{self, Pod};
use super::{Keep, Named, Runtime};
use crate::kit::{Error, Stamp};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How many containers are remembered.
pub(super) const ENTRIES_MAX: usize = 10_000;
/// How long one is remembered that nobody asks for.
pub(super) const FORGET: Duration = Duration::from_secs(120);
/// How often it is looked for what can be forgotten.
const SWEEP: Duration = Duration::from_secs(30);
/// After which time the files are looked at again while they do not tell all; later, each time after the last of these.
pub(super) const RETRIES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];
/// How often it is looked whether a container was renamed.
const RENAMED: Duration = Duration::from_secs(600);
/// Who is known, and who is asked for.
#[derive(Default)]
pub(super) struct Book {
    pub(super) entries: HashMap<Box<str>, Entry>,
    pub(super) pods: HashMap<Box<str>, Pod>,
    pub(super) storage: HashMap<String, (Stamp, Vec<Stored>)>,
    pub(super) keep: Keep,
    /// Why files could not be read.
    pub(super) trouble: Option<Error>,
    swept: Duration,
}

/// A container that somebody asks for.
pub(super) struct Entry {
    pub(super) runtime: Runtime,
    pub(super) named: Option<Arc<Named>>,
    /// Whether the process is known to be the container's.
    pub(super) is_proven: bool,
    /// When it was asked for last, and when the files are looked at next.
    pub(super) asked: Duration,
    pub(super) due: Duration,
    pub(super) read: Duration,
    pub(super) tries: usize,
}

impl Entry {
    pub(super) fn new(runtime: Runtime, now: Duration) -> Self {
        Self { runtime, named: None, is_proven: true, asked: now, due: now, read: Duration::ZERO, tries: 0 }
    }

    pub(super) fn is_wanted(&self, now: Duration) -> bool {
        self.named.is_none() && now.saturating_sub(self.asked) < FORGET
    }

    /// The files are looked at now, by one who asks, and by no other.
    pub(super) fn put_off(&mut self, now: Duration) {
        let wait = RETRIES[self.tries.min(RETRIES.len() - 1)];
        (self.read, self.due, self.tries) = (now, now + wait, self.tries + 1);
    }

    pub(super) fn set(&mut self, named: Named, pods: &mut HashMap<Box<str>, Pod>, now: Duration) {
        pods::learn(pods, &named, now);
        if self.named.as_deref() != Some(&named) {
            self.named = Some(Arc::new(named));
        }
        self.settle(now);
    }

    /// Looks at the files again when they may say more, or something else.
    pub(super) fn settle(&mut self, now: Duration) {
        let is_whole = self.named.as_ref().is_some_and(|named| named.pid.is_some());
        if is_whole || self.tries >= RETRIES.len() {
            let is_renamed = matches!(self.runtime, Runtime::Docker | Runtime::Podman | Runtime::Unknown);
            self.due = if is_renamed || !is_whole { now + RENAMED } else { Duration::MAX };
        }
    }
}

impl Book {
    /// Forgets whom nobody asks for.
    pub(super) fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.entries.retain(|_, entry| now.saturating_sub(entry.asked) < FORGET);
        let named = self.entries.values().filter_map(|entry| entry.named.as_deref());
        let alive: HashSet<&str> = named.map(|named| named.pod_uid.as_str()).collect();
        self.pods.retain(|uid, pod| alive.contains(&**uid) || pod.is_asked_for(now));
        let is_stored = |entry: &Entry| matches!(entry.runtime, Runtime::Podman | Runtime::Unknown);
        if !self.entries.values().any(is_stored) {
            self.storage = HashMap::new();
        }
        self.entries.shrink_to(2 * self.entries.len());
        self.pods.shrink_to(2 * self.pods.len());
    }
}
