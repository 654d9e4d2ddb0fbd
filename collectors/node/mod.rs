//! The machine itself, under node_exporter's names.

pub mod loadavg;
pub mod textfile;
