//! The machine itself, under node_exporter's names.

pub mod btrfs;
pub mod cpu;
pub mod cpufreq;
pub mod diskstats;
pub mod edac;
pub mod filesystem;
pub mod hwmon;
pub mod loadavg;
pub mod mdadm;
pub mod meminfo;
pub mod netdev;
pub mod netstat;
pub mod nvme;
pub mod powersupplyclass;
pub mod pressure;
pub mod rapl;
pub mod sockstat;
pub mod softnet;
pub mod stat;
pub mod textfile;
pub mod thermal_zone;
pub mod time;
pub mod uname;
pub mod watchdog;
pub mod xfs;
pub mod zfs;
