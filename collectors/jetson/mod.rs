//! Jetson boards: what Tegra's own drivers tell.

pub mod board;
pub mod devfreq;
pub mod emc;
pub mod engines;
pub mod fan;
pub mod free_block;
pub mod jetson_clocks;
pub mod jetson_stats;
pub mod nvmap;
pub mod nvpmodel;
pub mod overcurrent;
pub mod rails;
pub mod tegra_gpu;
pub mod temperatures;
pub mod zram;
