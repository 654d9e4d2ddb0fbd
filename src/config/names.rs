//! The words of node_exporter: what is the same here under another name, what has no effect, what is refused and why.

use super::keys::{Key, Meaning};
use collectors::Spec;

/// Every collector that node_exporter ever had, on any system. Turning one off is always right.
const COLLECTORS: &[&str] = &[
    "arp",
    "attributes",
    "bcache",
    "bcachefs",
    "bonding",
    "boottime",
    "btrfs",
    "buddyinfo",
    "cgroups",
    "conntrack",
    "cpu",
    "cpu_vulnerabilities",
    "cpufreq",
    "devstat",
    "diskstats",
    "dmi",
    "dmmultipath",
    "drbd",
    "drm",
    "edac",
    "entropy",
    "ethtool",
    "exec",
    "fibrechannel",
    "filefd",
    "filesystem",
    "gmond",
    "hwmon",
    "infiniband",
    "interrupts",
    "ipvs",
    "kernel_hung",
    "ksmd",
    "lastlogin",
    "lnstat",
    "loadavg",
    "logind",
    "mdadm",
    "megacli",
    "meminfo",
    "meminfo_numa",
    "mountstats",
    "netclass",
    "netdev",
    "netisr",
    "netstat",
    "network_route",
    "nfs",
    "nfsd",
    "ntp",
    "nvme",
    "nvmesubsystem",
    "os",
    "partition",
    "pcidevice",
    "perf",
    "powersupplyclass",
    "pressure",
    "processes",
    "qdisc",
    "rapl",
    "runit",
    "schedstat",
    "selinux",
    "slabinfo",
    "sockstat",
    "softirqs",
    "softnet",
    "stat",
    "supervisord",
    "swap",
    "sysctl",
    "systemd",
    "tapestats",
    "tcpstat",
    "textfile",
    "thermal",
    "thermal_zone",
    "time",
    "timex",
    "udp_queues",
    "uname",
    "vmstat",
    "watchdog",
    "wifi",
    "xfrm",
    "xfs",
    "zfs",
    "zoneinfo",
];

/// The options that a collector of node_exporter ever had.
#[derive(Debug)]
pub(super) struct Theirs {
    /// The word between the dots; for some not the collector's own.
    pub(super) collector: &'static str,
    /// Those that take a value.
    pub(super) valued: &'static [&'static str],
    /// Those that are set or unset.
    pub(super) switches: &'static [&'static str],
}

