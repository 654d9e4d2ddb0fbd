//! The machine itself, under node_exporter's names.

pub mod cpu;
pub mod cpu_vulnerabilities;
pub mod cpufreq;
pub mod drm;
pub mod edac;
pub mod fibrechannel;
pub mod filesystem;
pub mod hwmon;
pub mod infiniband;
pub mod loadavg;
pub mod mdadm;
pub mod meminfo;
pub mod netdev;
pub mod nvme;
pub mod nvmesubsystem;
pub mod powersupplyclass;
pub mod pressure;
pub mod rapl;
pub mod softnet;
pub mod stat;
pub mod tapestats;
pub mod textfile;
pub mod thermal_zone;
pub mod time;
pub mod uname;
pub mod watchdog;
