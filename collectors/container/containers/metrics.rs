//! What is told of a cgroup: one row for each family, under the names of cAdvisor and of the kubelet's page.

use crate::model::{Batch, Entity, Family, Value, counter, gauge};

/// Declares [`Metric`] and its families.
macro_rules! metrics {
    ($($metric:ident = $kind:ident $name:literal [$($label:literal)*] $help:literal)*) => {
        /// A family that may be told of a cgroup.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Metric { $($metric),* }

        const COUNT: usize = [$(stringify!($metric)),*].len();

        /// The families, in the order of [`Metric`].
        static TABLE: [Family; COUNT] = [$($kind($name, $help, &[
            "id", "name", "image", "namespace", "pod", "container", "pod_name", "container_name", "systemd_service_name",
            $($label),*
        ])),*];
    };
}

metrics! {
    CpuUsage = counter "container_cpu_usage_seconds_total" ["cpu"]
        "Processor time used, in seconds, from cpu.stat or cpuacct.usage."
    CpuUser = counter "container_cpu_user_seconds_total" []
        "Processor time used outside of the kernel, in seconds, from cpu.stat or cpuacct.stat."
    CpuSystem = counter "container_cpu_system_seconds_total" []
        "Processor time used in the kernel, in seconds, from cpu.stat or cpuacct.stat."
    SchedRun = counter "container_cpu_schedstat_run_seconds_total" []
        "How long the first threads of its processes have run, in seconds, from /proc/PID/schedstat."
    SchedRunqueue = counter "container_cpu_schedstat_runqueue_seconds_total" []
        "How long the first threads of its processes have waited for a processor, in seconds, from /proc/PID/schedstat."
    SchedPeriods = counter "container_cpu_schedstat_run_periods_total" []
        "How often the first threads of its processes were put on a processor, from /proc/PID/schedstat."
    CfsPeriods = counter "container_cpu_cfs_periods_total" []
        "How many periods of the quota of processor time have passed while there was something to run, from cpu.stat."
    CfsThrottledPeriods = counter "container_cpu_cfs_throttled_periods_total" []
        "How many of the periods ended with the quota used up, from cpu.stat."
    CfsThrottledSeconds = counter "container_cpu_cfs_throttled_seconds_total" []
        "How long something that was ready to run had to wait for the next period, in seconds, from cpu.stat."
    CfsBurstPeriods = counter "container_cpu_cfs_burst_periods_total" []
        "In how many of the periods saved processor time was used beyond the quota, from cpu.stat."
    CfsBurstSeconds = counter "container_cpu_cfs_burst_seconds_total" []
        "Saved processor time that was used beyond the quota, in seconds, from cpu.stat."
    MemoryUsage = gauge "container_memory_usage_bytes" []
        "Memory in use, in bytes, the page cache included, from memory.current or memory.usage_in_bytes."
    WorkingSet = gauge "container_memory_working_set_bytes" []
        "Memory in use, in bytes, without file pages that have not been used for long: what can't be taken away with ease."
    MaxUsage = gauge "container_memory_max_usage_bytes" []
        "The most memory that was ever in use, in bytes, from memory.peak or memory.max_usage_in_bytes."
    Cache = gauge "container_memory_cache" []
        "Pages of files and of shared memory, in bytes, from memory.stat."
    Rss = gauge "container_memory_rss" []
        "Anonymous memory, in bytes, from memory.stat."
    MappedFile = gauge "container_memory_mapped_file" []
        "Files that are mapped into memory, in bytes, from memory.stat."
    Swap = gauge "container_memory_swap" []
        "Swap space in use, in bytes, from memory.swap.current or memory.stat."
    KernelUsage = gauge "container_memory_kernel_usage" []
        "Memory that the kernel uses on its behalf, in bytes, from memory.stat or memory.kmem.usage_in_bytes."
    Failcnt = counter "container_memory_failcnt" []
        "How often the limit of memory was hit, from memory.events or memory.failcnt."
    ActiveFile = gauge "container_memory_total_active_file_bytes" []
        "Pages of files that were used of late, in bytes, from memory.stat."
    InactiveFile = gauge "container_memory_total_inactive_file_bytes" []
        "Pages of files that have not been used for long, in bytes, from memory.stat."
    Failures = counter "container_memory_failures_total" ["failure_type" "scope"]
        "Page faults: pgmajfault had to wait for a disk, pgfault counts all; from memory.stat."
    EventsHigh = counter "container_memory_events_high_total" []
        "How often it was slowed down for being above memory.high, from memory.events."
    EventsMax = counter "container_memory_events_max_total" []
        "How often it was about to exceed memory.max, from memory.events."
    FileDirty = gauge "container_memory_file_dirty_bytes" []
        "Pages of files that are still to be written, in bytes, from memory.stat."
    FileWriteback = gauge "container_memory_file_writeback_bytes" []
        "Pages of files that are being written, in bytes, from memory.stat."
    Pgscan = counter "container_memory_pgscan_total" []
        "Pages looked at in search of memory to take away, from memory.stat."
    Pgsteal = counter "container_memory_pgsteal_total" []
        "Pages taken away, from memory.stat."
    RefaultFile = counter "container_memory_workingset_refault_file_total" []
        "Pages of files that were needed again soon after they had been taken away, from memory.stat."
    RefaultAnon = counter "container_memory_workingset_refault_anon_total" []
        "Anonymous pages that were needed again soon after they had been taken away, from memory.stat."
    NumaPages = gauge "container_memory_numa_pages" ["type" "scope" "node"]
        "Pages in use on each memory node, from memory.numa_stat."
    MemoryMigrate = gauge "container_memory_migrate" []
        "1 if its memory moves with it when it is moved to other memory nodes, else 0, from cpuset.memory_migrate."
    OomEvents = counter "container_oom_events_total" []
        "How many of its processes the kernel killed because it was out of memory, from memory.events or memory.oom_control."
    FsReadsBytes = counter "container_fs_reads_bytes_total" ["device"]
        "Read from disks, in bytes, from io.stat or blkio.throttle.io_service_bytes."
    FsWritesBytes = counter "container_fs_writes_bytes_total" ["device"]
        "Written to disks, in bytes, from io.stat or blkio.throttle.io_service_bytes."
    FsReads = counter "container_fs_reads_total" ["device"]
        "How many reads reached disks, from io.stat or blkio.throttle.io_serviced."
    FsWrites = counter "container_fs_writes_total" ["device"]
        "How many writes reached disks, from io.stat or blkio.throttle.io_serviced."
    SectorReads = counter "container_fs_sector_reads_total" ["device"]
        "Read from disks, in sectors of 512 bytes: the bytes of container_fs_reads_bytes_total."
    SectorWrites = counter "container_fs_sector_writes_total" ["device"]
        "Written to disks, in sectors of 512 bytes: the bytes of container_fs_writes_bytes_total."
    ReadsMerged = counter "container_fs_reads_merged_total" ["device"]
        "How many reads were joined to others before they reached the disk, from io_merged_recursive of BFQ or CFQ."
    WritesMerged = counter "container_fs_writes_merged_total" ["device"]
        "How many writes were joined to others before they reached the disk, from io_merged_recursive of BFQ or CFQ."
    ReadSeconds = counter "container_fs_read_seconds_total" ["device"]
        "How long the disk took for its reads, in seconds, from io_service_time_recursive of BFQ or CFQ."
    WriteSeconds = counter "container_fs_write_seconds_total" ["device"]
        "How long the disk took for its writes, in seconds, from io_service_time_recursive of BFQ or CFQ."
    IoTime = counter "container_fs_io_time_seconds_total" ["device"]
        "How long the disk took for all that it had to do for it, in seconds, from io_service_time_recursive of BFQ or CFQ."
    IoCurrent = gauge "container_fs_io_current" ["device"]
        "How many reads and writes wait for the disk, from io_queued_recursive of BFQ or CFQ."
    IoCostUsage = counter "container_fs_io_cost_usage_seconds_total" ["device"]
        "Time of the disk that it was charged for, in seconds, from io.stat where io.cost is on."
    IoCostWait = counter "container_fs_io_cost_wait_seconds_total" ["device"]
        "How long its reads and writes waited for their share of the disk, in seconds, from io.stat where io.cost is on."
    IoCostIndebt = counter "container_fs_io_cost_indebt_seconds_total" ["device"]
        "How long it owed time of the disk, in seconds, from io.stat where io.cost is on."
    IoCostIndelay = counter "container_fs_io_cost_indelay_seconds_total" ["device"]
        "How long it was held up for time of the disk that it owed, in seconds, from io.stat where io.cost is on."
    BlkioDeviceUsage = counter "container_blkio_device_usage_total" ["device" "major" "minor" "operation"]
        "Read from and written to disks, in bytes, by operation, from io.stat or blkio.throttle.io_service_bytes."
    Threads = gauge "container_threads" []
        "How many threads there are in it, from pids.current."
    ThreadsMax = gauge "container_threads_max" []
        "How many threads there may be in it, from pids.max; absent where there is no limit."
    Processes = gauge "container_processes" []
        "How many processes are in it, from cgroup.procs."
    CpuPeriod = gauge "container_spec_cpu_period" []
        "The period of the quota of processor time, in microseconds, from cpu.max or cpu.cfs_period_us."
    CpuQuota = gauge "container_spec_cpu_quota" []
        "Processor time that may be used in each period, in microseconds; absent where there is no limit."
    CpuShares = gauge "container_spec_cpu_shares" []
        "The weight when processor time is scarce, in shares of 1024, from cpu.shares or, converted, cpu.weight."
    MemoryLimit = gauge "container_spec_memory_limit_bytes" []
        "The limit of memory, in bytes, from memory.max or memory.limit_in_bytes; 0 means that there is none."
    MemoryReservation = gauge "container_spec_memory_reservation_limit_bytes" []
        "Memory that is left to it when memory is scarce, in bytes, from memory.low or memory.soft_limit_in_bytes; 0 means none."
    MemorySwapLimit = gauge "container_spec_memory_swap_limit_bytes" []
        "The limit of swap space, in bytes, from memory.swap.max, or with memory from memory.memsw.limit_in_bytes; 0 means none."
    StartTime = gauge "container_start_time_seconds" []
        "When it was started, in seconds since 1970."
    CreationTime = gauge "container_creation_time_seconds" []
        "When it was made, in seconds since 1970, as its runtime tells; else when its cgroup was."
    LastSeen = gauge "container_last_seen" []
        "When it was seen last, in seconds since 1970."
    CpuWaiting = counter "container_pressure_cpu_waiting_seconds_total" []
        "How long some of its tasks waited for a processor, in seconds, from cpu.pressure."
    CpuStalled = counter "container_pressure_cpu_stalled_seconds_total" []
        "How long all of its tasks waited for a processor, in seconds, from cpu.pressure."
    IoWaiting = counter "container_pressure_io_waiting_seconds_total" []
        "How long some of its tasks waited for a disk, in seconds, from io.pressure."
    IoStalled = counter "container_pressure_io_stalled_seconds_total" []
        "How long all of its tasks waited for a disk, in seconds, from io.pressure."
    MemoryWaiting = counter "container_pressure_memory_waiting_seconds_total" []
        "How long some of its tasks waited for memory, in seconds, from memory.pressure."
    MemoryStalled = counter "container_pressure_memory_stalled_seconds_total" []
        "How long all of its tasks waited for memory, in seconds, from memory.pressure."
    HugetlbUsage = gauge "container_hugetlb_usage_bytes" ["pagesize"]
        "Huge pages in use or reserved, in bytes, from the files of hugetlb."
    HugetlbMaxUsage = gauge "container_hugetlb_max_usage_bytes" ["pagesize"]
        "The most huge pages that ever were in use or reserved, in bytes, from the files of hugetlb."
    HugetlbFailcnt = counter "container_hugetlb_failcnt" ["pagesize"]
        "How often the limit of huge pages was hit, from the files of hugetlb."
    NetReceiveBytes = counter "container_network_receive_bytes_total" ["interface"]
        "Received, in bytes, from net/dev of its network namespace."
    NetReceivePackets = counter "container_network_receive_packets_total" ["interface"]
        "How many packets were received, from net/dev of its network namespace."
    NetReceiveErrors = counter "container_network_receive_errors_total" ["interface"]
        "How many packets could not be received, from net/dev of its network namespace."
    NetReceiveDropped = counter "container_network_receive_packets_dropped_total" ["interface"]
        "How many received packets were dropped, from net/dev of its network namespace."
    NetTransmitBytes = counter "container_network_transmit_bytes_total" ["interface"]
        "Sent, in bytes, from net/dev of its network namespace."
    NetTransmitPackets = counter "container_network_transmit_packets_total" ["interface"]
        "How many packets were sent, from net/dev of its network namespace."
    NetTransmitErrors = counter "container_network_transmit_errors_total" ["interface"]
        "How many packets could not be sent, from net/dev of its network namespace."
    NetTransmitDropped = counter "container_network_transmit_packets_dropped_total" ["interface"]
        "How many packets were dropped instead of being sent, from net/dev of its network namespace."
    TcpUsage = gauge "container_network_tcp_usage_total" ["tcp_state"]
        "How many TCP sockets over IPv4 are in each state in its network namespace."
    Tcp6Usage = gauge "container_network_tcp6_usage_total" ["tcp_state"]
        "How many TCP sockets over IPv6 are in each state in its network namespace."
    UdpUsage = gauge "container_network_udp_usage_total" ["udp_state"]
        "UDP sockets over IPv4 in its network namespace: how many there are, what waits in their queues, what was dropped."
    Udp6Usage = gauge "container_network_udp6_usage_total" ["udp_state"]
        "UDP sockets over IPv6 in its network namespace: how many there are, what waits in their queues, what was dropped."
    AdvancedTcp = gauge "container_network_advance_tcp_stats_total" ["tcp_state"]
        "The counters of TCP in its network namespace, from net/netstat and net/snmp."
    FileDescriptors = gauge "container_file_descriptors" []
        "How many files its processes have open, from /proc/PID/fd."
    Sockets = gauge "container_sockets" []
        "How many sockets its processes have open, from /proc/PID/fd."
    Ulimits = gauge "container_ulimits_soft" ["ulimit"]
        "The soft limit of its first process; -1 means that there is none; from /proc/PID/limits."
    FsUsage = gauge "container_fs_usage_bytes" ["device"]
        "What its writable layer takes, in bytes."
    FsLimit = gauge "container_fs_limit_bytes" ["device"]
        "What its writable layer may take, in bytes: its quota, else the size of the filesystem."
    FsInodes = gauge "container_fs_inodes_total" ["device"]
        "How many inodes its writable layer may take: its quota, else those of the filesystem."
    FsInodesFree = gauge "container_fs_inodes_free" ["device"]
        "How many inodes its writable layer may still take."
    WalkAge = gauge "wholenode_container_walk_age_seconds" []
        "How old the figures of its writable layer are, in seconds, where somebody walked through it to know them."
    HealthState = gauge "container_health_state" []
        "What the runtime's probe says: 1 healthy, 0 starting or unhealthy, -1 without a probe."
    Restarts = gauge "container_restart_count" []
        "How often the runtime has started it anew, as the runtime tells."
}

