//! The only door to the machine. Each collector has one of its own, with its kept files; the buffer goes from one to the next.

use super::calls::recorded;
use super::mounts::Row;
use super::netlink::Sockets;
use super::sys::Room;
use super::{Btrfs, Error, Machine, Mount, Question, Root, StatFs, Uname, parse, statfs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;
use std::fmt::{Display, Write as _};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

mod devices;
mod fill;
mod kept;
mod layers;
mod links;
mod name;
mod process;
mod processes;

use fill::fill;
pub(super) use fill::{fill_lines, fill_whole, is_kernel_tree};
use kept::End;
pub use kept::KeptFile;

/// How large a file of the kernel may be. 100,000 mounts, the kernel's own limit, stay below.
const FILE_MAX: usize = 32 << 20;
/// How many names of a folder are taken.
const NAMES_MAX: usize = 100_000;
/// How many bytes of them are taken from the kernel at a time.
const NAMES_ROOM: usize = 8 << 10;
/// The buffer's size between large reads.
const BUFFER_KEPT: usize = 256 << 10;
const BUFFER_FIRST: usize = 16 << 10;

/// The door to the machine: reads kernel files into one buffer and lends the bytes.
#[derive(Debug)]
pub struct Host {
    pub(super) machine: Arc<Machine>,
    pub(super) buffer: Vec<u8>,
    pub(super) sockets: Sockets,
    pub(super) room: Option<Room>,
    pub(super) path: String,
    empty: Vec<devices::Empty>,
    pub(super) folders: Vec<(String, super::cgroup::TreeFolder)>,
    pub(super) within: super::cgroup::Within,
    counts_files: Option<bool>,
}

/// A file of a process that says by poll(2) whether it has changed: its table of mounts.
///
/// The handle that is kept holds that process's mount namespace, so it is for process 1 and our own only, whose
/// namespaces last as long as we do; it holds no mount.
#[derive(Debug)]
pub struct Watched {
    path: &'static str,
    handle: Option<OwnedFd>,
}

impl Watched {
    /// The file at `path` below the root of procfs. Nothing is opened yet.
    pub fn new(path: &'static str) -> Self {
        Self { path, handle: None }
    }

    /// Its path below the root of procfs.
    pub fn path(&self) -> &'static str {
        self.path
    }
}

impl Host {
    /// A door to the machine.
    pub fn new(machine: Arc<Machine>) -> Self {
        let (sockets, path) = (Sockets::default(), String::new());
        let (buffer, empty, folders) = (Vec::new(), Vec::new(), Vec::new());
        let within = super::cgroup::Within::default();
        Self { machine, buffer, sockets, room: None, path, empty, folders, within, counts_files: None }
    }

    /// The machine behind the door.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Where a tree is mounted, without a slash at its end.
    pub fn root(&self, root: Root) -> &str {
        self.machine.root(root)
    }

