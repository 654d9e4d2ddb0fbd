//! The machine itself, under node_exporter's names.

pub mod bcache;
pub mod bcachefs;
pub mod btrfs;
pub mod cpu;
pub mod diskstats;
pub mod dmmultipath;
pub mod drbd;
pub mod filesystem;
pub mod hwmon;
pub mod loadavg;
pub mod mdadm;
pub mod meminfo;
pub mod mountstats;
pub mod netdev;
pub mod nfs;
pub mod nfsd;
pub mod pressure;
pub mod softnet;
pub mod stat;
pub mod textfile;
pub mod time;
pub mod uname;
pub mod xfs;
pub mod zfs;
