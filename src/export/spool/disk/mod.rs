//! What waits in a folder: segments of 1 to 16 MiB, written in batches, read oldest first, removed whole.
//!
//! In memory there is one line for each segment, never its records. All calls but the figures may touch the disk.
//!
//! Flash: one write for each batch, one `fdatasync` when a segment is full, a mark of how far was read after every 8
//! records. A killed process loses what waits in memory, and sends up to 8 records again; a machine that loses power also
//! loses what the kernel had not written (about 30 s), and may send again what was answered in that time.

mod boots;
mod directory;
mod reading;
mod segment;

use super::memory::Memory;
use super::record::{Head, Tally};
use crate::export::time::{BootId, Moment};
use boots::Boots;
use directory::Directory;
use rustix::fd::OwnedFd;
use rustix::fs::fdatasync;
use rustix::io::Errno;
use segment::{Found, MARK, Segment};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

/// How large a segment grows: an eighth of a small spool, a 64th of a large one, so that there are never too many.
const SEGMENT: u64 = 1 << 20;
const SEGMENT_MAX: u64 = 16 << 20;
/// How long nothing is written after the disk refused.
const PAUSE: Duration = Duration::from_secs(60);
/// After how many records the mark is moved.
const MARKED: u32 = 8;
/// How many names in the way of a new segment are stepped over.
const STEPS: u64 = 64;

/// The records of a folder, oldest first.
#[derive(Debug)]
pub(super) struct Disk {
    directory: Directory,
    boots: Boots,
    segments: VecDeque<Segment>,
    bytes: u64,
    tally: Tally,
    /// The file of the first segment.
    first: Option<OwnedFd>,
    /// The file of the last segment, while it grows.
    last: Option<OwnedFd>,
    /// The head of the oldest record.
    ahead: Option<Head>,
    /// How many records were done with since the mark was moved.
    unmarked: u32,
    /// How large a segment may be.
    most: u64,
    /// The number of the next segment.
    next: u64,
    fault: Option<Fault>,
}

/// The disk refused.
#[derive(Clone, Copy, Debug)]
struct Fault {
    errno: Errno,
    /// Since boot: nothing is written until then.
    until: Duration,
}

impl Disk {
    /// Opens a folder that may hold up to `bytes`; with what of it is torn.
    pub(super) fn open(path: &Path, bytes: u64) -> Result<(Self, Tally), String> {
        let directory = Directory::open(path)?;
        let boots = Boots::load(&directory);
        let numbers = directory.numbers().map_err(|errno| format!("spool folder {}: {errno}", path.display()))?;
        let most = (bytes / 8).clamp(1, SEGMENT).max(bytes / 64).min(SEGMENT_MAX);
        let (segments, tally) = Default::default();
        let (first, last, ahead, fault) = (None, None, None, None);
        let mut disk =
            Self { directory, boots, segments, bytes: 0, tally, first, last, ahead, unmarked: 0, most, next: 1, fault };
        let (mut torn, mut foreign) = (Tally::default(), 0);
        for number in numbers {
            match disk.find(number) {
                Some(of_it) => torn.add(of_it),
                None => foreign += 1,
            }
        }
        if foreign > 0 {
            tracing::warn!(folder = %path.display(), files = foreign, "named like the spool's, but not its; left alone");
        }
        disk.go_on();
        Ok((disk, torn))
    }

    /// Takes a segment that is there into the list; what of it is torn. None if it is somebody else's.
    fn find(&mut self, number: u64) -> Option<Tally> {
        let found = match self.directory.segment(number) {
            Ok(Some(file)) => Segment::look(number, file),
            Ok(None) | Err(Errno::NOENT | Errno::ACCESS | Errno::PERM) => Ok(Found::Foreign),
            Err(errno) => Err(errno),
        };
        Some(match found {
            Ok(Found::Segment(segment, torn)) => {
                if segment.left.records == 0 {
                    self.directory.remove(number);
                } else {
                    self.next = number + 1;
                    self.bytes += segment.size;
                    self.tally.add(segment.left);
                    self.segments.push_back(segment);
                }
                torn
            }
            Ok(Found::Torn) => {
                self.directory.remove(number);
                Tally::one(0)
            }
            Ok(Found::Foreign) => return None,
            // A bad block: the file is left for whoever looks into it.
            Err(_) => Tally::one(0),
        })
    }

    /// Goes on writing where the last process ended, so that short runs don't leave a file each.
    fn go_on(&mut self) {
        let Some(segment) = self.segments.back_mut().filter(|segment| segment.end < self.most) else { return };
        let Ok(Some(file)) = self.directory.segment(segment.number) else { return };
        // What is torn, or the seal, is written over; nothing of it may be left behind the new end.
        if rustix::fs::ftruncate(&file, segment.end).is_ok() {
            self.bytes -= segment.size - segment.end;
            segment.size = segment.end;
            self.last = Some(file);
        }
    }

    /// How many bytes the files have.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What waits.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// When about the oldest was taken.
    pub(super) fn oldest(&self) -> Option<(BootId, Duration)> {
        self.segments.front().map(|segment| segment.oldest)
    }

