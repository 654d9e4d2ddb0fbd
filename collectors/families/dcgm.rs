//! Of a GPU, under dcgm-exporter's names and in its units.

use crate::model::{Family, gauge};

/// What is told of each GPU.
pub const GPU: &[&str; 3] = &["gpu", "modelName", "Hostname"];

/// Percent.
pub static GPU_UTIL: Family =
    gauge("DCGM_FI_DEV_GPU_UTIL", "Share of the last moments in which the GPU was busy, in percent.", GPU);
/// Degrees Celsius.
pub static GPU_TEMP: Family = gauge("DCGM_FI_DEV_GPU_TEMP", "Temperature of the GPU, in degrees Celsius.", GPU);
/// Megahertz.
pub static SM_CLOCK: Family = gauge("DCGM_FI_DEV_SM_CLOCK", "Clock of the GPU, in megahertz.", GPU);
/// Watts.
pub static POWER_USAGE: Family = gauge("DCGM_FI_DEV_POWER_USAGE", "Power of the GPU, in watts.", GPU);
