//! The house.

pub mod config;
pub mod serve;
