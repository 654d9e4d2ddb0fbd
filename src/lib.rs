//! The house.

pub mod serve;
