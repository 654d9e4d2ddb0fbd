//! The folder of the cgroup that is looked at.
//!
//! From the root of the tree it is three steps to a file, and each of them takes the kernel a look at who may pass. Half of
//! what it costs to open a file is spared where the folder is kept, which takes the kernel a quarter of a kilobyte; a kept
//! file takes twenty times as much. Where one tree has all files of a cgroup, many files share the one folder.

use super::super::Host;
use super::super::handles::FolderPermit;
use super::super::host::is_kernel_tree;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

/// The folder of a cgroup, as its node keeps it.
#[derive(Debug, Default)]
pub(in crate::kit) enum Folder {
    /// It has not been needed, or there was no room for it.
    #[default]
    Unknown,
    /// It can't be kept.
    None,
    /// It is here. As a kept file does, it holds nothing back when its cgroup is removed, and nothing is found in it then.
    Kept { fd: OwnedFd, _permit: FolderPermit },
}

/// Which cgroup is looked at, and its folder.
#[derive(Debug, Default)]
pub(in crate::kit) struct Within {
    is_in: bool,
    path: String,
    folder: Folder,
}

impl Host {
    /// Looks for the files of a cgroup in its folder from here on, until [`Host::leave`] gives the folder back.
    pub(super) fn enter(&mut self, path: &str, folder: Folder) {
        let within = &mut self.within;
        within.path.clear();
        within.path.push_str(path);
        (within.is_in, within.folder) = (true, folder);
    }

    pub(super) fn leave(&mut self) -> Folder {
        self.within.is_in = false;
        std::mem::take(&mut self.within.folder)
    }

    /// The folder, if this is the cgroup that is looked at and its folder is kept.
    pub(super) fn folder_within(&mut self, path: &str) -> Option<&OwnedFd> {
        match &self.within.folder {
            Folder::Kept { fd, .. } if self.within.is_in && self.within.path == path => {
                if self.buffer.capacity() == 0 {
                    self.buffer = self.machine.buffer();
                }
                Some(fd)
            }
            _ => None,
        }
    }

    /// Keeps the folder for the files to come, if there is room: that of the file whose whole path has been resolved.
    pub(super) fn find_folder(&mut self, path: &str) {
        if self.within.is_in
            && self.within.path == path
            && matches!(self.within.folder, Folder::Unknown)
            && let Some(permit) = FolderPermit::to_keep(&self.machine)
        {
            let folder = self.path.rsplit_once('/').map_or("/", |(folder, _)| folder);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(folder, flags, Mode::empty()).ok().filter(is_kernel_tree);
            self.within.folder = opened.map_or(Folder::None, |fd| Folder::Kept { fd, _permit: permit });
        }
    }
}
