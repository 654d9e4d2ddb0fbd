//! OTLP: what is pushed, when, and over what.

// Until something pushes.
#[allow(dead_code, unused_imports)]
mod transport;
