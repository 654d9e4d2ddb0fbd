//! Making pages: off the runtime's thread, once for all who ask for the same at the same time.

use super::alarm::Alarm;
use super::answer::hold;
use super::conns::Conns;
use super::gzip::Gzip;
use super::promise::Promise;
use super::threads::{Threads, Work};
use super::{Format, Making, Pages, Selection, Settings, State, lock};
use hyper::body::Bytes;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

/// Below this, compression saves no packet.
const WORTH_GZIP: usize = 1024;
/// How often it is looked whether a page makes headway.
const GLANCE: Duration = Duration::from_millis(10);
/// Threads that make pages, those included that are held up; what is too much waits for one.
const THREADS_MAX: usize = 64;
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
    gzip: Gzip,
    threads: Threads,
    /// Rings while a page is in the making.
    alarm: Alarm,
    runtime: Handle,
}

impl Share {
    /// To be called on the runtime's thread.
    ///
    /// # Errors
    /// The kernel has no file descriptors left.
    pub(super) fn new(
        settings: &Settings,
        pages: Arc<dyn Pages>,
        state: Arc<State>,
        conns: Arc<Conns>,
    ) -> io::Result<Self> {
        Ok(Share {
            pages,
            state,
            conns,
            max_requests: settings.max_requests,
            max_age: settings.max_age,
            join: settings.limits.join.max(settings.max_age),
            entries: Mutex::default(),
            gzip: Gzip::default(),
            threads: Threads::new(THREADS_MAX),
            alarm: Alarm::new(GLANCE)?,
            runtime: Handle::current(),
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
        let making = self.pages.begin(&want.selection, want.format, patience);
        let promise = Arc::new(Promise::new());
        let (share, gzip) = (Arc::clone(self), want.gzip);
        let job = Arc::new(Job { share, gzip, making, ended: AtomicBool::new(false), promise: Arc::clone(&promise) });
        entries.push(Entry { want, begun: Instant::now(), patience, job: Arc::clone(&job) });
        drop(entries);
        self.state.making.fetch_add(1, Relaxed);
        self.alarm.set();
        self.put_to_work(job);
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

    fn put_to_work(&self, job: Arc<Job>) {
        let work: Arc<dyn Work> = Arc::<Job>::clone(&job);
        if let Err(error) = self.threads.submit(work) {
            tracing::error!(%error, "no thread to make a page on");
            job.end(None);
        }
    }

    /// Looks after the pages that take long, for as long as the server runs.
    pub(super) async fn look_after(self: Arc<Self>) {
        while self.alarm.rung().await.is_ok() {
            let entries = lock(&self.entries);
            let awaited = entries.iter().map(|entry| &entry.job).filter(|job| job.promise.is_awaited());
            let jobs: Vec<Arc<Job>> = awaited.cloned().collect();
            drop(entries);
            for job in jobs {
                job.promise.remind();
                if job.making.is_held_up() {
                    self.put_to_work(job);
                }
            }
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
struct Job {
    share: Arc<Share>,
    gzip: bool,
    making: Box<dyn Making>,
    /// The page is there, or never will be.
    ended: AtomicBool,
    promise: Arc<Promise>,
}

impl Work for Job {
    fn run(&self) {
        let share = &self.share;
        let make = || Some(finish(self.making.make()?, self.gzip, &share.gzip, &share.state));
        let Ok(page) = catch_unwind(AssertUnwindSafe(make)) else { return self.end(None) };
        if page.is_some() {
            share.state.made.fetch_add(1, Relaxed);
            self.end(page);
            share.make_room();
        }
    }
}

impl Job {
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
    }

    /// Whether the page stays for the next one who asks, until it is too old.
    fn keep(&self) -> bool {
        let share = &self.share;
        if share.max_age.is_zero() {
            return false;
        }
        let entries = lock(&share.entries);
        let Some(mine) =
            entries.iter().map(|entry| (&entry.job, entry.begun)).find(|(job, _)| Arc::as_ptr(job) == self)
        else {
            return false;
        };
        let rest = share.max_age.saturating_sub(mine.1.elapsed());
        if rest.is_zero() || entries.iter().filter(|entry| entry.job.promise.is_made()).count() >= KEPT_MAX {
            return false;
        }
        let job = Arc::clone(mine.0);
        share.runtime.spawn(async move {
            sleep(rest).await;
            job.share.forget(Arc::as_ptr(&job));
        });
        true
    }
}

/// The page as it goes out.
fn finish(text: Vec<u8>, gzip: bool, compressor: &Gzip, state: &Arc<State>) -> Page {
    if gzip && text.len() >= WORTH_GZIP {
        let packed = compressor.pack(&text);
        state.gzip_from.fetch_add(text.len() as u64, Relaxed);
        state.gzip_to.fetch_add(packed.len() as u64, Relaxed);
        return Page { body: hold(packed, state), gzip: true };
    }
    Page { body: hold(text, state), gzip: false }
}
