//! Store and forward: requests that wait until their receiver takes them, in memory or in a folder.
//!
//! What comes in goes out oldest first, and is forgotten only when it was answered for. What the spool has no room for,
//! what is too old, and what can never be dated is dropped, oldest first, and counted. At any time
//! `found + pushed = answered + dropped + waiting`, in records and in points.
//!
//! With a folder, records still wait in memory until the oldest of them is 30 s old: a receiver that answers costs no write,
//! and one that does not costs one in 30 s, without waiting for the disk. When that comes to it is the kernel's business. A
//! full or broken disk is tried once a minute; meanwhile records wait in memory, as many as there is room for.
//!
//! All calls but [`Spool::figures`], [`Spool::boot_time`] and [`Spool::is_empty`] may wait for the disk if there is a
//! folder: make them where waiting is allowed. Without a folder they compress at most one request.

mod disk;
mod memory;
mod record;

use super::time::{BootId, Dating, Moment};
use crate::encode::Gzip;
use disk::Disk;
use memory::Memory;
use record::{Packed, unpack};
use rustix::io::Errno;
use std::path::Path;
use std::time::Duration;

pub use record::{Record, Tally};

/// How old a record may get in memory if there is a folder. A receiver that is there has answered by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much may wait in memory if there is a folder; a quarter of a small spool.
const MEMORY_MAX: u64 = 4 << 20;

/// Where requests wait, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The folder, with which they survive the process.
    pub directory: Option<String>,
    /// How many bytes may wait, compressed; with a folder, of files and memory together.
    pub max_bytes: u64,
    /// How old they may get.
    pub max_age: Duration,
}

/// Why a record was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There was no room; with a folder, the oldest segment makes room as a whole.
    Full,
    /// It was too old.
    Old,
    /// It, or what would say where it is, is not as it was written.
    Torn,
    /// It is of an earlier boot whose time was never known.
    Undatable,
}

impl Reason {
    /// All of them, as [`SpoolFigures::dropped`] has them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Old, Self::Torn, Self::Undatable];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Old => "old",
            Self::Torn => "torn",
            Self::Undatable => "undatable",
        }
    }
}

/// What the spool has to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolFigures {
    /// When that was, since boot.
    pub as_of: Duration,
    /// What waits.
    pub waiting: Tally,
    /// How many bytes that is, in files and memory.
    pub bytes: u64,
    /// How old the oldest was then, at least.
    pub oldest: Option<Duration>,
    /// What was there when the spool was opened, torn records included.
    pub found: Tally,
    /// What came in since.
    pub pushed: Tally,
    /// What was answered for.
    pub answered: Tally,
    /// What was dropped, in the order of [`Reason::ALL`].
    pub dropped: [Tally; 4],
    /// How many writes were made to the disk.
    pub writes: u64,
    /// What the disk answered, while it can't be written to.
    pub fault: Option<String>,
}

impl SpoolFigures {
    /// How old the oldest is by now.
    pub fn oldest_age(&self, now: Duration) -> Option<Duration> {
        self.oldest.map(|age| age + now.saturating_sub(self.as_of))
    }

    /// What was dropped, by the label of its reason.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, Tally)> {
        Reason::ALL.iter().map(|reason| reason.name()).zip(self.dropped)
    }
}

/// Which record [`Spool::next`] gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What is to be sent next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing waits.
    Nothing,
    /// The oldest can't be dated until the clock is right.
    NotYet,
    /// This record.
    Record {
        /// For [`Spool::answered`].
        ticket: Ticket,
        /// The oldest.
        record: Record,
        /// When its boot was, in nanoseconds since 1970: what its times are to be dated by.
        boot_time: u64,
    },
}

/// Requests that wait for one receiver.
#[derive(Debug)]
pub struct Spool {
    most: u64,
    age: Duration,
    gzip: Gzip,
    memory: Memory,
    disk: Option<Disk>,
    /// How many records have left.
    left: u64,
    found: Tally,
    pushed: Tally,
    answered: Tally,
    dropped: [Tally; 4],
}

