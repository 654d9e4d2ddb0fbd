//! The only unsafe code: calls to the kernel and the C library that no library has in a safe form.
#![allow(unsafe_code)]

use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;

/// `IFNAMSIZ`: how long the name of an interface is, with the zero behind it.
pub(super) const NAME_MAX: usize = 16;
/// `SIOCETHTOOL`.
const ETHTOOL: libc::Ioctl = 0x8946;
/// Whatever the machine's pages are, the guard begins and ends with one.
const PAGE_MAX: usize = 64 << 10;

/// Lets all threads take memory from one heap.
///
/// glibc gives each thread a heap of its own, and what a thread has freed there is no use to the next one: a page that goes
/// from thread to thread, because a collector holds one up, would take its memory several times.
#[cfg(target_env = "gnu")]
pub fn share_heap() {
    // SAFETY: it sets a number of the allocator's, under its lock.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Other C libraries have but one heap.
#[cfg(not(target_env = "gnu"))]
pub fn share_heap() {}

/// Gives back the pages of code and constants that are in memory because the start needed them, or because they lie beside
/// some that it needed, and those of the heap that it has left empty. What is needed again is mapped again; without this, the
/// program would never be smaller than at its largest.
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
pub fn forget_start() {
    // SAFETY: the linker gives these names to the beginning of the program and to the end of its code; only their addresses
    // are taken.
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    let (start, end) = (&raw const __executable_start as usize, &raw const etext as usize);
    let page = rustix::param::page_size();
    let (start, end) = (start.next_multiple_of(page), end / page * page);
    // SAFETY: it takes the allocator's lock, and gives the kernel pages that hold nothing.
    let _ = unsafe { libc::malloc_trim(0) };
    if start < end {
        // SAFETY: what lies between is mapped from the program's file and can't be written to; it is read from there again.
        let _ = unsafe { rustix::mm::madvise(start as *mut c_void, end - start, rustix::mm::Advice::LinuxDontNeed) };
    }
}

/// Other programs share their code with the libraries that they load.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static")))]
pub fn forget_start() {}

/// Takes the place of glibc's `__clone3`, where the linker is told so (build.rs), and says that the kernel has none.
///
/// glibc starts threads and processes by clone3, and by clone only if the answer was ENOSYS. Docker before 20.10.10 answers
/// EPERM, as it does for all calls that it does not know: there, no thread could be started. clone does all that is asked for.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
// SAFETY: nothing else has this name, and only what the linker puts in the place of `__clone3` refers to it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___clone3(_: *mut c_void, _: usize, _: *const c_void, _: *mut c_void) -> libc::c_int {
    // SAFETY: it is where this thread's errno is.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

/// Asks for the state of the kernel's clock, and changes nothing.
///
/// The number is adjtimex's own: what C libraries call of that name may be clock_adjtime, which fewer seccomp profiles allow.
pub(super) fn adjtimex() -> Result<(i64, libc::timex), Errno> {
    // SAFETY: the struct is of whole numbers only, for which all zeros are a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    timex.modes = 0;
    // SAFETY: the kernel reads and writes one struct timex there, and keeps no pointer to it.
    let state = unsafe { libc::syscall(libc::SYS_adjtimex, &raw mut timex) };
    checked(state).map(|state| (state, timex))
}

/// Asks the driver of an interface; the question is in `room`, and there comes the answer.
pub(super) fn ethtool(socket: impl AsFd, device: [u8; NAME_MAX], room: &mut Room) -> Result<(), Errno> {
    /// `struct ifreq`, as large as the kernel reads and writes it.
    #[repr(C)]
    struct Request {
        name: [u8; NAME_MAX],
        data: *mut c_void,
        rest: [u8; 16],
    }
    let mut request = Request { name: device, data: room.start, rest: [0; 16] };
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads and writes the request, which is as large as struct ifreq, and the room: however much the
    // driver says there, it is only of the room's own memory, or ends with EFAULT on the guard behind it.
    let result = unsafe { libc::ioctl(socket, ETHTOOL, &raw mut request) };
    checked(result.into()).map(drop)
}

/// The letter of the ioctls of btrfs.
const BTRFS: u8 = 0x94;
const BTRFS_FS_INFO: Opcode = opcode::read::<BtrfsFilesystem>(BTRFS, 31);
const BTRFS_DEV_INFO: Opcode = opcode::read_write::<BtrfsDevice>(BTRFS, 30);
const BTRFS_GET_DEV_STATS: Opcode = opcode::read_write::<BtrfsErrors>(BTRFS, 52);

/// `struct btrfs_ioctl_fs_info_args`, as far as it goes on every kernel.
#[repr(C)]
pub(super) struct BtrfsFilesystem {
    /// The highest number of a device.
    pub(super) max_id: u64,
    num_devices: u64,
    pub(super) fsid: [u8; 16],
    rest: [u64; 124],
}

/// `struct btrfs_ioctl_dev_info_args`.
#[repr(C)]
pub(super) struct BtrfsDevice {
    id: u64,
    pub(super) uuid: [u8; 16],
    pub(super) bytes_used: u64,
    pub(super) total_bytes: u64,
    unused: [u64; 379],
    /// Ends with a zero.
    pub(super) path: [u8; 1024],
}

/// `struct btrfs_ioctl_get_dev_stats`.
#[repr(C)]
struct BtrfsErrors {
    id: u64,
    /// How many counts there is room for, and then how many there are.
    count: u64,
    /// 1 would set the counts to 0.
    flags: u64,
    counts: [u64; 5],
    unused: [u64; 121],
}

// The numbers of the ioctls carry these sizes.
const _: () = assert!(size_of::<BtrfsFilesystem>() == 1024);
const _: () = assert!(size_of::<BtrfsDevice>() == 4096);
const _: () = assert!(size_of::<BtrfsErrors>() == 1032);

/// Asks a btrfs for its UUID and the numbers of its devices. The folder must be on one.
pub(super) fn btrfs_filesystem(folder: impl AsFd) -> Result<BtrfsFilesystem, Errno> {
    let mut asked = BtrfsFilesystem { max_id: 0, num_devices: 0, fsid: [0; 16], rest: [0; 124] };
    // SAFETY: the number says how large the struct is that the kernel reads and writes, and it is this one; it is of whole
    // numbers only, and the kernel keeps no pointer to it.
    unsafe { ioctl(folder, Updater::<BTRFS_FS_INFO, _>::new(&mut asked))? };
    Ok(asked)
}

/// Asks a btrfs for one of its devices; ENODEV: it has none of this number.
pub(super) fn btrfs_device(folder: impl AsFd, id: u64) -> Result<BtrfsDevice, Errno> {
    let (uuid, unused, path) = ([0; 16], [0; 379], [0; 1024]);
    let mut asked = BtrfsDevice { id, uuid, bytes_used: 0, total_bytes: 0, unused, path };
    // SAFETY: as above.
    unsafe { ioctl(folder, Updater::<BTRFS_DEV_INFO, _>::new(&mut asked))? };
    Ok(asked)
}

/// Asks a btrfs for the errors of one of its devices: of writes, reads, flushes, corruption, generation. They go on counting.
pub(super) fn btrfs_errors(folder: impl AsFd, id: u64) -> Result<[u64; 5], Errno> {
    let mut asked = BtrfsErrors { id, count: 5, flags: 0, counts: [0; 5], unused: [0; 121] };
    // SAFETY: as above.
    unsafe { ioctl(folder, Updater::<BTRFS_GET_DEV_STATS, _>::new(&mut asked))? };
    if asked.count < 5 { Err(Errno::NODATA) } else { Ok(asked.counts) }
}

/// `FS_IOC_FSGETXATTR`.
const FSGETXATTR: Opcode = opcode::read::<Attributes>(b'X', 31);
/// `QCMD(Q_GETQUOTA, PRJQUOTA)`.
const GETQUOTA: libc::c_int = 0x80_0007 << 8 | 2;
/// `quotactl_fd`, the same on all machines, since Linux 5.14.
const QUOTACTL_FD: libc::c_long = 443;

/// `struct fsxattr`.
#[repr(C)]
struct Attributes {
    flags: [u32; 3],
    project: u32,
    rest: [u32; 3],
}

/// `struct if_dqblk`: limits of space are in KiB.
#[derive(Default)]
#[repr(C)]
struct Counted {
    bytes_hard: u64,
    bytes_soft: u64,
    bytes: u64,
    inodes_hard: u64,
    inodes_soft: u64,
    inodes: u64,
    times: [u64; 2],
    valid: u32,
}

const _: () = assert!(size_of::<Attributes>() == 28 && size_of::<Counted>() == 72);

impl Counted {
    fn figures(&self) -> [u64; 4] {
        let limit = |hard, soft| if hard > 0 { hard } else { soft };
        let bytes = limit(self.bytes_hard, self.bytes_soft).saturating_mul(1024);
        [self.bytes, self.inodes, bytes, limit(self.inodes_hard, self.inodes_soft)]
    }
}

/// The number of the project that a folder belongs to; 0 also where the filesystem has no projects.
pub(super) fn project(folder: impl AsFd) -> Result<u32, Errno> {
    let mut asked = Attributes { flags: [0; 3], project: 0, rest: [0; 3] };
    // SAFETY: the number says how large the struct is that the kernel writes, and it is this one; it is of whole numbers
    // only, and the kernel keeps no pointer to it.
    match unsafe { ioctl(folder, Updater::<FSGETXATTR, _>::new(&mut asked)) } {
        Err(Errno::NOTTY | Errno::OPNOTSUPP) => Ok(0),
        asked_for => asked_for.map(|()| asked.project),
    }
}

/// Bytes and inodes that a project has in use on the filesystem of a folder, and the limits of both, 0 for none.
pub(super) fn quota_of_folder(folder: impl AsFd, project: u32) -> Result<[u64; 4], Errno> {
    let (folder, mut counted) = (folder.as_fd().as_raw_fd(), Counted::default());
    // SAFETY: the kernel writes one struct if_dqblk there, and keeps no pointer to it.
    let result = unsafe { libc::syscall(QUOTACTL_FD, folder, GETQUOTA, project, &raw mut counted) };
    checked(result).map(|_| counted.figures())
}

/// The same, for the filesystem on a disk.
pub(super) fn quota_of_device(device: &str, project: u32) -> Result<[u64; 4], Errno> {
    let (device, mut counted) = (std::ffi::CString::new(device).map_err(|_| Errno::INVAL)?, Counted::default());
    // SAFETY: the name ends with a zero; the kernel writes one struct if_dqblk, and keeps no pointer to either.
    let result = unsafe { libc::syscall(libc::SYS_quotactl, GETQUOTA, device.as_ptr(), project, &raw mut counted) };
    checked(result).map(|_| counted.figures())
}

/// Has this thread run, and read disks, only when nobody else wants to. Threads that it starts are like all others.
pub(super) fn become_idle() {
    /// `IOPRIO_CLASS_IDLE` of `IOPRIO_WHO_PROCESS`, of which 0 is this thread.
    const IDLE: libc::c_int = 3 << 13;
    let nothing = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads one struct sched_param. Either call changes this thread only, and may be refused.
    unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_IDLE | libc::SCHED_RESET_ON_FORK,
            &raw const nothing,
        );
        libc::syscall(libc::SYS_ioprio_set, 1, 0, IDLE);
    }
}

