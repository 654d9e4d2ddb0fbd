//! The daemon's end of the socket to one child. Nothing here waits longer than it was told to.
//!
//! Requests go out in batches, a packet each, with a mark behind them, and the next batch goes out when the mark has come
//! back: so the socket never holds more than it can, and a child that no longer answers marks is known to be dead. While
//! the mark does not come, nudges wake more and more threads of the child, for those that work may be stuck.

use super::frame;
use super::{ARGUMENT, Answer, Answers, Mount, PACKET_MAX, STUCK_MAX};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::collections::HashMap;
use std::process::{Child as Process, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many requests, and about how many bytes of them, go out before the next mark must have come back.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 16 << 10;
/// How long the child is given before it is nudged; and how many nudges there are at once, twice as many each time.
const STALL: Duration = Duration::from_millis(5);
const NUDGES_MAX: u32 = 6;
/// A child that has said nothing for so long, though it was asked for a mark, is dead. A mark takes milliseconds.
const SILENCE: Duration = Duration::from_secs(5);

/// The child has ended, or might as well have.
#[derive(Debug)]
pub(super) struct Ended;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) process: Process,
    socket: OwnedFd,
    next: u64,
    /// The first number of this round, and how many of its requests have not come back.
    first: u64,
    awaited: usize,
    under_way: HashMap<u64, Arc<Mount>>,
    asked: HashMap<Arc<Mount>, u64>,
    mark: Option<u64>,
    /// The last mark that came back: requests before it have begun.
    begun: u64,
    heard: Instant,
    unsent: Vec<u8>,
    packet: Vec<u8>,
}

