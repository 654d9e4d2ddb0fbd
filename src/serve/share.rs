//! Making pages: once for all who ask for the same at the same time, by a thread that drives no connection meanwhile.

use super::alarm::{Alarm, Clock};
use super::answer::hold;
use super::conns::Conns;
use super::hub::{ALARM, Hub};
use super::promise::Promise;
use super::{Format, Making, Pages, Selection, Settings, State, lock};
use crate::encode;
use hyper::body::Bytes;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often it is looked whether a page makes headway.
const GLANCE: Duration = Duration::from_millis(10);
/// How many finished pages are kept for the next one who asks.
const KEPT_MAX: usize = 16;

/// What a page depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) selection: Selection,
    pub(super) format: Format,
    pub(super) gzip: bool,
}

/// A finished page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) body: Bytes,
    pub(super) gzip: bool,
}

/// As many pages are in the making as may be.
#[derive(Debug)]
pub(super) struct Busy;

struct Entry {
    want: Want,
    begun: Instant,
    patience: Duration,
    job: Arc<Job>,
}

/// The pages in the making, and the finished ones that may still be used.
pub(super) struct Share {
    pages: Arc<dyn Pages>,
    state: Arc<State>,
    conns: Arc<Conns>,
    max_requests: usize,
    max_age: Duration,
    join: Duration,
    entries: Mutex<Vec<Entry>>,
    hub: Arc<Hub>,
    /// Rings when a finished page is too old.
    clock: Arc<Clock>,
    /// Rings while a page is in the making.
    alarm: Alarm,
}

impl Share {
    /// # Errors
    /// The kernel has no file descriptors left.
    pub(super) fn new(
        settings: &Settings,
        pages: Arc<dyn Pages>,
        state: Arc<State>,
        conns: Arc<Conns>,
        hub: Arc<Hub>,
        clock: Arc<Clock>,
    ) -> io::Result<Self> {
        Ok(Share {
            pages,
            state,
            conns,
            max_requests: settings.max_requests,
            max_age: settings.max_age,
            join: settings.limits.join.max(settings.max_age),
            entries: Mutex::default(),
            alarm: Alarm::new(&hub, ALARM, GLANCE)?,
            hub,
            clock,
        })
    }

    /// Whether another page could be made now.
    pub(super) fn free(&self) -> bool {
        self.max_requests == 0 || self.state.making.load(Relaxed) < self.max_requests
    }

    /// The page, from another request where that is the same, else made for this one.
    pub(super) fn page(self: &Arc<Self>, want: Want, patience: Duration) -> Result<Arc<Promise>, Busy> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.iter().find(|entry| self.suits(entry, &want, patience)) {
            return Ok(Arc::clone(&entry.job.promise));
        }
        if !self.free() {
            return Err(Busy);
        }
        let making = self.pages.begin(&want.selection, want.format, want.gzip, patience);
        let promise = Arc::new(Promise::new());
        let (share, ended) = (Arc::clone(self), AtomicBool::new(false));
        let job = Arc::new(Job { share, making, ended, promise: Arc::clone(&promise) });
        entries.push(Entry { want, begun: Instant::now(), patience, job: Arc::clone(&job) });
        drop(entries);
        self.state.making.fetch_add(1, Relaxed);
        self.alarm.set();
        self.hub.submit(job);
        Ok(promise)
    }

    fn suits(&self, entry: &Entry, want: &Want, patience: Duration) -> bool {
        let age = entry.begun.elapsed();
        entry.want == *want
            && if entry.job.promise.is_made() {
                age < self.max_age && entry.patience >= patience
            } else {
                // With another patience, the page would be poorer than it could be, or too late.
                age <= self.join && entry.patience == patience && entry.job.promise.is_awaited()
            }
    }

    /// The alarm rang: looks after the pages that take long.
    pub(super) fn look_after(&self) {
        self.alarm.heard();
        let entries = lock(&self.entries);
        let awaited = entries.iter().map(|entry| &entry.job).filter(|job| job.promise.is_awaited());
        let jobs: Vec<Arc<Job>> = awaited.cloned().collect();
        drop(entries);
        for job in jobs {
            job.promise.remind();
            if job.making.is_held_up() {
                self.hub.submit(job);
            }
        }
    }

    /// Forgets the finished pages that are too old, and tells the clock when the next one will be.
    pub(super) fn expire(&self) {
        if self.max_age.is_zero() {
            return;
        }
        let mut entries = lock(&self.entries);
        let is_old = |entry: &mut Entry| entry.job.promise.is_made() && entry.begun.elapsed() >= self.max_age;
        let old: Vec<Entry> = entries.extract_if(.., is_old).collect();
        let made = entries.iter().filter(|entry| entry.job.promise.is_made());
        let next = made.map(|entry| entry.begun + self.max_age).min();
        drop(entries);
        drop(old);
        if let Some(next) = next {
            self.clock.by(next);
        }
    }

    fn forget(&self, job: *const Job) {
        let mut entries = lock(&self.entries);
        let at = entries.iter().position(|entry| Arc::as_ptr(&entry.job) == job);
        let entry = at.map(|at| entries.swap_remove(at));
        // Not under the lock: the page may go with it, and it can be large.
        drop(entries);
        drop(entry);
    }

    /// Makes room for a page that was just finished.
    fn make_room(&self) {
        if self.conns.over() > 0 {
            lock(&self.entries).retain(|entry| entry.job.promise.is_awaited());
        }
        self.conns.make_room();
    }
}

/// A page in the making, on one thread after another until one of them has it.
pub(super) struct Job {
    share: Arc<Share>,
    making: Box<dyn Making>,
    /// The page is there, or never will be.
    ended: AtomicBool,
    promise: Arc<Promise>,
}

impl Job {
    /// Makes it on this thread, or finds that it is no longer this thread's.
    pub(super) fn run(&self) {
        let share = &self.share;
        let make = || Some(finish(self.making.make()?, &share.state));
        let Ok(page) = catch_unwind(AssertUnwindSafe(make)) else { return self.end(None) };
        if page.is_some() {
            share.state.made.fetch_add(1, Relaxed);
            self.end(page);
            share.make_room();
        }
    }

    /// The page is there, or never will be. The first thread that says so is believed.
    fn end(&self, page: Option<Page>) {
        if self.ended.swap(true, Relaxed) {
            return;
        }
        // The page counts as made before anyone can see it.
        self.share.state.making.fetch_sub(1, Relaxed);
        if page.is_none() || !self.keep() {
            self.share.forget(self);
        }
        self.promise.keep(page);
        self.share.alarm.unset();
        // Not before it counts as made: the clock would find nothing.
        self.share.expire();
    }

    /// Whether the page stays for the next one who asks, until it is too old.
    fn keep(&self) -> bool {
        let share = &self.share;
        if share.max_age.is_zero() {
            return false;
        }
        let entries = lock(&share.entries);
        let is_young = |entry: &Entry| entry.begun.elapsed() < share.max_age;
        entries.iter().find(|entry| Arc::as_ptr(&entry.job) == self).is_some_and(is_young)
            && entries.iter().filter(|entry| entry.job.promise.is_made()).count() < KEPT_MAX
    }
}

/// The page as it goes out.
fn finish(page: encode::Page, state: &Arc<State>) -> Page {
    if page.is_packed {
        state.gzip_from.fetch_add(page.length as u64, Relaxed);
        state.gzip_to.fetch_add(page.bytes.len() as u64, Relaxed);
    }
    Page { body: hold(page.bytes, state), gzip: page.is_packed }
}