/// All options of node_exporter's collectors, outdated ones and those that its help does not tell included.
pub(super) static OPTIONS: &[Theirs] = &[
    options("arp", &["device-include", "device-exclude"], &["netlink"]),
    options("bcache", &[], &["priorityStats"]),
    options("cpu", &["info.flags-include", "info.bugs-include"], &["guest", "info"]),
    options("diskstats", &["device-include", "device-exclude", "ignored-devices"], &[]),
    options("ethtool", &["device-include", "device-exclude", "metrics-include"], &[]),
    options(
        "filesystem",
        &[
            "mount-points-include",
            "mount-points-exclude",
            "fs-types-include",
            "fs-types-exclude",
            "ignored-mount-points",
            "ignored-fs-types",
            "mount-timeout",
            "stat-workers",
        ],
        &[],
    ),
    options("hwmon", &["chip-include", "chip-exclude", "sensor-include", "sensor-exclude"], &[]),
    options("infiniband", &["device-include", "device-exclude"], &[]),
    options("interrupts", &["name-include", "name-exclude"], &["include-zeros"]),
    options("ipvs", &["backend-labels"], &[]),
    options("megacli", &["command"], &[]),
    options("netclass", &["ignored-devices"], &["ignore-invalid-speed", "netlink"]),
    options("netclass_rtnl", &[], &["with-stats"]),
    options(
        "netdev",
        &["device-include", "device-exclude", "device-whitelist", "device-blacklist", "ignored-devices"],
        &["address-info", "enable-detailed-metrics", "netlink", "label-ifalias"],
    ),
    options("netstat", &["fields"], &[]),
    options(
        "ntp",
        &["server", "server-port", "protocol-version", "ip-ttl", "max-distance", "local-offset-tolerance"],
        &["server-is-local"],
    ),
    options("pcidevice", &["idsfile"], &["names"]),
    options(
        "perf",
        &["cpus", "tracepoint", "hardware-profilers", "software-profilers", "cache-profilers"],
        &["disable-hardware-profilers", "disable-software-profilers", "disable-cache-profilers"],
    ),
    options("powersupply", &["ignored-supplies"], &[]),
    options("qdisc", &["device-include", "device-exclude", "fixtures"], &[]),
    options("qdisk", &["device-include", "device-exclude"], &[]),
    options("rapl", &[], &["enable-zone-label"]),
    options("runit", &["servicedir"], &[]),
    options("slabinfo", &["slabs-include", "slabs-exclude"], &[]),
    options("stat", &[], &["softirq"]),
    options("supervisord", &["url"], &[]),
    options("sysctl", &["include", "include-info"], &[]),
    options(
        "systemd",
        &["unit-include", "unit-exclude", "unit-whitelist", "unit-blacklist"],
        &["private", "enable-task-metrics", "enable-restarts-metrics", "enable-start-time-metrics"],
    ),
    options("tapestats", &["ignored-devices"], &[]),
    options("textfile", &["directory"], &[]),
    options("vmstat", &["fields"], &[]),
    options("wifi", &["fixtures"], &[]),
];

const fn options(
    collector: &'static str,
    valued: &'static [&'static str],
    switches: &'static [&'static str],
) -> Theirs {
    Theirs { collector, valued, switches }
}

/// The options of collectors that are not here, and whether each is a switch. They tell nobody anything: only turning such
/// a collector on is refused.
pub(super) fn of_absent(keys: &[Key]) -> Vec<(String, bool)> {
    let is_here = |word: &str| {
        let is_key = |name: &str| keys.iter().any(|key| key.name == name);
        is_key(word)
            || RENAMED.iter().any(|renamed| renamed.word == word && is_key(renamed.key))
            || WITHOUT_EFFECT.iter().any(|foreign| foreign.word == word)
    };
    let words = OPTIONS.iter().flat_map(|of| {
        let word = |name: &&str| format!("collector.{}.{name}", of.collector);
        let valued = of.valued.iter().map(move |name| (word(name), false));
        valued.chain(of.switches.iter().map(move |name| (word(name), true)))
    });
    let of_ours = |word: &str| {
        keys.iter().any(|key| key.meaning == Meaning::Switch && word.starts_with(&format!("{}.", key.name)))
    };
    words.filter(|(word, _)| !is_here(word) && !of_ours(word)).collect()
}

/// Why the option of a collector that is not here does nothing.
pub(super) const NOTHING_TO_TELL: &str = "its collector is not part of this wholenode";

