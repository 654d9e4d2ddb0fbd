//! Whether a file was changed.

use super::{Error, Host};
use rustix::fs::FileType;
use std::time::Duration;

/// What tells whether a file was changed: as long as it is the same, the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The filesystem, and the number of the file on it.
    pub file: (u64, u64),
    /// How many bytes.
    pub size: u64,
    /// When its content was changed last, since 1970, as whoever wrote it says.
    pub changed: Duration,
    /// When anything about it was changed last, as the kernel says.
    pub touched: Duration,
}

impl Host {
    /// Asks about a regular file that the operator named, without opening it.
    ///
    /// # Errors
    /// What the kernel answered, or that it is no regular file.
    pub fn stamp(&mut self, path: &str) -> Result<Stamp, Error> {
        stamp(path, FileType::RegularFile, "not a regular file")
    }

    /// Asks about a folder that the operator named: its stamp changes whenever a name comes or goes.
    ///
    /// # Errors
    /// What the kernel answered, or that it is no folder.
    pub fn stamp_folder(&mut self, path: &str) -> Result<Stamp, Error> {
        stamp(path, FileType::Directory, "not a folder")
    }
}

fn stamp(path: &str, wanted: FileType, otherwise: &str) -> Result<Stamp, Error> {
    let stat = rustix::fs::stat(path).map_err(|errno| Error::from_errno(path, errno))?;
    if FileType::from_raw_mode(stat.st_mode) != wanted {
        return Err(Error::Other { path: path.to_owned(), why: otherwise.to_owned() });
    }
    Ok(Stamp {
        file: (stat.st_dev, stat.st_ino),
        size: stat.st_size.try_into().unwrap_or(0),
        changed: since_1970(stat.st_mtime, stat.st_mtime_nsec),
        touched: since_1970(stat.st_ctime, stat.st_ctime_nsec),
    })
}

fn since_1970(seconds: i64, ns: impl TryInto<u32>) -> Duration {
    Duration::new(seconds.try_into().unwrap_or(0), ns.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn a_file_that_was_replaced_has_another_stamp() {
        let tree = Tree::new(&[("a", "1\n"), ("pipe/", "")]);
        let path = format!("{}/a", tree.path());
        let before = tree.host().stamp(&path).unwrap();
        assert_eq!(tree.host().stamp(&path).unwrap(), before);
        std::fs::rename(&path, format!("{path}.old")).unwrap();
        tree.write("a", "2\n");
        assert_ne!(tree.host().stamp(&path).unwrap(), before);
        assert_eq!(before.size, 2);
        let folder = format!("{}/pipe", tree.path());
        assert!(tree.host().stamp(&folder).is_err() && tree.host().stamp_folder(&path).is_err());
        let empty = tree.host().stamp_folder(&folder).unwrap();
        assert_eq!(tree.host().stamp_folder(&folder).unwrap(), empty);
        std::thread::sleep(Duration::from_millis(20));
        tree.write("pipe/b", "");
        assert_ne!(tree.host().stamp_folder(&folder).unwrap(), empty);
    }
}
