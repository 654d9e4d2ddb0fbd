//! What the collector can be told.

use super::filesystem;
use crate::kit::{Opt, OptKind};

const LEVELS: &[&str] = &["root", "slices", "services", "pods", "sandboxes", "containers"];
/// The options.
pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        name: "levels",
        kind: OptKind::Words(LEVELS),
        default: "root,slices,services,pods,sandboxes,containers",
        help: "The kinds of cgroups that are told of.",
    },
    Opt {
        name: "families",
        kind: OptKind::Regex,
        default: "",
        help: "The families that are told of every cgroup, beside those that dashboards need; .* for all.",
    },
    Opt {
        name: "legacy-labels",
        kind: OptKind::Flag,
        default: "false",
        help: "Whether pod_name, container_name and systemd_service_name are put beside the labels of today.",
    },
    Opt {
        name: "name-style",
        kind: OptKind::Words(&["kubelet", "dockershim"]),
        default: "kubelet",
        help: "What the label name of a container of Kubernetes is: the runtime's, or k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT.",
    },
    Opt {
        name: "labels",
        kind: OptKind::Regex,
        default: "",
        help: "The labels of containers that are told as container_label_NAME; .* for all, at most 32 of each container.",
    },
    Opt {
        name: "omit",
        kind: OptKind::Words(&["id", "name"]),
        default: "",
        help: "The labels that are left out; without id, only containers can be told apart.",
    },
    Opt {
        name: "per-cpu",
        kind: OptKind::Flag,
        default: "false",
        help: "Whether processor time is told by processor (cpu=\"cpu00\"), as far as cgroup v1 does, and not in all.",
    },
    filesystem::WALK,
    filesystem::WALK_RATE,
    filesystem::WALK_PERIOD,
];
