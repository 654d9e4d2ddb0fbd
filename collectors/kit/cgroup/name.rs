//! What a cgroup is, by its path alone: no daemon is asked.
//!
//! The first component that names a container decides, and nothing is looked for in it: what a container makes inside
//! of itself (a kubelet of kind, a systemd) would count a second time.

use std::fmt;

/// What a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All of the machine.
    Root,
    /// A folder of others: a slice of systemd, a level of quality of service, a runtime's parent folder.
    Slice,
    /// A unit of systemd that runs something: a service, or a scope that is nothing else known.
    Service,
    /// What a service made inside of itself, as the manager of a user's services does. It is looked into for containers.
    Inside,
    /// A pod of Kubernetes.
    Pod {
        /// Its identity, with dashes, as the API has it.
        uid: String,
        /// How it is treated when resources get scarce.
        qos: Qos,
    },
    /// A container, or the sandbox of a pod.
    Container {
        /// Who runs it.
        runtime: Runtime,
        /// Its identity there.
        id: String,
    },
}

/// The quality of service of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// All that it asks for is promised.
    Guaranteed,
    /// Some of it is.
    Burstable,
    /// Nothing is.
    BestEffort,
}

/// What runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// containerd, by way of Kubernetes.
    Containerd,
    /// containerd, by way of nerdctl.
    Nerdctl,
    /// CRI-O.
    Crio,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// LXC or Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// A virtual machine of libvirt.
    Libvirt,
    /// A container by the looks of its name; its parent does not tell whose.
    Unknown,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtime::Containerd | Runtime::Nerdctl => "containerd",
            Runtime::Crio => "cri-o",
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Lxc => "lxc",
            Runtime::Nspawn => "systemd-nspawn",
            Runtime::Libvirt => "libvirt",
            Runtime::Unknown => "unknown",
        })
    }
}

/// Whether a cgroup is in the hands of a user who is not root: he gives such cgroups any name, that of another's container
/// too.
pub fn is_of_a_user(path: &str) -> bool {
    let user = path.strip_prefix("/user.slice/user-").and_then(|rest| rest.split('.').next());
    user.is_some_and(|user| user != "0")
}

/// What the child `name` of a cgroup is; `None`: nothing that is looked at.
pub(super) fn of(parent: &Kind, parent_path: &str, name: &str) -> Option<Kind> {
    if matches!(parent, Kind::Container { .. }) {
        return None;
    }
    let last = parent_path.rsplit('/').next().unwrap_or_default();
    if let Some(pod) = pod(last, name) {
        return Some(pod);
    }
    if is_monitor(name) {
        return None;
    }
    if let Some((runtime, id)) = container(parent, last, name) {
        return Some(Kind::Container { runtime, id: id.to_owned() });
    }
    match name.rsplit_once('.').map(|(_, suffix)| suffix) {
        // One container can bring hundreds of mounts.
        Some("mount" | "swap" | "socket" | "automount" | "device" | "timer" | "path") => None,
        // Each login is one.
        Some("scope") if name.starts_with("session-") => None,
        _ if matches!(parent, Kind::Service | Kind::Inside) => Some(Kind::Inside),
        Some("service" | "scope") => Some(Kind::Service),
        _ => Some(Kind::Slice),
    }
}

/// `kubepods-burstable-pod1a2b_3c.slice`, below whatever prefix; `pod1a2b-3c` below `kubepods/burstable`.
fn pod(parent: &str, name: &str) -> Option<Kind> {
    let (head, uid) = match name.strip_suffix(".slice") {
        Some(unit) => {
            let (head, uid) = unit.rsplit_once("-pod")?;
            let is_pods = head.split('-').any(|word| word == "kubepods");
            (head, is_pods.then(|| uid.replace('_', "-"))?)
        }
        None => {
            let uid = name.strip_prefix("pod")?;
            (parent, matches!(parent, "kubepods" | "burstable" | "besteffort").then(|| uid.to_owned())?)
        }
    };
    let is_uid = (8..=64).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let qos = match head.rsplit('-').next() {
        Some("burstable") => Qos::Burstable,
        Some("besteffort") => Qos::BestEffort,
        _ => Qos::Guaranteed,
    };
    is_uid.then_some(Kind::Pod { uid, qos })
}

/// The processes that watch containers of Podman and CRI-O.
fn is_monitor(name: &str) -> bool {
    name.starts_with("crio-conmon-") || name.starts_with("libpod-conmon-")
}

/// `cri-containerd-ID.scope`, `docker/ID`, `libpod-ID`: who runs it, and its identity.
fn container<'a>(parent: &Kind, last: &str, name: &'a str) -> Option<(Runtime, &'a str)> {
    const PREFIXES: [(&str, Runtime); 5] = [
        ("cri-containerd-", Runtime::Containerd),
        ("crio-", Runtime::Crio),
        ("docker-", Runtime::Docker),
        ("libpod-", Runtime::Podman),
        ("nerdctl-", Runtime::Nerdctl),
    ];
    let unit = name.strip_suffix(".scope").unwrap_or(name);
    let of_prefix = |(prefix, runtime): &(&str, Runtime)| Some((*runtime, unit.strip_prefix(prefix)?));
    if let Some(found) = PREFIXES.iter().find_map(of_prefix) {
        return is_id(found.1).then_some(found);
    }
    if is_id(name) {
        let runtime = match (parent, last) {
            (Kind::Pod { .. }, _) => Runtime::Containerd,
            (_, "docker" | "buildkit") => Runtime::Docker,
            (_, "libpod_parent") => Runtime::Podman,
            _ => Runtime::Unknown,
        };
        return Some((runtime, name));
    }
    if let Some(id) = name.strip_prefix("lxc.payload.") {
        return (!id.is_empty()).then_some((Runtime::Lxc, id));
    }
    let machine = |id: &'a str| id.strip_suffix(".service").or(id.strip_suffix(".scope"));
    match last {
        "lxc" => Some((Runtime::Lxc, name)),
        "machine.slice" => {
            let nspawn = name.strip_prefix("systemd-nspawn@").and_then(machine);
            let libvirt = || name.strip_prefix("machine-qemu").and_then(machine);
            nspawn.map(|id| (Runtime::Nspawn, id)).or_else(|| Some((Runtime::Libvirt, libvirt()?)))
        }
        _ => None,
    }
}

/// 64 hexadecimal digits.
fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
