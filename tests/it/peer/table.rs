//! What may differ between node_exporter and us, and why; what is asked of both.

/// A difference that is meant.
pub(super) struct Exception {
    /// The machine; empty: all of them; `live`: this one.
    pub(super) on: &'static str,
    /// Only beside node_exporters that are older than the time when they asked netlink for neighbours (1.7).
    pub(super) old: bool,
    /// How the series begins, written as in [`super::Page`]; what follows a `*` comes somewhere later.
    pub(super) series: &'static str,
}

const fn meant(on: &'static str, series: &'static str, _why: &str) -> Exception {
    Exception { on, old: false, series }
}

const fn meant_beside_old(on: &'static str, series: &'static str, _why: &str) -> Exception {
    Exception { on, old: true, series }
}

pub(super) const EXCEPTIONS: &[Exception] = &[
    meant("", "go_", "its own run time"),
    meant("", "promhttp_", "its own server"),
    meant("", "process_", "its own process"),
    meant("", "node_exporter_build_info", "its own build"),
    meant("", "node_scrape_collector_duration_seconds", "its own time"),
    meant(
        "live",
        "node_processes_state{",
        "a state that no process is in has no series: the exporter asked is itself in R",
    ),
    meant("live", "node_processes_threads_state{", "likewise"),
    meant("live", "node_tcp_connection_states{", "the scrape's own connection counts while it lasts"),
    meant(
        "",
        "node_scrape_collector_success",
        "0 there also where a machine has no such thing, and where one file of many can't be read",
    ),
    meant("", "node_time_seconds", "the clock of a tree is calls/clock, and that of this machine goes on"),
    meant("", "node_time_zone_offset_seconds", "the zone is that of the machine, not of the process"),
    meant(
        "",
        "node_thermal_zone_temp",
        "a zone that can't be read, or says less than absolute zero, is 0 °C there or what it says",
    ),
    meant("laptop", "node_btrfs_device_", "over a tree it has nobody to ask by ioctl; we have calls/btrfs"),
    meant("nas", "node_btrfs_device_", "over a tree it has nobody to ask by ioctl; we have calls/btrfs"),
    meant(
        "nano",
        "node_softnet_",
        "4.9 prints a line for each CPU that is on, without its number: there they are counted through",
    ),
    meant("laptop", "node_interrupts_total", "columns are counted through there, whichever CPUs they are of"),
    meant("nano", "node_interrupts_total", "columns are counted through there, whichever CPUs they are of"),
    meant(
        "",
        "node_bcache_btree_read_average_duration_seconds",
        "the kernel tells microseconds, taken for nanoseconds there",
    ),
    meant("nas", r#"node_md_degraded{device="md127"}"#, "an array that is not active has no such file: it is 0 there"),
    meant(
        "nfsclient",
        "node_hwmon_humidity",
        "the kernel tells thousandths of a percent: it is a tenth of the ratio there",
    ),
    meant("nfsclient", "node_mountstats_nfs_transport_", "counts that a transport does not have are 0 there"),
    meant(
        "nfsclient",
        r#"node_nfs_requests_total{method="GetDeviceInfo""#,
        "taken for its neighbour in the kernel's list",
    ),
    meant("nfsclient", r#"node_nfs_requests_total{method="LayoutGet""#, "taken for its neighbour in the kernel's list"),
    meant("server", "node_drbd_network_received_bytes_total", "the kernel tells KiB, taken for bytes there"),
    meant("server", "node_infiniband_lifespan_seconds", "whole seconds of the kernel's milliseconds there"),
    meant("vm", "node_ipvs_backend_", "the backend of an SCTP service is the last TCP service's there"),
    meant_beside_old("laptop", r#"node_cpu_*cpu="3""#, "a CPU that is off had zeros"),
    meant_beside_old("nano", r#"node_cpu_*cpu="2""#, "a CPU that is off had zeros"),
    meant_beside_old("tx2", r#"node_cpu_*cpu="1""#, "a CPU that is off had zeros"),
    meant_beside_old("tx2", r#"node_cpu_*cpu="2""#, "a CPU that is off had zeros"),
    meant_beside_old("laptop", "node_softnet_", "CPUs were counted through, also those that are off"),
    meant_beside_old("", r#"node_disk_*device="zram"#, "devices in memory are left out since"),
    meant_beside_old("nas", "node_hwmon_", "two sensors of one device have names of their own since"),
    meant_beside_old("nfsclient", "node_hwmon_", "two sensors of one device have names of their own since"),
    meant_beside_old("nas", "node_btrfs_allocation_ratio", "profiles with three copies were not known"),
    meant_beside_old("nas", r#"node_md_*device="md4""#, "a reshape was not known"),
    meant_beside_old(
        "server",
        r#"node_disk_info{device="sde""#,
        "the serial number that a disk itself tells came later",
    ),
    meant_beside_old(
        "server",
        "node_nfsd_requests_total",
        "a list longer than the known one was read from another place",
    ),
    meant_beside_old("server", r#"node_zfs_zpool_dataset_*dataset="tank/home""#, "a dataset's name ended at a blank"),
];

/// Collectors whose answer is no file: node_exporter asks this machine, also over a tree.
pub(super) const LIVE: &[&str] = &[
    "ethtool",
    "filesystem",
    "logind",
    "network_route",
    "ntp",
    "perf",
    "qdisc",
    "runit",
    "selinux",
    "supervisord",
    "systemd",
    "tcpstat",
    "timex",
    "uname",
    "wifi",
];
/// Collectors that ask services over the network, or change what the machine does.
pub(super) const NEVER: &[&str] = &["ntp", "perf", "runit", "supervisord"];
/// What further options both are given, in a second comparison of each tree; those that one of both lacks are left out.
pub(super) const OPTIONS: &[&str] = &[
    "--collector.bcache.priorityStats",
    "--no-collector.cpu.guest",
    "--collector.diskstats.device-exclude=^(ram|loop)",
    "--collector.hwmon.chip-exclude=coretemp",
    "--collector.interrupts.name-exclude=^(NMI|0)$",
    "--collector.netclass.ignored-devices=^(lo|veth.*)$",
    "--collector.netclass.ignore-invalid-speed",
    "--collector.netdev.device-exclude=^(lo|docker|veth)",
    "--collector.netstat.fields=^(Tcp|Ip6?)_",
    "--collector.powersupply.ignored-supplies=^AC$",
    "--collector.rapl.enable-zone-label",
    "--collector.slabinfo.slabs-include=inode",
    "--collector.stat.softirq",
    "--collector.sysctl.include=fs.file-nr",
    "--collector.sysctl.include=net.ipv4.tcp_rmem:min,default,max",
    "--collector.vmstat.fields=^(nr_|pg)",
];
/// Families whose values last from one scrape to the next on a machine that lives.
pub(super) const STILL: &[&str] = &[
    "node_boot_time_seconds",
    "node_cpu_online",
    "node_cpu_scaling_frequency_max_hertz",
    "node_cpu_scaling_frequency_min_hertz",
    "node_entropy_pool_size_bits",
    "node_filefd_maximum",
    "node_filesystem_files",
    "node_filesystem_readonly",
    "node_filesystem_size_bytes",
    "node_memory_HugePages_Total",
    "node_memory_Hugepagesize_bytes",
    "node_memory_MemTotal_bytes",
    "node_memory_SwapTotal_bytes",
    "node_network_iface_id",
    "node_network_mtu_bytes",
    "node_network_protocol_type",
    "node_network_speed_bytes",
    "node_network_transmit_queue_length",
    "node_nf_conntrack_entries_limit",
    "node_time_zone_offset_seconds",
];

pub(super) fn begins(series: &str, pattern: &str) -> bool {
    let (start, later) = pattern.split_once('*').unwrap_or((pattern, ""));
    series.strip_prefix(start).is_some_and(|rest| rest.contains(later))
}

#[test]
fn a_pattern_may_leave_out_what_is_in_the_middle() {
    assert!(begins("a_b{c=\"1\",d=\"2\"}", "a_*d=\"2") && !begins("a_b{c=\"1\"}", "a_*d") && !begins("a{}", "b"));
}
