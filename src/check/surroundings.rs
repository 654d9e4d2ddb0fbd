//! Whether it is the machine that is looked at, and not the container that the daemon runs in.

use collectors::kit::{Host, Root};
use std::collections::BTreeSet;

/// Collectors that ask the kernel about the network that they are in. All others read the machine's files.
const OF_OWN_NETWORK: &[&str] = &["ethtool", "network_route", "qdisc", "tcpstat", "wifi"];
/// The first PID namespace has the same number on every Linux.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What is to be said about the surroundings.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) text: String,
    /// Nothing is missing for it that could be had.
    pub(super) is_harmless: bool,
}

/// What is odd about where the machine's trees are looked for, where these collectors are on.
pub(super) fn notes(host: &mut Host, is_live: bool, on: &[&str]) -> Vec<Note> {
    let mut notes = missing(host);
    if is_live {
        let more = [hidden(host), own_processes(host), own_mounts(host)];
        notes.extend(more.into_iter().flatten().map(|text| Note { text, is_harmless: false }));
        notes.extend(own_network(host, on));
    }
    notes
}

/// Trees that are not where they are looked for.
fn missing(host: &mut Host) -> Vec<Note> {
    let trees = [
        (Root::Proc, "path.procfs", "/proc", "stat", false),
        (Root::Sys, "path.sysfs", "/sys", "devices", false),
        (Root::Rootfs, "path.rootfs", "/", "", false),
        (Root::Udev, "path.udev.data", "/run/udev/data", "", true),
    ];
    let mut notes = Vec::new();
    for (root, flag, origin, inside, is_harmless) in trees {
        if host.exists(root, inside) {
            continue;
        }
        let path = if host.root(root).is_empty() { "/" } else { host.root(root) };
        let text = match root {
            Root::Udev => format!("--{flag}={path}: not there; where udev runs, disks lack what it knows of them"),
            _ => format!(
                "--{flag}={path}: not the machine's {origin}; in a container, mount {origin} there, or name where it is"
            ),
        };
        notes.push(Note { text, is_harmless });
    }
    notes
}

/// Process 1 is always there.
fn hidden(host: &mut Host) -> Option<String> {
    let is_hidden = host.exists(Root::Proc, "stat") && !host.exists(Root::Proc, "1/mountinfo");
    is_hidden.then(|| {
        format!(
            "{}/1: hidden; procfs is mounted with hidepid=: be in the group of its gid=, or have CAP_SYS_PTRACE",
            host.root(Root::Proc)
        )
    })
}

/// A container with its own processes sees its own mounts and network under `/proc`.
fn own_processes(host: &mut Host) -> Option<String> {
    let is_own = host.root(Root::Proc) == "/proc"
        && host.link(Root::Proc, "self/ns/pid").is_ok_and(|link| link != FIRST_PID_NAMESPACE);
    is_own.then(|| {
        "--path.procfs=/proc: a container's, not the machine's; mount the machine's /proc elsewhere and name it, or share \
         its processes (hostPID: true, --pid=host)"
            .to_owned()
    })
}

/// The machine's table of mounts, and the container's own tree to look them up in.
fn own_mounts(host: &mut Host) -> Option<String> {
    let is_elsewhere = host.root(Root::Proc) != "/proc" && host.root(Root::Rootfs).is_empty();
    is_elsewhere.then(|| {
        "--path.rootfs=/: the container's, while procfs is the machine's; mount the machine's / elsewhere and name it"
            .to_owned()
    })
}

/// What the kernel tells of the network when asked is that of the network that this process is in.
fn own_network(host: &mut Host, on: &[&str]) -> Option<Note> {
    let theirs = devices(host.read(Root::Proc, "1/net/dev").ok()?);
    let own = devices(host.read(Root::Itself, "net/dev").ok()?);
    let affected: Vec<&str> = OF_OWN_NETWORK.iter().copied().filter(|name| on.contains(name)).collect();
    (theirs != own).then(|| Note {
        text: match affected.as_slice() {
            [] => "network: a container's, not the machine's; nothing that is on asks for it".to_owned(),
            names => format!(
                "network: a container's, not the machine's, and so is what these tell: {}; share the machine's \
                 (hostNetwork: true, --net=host), or turn them off",
                names.join(", ")
            ),
        },
        is_harmless: affected.is_empty(),
    })
}

/// `  eth0: 1 2 3`: the names of the devices.
fn devices(text: &[u8]) -> BTreeSet<Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n');
    let name = |line: &[u8]| Some(line.get(..line.iter().position(|byte| *byte == b':')?)?.trim_ascii().to_vec());
    lines.filter_map(name).collect()
}