impl Link {
    /// Starts a child.
    pub(super) fn start(program: &str) -> std::io::Result<Self> {
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        let process = Command::new(program)
            .arg(ARGUMENT)
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            process,
            socket,
            next: 0,
            first: 0,
            awaited: 0,
            under_way: HashMap::new(),
            asked: HashMap::new(),
            mark: None,
            begun: 0,
            heard: Instant::now(),
            unsent: Vec::new(),
            packet: vec![0; PACKET_MAX],
        })
    }

    /// How many calls have not come back.
    pub(super) fn stuck(&self) -> usize {
        self.under_way.len()
    }

    /// Whether a call on this mount has begun and not come back.
    pub(super) fn hangs(&self, mount: &Mount) -> bool {
        self.asked.get(mount).is_some_and(|number| *number < self.begun)
    }

    /// Asks for all that is not under way, from the one at `begin` on, and waits until all have answered that were asked now,
    /// or `until`.
    pub(super) fn round(
        &mut self,
        mounts: &[Arc<Mount>],
        begin: &mut usize,
        until: Instant,
        answers: &mut Answers,
    ) -> Result<(), Ended> {
        if !self.under_way.is_empty() {
            // What came back since the last round can be asked again.
            self.read(answers)?;
            if is_zombie(self.process.id()) {
                return Err(Ended);
            }
        }
        (self.first, self.awaited) = (self.next, 0);
        *begin %= mounts.len().max(1);
        let (last, first) = mounts.split_at(*begin);
        let mut rest = first.iter().chain(last);
        let start = Instant::now();
        let mut stalls = 0;
        loop {
            if self.mark.is_none() {
                *begin += self.batch(&mut rest);
            }
            self.write()?;
            if self.mark.is_none() && self.awaited == 0 {
                *begin = 0;
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let is_held_up = self.mark.is_some() && self.unsent.is_empty();
            let heard = self.wait(if is_held_up { left.min(STALL) } else { left })?;
            if heard {
                self.read(answers)?;
            } else if is_held_up {
                self.nudge(1 << stalls.min(NUDGES_MAX));
                stalls += 1;
            }
        }
        // The daemon may have slept since the mark was asked for: silence counts only if it lasted through a round.
        let silent = self.mark.is_some() && self.heard < start && self.heard.elapsed() > SILENCE;
        if silent { Err(Ended) } else { Ok(()) }
    }

    /// Has the next requests sent; how many of the list they are, with those that need none.
    fn batch<'a>(&mut self, rest: &mut impl Iterator<Item = &'a Arc<Mount>>) -> usize {
        let (before, mut passed) = (self.awaited, 0);
        // Each request may take a thread for good, and the child has only so many.
        let room = BATCH.min(STUCK_MAX.saturating_sub(self.under_way.len()));
        while self.awaited - before < room && self.unsent.len() < BATCH_BYTES {
            let Some(mount) = rest.next() else { break };
            passed += 1;
            if frame::check(&mount.path).is_err() || self.asked.contains_key(mount) {
                continue;
            }
            frame::request(&mut self.unsent, self.next, mount.question, &mount.path);
            self.asked.insert(Arc::clone(mount), self.next);
            self.under_way.insert(self.next, Arc::clone(mount));
            self.next += 1;
            self.awaited += 1;
        }
        if self.awaited > before {
            frame::mark(&mut self.unsent, self.next);
            self.mark = Some(self.next);
            self.next += 1;
            self.heard = Instant::now();
        }
        passed
    }

    /// Waits until something can be read, or what is to be sent can be sent. Whether something can be read.
    fn wait(&self, left: Duration) -> Result<bool, Ended> {
        let timeout =
            Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: i64::from(left.subsec_nanos()) };
        let wanted = if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut socket = [PollFd::new(&self.socket, wanted)];
        match poll(&mut socket, Some(&timeout)) {
            Ok(_) => Ok(socket.iter().any(|socket| socket.revents().intersects(!PollFlags::OUT))),
            Err(Errno::INTR) => Ok(true),
            Err(_) => Err(Ended),
        }
    }

    fn write(&mut self) -> Result<(), Ended> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        match rustix::io::write(&self.socket, &self.unsent) {
            Ok(_) => self.unsent.clear(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return Err(Ended),
        }
        Ok(())
    }

    /// Wakes so many threads of the child. Those that don't get through are not needed: others wait to be read.
    fn nudge(&self, threads: usize) {
        for _ in 0..threads.min(self.awaited + 1) {
            if rustix::io::write(&self.socket, b"n").is_err() {
                break;
            }
        }
    }

    fn read(&mut self, answers: &mut Answers) -> Result<(), Ended> {
        let mut packet = std::mem::take(&mut self.packet);
        let read = loop {
            match rustix::io::read(&self.socket, &mut packet) {
                Ok(0) => break Err(Ended),
                Ok(length) => {
                    self.heard = Instant::now();
                    let frames = frame::answers(packet.get(..length).unwrap_or_default());
                    frames.for_each(|answer| self.take(answer, answers));
                    // While nothing is under way, nothing can come.
                    if self.under_way.is_empty() && self.mark.is_none() {
                        break Ok(());
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break Ok(()),
                Err(_) => break Err(Ended),
            }
        };
        self.packet = packet;
        read
    }

    fn take(&mut self, answer: (u64, Result<Answer, Errno>, Duration), answers: &mut Answers) {
        let (number, result, at) = answer;
        if self.mark == Some(number) {
            (self.mark, self.begun) = (None, number);
        }
        let Some(mount) = self.under_way.remove(&number) else { return };
        self.asked.remove(&mount);
        if number >= self.first {
            self.awaited = self.awaited.saturating_sub(1);
        }
        // It takes the place of an older answer of the same mount, if one was not used.
        answers.insert(mount, (result, at));
    }
}

/// Whether the process was killed. While calls of its hang, its socket stays open and nobody can wait for it: only its state
/// tells.
fn is_zombie(process: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{process}/stat")).unwrap_or_default();
    let name = stat.iter().rposition(|byte| *byte == b')').unwrap_or(stat.len());
    stat.get(name..).is_some_and(|rest| rest.starts_with(b") Z"))
}
