//! What all threads of the server wait at: one epoll instance, and the lists of what is to be done beside its events.
//!
//! Nearly everything that puts something on a list runs on a thread of the server, and each thread looks at the lists
//! before it waits again: nothing has to be woken for them. Who checks passwords rings the bell.

use super::conn::Conn;
use super::lock;
use super::share::Job;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::{Errno, write};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// What a key means whose highest bit is set; all others are the numbers of connections.
pub(super) const BELL: u64 = u64::MAX;
pub(super) const ALARM: u64 = u64::MAX - 1;
pub(super) const CLOCK: u64 = u64::MAX - 2;
pub(super) const LISTENERS: u64 = 1 << 63;

/// What all threads of the server wait at.
pub(super) struct Hub {
    epoll: OwnedFd,
    /// Rung to wake threads for what is no event.
    bell: OwnedFd,
    ready: Mutex<VecDeque<Arc<Conn>>>,
    jobs: Mutex<VecDeque<Arc<Job>>>,
    ended: AtomicBool,
}

impl Hub {
    /// # Errors
    /// The kernel has no file descriptors left.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &bell, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        Ok(Hub { epoll, bell, ready: Mutex::default(), jobs: Mutex::default(), ended: AtomicBool::new(false) })
    }

    /// Events of this are told with this key from now on.
    pub(super) fn add(&self, what: impl AsFd, key: u64, events: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, what, EventData::new_u64(key), events)?)
    }

    /// The next one of these events is told, even if it is there already.
    pub(super) fn arm(&self, what: impl AsFd, key: u64, events: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, what, EventData::new_u64(key), events | EventFlags::ONESHOT)?)
    }

    /// Waits for an event, and tells its key; none if there was none in this time.
    pub(super) fn wait(&self, room: &mut Vec<Event>, timeout: Option<&Timespec>) -> io::Result<Option<u64>> {
        room.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(room), timeout) {
            Ok(_) => Ok(room.first().map(|event| event.data.u64())),
            Err(Errno::INTR) => Ok(Some(BELL)),
            Err(error) => Err(error.into()),
        }
    }

    /// A connection has something to do.
    pub(super) fn ready(&self, conn: Arc<Conn>) {
        lock(&self.ready).push_back(conn);
    }

    pub(super) fn take_ready(&self) -> Option<Arc<Conn>> {
        let conn = lock(&self.ready).pop_front()?;
        conn.taken();
        Some(conn)
    }

    /// A page is to be made.
    pub(super) fn submit(&self, job: Arc<Job>) {
        lock(&self.jobs).push_back(job);
    }

    /// The page that has waited longest for its thread, and whether more of them wait.
    pub(super) fn take_job(&self) -> Option<(Arc<Job>, bool)> {
        let mut jobs = lock(&self.jobs);
        let job = jobs.pop_front()?;
        Some((job, !jobs.is_empty()))
    }

    /// Back to the others: there is no thread for it.
    pub(super) fn put_back(&self, job: Arc<Job>) {
        lock(&self.jobs).push_front(job);
    }

    /// Wakes one thread, so that it looks at the lists.
    pub(super) fn nudge(&self) {
        // Fails only if it was rung 2^64 times.
        let _ = write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// All threads end, as soon as they come here.
    pub(super) fn end(&self) {
        self.ended.store(true, SeqCst);
        // Level-triggered, and never silenced: it wakes all, one after the other.
        let _ = epoll::modify(&self.epoll, &self.bell, EventData::new_u64(BELL), EventFlags::IN);
        self.nudge();
    }

    pub(super) fn ended(&self) -> bool {
        self.ended.load(SeqCst)
    }
}
