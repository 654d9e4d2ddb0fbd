//! The machine that is looked at: where its trees are mounted, what time it is there, how its calls are made.

use super::calls::Replay;
use super::cgroup::{Healths, Names, Written};
use super::handles::Rooms;
use super::{Child, Clock, lock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many buffers are kept for the collectors to come: as many as read at a time where all is well.
const BUFFERS_MAX: usize = 2;

/// A tree of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// procfs.
    Proc,
    /// `net/` of procfs, as the machine itself sees it, and not the container that we may run in.
    Net,
    /// sysfs.
    Sys,
    /// The machine's own `/`.
    Rootfs,
    /// udev's database.
    Udev,
    /// The cgroup hierarchies.
    Cgroup,
    /// This process's own folder of procfs, wherever the machine's procfs is mounted.
    Itself,
}

/// Where the trees are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// procfs.
    pub proc: String,
    /// sysfs.
    pub sys: String,
    /// The machine's own `/`.
    pub rootfs: String,
    /// udev's database.
    pub udev: String,
    /// The cgroup hierarchies.
    pub cgroup: String,
    /// The address of the system bus, if it is not where it always is.
    pub system_bus: Option<String>,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".to_owned(),
            sys: "/sys".to_owned(),
            rootfs: "/".to_owned(),
            udev: "/run/udev/data".to_owned(),
            cgroup: "/sys/fs/cgroup".to_owned(),
            system_bus: None,
        }
    }
}

impl Roots {
    /// Where the machine's own network is told of. `/proc/net` is a link to the network namespace of whoever follows it:
    /// in a container, where the machine's procfs is mounted elsewhere, that of process 1 is meant.
    fn net(&self) -> String {
        let proc = self.proc.trim_end_matches('/');
        let is_elsewhere = proc != "/proc" && std::path::Path::new(&format!("{proc}/1/net/dev")).exists();
        if is_elsewhere { format!("{proc}/1/net") } else { format!("{proc}/net") }
    }
}

/// What every [`super::Host`] of a daemon shares.
#[derive(Debug)]
pub struct Machine {
    /// Where the trees are mounted.
    pub roots: Roots,
    /// Its time.
    pub clock: Clock,
    /// Answers recorded in a file tree, where there is no live machine behind it.
    pub replay: Option<Replay>,
    /// Makes the calls that may never return.
    pub child: Child,
    /// Makes those that take long and that nobody waits for.
    pub(super) walker: Child,
    /// What runtimes know of their containers' writable layers, by container.
    pub written: Written,
    /// Who is who among its containers.
    pub names: Names,
    /// How those containers are whose runtime looks after that.
    pub healths: Healths,
    net: String,
    pub(super) rooms: Rooms,
    pub(super) readings: Mutex<Vec<Reading>>,
    /// Those that no collector reads into now.
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// The last reading of a file that several collectors want in the same round; see [`super::KeptFile::shared`].
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) root: Root,
    pub(super) path: String,
    /// Counts readings, so that nobody takes the same one twice.
    pub(super) number: u64,
    pub(super) taken: Duration,
    pub(super) bytes: Vec<u8>,
}

impl Reading {
    pub(super) fn of(root: Root, path: &str) -> Self {
        Self { root, path: path.to_owned(), number: 0, taken: Duration::ZERO, bytes: Vec::new() }
    }
}

impl Machine {
    /// The machine behind `roots`.
    pub fn new(roots: Roots, clock: Clock, replay: Option<Replay>, child: Child) -> Arc<Self> {
        let (net, rooms) = (roots.net(), Rooms::new());
        let (readings, buffers) = (Mutex::default(), Mutex::default());
        let (walker, written, names) = (child.another(), Written::default(), Names::new(clock.clone()));
        let healths = Healths::default();
        Arc::new(Self { roots, clock, replay, child, walker, names, written, healths, net, rooms, readings, buffers })
    }

    /// A buffer to read into: the one that was used last, if there is one.
    pub(super) fn buffer(&self) -> Vec<u8> {
        lock(&self.buffers).pop().unwrap_or_default()
    }

    /// Takes back a buffer. More than a few are only there while collectors hang.
    pub(super) fn lay_aside(&self, buffer: Vec<u8>) {
        let mut buffers = lock(&self.buffers);
        if buffers.len() < BUFFERS_MAX {
            buffers.push(buffer);
        }
    }

    /// The tree's mount point, without a slash at its end.
    pub fn root(&self, root: Root) -> &str {
        let path = match root {
            Root::Proc => &self.roots.proc,
            Root::Net => &self.net,
            Root::Sys => &self.roots.sys,
            Root::Rootfs => &self.roots.rootfs,
            Root::Udev => &self.roots.udev,
            Root::Cgroup => &self.roots.cgroup,
            Root::Itself => "/proc/self",
        };
        path.trim_end_matches('/')
    }

    /// How many files and folders are kept open.
    pub fn handles(&self) -> usize {
        self.rooms.taken()
    }
}
