//! The writable layer of a container: where it is, and what a quota of its project says of it.
//!
//! An overlay names its upper folder in the options of its mount. Where a runtime gives that folder a project of its own,
//! as Docker does with `--storage-opt size` and the kubelet with its own quotas, XFS and ext4 count what is in it: nobody
//! has to look at a single file.

use super::calls::{StatFs, numbers};
use super::{mounts, parse, sys};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, fstatfs, open, openat2};
use rustix::io::Errno;

/// What a project's quota says.
///
/// Recorded, a line for each folder: `PATH PROJECT USED_BYTES USED_INODES LIMIT_BYTES LIMIT_INODES`, or `PATH ERRNO`, or
/// `PATH STUCK`. A limit of 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The number of the folder's project; 0: it has none.
    pub project: u32,
    /// Bytes and inodes in use, and the limits of both; `None`: it may not be asked.
    pub counted: Option<[u64; 4]>,
    /// What the folder's filesystem says of its size there: of the project, if that has a limit.
    pub size: StatFs,
}

/// How full a layer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use.
    pub bytes: u64,
    /// Inodes in use, where that is known.
    pub inodes: Option<u64>,
    /// How many bytes there may be; `None`: as many as the filesystem has.
    pub bytes_max: Option<u64>,
    /// How many inodes there may be.
    pub inodes_max: Option<u64>,
}

impl Quota {
    /// How full the layer is; `whole` is what the filesystem says of all of itself.
    ///
    /// Who may not ask for quotas can still tell a project with a limit: the filesystem says that it is smaller there.
    pub fn usage(&self, whole: Option<&StatFs>) -> Option<Usage> {
        if self.project == 0 {
            return None;
        }
        if let Some([bytes, inodes, bytes_max, inodes_max]) = self.counted {
            let limit = |limit| Some(limit).filter(|limit| *limit > 0);
            return Some(Usage {
                bytes,
                inodes: Some(inodes),
                bytes_max: limit(bytes_max),
                inodes_max: limit(inodes_max),
            });
        }
        let (own, whole) = (&self.size, whole?);
        let bytes = |blocks: u64| blocks.checked_mul(own.block_size);
        let has_inodes = own.files != whole.files;
        let used = own.blocks.saturating_sub(own.blocks_free);
        (own.blocks < whole.blocks).then_some(())?;
        Some(Usage {
            bytes: bytes(used)?,
            inodes: has_inodes.then(|| own.files.saturating_sub(own.files_free)),
            bytes_max: bytes(own.blocks),
            inodes_max: has_inodes.then_some(own.files),
        })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let StatFs { block_size, blocks, blocks_free, blocks_available, files, files_free, readonly } = self.size;
        let size = [block_size, blocks, blocks_free, blocks_available, files, files_free, readonly.into()];
        let head = [self.project.into(), self.counted.is_some().into()];
        let all = head.into_iter().chain(self.counted.unwrap_or_default()).chain(size);
        all.flat_map(u64::to_le_bytes).collect()
    }

    pub(super) fn read(block: &[u8]) -> Option<Self> {
        let mut words = block.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
        let mut next = || words.next();
        let (project, is_counted) = (u32::try_from(next()?).ok()?, next()? != 0);
        let counted = [next()?, next()?, next()?, next()?];
        let size = StatFs {
            block_size: next()?,
            blocks: next()?,
            blocks_free: next()?,
            blocks_available: next()?,
            files: next()?,
            files_free: next()?,
            readonly: next()? != 0,
        };
        Some(Self { project, counted: is_counted.then_some(counted), size })
    }

    /// The words behind the path of a recorded line.
    pub(super) fn recorded(words: &[&str]) -> Option<Self> {
        let [project, used_bytes, used_inodes, limit_bytes, limit_inodes] = numbers(words)?;
        let counted = Some([used_bytes, used_inodes, limit_bytes, limit_inodes]);
        Some(Self { project: u32::try_from(project).ok()?, counted, size: StatFs::default() })
    }
}

/// Asks for the quota of a folder's project, however long that takes. For the child.
pub(super) fn quota_in_time(path: &[u8]) -> Result<Quota, Errno> {
    let folder = open_below(path)?;
    let project = sys::project(&folder)?;
    let size = super::statfs::said(fstatfs(&folder)?);
    let counted = if project == 0 { None } else { counted(&folder, project).ok() };
    Ok(Quota { project, counted, size })
}