/// Opens a counter that counts on one processor, whatever runs there.
pub(super) fn perf_event_open(unit: u32, config: u64, cpu: u32) -> Result<OwnedFd, Errno> {
    /// `struct perf_event_attr` as it was at first: what was added later is 0, and so is all else.
    #[repr(C)]
    struct Attributes {
        unit: u32,
        size: u32,
        config: u64,
        rest: [u64; 6],
    }
    /// `PERF_ATTR_SIZE_VER0`.
    const SIZE: u32 = 64;
    /// `PERF_FLAG_FD_CLOEXEC`.
    const CLOEXEC: libc::c_long = 1 << 3;
    const _: () = assert!(size_of::<Attributes>() == SIZE as usize);
    let attributes = Attributes { unit, size: SIZE, config, rest: [0; 6] };
    let (all, none): (libc::c_long, libc::c_long) = (-1, -1);
    // SAFETY: the kernel reads one struct, which says how large it is, and keeps no pointer to it.
    let handle = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            all,
            libc::c_long::from(cpu as i32),
            none,
            CLOEXEC,
        )
    };
    let handle = i32::try_from(checked(handle)?).map_err(|_| Errno::IO)?;
    // SAFETY: the kernel has just opened it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(handle) })
}

fn checked(result: i64) -> Result<i64, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// Memory for the answers of drivers.
///
/// With ethtool the kernel writes as many figures as the driver has at that moment, not as many as it was given room for.
/// So behind the room are pages that nobody may touch.
#[derive(Debug)]
pub(super) struct Room {
    start: *mut c_void,
}

