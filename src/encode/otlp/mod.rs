//! Snapshot → OTLP: export requests with all its points.
//!
//! The bytes are written straight from the columns, into memory that is used again. Times are since boot until a request
//! is sent ([`date`]): what was taken while the wall clock was wrong is dated right once it is known.

mod container;
mod date;
mod entities;
mod memory;
mod metric;
mod points;
mod protobuf;
mod requests;
mod resource;
mod round;

pub use date::{Malformed, date};
pub use requests::Requests;
pub use resource::{Attribute, Resource};

use collectors::model::{Batch, Family, Snapshot};
use entities::{Births, Entities};
use memory::Memory;
use metric::Metrics;
use requests::Writer;
use resource::Resources;
use round::{Place, Round};
use std::hash::RandomState;
use std::time::Duration;

/// What requests look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Whether each container and pod gets a resource of its own. Their labels stay on the points too.
    pub per_container: bool,
    /// Whether the help of families is sent as the description of metrics.
    pub descriptions: bool,
    /// When this daemon started, since boot: what it counts itself began then.
    pub started: Duration,
}

impl Default for Shape {
    fn default() -> Self {
        Self { per_container: false, descriptions: true, started: Duration::ZERO }
    }
}

/// Writes export requests; one per endpoint, since it remembers what that endpoint was told.
#[derive(Debug)]
pub struct Otlp {
    shape: Shape,
    /// The attributes of the machine's resource.
    machine: Vec<u8>,
    metrics: Renewed<Metrics>,
    resources: Renewed<Resources>,
    /// Of each batch.
    entities: Vec<Renewed<Entities>>,
    births: Births,
    memory: Memory,
    /// When each batch was taken, since boot; in this round, and in the one before.
    times: [Vec<u64>; 2],
    /// When the round before was.
    last: u64,
    /// The points in the order of their resources, where there is more than one.
    places: Vec<Place>,
    /// A point whose length is not known before it is written.
    scratch: Vec<u8>,
    /// Names of families are hashed with it, since strangers choose some of them.
    hasher: RandomState,
}

impl Otlp {
    /// A writer that has written nothing yet.
    pub fn new(resource: Resource, shape: Shape) -> Self {
        let machine = resource.attributes();
        Self {
            shape,
            metrics: Renewed::default(),
            resources: Renewed { now: Resources::machine(&machine), before: None },
            machine,
            entities: Vec::new(),
            births: Births::new(),
            memory: Memory::default(),
            times: Default::default(),
            last: 0,
            places: Vec::new(),
            scratch: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// Replaces what is in `out` by the requests of this snapshot, with the families that `keep` keeps: all points, dated
    /// `now` as by a scrape, an `up`, and for each series that was sent the last time and is gone a point that says so. All times in them are
    /// nanoseconds since boot, see [`date`].
    pub fn encode(&mut self, snapshot: &Snapshot, now: Duration, keep: impl Fn(&Family) -> bool, out: &mut Requests) {
        let now = nanoseconds(now);
        self.prepare(snapshot, now);
        self.memory.begin();
        let mut round = Round {
            snapshot,
            now,
            last: self.last,
            started: nanoseconds(self.shape.started),
            times: &self.times,
            metrics: &self.metrics,
            resources: &self.resources,
            entities: &self.entities,
            memory: &mut self.memory,
            scratch: &mut self.scratch,
            writer: Writer::new(
                out,
                [&self.metrics.now, self.metrics.before()],
                [&self.resources.now, self.resources.before()],
            ),
        };
        round.up();
        if self.shape.per_container {
            self.places.clear();
            round::each(snapshot, keep, |mut place| {
                place.owner = round.owner(&place);
                self.places.push(place);
            });
            self.places.sort_unstable_by_key(|place| (place.owner, place.order));
            self.places.iter().for_each(|place| round.point(place));
        } else {
            round::each(snapshot, keep, |place| round.point(&place));
        }
        round.gone();
        self.settle(snapshot, now);
    }

    /// Renders what has changed since the last round, and keeps what it was then.
    fn prepare(&mut self, snapshot: &Snapshot, now: u64) {
        if !self.metrics.now.fit(snapshot) {
            self.metrics.renew(Metrics::new(snapshot, self.shape.descriptions, &self.hasher));
        }
        let batches = snapshot.batches();
        if self.entities.len() < batches.len() {
            self.entities.resize_with(batches.len(), Renewed::default);
        }
        for (entities, batch) in self.entities.iter_mut().zip(batches) {
            if !entities.now.fit(batch) {
                entities.renew(Entities::new(batch, &mut self.births));
            }
        }
        if self.shape.per_container && self.entities.iter().any(|entities| entities.before.is_some()) {
            self.resources.renew(Resources::with_containers(&self.machine, batches));
        }
        self.times.swap(0, 1);
        self.times[0].clear();
        self.times[0].extend(batches.iter().map(|batch| taken(batch, now)));
    }

    /// Forgets what was before.
    fn settle(&mut self, snapshot: &Snapshot, now: u64) {
        self.metrics.before = None;
        self.resources.before = None;
        self.entities.iter_mut().for_each(|entities| entities.before = None);
        self.entities.truncate(snapshot.batches().len());
        self.last = now;
    }
}

/// When a batch was taken. One that does not say it is taken to be new.
fn taken(batch: &Batch, now: u64) -> u64 {
    if batch.uptime.is_zero() { now } else { nanoseconds(batch.uptime).min(now) }
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// Something that lasts for many rounds, and what it was before in the round in which it changed.
#[derive(Debug, Default)]
struct Renewed<T> {
    now: T,
    before: Option<T>,
}

impl<T> Renewed<T> {
    fn renew(&mut self, now: T) {
        self.before = Some(std::mem::replace(&mut self.now, now));
    }

    /// As it was in the last round.
    fn before(&self) -> &T {
        self.before.as_ref().unwrap_or(&self.now)
    }
}

#[cfg(test)]
mod tests;
