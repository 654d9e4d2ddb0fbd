//! The child process that makes the calls which may never return.
//!
//! A `statfs(2)` on a dead network or FUSE filesystem sleeps where no signal reaches it, and the process that made it
//! can't end before it does. So the daemon never makes one: it starts its own binary once more, as a child that holds no
//! socket and no handle of ours, and asks it over a pipe. A stuck filesystem costs one thread of the child.

use super::calls::StatFs;
use super::{Error, lock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

mod serve;

pub use serve::serve;

/// The argument that makes the binary a child.
pub const ARGUMENT: &str = "statfs-child";
/// How many calls may be under way that don't come back. More are not made.
const STUCK_MAX: usize = 256;
/// How long an answer that came late may be used instead of a new one.
const LATE_MAX: Duration = Duration::from_secs(60);
/// How long to wait before a child that died is started again.
const RESTART: Duration = Duration::from_secs(1);
const ANSWER: usize = 4 + 4 + 6 * 8;

/// The daemon's side of the child: one for the whole daemon, whatever is reloaded.
#[derive(Debug)]
pub struct Child {
    program: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    process: Option<std::process::Child>,
    started: Option<Instant>,
    next: u32,
    /// Calls that have not come back, by number: of which path, since when.
    under_way: HashMap<u32, String>,
    /// Answers that came after their asker had left.
    late: HashMap<String, (Result<StatFs, Errno>, Instant)>,
    received: Vec<u8>,
}

impl Child {
    /// A child that runs this program, which must call [`serve`] when its first argument is [`ARGUMENT`].
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: Some(program.into()), state: Mutex::default() }
    }

    /// No child: nothing is ever asked.
    pub fn none() -> Self {
        Self { program: None, state: Mutex::default() }
    }

    /// How many calls have not come back.
    pub fn stuck(&self) -> usize {
        lock(&self.state).under_way.len()
    }

    /// Asks for each filesystem's size and waits until all have answered, but at most `patience`.
    ///
    /// A filesystem that did not answer is not asked again until it has, and nobody waits for it again.
    pub fn statfs(&self, paths: &[String], patience: Duration) -> Vec<Result<StatFs, Error>> {
        let mut state = lock(&self.state);
        let until = Instant::now() + patience;
        if let Err(why) = state.start(self.program.as_deref()) {
            let error = |_| Err(Error::Other { path: "the child that asks filesystems".to_owned(), why: why.clone() });
            return paths.iter().map(error).collect();
        }
        let asked = state.ask(paths);
        let mut answers = HashMap::new();
        while answers.len() < asked.len() {
            match state.receive(until.saturating_duration_since(Instant::now())) {
                Received::Answers(new) => {
                    for (path, answer) in new {
                        if asked.contains(&path) {
                            answers.insert(path, answer);
                        } else {
                            state.late.insert(path, (answer, Instant::now()));
                        }
                    }
                }
                Received::Nothing => break,
                Received::End => {
                    state.forget();
                    break;
                }
            }
        }
        state.late.retain(|_, (_, at)| at.elapsed() < LATE_MAX);
        let mut answer = |path: &String| match answers.get(path).copied().or_else(|| Some(state.late.remove(path)?.0)) {
            Some(Ok(size)) => Ok(size),
            Some(Err(errno)) => Err(Error::from_errno(path, errno)),
            None => Err(Error::Stuck { path: path.clone() }),
        };
        paths.iter().map(&mut answer).collect()
    }
}

enum Received {
    Answers(Vec<(String, Result<StatFs, Errno>)>),
    Nothing,
    End,
}

impl State {
    fn start(&mut self, program: Option<&str>) -> Result<(), String> {
        if self.process.is_some() {
            return Ok(());
        }
        let program = program.ok_or("there is none here")?;
        if self.started.is_some_and(|at| at.elapsed() < RESTART) {
            return Err("it ended, and is started again in a second".to_owned());
        }
        self.started = Some(Instant::now());
        let child = Command::new(program)
            .arg(ARGUMENT)
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(child.map_err(|error| format!("{program} could not be started: {error}"))?);
        Ok(())
    }

