//! Measured energy: where it went, and who used it.

pub mod power;
