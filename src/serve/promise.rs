//! A page to come, and those who wait for it.
//!
//! A page that is finished wakes exactly the connections that wait. Their deadlines cost nothing: whoever looks after
//! the page wakes them when they are due.

use super::lock;
use super::share::Page;
use std::future::poll_fn;
use std::mem;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Why there is no page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// There will never be one.
    Failed,
    /// It is too late for one.
    Late,
}

/// A page to come.
#[derive(Debug)]
pub(super) struct Promise(Mutex<Now>);

#[derive(Debug)]
enum Now {
    Awaited(Vec<(Instant, Waker)>),
    Made(Page),
    Failed,
}

impl Promise {
    pub(super) fn new() -> Self {
        Promise(Mutex::new(Now::Awaited(Vec::new())))
    }

    pub(super) fn is_made(&self) -> bool {
        matches!(*lock(&self.0), Now::Made(_))
    }

    pub(super) fn is_awaited(&self) -> bool {
        matches!(*lock(&self.0), Now::Awaited(_))
    }

    /// The page, or that there will be none. Only what comes first counts.
    pub(super) fn keep(&self, page: Option<Page>) {
        let mut now = lock(&self.0);
        if let Now::Awaited(waiting) = &mut *now {
            let waiting = mem::take(waiting);
            *now = page.map_or(Now::Failed, Now::Made);
            drop(now);
            waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    /// Wakes those who have waited long enough.
    pub(super) fn remind(&self) {
        let late = Instant::now();
        if let Now::Awaited(waiting) = &mut *lock(&self.0) {
            waiting.extract_if(.., |(until, _)| *until <= late).for_each(|(_, waker)| waker.wake());
        }
    }

    /// The page, if it is there in time. Needs somebody who calls [`Promise::remind`] now and then.
    pub(super) async fn wait(&self, until: Instant) -> Result<Page, Missed> {
        poll_fn(|cx| self.poll(cx, until)).await
    }

    fn poll(&self, cx: &Context<'_>, until: Instant) -> Poll<Result<Page, Missed>> {
        match &mut *lock(&self.0) {
            Now::Made(page) => Poll::Ready(Ok(page.clone())),
            Now::Failed => Poll::Ready(Err(Missed::Failed)),
            Now::Awaited(_) if until <= Instant::now() => Poll::Ready(Err(Missed::Late)),
            Now::Awaited(waiting) => {
                // A connection polls everything it has whenever anything happens to it.
                if !waiting.iter().any(|(due, waker)| *due == until && waker.will_wake(cx.waker())) {
                    waiting.push((until, cx.waker().clone()));
                }
                Poll::Pending
            }
        }
    }
}