    /// Sends a request for each path that is not under way. The paths that were sent.
    fn ask(&mut self, paths: &[String]) -> Vec<String> {
        // Answers that came since the last round: they make room, and their filesystems can be asked again.
        while let Received::Answers(answers) = self.receive(Duration::ZERO) {
            let now = Instant::now();
            self.late.extend(answers.into_iter().map(|(path, answer)| (path, (answer, now))));
        }
        let mut frames = Vec::new();
        let mut asked = Vec::with_capacity(paths.len());
        for path in paths {
            let Ok(length) = u16::try_from(path.len()) else { continue };
            if self.under_way.values().any(|waiting| waiting == path) || self.under_way.len() >= STUCK_MAX + asked.len()
            {
                continue;
            }
            self.next = self.next.wrapping_add(1);
            frames.extend_from_slice(&self.next.to_le_bytes());
            frames.extend_from_slice(&length.to_le_bytes());
            frames.extend_from_slice(path.as_bytes());
            self.under_way.insert(self.next, path.clone());
            self.late.remove(path);
            asked.push(path.clone());
        }
        let sent = match self.process.as_mut().and_then(|process| process.stdin.as_mut()) {
            Some(pipe) => pipe.write_all(&frames),
            None => Ok(()),
        };
        if sent.is_err() {
            self.forget();
        }
        asked
    }

    /// Waits for answers.
    fn receive(&mut self, patience: Duration) -> Received {
        let Some(pipe) = self.process.as_mut().and_then(|process| process.stdout.as_mut()) else {
            return Received::End;
        };
        let timeout = Timespec {
            tv_sec: patience.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Received::Nothing,
            Ok(_) => {}
            Err(_) => return Received::End,
        }
        let mut bytes = [0; ANSWER * 64];
        match pipe.read(&mut bytes) {
            Ok(0) | Err(_) => return Received::End,
            Ok(length) => self.received.extend_from_slice(&bytes[..length]),
        }
        let mut answers = Vec::new();
        let whole = self.received.len() / ANSWER * ANSWER;
        for frame in self.received[..whole].chunks_exact(ANSWER) {
            let (number, answer) = decode(frame);
            if let Some(path) = self.under_way.remove(&number) {
                answers.push((path, answer));
            }
        }
        self.received.drain(..whole);
        Received::Answers(answers)
    }

    /// The child is no more; what it was asked is forgotten.
    fn forget(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            // Killing does not wait; where a call is stuck the process lingers until the filesystem lets go.
            let _ = process.kill();
            let _ = process.try_wait();
        }
        self.under_way.clear();
        self.received.clear();
    }
}

fn encode(number: u32, answer: Result<StatFs, Errno>) -> [u8; ANSWER] {
    let mut frame = [0; ANSWER];
    frame[..4].copy_from_slice(&number.to_le_bytes());
    match answer {
        Err(errno) => frame[4..8].copy_from_slice(&errno.raw_os_error().to_le_bytes()),
        Ok(size) => {
            let fields =
                [size.block_size, size.blocks, size.blocks_free, size.blocks_available, size.files, size.files_free];
            for (at, field) in fields.iter().enumerate() {
                frame[8 + at * 8..16 + at * 8].copy_from_slice(&field.to_le_bytes());
            }
        }
    }
    frame
}

fn decode(frame: &[u8]) -> (u32, Result<StatFs, Errno>) {
    let four = |at: usize| frame[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
    let eight = |at: usize| frame[8 + at * 8..16 + at * 8].try_into().map_or(0, u64::from_le_bytes);
    let answer = match four(4) {
        0 => Ok(StatFs {
            block_size: eight(0),
            blocks: eight(1),
            blocks_free: eight(2),
            blocks_available: eight(3),
            files: eight(4),
            files_free: eight(5),
        }),
        errno => Err(Errno::from_raw_os_error(errno as i32)),
    };
    (four(0), answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_cross_the_pipe_unchanged() {
        let size =
            StatFs { block_size: 1, blocks: 2, blocks_free: 3, blocks_available: 4, files: 5, files_free: u64::MAX };
        assert_eq!(decode(&encode(7, Ok(size))), (7, Ok(size)));
        assert_eq!(decode(&encode(u32::MAX, Err(Errno::NOTCONN))), (u32::MAX, Err(Errno::NOTCONN)));
    }

    #[test]
    fn a_program_that_is_no_child_costs_only_the_answers() {
        let paths = ["/".to_owned()];
        let answer = |program: &str| Child::new(program).statfs(&paths, Duration::from_secs(1)).remove(0);
        assert!(matches!(answer("/nonexistent"), Err(Error::Other { .. })));
        assert!(matches!(answer("/bin/true"), Err(Error::Stuck { .. })));
    }
}
