//! One round of an endpoint: each point of the snapshot, and those that say that there is none any more.

use super::Renewed;
use super::entities::Entities;
use super::memory::{Memory, Origin, Series};
use super::metric::{Form, Metrics};
use super::points::{self, Number, Times};
use super::protobuf;
use super::requests::{At, Writer};
use super::resource::Resources;
use collectors::model::{Family, Snapshot, Value};

/// Where a point is in the snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Whose it is.
    pub(super) owner: u32,
    /// Its number in the order of the page.
    pub(super) order: u32,
    metric: u32,
    batch: u32,
    column: u32,
    sample: u32,
}

/// Goes through the points of the families that `keep` keeps, as the page does.
pub(super) fn each(snapshot: &Snapshot, keep: impl Fn(&Family) -> bool, mut then: impl FnMut(Place)) {
    let mut order = 0;
    for (group, metric) in snapshot.groups().iter().zip(0..) {
        if !keep(snapshot.family(group)) {
            continue;
        }
        for part in snapshot.parts(group) {
            let samples = part.of(snapshot.batches()).samples.len() as u32;
            let (batch, column) = (part.batch, part.column);
            let mut skip = part.skip.iter().peekable();
            for sample in 0..samples {
                if skip.next_if_eq(&&sample).is_none() {
                    then(Place { owner: 0, order, metric, batch, column, sample });
                    order += 1;
                }
            }
        }
    }
}

/// All that a round reads and writes.
pub(super) struct Round<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: u64,
    /// When the round before was.
    pub(super) last: u64,
    /// When this daemon started.
    pub(super) started: u64,
    /// When each batch was taken, in this round and in the one before.
    pub(super) times: &'a [Vec<u64>; 2],
    pub(super) metrics: &'a Renewed<Metrics>,
    pub(super) resources: &'a Renewed<Resources>,
    pub(super) entities: &'a [Renewed<Entities>],
    pub(super) memory: &'a mut Memory,
    pub(super) scratch: &'a mut Vec<u8>,
    pub(super) writer: Writer<'a>,
}

impl Round<'_> {
    /// What a scrape makes by itself, and alerts look for. What the machine's own files say under this name comes first.
    pub(super) fn up(&mut self) {
        let has_up = |group| self.snapshot.family(group).name == "up";
        if self.snapshot.groups().iter().any(has_up) {
            return;
        }
        let number = Number::new(Value::Int(1), Times { start: None, time: self.now });
        let at = At { metric: self.metrics.now.up(), resource: 0, is_of_before: false };
        if let Some(out) = self.writer.point(at, number.size(&[])) {
            number.write(&[], out);
        }
    }

    /// Whose a point is.
    pub(super) fn owner(&self, place: &Place) -> u32 {
        let batch = &self.snapshot.batches()[place.batch as usize];
        let sample = batch.columns()[place.column as usize].samples[place.sample as usize];
        self.resources.now.owner(place.batch, sample.of.index() as u32)
    }

    pub(super) fn point(&mut self, place: &Place) {
        let batch = &self.snapshot.batches()[place.batch as usize];
        let sample = batch.columns()[place.column as usize].samples[place.sample as usize];
        let distribution = match sample.value {
            Value::Distribution(at) => batch.distribution(at),
            _ => None,
        };
        let form = self.metrics.now.form(place.metric);
        // A family of distributions with a number in it, or the other way round: there is no such line on the page.
        if matches!(form, Form::Histogram | Form::Summary) != distribution.is_some() {
            return;
        }
        let entities = &self.entities[place.batch as usize].now;
        let entity = sample.of.index() as u32;
        let seen = Series {
            key: self.metrics.now.key(place.metric).rotate_left(1) ^ entities.labels().identity(sample.of),
            start: 0,
            time: self.times[0][place.batch as usize],
            figure: 0.0,
            metric: place.metric,
            batch: place.batch,
            entity,
            is_met: false,
        };
        let start = if form.has_start() {
            let figure = distribution.map(points::count).or(sample.value.as_f64()).unwrap_or(0.0);
            let origin = self.origin(place, entities.birth(sample.of));
            Some(self.memory.start(Series { figure, ..seen }, &origin))
        } else {
            self.memory.sent(seen);
            None
        };
        // One time for all of a round, as a scrape has it, though batches were taken a little before, and those of slow
        // collectors a round before. Prometheus makes `target_info` of the times in each request; where they go back, it
        // refuses the request as out of order.
        let times = Times { start, time: self.now };
        let attributes = entities.attributes(entity);
        let at = At { metric: place.metric, resource: place.owner, is_of_before: false };
        let Some(distribution) = distribution else {
            let number = Number::new(sample.value, times);
            if let Some(out) = self.writer.point(at, number.size(attributes)) {
                number.write(attributes, out);
            }
            return;
        };
        self.scratch.clear();
        match form {
            Form::Histogram => points::histogram(distribution, attributes, times, self.scratch),
            _ => points::summary(distribution, attributes, times, self.scratch),
        }
        self.copy(at);
    }

    fn origin(&self, place: &Place, birth: Option<u64>) -> Origin {
        let is_counted_here = self.metrics.now.is_counted_here(place.metric);
        Origin {
            family: self.metrics.now.key(place.metric),
            birth,
            earliest: if is_counted_here { self.started } else { 0 },
            without: self.times[1].get(place.batch as usize).copied().unwrap_or(self.last),
        }
    }

    /// Puts the point that is in the scratch into a request.
    fn copy(&mut self, at: At) {
        if let Some(out) = self.writer.point(at, points::framed(self.scratch.len())) {
            out.push(protobuf::bytes_key(points::POINT));
            protobuf::varint(out, self.scratch.len() as u64);
            out.extend_from_slice(self.scratch);
        }
    }

    /// Says of each series that was sent in the last round and not in this one that it has ended, and ends the last request.
    pub(super) fn gone(mut self) {
        let (metrics, resources) = (self.metrics.before(), self.resources.before());
        for index in 0..self.memory.end(self.now) {
            let series = self.memory.gone(index);
            let form = metrics.form(series.metric);
            let times = Times { start: form.has_start().then_some(series.start), time: self.now };
            let attributes = self.entities[series.batch as usize].before().attributes(series.entity);
            let resource = resources.owner(series.batch, series.entity);
            let at = At { metric: series.metric, resource, is_of_before: true };
            if form == Form::Histogram {
                self.scratch.clear();
                points::histogram_gone(attributes, times, self.scratch);
                self.copy(at);
                continue;
            }
            let number = Number::gone(times);
            if let Some(out) = self.writer.point(at, number.size(attributes)) {
                number.write(attributes, out);
            }
        }
        self.writer.finish();
    }
}