impl Spool {
    /// Opens the folder, if there is one, in bounded memory and without reading what waits there. Where `at` knows the
    /// time of this boot, the folder learns it: ask [`Spool::boot_time`] first, with an `at` that does not, so that start
    /// times stay the same over restarts.
    ///
    /// # Errors
    /// One line: which folder, what is wrong with it, what was expected.
    pub fn open(settings: &SpoolSettings, at: Moment) -> Result<Self, String> {
        let open = |path: &String| Disk::open(Path::new(path), settings.max_bytes);
        let (disk, torn) = settings.directory.as_ref().map(open).transpose()?.unzip();
        let (mut found, torn) = (disk.as_ref().map(Disk::tally).unwrap_or_default(), torn.unwrap_or_default());
        found.add(torn);
        let (pushed, answered, mut dropped) = Default::default();
        let drops: &mut [Tally; 4] = &mut dropped;
        drops[Reason::Torn as usize] = torn;
        let (gzip, memory) = Default::default();
        let (most, age) = (settings.max_bytes, settings.max_age);
        let mut spool = Self { most, age, gzip, memory, disk, left: 0, found, pushed, answered, dropped };
        spool.prune(at);
        Ok(spool)
    }

    /// Takes records in, and makes room for them if need be.
    pub fn push(&mut self, records: &[Record], at: Moment) {
        for record in records {
            self.pushed.add(Tally::one(record.points));
            match Packed::new(record, &mut self.gzip) {
                Some(packed) => self.memory.push(packed),
                None => self.drop_as(Reason::Full, Tally::one(record.points)),
            }
        }
        self.write_what_is_due(at.now);
        self.make_room(at.now);
    }

    /// The oldest record, which stays until it is answered for. What is too old or can never be dated is dropped first.
    pub fn next(&mut self, at: Moment) -> Next {
        loop {
            self.drop_old(at);
            let Some((boot, _)) = self.front() else { return Next::Nothing };
            let boot_time = match self.date(boot, at) {
                Dating::At(boot_time) => boot_time,
                Dating::NotYet => return Next::NotYet,
                Dating::Never => {
                    self.drop_front(Reason::Undatable);
                    continue;
                }
            };
            let record = match self.disk.as_mut().filter(|disk| disk.tally().records > 0) {
                Some(disk) => disk.read(),
                None => self.memory.front().and_then(|packed| unpack(&packed.head, &packed.body)),
            };
            match record {
                Some(record) => return Next::Record { ticket: Ticket(self.left), record, boot_time },
                None => self.drop_front(Reason::Torn),
            }
        }
    }

    /// Forgets a record that the receiver took, or refused for good. False if it had to make room meanwhile: then it was
    /// counted as dropped already.
    pub fn answered(&mut self, ticket: Ticket) -> bool {
        let is_there = ticket == Ticket(self.left) && self.front().is_some();
        if is_there {
            let tally = self.pop_front();
            self.answered.add(tally);
        }
        is_there
    }

    /// Drops what is too old, writes what is due, remembers when this boot was. To be called now and then, also
    /// while nothing is pushed.
    pub fn prune(&mut self, at: Moment) {
        if let Some(disk) = &mut self.disk {
            disk.learn(at);
        }
        self.drop_old(at);
        self.write_what_is_due(at.now);
        self.make_room(at.now);
    }

    /// A clean stop: writes what waits in memory. Nothing is waited for but the writes themselves. What has no folder, or
    /// can't be written, is lost; how much that was.
    pub fn close(mut self, at: Moment) -> Tally {
        if let Some(disk) = &mut self.disk {
            disk.learn(at);
            disk.write(&mut self.memory, at.now);
            disk.close();
        }
        self.memory.tally()
    }

    /// When a boot was, if the folder tells: for [`super::time::Time::adopt`].
    pub fn boot_time(&self, boot: BootId) -> Option<u64> {
        self.disk.as_ref()?.boot_time(boot)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting().records == 0
    }

    /// What there is to tell.
    pub fn figures(&self, at: Moment) -> SpoolFigures {
        let first = self.memory.front().map(|packed| (packed.head.boot, packed.head.taken));
        let oldest = self.disk.as_ref().and_then(Disk::oldest).or(first);
        SpoolFigures {
            as_of: at.now,
            waiting: self.waiting(),
            bytes: self.bytes(),
            oldest: oldest.map(|taken| self.age(taken, at)),
            found: self.found,
            pushed: self.pushed,
            answered: self.answered,
            dropped: self.dropped,
            writes: self.disk.as_ref().map_or(0, Disk::writes),
            fault: self.disk.as_ref().and_then(Disk::fault).map(|errno| errno.to_string()),
        }
    }

    fn waiting(&self) -> Tally {
        let mut waiting = self.memory.tally();
        waiting.add(self.disk.as_ref().map(Disk::tally).unwrap_or_default());
        waiting
    }

