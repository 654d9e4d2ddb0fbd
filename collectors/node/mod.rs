//! The machine itself, under node_exporter's names.

pub mod hwmon;
pub mod loadavg;
pub mod mdadm;
pub mod netdev;
