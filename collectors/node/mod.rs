//! The machine itself, under node_exporter's names.

pub mod cpu;
pub mod entropy;
pub mod filefd;
pub mod filesystem;
pub mod hwmon;
pub mod loadavg;
pub mod mdadm;
pub mod meminfo;
pub mod netdev;
pub mod pressure;
pub mod schedstat;
pub mod softnet;
pub mod stat;
pub mod textfile;
pub mod time;
pub mod uname;
pub mod vmstat;
