//! HTTP: pages, filters, landing page, limits.

mod listen;

pub use listen::Listen;

use std::sync::Arc;
use std::time::Duration;

/// Which collectors a request means: their numbers in the engine, in rising order.
pub type Selection = Arc<[usize]>;

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

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
