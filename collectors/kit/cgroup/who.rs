//! Who a container is: a directory of names that all collectors share.
//!
//! What a runtime left on disk is read once in a container's life. Who is not named there is remembered as wanted, for those
//! who can ask the runtime itself; nobody who asks here ever waits for a daemon.

use super::Runtime;
use crate::kit::{Clock, Error, Host, Root, itself, lock};
use regex_lite::Regex;
use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod book;
mod files;
mod json;
mod parse;
mod pods;
mod volume;

pub use volume::VolumeData;

use book::{Book, ENTRIES_MAX, Entry, FORGET, RETRIES};

/// How many labels of a container are kept.
const LABELS_MAX: usize = 32;

/// What a runtime knows of a container; empty where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The runtime's name for it.
    pub name: String,
    /// The image that it was made from.
    pub image: String,
    /// The namespace of its pod.
    pub namespace: String,
    /// The name of its pod.
    pub pod: String,
    /// The identity of its pod.
    pub pod_uid: String,
    /// Its name within the pod.
    pub container: String,
    /// Whether it only holds the pod's namespaces.
    pub is_sandbox: bool,
    /// How often it was started anew, where that is told.
    pub attempt: Option<u32>,
    /// When it was made, in wall-clock time since 1970, where that is told; it may have been started since.
    pub created: Option<Duration>,
    /// Its first process, as the machine numbers it; never 0.
    pub pid: Option<u32>,
    /// What else the runtime was told to keep with it, as far as somebody wants it.
    pub labels: Vec<(String, String)>,
}

/// Which labels of containers somebody wants.
#[derive(Clone, Debug, Default)]
struct Keep(Option<Arc<Regex>>);

