//! Measured energy: where it went, and who used it.

// The group is called after its page, and the collector after what it reads.
#[allow(clippy::module_inception)]
pub mod power;
