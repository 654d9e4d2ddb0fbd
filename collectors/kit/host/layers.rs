//! The writable layers of containers: where they are, and what quotas say of them.

use super::{Error, Host, Root, parse};
use crate::kit::calls::recorded;
use crate::kit::{Mount, Question, Quota, layer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where runtimes keep layers whose paths they shorten, because their options would not fit into a page.
const HOMES: [&str; 4] = [
    "var/lib/docker/overlay2",
    "var/lib/containers/storage/overlay",
    "var/snap/docker/common/var-lib-docker/overlay2",
    "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots",
];

impl Host {
    /// The folder that a process writes to where its root is an overlay, as the machine has it, and the number of the
    /// overlay's mount; `None`: its root is something else, or it is not known where the folder is.
    ///
    /// # Errors
    /// What the kernel answered about the process.
    pub fn upper_folder(&mut self, pid: u32) -> Result<Option<(u64, String)>, Error> {
        let Some(overlay) = layer::root(self.read(Root::Proc, format_args!("{pid}/mountinfo"))?) else {
            return Ok(None);
        };
        let Ok(path) = str::from_utf8(&overlay.upper) else { return Ok(None) };
        if path.split('/').any(|part| part == "..") || !self.is_runtimes(pid, &overlay) {
            return Ok(None);
        }
        if path.starts_with('/') {
            return Ok(Some((overlay.id, path.to_owned())));
        }
        // `ID/diff`, as Docker and Podman shorten it: nothing else has such names.
        let home = HOMES.iter().find(|home| self.exists(Root::Rootfs, format_args!("{home}/{path}")));
        Ok(home.map(|home| (overlay.id, format!("/{home}/{path}"))))
    }

    /// Whether its runtime mounted the overlay that is the root of a process. Since Linux 5.11 whoever has a user namespace of
    /// its own can mount one too, over folders that only seem to be the machine's: that of a runtime is among the machine's
    /// mounts then.
    fn is_runtimes(&mut self, pid: u32, overlay: &layer::Overlay) -> bool {
        let may_mount = match self.read(Root::Proc, format_args!("{pid}/uid_map")) {
            // The first namespace has all users, under their own numbers.
            Ok(map) => !parse::words(parse::trim(map)).eq([&b"0"[..], b"0", b"4294967295"]),
            // A kernel without user namespaces.
            Err(error) => !error.is_absent(),
        };
        !may_mount || self.read(Root::Proc, "1/mountinfo").is_ok_and(|mounts| layer::knows(mounts, overlay))
    }

    /// A folder of the machine that is to be asked something, on a mount of this number.
    pub fn folder(&self, id: u64, path: &str, question: Question) -> Arc<Mount> {
        let root = if self.machine.replay.is_some() { "" } else { self.root(Root::Rootfs) };
        // The zero tells the child where the machine's own root is: links of the machine lead from there.
        let path = if Path::new(root).parent().is_some() { format!("{root}\0{path}") } else { path.to_owned() };
        Arc::new(Mount { id, path: path.into_bytes(), never_sleeps: false, question })
    }

    /// Asks for the quota of each folder's project, and takes no for an answer after `patience`.
    ///
    /// The child asks: quotas are read from the disk.
    pub fn quotas(&mut self, folders: &[Arc<Mount>], patience: Duration) -> Vec<Result<Quota, Error>> {
        match &self.machine.replay {
            Some(replay) => folders.iter().map(|folder| recorded(&replay.quotas, folder)).collect(),
            None => self.machine.child.quotas(folders, patience),
        }
    }
}
