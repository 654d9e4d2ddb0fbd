//! HTTP: pages, filters, landing page, limits.

mod listen;

pub use listen::Listen;

use crate::encode::Format;
use std::sync::Arc;
use std::time::Duration;

/// Which collectors a request means: their numbers in the engine, in rising order.
pub type Selection = Arc<[usize]>;

/// Where the pages come from.
pub trait Pages: Send + Sync + 'static {
    /// Which collectors a request means.
    ///
    /// # Errors
    /// One sentence for the client: the filter names something that is not there.
    fn select(&self, group: Option<&str>, collect: &[String], exclude: &[String]) -> Result<Selection, String>;

    /// The page, made now. It may take as long as `patience`, so it is never called on the runtime's thread.
    fn render(&self, selection: &Selection, format: Format, patience: Duration) -> Vec<u8>;
}
