//! The machine itself, under node_exporter's names.

pub mod cpu;
pub mod ethtool;
pub mod filesystem;
pub mod hwmon;
pub mod loadavg;
pub mod mdadm;
pub mod meminfo;
pub mod netdev;
pub mod network_route;
pub mod pressure;
pub mod qdisc;
pub mod softnet;
pub mod stat;
pub mod tcpstat;
pub mod textfile;
pub mod time;
pub mod timex;
pub mod uname;
pub mod wifi;
