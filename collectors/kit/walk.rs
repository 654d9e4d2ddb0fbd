//! A walk through a folder: how much the files in it take. It is slow on purpose.
//!
//! The child walks, as a disk may be dead. It does so on a thread that runs only when nothing else wants a processor, reads
//! disks only when nobody else does, and looks at so many inodes in a second and no more. It never leaves the filesystem
//! that it began on, follows no link, and counts a file with several names once.

use super::{layer, sys};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, statat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// How deep it is looked: each level takes a handle.
const DEPTH_MAX: usize = 256;
/// How many files with several names are remembered, and how many bytes of names of folders that are still to be walked.
const LINKED_MAX: usize = 200_000;
const NAMES_MAX: usize = 8 << 20;
/// After so many inodes it is seen whether it is too fast.
const STEP: u64 = 16;
const ENTRIES: usize = 16 << 10;
/// How long a walk may take: whoever writes there can make the way longer all the time.
pub(super) const TIME_MAX: Duration = Duration::from_secs(3600);
/// Names and system calls need little.
const STACK: usize = 128 << 10;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// What the disk gives to the files, in bytes.
    pub bytes: u64,
    /// How many there are, folders and the first of them included.
    pub inodes: u64,
}

/// Walks at no more than `rate` inodes a second. For the child.
pub(super) fn in_time(path: &[u8], rate: u32) -> Result<Walked, Errno> {
    // A thread of its own: what becomes idle can't become anything else again without rights.
    std::thread::scope(|scope| {
        let walk = move || {
            sys::become_idle();
            walk(&layer::open_below(path)?, rate, TIME_MAX)
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, walk);
        thread.map_err(|_| Errno::AGAIN)?.join().unwrap_or(Err(Errno::IO))
    })
}

/// A folder on the way down, and the folders in it that are still to be walked.
struct Level {
    folder: OwnedFd,
    rest: Vec<CString>,
}

struct Walk {
    device: u64,
    found: Walked,
    linked: HashSet<u64>,
    names: usize,
    rate: u32,
    began: Instant,
    until: Instant,
    looked: u64,
}

fn walk(folder: &OwnedFd, rate: u32, time: Duration) -> Result<Walked, Errno> {
    let first = fstat(folder)?;
    let mut walk = Walk {
        device: first.st_dev,
        found: Walked::default(),
        linked: HashSet::new(),
        names: 0,
        rate: rate.max(1),
        began: Instant::now(),
        until: Instant::now() + time,
        looked: 0,
    };
    walk.count(&first)?;
    let mut levels = vec![walk.level(folder.try_clone().map_err(|_| Errno::MFILE)?)?];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.rest.pop() else {
            levels.pop();
            continue;
        };
        walk.names -= name.as_bytes().len();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let folder = match openat(&level.folder, &*name, flags, Mode::empty()) {
            // What is removed meanwhile is no part of it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            folder => folder?,
        };
        // Another filesystem may have been mounted there since.
        if fstat(&folder)?.st_dev != walk.device {
            continue;
        }
        if levels.len() == DEPTH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        levels.push(walk.level(folder)?);
    }
    Ok(walk.found)
}

