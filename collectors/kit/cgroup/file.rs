//! Reading the files of cgroups.

use super::super::handles::Permit;
use super::super::host::{fill_lines, fill_whole, is_kernel_tree};
use super::super::{Error, Host, Root};
use super::Trees;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::time::Duration;

/// A file of one cgroup, read every round.
///
/// A kept handle makes reading four to eight times as cheap and costs 5 KiB of the kernel's memory, so only those of the
/// files that matter most are kept, as far as there is room. It holds nothing back: when its cgroup is removed, it answers
/// ENODEV, and that is how a death is heard of.
#[derive(Debug, Default)]
pub struct Handle(State);

/// What is known of the file. Each cgroup has many of these, and all are one word shorter than with flags beside a handle.
#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    /// It was not there.
    Absent,
    Kept {
        fd: OwnedFd,
        _permit: Permit,
    },
}

/// The folder of a tree, and how long its path is; no handle where it is of no tree of the kernel's.
#[derive(Debug)]
pub(in crate::kit) struct TreeFolder(Option<OwnedFd>, usize);

impl TreeFolder {
    fn open(root: &str, tree: &str) -> Self {
        let path = format!("{root}{tree}");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path.as_str(), flags, Mode::empty()).ok();
        Self(folder.filter(is_kernel_tree), path.len() + 1)
    }
}

impl Handle {
    /// Whether its cgroup's death will be heard of.
    pub fn is_kept(&self) -> bool {
        matches!(self.0, State::Kept { .. })
    }

    /// Whether it was looked for and was not there.
    pub fn is_absent(&self) -> bool {
        matches!(self.0, State::Absent)
    }

    /// Looks again for a file that was not there: controllers may be enabled late.
    pub fn retry(&mut self) {
        if self.is_absent() {
            self.0 = State::Closed;
        }
    }
}

impl Host {
    /// Reads the file of a cgroup; `None`: there is no such file. The handle is kept.
    ///
    /// # Errors
    /// What the kernel answered. [`Error::Gone`]: the cgroup was removed.
    pub fn cgroup_kept(
        &mut self,
        tree: &str,
        path: &str,
        file: &str,
        handle: &mut Handle,
    ) -> Result<Option<&[u8]>, Error> {
        let State::Kept { fd, .. } = &handle.0 else { return self.cgroup_first(tree, path, file, handle, true) };
        match fill_whole(&mut self.buffer, fd) {
            Ok(length) => Ok(Some(&self.buffer[..length])),
            Err(errno) => {
                handle.0 = State::Closed;
                Err(Error::from_errno(&format!("{tree}{path}/{file}"), errno))
            }
        }
    }

    /// Reads the file of a cgroup; `None`: there is no such file. The handle is not kept.
    ///
    /// # Errors
    /// What the kernel answered. [`Error::Gone`]: the cgroup was removed.
    pub fn cgroup(&mut self, tree: &str, path: &str, file: &str, handle: &mut Handle) -> Result<Option<&[u8]>, Error> {
        self.cgroup_first(tree, path, file, handle, false)
    }

    fn cgroup_first(
        &mut self,
        tree: &str,
        path: &str,
        file: &str,
        handle: &mut Handle,
        keep: bool,
    ) -> Result<Option<&[u8]>, Error> {
        if handle.is_absent() {
            return Ok(None);
        }
        let opened = match self.cgroup_open(tree, path, file) {
            Err(error) if error.is_absent() => {
                handle.0 = State::Absent;
                return Ok(None);
            }
            opened => opened?,
        };
        let length = match fill_whole(&mut self.buffer, &opened) {
            Ok(length) => length,
            // The kernel has the file and does not do such things: pressure that was turned off at its start.
            Err(Errno::OPNOTSUPP) => {
                handle.0 = State::Absent;
                return Ok(None);
            }
            Err(errno) => return Err(self.cgroup_error(tree, path, file, errno)),
        };
        if keep
            && is_kernel_tree(&opened)
            && let Some(permit) = Permit::to_keep(&self.machine)
        {
            handle.0 = State::Kept { fd: opened, _permit: permit };
        }
        Ok(Some(&self.buffer[..length]))
    }

