//! The only door to the machine. Each collector has one of its own: its buffer, its kept files.

use super::machine::Permit;
use super::{Error, Machine, Mount, Root, StatFs, Uname, parse};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Duration;

/// How large a file of the kernel may be. 100,000 mounts, the kernel's own limit, stay below.
const FILE_MAX: usize = 32 << 20;
/// How many names of a folder are taken.
const NAMES_MAX: usize = 100_000;
/// The buffer's size between large reads.
const BUFFER_KEPT: usize = 256 << 10;
const BUFFER_FIRST: usize = 16 << 10;

/// The door to the machine: reads kernel files into one buffer and lends the bytes.
#[derive(Debug)]
pub struct Host {
    machine: Arc<Machine>,
    buffer: Vec<u8>,
    path: String,
}

/// A file that is read every round. Its handle is kept where that costs nobody anything.
///
/// Kept are only handles on procfs (files of the whole machine), sysfs and cgroupfs: a handle on a mounted filesystem
/// would hinder its unmounting, and one on `/proc/PID/net/…` keeps a dead process's network namespace alive.
#[derive(Debug)]
pub struct KeptFile {
    root: Root,
    path: String,
    handle: Option<(OwnedFd, Permit)>,
}

impl KeptFile {
    /// The file at `path` below `root`. Nothing is opened yet.
    pub fn new(root: Root, path: impl Into<String>) -> Self {
        Self { root, path: path.into(), handle: None }
    }

    fn is_of_the_whole_machine(&self) -> bool {
        self.root != Root::Proc || !self.path.starts_with(|c: char| c.is_ascii_digit())
    }
}

impl Host {
    /// A door to the machine.
    pub fn new(machine: Arc<Machine>) -> Self {
        Self { machine, buffer: Vec::new(), path: String::new() }
    }