    /// When about the oldest of the second segment was taken: all of the first are older.
    pub(super) fn second(&self) -> Option<(BootId, Duration)> {
        self.segments.get(1).map(|segment| segment.oldest)
    }

    /// How many writes were made.
    pub(super) fn writes(&self) -> u64 {
        self.directory.writes()
    }

    /// What the disk answered, if it can't be written to.
    pub(super) fn fault(&self) -> Option<Errno> {
        self.fault.map(|fault| fault.errno)
    }

    /// When an earlier boot was, or this one as an earlier process had it.
    pub(super) fn boot_time(&self, boot: BootId) -> Option<u64> {
        self.boots.of(boot)
    }

    /// Remembers when this boot was.
    pub(super) fn learn(&mut self, at: Moment) {
        if let Some(time) = at.boot_time
            && self.may_write(at.now)
        {
            self.boots.learn(at.boot, time, &mut self.directory);
        }
    }

    /// Whether there is any sense in writing now.
    pub(super) fn may_write(&self, now: Duration) -> bool {
        self.fault.is_none_or(|fault| now >= fault.until)
    }

    /// Writes what waits in memory: one write for each segment that it goes to. What can't be written stays where it is.
    pub(super) fn write(&mut self, memory: &mut Memory, now: Duration) {
        while memory.front().is_some() {
            match self.append(memory) {
                Ok(()) => {
                    if self.fault.take().is_some() {
                        tracing::info!(folder = %self.directory.path().display(), "the spool is written again");
                    }
                }
                Err(errno) => {
                    if self.fault.is_none_or(|fault| fault.errno != errno) {
                        let folder = self.directory.path().display();
                        tracing::warn!(%folder, error = %errno, "the spool can't be written; requests wait in memory");
                    }
                    self.fault = Some(Fault { errno, until: now + PAUSE });
                    return;
                }
            }
        }
    }

    /// Writes as much as the last segment takes.
    fn append(&mut self, memory: &mut Memory) -> Result<(), Errno> {
        let Some(front) = memory.front() else { return Ok(()) };
        if self.last.is_none() {
            let file = self.create()?;
            self.segments.push_back(Segment::new(self.next, &front.head));
            self.bytes += segment::START;
            self.next += 1;
            self.last = Some(file);
        }
        let (Some(segment), Some(file)) = (self.segments.back_mut(), &self.last) else { return Ok(()) };
        let is_new = segment.end == segment::START;
        let mut bytes = if is_new { Segment::preface() } else { Vec::new() };
        let place = segment.end - bytes.len() as u64;
        let (mut added, mut count) = (Tally::default(), 0);
        for packed in memory.iter() {
            packed.write(&mut bytes);
            added.add(packed.head.tally());
            count += 1;
            if place + bytes.len() as u64 >= self.most {
                break;
            }
        }
        if let Err(errno) = self.directory.write(file, &bytes, place) {
            self.undo();
            return Err(errno);
        }
        let end = place + bytes.len() as u64;
        self.bytes += end - segment.size;
        (segment.end, segment.size) = (end, end);
        segment.left.add(added);
        self.tally.add(added);
        memory.forget(count);
        if end >= self.most {
            self.seal(true);
        }
        Ok(())
    }

    fn create(&mut self) -> Result<OwnedFd, Errno> {
        for _ in 0..STEPS {
            match self.directory.create(self.next) {
                Err(Errno::EXIST) => self.next += 1,
                other => return other,
            }
        }
        Err(Errno::EXIST)
    }

    /// Takes back what was written of a batch.
    fn undo(&mut self) {
        let (Some(segment), Some(file)) = (self.segments.back(), &self.last) else { return };
        if segment.left.records + segment.gone.records == 0 {
            self.directory.remove(segment.number);
            self.bytes -= segment.size;
            self.segments.pop_back();
            self.last = None;
        } else if rustix::fs::ftruncate(file, segment.end).is_err() {
            // It is skipped as torn.
            self.last = None;
        }
    }

    /// Closes the last segment. With `sync`, what it holds is on the disk from then on.
    fn seal(&mut self, sync: bool) {
        let (Some(segment), Some(file)) = (self.segments.back_mut(), self.last.take()) else { return };
        let seal = segment.seal();
        if self.directory.write(&file, &seal, segment.end).is_ok() {
            segment.size = segment.end + seal.len() as u64;
            self.bytes += seal.len() as u64;
        }
        if sync {
            let _ = fdatasync(&file);
        }
    }

    /// Leaves everything as the next process expects it. Nothing is waited for.
    pub(super) fn close(&mut self) {
        self.mark();
        self.seal(false);
    }

    /// Writes down how far the first segment was read.
    fn mark(&mut self) {
        if self.unmarked > 0
            && let (Some(segment), Some(file)) = (self.segments.front(), &self.first)
        {
            // If it can't be written, some records are sent again.
            let _ = self.directory.write(file, &segment.mark(), MARK);
        }
        self.unmarked = 0;
    }
}

#[cfg(test)]
impl Disk {
    pub(super) fn refuse(&mut self, errno: Option<Errno>) {
        self.directory.refusal = errno;
    }
}