/// The kernel may be too old to be asked by way of a folder; then the disk itself has to be named.
fn counted(folder: &OwnedFd, project: u32) -> Result<[u64; 4], Errno> {
    match sys::quota_of_folder(folder, project) {
        Err(Errno::NOSYS | Errno::PERM) => {
            let device = fstat(folder)?.st_dev;
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            sys::quota_of_device(&format!("/dev/block/{major}:{minor}"), project)
        }
        counted => counted,
    }
}

/// Opens a folder: `PATH`, or `ROOT`, a zero, and a path that is not to lead out of it.
pub(super) fn open_below(path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let Some(zero) = path.iter().position(|byte| *byte == 0) else { return open(path, flags, Mode::empty()) };
    let (root, below) = (&path[..zero], &path[zero + 1..]);
    let place = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(&place, below, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, or where a filter of system calls does not know it.
        Err(Errno::NOSYS | Errno::PERM) => open([root, below].concat(), flags, Mode::empty()),
        opened => opened,
    }
}

/// An overlay that can be written to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlay {
    /// The number of the mount.
    pub(super) id: u64,
    /// The number of its device, which no other filesystem has.
    pub(super) device: Vec<u8>,
    /// Where it keeps what is written. A path that is not whole, because the runtime was short of room for its options, is
    /// told as it is.
    pub(super) upper: Vec<u8>,
}

/// The overlay that is the root of a process, from its mountinfo.
pub(super) fn root(mountinfo: &[u8]) -> Option<Overlay> {
    parse::lines(mountinfo)
        .find_map(|line| overlay(line).filter(|(mount_point, _)| *mount_point == b"/"))
        .map(|(_, it)| it)
}

/// Whether an overlay is mounted there too, wherever.
pub(super) fn knows(mountinfo: &[u8], that: &Overlay) -> bool {
    let is_it = |it: &Overlay| it.device == that.device && it.upper == that.upper;
    parse::lines(mountinfo).filter_map(overlay).any(|(_, it)| is_it(&it))
}

/// Where it is mounted, and what it is.
fn overlay(line: &[u8]) -> Option<(&[u8], Overlay)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (id, device) = (parse::number(fields.next()?)?, fields.nth(1)?.to_vec());
    let mount_point = fields.nth(1)?;
    fields.find(|field| *field == b"-")?;
    fields.next().filter(|fs_type| *fs_type == b"overlay")?;
    let options = fields.nth(1)?.split(|byte| *byte == b',');
    let upper = options.filter_map(|option| option.strip_prefix(b"upperdir=")).next()?;
    Some((mount_point, Overlay { id, device, upper: unescape(&mounts::decode(upper)) }))
}

