//! The newest batch of every collector, merged family by family.

use super::labels::Identities;
use super::{Batch, Column, Family, FamilyRef};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// A column of a batch, as a group of the page uses it.
#[derive(Debug)]
pub struct Part {
    /// Which batch of the snapshot.
    pub batch: u32,
    /// Which column of it.
    pub column: u32,
    /// The samples that are left out because their series was there already, in rising order.
    pub skip: Box<[u32]>,
}

impl Part {
    /// The column, among the batches of its snapshot.
    pub fn of<'a>(&self, batches: &'a [Arc<Batch>]) -> &'a Column {
        &batches[self.batch as usize].columns()[self.column as usize]
    }
}

/// One family with all its points, from whatever batches; see [`Snapshot::parts`].
#[derive(Debug)]
pub struct Group {
    parts: Range<u32>,
}

impl Group {
    fn parts(&self) -> Range<usize> {
        self.parts.start as usize..self.parts.end as usize
    }
}

/// Points of a batch that were left out, because an earlier batch already had the series or contradicted the family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Which batch lost.
    pub batch: usize,
    /// The family's name.
    pub family: String,
    /// What was wrong.
    pub why: &'static str,
    /// How many points were left out.
    pub points: u64,
}

/// The newest batch of every collector that was asked for.
///
/// Holds what a page must hold: each family once, each series once. Earlier batches win.
#[derive(Debug, Default)]
pub struct Snapshot {
    batches: Vec<Arc<Batch>>,
    layout: Arc<Layout>,
}

/// Which columns a snapshot has, sorted and grouped: all of it but the points. From page to page it is mostly the same.
#[derive(Debug, Default)]
pub struct Layout {
    /// The columns that are not empty, batch by batch. The families are held so that no other one gets their address.
    columns: Vec<(u32, u32, FamilyRef)>,
    parts: Vec<Part>,
    groups: Vec<Group>,
    losses: Vec<Loss>,
}

impl Layout {
    /// Whether a snapshot of these batches is laid out like this: it has the same families, and still no series twice.
    fn fits(&self, batches: &[Arc<Batch>]) -> bool {
        let mut known = self.columns.iter();
        let is_known = |(batch, column, content): (u32, u32, &Column)| {
            known.next().is_some_and(|known| (known.0, known.1) == (batch, column) && known.2.is(&content.family))
        };
        let mut seen = Identities::default();
        let mut is_unique = |group: &Group| {
            let parts = &self.parts[group.parts()];
            seen.clear();
            parts
                .iter()
                .all(|part| repeated(&batches[part.batch as usize], part.column, parts.len() > 1, &mut seen).is_empty())
        };
        self.losses.is_empty()
            && filled(batches).all(is_known)
            && known.next().is_none()
            && self.groups.iter().all(&mut is_unique)
    }

    fn new(batches: &[Arc<Batch>]) -> Self {
        let columns: Vec<_> = filled(batches).map(|(batch, at, column)| (batch, at, column.family.clone())).collect();
        let mut sorted: Vec<_> = columns.iter().collect();
        sorted.sort_unstable_by(|a, b| a.2.name.cmp(&b.2.name).then((a.0, a.1).cmp(&(b.0, b.1))));
        let mut merge = Merge {
            batches,
            parts: Vec::with_capacity(columns.len()),
            groups: Vec::with_capacity(columns.len()),
            losses: Vec::new(),
            seen: Identities::default(),
        };
        for same_name in sorted.chunk_by(|a, b| a.2.name == b.2.name) {
            merge.group(same_name);
        }
        merge.drop_names_taken_by_distributions();
        let Merge { parts, groups, losses, .. } = merge;
        Self { columns, parts, groups, losses }
    }
}

/// The columns that are not empty, with the numbers of their batch and of themselves.
fn filled(batches: &[Arc<Batch>]) -> impl Iterator<Item = (u32, u32, &Column)> {
    let columns = |(batch, content)| {
        let content: &Arc<Batch> = content;
        (0..).zip(content.columns()).map(move |(at, column)| (batch, at, column))
    };
    (0..).zip(batches).flat_map(columns).filter(|(_, _, column)| !column.samples.is_empty())
}

