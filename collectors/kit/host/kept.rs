//! Files that are read every round.

use super::{BUFFER_KEPT, Error, Host, Root, fill, is_kernel_tree};
use crate::kit::handles::Permit;
use crate::kit::lock;
use crate::kit::machine::Reading;
use rustix::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// How long a line may be in a file that is read by [`KeptFile::lines`].
pub(super) const LINE_MAX: usize = 512;
/// The smallest page that a kernel has.
pub(super) const PAGE: usize = 4096;

/// How long what one collector has read is new to others.
pub(super) const SHARED_FOR: Duration = Duration::from_millis(10);
/// How long what hardly ever changes is believed.
pub(super) const RARELY: Duration = Duration::from_secs(60);

/// A file that is read every round. Its handle is kept where that costs nobody anything.
///
/// Kept are only handles on procfs (files of the whole machine), sysfs and cgroupfs: a handle on a mounted filesystem
/// would hinder its unmounting, and one on `/proc/PID/net/…` keeps a dead process's network namespace alive.
#[derive(Debug)]
pub struct KeptFile {
    root: Root,
    path: String,
    end: End,
    /// The number of the shared reading that was taken last; `None`: its readings are its own.
    shared: Option<u64>,
    /// Whether it is read only once in a while, and what it was then, and when.
    rarely: bool,
    was: Option<(Duration, Box<[u8]>)>,
    handle: Option<(OwnedFd, Permit)>,
}

/// What tells that a file was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A read that gives nothing. The kernel fills only part of the buffer rather than break a record of a list.
    Nothing,
    /// A read that gives less than was asked for: the file comes whole.
    Short,
    /// A read that leaves room for one more line in the page that the kernel prints into.
    Lines,
}

impl End {
    /// An attribute of sysfs comes whole, and asking again would make the driver work again.
    pub(super) fn of(root: Root) -> Self {
        if root == Root::Sys { End::Short } else { End::Nothing }
    }
}

impl KeptFile {
    /// The file at `path` below `root`. Nothing is opened yet.
    pub fn new(root: Root, path: impl Into<String>) -> Self {
        Self { root, path: path.into(), end: End::of(root), shared: None, rarely: false, was: None, handle: None }
    }

    /// A file of procfs that is one record (the kernel's `single_open`) such as `stat` and `meminfo`: it is printed as a
    /// whole before the first byte is given, so it takes one call and not two. A list such as `net/dev` is none.
    pub fn single(path: impl Into<String>) -> Self {
        Self::new(Root::Proc, path).whole()
    }

    /// The same file as one record, see [`KeptFile::single`]: `KeptFile::new(Root::Net, "snmp").whole()`.
    pub fn whole(self) -> Self {
        Self { end: End::Short, ..self }
    }

    /// A list of the kernel's (`seq_file`) whose lines are shorter than [`LINE_MAX`]: it is given page by page, and a page
    /// with room for one more line is the last one. That spares the read that gives nothing.
    pub fn lines(self) -> Self {
        Self { end: End::Lines, ..self }
    }

    /// Like [`KeptFile::single`], for a file that costs the kernel much to print and that several collectors want: what
    /// one of them has just read, the others take in the same round. None takes the same reading twice.
    pub fn shared(path: impl Into<String>) -> Self {
        Self::single(path).to_share()
    }

    /// See [`KeptFile::shared`].
    pub fn to_share(self) -> Self {
        Self { shared: Some(0), ..self }
    }

    /// A small file that hardly ever changes: what was read is believed for [`RARELY`], and no handle is kept.
    pub fn rarely(self) -> Self {
        Self { rarely: true, ..self }
    }

    fn is_of_the_whole_machine(&self) -> bool {
        self.root != Root::Proc || !self.path.starts_with(|c: char| c.is_ascii_digit())
    }
}

impl Host {
    /// Reads a whole file that is read every round.
    ///
    /// # Errors
    /// What the kernel answered, with the path. A handle that fails is given up, and the file opened anew: a module
    /// that is loaded again has new files under the old names.
    pub fn read_kept(&mut self, file: &mut KeptFile) -> Result<&[u8], Error> {
        let length = match file.shared {
            _ if file.rarely => self.fill_rarely(file)?,
            Some(last) => self.fill_shared(file, last)?,
            None => self.fill_kept(file)?,
        };
        Ok(&self.buffer[..length])
    }

    fn fill_rarely(&mut self, file: &mut KeptFile) -> Result<usize, Error> {
        let now = self.monotonic();
        let is_believed = |(read, _): &(Duration, _)| now.saturating_sub(*read) < RARELY;
        if !file.was.as_ref().is_some_and(is_believed) {
            file.was = None;
            let length = self.fill_kept(file)?;
            file.was = Some((now, self.buffer[..length].into()));
            return Ok(length);
        }
        let was = file.was.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        Ok(self.lay_out(was))
    }

    /// Puts into the buffer what was read before.
    fn lay_out(&mut self, bytes: &[u8]) -> usize {
        if self.buffer.capacity() == 0 {
            self.buffer = self.machine.buffer();
        }
        if self.buffer.len() < bytes.len() {
            self.buffer.resize(bytes.len(), 0);
        }
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }

    fn fill_shared(&mut self, file: &mut KeptFile, last: u64) -> Result<usize, Error> {
        let machine = Arc::clone(&self.machine);
        let now = machine.clock.monotonic();
        let is_it = |reading: &&mut Reading| reading.root == file.root && reading.path == file.path;
        if let Some(reading) = lock(&machine.readings).iter_mut().find(is_it)
            && reading.number > last
            && now.saturating_sub(reading.taken) < SHARED_FOR
        {
            file.shared = Some(reading.number);
            return Ok(self.lay_out(&reading.bytes));
        }
        let length = self.fill_kept(file)?;
        let mut readings = lock(&machine.readings);
        let at = readings.iter().position(|reading| reading.root == file.root && reading.path == file.path);
        let at = at.unwrap_or_else(|| {
            readings.push(Reading::of(file.root, &file.path));
            readings.len() - 1
        });
        let reading = &mut readings[at];
        reading.bytes.clear();
        reading.bytes.extend_from_slice(&self.buffer[..length]);
        reading.bytes.shrink_to(BUFFER_KEPT);
        reading.number += 1;
        reading.taken = now;
        file.shared = Some(reading.number);
        Ok(length)
    }

    fn fill_kept(&mut self, file: &mut KeptFile) -> Result<usize, Error> {
        self.resolve(file.root, &file.path)?;
        if let Some((handle, _)) = &file.handle {
            match fill(&mut self.buffer, handle, file.end) {
                Ok(length) => return Ok(length),
                Err(_) => file.handle = None,
            }
        }
        let handle = self.open()?;
        let length = fill(&mut self.buffer, &handle, file.end).map_err(|errno| self.error(errno))?;
        if !file.rarely
            && file.is_of_the_whole_machine()
            && is_kernel_tree(&handle)
            && let Some(permit) = Permit::to_keep(&self.machine)
        {
            file.handle = Some((handle, permit));
        }
        Ok(length)
    }
}
