//! What must be there for a collector to have anything to say.

/// What the collector needs, where it is absent; `None` for what every Linux has.
pub(super) fn of(collector: &str) -> Option<&'static str> {
    NEEDS.iter().find(|(name, _)| *name == collector).map(|(_, needs)| *needs)
}

const NEEDS: &[(&str, &str)] = &[
    ("bcache", "the module bcache, and a cache"),
    ("bcachefs", "a mounted bcachefs"),
    ("board", "a Jetson board"),
    ("bonding", "the module bonding, and a bond of interfaces"),
    ("btrfs", "a mounted btrfs"),
    ("buddyinfo", "CONFIG_COMPACTION or another reason for the kernel to have /proc/buddyinfo"),
    ("cgroups", "CONFIG_CGROUPS"),
    ("conntrack", "the module nf_conntrack, which the first firewall rule that tracks connections loads"),
    ("cpu_vulnerabilities", "Linux 4.15"),
    ("cpufreq", "a driver that scales the CPUs' frequency; virtual machines have none"),
    ("devfreq", "a Jetson board"),
    ("dmi", "firmware with DMI tables; most ARM boards have none"),
    ("dmmultipath", "a multipath device, made by multipathd"),
    ("drbd", "the module drbd"),
    ("drm", "a graphics card whose driver tells of it"),
    ("edac", "ECC memory, and the driver of its controller"),
    ("emc", "a Jetson board"),
    ("engines", "a Jetson board"),
    ("fan", "a Jetson board"),
    ("fibrechannel", "a Fibre Channel adapter, and its driver"),
    ("free_block", "a Jetson board"),
    ("hwmon", "drivers of sensors such as coretemp or nct6775; virtual machines have none"),
    ("infiniband", "an InfiniBand or RoCE adapter, and its driver"),
    ("ipvs", "the module ip_vs"),
    ("jetson_clocks", "a Jetson board"),
    ("jetson_stats", "a Jetson board"),
    ("kernel_hung", "Linux 6.13 with CONFIG_DETECT_HUNG_TASK"),
    ("ksmd", "CONFIG_KSM"),
    ("lnstat", "the modules whose statistics are in /proc/net/stat"),
    ("logind", "systemd-logind, and the socket of D-Bus: in a container, mount /run/dbus/system_bus_socket"),
    ("mdadm", "the module md_mod, and a software RAID"),
    ("meminfo_numa", "CONFIG_NUMA"),
    ("mountstats", "a mounted NFS"),
    ("nfs", "the module nfs, which the first mount loads"),
    ("nfsd", "the module nfsd, which the server loads"),
    ("nvmap", "a Jetson board"),
    ("nvme", "an NVMe drive"),
    ("nvmesubsystem", "an NVMe drive with several paths, and nvme_core.multipath=Y"),
    ("nvpmodel", "a Jetson board"),
    ("os", "/etc/os-release or /usr/lib/os-release below --path.rootfs"),
    ("overcurrent", "a Jetson board"),
    ("pcidevice", "a PCI bus"),
    ("powersupplyclass", "a battery or mains adapter that the kernel knows of"),
    ("pressure", "Linux 4.20 with CONFIG_PSI; where it is built with CONFIG_PSI_DEFAULT_DISABLED, psi=1 at boot"),
    ("rails", "a Jetson board"),
    ("rapl", "a driver of energy counters such as intel_rapl_msr; virtual machines have none"),
    ("schedstat", "CONFIG_SCHEDSTATS"),
    ("selinux", "a kernel that runs SELinux"),
    ("slabinfo", "CONFIG_SLUB_DEBUG"),
    ("swap", "a swap device or file"),
    ("sysctl", "names to read: --collector.sysctl.include"),
    ("systemd", "systemd as process 1, and the socket of D-Bus: in a container, mount /run/dbus/system_bus_socket"),
    ("tapestats", "a SCSI tape drive"),
    ("tegra_gpu", "a Jetson board"),
    ("temperatures", "a Jetson board"),
    ("thermal_zone", "CONFIG_THERMAL, and a driver with zones; virtual machines have none"),
    ("watchdog", "a watchdog, and CONFIG_WATCHDOG_SYSFS"),
    ("wifi", "a wireless interface"),
    ("xfrm", "CONFIG_XFRM_STATISTICS"),
    ("xfs", "a mounted XFS"),
    ("zfs", "the module zfs"),
    ("zram", "a Jetson board"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_read_on_from_needs() {
        assert!(NEEDS.is_sorted_by(|one, other| one.0 < other.0));
        assert!(NEEDS.iter().all(|(_, needs)| !needs.ends_with('.')));
        assert_eq!((of("loadavg"), of("bcachefs")), (None, Some("a mounted bcachefs")));
    }
}