/// The samples of a column whose series is in `seen` already or comes twice. If nobody else has the family, and its
/// entities come in rising order, there are none: equal ones have the same number.
fn repeated(batch: &Batch, column: u32, is_shared: bool, seen: &mut Identities) -> Vec<u32> {
    let samples = &batch.columns()[column as usize].samples;
    if !is_shared && samples.windows(2).all(|pair| pair[0].of < pair[1].of) {
        return Vec::new();
    }
    let is_twice = |at: &usize| !seen.insert(batch.labels().identity(samples[*at].of));
    (0..samples.len()).filter(is_twice).map(|at| at as u32).collect()
}

impl Snapshot {
    /// Merges the batches; the earlier one wins where two say the same.
    pub fn new(batches: Vec<Arc<Batch>>) -> Self {
        Self::like(&Arc::default(), batches)
    }

    /// Merges the batches, which probably have the same families as the snapshot that was laid out like this.
    pub fn like(last: &Arc<Layout>, batches: Vec<Arc<Batch>>) -> Self {
        let layout = if last.fits(&batches) { Arc::clone(last) } else { Arc::new(Layout::new(&batches)) };
        Self { batches, layout }
    }

    /// How it is laid out: the same `Arc` as the one before while no family comes or goes.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The families, sorted by name.
    pub fn groups(&self) -> &[Group] {
        &self.layout.groups
    }

    /// The batches, by their number.
    pub fn batches(&self) -> &[Arc<Batch>] {
        &self.batches
    }

    /// What was left out.
    pub fn losses(&self) -> &[Loss] {
        &self.layout.losses
    }

    /// Where the points of a group are. The first part's family speaks for all.
    pub fn parts(&self, group: &Group) -> &[Part] {
        &self.layout.parts[group.parts()]
    }

    /// The family of a group.
    pub fn family(&self, group: &Group) -> &Family {
        &self.layout.parts[group.parts.start as usize].of(&self.batches).family
    }
}

struct Merge<'a> {
    batches: &'a [Arc<Batch>],
    parts: Vec<Part>,
    groups: Vec<Group>,
    losses: Vec<Loss>,
    /// The series of the family at hand, where they have to be compared.
    seen: Identities,
}

