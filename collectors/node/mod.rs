//! The machine itself, under node_exporter's names.

pub mod arp;
pub mod bonding;
pub mod conntrack;
pub mod cpu;
pub mod filesystem;
pub mod hwmon;
pub mod ipvs;
pub mod lnstat;
pub mod loadavg;
pub mod mdadm;
pub mod meminfo;
pub mod netclass;
pub mod netdev;
pub mod netstat;
pub mod pressure;
pub mod sockstat;
pub mod softnet;
pub mod stat;
pub mod textfile;
pub mod time;
pub mod udp_queues;
pub mod uname;
pub mod xfrm;