// SAFETY: the memory is the room's own, and is reached through it only.
unsafe impl Send for Room {}

impl Room {
    /// How many bytes there are. Those that are not used cost nothing.
    pub(super) const SIZE: usize = 2 << 20;

    /// A new room, all zeros.
    pub(super) fn new() -> Result<Self, Errno> {
        let none = std::ptr::null_mut();
        // SAFETY: a new mapping where the kernel likes touches no other memory.
        let start = unsafe {
            mmap_anonymous(none, Self::SIZE + PAGE_MAX, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        let room = Self { start };
        // SAFETY: the pages are the last ones of the mapping above, which nothing refers to yet.
        unsafe { mprotect(start.byte_add(Self::SIZE), PAGE_MAX, MprotectFlags::empty())? };
        Ok(room)
    }

    /// What is in it.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes are mapped there until the room is dropped, all of them written, at first with zeros by
        // the kernel; the borrow of the room is that of its bytes.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), Self::SIZE) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the mapping is the room's own, and nothing refers to it any more.
        let _ = unsafe { munmap(self.start, Self::SIZE + PAGE_MAX) };
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod guard {
    use super::*;

    #[test]
    fn the_kernel_stops_at_the_guard() {
        let room = Room::new().unwrap();
        // SAFETY: what is asked for is more than there is room for; nothing is written behind the guard.
        let file = unsafe { libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY) };
        // SAFETY: as above.
        let read = unsafe { libc::read(file, room.start.byte_add(Room::SIZE), 1) };
        assert_eq!((read, checked(read as i64).unwrap_err()), (-1, Errno::FAULT));
        // SAFETY: the handle was opened above.
        unsafe { libc::close(file) };
    }
}