/// `a\,b`: an overlay shows its options as they were given to it, with a backslash before what would end them.
fn unescape(option: &[u8]) -> Vec<u8> {
    let mut bytes = option.iter();
    std::iter::from_fn(|| match bytes.next() {
        Some(b'\\') => bytes.next(),
        byte => byte,
    })
    .copied()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "700 650 0:60 / / rw,relatime master:3 - overlay overlay rw,lowerdir=/l/1:/l/2,upperdir=/var/lib/\
                        a\\040b/up,workdir=/w\n";

    #[test]
    fn the_upper_folder_of_a_root() {
        let other = "701 700 0:61 / /proc rw - proc proc rw\n";
        let found = root(format!("{other}{LINE}").as_bytes()).unwrap();
        assert_eq!(found, Overlay { id: 700, device: b"0:60".to_vec(), upper: b"/var/lib/a b/up".to_vec() });
        let elsewhere = LINE.replace("700 650 0:60 / /", "40 22 0:60 / /merged");
        assert!(root(elsewhere.as_bytes()).is_none() && knows(elsewhere.as_bytes(), &found));
        for another in [elsewhere.replace("0:60", "0:6"), elsewhere.replace("/up", "/down"), other.to_owned()] {
            assert!(!knows(another.as_bytes(), &found), "{another}");
        }
        for none in
            ["", other, "700 650 0:60 / / rw - ext4 /dev/sda rw,upperdir=/x\n", "700 650 0:60 / / rw - overlay o rw\n"]
        {
            assert_eq!(root(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn options_have_escapes_of_two_kinds() {
        let line = r"1 2 0:60 / / rw - overlay o rw,upperdir=/a\134\054b\134\134c\040d\134,workdir=/w";
        let line = line.replace(r"\\", r"\");
        assert_eq!(root(format!("{line}\n").as_bytes()).unwrap().upper, br"/a,b\c d");
    }

    /// Folders, one of project 42 with limits of 1 MiB and 100 inodes, and one of project 43 without, stand in `QUOTAS`.
    #[test]
    fn projects_that_the_kernel_counts() {
        let Ok(folders) = std::env::var("QUOTAS") else {
            use std::io::Write;
            return writeln!(std::io::stderr(), "skipped: projects that the kernel counts: no QUOTAS to look at")
                .unwrap();
        };
        for (folder, (project, limits)) in folders.split(':').zip([(42, [1 << 20, 100]), (43, [0, 0])]) {
            std::fs::write(format!("{folder}/a"), vec![1; 100 << 10]).unwrap();
            rustix::fs::sync();
            let told = quota_in_time(folder.as_bytes()).unwrap();
            // The folder takes a block and an inode itself.
            let counted = [(100 << 10) + told.size.block_size, 2, limits[0], limits[1]];
            assert_eq!((told.project, told.counted), (project, Some(counted)), "{folder}");
            let whole = super::super::statfs::in_time(
                std::path::Path::new(folder).parent().unwrap().as_os_str().as_encoded_bytes(),
            );
            let usage = |counted| Quota { counted, ..told }.usage(whole.as_ref().ok());
            // Who may not ask is told by the size of the folder, if there is a limit.
            assert_eq!(usage(None), usage(told.counted).filter(|usage| usage.bytes_max.is_some()), "{folder}");
        }
    }

    #[test]
    fn a_quota_crosses_unchanged() {
        let size = StatFs {
            block_size: 1,
            blocks: 2,
            blocks_free: 3,
            blocks_available: 4,
            files: 5,
            files_free: 6,
            readonly: true,
        };
        for counted in [None, Some([1, 2, 3, u64::MAX])] {
            let quota = Quota { project: u32::MAX, counted, size };
            assert_eq!(Quota::read(&quota.bytes()), Some(quota));
        }
        assert_eq!(Quota::read(&[0; 95]), None);
    }

    #[test]
    fn a_limit_shows_even_to_those_who_may_not_ask() {
        let whole =
            StatFs { block_size: 4096, blocks: 1000, blocks_free: 500, files: 99, files_free: 9, ..StatFs::default() };
        let own =
            StatFs { block_size: 4096, blocks: 10, blocks_free: 4, files: 99, files_free: 9, ..StatFs::default() };
        let quota = Quota { project: 7, counted: None, size: own };
        let usage = Usage { bytes: 6 * 4096, inodes: None, bytes_max: Some(40960), inodes_max: None };
        assert_eq!(quota.usage(Some(&whole)), Some(usage));
        assert_eq!(Quota { size: whole, ..quota }.usage(Some(&whole)), None, "no limit");
        assert_eq!(Quota { project: 0, ..quota }.usage(Some(&whole)), None);
        let counted = Quota { counted: Some([5, 6, 0, 8]), ..quota }.usage(None);
        assert_eq!(counted, Some(Usage { bytes: 5, inodes: Some(6), bytes_max: None, inodes_max: Some(8) }));
    }

    #[test]
    fn links_do_not_lead_out_of_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        std::fs::create_dir_all(folder.path().join("data/up")).unwrap();
        std::os::unix::fs::symlink("/data", folder.path().join("lib")).unwrap();
        std::os::unix::fs::symlink("/data/up", folder.path().join("last")).unwrap();
        assert!(open_below(format!("{root}\0/lib/up").as_bytes()).is_ok());
        assert!(open_below(format!("{root}\0/../../../../lib/up").as_bytes()).is_ok());
        assert!(open_below(format!("{root}/data/up").as_bytes()).is_ok());
        assert!(open_below(format!("{root}\0/last").as_bytes()).is_err(), "the folder itself is no link");
        assert!(open_below(format!("{root}\0/none").as_bytes()).is_err());
        assert_eq!(quota_in_time(format!("{root}\0/data/up").as_bytes()).map(|quota| quota.counted), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            root(&bytes);
            Quota::read(&bytes);
        }
    }
}
