//! Who a container is, as its runtime tells over a socket that the operator allows.
//!
//! Collectors ask `Names` and go on. Here one task for each socket waits until somebody is wanted whom no file names, asks
//! the runtime for all that it runs, and tells. All tasks share the thread that waits for signals. Nothing waits for them,
//! and whatever a runtime does or leaves undone ends after [`PATIENCE`].

mod cri;
mod docker;
mod failure;
mod pace;
mod probe;
mod socket;
#[cfg(test)]
mod tests;

pub use probe::{Probed, probe};
pub use socket::{Api, Socket, Sockets};

use collectors::kit::cgroup::Runtime;
use collectors::kit::{Host, Machine, Root};
use failure::Failure;
use pace::Pace;
use socket::Place;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a runtime has for one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of a name or an image is kept.
const TEXT_MAX: usize = 1024;
/// How much of a container's labels is kept, in bytes.
const LABELS_MAX: usize = 4096;

/// A socket and how it fares.
#[derive(Debug)]
pub struct Source {
    place: Place,
    /// Somebody new is wanted.
    bell: Notify,
    /// It was asked.
    is_asked: AtomicBool,
    is_up: AtomicBool,
    requests: AtomicU64,
    failures: AtomicU64,
}

/// How a socket fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Whether it answered, the last time.
    pub is_up: bool,
    /// How many requests it was sent.
    pub requests: u64,
    /// How often it could not be asked, or did not answer as it should.
    pub failures: u64,
}

/// The sources of these sockets; they do nothing yet.
pub fn sources(sockets: &Sockets, rootfs: &str) -> Vec<Arc<Source>> {
    sockets.places(rootfs.trim_end_matches('/')).into_iter().map(Source::new).collect()
}

/// Has them ask and tell from now on, on the runtime that this is called in, until it ends.
pub fn start(sources: &[Arc<Source>], machine: &Arc<Machine>) {
    let all = sources.to_vec();
    machine.names.on_want(Box::new(move || all.iter().for_each(|source| source.bell.notify_one())));
    for source in sources {
        tokio::spawn(Arc::clone(source).run(Arc::clone(machine)));
    }
}

impl Source {
    fn new(place: Place) -> Arc<Self> {
        let no = AtomicU64::default;
        let (is_asked, is_up) = (AtomicBool::default(), AtomicBool::default());
        Arc::new(Self { place, bell: Notify::new(), is_asked, is_up, requests: no(), failures: no() })
    }

    /// What is spoken over it.
    pub fn api(&self) -> Api {
        self.place.api
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.place.name()
    }

    /// How it fares; nothing as long as it was not needed, or while there is none where one might be.
    pub fn figures(&self) -> Option<Figures> {
        let (requests, failures) = (self.requests.load(Relaxed), self.failures.load(Relaxed));
        self.is_asked.load(Relaxed).then(|| Figures { is_up: self.is_up.load(Relaxed), requests, failures })
    }

    async fn run(self: Arc<Self>, machine: Arc<Machine>) {
        let mut pace = Pace::default();
        // What was wanted before the bell was hung up; and how containers are is told from the beginning.
        pace.wanted(Instant::now());
        let mut changes = self.api() == Api::Docker;
        loop {
            tokio::select! {
                () = self.bell.notified() => pace.wanted(Instant::now()),
                () = until(pace.due()) => {
                    if self.wanted(&machine).is_empty() && !changes {
                        pace.rest();
                        continue;
                    }
                    let asked = self.ask(&machine).await;
                    self.log(&asked);
                    changes = asked.as_ref().map_or(changes, |changes| *changes);
                    pace.asked(Instant::now(), asked.is_ok(), !self.wanted(&machine).is_empty(), changes);
                }
            }
        }
    }

    /// The identities that are wanted and that this runtime could know.
    fn wanted(&self, machine: &Machine) -> Vec<(Runtime, String)> {
        let may_know = |runtime: &Runtime| match self.api() {
            Api::Cri => {
                matches!(runtime, Runtime::Containerd | Runtime::Crio | Runtime::Docker | Runtime::Unknown)
            }
            Api::Docker => matches!(runtime, Runtime::Docker | Runtime::Podman | Runtime::Unknown),
        };
        let mut wanted = machine.names.wanted();
        wanted.retain(|(runtime, _)| may_know(runtime));
        wanted
    }

    /// Asks once, and tells: whether what it tells changes by itself.
    async fn ask(&self, machine: &Arc<Machine>) -> Result<bool, Failure> {
        let wanted = self.wanted(machine);
        match self.api() {
            Api::Cri => cri::ask(self, &wanted, machine).await.map(|()| false),
            Api::Docker => docker::ask(self, &wanted, machine).await,
        }
    }

    async fn connect(&self) -> Result<UnixStream, Failure> {
        let mut failure = Failure::Absent;
        for path in &self.place.paths {
            failure = match timely(async { Ok(UnixStream::connect(path).await) }).await? {
                Ok(stream) => return Ok(stream),
                Err(error) => Failure::to_connect(&error),
            };
            if failure != Failure::Absent {
                break;
            }
        }
        Err(failure)
    }

    /// Counts a request, and waits for its answer as long as anything may take.
    async fn request<T>(&self, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.requests.fetch_add(1, Relaxed);
        timely(answer).await
    }

    /// Keeps the figures, and says so in the log when it begins or ends to answer.
    fn log<T>(&self, asked: &Result<T, Failure>) {
        let (api, socket) = (self.api().name(), self.path());
        let was_asked = self.is_asked.swap(true, Relaxed);
        match asked {
            Ok(_) => {
                if !self.is_up.swap(true, Relaxed) {
                    tracing::info!(api, socket, "container runtime answers");
                }
            }
            Err(Failure::Absent) if self.place.is_usual => {
                self.is_up.store(false, Relaxed);
                self.is_asked.store(false, Relaxed);
            }
            Err(failure) => {
                self.failures.fetch_add(1, Relaxed);
                if self.is_up.swap(false, Relaxed) || !was_asked {
                    tracing::warn!(api, socket, %failure, "container runtime does not tell who is who; it is asked again later");
                }
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// What comes in time.
async fn timely<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(PATIENCE, answer).await.unwrap_or(Err(Failure::Late))
}

/// Does what is to be done over a connection, and drives the connection meanwhile. No task outlives this.
async fn over<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    tokio::select! {
        biased;
        done = &mut work => return done,
        _ = &mut connection => {}
    }
    // It has ended, and what came before that may still be read.
    work.await
}

/// The process, if the machine knows it as one of that container: a runtime in a container of its own may count otherwise.
fn confirmed(machine: &Arc<Machine>, pid: Option<u32>, id: &str) -> Option<u32> {
    let pid = pid.filter(|pid| *pid != 0)?;
    let mut host = Host::new(Arc::clone(machine));
    let text = host.read(Root::Proc, format_args!("{pid}/cgroup")).ok()?;
    text.windows(id.len().max(1)).any(|part| part == id.as_bytes()).then_some(pid)
}

/// A text of bounded length.
fn text(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MAX)]).into_owned();
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

/// As many labels as there is room for.
fn bounded<'a>(labels: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(String, String)> {
    let mut room = LABELS_MAX;
    let fits = |(name, value): &(&[u8], &[u8])| {
        let takes = name.len() + value.len();
        let fits = takes <= room && name.len() <= TEXT_MAX && value.len() <= TEXT_MAX;
        room -= if fits { takes } else { 0 };
        fits
    };
    labels.filter(fits).map(|(name, value)| (text(name), text(value))).collect()
}
