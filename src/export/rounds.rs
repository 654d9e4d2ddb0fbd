//! Rounds for all endpoints: the engine is asked once for those whose moment is the same, on a thread that ends with that.

use super::mailbox::Round;
use super::pusher::{Lane, stopped};
use super::schedule::Schedule;
use super::times::Times;
use crate::encode::otlp::{Otlp, Requests, Resource, Shape};
use collectors::kit::{Filter, lock};
use collectors::model::{Family, Snapshot};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

/// What the machine says now; nothing where nobody could be asked.
pub(super) type Ask = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// An endpoint that gets rounds.
pub(super) struct Customer {
    pub(super) lane: Lane,
    pub(super) schedule: Schedule,
    pub(super) families: Filter,
    resource: Resource,
    shape: Shape,
    encoder: Otlp,
}

impl Customer {
    pub(super) fn new(lane: Lane, schedule: Schedule, families: Filter, resource: Resource, shape: Shape) -> Self {
        let encoder = Otlp::new(resource.clone(), shape);
        Self { lane, schedule, families, resource, shape, encoder }
    }

    /// Has what the machine says pushed.
    fn serve(&mut self, snapshot: &Snapshot, common: &Common, all: &Filter) {
        let moment = common.times.moment();
        let (taken, boot) = (moment.now, moment.boot);
        let mut requests = Requests::default();
        let keep = |family: &Family| all.keeps(&family.name) && self.families.keeps(&family.name);
        self.encoder.encode(snapshot, taken, keep, &mut requests);
        if !requests.is_empty() {
            self.lane.offer(Round::new(requests, taken, boot));
        }
    }

    /// Goes on after a panic: the encoder may be in any state.
    fn renew(&mut self) {
        self.encoder = Otlp::new(self.resource.clone(), self.shape);
        tracing::error!(endpoint = self.lane.name, "a round could not be encoded, and is not pushed");
    }
}

/// A change of the endpoints.
pub(super) enum Change {
    Add(Box<Customer>),
    Remove(String),
}

/// What is the same for all endpoints.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) ask: Ask,
    pub(super) times: Arc<dyn Times>,
    /// Which families leave the machine at all.
    pub(super) families: Arc<Mutex<Arc<Filter>>>,
}

/// Makes rounds until it is told to stop.
pub(super) async fn run(common: Common, mut changes: mpsc::Receiver<Change>, mut stop: watch::Receiver<bool>) {
    let mut customers: Vec<Customer> = Vec::new();
    loop {
        let next = customers.iter().map(|customer| customer.schedule.next()).min();
        let moment = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = stopped(&mut stop) => return,
            change = changes.recv() => match change {
                Some(Change::Add(customer)) => customers.push(*customer),
                Some(Change::Remove(name)) => customers.retain(|customer| customer.lane.name != name),
                None => return,
            },
            () = moment => {
                let now = Instant::now();
                let (due, others): (Vec<_>, Vec<_>) = customers
                    .into_iter()
                    .map(|mut customer| (customer.schedule.is_due(now), customer))
                    .partition(|(is_due, _)| *is_due);
                customers = others.into_iter().map(|(_, customer)| customer).collect();
                let due = due.into_iter().map(|(_, customer)| customer).collect();
                customers.extend(round(&common, due).await);
            }
        }
    }
}

/// One round for those whose moment has come.
async fn round(common: &Common, mut due: Vec<Customer>) -> Vec<Customer> {
    let common = common.clone();
    let work = move || {
        let families = Arc::clone(&lock(&common.families));
        let snapshot = catch_unwind(AssertUnwindSafe(|| (common.ask)())).unwrap_or_default();
        // Nothing at all is not what the machine says: to receivers, everything would have ended.
        if snapshot.batches().is_empty() {
            tracing::error!("nothing could be asked for a round, and none is pushed");
            return due;
        }
        for customer in &mut due {
            if catch_unwind(AssertUnwindSafe(|| customer.serve(&snapshot, &common, &families))).is_err() {
                customer.renew();
            }
        }
        due
    };
    spawn_blocking(work).await.unwrap_or_default()
}
