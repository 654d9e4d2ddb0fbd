//! The settings of the process, in one table: flags, file, environment, help and reference come from it.

use super::otlp;
use crate::serve::Listen;
use collectors::kit::{Opt, OptKind};

/// The settings but those of pushing, in the order of the help. The part before the first dot is their section.
pub(super) static SETTINGS: &[Opt] = &[
    row(CONFIG_FILE, OptKind::Text, "", "A YAML file; its keys are the words of these flags."),
    row(
        "web.listen-address",
        OptKind::List,
        ":9100",
        "Where to listen: :PORT, ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH.",
    ),
    row(
        WEB_FILE,
        OptKind::Text,
        "",
        "A YAML file as Prometheus' exporter-toolkit has it: TLS, passwords, headers, rate. It is read again when it changes.",
    ),
    row(
        "web.require-tls",
        OptKind::Text,
        "never",
        "Where not to start without TLS: public, on addresses that others can reach; always; never.",
    ),
    row("web.telemetry-path", OptKind::Text, "/metrics", "The path of the page with everything."),
    row(
        "web.max-requests",
        OptKind::Number,
        "40",
        "How many pages are made at a time; those asked for beyond are refused. 0: no limit.",
    ),
    row("web.disable-exporter-metrics", OptKind::Flag, "false", "Leave out what wholenode says about itself."),
    row(
        "web.enable-openmetrics",
        OptKind::Flag,
        "false",
        "Serve OpenMetrics 1.0 to clients that ask for it; others get the Prometheus text format.",
    ),
    row(
        "metrics.include",
        OptKind::Instead("metrics.exclude"),
        "",
        "Serve and push only the metrics whose name this expression finds. Not beside metrics.exclude.",
    ),
    row("metrics.exclude", OptKind::Regex, "", "Leave out the metrics whose name this expression finds."),
    row(DISABLE_DEFAULTS, OptKind::Flag, "false", "Turn every collector off that is not turned on by name."),
    row(
        "containers.cri-socket",
        OptKind::List,
        "",
        "Asks containerd, CRI-O or cri-dockerd who the containers are whose files can't be read: unix:///PATH as this process \
         sees it, or auto for the usual places, below path.rootfs first. Only serve and check ask. \
         Whoever may connect may also start and stop containers; mounting the socket read-only does not change that.",
    ),
    row(
        "containers.docker-socket",
        OptKind::List,
        "",
        "The same from Docker or Podman, and how the containers are that it probes: unix:///PATH, or auto for Docker's.",
    ),
    row("path.procfs", OptKind::Text, "/proc", "Where the machine's procfs is mounted."),
    row("path.sysfs", OptKind::Text, "/sys", "Where the machine's sysfs is mounted."),
    row("path.rootfs", OptKind::Text, "/", "Where the machine's root filesystem is mounted."),
    row("path.udev.data", OptKind::Text, "/run/udev/data", "Where udev keeps its database."),
    row(
        "path.cgroupfs",
        OptKind::Text,
        "",
        "Where the machine's cgroups are mounted; fs/cgroup below path.sysfs if nothing is said.",
    ),
    row(
        "path.calls",
        OptKind::Text,
        "",
        "A folder of recorded system calls, to look at a machine that is not this one.",
    ),
    row("log.level", OptKind::Text, "info", "The least that is logged: debug, info, warn or error."),
    row("log.format", OptKind::Text, "logfmt", "The form of a log line: logfmt or json."),
];

/// The file; the one setting that can't stand in it.
pub(super) const CONFIG_FILE: &str = "config.file";
/// The file of the web configuration.
pub(super) const WEB_FILE: &str = "web.config.file";
/// Turns all collectors off.
pub(super) const DISABLE_DEFAULTS: &str = "collector.disable-defaults";

/// Settings that serve tests: they work, and are told nowhere.
pub(super) const UNTOLD: &[&str] = &["path.calls"];

/// The sections, in the order of the help: the word before the dot, and the title.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("config", "Configuration"),
    ("web", "Web"),
    ("metrics", "Metrics"),
    ("otlp", "Pushing over OTLP"),
    ("collector", "Collectors"),
    ("containers", "Container runtimes"),
    ("path", "Paths"),
    ("log", "Logs"),
];

/// All settings with their names.
pub(super) fn rows() -> impl Iterator<Item = (String, &'static Opt)> {
    SETTINGS.iter().map(|row| (row.name.to_owned(), row)).chain(otlp::rows())
}

/// The settings of a section that the help tells.
pub(super) fn section(word: &str) -> impl Iterator<Item = (String, &'static Opt)> {
    rows().filter(move |(name, _)| name.split('.').next() == Some(word) && !UNTOLD.contains(&name.as_str()))
}

const fn row(name: &'static str, kind: OptKind, default: &'static str, help: &'static str) -> Opt {
    Opt { name, kind, default, help }
}

/// What is logged at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
}

impl Level {
    /// The level of a word.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" => Level::Warn,
            "error" => Level::Error,
            _ => return None,
        })
    }
}

/// Where there has to be TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequireTls {
    /// Nowhere.
    Never,
    /// On every address but those of this machine alone.
    Public,
    /// On every address, sockets in the filesystem included.
    Always,
}

impl RequireTls {
    /// The meaning of a word.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "never" => RequireTls::Never,
            "public" => RequireTls::Public,
            "always" => RequireTls::Always,
            _ => return None,
        })
    }

    /// Whether an address needs it.
    pub fn wants(self, listen: &Listen) -> bool {
        match (self, listen) {
            (RequireTls::Never, _) => false,
            (RequireTls::Always, _) | (RequireTls::Public, Listen::Any(_)) => true,
            (RequireTls::Public, Listen::Unix(_)) => false,
            (RequireTls::Public, Listen::Address(address)) => !address.ip().to_canonical().is_loopback(),
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value …`.
    Logfmt,
    /// One JSON object.
    Json,
}

impl LogFormat {
    /// The form of a word.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "logfmt" => LogFormat::Logfmt,
            "json" => LogFormat::Json,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_section() {
        let told: usize = SECTIONS.iter().map(|(word, _)| section(word).count()).sum();
        assert_eq!(told + UNTOLD.len(), rows().count());
    }
}
