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
            self.figures.shut_out(count, points);
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
#[derive(Clone)]
struct Desk {
    name: String,
    figures: Arc<Figures>,
    times: Arc<dyn Times>,
}

impl Desk {
    /// Does one thing after the other. Should one of them panic, the spool is opened again: what is in its folder is there.
    async fn keep(self, settings: SpoolSettings, mut asked: mpsc::Receiver<Task>) {
        loop {
            let (desk, of) = (self.clone(), settings.clone());
            let Ok(Some(mut spool)) = spawn_blocking(move || desk.open(of)).await else {
                return tracing::error!(endpoint = self.name, "there is no spool: what can't be pushed is dropped");
            };
            loop {
                let Some(task) = asked.recv().await else { return };
                let (requests, held) = match &task {
                    Task::Keep(records) => (records.len() as u64, points(records)),
                    _ => (0, 0),
                };
                let desk = self.clone();
                match spawn_blocking(move || desk.work(spool, task)).await {
                    Ok(Some(given_back)) => spool = given_back,
                    Ok(None) => return,
                    Err(_) => {
                        self.figures.shut_out(requests, held);
                        tracing::error!(endpoint = self.name, "the spool broke; it is opened again");
                        break;
                    }
                }
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
        self.figures.begin_spool(spool.figures(at).found.points);
        self.publish(&spool, at);
        Some(spool)
    }

    /// Does one thing; the spool, unless it has ended.
    fn work(&self, mut spool: Spool, task: Task) -> Option<Spool> {
        let at = self.times.moment();
        match task {
            Task::Keep(records) => {
                spool.push(&records, at);
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
                self.figures.end_spool(lost.points);
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
        let fault = self.figures.set_spool(figures);
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

#[cfg(test)]
mod tests {
    use super::super::time::BootId;
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;

    const BOOT: BootId = BootId([7; 16]);

    /// A clock with a bug that shows when it is asked for, once.
    #[derive(Default)]
    struct Watch(AtomicBool);

    impl Times for Watch {
        fn moment(&self) -> Moment {
            assert!(!self.0.swap(false, Relaxed), "a bug, say");
            Moment { boot: BOOT, now: Duration::from_secs(9), boot_time: Some(1_700_000_000_000_000_000) }
        }

        fn adopt(&self, _: u64) {}
    }

    fn record() -> Record {
        Record { taken: Duration::from_secs(8), boot: BOOT, points: 5, request: vec![1; 100] }
    }

    async fn waits(keeper: &Keeper) -> bool {
        keeper.oldest().unwrap().await.ok().flatten().is_some()
    }

    #[tokio::test]
    async fn a_spool_that_breaks_is_opened_again_and_no_counter_runs_backwards() {
        let (figures, watch) = (Arc::new(Figures::default()), Arc::new(Watch::default()));
        let settings = SpoolSettings { directory: None, max_bytes: 4 << 20, max_age: Duration::from_secs(60) };
        let keeper = Keeper::start("test", settings.clone(), Arc::clone(&figures), watch.clone());
        keeper.keep(vec![record()]);
        assert!(waits(&keeper).await);
        watch.0.store(true, Relaxed);
        keeper.keep(vec![record()]);
        assert!(!waits(&keeper).await, "what was in memory is lost");
        let dropped = |figures: &Figures| figures.dropped().map(|(_, points)| points);
        assert_eq!((dropped(&figures), figures.waiting()), ([0, 0, 0, 0, 10], 0));
        // What is too old when it comes is dropped, and stays counted when another spool takes its place.
        keeper.keep(vec![record(), Record { boot: BootId([1; 16]), ..record() }]);
        assert!(waits(&keeper).await);
        keeper.end().await;
        let ended = dropped(&figures);
        assert_eq!((ended.iter().sum::<u64>(), figures.waiting()), (20, 0));
        let keeper = Keeper::start("test", settings, Arc::clone(&figures), watch);
        assert!(!waits(&keeper).await);
        assert_eq!(dropped(&figures), ended);
    }
}