impl Keep {
    fn passes(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(name))
    }

    fn put(&self, labels: &mut Vec<(String, String)>, name: &str, value: &str) {
        if let Some(known) = labels.iter_mut().find(|(known, _)| known == name) {
            value.clone_into(&mut known.1);
        } else if labels.len() < LABELS_MAX {
            labels.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// Those who want to hear that somebody is asked for whom the files do not name.
type Ear = Arc<dyn Fn() + Send + Sync>;

/// The directory of names.
pub struct Names {
    clock: Clock,
    book: Mutex<Book>,
    ears: Mutex<Vec<Ear>>,
}

/// What the directory says at once.
enum Asked {
    Known(Option<Arc<Named>>),
    /// The files are to be looked at.
    Due(Keep),
    /// Somebody told of it; whether the process is its is to be looked at.
    Told(Arc<Named>),
}

impl Host {
    /// Who a container is, as far as that is known by now.
    ///
    /// It never waits for a daemon. That it is asked for is remembered for two minutes: ask as long as it is of interest.
    pub fn who(&mut self, runtime: Runtime, id: &str) -> Option<Arc<Named>> {
        if !is_listed(runtime, id) {
            return None;
        }
        let machine = Arc::clone(self.machine());
        match machine.names.ask(runtime, id) {
            Asked::Known(named) => named,
            Asked::Told(named) => {
                let pid = named.pid.filter(|pid| self.is_of(*pid, id));
                machine.names.prove(id, &named, pid)
            }
            Asked::Due(keep) => {
                let found = self.named_by_files(runtime, id, &keep);
                let (named, is_news) = machine.names.found(id, found, &mut |pid| self.is_of(pid, id));
                if is_news {
                    machine.names.call();
                }
                named
            }
        }
    }

    /// When a process was started, in wall-clock time since 1970.
    pub fn started(&mut self, pid: u32) -> Option<Duration> {
        let ticks = itself::start(self.read_once(Root::Proc, format_args!("{pid}/stat")).ok()?)?;
        let clock = &self.machine().clock;
        let boot = clock.wall().checked_sub(clock.boot())?;
        let at = boot.checked_add(Duration::from_millis(ticks.checked_mul(10)?))?;
        // As exact as the ticks are.
        Some(Duration::from_millis(u64::try_from(at.as_millis()).ok()?.checked_add(5)? / 10 * 10))
    }

    /// Whether a process is in this container. A file may be old, and its number by now another's, or one of another
    /// namespace than the procfs that we see.
    fn is_of(&mut self, pid: u32, id: &str) -> bool {
        let cgroups = self.read_once(Root::Proc, format_args!("{pid}/cgroup"));
        cgroups.is_ok_and(|cgroups| memchr::memmem::find(cgroups, id.as_bytes()).is_some())
    }
}

/// Whether a runtime keeps files of its containers, and this may be the identity of one.
fn is_listed(runtime: Runtime, id: &str) -> bool {
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    is_id && !matches!(runtime, Runtime::Lxc | Runtime::Nspawn | Runtime::Libvirt)
}

impl Names {
    /// A directory in which nobody is named.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, book: Mutex::default(), ears: Mutex::default() }
    }

    /// Those who were asked for in the last two minutes and whom nobody has named yet, sorted.
    pub fn wanted(&self) -> Vec<(Runtime, String)> {
        let now = self.clock.coarse();
        let book = lock(&self.book);
        let wanted = book.entries.iter().filter(|(_, entry)| entry.is_wanted(now));
        let mut wanted: Vec<_> = wanted.map(|(id, entry)| (entry.runtime, id.to_string())).collect();
        wanted.sort_unstable_by(|(_, id), (_, other)| id.cmp(other));
        wanted
    }

    /// Names a container. What is not told, such as a process, stays as it was.
    pub fn tell(&self, runtime: Runtime, id: &str, mut named: Named) {
        if !is_listed(runtime, id) {
            return;
        }
        let now = self.clock.coarse();
        let mut book = lock(&self.book);
        let book = &mut *book;
        book.sweep(now);
        let is_full = book.entries.len() >= ENTRIES_MAX;
        if is_full && !book.entries.contains_key(id) {
            return;
        }
        let entry = book.entries.entry(id.into()).or_insert_with(|| Entry::new(runtime, now));
        named.pid = named.pid.filter(|pid| *pid != 0);
        named.labels.retain(|(name, _)| book.keep.passes(name));
        named.labels.truncate(LABELS_MAX);
        named.bound();
        entry.is_proven = named.pid.is_none();
        if let Some(old) = &entry.named {
            entry.is_proven |= named.pid == old.pid;
            named.pid = named.pid.or(old.pid);
            named.attempt = named.attempt.or(old.attempt);
            named.created = named.created.or(old.created);
        }
        entry.set(named, &mut book.pods, now);
    }

    /// Calls `ear` when somebody is asked for who is not named. It must not wait.
    pub fn on_want(&self, ear: Box<dyn Fn() + Send + Sync>) {
        lock(&self.ears).push(Arc::from(ear));
    }

    /// A cgroup of this identity was made: what its files say may have changed since they were read.
    pub fn renew(&self, id: &str) {
        const JUST_NOW: Duration = Duration::from_secs(1);
        let now = self.clock.coarse();
        if let Some(entry) = lock(&self.book).entries.get_mut(id)
            && now.saturating_sub(entry.read) >= JUST_NOW
        {
            (entry.due, entry.tries) = (now, 0);
        }
    }

    /// Keeps those labels of containers whose names pass.
    pub fn keep(&self, labels: Option<Regex>) {
        let mut book = lock(&self.book);
        let text = |keep: &Keep| keep.0.as_ref().map(|regex| regex.as_str().to_owned());
        let keep = Keep(labels.map(Arc::new));
        if text(&keep) != text(&book.keep) {
            book.keep = keep;
            book.entries.clear();
        }
    }

    /// Why files could not be read, while someone is not named.
    pub fn trouble(&self) -> Option<Error> {
        let now = self.clock.coarse();
        let mut book = lock(&self.book);
        if book.trouble.is_some() && !book.entries.values().any(|entry| entry.is_wanted(now)) {
            book.trouble = None;
        }
        book.trouble.clone()
    }

    fn ask(&self, runtime: Runtime, id: &str) -> Asked {
        let now = self.clock.coarse();
        let mut book = lock(&self.book);
        book.sweep(now);
        let keep = book.keep.clone();
        if let Some(entry) = book.entries.get_mut(id) {
            entry.asked = now;
            match &entry.named {
                _ if entry.due <= now => entry.put_off(now),
                Some(named) if !entry.is_proven => return Asked::Told(Arc::clone(named)),
                named => return Asked::Known(named.clone()),
            }
        } else {
            if book.entries.len() >= ENTRIES_MAX {
                return Asked::Known(None);
            }
            let mut entry = Entry::new(runtime, now);
            entry.put_off(now);
            book.entries.insert(id.into(), entry);
        }
        Asked::Due(keep)
    }

    /// Notes what the files say; whether somebody should be told that one is wanted.
    fn found(
        &self,
        id: &str,
        found: Result<Option<Named>, Error>,
        is_of: &mut dyn FnMut(u32) -> bool,
    ) -> (Option<Arc<Named>>, bool) {
        let now = self.clock.coarse();
        let mut book = lock(&self.book);
        let book = &mut *book;
        let named = match found {
            Ok(named) => named,
            Err(error) => {
                book.trouble.get_or_insert(error);
                None
            }
        };
        let Some(entry) = book.entries.get_mut(id) else { return (named.map(Arc::new), false) };
        match (named, &entry.named) {
            (Some(named), _) => {
                entry.is_proven = true;
                entry.set(named, &mut book.pods, now);
            }
            // It is no longer on disk, or never was. It keeps its name, and the process if that lives.
            (None, Some(old)) => {
                if old.pid.is_some_and(|pid| !is_of(pid)) {
                    entry.named = Some(Arc::new(Named { pid: None, ..Named::clone(old) }));
                }
                entry.settle(now);
            }
            (None, None) => {}
        }
        let is_news = entry.named.is_none() && entry.tries == 1;
        (entry.named.clone(), is_news)
    }

    fn prove(&self, id: &str, told: &Arc<Named>, pid: Option<u32>) -> Option<Arc<Named>> {
        let proven = if pid == told.pid { Arc::clone(told) } else { Arc::new(Named { pid, ..Named::clone(told) }) };
        if let Some(entry) = lock(&self.book).entries.get_mut(id)
            && entry.named.as_ref().is_some_and(|named| Arc::ptr_eq(named, told))
        {
            entry.is_proven = true;
            entry.named = Some(Arc::clone(&proven));
        }
        Some(proven)
    }

    /// Tells those who can ask a runtime. No lock is held meanwhile.
    fn call(&self) {
        let ears = lock(&self.ears).clone();
        ears.iter().for_each(|ear| ear());
    }
}

impl Named {
    /// Cuts texts that are too long.
    fn bound(&mut self) {
        let Self { name, image, namespace, pod, pod_uid, container, labels, .. } = self;
        let values = labels.iter_mut().map(|(_, value)| value);
        for text in [name, image, namespace, pod, pod_uid, container].into_iter().chain(values) {
            text.truncate(text.floor_char_boundary(json::TEXT_MAX));
        }
    }
}

/// Reads anything as each of the files.
pub(in crate::kit) fn read_anyhow(mut bytes: &[u8]) {
    let keep = Keep(Regex::new("").ok().map(Arc::new));
    for parse in [parse::bundle, parse::docker] {
        if let Ok(named) = parse(&mut bytes.take(u64::MAX), &keep) {
            let mut bounded = named.clone();
            bounded.bound();
            assert!(bounded == named && named.labels.len() <= LABELS_MAX, "what is read is bounded");
        }
    }
    let _ = parse::storage(&mut bytes);
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("entries", &lock(&self.book).entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
