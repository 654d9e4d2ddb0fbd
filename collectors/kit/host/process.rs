//! What a process has: its network namespace, the files that it has open. Nothing of it is kept open.

use super::fill::fill_until;
use super::{BUFFER_FIRST, End, Error, Host, NAMES_MAX, Root, kept, parse};
use rustix::io::Errno;
use std::fmt::Display;
use std::time::Duration;

impl Host {
    /// Reads a list of short lines, see [`super::KeptFile::lines`], at most about `enough` bytes of it, with the number of
    /// the file.
    ///
    /// The files in `/proc/PID/net` belong to the network namespace, not to the process: two processes show the same
    /// number exactly if they are in the same namespace. To ask for the namespace itself takes CAP_SYS_PTRACE, this nothing.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn read_list(&mut self, root: Root, path: impl Display, enough: usize) -> Result<(u64, &[u8]), Error> {
        self.resolve(root, path)?;
        let file = self.open()?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| self.error(errno))?;
        let length = fill_until(&mut self.buffer, &file, End::Lines, enough).map_err(|errno| self.error(errno))?;
        Ok((stat.st_ino, &self.buffer[..length]))
    }

    /// The number of a file; see [`Host::read_list`].
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn file_number(&mut self, root: Root, path: impl Display) -> Result<u64, Error> {
        self.resolve(root, path)?;
        rustix::fs::stat(self.path.as_str()).map(|stat| stat.st_ino).map_err(|errno| self.error(errno))
    }

    /// Each line of a list of short lines that may be longer than memory should be taken for, unless it takes longer than
    /// until a moment of [`Host::monotonic`].
    ///
    /// # Errors
    /// What the kernel answered, with the path, or that the time is up.
    pub fn each_line(
        &mut self,
        root: Root,
        path: impl Display,
        until: Duration,
        mut of: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        self.resolve(root, path)?;
        let file = self.open()?;
        if self.buffer.len() < BUFFER_FIRST {
            self.buffer.resize(BUFFER_FIRST, 0);
        }
        let (mut offset, mut rest) = (0, 0);
        loop {
            if self.monotonic() >= until {
                return Err(Error::Stuck { path: self.path.clone() });
            }
            let more = match rustix::io::pread(&file, &mut self.buffer[rest..], offset) {
                Ok(more) => more,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(self.error(errno)),
            };
            let filled = rest + more;
            parse::lines(&self.buffer[..filled]).for_each(&mut of);
            let end = memchr::memrchr(b'\n', &self.buffer[..filled]).map_or(0, |at| at + 1);
            self.buffer.copy_within(end..filled, 0);
            (offset, rest) = (offset + more as u64, filled - end);
            if more < kept::PAGE - kept::LINE_MAX {
                return Ok(());
            }
            if rest == self.buffer.len() {
                return Err(Error::malformed(&self.path, 0, "short lines"));
            }
        }
    }

    /// How many files a process has open.
    ///
    /// Since Linux 6.2 one call tells, and needs no right; before, they are listed, which takes CAP_SYS_PTRACE.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn open_files(&mut self, pid: u32) -> Result<u64, Error> {
        if self.counts_files() {
            self.resolve(Root::Proc, format_args!("{pid}/fd"))?;
            let stat = rustix::fs::stat(self.path.as_str()).map_err(|errno| self.error(errno))?;
            return Ok(stat.st_size.try_into().unwrap_or(0));
        }
        let mut count = 0;
        self.each_name(Root::Proc, format_args!("{pid}/fd"), |_| count += 1)?;
        self.all_of(count, count as u64)
    }

    /// How many of the files that a process has open are sockets.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn open_sockets(&mut self, pid: u32) -> Result<u64, Error> {
        self.resolve(Root::Proc, format_args!("{pid}/fd"))?;
        let (folder, mut link) = (std::mem::take(&mut self.path), String::new());
        let (mut listed, mut count) = (0, 0);
        let result = self.each_name_at(&folder, |name| {
            listed += 1;
            link.clear();
            link.extend([folder.as_str(), "/", name]);
            let mut target = [std::mem::MaybeUninit::uninit(); 8];
            // One that was closed meanwhile is none.
            if let Ok((target, _)) = rustix::fs::readlinkat_raw(rustix::fs::CWD, link.as_str(), &mut target) {
                count += u64::from(target.starts_with(b"socket:"));
            }
        });
        self.path = folder;
        result?;
        self.all_of(listed, count)
    }

    /// A count, unless only the first of the files were listed.
    fn all_of(&self, listed: usize, count: u64) -> Result<u64, Error> {
        if listed < NAMES_MAX {
            return Ok(count);
        }
        Err(Error::Other { path: self.path.clone(), why: format!("more than {NAMES_MAX} files") })
    }

    /// Whether this kernel tells the number of open files as the size of their folder.
    fn counts_files(&mut self) -> bool {
        if let Some(known) = self.counts_files {
            return known;
        }
        // We have some open, at any time.
        let size = self.resolve(Root::Itself, "fd").map(|()| rustix::fs::stat(self.path.as_str()));
        let counts = matches!(size, Ok(Ok(stat)) if stat.st_size > 0) && self.is_procfs_live();
        *self.counts_files.insert(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use crate::kit::{Child, Clock, Machine, Roots};

    fn live() -> Host {
        Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::none()))
    }

    #[test]
    fn files_of_a_network_namespace_have_its_number() {
        let mut host = live();
        let path = format!("{}/net/dev", std::process::id());
        let number = host.file_number(Root::Proc, "self/net/dev").unwrap();
        let (same, text) = host.read_list(Root::Proc, path, usize::MAX).unwrap();
        assert_eq!(same, number);
        assert!(parse::lines(text).any(|line| line.trim_ascii_start().starts_with(b"lo:")));
        assert_ne!(host.file_number(Root::Proc, "self/net/snmp").unwrap(), number);
    }

    #[test]
    fn our_own_files_and_sockets_are_counted_either_way() {
        let folder = tempfile::tempdir().unwrap();
        let sockets: Vec<_> = (0..50).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open(folder.path()).unwrap()).collect();
        let mut host = live();
        // Other tests open and close files meanwhile.
        let is_near = |count: u64| (100..5_000).contains(&count);
        assert!(is_near(host.open_files(std::process::id()).unwrap()));
        host.counts_files = Some(false);
        assert!(is_near(host.open_files(std::process::id()).unwrap()));
        let count = host.open_sockets(std::process::id()).unwrap();
        assert!((50..1_000).contains(&count), "{count}");
        drop((sockets, files));
    }

    #[test]
    fn lines_are_streamed_until_the_time_is_up() {
        let line = "x".repeat(149) + "\n";
        let tree = Tree::new(&[("proc/7/net/tcp", &line.repeat(10_000)), ("proc/7/net/udp", &"x".repeat(40_000))]);
        let mut host = tree.host();
        let later = host.monotonic() + Duration::from_secs(1);
        let mut count = 0;
        host.each_line(Root::Proc, "7/net/tcp", later, |line| count += usize::from(line.len() == 149)).unwrap();
        assert_eq!(count, 10_000);
        assert!(host.buffer.len() <= BUFFER_FIRST);
        let now = host.monotonic();
        let mut each = |path, until| host.each_line(Root::Proc, path, until, |_| ()).unwrap_err().reason();
        assert_eq!(each("7/net/tcp", now), "stuck");
        assert_eq!(each("7/net/udp", later), "malformed");
        let (_, text) = host.read_list(Root::Proc, "7/net/tcp", 20_000).unwrap();
        assert!((20_000..200_000).contains(&text.len()));
    }
}
