//! The daemon's end of the pipes to one child. Nothing here waits longer than it was told to.
//!
//! Requests go out in batches, each with a mark behind it, and the next batch goes out when the mark has come back: so
//! neither pipe ever holds more than it can, and a child that no longer answers marks is known to be dead.

use super::Answers;
use super::frame::{self, ANSWER, Outcome};
use super::{ARGUMENT, Mount};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::HashMap;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many requests, and about how many bytes of them, go out before the next mark must have come back.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 16 << 10;
/// A child that has said nothing for so long, though it was asked for a mark, is dead. A mark takes milliseconds.
const SILENCE: Duration = Duration::from_secs(5);

/// The child has ended, or might as well have.
#[derive(Debug)]
pub(super) struct Ended;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) process: Process,
    input: ChildStdin,
    output: ChildStdout,
    next: u64,
    /// The first number of this round, and how many of its requests have not come back.
    first: u64,
    awaited: usize,
    /// Where in the list the next round begins: where the last one ran out of time, so that everybody's turn comes.
    begin: usize,
    under_way: HashMap<u64, Arc<Mount>>,
    asked: HashMap<Arc<Mount>, u64>,
    mark: Option<u64>,
    /// The last mark that came back: requests before it have begun.
    begun: u64,
    heard: Instant,
    unsent: Vec<u8>,
    received: Vec<u8>,
}

impl Link {
    /// Starts a child.
    pub(super) fn start(program: &str) -> std::io::Result<Self> {
        let mut process = Command::new(program)
            .arg(ARGUMENT)
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Errno::PIPE.into());
        };
        rustix::io::ioctl_fionbio(&input, true)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        Ok(Self {
            process,
            input,
            output,
            next: 0,
            first: 0,
            awaited: 0,
            begin: 0,
            under_way: HashMap::new(),
            asked: HashMap::new(),
            mark: None,
            begun: 0,
            heard: Instant::now(),
            unsent: Vec::new(),
            received: Vec::new(),
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

    /// Asks for all that is not under way, and waits until all have answered that were asked now, or `until`.
    pub(super) fn round(&mut self, mounts: &[Mount], until: Instant, answers: &mut Answers) -> Result<(), Ended> {
        // What came back since the last round can be asked again.
        self.read(answers)?;
        if !self.under_way.is_empty() && is_zombie(self.process.id()) {
            return Err(Ended);
        }
        (self.first, self.awaited) = (self.next, 0);
        self.begin %= mounts.len().max(1);
        let (last, first) = mounts.split_at(self.begin);
        let mut rest = first.iter().chain(last);
        let start = Instant::now();
        loop {
            if self.mark.is_none() {
                self.batch(&mut rest);
            }
            self.write()?;
            if self.mark.is_none() && self.awaited == 0 {
                self.begin = 0;
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.wait(left)?;
            self.read(answers)?;
        }
        // The daemon may have slept since the mark was asked for: silence counts only if it lasted through a round.
        let silent = self.mark.is_some() && self.heard < start && self.heard.elapsed() > SILENCE;
        if silent { Err(Ended) } else { Ok(()) }
    }

    fn batch<'a>(&mut self, rest: &mut impl Iterator<Item = &'a Mount>) {
        let before = self.awaited;
        while self.awaited - before < BATCH && self.unsent.len() < BATCH_BYTES {
            let Some(mount) = rest.next() else { break };
            self.begin += 1;
            if frame::check(&mount.path).is_err() || self.asked.contains_key(mount) {
                continue;
            }
            let mount = Arc::new(mount.clone());
            frame::request(&mut self.unsent, self.next, &mount.path);
            self.asked.insert(Arc::clone(&mount), self.next);
            self.under_way.insert(self.next, mount);
            self.next += 1;
            self.awaited += 1;
        }
        if self.awaited > before {
            frame::request(&mut self.unsent, self.next, b"");
            self.mark = Some(self.next);
            self.next += 1;
            self.heard = Instant::now();
        }
    }

    fn wait(&self, left: Duration) -> Result<(), Ended> {
        let timeout =
            Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: i64::from(left.subsec_nanos()) };
        let mut both = [PollFd::new(&self.output, PollFlags::IN), PollFd::new(&self.input, PollFlags::OUT)];
        let wanted = if self.unsent.is_empty() { 1 } else { 2 };
        match poll(both.get_mut(..wanted).unwrap_or_default(), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(_) => Err(Ended),
        }
    }

    fn write(&mut self) -> Result<(), Ended> {
        while !self.unsent.is_empty() {
            match rustix::io::write(&self.input, &self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Err(Ended),
            }
        }
        Ok(())
    }

    fn read(&mut self, answers: &mut Answers) -> Result<(), Ended> {
        let mut bytes = [0; 16 << 10];
        loop {
            match rustix::io::read(&self.output, &mut bytes) {
                Ok(0) => return Err(Ended),
                Ok(length) => self.received.extend_from_slice(bytes.get(..length).unwrap_or_default()),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(()),
                Err(_) => return Err(Ended),
            }
            self.heard = Instant::now();
            let received = std::mem::take(&mut self.received);
            let (frames, rest) = received.as_chunks::<ANSWER>();
            for frame in frames {
                self.take(frame::read_answer(frame), answers);
            }
            self.received.extend_from_slice(rest);
        }
    }

    fn take(&mut self, (number, outcome): (u64, Outcome), answers: &mut Answers) {
        if self.mark == Some(number) {
            (self.mark, self.begun) = (None, number);
        }
        let Some(mount) = self.under_way.remove(&number) else { return };
        self.asked.remove(&mount);
        if number >= self.first {
            self.awaited = self.awaited.saturating_sub(1);
        }
        if let Outcome::Returned(result, at) = outcome {
            // It takes the place of an older answer of the same mount, if one was not used.
            answers.insert(mount, (result, at));
        }
    }
}

/// Whether the process was killed. While calls of its hang, its pipes stay open and nobody can wait for it: only its state
/// tells.
fn is_zombie(process: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{process}/stat")).unwrap_or_default();
    let name = stat.iter().rposition(|byte| *byte == b')').unwrap_or(stat.len());
    stat.get(name..).is_some_and(|rest| rest.starts_with(b") Z"))
}
