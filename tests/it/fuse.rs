//! Filesystems that hang, on this machine: a small FUSE server inside the test.
//!
//! `Fuse::mount(Mood::Mute)` is a filesystem whose `statfs(2)` no signal ends; `Mood::Deaf` one that a kill does end. A
//! mood can change at any time; what was held back is then answered. Dropping it unmounts it and lets all calls go with an
//! error, also when the test fails: its device is closed, and the kernel ends the connection.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// How a filesystem behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers everything at once.
    Awake = 0,
    /// Takes requests and never answers: who called sleeps uninterruptibly as soon as it is to be killed.
    Mute = 1,
    /// Takes no requests, not even the first: who called can be killed.
    Deaf = 2,
    /// Is over; set by drop.
    Gone = 3,
}

/// A mounted filesystem and its server.
pub(crate) struct Fuse {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    mood: AtomicU8,
    blocks: AtomicU64,
}

/// Whether filesystems can be mounted here; says why the test is skipped if not.
pub(crate) fn available() -> bool {
    let why = if !rustix::process::geteuid().is_root() {
        "it needs root"
    } else if rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).is_err() {
        "it needs /dev/fuse"
    } else {
        match Fuse::try_mount(Mood::Awake) {
            Ok(_) => return true,
            Err(_) => "it needs the right to mount",
        }
    };
    crate::skipped(why);
    false
}

impl Fuse {
    /// Mounts a filesystem in a new folder of its own.
    pub(crate) fn mount(mood: Mood) -> Self {
        Self::try_mount(mood).unwrap()
    }

    fn try_mount(mood: Mood) -> Result<Self, Errno> {
        let folder = tempfile::Builder::new().prefix("wholenode-fuse-").tempdir().unwrap();
        let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
        let data = CString::new(format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd())).unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("wholenode-test", folder.path(), "fuse.wholenode_test", flags, data.as_c_str())?;
        let shared = Arc::new(Shared::default());
        shared.blocks.store(1000, Ordering::SeqCst);
        shared.mood.store(mood as u8, Ordering::SeqCst);
        let theirs = Arc::clone(&shared);
        let server = std::thread::spawn(move || serve(&device, &theirs));
        Ok(Self { folder, shared, server: Some(server) })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// From now on it behaves like this.
    pub(crate) fn set(&self, mood: Mood) {
        self.shared.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// From now on it says that it has so many blocks of 4096 bytes; 1000 at first.
    pub(crate) fn resize(&self, blocks: u64) {
        self.shared.blocks.store(blocks, Ordering::SeqCst);
    }

    /// Takes it out of the tree of mounts, as `umount -l` does; calls that hang go on hanging.
    pub(crate) fn detach(&self) {
        unmount(self.path(), UnmountFlags::DETACH).unwrap();
    }

    /// Unmounts it as `umount` does, which fails while anybody holds anything on it.
    pub(crate) fn unmount(&self) -> Result<(), Errno> {
        unmount(self.path(), UnmountFlags::empty())
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let _ = unmount(self.path(), UnmountFlags::DETACH);
        self.set(Mood::Gone);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn serve(device: &OwnedFd, shared: &Shared) {
    const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
    let mut held = Vec::new();
    let mut request = vec![0; 64 << 10];
    loop {
        let mood = shared.mood.load(Ordering::SeqCst);
        if mood == Mood::Gone as u8 {
            return;
        }
        if mood == Mood::Awake as u8 {
            held.drain(..).for_each(|(code, number)| answer(device, shared, code, number));
        }
        if mood == Mood::Deaf as u8 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            continue;
        }
        let _ = poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&TICK));
        match rustix::io::read(device, &mut request) {
            Ok(length) if length >= 40 => {
                let code = u32::from_le_bytes(request[4..8].try_into().unwrap());
                let number = u64::from_le_bytes(request[8..16].try_into().unwrap());
                // The mood may have changed since. Without an answer to the first request, the others would not even come.
                if code == INIT || shared.mood.load(Ordering::SeqCst) == Mood::Awake as u8 {
                    answer(device, shared, code, number);
                } else {
                    held.push((code, number));
                }
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::NOENT) => {}
            // It was unmounted; keep the mood's promise until it is dropped.
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(2)),
        }
    }
}

const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;

fn answer(device: &OwnedFd, shared: &Shared, code: u32, number: u64) {
    let mut body = Vec::new();
    let mut error = 0;
    match code {
        INIT => {
            // Protocol 7.31, no flags, requests of a page, times in nanoseconds.
            for word in [7u32, 31, 0, 0, 0, 4096, 1] {
                body.extend_from_slice(&word.to_le_bytes());
            }
            body.resize(64, 0);
        }
        STATFS => {
            let blocks = shared.blocks.load(Ordering::SeqCst);
            for count in [blocks, blocks / 2, blocks / 4, 64, 32] {
                body.extend_from_slice(&count.to_le_bytes());
            }
            for word in [4096u32, 255, 4096] {
                body.extend_from_slice(&word.to_le_bytes());
            }
            body.resize(80, 0);
        }
        GETATTR => {
            // Valid for no time; the root folder, with two links.
            body.resize(104, 0);
            body[16..24].copy_from_slice(&1u64.to_le_bytes());
            body[76..80].copy_from_slice(&0o40755u32.to_le_bytes());
            body[80..84].copy_from_slice(&2u32.to_le_bytes());
        }
        FORGET | INTERRUPT | DESTROY => return,
        _ => error = Errno::NOSYS.raw_os_error(),
    }
    let mut frame = Vec::new();
    frame.extend_from_slice(&(16 + body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&(-error).to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(&body);
    let _ = rustix::io::write(device, &frame);
}
