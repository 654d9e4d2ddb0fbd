//! Making pages: off the runtime's thread, once for all who ask for the same at the same time.

use super::answer::hold;
use super::conns::Conns;
use super::gzip::Gzip;
use super::{Format, Making, Pages, Selection, Settings, State, lock};
use hyper::body::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

/// Below this, compression saves no packet.
const WORTH_GZIP: usize = 1024;
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

/// The page once it is there. It never will be if making it panicked.
pub(super) type Promise = watch::Receiver<Option<Page>>;

/// As many pages are in the making as may be.
#[derive(Debug)]
pub(super) struct Busy;

struct Entry {
    number: u64,
    want: Want,
    begun: Instant,
    patience: Duration,
    promise: Promise,
}

/// The pages in the making, and the finished ones that may still be used.
pub(super) struct Share {
    pages: Arc<dyn Pages>,
    state: Arc<State>,
    conns: Arc<Conns>,
    max_requests: usize,
    max_age: Duration,
    join: Duration,
    next: AtomicU64,
    entries: Mutex<Vec<Entry>>,
    gzip: Gzip,
}

impl Share {
    pub(super) fn new(settings: &Settings, pages: Arc<dyn Pages>, state: Arc<State>, conns: Arc<Conns>) -> Self {
        Share {
            pages,
            state,
            conns,
            max_requests: settings.max_requests,
            max_age: settings.max_age,
            join: settings.limits.join.max(settings.max_age),
            next: AtomicU64::new(0),
            entries: Mutex::default(),
            gzip: Gzip::default(),
        }
    }

    /// Whether another page could be made now.
    pub(super) fn free(&self) -> bool {
        self.max_requests == 0 || self.state.making.load(Relaxed) < self.max_requests
    }

    /// The page, from another request where that is the same, else made for this one.
    pub(super) fn page(self: &Arc<Self>, want: Want, patience: Duration) -> Result<Promise, Busy> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.iter().find(|entry| self.suits(entry, &want, patience)) {
            return Ok(entry.promise.clone());
        }
        if !self.free() {
            return Err(Busy);
        }
        let (sender, promise) = watch::channel(None);
        let number = self.next.fetch_add(1, Relaxed);
        let entry = Entry { number, want: want.clone(), begun: Instant::now(), patience, promise: promise.clone() };
        entries.push(entry);
        drop(entries);
        self.state.making.fetch_add(1, Relaxed);
        let making = self.pages.begin(&want.selection, want.format, patience);
        let (share, gzip) = (Arc::clone(self), want.gzip);
        let job = Arc::new(Job { share, number, gzip, making, sender: Mutex::new(Some(sender)) });
        // Nobody waits for the task itself: the client may go, others may have joined.
        tokio::spawn(job.see_through(promise.clone()));
        Ok(promise)
    }

    fn suits(&self, entry: &Entry, want: &Want, patience: Duration) -> bool {
        let age = entry.begun.elapsed();
        entry.want == *want
            && if entry.promise.borrow().is_some() {
                age < self.max_age && entry.patience >= patience
            } else {
                // With another patience, the page would be poorer than it could be, or too late.
                age <= self.join && entry.patience == patience && entry.promise.has_changed().is_ok()
            }
    }

    fn forget(&self, number: u64) {
        lock(&self.entries).retain(|entry| entry.number != number);
    }

    /// Makes room for a page that was just finished.
    fn make_room(&self) {
        if self.conns.over() > 0 {
            lock(&self.entries).retain(|entry| entry.promise.borrow().is_none());
        }
        self.conns.make_room();
    }
}

/// A page in the making, on one thread after another until one of them has it.
struct Job {
    share: Arc<Share>,
    number: u64,
    gzip: bool,
    making: Box<dyn Making>,
    /// Until the page is there, or never will be.
    sender: Mutex<Option<watch::Sender<Option<Page>>>>,
}

impl Job {
    /// Sees to it that somebody works on the page until it is there.
    async fn see_through(self: Arc<Self>, mut promise: Promise) {
        loop {
            let job = Arc::clone(&self);
            drop(spawn_blocking(move || job.run()));
            loop {
                match timeout(GLANCE, promise.changed()).await {
                    Ok(_) => return,
                    Err(_) if self.making.is_held_up() => break,
                    Err(_) => {}
                }
            }
        }
    }

    fn run(&self) {
        let made = catch_unwind(AssertUnwindSafe(|| self.making.make()));
        let Ok(page) = made else { return self.end(None) };
        let share = &self.share;
        if let Some(text) = page {
            let page = finish(text, self.gzip, &share.gzip, &share.state);
            share.state.made.fetch_add(1, Relaxed);
            self.end(Some(page));
            share.make_room();
        }
    }

    /// The page is there, or never will be. The first thread that says so is believed.
    fn end(&self, page: Option<Page>) {
        let Some(sender) = lock(&self.sender).take() else { return };
        // The page counts as made before anyone can see it.
        self.share.state.making.fetch_sub(1, Relaxed);
        if page.is_none() || !self.keep(&self.share) {
            self.share.forget(self.number);
        }
        if page.is_some() {
            sender.send_replace(page);
        }
    }

    /// Whether the page stays for the next one who asks, until it is too old.
    fn keep(&self, share: &Arc<Share>) -> bool {
        if share.max_age.is_zero() {
            return false;
        }
        let entries = lock(&share.entries);
        let Some(begun) = entries.iter().find(|entry| entry.number == self.number).map(|entry| entry.begun) else {
            return false;
        };
        let rest = share.max_age.saturating_sub(begun.elapsed());
        if rest.is_zero() || entries.iter().filter(|entry| entry.promise.borrow().is_some()).count() >= KEPT_MAX {
            return false;
        }
        let (share, number) = (Arc::clone(share), self.number);
        Handle::current().spawn(async move {
            sleep(rest).await;
            share.forget(number);
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
