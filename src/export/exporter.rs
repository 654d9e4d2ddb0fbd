//! All endpoints together: started, changed by a reload, stopped.

use super::endpoint::{Endpoint, Export, Identity};
use super::figures::Figures;
use super::keeper::Keeper;
use super::mailbox::Mailbox;
use super::pusher::{Lane, Pusher};
use super::resource;
use super::rounds::{self, Ask, Change, Common, Customer};
use super::schedule::{Schedule, number};
use super::times::{Clock, Times};
use super::transport::Transport;
use crate::encode::otlp::Shape;
use crate::engine::Engine;
use collectors::kit::{Filter, Host, Machine, lock};
use collectors::model::Batch;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long a round waits for the machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to stop: what is under way, and then what is to be written.
const STOP: Duration = Duration::from_millis(1200);
/// How many changes may wait for the round that is under way.
const CHANGES_MAX: usize = 64;

/// What the page tells of pushing.
#[derive(Debug, Default)]
pub(crate) struct Board {
    figures: Mutex<Vec<(String, Arc<Figures>)>>,
}

impl Board {
    /// Puts the figures of all endpoints.
    pub(crate) fn put(&self, machine: &Machine, out: &mut Batch) {
        for (name, figures) in lock(&self.figures).iter() {
            figures.put(name, machine.clock.boot(), out);
        }
    }

    /// Forgets all endpoints but these.
    fn retain(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.figures).retain(|(name, _)| is_there(name));
    }

    /// The figures of an endpoint: it may have been there before, and counters go on.
    fn of(&self, name: &str) -> Arc<Figures> {
        let mut all = lock(&self.figures);
        if let Some((_, figures)) = all.iter().find(|(known, _)| known == name) {
            return Arc::clone(figures);
        }
        let figures = Arc::new(Figures::default());
        all.push((name.to_owned(), Arc::clone(&figures)));
        figures
    }
}

/// An endpoint that is pushed to.
struct Running {
    endpoint: Endpoint,
    identity: Identity,
    lane: Lane,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Everything that pushes.
pub(crate) struct Exporter {
    engine: Arc<Engine>,
    board: Arc<Board>,
    families: Arc<Mutex<Arc<Filter>>>,
    times: Option<Arc<dyn Times>>,
    /// When this process was started, since the machine was.
    started: Duration,
    running: Vec<Running>,
    changes: Option<(mpsc::Sender<Change>, watch::Sender<bool>)>,
}

impl Exporter {
    /// Nothing runs yet.
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let (board, families) = (Arc::default(), Arc::default());
        let started = engine.machine().clock.boot();
        Self { engine, board, families, times: None, started, running: Vec::new(), changes: None }
    }