impl Merge<'_> {
    fn column(&self, (batch, column): (u32, u32)) -> &Column {
        &self.batches[batch as usize].columns()[column as usize]
    }

    fn lose(&mut self, of: (u32, u32), why: &'static str, points: usize) {
        let family = self.column(of).family.name.to_string();
        self.losses.push(Loss { batch: of.0 as usize, family, why, points: points as u64 });
    }

    fn group(&mut self, same_name: &[&(u32, u32, FamilyRef)]) {
        let start = self.parts.len() as u32;
        self.seen.clear();
        for &&(batch, column, ref family) in same_name {
            if family.kind != same_name[0].2.kind {
                let points = self.column((batch, column)).samples.len();
                self.lose((batch, column), "contradicts the family's type", points);
                continue;
            }
            let skip = repeated(&self.batches[batch as usize], column, same_name.len() > 1, &mut self.seen);
            if !skip.is_empty() {
                self.lose((batch, column), "repeats a series", skip.len());
            }
            self.parts.push(Part { batch, column, skip: skip.into() });
        }
        self.groups.push(Group { parts: start..self.parts.len() as u32 });
    }

    /// A histogram `x` owns the names `x_bucket`, `x_sum` and `x_count`: no other family may write lines under them.
    fn drop_names_taken_by_distributions(&mut self) {
        let mut taken = HashSet::new();
        for group in &self.groups {
            let family = self.first(group);
            taken.extend(family.kind.suffixes().iter().map(|suffix| format!("{}{suffix}", family.name)));
        }
        if taken.is_empty() {
            return;
        }
        let groups = std::mem::take(&mut self.groups);
        for group in groups {
            if !taken.contains(&*self.first(&group).name) {
                self.groups.push(group);
                continue;
            }
            for at in group.parts() {
                let Part { batch, column, ref skip } = self.parts[at];
                let points = self.column((batch, column)).samples.len() - skip.len();
                self.lose((batch, column), "has a name that a histogram or summary owns", points);
            }
        }
    }

    /// The family of a group.
    fn first(&self, group: &Group) -> &Family {
        &self.parts[group.parts.start as usize].of(self.batches).family
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Distribution, Kind, counter, gauge};
    use super::*;

    static A: Family = gauge("a", "A.", &["x"]);
    static A_COUNTER: Family = counter("a", "A too.", &["x"]);
    static A_COUNT: Family = counter("a_count", "Count.", &[]);
    static A_SUMMARY: Family = Family {
        name: std::borrow::Cow::Borrowed("a"),
        kind: Kind::Summary,
        help: std::borrow::Cow::Borrowed(""),
        labels: &[],
        semconv: None,
    };

    fn batch(put: impl FnOnce(&mut Batch)) -> Arc<Batch> {
        let mut batch = Batch::new(100);
        put(&mut batch);
        Arc::new(batch)
    }

    fn point(family: &'static Family, x: &'static str) -> impl FnOnce(&mut Batch) {
        move |batch| {
            let of = batch.entity(&["x"], [x]);
            batch.put(family, of, 1u64);
        }
    }

    #[test]
    fn one_family_of_two_batches_is_one_group_and_the_first_series_wins() {
        let second = batch(|b| {
            point(&A, "1")(b);
            point(&A, "2")(b);
        });
        let snapshot = Snapshot::new(vec![batch(point(&A, "1")), second]);
        assert_eq!(snapshot.groups().len(), 1);
        assert_eq!(snapshot.parts(&snapshot.groups()[0])[1].skip[..], [0]);
        assert_eq!(snapshot.losses()[0].why, "repeats a series");
        assert_eq!(snapshot.losses()[0].batch, 1);
    }

    #[test]
    fn a_series_put_twice_in_one_batch_is_kept_once() {
        let twice = batch(|b| {
            b.put(&A, b.machine(), 1u64);
            b.put(&A, b.machine(), 2u64);
        });
        assert_eq!(Snapshot::new(vec![twice]).layout.parts[0].skip[..], [1]);
    }

    #[test]
    fn a_layout_lasts_while_no_family_comes_or_goes_and_no_series_is_put_twice() {
        let one = || batch(point(&A, "1"));
        let first = Snapshot::new(vec![one(), batch(point(&A, "2"))]);
        let like = |batches| Snapshot::like(first.layout(), batches);
        let is_same = |batches| Arc::ptr_eq(first.layout(), like(batches).layout());
        assert!(is_same(vec![one(), batch(point(&A, "3"))]));
        assert!(!is_same(vec![one(), batch(point(&A_COUNTER, "2"))]));
        assert!(!is_same(vec![one()]));
        assert!(!is_same(vec![one(), one()]));
        assert_eq!(like(vec![one(), one()]).losses()[0].why, "repeats a series");
        let longer = |b: &mut Batch| {
            point(&A, "2")(b);
            b.put(&A_COUNT, b.machine(), 1u64);
        };
        assert_eq!(like(vec![one(), batch(longer)]).groups().len(), 2);
    }

    #[test]
    fn another_type_under_the_same_name_is_left_out() {
        let snapshot = Snapshot::new(vec![batch(point(&A, "1")), batch(point(&A_COUNTER, "2"))]);
        assert_eq!(snapshot.parts(&snapshot.groups()[0]).len(), 1);
        assert_eq!(snapshot.losses()[0].why, "contradicts the family's type");
    }

    #[test]
    fn the_lines_of_a_summary_are_its_own() {
        let summary = batch(|b| b.put_distribution(&A_SUMMARY, b.machine(), Distribution::default()));
        let snapshot = Snapshot::new(vec![summary, batch(|b| b.put(&A_COUNT, b.machine(), 1u64))]);
        assert_eq!(snapshot.groups().len(), 1);
        assert_eq!(snapshot.losses()[0].family, "a_count");
    }
}