    fn bytes(&self) -> u64 {
        self.memory.bytes() + self.disk.as_ref().map_or(0, Disk::bytes)
    }

    fn date(&self, boot: BootId, at: Moment) -> Dating {
        match (boot == at.boot, at.boot_time) {
            (true, Some(boot_time)) => Dating::At(boot_time),
            (true, None) => Dating::NotYet,
            (false, _) => self.boot_time(boot).map_or(Dating::Never, Dating::At),
        }
    }

    /// How old something is; at least so old, if it is of an earlier boot and one of the two boots is not dated.
    fn age(&self, (boot, taken): (BootId, Duration), at: Moment) -> Duration {
        if boot == at.boot {
            return at.now.saturating_sub(taken);
        }
        let between = at.boot_time.zip(self.boot_time(boot)).map(|(this, that)| this.saturating_sub(that));
        between.map_or(at.now, |between| (at.now + Duration::from_nanos(between)).saturating_sub(taken))
    }

    fn drop_as(&mut self, reason: Reason, tally: Tally) {
        self.dropped[reason as usize].add(tally);
    }

    /// When the oldest was taken.
    fn front(&mut self) -> Option<(BootId, Duration)> {
        let mut torn = Tally::default();
        let head = self.disk.as_mut().and_then(|disk| disk.front(&mut torn));
        self.left += torn.records;
        self.drop_as(Reason::Torn, torn);
        let head = head.or_else(|| self.memory.front().map(|packed| packed.head))?;
        Some((head.boot, head.taken))
    }

    /// Takes the oldest away.
    fn pop_front(&mut self) -> Tally {
        let mut torn = Tally::default();
        let head = match &mut self.disk {
            Some(disk) => disk.front(&mut torn).inspect(|_| disk.advance()),
            None => None,
        };
        let head = head.or_else(|| self.memory.pop());
        self.left += torn.records + u64::from(head.is_some());
        self.drop_as(Reason::Torn, torn);
        head.map(|head| head.tally()).unwrap_or_default()
    }

    fn drop_front(&mut self, reason: Reason) {
        let tally = self.pop_front();
        self.drop_as(reason, tally);
    }

    fn drop_segment(&mut self, reason: Reason) {
        let tally = self.disk.as_mut().map(Disk::drop_first).unwrap_or_default();
        self.left += tally.records;
        self.drop_as(reason, tally);
    }

    fn drop_old(&mut self, at: Moment) {
        while self.disk.as_ref().and_then(Disk::second).is_some_and(|taken| self.age(taken, at) > self.age) {
            self.drop_segment(Reason::Old);
        }
        while self.front().is_some_and(|taken| self.age(taken, at) > self.age) {
            self.drop_front(Reason::Old);
        }
    }

    /// Drops the oldest until the rest may stay.
    fn make_room(&mut self, now: Duration) {
        while self.bytes() > self.most {
            match &self.disk {
                Some(disk) if disk.tally().records > 0 => self.drop_segment(Reason::Full),
                _ if self.memory.front().is_some() => self.drop_front(Reason::Full),
                _ => break,
            }
        }
        let Some(disk) = &mut self.disk else { return };
        let most = MEMORY_MAX.min(self.most / 4);
        // The disk is full: the oldest there makes room for the newest.
        if self.memory.bytes() > most && disk.fault().is_some_and(is_full) && disk.tally().records > 0 {
            self.drop_segment(Reason::Full);
            if let Some(disk) = &mut self.disk {
                disk.write(&mut self.memory, now);
            }
        }
        // Another fault leaves what is on the disk alone.
        while self.memory.bytes() > most
            && let Some(head) = self.memory.pop()
        {
            let is_oldest = self.disk.as_ref().is_none_or(|disk| disk.tally().records == 0);
            self.left += u64::from(is_oldest);
            self.drop_as(Reason::Full, head.tally());
        }
    }

    fn write_what_is_due(&mut self, now: Duration) {
        let (Some(disk), Some(oldest)) = (&mut self.disk, self.memory.front()) else { return };
        let is_old = now.saturating_sub(oldest.head.taken) >= PATIENCE;
        let is_due = is_old || self.memory.bytes() > MEMORY_MAX.min(self.most / 4);
        if is_due && disk.may_write(now) {
            disk.write(&mut self.memory, now);
        }
    }
}

fn is_full(errno: Errno) -> bool {
    matches!(errno, Errno::NOSPC | Errno::DQUOT)
}

#[cfg(test)]
mod tests;
