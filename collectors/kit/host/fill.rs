//! Reading what the kernel prints, to its end, into a buffer that grows.

use super::kept::{End, LINE_MAX, PAGE};
use super::{BUFFER_FIRST, FILE_MAX};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// Reads a file from its beginning to its end.
pub(super) fn fill(buffer: &mut Vec<u8>, file: &OwnedFd, end: End) -> Result<usize, Errno> {
    fill_until(buffer, file, end, usize::MAX)
}

/// Reads a file from its beginning to its end, or until there are so many bytes.
pub(super) fn fill_until(buffer: &mut Vec<u8>, file: &OwnedFd, end: End, enough: usize) -> Result<usize, Errno> {
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
            Ok(more) => {
                length += more;
                if length >= enough || end == End::Lines && more < PAGE - LINE_MAX {
                    return Ok(length);
                }
            }
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        if end == End::Short && length < buffer.len() {
            return Ok(length);
        }
    }
}

/// Reads a file that the kernel gives as a whole.
pub(in crate::kit) fn fill_whole(buffer: &mut Vec<u8>, file: &OwnedFd) -> Result<usize, Errno> {
    fill(buffer, file, End::Short)
}

/// Reads a list that the kernel gives page by page, see [`KeptFile::lines`].
pub(in crate::kit) fn fill_lines(buffer: &mut Vec<u8>, file: &OwnedFd) -> Result<usize, Errno> {
    fill(buffer, file, End::Lines)
}

/// Whether the file belongs to procfs, sysfs or a cgroup hierarchy.
pub(in crate::kit) fn is_kernel_tree(file: &OwnedFd) -> bool {
    const PROC: i64 = 0x9fa0;
    const SYSFS: i64 = 0x6265_6572;
    const CGROUP: i64 = 0x0027_e0eb;
    const CGROUP2: i64 = 0x6367_7270;
    rustix::fs::fstatfs(file).is_ok_and(|stat| matches!(stat.f_type, PROC | SYSFS | CGROUP | CGROUP2))
}
