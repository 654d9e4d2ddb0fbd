//! OTLP: what is pushed, when, where to, and what waits meanwhile.

pub mod spool;
pub mod time;
