//! The map of the house.

pub mod config;
pub mod encode;
pub mod engine;
pub mod log;
pub mod serve;
