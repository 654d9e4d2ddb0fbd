//! The machine itself, under node_exporter's names.

pub mod cpu;
pub mod loadavg;
pub mod meminfo;
pub mod pressure;
pub mod softnet;
pub mod stat;
pub mod time;
pub mod uname;
