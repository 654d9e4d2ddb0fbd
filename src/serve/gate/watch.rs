//! Whether files have changed, as far as the kernel tells without reading them.

use super::super::web::{Web, WebSource};
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file that was written so shortly before it was read may be written again without looking any different.
const YOUNG: Duration = Duration::from_millis(50);

/// The files that were read, and how they looked.
#[derive(Debug)]
pub(super) struct Watch {
    files: Vec<(PathBuf, Option<Look>)>,
    is_young: bool,
    /// What was wrong with them.
    pub(super) told: Option<String>,
}

/// How a file looks: another one, or one that was written again, looks different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    file: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// Reads the configuration. What is written meanwhile counts as young, and is seen next time.
    pub(super) fn read(source: &dyn WebSource) -> (Self, Result<Web, String>) {
        let begun = SystemTime::now();
        let reading = source.read();
        let files = looks(reading.files);
        let is_young = files.iter().any(|(_, look)| look.is_some_and(|look| look.is_young(begun)));
        (Watch { files, is_young, told: None }, reading.web)
    }

    /// Whether there may be something new.
    pub(super) fn has_changed(&self) -> bool {
        self.is_young || self.files.iter().any(|(path, look)| Look::of(path) != *look)
    }

    /// Whether the same files were read.
    pub(super) fn is_same(&self, other: &Watch) -> bool {
        self.files == other.files
    }
}

fn looks(files: Vec<PathBuf>) -> Vec<(PathBuf, Option<Look>)> {
    let look = |path: PathBuf| {
        let look = Look::of(&path);
        (path, look)
    };
    files.into_iter().map(look).collect()
}

impl Look {
    fn of(path: &Path) -> Option<Self> {
        let found = metadata(path).ok()?;
        Some(Look {
            file: (found.dev(), found.ino()),
            size: found.size(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// Whether it was written too shortly before this time, or after it; not if the clock is wrong by more than that.
    fn is_young(self, begun: SystemTime) -> bool {
        let since = Duration::new(self.changed.0.unsigned_abs(), u32::try_from(self.changed.1).unwrap_or(0));
        let begun = begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since + YOUNG > begun && since < begun + 100 * YOUNG
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::web::Reading;
    use super::*;

    struct Files(Vec<PathBuf>);

    impl WebSource for Files {
        fn read(&self) -> Reading {
            Reading { files: self.0.clone(), web: Ok(Web::default()) }
        }
    }

    #[test]
    fn every_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, absent) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
        std::fs::write(&file, "1").unwrap();
        std::os::unix::fs::symlink("a", &link).unwrap();
        let source = Files(vec![link.clone(), absent.clone()]);
        let settled = || {
            std::thread::sleep(YOUNG * 2);
            let watch = Watch::read(&source).0;
            assert!(!watch.has_changed());
            watch
        };
        let watch = settled();
        std::fs::write(&file, "2").unwrap();
        assert!(watch.has_changed(), "written");
        assert!(Watch::read(&source).0.has_changed(), "too young to be trusted");
        let watch = settled();
        std::fs::write(folder.path().join("d"), "2").unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("d", &link).unwrap();
        assert!(watch.has_changed(), "another file");
        let watch = settled();
        std::fs::write(absent, "").unwrap();
        assert!(watch.has_changed(), "there now");
    }
}
