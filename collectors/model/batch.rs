//! One collector's round, in columns.

use super::labels::{Identity, LabelName, identity};
use super::{Distribution, Entity, Family, FamilyRef, Labels, Value};
use crate::kit::Error;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
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
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug, Default)]
pub struct Batch {
    labels: Arc<Labels>,
    /// How many label sets this round has besides the machine's.
    sets: usize,
    columns: Vec<Column>,
    index: HashMap<u64, usize, BuildHasherDefault<Identity>>,
    cursor: usize,
    distributions: Vec<Distribution>,
    points: usize,
    points_max: usize,
    /// No more label sets are taken, and no points.
    is_full: bool,
    dropped: u64,
    faults: Vec<Error>,
    fault_counts: BTreeMap<&'static str, u64>,
    /// Wall-clock time of the round, since 1970.
    pub taken: Duration,
    /// The same moment since the machine started, sleep included: what a clock that is set later does not change.
    pub uptime: Duration,
}

impl Batch {
    /// An empty batch that takes `points_max` points; more are dropped and counted.
    pub fn new(points_max: usize) -> Self {
        Self { points_max, ..Self::default() }
    }

    /// An empty batch in place of one that was used, in the same memory if nobody reads it any more.
    pub fn renewed(used: Option<Arc<Self>>, points_max: usize) -> Arc<Self> {
        let unread = used.filter(|used| Arc::strong_count(used) == 1);
        let mut batch = unread.unwrap_or_else(|| Arc::new(Self::new(points_max)));
        Arc::make_mut(&mut batch).clear();
        batch
    }

    /// Expects the label sets of another round, which then cost next to nothing. For a batch that is empty.
    pub fn expect(&mut self, last: &Batch) {
        (self.labels, self.sets) = (Arc::clone(&last.labels), last.sets);
        self.clear_labels();
    }

    /// Empties the batch for the next round and keeps its memory.
    pub fn clear(&mut self) {
        self.clear_labels();
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
        (self.cursor, self.points, self.dropped) = (0, 0, 0);
        (self.taken, self.uptime) = (Duration::ZERO, Duration::ZERO);
    }

    /// The label sets stay for the next round, unless that was an unusually small one.
    fn clear_labels(&mut self) {
        const SETS_KEPT: usize = 256;
        if self.labels.entities() > SETS_KEPT.max(2 * self.sets) {
            self.labels = Arc::default();
        }
        (self.sets, self.is_full) = (0, false);
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
        self.known(of, &known(names, values), None)
    }

    /// Like [`Batch::entity`], for a thing that began to exist after the machine did, as wall-clock time since 1970.
    pub fn since<const N: usize>(
        &mut self,
        names: &'static [&'static str; N],
        values: [&str; N],
        birth: Option<Duration>,
    ) -> Entity {
        self.known(Entity::MACHINE, &known(names, values), birth)
    }

    /// Like [`Batch::since`], with labels besides whose names are known only at run time; the caller has checked that no
    /// name comes twice.
    pub fn since_with<'a, const N: usize>(
        &mut self,
        names: &'static [&'static str; N],
        values: [&'a str; N],
        more: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        birth: Option<Duration>,
    ) -> Entity {
        let more = more.map(|(name, value)| (LabelName::Text(name), value));
        self.intern(Entity::MACHINE, names.iter().map(|name| LabelName::Known(name)).zip(values).chain(more), birth)
    }

    /// The entity with labels whose names are known only at run time; the caller has checked that no name comes twice.
    pub fn named<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Entity {
        self.intern(Entity::MACHINE, labels.map(|(name, value)| (LabelName::Text(name), value)), None)
    }

    /// One function for however many labels: each one more would have to be fetched into cold caches.
    #[inline(never)]
    fn known(&mut self, parent: Entity, labels: &[(LabelName<'_>, &str)], birth: Option<Duration>) -> Entity {
        self.intern(parent, labels.iter().copied(), birth)
    }

    /// The entity with `parent`'s labels and these besides. Empty values are left out: they mean "no such label".
    fn intern<'a>(
        &mut self,
        parent: Entity,
        labels: impl Iterator<Item = (LabelName<'a>, &'a str)> + Clone,
        birth: Option<Duration>,
    ) -> Entity {
        // Once full, always full until the next round: what is put on this stand-in will be dropped.
        if self.is_full {
            return Entity::MACHINE;
        }
        let next = self.sets + 1;
        if !self.labels.is(next, parent, labels.clone(), birth) {
            let identity = identity(self.labels.identity(parent), labels.clone());
            if let Some(known) = self.labels.find(identity, next) {
                return known;
            }
            Arc::make_mut(&mut self.labels).push(next, parent, labels, (identity, birth));
        }
        self.sets = next;
        let entity = Entity(next as u32);
        self.is_full = next > self.points_max || self.labels.text_until(entity) > TEXT_MAX;
        entity
    }

    /// Puts one point: a static family, or a `&Arc<Family>` named at run time.
    pub fn put<F>(&mut self, family: F, of: Entity, value: impl Into<Value>)
    where
        F: std::ops::Deref<Target: AsFamily> + Into<FamilyRef>,
    {
        if self.points >= self.points_max || self.is_full {
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

    /// The value of an optional attribute: like [`Batch::ok`], but that there is none is no fault.
    pub fn found<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Err(error) if error.is_nothing() => None,
            result => self.ok(result),
        }
    }

    /// Drops what was put and keeps the faults: the round failed as a whole.
    pub fn fail(&mut self, error: Error) {
        for column in &mut self.columns {
            column.samples.clear();
        }
        self.clear_labels();
        self.distributions.clear();
        self.points = 0;
        self.fault(error);
    }

    /// The columns; some may be empty.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The label sets: the same `Arc` as in the round before while none comes or goes.
    pub fn labels(&self) -> &Arc<Labels> {
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

fn known<'a, const N: usize>(names: &[&'static str; N], values: [&'a str; N]) -> [(LabelName<'a>, &'a str); N] {
    std::array::from_fn(|at| (LabelName::Known(names[at]), values[at]))
}

/// Where the family is, mixed: its own hash.
fn key(family: &Family) -> u64 {
    (std::ptr::from_ref(family).addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

#[cfg(test)]
mod tests;