/// The families of [`TABLE`], for the collector's row.
pub(super) const FAMILIES: [&Family; COUNT] = {
    let mut families = [&TABLE[0]; COUNT];
    let mut at = 0;
    while at < COUNT {
        families[at] = &TABLE[at];
        at += 1;
    }
    families
};

/// Which families are told of one kind of cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted(u128);

impl Wanted {
    /// These.
    pub(super) const fn these(metrics: &[Metric]) -> Self {
        let mut wanted = 0;
        let mut at = 0;
        while at < metrics.len() {
            wanted |= 1 << metrics[at] as u128;
            at += 1;
        }
        Self(wanted)
    }

    /// Those whose names pass.
    pub(super) fn named(passes: impl Fn(&str) -> bool) -> Self {
        let bits = TABLE.iter().enumerate().filter(|(_, family)| passes(&family.name));
        Self(bits.fold(0, |wanted, (at, _)| wanted | 1 << at))
    }

    /// The ones and the others.
    pub(super) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether any of these is wanted.
    pub(super) fn any(self, metrics: &[Metric]) -> bool {
        self.0 & Self::these(metrics).0 != 0
    }

    /// Whether nothing is wanted.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What is said of one cgroup.
pub(super) struct Page<'a> {
    /// Where to.
    pub(super) out: &'a mut Batch,
    /// Of whom.
    pub(super) of: Entity,
    /// What.
    pub(super) wanted: Wanted,
}

impl Page<'_> {
    /// Puts a figure, if it is wanted and there is one.
    pub(super) fn put(&mut self, metric: Metric, value: Option<impl Into<Value>>) {
        let of = self.of;
        self.put_of(metric, of, value);
    }

    /// Puts a figure of a part of it.
    pub(super) fn put_of(&mut self, metric: Metric, of: Entity, value: Option<impl Into<Value>>) {
        if self.wanted.0 >> metric as u128 & 1 == 1 {
            self.out.put_some(&TABLE[metric as usize], of, value);
        }
    }
}

const _: () = assert!(COUNT <= 128);
