//! The map of the house.

pub mod encode;
pub mod engine;
pub mod log;
pub mod serve;
