//! The spool of an endpoint. It is read and written on a thread that lasts as long as that takes: a disk that hangs holds up
//! neither what is new nor the end of the process.

use super::figures::{Figures, add, less};
use super::pusher::Verdict;
use super::spool::{Next, Record, Spool, SpoolSettings, Ticket};
use super::time::Moment;
use super::times::Times;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

/// How many things may be left for the spool to do, while its disk is slow.
const TASKS_MAX: usize = 4;
/// How much waits in memory in the place of a folder that can't be used.
const IN_MEMORY: u64 = 8 << 20;

/// What waited for longest.
#[derive(Debug)]
pub(super) struct Oldest {
    ticket: Ticket,
    pub(super) record: Record,
    /// When its boot was, in nanoseconds since 1970.
    pub(super) boot_time: u64,
}

enum Task {
    Keep(Vec<Record>),
    Oldest(oneshot::Sender<Option<Oldest>>),
    Forget(Ticket, u32, Verdict),
    Prune,
    End(oneshot::Sender<()>),
}

/// The way to the spool of an endpoint.
#[derive(Clone)]
pub(super) struct Keeper {
    tasks: mpsc::Sender<Task>,
    figures: Arc<Figures>,
}

impl Keeper {
    /// Opens the spool in the background, on the runtime that this is called in.
    pub(super) fn start(name: &str, settings: SpoolSettings, figures: Arc<Figures>, times: Arc<dyn Times>) -> Self {
        let (tasks, asked) = mpsc::channel(TASKS_MAX);
        let desk = Desk { name: name.to_owned(), figures: Arc::clone(&figures), times };
        tokio::spawn(desk.keep(settings, asked));
        Self { tasks, figures }
    }

    /// Keeps these. If the spool has too much to do, they are dropped.
    pub(super) fn keep(&self, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        let (count, points) = (records.len() as u64, points(&records));
        add(&self.figures.entering, count);
        add(&self.figures.held, points);
        if self.tasks.try_send(Task::Keep(records)).is_err() {
            less(&self.figures.entering, count);
            less(&self.figures.held, points);
            add(&self.figures.io, points);
        }
    }

    /// Asks for the oldest record; `None` if the spool has too much to do.
    pub(super) fn oldest(&self) -> Option<oneshot::Receiver<Option<Oldest>>> {
        let (tell, told) = oneshot::channel();
        self.tasks.try_send(Task::Oldest(tell)).is_ok().then_some(told)
    }

    /// Forgets what waited for longest, of which this became. If the spool had dropped it meanwhile, it is counted as that.
    pub(super) fn forget(&self, oldest: &Oldest, verdict: Verdict) {
        // If it can't be forgotten now, it is sent once more later.
        let _ = self.tasks.try_send(Task::Forget(oldest.ticket, oldest.record.points, verdict));
    }

    /// Has what is too old dropped, and what has gathered written.
    pub(super) fn prune(&self) {
        let _ = self.tasks.try_send(Task::Prune);
    }

    /// Ends it, when all is written.
    pub(super) async fn end(&self) {
        let (tell, told) = oneshot::channel();
        if self.tasks.send(Task::End(tell)).await.is_ok() {
            let _ = told.await;
        }
    }
}

/// The spool, whose folder is one of several in a folder that may have to be made.
pub(super) fn open(settings: &SpoolSettings, at: Moment) -> Result<Spool, String> {
    if let Some(above) = settings.directory.as_ref().and_then(|folder| Path::new(folder).parent()) {
        // What is wrong with it, the spool says.
        let _ = DirBuilder::new().mode(0o700).create(above);
    }
    Spool::open(settings, at)
}

fn points(records: &[Record]) -> u64 {
    records.iter().map(|record| u64::from(record.points)).sum()
}

/// Who does what is asked of the spool.
struct Desk {
    name: String,
    figures: Arc<Figures>,
    times: Arc<dyn Times>,
}

impl Desk {
    async fn keep(self, settings: SpoolSettings, mut asked: mpsc::Receiver<Task>) {
        let opened = spawn_blocking(move || {
            let spool = self.open(settings)?;
            Some((self, spool))
        });
        let Ok(Some((mut desk, mut spool))) = opened.await else { return };
        while let Some(task) = asked.recv().await {
            let done = spawn_blocking(move || {
                let spool = desk.work(spool, task)?;
                Some((desk, spool))
            });
            match done.await {
                Ok(Some(given_back)) => (desk, spool) = given_back,
                _ => return,
            }
        }
    }

    /// The spool, or one in memory if its folder can't be used.
    fn open(&self, settings: SpoolSettings) -> Option<Spool> {
        let at = self.times.moment();
        let spool = match open(&settings, at) {
            Ok(spool) => spool,
            Err(error) => {
                let endpoint = self.name.as_str();
                tracing::error!(endpoint, %error, "what can't be pushed waits in memory, since the spool can't be used");
                let max_bytes = settings.max_bytes.min(IN_MEMORY);
                Spool::open(&SpoolSettings { directory: None, max_bytes, ..settings }, at).ok()?
            }
        };
        if let Some(boot_time) = spool.boot_time(at.boot) {
            self.times.adopt(boot_time);
        }
        self.publish(&spool, at);
        Some(spool)
    }

    /// Does one thing; the spool, unless it has ended.
    fn work(&self, mut spool: Spool, task: Task) -> Option<Spool> {
        let at = self.times.moment();
        match task {
            Task::Keep(records) => {
                records.iter().for_each(|record| spool.push(record, at));
                self.publish(&spool, at);
                less(&self.figures.entering, records.len() as u64);
                less(&self.figures.held, points(&records));
            }
            Task::Oldest(tell) => {
                let oldest = match spool.next(at) {
                    Next::Record { ticket, record, boot_time } => Some(Oldest { ticket, record, boot_time }),
                    Next::Nothing | Next::NotYet => None,
                };
                self.publish(&spool, at);
                let _ = tell.send(oldest);
            }
            Task::Forget(ticket, points, verdict) => {
                if spool.answered(ticket) {
                    verdict.count(points, &self.figures);
                }
                self.publish(&spool, at);
            }
            Task::Prune => {
                spool.prune(at);
                self.publish(&spool, at);
            }
            Task::End(tell) => {
                let lost = spool.close(at);
                if lost.points > 0 {
                    tracing::warn!(endpoint = self.name, points = lost.points, "what waited in memory is lost");
                }
                let _ = tell.send(());
                return None;
            }
        }
        Some(spool)
    }

    fn publish(&self, spool: &Spool, at: Moment) {
        let figures = spool.figures(at);
        let fault = self.figures.set_spool(figures, at.now);
        if let Some(fault) = fault {
            let endpoint = self.name.as_str();
            match fault {
                Some(error) => {
                    tracing::error!(endpoint, error, "the spool can't be written; what is new waits in memory")
                }
                None => tracing::info!(endpoint, "the spool can be written again"),
            }
        }
    }
}
