//! OTLP: what is pushed, when, where to, and what waits meanwhile.

// Until something pushes.
#[allow(dead_code, unused_imports)]
mod transport;
pub mod spool;
pub mod time;
