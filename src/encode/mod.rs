//! Snapshot → bytes. Pure: what goes in decides what comes out.

mod form;
mod gzip;
pub mod otlp;
mod page;
mod text;
mod wire;

pub use gzip::Gzip;
pub use page::Page;
pub use text::Text;

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}
