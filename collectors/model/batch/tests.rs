use super::super::{Kind, gauge};
use super::*;
use proptest::prelude::*;

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

fn labels(batch: &mut Batch, sets: &[&[(&str, &str)]]) -> Vec<Entity> {
    sets.iter().map(|set| batch.named(set.iter().copied())).collect()
}

#[test]
fn equal_sets_are_one_entity_whatever_their_order_or_parent() {
    let mut batch = Batch::new(10);
    let of = labels(&mut batch, &[&[("a", "1"), ("b", "2")], &[("b", "2"), ("a", "1")], &[("a", "1")]]);
    let a_b = batch.part(of[2], &["b"], ["2"]);
    assert_eq!((of[0], of[0]), (of[1], a_b));
    assert_ne!(of[0], of[2]);
    assert_eq!(batch.labels().all(of[0]), [("a", "1"), ("b", "2")]);
}

#[test]
fn empty_values_are_no_labels() {
    let mut batch = Batch::new(10);
    assert_eq!(batch.entity(&["a"], [""]), Entity::MACHINE);
}

#[test]
fn label_sets_are_those_of_the_round_before_until_one_differs() {
    let mut last = Batch::new(10);
    let sets: [&[(&str, &str)]; 3] = [&[("a", "1")], &[("a", "2"), ("b", "")], &[("a", "3")]];
    let before = labels(&mut last, &sets);
    let mut batch = Batch::new(10);
    batch.expect(&last);
    assert_eq!(labels(&mut batch, &sets[..2]), before[..2]);
    assert_eq!(labels(&mut batch, &sets), before);
    assert!(Arc::ptr_eq(batch.labels(), last.labels()));
    batch.clear();
    // The third set of the round before is not one of this round: it comes anew, behind the others.
    let now = labels(&mut batch, &[sets[0], &[("a", "23")], sets[2], sets[1], sets[0]]);
    assert_eq!(now.iter().map(|of| of.index()).collect::<Vec<_>>(), [1, 2, 3, 4, 1]);
    let texts: Vec<_> = now.iter().map(|of| batch.labels().all(*of)).collect();
    assert_eq!(texts, [[("a", "1")], [("a", "23")], [("a", "3")], [("a", "2")], [("a", "1")]]);
    assert_eq!(last.labels().all(before[2]), [("a", "3")]);
}

proptest! {
    #[test]
    fn rounds_that_follow_one_another_say_what_they_were_told(rounds: Vec<Vec<(u8, u8)>>) {
        let mut last = Batch::new(1000);
        for round in rounds {
            let mut batch = Batch::new(1000);
            batch.expect(&last);
            let mut told = HashMap::new();
            for (a, b) in round {
                let (a, b) = ((a % 4).to_string(), (b % 4).to_string());
                let of = batch.entity(&["a"], [&a]);
                let of = batch.part(of, &["b"], [&b]);
                prop_assert_eq!(batch.labels().all(of), [("a", &*a), ("b", &*b)]);
                prop_assert_eq!(*told.entry((a, b)).or_insert(of), of);
            }
            let entities: std::collections::HashSet<_> = told.values().collect();
            prop_assert_eq!(entities.len(), told.len());
            last = batch;
        }
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
