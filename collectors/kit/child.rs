//! The child process that makes the calls which may never return.
//!
//! A `statfs(2)` on a dead network or FUSE filesystem sleeps where no signal reaches it, and so does an ioctl of a btrfs whose
//! disk is dead; the process that made the call can't end before it does. So the daemon makes none that might: it starts its own binary once more, as a child that holds no
//! socket and no handle of ours but the one to be asked over. A stuck filesystem costs one thread of the child.

use super::{Btrfs, Clock, Error, Quota, StatFs, Walked, btrfs, layer, lock, statfs, walk};
use rustix::io::Errno;
use std::collections::HashMap;
use std::process::Child as Process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) mod frame;
mod link;
mod serve;

use link::Link;
pub use serve::serve;

/// The argument that makes the binary a child.
pub const ARGUMENT: &str = "statfs-child";
/// How many calls may hang at once, each in a thread of the child; while so many do, no other filesystem is asked.
pub const STUCK_MAX: usize = 256;
/// The longest packet that crosses the socket: a batch of requests, or of answers.
const PACKET_MAX: usize = 32 << 10;
/// How old an answer that came late may be to be used instead of a new one.
const LATE_MAX: Duration = Duration::from_secs(60);
/// How long a child must have run to be started again at once when it has died.
const RESTART: Duration = Duration::from_secs(1);
/// How many killed children may hang in calls before no new one is started.
const DYING_MAX: usize = 4;

/// What is asked of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// How large and how full it is: `statfs(2)`.
    Size,
    /// What a btrfs says of its devices: its ioctls.
    Devices,
    /// What the quota of a folder's project says.
    Quota,
    /// How much the files in a folder take, found out at so many inodes a second.
    Walk(u32),
}

/// What a filesystem answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To [`Question::Size`].
    Size(StatFs),
    /// To [`Question::Devices`].
    Devices(Btrfs),
    /// To [`Question::Quota`].
    Quota(Quota),
    /// To [`Question::Walk`].
    Walked(Walked),
}

impl Question {
    /// Makes the calls, which may take for ever.
    fn ask(self, path: &[u8]) -> Result<Answer, Errno> {
        match self {
            Question::Size => statfs::in_time(path).map(Answer::Size),
            Question::Devices => btrfs::in_time(path).map(Answer::Devices),
            Question::Quota => layer::quota_in_time(path).map(Answer::Quota),
            Question::Walk(rate) => walk::in_time(path, rate).map(Answer::Walked),
        }
    }
}

/// A filesystem that is asked for: where it is mounted, and the number of the mount, which tells it from what is mounted
/// there before or after it. (Who unmounts a dead server lazily and mounts a new one there wants to see the new one.)
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mount {
    /// The mount's number in the kernel: while a call on it hangs, no other mount gets the same.
    pub id: u64,
    /// Where it is mounted.
    pub path: Vec<u8>,
    /// Whether it is of a type that answers at once, whatever its disk does.
    pub never_sleeps: bool,
    /// What it is asked.
    pub question: Question,
}

/// Answers that nobody has been given yet, and when the calls returned.
type Answers = HashMap<Arc<Mount>, (Result<Answer, Errno>, Duration)>;

/// The daemon's side of the child: one for the whole daemon, whatever is reloaded.
#[derive(Debug)]
pub struct Child {
    program: Option<String>,
    stuck: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Link>,
    started: Option<Instant>,
    answers: Answers,
    /// Where in the list of each question the next round begins: where the last one ran out of time, so that everybody's turn
    /// comes.
    begin: HashMap<Question, usize>,
    /// Children that were killed; the kernel lets them go when the calls that hang return.
    dying: Vec<Process>,
}

