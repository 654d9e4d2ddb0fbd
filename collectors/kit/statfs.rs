//! `statfs(2)` in this process, for filesystems of which it is known that the call can't sleep.
//!
//! tmpfs and ext4 answer from counters in memory, even when the disk is dead. The way to them might lead over one that
//! hangs, so the path is only followed as far as the kernel has it in memory (`RESOLVE_CACHED`, Linux 5.12), and what is
//! found there must be the mount that was meant, by its number. Where any of that can't be had, the child asks.

use super::{Error, Mount, StatFs};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, fstatfs, openat2, statfs, statx};
use rustix::io::Errno;

/// `ST_RDONLY`.
const READONLY: i64 = 1;

/// Whether filesystems of this type answer without a disk or a network. Quotas of projects are read from the disk.
pub(super) fn never_sleeps(fs_type: &[u8], options: &[u8]) -> bool {
    matches!(fs_type, b"tmpfs" | b"ramfs" | b"ext2" | b"ext3" | b"ext4")
        && !options.split(|byte| *byte == b',').any(|word| word == b"prjquota" || word.starts_with(b"jqfmt"))
}

/// What the filesystem answers; `None` if asking it might take long.
pub(super) fn at_once(mount: &Mount) -> Option<Result<StatFs, Error>> {
    if !mount.never_sleeps {
        return None;
    }
    let is_meant = |number: Option<u64>| number == Some(mount.id);
    // No way leads to the root: it is not opened.
    if *mount.path == *b"/" {
        return is_meant(number(CWD, "/")).then(|| answer(mount, statfs("/")));
    }
    let folder =
        openat2(CWD, &*mount.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED).ok()?;
    is_meant(number(&folder, "")).then(|| answer(mount, fstatfs(&folder)))
}

fn answer(mount: &Mount, stat: rustix::io::Result<rustix::fs::StatFs>) -> Result<StatFs, Error> {
    stat.map(said).map_err(|errno| Error::from_errno(&String::from_utf8_lossy(&mount.path), errno))
}

/// The number of the mount that this is on: the folder itself, or the path from it on.
fn number(folder: impl AsFd, path: &str) -> Option<u64> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = statx(folder, path, flags, StatxFlags::MNT_ID).ok()?;
    (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id)
}

/// What the filesystem answers, whenever that is. For the child.
pub(super) fn in_time(path: &[u8]) -> Result<StatFs, Errno> {
    statfs(path).map(said)
}

pub(super) fn said(stat: rustix::fs::StatFs) -> StatFs {
    StatFs {
        block_size: stat.f_bsize as u64,
        blocks: stat.f_blocks,
        blocks_free: stat.f_bfree,
        blocks_available: stat.f_bavail,
        files: stat.f_files,
        files_free: stat.f_ffree,
        readonly: stat.f_flags & READONLY != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Question;
    use super::*;

    fn root() -> Mount {
        let root = openat2(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::empty()).unwrap();
        let id = number(&root, "").unwrap_or(0);
        Mount { id, path: b"/".to_vec(), never_sleeps: true, question: Question::Size }
    }

    #[test]
    fn the_same_answer_as_by_its_path_or_none() {
        let root = root();
        let Some(Ok(here)) = at_once(&root) else {
            use std::io::Write;
            // Past the capture of what tests print.
            return writeln!(std::io::stderr(), "skipped: this kernel can't say what it has in memory").unwrap();
        };
        let there = in_time(b"/").unwrap();
        assert_eq!((here.blocks, here.files, here.block_size), (there.blocks, there.files, there.block_size));
        let on_a_way = at_once(&Mount { path: b"/.".to_vec(), ..root.clone() });
        assert_eq!(on_a_way.map(|answer| answer.unwrap().blocks), Some(here.blocks));
        assert!(at_once(&Mount { id: root.id + 1_000_000, ..root.clone() }).is_none(), "another mount");
        assert!(at_once(&Mount { never_sleeps: false, ..root.clone() }).is_none());
        assert!(at_once(&Mount { path: b"/nowhere".to_vec(), ..root }).is_none(), "the child tells why");
    }

    #[test]
    fn those_that_may_sleep_are_known() {
        assert!(never_sleeps(b"ext4", b"rw,errors=remount-ro") && never_sleeps(b"tmpfs", b"rw,size=4k"));
        for (fs_type, options) in
            [(&b"nfs4"[..], &b"rw"[..]), (b"fuse.sshfs", b"rw"), (b"ext4", b"rw,prjquota"), (b"xfs", b"rw")]
        {
            assert!(!never_sleeps(fs_type, options));
        }
    }
}
