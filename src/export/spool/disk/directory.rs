//! The spool's folder: every file in it is opened below its handle, by name, and only if it is a plain file of ours.
//!
//! Links, pipes, folders and files of other users cost nothing but themselves: they are never followed, read or removed.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::path::{Path, PathBuf};

/// Which process has the folder.
const LOCK: &str = "lock";
const SUFFIX: &str = ".spool";
/// How many digits a segment's number has in its name.
const DIGITS: usize = 16;
/// How many names are looked at.
const NAMES_MAX: usize = 1_000_000;

/// A folder that is ours alone.
#[derive(Debug)]
pub(in super::super) struct Directory {
    path: PathBuf,
    handle: OwnedFd,
    /// Whose files are taken: the folder's owner's, and our own.
    owners: [u32; 2],
    lock: OwnedFd,
    /// How many writes were made.
    writes: u64,
    /// The answer of the disk to each write.
    #[cfg(test)]
    pub(in super::super) refusal: Option<Errno>,
}

impl Directory {
    /// Opens the folder, and makes it if only its last part is missing.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let user = geteuid().as_raw();
        let failed = |errno: Errno| {
            let advice = match errno {
                Errno::NOENT => "expected the folder, or the one that it is to be made in".to_owned(),
                Errno::NOTDIR | Errno::LOOP => "expected a folder".to_owned(),
                Errno::ROFS => {
                    "expected a folder that can be written to; this filesystem is mounted read-only".to_owned()
                }
                _ => format!(
                    "expected a folder that user {user} may write to: install -d -m 0700 -o {user} {}",
                    path.display()
                ),
            };
            format!("spool folder {}: {errno}: {advice}", path.display())
        };
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) if !path.is_dir() => return Err(failed(errno)),
            Err(_) => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let owners = [user, rustix::fs::fstat(&handle).map_err(failed)?.st_uid];
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&handle, LOCK, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(format!(
                    "spool folder {}: another process or endpoint uses it: expected a folder of its own for each",
                    path.display()
                ));
            }
            Err(errno) => return Err(failed(errno)),
        }
        Ok(Self {
            path: path.to_owned(),
            handle,
            owners,
            lock,
            writes: 0,
            #[cfg(test)]
            refusal: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many writes were made.
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    /// The numbers of all segments, oldest first.
    pub(super) fn numbers(&self) -> Result<Vec<u64>, Errno> {
        let mut numbers = Vec::new();
        for entry in Dir::read_from(&self.handle)?.take(NAMES_MAX) {
            numbers.extend(entry?.file_name().to_str().ok().and_then(number));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Opens a segment, for writing too if that is allowed; none if it is no plain file of ours.
    pub(super) fn segment(&self, number: u64) -> Result<Option<OwnedFd>, Errno> {
        self.plain(&name(number))
    }

    /// Makes a segment that is not there yet.
    pub(super) fn create(&self, number: u64) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = name(number);
        // None that would not be found again.
        if self::number(&name).is_none() {
            return Err(Errno::OVERFLOW);
        }
        rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// Removes a segment. One that can't be removed comes back when the folder is opened again.
    pub(super) fn remove(&self, number: u64) {
        let _ = rustix::fs::unlinkat(&self.handle, name(number), AtFlags::empty());
    }

    /// Writes all of it at a place of a file.
    pub(super) fn write(&mut self, file: impl AsFd, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
        self.writes += 1;
        #[cfg(test)]
        if let Some(errno) = self.refusal {
            // A full disk takes some of it first.
            let _ = rustix::io::pwrite(file, &bytes[..bytes.len() / 2], at);
            return Err(errno);
        }
        while !bytes.is_empty() {
            match rustix::io::pwrite(&file, bytes, at) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    at += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// The start of a small file; empty if there is none of ours.
    pub(super) fn load(&self, name: &str, most: usize) -> Vec<u8> {
        let Ok(Some(file)) = self.plain(name) else { return Vec::new() };
        read(&file, 0, most).unwrap_or_default()
    }

    /// Puts a new file in the place of an old one, which is whole until then.
    pub(super) fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), Errno> {
        let young = format!("{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // One that is left over, or somebody's link.
        let _ = rustix::fs::unlinkat(&self.handle, &young, AtFlags::empty());
        let file = rustix::fs::openat(&self.handle, &young, flags, Mode::RUSR | Mode::WUSR)?;
        self.write(&file, bytes, 0)?;
        rustix::fs::fdatasync(&file)?;
        rustix::fs::renameat(&self.handle, &young, &self.handle, name)
    }

    fn plain(&self, name: &str) -> Result<Option<OwnedFd>, Errno> {
        let open = |access: OFlags| {
            let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            rustix::fs::openat(&self.handle, name, flags, Mode::empty())
        };
        let file = match open(OFlags::RDWR) {
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Ok(None),
            Err(Errno::ROFS | Errno::ACCESS) => open(OFlags::RDONLY)?,
            other => other?,
        };
        let stat = rustix::fs::fstat(&file)?;
        let is_ours =
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && self.owners.contains(&stat.st_uid);
        Ok(is_ours.then_some(file))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A child that is being started has the handle as well for a moment, and with it the lock.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

/// At most so many bytes from a place of a file on; fewer only where it ends.
pub(super) fn read(file: impl AsFd, at: u64, most: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; most];
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        match rustix::io::pread(&file, room, at + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn name(number: u64) -> String {
    format!("{number:0DIGITS$}{SUFFIX}")
}

/// `0000000000000042.spool`
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_ours = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn names_are_numbers() {
        assert_eq!(name(42), "0000000000000042.spool");
        assert_eq!(number(&name(42)), Some(42));
        for other in ["42.spool", "000000000000004x.spool", "0000000000000042", "+000000000000042.spool", "lock", ""] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let directory = Directory::open(&path).unwrap();
        directory.create(1).unwrap();
        let modes = ["", "lock", "0000000000000001.spool"].map(|name| mode(&path.join(name)));
        assert_eq!(modes, [0o700, 0o600, 0o600]);
    }

    #[test]
    fn a_folder_has_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let first = Directory::open(folder.path()).unwrap();
        let error = Directory::open(folder.path()).unwrap_err();
        let expected = "another process or endpoint uses it: expected a folder of its own for each";
        assert_eq!(error, format!("spool folder {}: {expected}", folder.path().display()));
        let child = first.lock.try_clone().unwrap();
        drop(first);
        assert!(Directory::open(folder.path()).is_ok());
        drop(child);
    }

    #[test]
    fn a_folder_that_will_not_do_is_one_line_that_says_what_would() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (path, expected) in [
            (
                folder.path().join("a/b"),
                "No such file or directory (os error 2): expected the folder, or the one that it is to be made in",
            ),
            (file.clone(), "Not a directory (os error 20): expected a folder"),
            (file.join("x"), "Not a directory (os error 20): expected a folder"),
        ] {
            let error = Directory::open(&path).unwrap_err();
            assert_eq!(error, format!("spool folder {}: {expected}", path.display()));
        }
        let error = Directory::open(Path::new("/proc/spool")).unwrap_err();
        assert!(error.starts_with("spool folder /proc/spool: ") && error.contains(": expected "), "{error}");
    }

    #[test]
    fn what_is_no_plain_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "mine").unwrap();
        let path = folder.path().join("spool");
        let mut directory = Directory::open(&path).unwrap();
        symlink(&secret, path.join(name(1))).unwrap();
        std::fs::create_dir(path.join(name(2))).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path.join(name(3)), Mode::RWXU).unwrap();
        assert_eq!(directory.numbers(), Ok(vec![1, 2, 3]));
        for number in 1..=3 {
            assert!(directory.segment(number).unwrap().is_none(), "{number}");
            assert_eq!(directory.create(number).unwrap_err(), Errno::EXIST);
        }
        symlink(&secret, path.join("boots")).unwrap();
        symlink(&secret, path.join("boots.new")).unwrap();
        assert_eq!(directory.load("boots", 100), b"");
        directory.replace("boots", b"new").unwrap();
        assert_eq!(directory.load("boots", 2), b"ne");
        assert_eq!(std::fs::read(&secret).unwrap(), b"mine");
    }
}