impl Child {
    /// A child that runs this program, which must call [`serve`] when its first argument is [`ARGUMENT`].
    ///
    /// Both must be the same build, also after an upgrade: `/proc/self/exe` is.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: Some(program.into()), stuck: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// No child: nothing is ever asked.
    pub fn none() -> Self {
        Self { program: None, stuck: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// Another child of the same program, for what takes long and is nothing to wait for.
    pub(super) fn another(&self) -> Self {
        Self { program: self.program.clone(), stuck: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// How many calls had not come back when the last round ended.
    pub fn stuck(&self) -> usize {
        self.stuck.load(Ordering::Relaxed)
    }

    /// The number of the process that runs now.
    pub fn id(&self) -> Option<u32> {
        lock(&self.state).link.as_ref().map(|link| link.process.id())
    }

    /// Asks for each filesystem's size; see [`Self::ask`].
    pub fn statfs(&self, mounts: &[Arc<Mount>], patience: Duration) -> Vec<Result<StatFs, Error>> {
        let size = |answer| if let Answer::Size(size) = answer { Some(size) } else { None };
        self.ask(Question::Size, mounts, patience, size)
    }

    /// Asks each btrfs for its devices; see [`Self::ask`].
    pub fn btrfs(&self, mounts: &[Arc<Mount>], patience: Duration) -> Vec<Result<Btrfs, Error>> {
        let devices = |answer| if let Answer::Devices(devices) = answer { Some(devices) } else { None };
        self.ask(Question::Devices, mounts, patience, devices)
    }

    /// Asks for the quota of each folder's project; see [`Self::ask`].
    pub fn quotas(&self, folders: &[Arc<Mount>], patience: Duration) -> Vec<Result<Quota, Error>> {
        let quota = |answer| if let Answer::Quota(quota) = answer { Some(quota) } else { None };
        self.ask(Question::Quota, folders, patience, quota)
    }

    /// Has a folder walked; see [`Self::ask`]. Who gets `Error::Stuck` may ask again later for the answer.
    pub(super) fn walk(&self, folder: &Arc<Mount>, patience: Duration) -> Result<Walked, Error> {
        let walked = |answer| if let Answer::Walked(walked) = answer { Some(walked) } else { None };
        let answers = self.ask(folder.question, std::slice::from_ref(folder), patience, walked);
        answers.into_iter().next().unwrap_or_else(|| Err(unknown("it said nothing")))
    }

    /// Asks each filesystem and waits until all have answered, but at most `patience`. Each may come once, and all have the
    /// same question.
    ///
    /// `Error::Stuck` says that this filesystem hangs, `Error::Other` that nothing is known of it, for reasons of our own.
    ///
    /// A filesystem that did not answer is not asked again until it has, and nobody waits for it again. An answer that
    /// comes after all have left is kept: it serves once, within a minute, and only if a newer one did not come in time.
    /// So a filesystem that always takes longer than `patience` is seen one round late.
    fn ask<T>(
        &self,
        question: Question,
        mounts: &[Arc<Mount>],
        patience: Duration,
        of: impl Fn(Answer) -> Option<T>,
    ) -> Vec<Result<T, Error>> {
        let mut state = lock(&self.state);
        let failed = state.ask(self.program.as_deref(), question, mounts, Instant::now() + patience).err();
        let now = Clock::Real.monotonic();
        state.answers.retain(|_, (_, at)| now.saturating_sub(*at) < LATE_MAX);
        self.stuck.store(state.link.as_ref().map_or(0, Link::stuck), Ordering::Relaxed);
        let mut result = |mount: &Arc<Mount>| {
            if let Some((result, _)) = state.answers.remove(mount) {
                let answer = result.map_err(|errno| Error::from_errno(&shown(mount), errno))?;
                return of(answer).ok_or_else(|| unknown("it answered another question"));
            }
            // Only of a call that has begun can it be said that the filesystem is what takes so long.
            match (&failed, &state.link) {
                (Some(why), _) => Err(unknown(why)),
                (None, Some(link)) if link.hangs(mount) => Err(Error::Stuck { path: shown(mount) }),
                (None, _) => Err(unknown("it did not come to all of them in time")),
            }
        };
        mounts.iter().map(&mut result).collect()
    }
}

fn unknown(why: &str) -> Error {
    Error::Other { path: "the process that asks filesystems".to_owned(), why: why.to_owned() }
}

fn shown(mount: &Mount) -> String {
    String::from_utf8_lossy(&mount.path).replace('\0', "")
}

impl State {
    fn ask(
        &mut self,
        program: Option<&str>,
        question: Question,
        mounts: &[Arc<Mount>],
        until: Instant,
    ) -> Result<(), String> {
        for mount in mounts {
            if let Err(errno) = frame::check(&mount.path) {
                self.answers.insert(Arc::clone(mount), (Err(errno), Clock::Real.monotonic()));
            }
        }
        self.dying.retain_mut(|process| matches!(process.try_wait(), Ok(None)));
        // A child that somebody killed between two rounds costs this round nothing: its successor is asked.
        for _ in 0..2 {
            let mut link = self.start(program)?;
            let begin = self.begin.entry(question).or_default();
            if link.round(mounts, begin, until, &mut self.answers).is_ok() {
                self.link = Some(link);
                return Ok(());
            }
            self.bury(link);
        }
        Err("it ended".to_owned())
    }

    /// The child that runs, or a new one.
    fn start(&mut self, program: Option<&str>) -> Result<Link, String> {
        if let Some(link) = self.link.take() {
            return Ok(link);
        }
        let program = program.ok_or("there is none here")?;
        if self.dying.len() >= DYING_MAX {
            return Err("earlier ones were killed while filesystems hang, and can't end".to_owned());
        }
        if self.started.is_some_and(|at| at.elapsed() < RESTART) {
            return Err("it ended, and is started again in a second".to_owned());
        }
        self.started = Some(Instant::now());
        Link::start(program).map_err(|error| format!("{program} could not be started: {error}"))
    }

    fn bury(&mut self, link: Link) {
        let mut process = link.process;
        // Killing does not wait; where a call hangs the process lingers until the filesystem lets go.
        let _ = process.kill();
        self.dying.push(process);
    }
}

impl Drop for State {
    /// Waits a moment for the children to end: where process 1 of a container buries nobody, they would stay as zombies.
    fn drop(&mut self) {
        const TICK: Duration = Duration::from_millis(2);
        if let Some(link) = self.link.take() {
            self.bury(link);
        }
        for _ in 0..25 {
            self.dying.retain_mut(|process| matches!(process.try_wait(), Ok(None)));
            if self.dying.is_empty() {
                break;
            }
            std::thread::sleep(TICK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(id: u64, path: Vec<u8>) -> Arc<Mount> {
        Arc::new(Mount { id, path, never_sleeps: false, question: Question::Size })
    }

    #[test]
    fn a_program_that_is_no_child_costs_only_the_answers() {
        let mounts = [mount(1, b"/".to_vec())];
        for program in ["/nonexistent", "/bin/true"] {
            let child = Child::new(program);
            for _ in 0..3 {
                let answer = child.statfs(&mounts, Duration::from_secs(1)).remove(0);
                assert!(matches!(answer, Err(Error::Other { .. })), "{program}: {answer:?}");
            }
        }
    }

    #[test]
    fn a_program_that_never_answers_is_left_in_time() {
        let mounts: Vec<_> = (0..1000).map(|id| mount(id, vec![b'x'; 4000])).collect();
        // It neither reads nor writes.
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("mute");
        std::fs::write(&script, "#!/bin/sh\nexec sleep 2\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let child = Child::new(script.to_str().unwrap());
        let begun = Instant::now();
        let answers = child.statfs(&mounts, Duration::from_millis(100));
        assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Other { .. }))), "not their fault");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[test]
    fn paths_that_no_call_can_take_are_answered_here() {
        let child = Child::new("/bin/cat");
        let mounts = [Vec::new(), vec![b'x'; 5000]].map(|path| mount(1, path));
        let answers = child.statfs(&mounts, Duration::ZERO);
        assert!(matches!(answers[0], Err(Error::Absent { .. })), "{answers:?}");
        assert!(matches!(answers[1], Err(Error::Io { errno: Errno::NAMETOOLONG, .. })), "{answers:?}");
    }
}