    /// The machine behind the door.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Where a tree is mounted, without a slash at its end.
    pub fn root(&self, root: Root) -> &str {
        self.machine.roots.of(root)
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

    /// Reads a whole file that is read every round.
    ///
    /// # Errors
    /// What the kernel answered, with the path. A handle that fails is given up, and the file opened anew: a module
    /// that is loaded again has new files under the old names.
    pub fn read_kept(&mut self, file: &mut KeptFile) -> Result<&[u8], Error> {
        self.resolve(file.root, &file.path)?;
        if let Some((handle, _)) = &file.handle {
            match fill(&mut self.buffer, handle, file.root) {
                Ok(length) => return Ok(&self.buffer[..length]),
                Err(_) => file.handle = None,
            }
        }
        let handle = self.open()?;
        let length = fill(&mut self.buffer, &handle, file.root).map_err(|errno| self.error(errno))?;
        if file.is_of_the_whole_machine()
            && is_kernel_tree(&handle)
            && let Some(permit) = self.machine.permit()
        {
            file.handle = Some((handle, permit));
        }
        Ok(&self.buffer[..length])
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

    fn names_at(&self, folder: &str) -> Result<Vec<String>, Error> {
        let entries = std::fs::read_dir(folder).map_err(|error| Error::from_io(folder, &error))?;
        let mut names: Vec<String> = entries
            .map_while(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .take(NAMES_MAX)
            .collect();
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
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(Error::Other { path: path.to_owned(), why: "not a regular file".to_owned() });
        }
        if u64::try_from(stat.st_size).unwrap_or(0) > limit as u64 {
            return Err(Error::TooLarge { path: path.to_owned(), limit });
        }
        let changed = Duration::new(stat.st_mtime.try_into().unwrap_or(0), stat.st_mtime_nsec.try_into().unwrap_or(0));
        let length = fill(&mut self.buffer, &file, Root::Proc).map_err(|errno| self.error(errno))?;
        if length > limit {
            return Err(Error::TooLarge { path: path.to_owned(), limit });
        }
        Ok((&self.buffer[..length], changed))
    }

    /// Asks for the size of each filesystem, and takes no for an answer after `patience`.
    ///
    /// The calls are made by the [`super::Child`]: one on a dead network filesystem may never return.
    pub fn statfs(&mut self, mounts: &[Mount], patience: Duration) -> Vec<Result<StatFs, Error>> {
        if let Some(replay) = &self.machine.replay {
            return mounts.iter().map(|mount| replay.statfs(&String::from_utf8_lossy(&mount.path))).collect();
        }
        let root = self.root(Root::Rootfs).as_bytes();
        if root.is_empty() {
            return self.machine.child.statfs(mounts, patience);
        }
        let below = |mount: &Mount| match mount.path.as_slice() {
            b"/" => Mount { id: mount.id, path: root.to_vec() },
            path => Mount { id: mount.id, path: [root, path].concat() },
        };
        let mounts: Vec<Mount> = mounts.iter().map(below).collect();
        self.machine.child.statfs(&mounts, patience)
    }

    /// Asks for the machine's name and kernel.
    pub fn uname(&self) -> Uname {
        self.machine.replay.as_ref().map_or_else(Uname::live, |replay| replay.uname.clone())
    }

    /// Wall-clock time since 1970.
    pub fn wall(&self) -> Duration {
        self.machine.clock.wall()
    }

    /// Time that never jumps.
    pub fn monotonic(&self) -> Duration {
        self.machine.clock.monotonic()
    }

    /// Gives back what an unusually large round took.
    pub fn settle(&mut self) {
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = Vec::new();
        }
    }

    fn resolve(&mut self, root: Root, path: impl Display) -> Result<(), Error> {
        self.path.clear();
        self.path.push_str(self.machine.roots.of(root));
        let below = self.path.len();
        if write!(self.path, "/{path}").is_err() {
            return Err(Error::malformed(&self.path, 0, "a path"));
        }
        match &self.machine.replay {
            Some(replay) if !replay.errno.is_empty() => {
                let tree = match root {
                    Root::Proc => "proc",
                    Root::Sys => "sys",
                    Root::Rootfs => "rootfs",
                    Root::Udev => "udev",
                    Root::Cgroup => "cgroup",
                };
                match replay.errno.get(&format!("{tree}{}", &self.path[below..])) {
                    Some(errno) => Err(self.error(*errno)),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn open(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        rustix::fs::open(self.path.as_str(), flags, Mode::empty()).map_err(|errno| self.error(errno))
    }

    fn read_from(&mut self, file: &OwnedFd, root: Root) -> Result<&[u8], Error> {
        let length = fill(&mut self.buffer, file, root).map_err(|errno| self.error(errno))?;
        Ok(&self.buffer[..length])
    }

    fn error(&self, errno: Errno) -> Error {
        match errno {
            Errno::FBIG => Error::TooLarge { path: self.path.clone(), limit: FILE_MAX },
            errno => Error::from_errno(&self.path, errno),
        }
    }
}

/// Reads a file from its beginning to its end.
///
/// A short read is no end: the kernel fills only part of the buffer rather than break a record. An attribute of sysfs is
/// the exception: it comes whole, and asking again would make the driver work again.
fn fill(buffer: &mut Vec<u8>, file: &OwnedFd, root: Root) -> Result<usize, Errno> {
    let mut length = 0;
    loop {
        if buffer.len() - length < BUFFER_FIRST / 2 {
            if length > FILE_MAX {
                return Err(Errno::FBIG);
            }
            buffer.resize((buffer.len() * 2).max(BUFFER_FIRST), 0);
        }
        match rustix::io::pread(file, &mut buffer[length..], length as u64) {
            Ok(0) => return Ok(length),
            Ok(more) => length += more,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        if root == Root::Sys && length < buffer.len() {
            return Ok(length);
        }
    }
}

/// Whether the file belongs to procfs, sysfs or a cgroup hierarchy.
fn is_kernel_tree(file: &OwnedFd) -> bool {
    const PROC: i64 = 0x9fa0;
    const SYSFS: i64 = 0x6265_6572;
    const CGROUP: i64 = 0x0027_e0eb;
    const CGROUP2: i64 = 0x6367_7270;
    rustix::fs::fstatfs(file).is_ok_and(|stat| matches!(stat.f_type, PROC | SYSFS | CGROUP | CGROUP2))
}

#[cfg(test)]
mod tests {
    use super::super::{Child, Clock, Roots};
    use super::*;

    fn live() -> Host {
        Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::none()))
    }

    #[test]
    fn a_file_of_the_machine_is_kept_and_read_afresh() {
        let mut host = live();
        let mut uptime = KeptFile::new(Root::Proc, "uptime");
        let first = host.read_kept(&mut uptime).unwrap().to_vec();
        assert_eq!(host.machine().handles(), 1);
        std::thread::sleep(Duration::from_millis(20));
        assert_ne!(host.read_kept(&mut uptime).unwrap(), first);
        drop(uptime);
        assert_eq!(host.machine().handles(), 0);
    }

    #[test]
    fn a_file_of_a_process_is_never_kept() {
        let mut host = live();
        let mut file = KeptFile::new(Root::Proc, format!("{}/net/dev", std::process::id()));
        host.read_kept(&mut file).unwrap();
        assert_eq!(host.machine().handles(), 0);
    }

    #[test]
    fn a_file_on_a_filesystem_is_never_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stat"), "1\n").unwrap();
        let roots = Roots { proc: folder.path().to_str().unwrap().to_owned(), ..Roots::default() };
        let mut host = Host::new(Machine::new(roots, Clock::Real, None, Child::none()));
        let mut file = KeptFile::new(Root::Proc, "stat");
        assert_eq!(host.read_kept(&mut file).unwrap(), b"1\n");
        assert_eq!(host.machine().handles(), 0);
        std::fs::remove_file(folder.path().join("stat")).unwrap();
        assert!(host.read_kept(&mut file).unwrap_err().is_absent());
    }

    #[test]
    fn large_files_come_whole_and_endless_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = vec![b'x'; BUFFER_FIRST * 5 + 1];
        std::fs::write(folder.path().join("large"), &text).unwrap();
        let roots =
            Roots { proc: folder.path().to_str().unwrap().to_owned(), sys: "/dev".to_owned(), ..Roots::default() };
        let mut host = Host::new(Machine::new(roots, Clock::Real, None, Child::none()));
        assert_eq!(host.read(Root::Proc, "large").unwrap(), text);
        assert!(matches!(host.read_regular("/dev/zero", 10), Err(Error::Other { .. })));
        let file = rustix::fs::open("/dev/zero", OFlags::RDONLY, Mode::empty()).unwrap();
        assert_eq!(fill(&mut Vec::new(), &file, Root::Proc), Err(Errno::FBIG));
    }

    #[test]
    fn a_pipe_among_the_files_of_the_operator_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("a.prom");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(live().read_regular(pipe.to_str().unwrap(), 10).is_err());
    }
}