    /// Opens a file by the folder of its cgroup, or else by that of its tree, if they can be kept: the way from `/` to there
    /// is longer than the rest.
    fn cgroup_open(&mut self, tree: &str, path: &str, file: &str) -> Result<OwnedFd, Error> {
        const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOCTTY).union(OFlags::NONBLOCK);
        if let Some(folder) = self.folder_within(path) {
            let opened = rustix::fs::openat(folder, file, FLAGS, Mode::empty());
            return opened.map_err(|errno| self.cgroup_error(tree, path, file, errno));
        }
        self.resolve_cgroup(tree, path, file)?;
        self.find_folder(path);
        let at = match self.folders.iter().position(|(known, _)| known == tree) {
            Some(at) => at,
            None => {
                self.folders.push((tree.to_owned(), TreeFolder::open(self.root(Root::Cgroup), tree)));
                self.folders.len() - 1
            }
        };
        match self.folders.get(at) {
            Some((_, TreeFolder(Some(folder), above))) => {
                let below = self.path.get(*above..).unwrap_or_default();
                rustix::fs::openat(folder, below, FLAGS, Mode::empty()).map_err(|errno| self.error(errno))
            }
            _ => self.open(),
        }
    }

    /// Reads a list of a cgroup, such as `cgroup.procs`, which the kernel gives page by page; `None`: there is no such file.
    pub(super) fn cgroup_list(&mut self, tree: &str, path: &str, file: &str) -> Result<Option<&[u8]>, Error> {
        let opened = match self.cgroup_open(tree, path, file) {
            Err(error) if error.is_absent() => return Ok(None),
            opened => opened?,
        };
        match fill_lines(&mut self.buffer, &opened) {
            Ok(length) => Ok(Some(&self.buffer[..length])),
            // A cgroup of threads, whose processes are told of further up.
            Err(Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.cgroup_error(tree, path, file, errno)),
        }
    }

    /// The number of a cgroup's folder, which no later folder has, and how many links it has: two more than it has
    /// folders in it, where the filesystem counts them.
    ///
    /// # Errors
    /// What the kernel answered.
    pub(super) fn cgroup_folder(&mut self, tree: &str, path: &str) -> Result<(u64, u64), Error> {
        self.resolve_cgroup(tree, path, "")?;
        let stat = rustix::fs::stat(self.path.as_str()).map_err(|errno| self.error(errno))?;
        // 32 bits on arm64.
        #[allow(clippy::useless_conversion)]
        Ok((stat.st_ino, stat.st_nlink.into()))
    }

    /// When the cgroup was made, as far as its folders tell, in wall-clock time: the kernel gives a folder of it the time at
    /// which it was first looked at, so the oldest of all is nearest. In version 1, that may be in any of the trees. It was
    /// made after the machine was started, whatever boards without a clock of their own took for the time then.
    ///
    /// A folder that was given attributes, as systemd does in version 2, shows the time of the newest folder in it: where there
    /// are any, a file tells more. Nowhere else is one looked at, for each costs the kernel a kilobyte.
    pub fn cgroup_made(&mut self, trees: &Trees, path: &str) -> Option<Duration> {
        let folders = trees.all().into_iter().map(|tree| (tree, ""));
        // Two links: nothing is in it.
        let mut is_above = |tree: &&str| !matches!(self.cgroup_folder(tree, path), Ok((_, 2)) | Err(_));
        let of_systemd = trees.of_pressure().filter(&mut is_above);
        let files = folders.chain(of_systemd.map(|tree| (tree, "cgroup.events")));
        let touched = files.filter_map(|(tree, file)| self.cgroup_touched(tree, path, file)).min()?;
        let clock = &self.machine.clock;
        Some(touched.max(clock.wall().saturating_sub(clock.boot())))
    }

    fn cgroup_touched(&mut self, tree: &str, path: &str, file: &str) -> Option<Duration> {
        self.resolve_cgroup(tree, path, file).ok()?;
        let stat = rustix::fs::stat(self.path.as_str()).ok()?;
        Some(Duration::new(stat.st_mtime.try_into().ok()?, stat.st_mtime_nsec.try_into().ok()?))
    }

    /// The whole path is put together where somebody is to be told of it.
    fn cgroup_error(&mut self, tree: &str, path: &str, file: &str, errno: Errno) -> Error {
        match self.resolve_cgroup(tree, path, file) {
            Err(error) => error,
            Ok(()) => self.error(errno),
        }
    }

    fn resolve_cgroup(&mut self, tree: &str, path: &str, file: &str) -> Result<(), Error> {
        // Never two slashes in a row: the kernel takes the name as it is.
        let path = path.trim_start_matches('/');
        let slash = if path.is_empty() || file.is_empty() { "" } else { "/" };
        let tree = tree.trim_start_matches('/');
        let between = if tree.is_empty() || (path.is_empty() && file.is_empty()) { "" } else { "/" };
        self.resolve(Root::Cgroup, format_args!("{tree}{between}{path}{slash}{file}"))
    }
}