impl Walk {
    /// Counts what is in a folder.
    fn level(&mut self, folder: OwnedFd) -> Result<Level, Errno> {
        let mut rest = Vec::new();
        let mut room = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(folder.as_fd(), &mut room);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            if stat.st_dev != self.device {
                continue;
            }
            self.count(&stat)?;
            if FileType::from_raw_mode(stat.st_mode).is_dir() {
                self.names += name.to_bytes().len();
                if self.names > NAMES_MAX {
                    return Err(Errno::NOMEM);
                }
                rest.push(name.to_owned());
            }
        }
        Ok(Level { folder, rest })
    }

    fn count(&mut self, stat: &Stat) -> Result<(), Errno> {
        let is_folder = FileType::from_raw_mode(stat.st_mode).is_dir();
        self.wait()?;
        if !is_folder && stat.st_nlink > 1 && !self.linked.insert(stat.st_ino) {
            return Ok(());
        }
        if self.linked.len() > LINKED_MAX {
            return Err(Errno::NOMEM);
        }
        let bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        self.found.bytes = self.found.bytes.saturating_add(bytes);
        self.found.inodes += 1;
        Ok(())
    }

    /// Sleeps if it was too fast so far. What was lost while the disk was slow is not made up for.
    fn wait(&mut self) -> Result<(), Errno> {
        self.looked += 1;
        if !self.looked.is_multiple_of(STEP) {
            return Ok(());
        }
        if self.began > self.until {
            return Err(Errno::TIMEDOUT);
        }
        let due = Duration::from_secs_f64(STEP as f64 / f64::from(self.rate));
        let took = self.began.elapsed();
        if let Some(left) = due.checked_sub(took) {
            std::thread::sleep(left);
        }
        self.began = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    const FAST: u32 = 1_000_000_000;

    fn walked(path: &std::path::Path, rate: u32) -> Result<Walked, Errno> {
        in_time(path.as_os_str().as_encoded_bytes(), rate)
    }

    #[test]
    fn files_folders_and_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/file"), vec![7; 100_000]).unwrap();
        std::fs::hard_link(root.join("a/b/file"), root.join("again")).unwrap();
        std::os::unix::fs::symlink("/usr", root.join("away")).unwrap();
        std::os::unix::fs::symlink(".", root.join("a/round")).unwrap();
        let blocks = |path: &str| std::fs::symlink_metadata(root.join(path)).unwrap().blocks() * 512;
        let bytes = ["", "a", "a/b", "a/b/file", "away", "a/round"].map(blocks).iter().sum();
        assert_eq!(walked(root, FAST), Ok(Walked { bytes, inodes: 6 }));
        assert_eq!(walked(&root.join("none"), FAST), Err(Errno::NOENT));
        assert_eq!(walked(&root.join("again"), FAST), Err(Errno::NOTDIR));
        assert!(walked(&root.join("away"), FAST).is_err(), "a link is not followed");
    }

    #[test]
    fn it_takes_its_time() {
        let folder = tempfile::tempdir().unwrap();
        (0..199).for_each(|number| std::fs::write(folder.path().join(number.to_string()), "").unwrap());
        let begun = Instant::now();
        assert_eq!(walked(folder.path(), 1000).unwrap().inodes, 200);
        assert!(begun.elapsed() >= Duration::from_millis(190), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_walk_that_takes_too_long_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        (0..199).for_each(|number| std::fs::write(folder.path().join(number.to_string()), "").unwrap());
        let opened = || layer::open_below(folder.path().as_os_str().as_encoded_bytes()).unwrap();
        assert_eq!(walk(&opened(), 500, Duration::from_millis(100)), Err(Errno::TIMEDOUT));
        assert_eq!(walk(&opened(), 500, TIME_MAX).unwrap().inodes, 200);
    }

    #[test]
    fn a_pit_has_a_bottom() {
        let folder = tempfile::tempdir().unwrap();
        let mut path = folder.path().to_owned();
        (0..DEPTH_MAX + 2).for_each(|_| path.push("d"));
        std::fs::create_dir_all(&path).unwrap();
        assert_eq!(walked(folder.path(), FAST), Err(Errno::NAMETOOLONG));
    }

    #[test]
    fn it_agrees_with_du() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let walked = walked(path, FAST).unwrap();
        let du = |how: &str| {
            let output = std::process::Command::new("du").args(["-s", how, "--block-size=1"]).arg(path).output();
            let output = output.unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            output.status.success().then(|| text.split('\t').next().unwrap().parse::<u64>().unwrap())
        };
        let (Some(bytes), Some(inodes)) = (du("--one-file-system"), du("--inodes")) else {
            return writeln!(std::io::stderr(), "skipped: the du of this machine has no --inodes").unwrap();
        };
        assert_eq!((walked.bytes, walked.inodes), (bytes, inodes));
    }
}
