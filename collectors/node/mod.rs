//! The machine itself, under node_exporter's names.

pub mod filesystem;
pub mod loadavg;
