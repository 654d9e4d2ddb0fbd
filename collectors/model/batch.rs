//! One collector's round, in columns.

use super::labels::LabelName;
use super::{Distribution, Entity, Family, FamilyRef, Labels, Value};
use crate::kit::Error;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How many points a batch takes unless its collector says otherwise.
pub const POINTS_MAX: usize = 100_000;
/// How many bytes of label text a batch takes.
const TEXT_MAX: usize = 64 << 20;
/// How many faults of a round are kept for the log; the rest are only counted.
const FAULTS_MAX: usize = 16;

/// A figure of an entity.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Of whom.
    pub of: Entity,
    /// How much.
    pub value: Value,
}

/// All points of one family in one batch.
#[derive(Debug)]
pub struct Column {
    /// What is measured.
    pub family: FamilyRef,
    /// The points, in the order in which they were put.
    pub samples: Vec<Sample>,
}

/// One collector's round: label sets, columns, and what went wrong.
///
/// Putting into columns is the transposition that the text format needs: cgroups are read container by container, the
/// page is written family by family. A batch is cleared and filled again, so a steady round allocates next to nothing.
#[derive(Debug, Default)]
pub struct Batch {
    labels: Labels,
    columns: Vec<Column>,
    index: HashMap<usize, usize>,
    cursor: usize,
    distributions: Vec<Distribution>,
    points: usize,
    points_max: usize,
    dropped: u64,
    faults: Vec<Error>,
    fault_counts: BTreeMap<&'static str, u64>,
    /// Wall-clock time of the round, since 1970.
    pub taken: Duration,
}

impl Batch {
    /// An empty batch that takes `points_max` points; more are dropped and counted.
    pub fn new(points_max: usize) -> Self {
        Self { points_max, ..Self::default() }
    }

    /// Empties the batch for the next round and keeps its memory.
    pub fn clear(&mut self) {
        self.labels.clear();
        // Families named at run time come and go; those that were not used in the last round go.
        let before = self.columns.len();
        self.columns.retain(|column| !column.samples.is_empty() || matches!(column.family, FamilyRef::Static(_)));
        if self.columns.len() != before {
            self.index = self.columns.iter().enumerate().map(|(at, column)| (key(&column.family), at)).collect();
        }
        for column in &mut self.columns {
            column.samples.clear();
        }
        self.distributions.clear();
        self.faults.clear();
        self.fault_counts.clear();
        (self.cursor, self.points, self.dropped, self.taken) = (0, 0, 0, Duration::ZERO);
    }

    /// The entity without labels.
    pub fn machine(&self) -> Entity {
        Entity::MACHINE
    }

