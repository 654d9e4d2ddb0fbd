//! The labels of a batch as attributes of points, and since when their things exist.

use super::protobuf;
use collectors::model::{Batch, Entity, Labels};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How many births are kept; a machine has some hundreds.
const BIRTHS_MAX: usize = 10_000;

/// When things were born: wall-clock time since 1970, and what it is since boot.
///
/// The wall clock is set and slewed. A start that moved with it would look like a counter that began anew: so what was
/// found out once stays.
pub(super) type Births = HashMap<Duration, u64>;

/// The label sets of a batch. They are rendered once and copied for every point while the batch has the same.
#[derive(Debug, Default)]
pub(super) struct Entities {
    labels: Arc<Labels>,
    bytes: Vec<u8>,
    /// Where the attributes of each begin and end.
    spans: Vec<(u32, u32)>,
    /// Nanoseconds since boot; none where it is as old as the machine, or nobody knows.
    births: Vec<Option<u64>>,
}

impl Entities {
    pub(super) fn fit(&self, batch: &Batch) -> bool {
        Arc::ptr_eq(&self.labels, batch.labels()) && !self.spans.is_empty()
    }

    pub(super) fn new(batch: &Batch, births: &mut Births) -> Self {
        let labels = Arc::clone(batch.labels());
        let mut entities = Self { labels: Arc::clone(&labels), ..Self::default() };
        for entity in labels.each() {
            entities.push(entity, batch, births);
        }
        entities
    }

    fn push(&mut self, entity: Entity, batch: &Batch, births: &mut Births) {
        let parent = self.labels.parent(entity).index();
        let (start, end) = self.spans.get(parent).copied().unwrap_or_default();
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_within(start as usize..end as usize);
        for (name, value) in self.labels.own(entity) {
            protobuf::attribute(&mut self.bytes, super::points::ATTRIBUTES, name, value);
        }
        self.spans.push((at, self.bytes.len() as u32));
        let own = self.labels.birth(entity).map(|birth| since_boot(birth, batch, births));
        self.births.push(own.or_else(|| self.births.get(parent).copied().flatten()));
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Its labels, as attributes of a point that is a number.
    pub(super) fn attributes(&self, at: u32) -> &[u8] {
        let (start, end) = self.spans.get(at as usize).copied().unwrap_or_default();
        &self.bytes[start as usize..end as usize]
    }

    /// Since when it exists.
    pub(super) fn birth(&self, entity: Entity) -> Option<u64> {
        self.births.get(entity.index()).copied().flatten()
    }
}

/// What is older than the machine's start by the clock that it was made by is as old as that.
fn since_boot(birth: Duration, batch: &Batch, births: &mut Births) -> u64 {
    if births.len() >= BIRTHS_MAX {
        births.clear();
    }
    let boot = batch.taken.saturating_sub(batch.uptime);
    let is_told = !batch.uptime.is_zero();
    *births.entry(birth).or_insert_with(|| if is_told { super::nanoseconds(birth.saturating_sub(boot)) } else { 0 })
}
