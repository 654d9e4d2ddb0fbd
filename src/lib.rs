//! The house.

pub mod encode;
pub mod serve;
