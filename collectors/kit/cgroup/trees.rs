//! Where the controllers are mounted.

use crate::kit::{Error, Host, Root};

/// A part of the kernel that accounts for cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// Quotas and shares of processor time.
    Cpu,
    /// Processor time used.
    Cpuacct,
    /// Memory.
    Memory,
    /// Reads and writes of disks.
    Io,
    /// How many tasks there are.
    Pids,
    /// Huge pages.
    Hugetlb,
    /// Which processors and memory nodes may be used.
    Cpuset,
}

/// The controllers, with their names in version 1 and the place of their tree in [`Trees`].
const CONTROLLERS: [(Controller, &str); 7] = [
    (Controller::Cpu, "cpu"),
    (Controller::Cpuacct, "cpuacct"),
    (Controller::Memory, "memory"),
    (Controller::Io, "blkio"),
    (Controller::Pids, "pids"),
    (Controller::Hugetlb, "hugetlb"),
    (Controller::Cpuset, "cpuset"),
];

/// The trees of cgroups: the folders of the controllers below [`Root::Cgroup`], each with a slash at its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trees {
    /// Whether all controllers are in one tree (version 2).
    unified: bool,
    folders: [Option<String>; CONTROLLERS.len()],
    /// The one that is walked.
    walked: String,
    /// Where version 1 and 2 are mounted beside each other: the tree of version 2, which only has pressure there.
    beside: Option<String>,
}

impl Trees {
    /// What is mounted; `None` if there are no cgroups.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn find(host: &mut Host) -> Result<Option<Self>, Error> {
        if host.exists(Root::Cgroup, "cgroup.controllers") {
            let folders = CONTROLLERS.map(|_| Some(String::new()));
            return Ok(Some(Self { unified: true, folders, walked: String::new(), beside: None }));
        }
        let names = match host.names(Root::Cgroup, "") {
            Err(error) if error.is_absent() => return Ok(None),
            names => names?,
        };
        // Distributions mount cpu and cpuacct together, under a folder with both names, and link each name to it.
        let folder = |controller: &str| {
            let of = |name: &&String| name.split(',').any(|word| word == controller);
            names.iter().find(of).map(|name| format!("/{name}"))
        };
        let folders = CONTROLLERS.map(|(_, name)| folder(name));
        let walked = ["memory", "cpuacct", "pids", "blkio", "systemd"].into_iter().find_map(folder);
        let beside = Some("/unified").filter(|_| host.exists(Root::Cgroup, "unified/cgroup.controllers"));
        let beside = beside.map(str::to_owned);
        Ok(walked.map(|walked| Self { unified: false, folders, walked, beside }))
    }

    /// Whether all controllers are in one tree (version 2).
    pub fn unified(&self) -> bool {
        self.unified
    }

    /// The folder of a controller; `None` if it is not mounted.
    pub fn of(&self, controller: Controller) -> Option<&str> {
        let at = CONTROLLERS.iter().position(|(known, _)| *known == controller)?;
        self.folders.get(at)?.as_deref()
    }

    /// The folder of the tree that tells about pressure.
    pub fn of_pressure(&self) -> Option<&str> {
        if self.unified { Some("") } else { self.beside.as_deref() }
    }

    /// The folders of all trees, each once.
    pub(super) fn all(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.folders.iter().chain([&self.beside]).flatten().map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The folder of the tree that is walked.
    pub(super) fn walked(&self) -> &str {
        &self.walked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    fn found(files: &[(&str, &str)]) -> Option<Trees> {
        Trees::find(&mut Tree::new(files).host()).unwrap()
    }

    #[test]
    fn one_tree_for_all() {
        let trees = found(&[("cgroup/cgroup.controllers", "cpu memory\n"), ("cgroup/memory/x", "")]).unwrap();
        assert!(trees.unified());
        assert_eq!((trees.of(Controller::Cpuacct), trees.of_pressure(), trees.walked()), (Some(""), Some(""), ""));
    }

    #[test]
    fn a_tree_for_each_controller() {
        let folders = ["cpu,cpuacct", "memory", "pids", "net_cls,net_prio"].map(|name| format!("cgroup/{name}/tasks"));
        let files: Vec<_> = folders.iter().map(|path| (path.as_str(), "")).collect();
        let trees = found(&files).unwrap();
        assert!(!trees.unified());
        assert_eq!(trees.of(Controller::Cpu), Some("/cpu,cpuacct"));
        assert_eq!(trees.of(Controller::Cpuacct), Some("/cpu,cpuacct"));
        assert_eq!(trees.of(Controller::Memory), Some("/memory"));
        assert_eq!((trees.of(Controller::Hugetlb), trees.of_pressure()), (None, None));
        assert_eq!((trees.walked(), trees.all()), ("/memory", vec!["/cpu,cpuacct", "/memory", "/pids"]));
    }

    #[test]
    fn both_beside_each_other() {
        let trees = found(&[("cgroup/cpuacct/tasks", ""), ("cgroup/unified/cgroup.controllers", "\n")]).unwrap();
        assert_eq!((trees.walked(), trees.of_pressure()), ("/cpuacct", Some("/unified")));
    }

    #[test]
    fn none_at_all() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("cgroup/elogind/tasks", "")]), None);
    }
}