/// The collectors of node_exporter that are not among `specs`.
pub(super) fn absent(specs: &[&'static Spec]) -> impl Iterator<Item = &'static str> {
    COLLECTORS.iter().copied().filter(|name| specs.iter().all(|spec| spec.name != *name))
}

/// The line for a collector that is not here.
pub(super) fn not_here(name: &str) -> String {
    format!("collector {name} is not part of this wholenode; leave it out, or see `wholenode metrics` for what is")
}

/// What is wrong with a word that is no key.
pub(super) fn unknown(specs: &[&'static Spec], word: &str) -> String {
    let Some(rest) = word.strip_prefix("no-").unwrap_or(word).strip_prefix("collector.") else {
        return "no such setting; `wholenode options` lists all".to_owned();
    };
    let (collector, option) = rest.split_once('.').unwrap_or((rest, ""));
    if specs.iter().any(|spec| spec.name == collector) {
        format!("collector {collector} has no option {option}; `wholenode options` lists what it has")
    } else if COLLECTORS.contains(&collector) {
        not_here(collector)
    } else {
        format!("there is no collector {collector}; `wholenode options` lists all")
    }
}

/// A flag that goes by another name here.
#[derive(Debug)]
pub(super) struct Renamed {
    /// node_exporter's word.
    pub(super) word: &'static str,
    /// The key that it stands for.
    pub(super) key: &'static str,
    /// Whether node_exporter itself calls the word outdated.
    pub(super) is_old: bool,
}

/// The flags that go by another name here.
pub(super) static RENAMED: &[Renamed] = &[
    old("collector.diskstats.ignored-devices", "collector.diskstats.device-exclude"),
    old("collector.filesystem.ignored-mount-points", "collector.filesystem.mount-points-exclude"),
    old("collector.filesystem.ignored-fs-types", "collector.filesystem.fs-types-exclude"),
    old("collector.netdev.device-whitelist", "collector.netdev.device-include"),
    old("collector.netdev.device-blacklist", "collector.netdev.device-exclude"),
    old("collector.netdev.ignored-devices", "collector.netdev.device-exclude"),
    old("collector.qdisk.device-include", "collector.qdisc.device-include"),
    old("collector.qdisk.device-exclude", "collector.qdisc.device-exclude"),
    old("collector.systemd.unit-whitelist", "collector.systemd.unit-include"),
    old("collector.systemd.unit-blacklist", "collector.systemd.unit-exclude"),
    old("web.config", "web.config.file"),
    other("collector.bcache.priorityStats", "collector.bcache.priority-stats"),
    other("collector.powersupply.ignored-supplies", "collector.powersupplyclass.ignored-supplies"),
];

const fn other(word: &'static str, key: &'static str) -> Renamed {
    Renamed { word, key, is_old: false }
}

const fn old(word: &'static str, key: &'static str) -> Renamed {
    Renamed { word, key, is_old: true }
}

/// A flag that can't be honoured.
#[derive(Debug)]
pub(super) struct Foreign {
    /// node_exporter's word.
    pub(super) word: &'static str,
    /// Whether it is given without a value.
    pub(super) is_switch: bool,
    /// Why, and what to do instead.
    pub(super) why: &'static str,
}

/// Flags that only tune how node_exporter works: they are taken, with a warning.
pub(super) static WITHOUT_EFFECT: &[Foreign] = &[
    valued("runtime.gomaxprocs", "there is no Go runtime here; limit the CPU time by the unit or the container"),
    switch("collector.arp.netlink", "wholenode chooses the source itself"),
    switch("collector.netclass.netlink", "wholenode chooses the source itself"),
    switch("collector.netclass_rtnl.with-stats", "the collector netdev counts what every device carries"),
    valued("collector.filesystem.stat-workers", "a stuck mount holds up no other here"),
    valued("collector.filesystem.mount-timeout", "a stuck mount holds up no other here"),
    valued("collector.qdisc.fixtures", "it serves node_exporter's own tests; wholenode asks the kernel"),
    valued("collector.wifi.fixtures", "it serves node_exporter's own tests; wholenode asks the kernel"),
];

/// Flags whose absence would surprise: they stop the start. An empty value, or the negation, asks for nothing and is taken.
pub(super) static REFUSED: &[Foreign] = &[
    switch("web.systemd-socket", "wholenode opens its sockets itself; name them with --web.listen-address"),
    valued("collectors.enabled", "name each one: --collector.disable-defaults --collector.NAME …"),
];

const fn valued(word: &'static str, why: &'static str) -> Foreign {
    Foreign { word, is_switch: false, why }
}

const fn switch(word: &'static str, why: &'static str) -> Foreign {
    Foreign { word, is_switch: true, why }
}
