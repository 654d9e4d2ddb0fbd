//! HTTP: pages, filters, landing page, limits.
//!
//! A few equal threads wait for events, and whichever gets one does all that follows from it, up to making a page
//! (collecting, encoding, compressing). Nothing a client does or leaves undone holds anything for longer than [`Limits`]
//! says, and no collector that hangs holds more than the thread it hangs on.

mod accept;
mod alarm;
mod answer;
mod bind;
mod conn;
mod conns;
mod gate;
mod guard;
mod http2;
mod hub;
mod landing;
mod listen;
mod negotiate;
mod promise;
mod query;
mod routes;
mod settings;
mod share;
mod speak;
mod state;
#[cfg(test)]
mod tests;
mod threads;
mod tls;
pub mod web;

pub use accept::{Running, start};
pub use bind::{Bound, bind};
pub use gate::Gate;
pub use listen::Listen;
pub use settings::{GroupPage, Limits, Settings};
pub use state::{CODES, Figures, State};

use crate::encode::{Format, Page};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Which collectors a request means: their numbers in the engine, in rising order.
pub type Selection = Arc<[usize]>;

/// Where the pages come from.
pub trait Pages: Send + Sync + 'static {
    /// Which collectors a request means. It must not wait for anything.
    ///
    /// # Errors
    /// One sentence for the client: the filter names something that is not there.
    fn select(&self, group: Option<&str>, collect: &[String], exclude: &[String]) -> Result<Selection, String>;

    /// Begins a page that shows what is there now, packed by gzip if that is worth it. It must not wait for anything either.
    fn begin(&self, selection: &Selection, format: Format, gzip: bool, patience: Duration) -> Box<dyn Making>;
}

/// A page that was asked for.
pub trait Making: Send + Sync {
    /// Makes the page on this thread, which may take as long as its patience; `None` if it is no longer this thread's.
    fn make(&self) -> Option<Page>;

    /// Whether the thread that makes it is held up, and has to be replaced by another one. Told once for each.
    fn is_held_up(&self) -> bool;
}

/// The data behind a lock. Nothing panics while holding one here, and if it did, the data would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
