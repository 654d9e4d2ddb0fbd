//! The newest batch of every collector, merged family by family.

use super::{Batch, Family};
use std::collections::HashSet;
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

/// One family with all its points, from whatever batches.
#[derive(Debug)]
pub struct Group {
    /// Where the points are. The first part's family speaks for all.
    pub parts: Vec<Part>,
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
    groups: Vec<Group>,
    losses: Vec<Loss>,
}

impl Snapshot {
    /// Merges the batches; the earlier one wins where two say the same.
    pub fn new(batches: Vec<Arc<Batch>>) -> Self {
        let mut parts: Vec<(usize, usize)> = Vec::new();
        for (batch, content) in batches.iter().enumerate() {
            let columns = content.columns().iter().enumerate().filter(|(_, column)| !column.samples.is_empty());
            parts.extend(columns.map(|(column, _)| (batch, column)));
        }
        let family = |(batch, column): (usize, usize)| -> &Family { &batches[batch].columns()[column].family };
        parts.sort_by(|&a, &b| family(a).name.cmp(&family(b).name).then(a.cmp(&b)));

        let mut merge = Merge { batches: &batches, groups: Vec::with_capacity(parts.len()), losses: Vec::new() };
        for same_name in parts.chunk_by(|&a, &b| family(a).name == family(b).name) {
            merge.group(same_name);
        }
        merge.drop_names_taken_by_distributions();
        let Merge { groups, losses, .. } = merge;
        Self { batches, groups, losses }
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

    /// The family of a group.
    pub fn family(&self, group: &Group) -> &Family {
        let first = &group.parts[0];
        &self.batches[first.batch].columns()[first.column].family
    }
}

struct Merge<'a> {
    batches: &'a [Arc<Batch>],
    groups: Vec<Group>,
    losses: Vec<Loss>,
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
        let mut seen: Option<HashSet<u64>> = None;
        let mut parts = Vec::with_capacity(same_name.len());
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
                let seen = seen.get_or_insert_default();
                let twice = |at: &usize| !seen.insert(content.labels().identity(samples[*at].of));
                skip = (0..samples.len()).filter(twice).map(|at| at as u32).collect();
            }
            if !skip.is_empty() {
                self.lose((batch, column), "repeats a series", skip.len());
            }
            parts.push(Part { batch, column, skip });
        }
        self.groups.push(Group { parts });
    }

    /// A histogram `x` owns the names `x_bucket`, `x_sum` and `x_count`: no other family may write lines under them.
    fn drop_names_taken_by_distributions(&mut self) {
        let mut taken = HashSet::new();
        for group in &self.groups {
            let family = self.family((group.parts[0].batch, group.parts[0].column));
            taken.extend(family.kind.suffixes().iter().map(|suffix| format!("{}{suffix}", family.name)));
        }
        if taken.is_empty() {
            return;
        }
        let groups = std::mem::take(&mut self.groups);
        for group in groups {
            let first = (group.parts[0].batch, group.parts[0].column);
            if !taken.contains(self.family(first).name.as_ref()) {
                self.groups.push(group);
                continue;
            }
            for part in &group.parts {
                let points = self.batches[part.batch].columns()[part.column].samples.len() - part.skip.len();
                self.lose((part.batch, part.column), "has a name that a histogram or summary owns", points);
            }
        }
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
        assert_eq!(snapshot.groups()[0].parts[1].skip, [0]);
        assert_eq!(snapshot.losses()[0].why, "repeats a series");
        assert_eq!(snapshot.losses()[0].batch, 1);
    }

    #[test]
    fn a_series_put_twice_in_one_batch_is_kept_once() {
        let twice = batch(|b| {
            b.put(&A, b.machine(), 1u64);
            b.put(&A, b.machine(), 2u64);
        });
        assert_eq!(Snapshot::new(vec![twice]).groups()[0].parts[0].skip, [1]);
    }

    #[test]
    fn another_type_under_the_same_name_is_left_out() {
        let snapshot = Snapshot::new(vec![batch(point(&A, "1")), batch(point(&A_COUNTER, "2"))]);
        assert_eq!(snapshot.groups()[0].parts.len(), 1);
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