    /// What the page tells.
    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Pushes to these endpoints from now on, on the runtime that this is called in. Those that stay as they are go on
    /// undisturbed; `families` are those that leave the machine at all.
    pub(crate) async fn set(&mut self, export: &Export, families: &Filter) {
        *lock(&self.families) = Arc::new(families.clone());
        let stays =
            |running: &Running| running.identity == export.identity && export.endpoints.contains(&running.endpoint);
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running).into_iter().partition(stays);
        self.running = stay;
        let mut keepers = Vec::new();
        for running in go {
            self.send(Change::Remove(running.endpoint.name.clone())).await;
            running.stop.send_replace(true);
            let _ = timeout(STOP, running.task).await;
            let goes_on = |endpoint: &Endpoint| {
                endpoint.name == running.endpoint.name && endpoint.spool == running.endpoint.spool
            };
            if export.endpoints.iter().any(goes_on) {
                // What waits goes on waiting.
                keepers.push((running.endpoint.name, running.lane.keeper));
            } else {
                let _ = timeout(STOP, running.lane.keeper.end()).await;
            }
        }
        for endpoint in &export.endpoints {
            if self.running.iter().all(|running| running.endpoint.name != endpoint.name) {
                let keeper = keepers.iter().find(|(name, _)| *name == endpoint.name).map(|(_, keeper)| keeper.clone());
                self.start(endpoint, export, keeper).await;
            }
        }
        self.board.retain(|name| self.running.iter().any(|running| running.endpoint.name == name));
        if self.running.is_empty() {
            self.changes = None;
        }
    }

    async fn start(&mut self, endpoint: &Endpoint, export: &Export, keeper: Option<Keeper>) {
        let name = endpoint.name.as_str();
        let transport = match Transport::new(endpoint.target.clone()) {
            Ok(transport) => transport,
            Err(error) => return tracing::error!(endpoint = name, %error, "nothing is pushed there"),
        };
        let machine = Arc::clone(self.engine.machine());
        let times = self.times(export.clock_wait);
        let figures = self.board.of(name);
        let keeper = keeper
            .unwrap_or_else(|| Keeper::start(name, endpoint.spool.clone(), Arc::clone(&figures), Arc::clone(&times)));
        let lane = Lane {
            name: name.to_owned(),
            replay_first: endpoint.replay_first,
            mailbox: Arc::new(Mailbox::default()),
            keeper,
            figures,
            times,
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Pusher::new(transport, lane.clone(), stopped).run());
        let mut host = Host::new(Arc::clone(&machine));
        let number = number(&resource::machine_id(&mut host).unwrap_or_else(|| resource::host_name(&mut host)));
        let schedule = Schedule::new(Instant::now(), machine.clock.boot(), endpoint.interval, number);
        let resource = resource::resource(&export.identity, &mut host);
        let shape = Shape { per_container: endpoint.per_container, started: self.started, ..Shape::default() };
        let customer = Customer::new(lane.clone(), schedule, endpoint.families.clone(), resource, shape);
        self.send(Change::Add(Box::new(customer))).await;
        // What is behind a question mark may be a secret.
        let url = endpoint.target.url.split('?').next();
        tracing::info!(endpoint = name, url, interval = ?endpoint.interval, "pushing");
        self.running.push(Running { endpoint: endpoint.clone(), identity: export.identity.clone(), lane, stop, task });
    }

    /// The clocks, which are looked at from the first endpoint on.
    fn times(&mut self, patience: Duration) -> Arc<dyn Times> {
        if let Some(times) = &self.times {
            return Arc::clone(times);
        }
        let times: Arc<dyn Times> = Arc::new(Clock::new(Arc::clone(self.engine.machine()), patience));
        if times.moment().boot_time.is_none() {
            tracing::warn!(
                ?patience,
                "the clock is not synchronised: nothing is pushed before it is, or patience ends"
            );
        }
        self.times = Some(Arc::clone(&times));
        times
    }

    /// Tells the rounds, which are started for the first endpoint.
    async fn send(&mut self, change: Change) {
        let Some(times) = self.times.clone() else { return };
        let (changes, _) = self.changes.get_or_insert_with(|| {
            let (changes, changed) = mpsc::channel(CHANGES_MAX);
            let (stop, stopped) = watch::channel(false);
            let common = Common { ask: ask(&self.engine), times, families: Arc::clone(&self.families) };
            tokio::spawn(rounds::run(common, changed, stopped));
            (changes, stop)
        });
        let _ = changes.send(change).await;
    }

    /// Stops all: what is under way has a moment to end, and what was not pushed goes to the spool.
    pub(crate) async fn stop(&mut self) {
        if let Some((_, stop)) = self.changes.take() {
            stop.send_replace(true);
        }
        let running = std::mem::take(&mut self.running);
        for running in &running {
            running.stop.send_replace(true);
        }
        let ended = async {
            for running in running {
                let _ = running.task.await;
                running.lane.keeper.end().await;
            }
        };
        let _ = timeout(STOP, ended).await;
    }
}

/// What the machine says now, from all collectors that are on.
fn ask(engine: &Arc<Engine>) -> Ask {
    let engine = Arc::clone(engine);
    Arc::new(move || match engine.select(None, &[], &[]) {
        Ok(selection) => engine.ask(selection.into(), PATIENCE),
        Err(_) => collectors::model::Snapshot::default(),
    })
}