    /// The entity with these labels.
    pub fn entity<const N: usize>(&mut self, names: &'static [&'static str; N], values: [&str; N]) -> Entity {
        self.part(Entity::MACHINE, names, values)
    }

    /// The entity with `of`'s labels and these besides: an interface of a container, a mode of a cpu.
    pub fn part<const N: usize>(&mut self, of: Entity, names: &'static [&'static str; N], values: [&str; N]) -> Entity {
        self.intern(of, names.iter().map(|name| LabelName::Known(name)).zip(values), None)
    }

    /// Like [`Batch::entity`], for a thing that began to exist after the machine did.
    pub fn born<const N: usize>(
        &mut self,
        names: &'static [&'static str; N],
        values: [&str; N],
        birth: Duration,
    ) -> Entity {
        self.intern(Entity::MACHINE, names.iter().map(|name| LabelName::Known(name)).zip(values), Some(birth))
    }

    /// The entity with labels whose names are known only at run time; the caller has checked that no name comes twice.
    pub fn named<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Entity {
        self.intern(Entity::MACHINE, labels.map(|(name, value)| (LabelName::Text(name), value)), None)
    }

    fn intern<'a>(
        &mut self,
        parent: Entity,
        labels: impl Iterator<Item = (LabelName<'a>, &'a str)>,
        birth: Option<Duration>,
    ) -> Entity {
        // Once full, always full until the next round: what is put on this stand-in will be dropped.
        if self.full() { Entity::MACHINE } else { self.labels.intern(parent, labels, birth) }
    }

    fn full(&self) -> bool {
        let (text, sets) = self.labels.size();
        text > TEXT_MAX || sets > self.points_max + 1
    }

    /// Puts one point: a static family, or a `&Arc<Family>` named at run time.
    pub fn put<F>(&mut self, family: F, of: Entity, value: impl Into<Value>)
    where
        F: std::ops::Deref<Target: AsFamily> + Into<FamilyRef>,
    {
        if self.points >= self.points_max || self.full() {
            self.dropped += 1;
            return;
        }
        self.points += 1;
        let at = self.column(family);
        self.columns[at].samples.push(Sample { of, value: value.into() });
    }

    /// Puts one point if there is a value.
    pub fn put_some<F>(&mut self, family: F, of: Entity, value: Option<impl Into<Value>>)
    where
        F: std::ops::Deref<Target: AsFamily> + Into<FamilyRef>,
    {
        if let Some(value) = value {
            self.put(family, of, value);
        }
    }

    /// Puts one point of a histogram or summary family.
    pub fn put_distribution<F>(&mut self, family: F, of: Entity, distribution: Distribution)
    where
        F: std::ops::Deref<Target: AsFamily> + Into<FamilyRef>,
    {
        let at = self.distributions.len() as u32;
        self.distributions.push(distribution);
        self.put(family, of, Value::Distribution(at));
    }

    /// The family's column. Collectors put their families in the same order for each entity, so it is mostly the next.
    fn column<F>(&mut self, family: F) -> usize
    where
        F: std::ops::Deref<Target: AsFamily> + Into<FamilyRef>,
    {
        let wanted = family.as_family();
        for at in [self.cursor, self.cursor + 1] {
            if self.columns.get(at).is_some_and(|column| column.family.is(wanted)) {
                self.cursor = at;
                return at;
            }
        }
        let columns = &mut self.columns;
        let at = *self.index.entry(key(wanted)).or_insert_with(|| {
            columns.push(Column { family: family.into(), samples: Vec::new() });
            columns.len() - 1
        });
        self.cursor = at;
        at
    }

    /// Tells of a failure that costs only its own value.
    pub fn fault(&mut self, error: Error) {
        *self.fault_counts.entry(error.reason()).or_default() += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(error);
        }
    }

    /// The value, or a fault and `None`.
    pub fn ok<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.fault(error)).ok()
    }

    /// Drops what was put and keeps the faults: the round failed as a whole.
    pub fn fail(&mut self, error: Error) {
        for column in &mut self.columns {
            column.samples.clear();
        }
        self.labels.clear();
        self.distributions.clear();
        self.points = 0;
        self.fault(error);
    }

    /// The columns; some may be empty.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The label sets.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The distribution that a [`Value::Distribution`] names.
    pub fn distribution(&self, at: u32) -> Option<&Distribution> {
        self.distributions.get(at as usize)
    }

    /// How many points were put.
    pub fn len(&self) -> usize {
        self.points
    }

    /// Whether nothing was put.
    pub fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// How many points were dropped because the batch was full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The first faults of the round.
    pub fn faults(&self) -> &[Error] {
        &self.faults
    }

    /// How many faults there were, by reason.
    pub fn fault_counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.fault_counts
    }
}

/// What a borrowed or shared family has in common; see [`Batch::put`].
pub trait AsFamily {
    /// The family itself.
    fn as_family(&self) -> &Family;
}

impl AsFamily for Family {
    fn as_family(&self) -> &Family {
        self
    }
}

impl AsFamily for std::sync::Arc<Family> {
    fn as_family(&self) -> &Family {
        self
    }
}

fn key(family: &Family) -> usize {
    std::ptr::from_ref(family).addr()
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, gauge};
    use super::*;

    static A: Family = gauge("a", "A.", &[]);
    static B: Family = gauge("b", "B.", &["x"]);

    #[test]
    fn points_land_in_their_family_whatever_the_order() {
        let mut batch = Batch::new(10);
        let shared = Family::at_run_time("c".into(), "C.".into(), Kind::Gauge);
        for round in 0..2 {
            batch.clear();
            for x in ["1", "2"] {
                let of = batch.entity(&["x"], [x]);
                batch.put(&B, of, 1u64);
                batch.put(&shared, of, 2u64);
            }
            batch.put(&A, batch.machine(), 3.5);
            let names: Vec<_> = batch.columns().iter().map(|c| (c.family.name.as_ref(), c.samples.len())).collect();
            assert_eq!(names, [("b", 2), ("c", 2), ("a", 1)], "round {round}");
        }
    }

    #[test]
    fn a_full_batch_drops_and_counts() {
        let mut batch = Batch::new(1);
        batch.put(&A, batch.machine(), 1u64);
        batch.put(&A, batch.machine(), 2u64);
        assert_eq!((batch.len(), batch.dropped()), (1, 1));
    }

    #[test]
    fn families_of_run_time_that_are_no_longer_used_leave() {
        let mut batch = Batch::new(10);
        let shared = Family::at_run_time("c".into(), "C.".into(), Kind::Gauge);
        batch.put(&shared, batch.machine(), 1u64);
        batch.clear();
        batch.clear();
        assert!(batch.columns().is_empty());
    }

    #[test]
    fn a_failed_round_keeps_only_its_faults() {
        let mut batch = Batch::new(10);
        batch.put(&A, batch.machine(), 1u64);
        batch.fail(Error::malformed("f", 1, "a number"));
        assert!(batch.is_empty());
        assert_eq!(batch.fault_counts()["malformed"], 1);
    }
}