    /// Reads a whole file. Write `host.read(Root::Sys, format_args!("class/net/{device}/mtu"))`: no string is made.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn read(&mut self, root: Root, path: impl Display) -> Result<&[u8], Error> {
        self.resolve(root, path)?;
        let file = self.open()?;
        self.read_from(&file, root)
    }

    /// Reads a file that holds one whole number.
    ///
    /// # Errors
    /// What the kernel answered, or that it is no number.
    pub fn number(&mut self, root: Root, path: impl Display) -> Result<u64, Error> {
        let number = parse::number(parse::trim(self.read(root, path)?));
        number.ok_or_else(|| Error::malformed(&self.path, 1, "a whole number"))
    }

    /// Reads a file that holds one whole number, perhaps negative.
    ///
    /// # Errors
    /// What the kernel answered, or that it is no number.
    pub fn signed(&mut self, root: Root, path: impl Display) -> Result<i64, Error> {
        let number = parse::signed(parse::trim(self.read(root, path)?));
        number.ok_or_else(|| Error::malformed(&self.path, 1, "a whole number"))
    }

    /// Reads a file that holds one line of text; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn text(&mut self, root: Root, path: impl Display) -> Result<String, Error> {
        Ok(parse::text(self.read(root, path)?).into_owned())
    }

    /// The names in a folder, sorted; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn names(&mut self, root: Root, path: impl Display) -> Result<Vec<String>, Error> {
        self.resolve(root, path)?;
        self.names_at(&self.path)
    }

    /// Each of the names in a folder, in the kernel's order; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn each_name(&mut self, root: Root, path: impl Display, of: impl FnMut(&str)) -> Result<(), Error> {
        self.resolve(root, path)?;
        self.each_name_at(&self.path, of)
    }

    /// Each of the folders in a folder, in the kernel's order; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn each_folder(&mut self, root: Root, path: impl Display, mut of: impl FnMut(&str)) -> Result<(), Error> {
        self.resolve(root, path)?;
        self.each_entry_at(&self.path, |name, kind| {
            if kind == FileType::Directory {
                of(name)
            }
        })
    }

    fn each_name_at(&self, folder: &str, mut of: impl FnMut(&str)) -> Result<(), Error> {
        self.each_entry_at(folder, |name, _| of(name))
    }

    fn each_entry_at(&self, folder: &str, mut of: impl FnMut(&str, FileType)) -> Result<(), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let error = |errno| Error::from_errno(folder, errno);
        let handle = rustix::fs::open(folder, flags, Mode::empty()).map_err(error)?;
        // Not by the standard library, which asks the kernel and the allocator for more.
        let mut room = [MaybeUninit::uninit(); NAMES_ROOM];
        let mut entries = RawDir::new(handle, &mut room);
        let mut count = 0;
        while let Some(Ok(entry)) = entries.next() {
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => continue,
                Ok(name) => of(name, entry.file_type()),
            }
            count += 1;
            if count == NAMES_MAX {
                break;
            }
        }
        Ok(())
    }

    fn names_at(&self, folder: &str) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        self.each_name_at(folder, |name| names.push(name.to_owned()))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Where a symbolic link points to.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn link(&mut self, root: Root, path: impl Display) -> Result<String, Error> {
        self.resolve(root, path)?;
        let target = std::fs::read_link(&self.path).map_err(|error| Error::from_io(&self.path, &error))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// Whether there is such a file or folder.
    pub fn exists(&mut self, root: Root, path: impl Display) -> bool {
        self.resolve(root, path).is_ok() && std::path::Path::new(&self.path).exists()
    }

    /// The names in a folder that the operator named, sorted.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn names_in(&mut self, folder: &str) -> Result<Vec<String>, Error> {
        self.names_at(folder)
    }

    /// Reads a regular file that the operator named, and when it was changed last (since 1970).
    ///
    /// Anything else under that name is refused without waiting: opening a pipe would.
    ///
    /// # Errors
    /// What the kernel answered, that it is no regular file, or that it is larger than `limit`.
    pub fn read_regular(&mut self, path: &str, limit: usize) -> Result<(&[u8], Duration), Error> {
        self.path.clear();
        self.path.push_str(path);
        let file = self.open()?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| self.error(errno))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(Error::Other { path: path.to_owned(), why: "not a regular file".to_owned() });
        }
        if u64::try_from(stat.st_size).unwrap_or(0) > limit as u64 {
            return Err(Error::TooLarge { path: path.to_owned(), limit });
        }
        let changed = Duration::new(stat.st_mtime.try_into().unwrap_or(0), stat.st_mtime_nsec.try_into().unwrap_or(0));
        let length = fill(&mut self.buffer, &file, End::Nothing).map_err(|errno| self.error(errno))?;
        if length > limit {
            return Err(Error::TooLarge { path: path.to_owned(), limit });
        }
        Ok((&self.buffer[..length], changed))
    }

    /// The whole file, if it has changed since it was read last; `None`: it is as it was.
    ///
    /// For `/proc/PID/mountinfo`, which costs the kernel much to print and says by poll(2) when there is news.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn read_changed(&mut self, file: &mut Watched) -> Result<Option<&[u8]>, Error> {
        self.resolve(Root::Proc, file.path)?;
        if let Some(handle) = &file.handle {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if let Ok(0) = poll(&mut [PollFd::new(handle, PollFlags::PRI)], Some(&now)) {
                return Ok(None);
            }
        }
        // Opened anew: process 1 may have moved to another namespace.
        file.handle = None;
        let handle = self.open()?;
        let length = fill(&mut self.buffer, &handle, End::Nothing).map_err(|errno| self.error(errno))?;
        if is_kernel_tree(&handle) {
            file.handle = Some(handle);
        }
        Ok(Some(&self.buffer[..length]))
    }

    /// A mount of the machine, whose path is below our view of the machine's root.
    pub fn mount(&self, row: &Row, question: Question) -> Arc<Mount> {
        let root = if self.machine.replay.is_some() { b"" } else { self.root(Root::Rootfs).as_bytes() };
        let path = if *row.mount_point == *b"/" && !root.is_empty() { b"" } else { &*row.mount_point };
        Arc::new(Mount { id: row.id, path: [root, path].concat(), never_sleeps: row.never_sleeps, question })
    }

    /// Asks for the size of each filesystem, and takes no for an answer after `patience`.
    ///
    /// Calls that may sleep are made by the [`super::Child`]: one on a dead network filesystem may never return.
    pub fn statfs(&mut self, mounts: &[Arc<Mount>], patience: Duration) -> Vec<Result<StatFs, Error>> {
        if let Some(replay) = &self.machine.replay {
            return mounts.iter().map(|mount| recorded(&replay.statfs, mount)).collect();
        }
        let mut answers: Vec<Option<_>> = mounts.iter().map(|mount| statfs::at_once(mount)).collect();
        let unanswered = mounts.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
        let asked: Vec<Arc<Mount>> = unanswered.map(|(mount, _)| Arc::clone(mount)).collect();
        if !asked.is_empty() {
            let free = answers.iter_mut().filter(|answer| answer.is_none());
            free.zip(self.machine.child.statfs(&asked, patience)).for_each(|(place, answer)| *place = Some(answer));
        }
        answers.into_iter().flatten().collect()
    }

    /// Asks each btrfs for its devices, over a mount of its, and takes no for an answer after `patience`.
    ///
    /// The child asks: the calls wait for a lock that is held while the devices are written to.
    pub fn btrfs(&mut self, mounts: &[Arc<Mount>], patience: Duration) -> Vec<Result<Btrfs, Error>> {
        match &self.machine.replay {
            Some(replay) => mounts.iter().map(|mount| recorded(&replay.btrfs, mount)).collect(),
            None => self.machine.child.btrfs(mounts, patience),
        }
    }

    /// Asks for the machine's name and kernel.
    pub fn uname<T>(&self, said: impl FnOnce(&Uname<'_>) -> T) -> T {
        match &self.machine.replay {
            Some(replay) => said(&replay.uname),
            None => said(&Uname::new(&rustix::system::uname())),
        }
    }

    /// The size of a page of memory, in bytes.
    pub fn page_size(&self) -> u64 {
        rustix::param::page_size() as u64
    }

    /// Wall-clock time since 1970.
    pub fn wall(&self) -> Duration {
        self.machine.clock.wall()
    }

    /// Time that never jumps.
    pub fn monotonic(&self) -> Duration {
        self.machine.clock.monotonic()
    }

    /// The round is over: the buffer goes to the next collector, which finds it warm in the processor's cache.
    pub fn settle(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if (1..=BUFFER_KEPT).contains(&buffer.capacity()) {
            self.machine.lay_aside(buffer);
        }
    }

    pub(super) fn resolve(&mut self, root: Root, path: impl Display) -> Result<(), Error> {
        if self.buffer.capacity() == 0 {
            self.buffer = self.machine.buffer();
        }
        self.path.clear();
        self.path.push_str(self.machine.root(root));
        let below = self.path.len();
        if write!(self.path, "/{path}").is_err() {
            return Err(Error::malformed(&self.path, 0, "a path"));
        }
        match &self.machine.replay {
            Some(replay) if !replay.errno.is_empty() => {
                let tree = match root {
                    Root::Proc => "proc",
                    Root::Net => "proc/net",
                    Root::Sys => "sys",
                    Root::Rootfs => "rootfs",
                    Root::Udev => "udev",
                    Root::Cgroup => "cgroup",
                    Root::Itself => "self",
                };
                match replay.errno.get(&format!("{tree}{}", &self.path[below..])) {
                    Some(errno) => Err(self.error(*errno)),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    pub(super) fn open(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        rustix::fs::open(self.path.as_str(), flags, Mode::empty()).map_err(|errno| self.error(errno))
    }

    fn read_from(&mut self, file: &OwnedFd, root: Root) -> Result<&[u8], Error> {
        let length = fill(&mut self.buffer, file, End::of(root)).map_err(|errno| self.error(errno))?;
        Ok(&self.buffer[..length])
    }

    pub(super) fn error(&self, errno: Errno) -> Error {
        match errno {
            Errno::FBIG => Error::TooLarge { path: self.path.clone(), limit: FILE_MAX },
            errno => Error::from_errno(&self.path, errno),
        }
    }
}

#[cfg(test)]
mod tests;
