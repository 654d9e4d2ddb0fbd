//! Jetson boards: what Tegra's own drivers tell.

pub mod board;
pub mod devfreq;
pub mod fan;
pub mod rails;
pub mod temperatures;
