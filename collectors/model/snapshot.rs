//! The newest batch of every collector, merged family by family.

use super::labels::Identities;
use super::{Batch, Family};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// A column of a batch, as a group of the page uses it.
#[derive(Debug)]
pub struct Part {
    /// Which batch of the snapshot.
    pub batch: usize,
    /// Which column of it.
    pub column: usize,
    /// The samples that are left out because their series was there already, in rising order.
    pub skip: Vec<u32>,
}

/// One family with all its points, from whatever batches; see [`Snapshot::parts`].
#[derive(Debug)]
pub struct Group {
    parts: Range<usize>,
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
    parts: Vec<Part>,
    groups: Vec<Group>,
    losses: Vec<Loss>,
}

impl Snapshot {
    /// Merges the batches; the earlier one wins where two say the same.
    pub fn new(batches: Vec<Arc<Batch>>) -> Self {
        let mut columns: Vec<(usize, usize)> =
            Vec::with_capacity(batches.iter().map(|batch| batch.columns().len()).sum());
        for (batch, content) in batches.iter().enumerate() {
            let filled = content.columns().iter().enumerate().filter(|(_, column)| !column.samples.is_empty());
            columns.extend(filled.map(|(column, _)| (batch, column)));
        }
        let name = |(batch, column): (usize, usize)| &*batches[batch].columns()[column].family.name;
        columns.sort_unstable_by(|&a, &b| name(a).cmp(name(b)).then(a.cmp(&b)));

        let mut merge = Merge {
            batches: &batches,
            parts: Vec::with_capacity(columns.len()),
            groups: Vec::with_capacity(columns.len()),
            losses: Vec::new(),
            seen: Identities::default(),
        };
        for same_name in columns.chunk_by(|&a, &b| name(a) == name(b)) {
            merge.group(same_name);
        }
        merge.drop_names_taken_by_distributions();
        let Merge { parts, groups, losses, .. } = merge;
        Self { batches, parts, groups, losses }
    }

    /// The families, sorted by name.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The batches, by their number.
    pub fn batches(&self) -> &[Arc<Batch>] {
        &self.batches
    }

    /// What was left out.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// Where the points of a group are. The first part's family speaks for all.
    pub fn parts(&self, group: &Group) -> &[Part] {
        &self.parts[group.parts.clone()]
    }

    /// The family of a group.
    pub fn family(&self, group: &Group) -> &Family {
        let first = &self.parts[group.parts.start];
        &self.batches[first.batch].columns()[first.column].family
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
    fn family(&self, (batch, column): (usize, usize)) -> &Family {
        &self.batches[batch].columns()[column].family
    }

    fn lose(&mut self, (batch, column): (usize, usize), why: &'static str, points: usize) {
        let family = self.family((batch, column)).name.to_string();
        self.losses.push(Loss { batch, family, why, points: points as u64 });
    }

    fn group(&mut self, same_name: &[(usize, usize)]) {
        let kind = self.family(same_name[0]).kind;
        let start = self.parts.len();
        self.seen.clear();
        for &(batch, column) in same_name {
            let content = &self.batches[batch];
            let samples = &content.columns()[column].samples;
            if content.columns()[column].family.kind != kind {
                self.lose((batch, column), "contradicts the family's type", samples.len());
                continue;
            }
            // Entities are numbered in the order they come, and equal ones are the same: rising numbers are no duplicates.
            let rising = samples.windows(2).all(|pair| pair[0].of < pair[1].of);
            let mut skip = Vec::new();
            if same_name.len() > 1 || !rising {
                let twice = |at: &usize| !self.seen.insert(content.labels().identity(samples[*at].of));
                skip = (0..samples.len()).filter(twice).map(|at| at as u32).collect();
            }
            if !skip.is_empty() {
                self.lose((batch, column), "repeats a series", skip.len());
            }
            self.parts.push(Part { batch, column, skip });
        }
        self.groups.push(Group { parts: start..self.parts.len() });
    }

    /// A histogram `x` owns the names `x_bucket`, `x_sum` and `x_count`: no other family may write lines under them.
    fn drop_names_taken_by_distributions(&mut self) {
        let mut taken = HashSet::new();
        for group in &self.groups {
            let family = self.family(self.first(group));
            taken.extend(family.kind.suffixes().iter().map(|suffix| format!("{}{suffix}", family.name)));
        }
        if taken.is_empty() {
            return;
        }
        let groups = std::mem::take(&mut self.groups);
        for group in groups {
            if !taken.contains(&*self.family(self.first(&group)).name) {
                self.groups.push(group);
                continue;
            }
            for at in group.parts {
                let Part { batch, column, ref skip } = self.parts[at];
                let points = self.batches[batch].columns()[column].samples.len() - skip.len();
                self.lose((batch, column), "has a name that a histogram or summary owns", points);
            }
        }
    }

    fn first(&self, group: &Group) -> (usize, usize) {
        let part = &self.parts[group.parts.start];
        (part.batch, part.column)
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
        assert_eq!(snapshot.parts(&snapshot.groups()[0])[1].skip, [0]);
        assert_eq!(snapshot.losses()[0].why, "repeats a series");
        assert_eq!(snapshot.losses()[0].batch, 1);
    }

    #[test]
    fn a_series_put_twice_in_one_batch_is_kept_once() {
        let twice = batch(|b| {
            b.put(&A, b.machine(), 1u64);
            b.put(&A, b.machine(), 2u64);
        });
        assert_eq!(Snapshot::new(vec![twice]).parts[0].skip, [1]);
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
