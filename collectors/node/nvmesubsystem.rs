//! `/sys/class/nvme-subsystem/`: NVMe disks with the paths that lead to them, and which of those work.

use crate::kit::{Error, Host, Options, Root, attribute};
use crate::model::{Batch, Entity, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "class/nvme-subsystem";
const SUBSYSTEM: &[&str; 1] = &["subsystem"];

static INFO: Family = gauge(
    "node_nvmesubsystem_info",
    "Always 1: what the subsystem is, and how a path is chosen.",
    &["iopolicy", "model", "nqn", "serial", "subsystem"],
);
static NAMESPACE_INFO: Family =
    gauge("node_nvmesubsystem_namespace_info", "Always 1: the disk is of this subsystem.", &["device", "subsystem"]);
static PATHS: Family =
    gauge("node_nvmesubsystem_paths", "Controllers through which the subsystem is reached.", SUBSYSTEM);
static PATHS_LIVE: Family =
    gauge("node_nvmesubsystem_paths_live", "Controllers of the subsystem that work.", SUBSYSTEM);
static PATH_STATE: Family = gauge(
    "node_nvmesubsystem_path_state",
    "Whether the controller is in this state; one series for each.",
    &["controller", "state", "subsystem", "transport"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "nvmesubsystem",
        "NVMe subsystems and their paths from /sys/class/nvme-subsystem.",
        &[&INFO, &NAMESPACE_INFO, &PATHS, &PATHS_LIVE, &PATH_STATE],
        open,
    )
};

const STATES: [&str; 7] = ["connecting", "dead", "deleting", "live", "new", "resetting", "unknown"];

struct Nvmesubsystem;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(host.exists(Root::Sys, FOLDER).then(|| Box::new(Nvmesubsystem) as Box<dyn Collector>))
}

impl Collector for Nvmesubsystem {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for subsystem in host.names(Root::Sys, FOLDER)? {
            if !subsystem.starts_with("nvme-subsys") {
                continue;
            }
            let of = out.entity(SUBSYSTEM, [&subsystem]);
            let folder = format!("{FOLDER}/{subsystem}");
            let words = attribute::words(&["subsysnqn", "model", "serial", "iopolicy"], &folder, host, out);
            let info = out.part(of, &["nqn", "model", "serial", "iopolicy"], words.each_ref().map(String::as_str));
            out.put(&INFO, info, true);
            put_parts(of, &folder, host, out);
        }
        Ok(())
    }
}

fn put_parts(of: Entity, folder: &str, host: &mut Host, out: &mut Batch) {
    let names = host.names(Root::Sys, folder);
    let Some(names) = out.found(names) else { return };
    let (mut paths, mut live) = (0u64, 0u64);
    for name in &names {
        match part(name) {
            Some(Part::Controller) => {
                paths += 1;
                live += u64::from(put_path(of, folder, name, host, out) == Some("live"));
            }
            Some(Part::Namespace) => {
                let namespace = out.part(of, &["device"], [name]);
                out.put(&NAMESPACE_INFO, namespace, true);
            }
            None => {}
        }
    }
    out.put(&PATHS, of, paths);
    out.put(&PATHS_LIVE, of, live);
}

/// The path's state, if it can be told.
fn put_path(of: Entity, folder: &str, name: &str, host: &mut Host, out: &mut Batch) -> Option<&'static str> {
    let transport = host.text(Root::Sys, format_args!("{folder}/{name}/transport"));
    let transport = out.found(transport).unwrap_or_default();
    let state = host.text(Root::Sys, format_args!("{folder}/{name}/state"));
    let now = state_of(&out.found(state)?);
    let path = out.part(of, &["controller", "transport"], [name, &transport]);
    for state in STATES {
        let of = out.part(path, &["state"], [state]);
        out.put(&PATH_STATE, of, state == now);
    }
    Some(now)
}

/// `live`, `deleting (no IO)`: the state.
fn state_of(text: &str) -> &'static str {
    let text = if text == "deleting (no IO)" { "deleting" } else { text };
    STATES.into_iter().find(|state| *state == text).unwrap_or("unknown")
}

#[derive(Debug, PartialEq)]
enum Part {
    Controller,
    Namespace,
}

/// `nvme0` is a controller and `nvme0n1` a namespace; `nvme0c1n1` is a path to one, and `ng0n1` its other face.
fn part(name: &str) -> Option<Part> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let rest = name.strip_prefix("nvme")?;
    match rest.split_once('n') {
        None => is_number(rest).then_some(Part::Controller),
        Some((subsystem, number)) => (is_number(subsystem) && is_number(number)).then_some(Part::Namespace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn paths_and_namespaces() {
        let files = [
            ("subsysnqn", "nqn.2014.08.org.nvmexpress:144d144d"),
            ("model", "Samsung SSD 970"),
            ("nvme0/state", "live"),
            ("nvme0/transport", "pcie"),
            ("nvme1/state", "deleting (no IO)"),
            ("nvme1/transport", "tcp"),
            ("nvme2/transport", "tcp"),
            ("nvme0n1/size", "1"),
            ("nvme0c0n1/size", "1"),
            ("power/control", "auto"),
        ];
        let tree = Tree::new(&[("sys/class/nvme-subsystem/other/model", "x\n")]);
        let path = |file: &str| format!("sys/class/nvme-subsystem/nvme-subsys0/{file}");
        files.iter().for_each(|(file, text)| tree.write(&path(file), &format!("{text}\n")));
        let states = |controller: &str, transport: &str, now: &str| -> String {
            let line = |state: &str| {
                format!(
                    "node_nvmesubsystem_path_state{{subsystem=\"nvme-subsys0\",controller=\"{controller}\",\
                     transport=\"{transport}\",state=\"{state}\"}} {}\n",
                    u8::from(state == now)
                )
            };
            STATES.into_iter().map(line).collect()
        };
        let expected = format!(
            "node_nvmesubsystem_info{{subsystem=\"nvme-subsys0\",nqn=\"nqn.2014.08.org.nvmexpress:144d144d\",\
             model=\"Samsung SSD 970\"}} 1\n\
             node_nvmesubsystem_namespace_info{{subsystem=\"nvme-subsys0\",device=\"nvme0n1\"}} 1\n\
             {}{}node_nvmesubsystem_paths{{subsystem=\"nvme-subsys0\"}} 3\n\
             node_nvmesubsystem_paths_live{{subsystem=\"nvme-subsys0\"}} 1\n",
            states("nvme0", "pcie", "live"),
            states("nvme1", "tcp", "deleting"),
        );
        tree.check(&SPEC, &[], &expected);
    }

    #[test]
    fn machines_without_any() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/nvme-subsystem/", "")]).check(&SPEC, &[], "");
        assert_eq!(state_of("melting"), "unknown");
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String, rest in "nvme[0-9nc]{0,6}") {
            part(&name);
            part(&rest);
            state_of(&name);
        }
    }
}
