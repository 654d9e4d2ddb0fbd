//! Since when series count, and how they end.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const NO_LABELS: &[(&str, u64)] = &[];

/// Devices and how much each has counted.
fn devices(second: u64, figures: &[(&str, u64)]) -> Vec<Arc<Batch>> {
    vec![batch(second, |b| {
        for (device, figure) in figures {
            let of = b.entity(&["device"], [*device]);
            b.put(&BYTES, of, *figure);
        }
    })]
}

/// Device, start in seconds, whether it has ended.
fn starts(points: &[Point]) -> Vec<(&str, u64, bool)> {
    let of = |point| {
        let &Point { ref labels, start, is_gone, .. } = point;
        (labels.get("device").map_or("", |device| device), start / 1_000_000_000, is_gone)
    };
    points.iter().map(of).collect()
}

#[test]
fn a_device_that_comes_later_counts_since_then() {
    let mut scene = Scene::new(Shape::default());
    assert_eq!(starts(&scene.round(100, devices(99, &[("a", 5)]))), [("a", 0, false)]);
    let both = devices(109, &[("a", 6), ("b", 7)]);
    assert_eq!(starts(&scene.round(110, both)), [("a", 0, false), ("b", 99, false)]);
    assert_eq!(starts(&scene.round(120, devices(119, &[("b", 8), ("a", 9)]))), [("b", 99, false), ("a", 0, false)]);
}

#[test]
fn a_family_that_comes_later_may_be_as_old_as_the_machine() {
    let mut scene = Scene::new(Shape::default());
    scene.round(100, vec![batch(99, |b| b.put(&LOAD, b.machine(), 1u64))]);
    assert_eq!(starts(&scene.round(110, devices(109, &[("a", 5)])))[..1], [("a", 0, false)]);
}

#[test]
fn a_counter_that_decreases_begins_anew() {
    let mut scene = Scene::new(Shape::default());
    scene.round(100, devices(99, &[("a", 5), ("b", 1)]));
    let starts_of = |scene: &mut Scene, second, figure| {
        let points = scene.round(second + 1, devices(second, &[("a", figure), ("b", 1)]));
        starts(&points)[0].1
    };
    assert_eq!(starts_of(&mut scene, 109, 4), 99);
    assert_eq!(starts_of(&mut scene, 119, 5), 99);
    assert_eq!(starts_of(&mut scene, 129, 0), 119);
}

#[test]
fn a_series_that_ends_is_said_to_have_ended_once() {
    let mut scene = Scene::new(Shape::default());
    scene.round(100, devices(99, &[("a", 5), ("b", 1), ("c", 1)]));
    let points = scene.round(110, devices(109, &[("b", 2)]));
    assert_eq!(starts(&points), [("b", 0, false), ("a", 0, true), ("c", 0, true)]);
    assert_eq!((points[1].figure.clone(), points[1].time), (Figure::None, seconds(110)));
    assert_eq!(starts(&scene.round(120, devices(119, &[("b", 3)]))), [("b", 0, false)]);
    // What has gone on counting is what it was.
    let back = devices(129, &[("a", 6), ("b", 3), ("c", 0)]);
    assert_eq!(starts(&scene.round(130, back)), [("a", 0, false), ("b", 0, false), ("c", 99, false)]);
}

#[test]
fn whole_families_and_batches_end() {
    let all = |second| {
        let mut all = devices(second, &[("a", 5)]);
        all.push(batch(second, |b| {
            let of = b.entity(&["device"], ["x"]);
            b.put(&RAW, of, 1u64);
            let points = vec![(1.0, 1.0)];
            b.put_distribution(&SIZES, of, Distribution { points: points.clone(), count: Some(1.0), sum: None });
            b.put_distribution(&QUANTILES, of, Distribution { points, count: Some(1.0), sum: None });
        }));
        all
    };
    let mut scene = Scene::new(Shape::default());
    assert_eq!(scene.round(100, all(99)).len(), 4);
    let gone: Vec<Point> = scene.round(110, devices(109, NO_LABELS));
    let forms: Vec<_> = gone.iter().map(|point| (&*point.name, point.form, point.is_gone)).collect();
    let expected = [("bytes_total", "monotonic sum"), ("raw", "gauge"), ("sizes", "histogram"), ("times", "summary")];
    assert_eq!(forms, expected.map(|(name, form)| (name, form, true)));
    assert_eq!(gone.iter().map(|point| &*point.labels["device"]).collect::<Vec<_>>(), ["a", "x", "x", "x"]);
    assert!(scene.round(120, Vec::new()).is_empty());
    assert_eq!(scene.round(130, all(129)).len(), 4);
    let filtered = scene.filtered(140, all(139), |family| family.name == "raw");
    assert_eq!(filtered.iter().filter(|point| point.is_gone).count(), 3);
}

#[test]
fn a_container_counts_since_it_was_made() {
    let made = |taken: u64, birth: u64| {
        let mut batch = Batch::new(10);
        (batch.taken, batch.uptime) = (Duration::from_secs(taken), Duration::from_secs(500));
        let of = batch.since(&["device"], ["a"], Some(Duration::from_secs(birth)));
        let part = batch.part(of, &["x"], ["part"]);
        batch.put(&BYTES, of, 1u64);
        batch.put(&BYTES, part, 1u64);
        vec![Arc::new(batch)]
    };
    let mut scene = Scene::new(Shape::default());
    assert_eq!(starts(&scene.round(501, made(BOOT + 500, BOOT + 300))), [("a", 300, false); 2]);
    // The clock was set: what was found out once stays.
    assert_eq!(starts(&scene.round(501, made(BOOT + 700, BOOT + 300))), [("a", 300, false); 2]);
    // Another one of the same name.
    assert_eq!(starts(&scene.round(501, made(BOOT + 500, BOOT + 400))), [("a", 400, false); 2]);
    // By a clock that was wrong then, it was made before the machine was started, or later than now.
    assert_eq!(starts(&Scene::new(Shape::default()).round(501, made(BOOT + 500, 1))), [("a", 0, false); 2]);
    assert_eq!(starts(&Scene::new(Shape::default()).round(501, made(BOOT + 500, 2 * BOOT))), [("a", 500, false); 2]);
}

#[test]
fn what_the_daemon_counts_itself_began_with_it() {
    static OURS: Family = counter("wholenode_reloads_total", "", &["device"]);
    let shape = Shape { started: Duration::from_secs(50), descriptions: false, ..Shape::default() };
    let points = Scene::new(shape).round(
        100,
        vec![batch(99, |b| {
            let of = b.entity(&["device"], ["x"]);
            b.put(&OURS, of, 1u64);
            b.put(&BYTES, of, 1u64);
        })],
    );
    assert_eq!(starts(&points), [("x", 0, false), ("x", 50, false)]);
    assert_eq!(points[0].help, "");
}

proptest! {
    #[test]
    fn whatever_comes_and_goes_each_series_is_sent_and_ends_once(
        rounds in prop::collection::vec(prop::collection::vec((0..12usize, any::<bool>()), 0..16), 1..8),
        per_container: bool,
    ) {
        const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        let mut scene = Scene::new(Shape { per_container, ..Shape::default() });
        let mut last = BTreeSet::new();
        for (round, put) in (1..).zip(rounds) {
            let mut now = BTreeSet::new();
            let batches = vec![batch(round, |b| {
                for (device, is_counter) in put {
                    if now.insert((NAMES[device], is_counter)) {
                        let of = b.entity(&["device", "name", "image"], [NAMES[device], NAMES[device], "x"]);
                        b.put(if is_counter { &BYTES } else { &RAW }, of, round);
                    }
                }
            })];
            let points = scene.round(round, batches);
            let key = |point: &Point| (point.labels["device"].clone(), point.name == BYTES.name);
            let sent: BTreeSet<_> = points.iter().filter(|point| !point.is_gone).map(key).collect();
            let gone: BTreeSet<_> = points.iter().filter(|point| point.is_gone).map(key).collect();
            let owned = |series: &BTreeSet<(&str, bool)>| -> BTreeSet<(String, bool)> {
                series.iter().map(|(device, is_counter)| ((*device).to_owned(), *is_counter)).collect()
            };
            prop_assert_eq!(points.len(), sent.len() + gone.len());
            prop_assert_eq!(gone, owned(&last.difference(&now).copied().collect()));
            prop_assert_eq!(sent, owned(&now));
            for point in &points {
                prop_assert_eq!(&point.resource["host.name"], "alpha");
                let owner = point.resource.get("container.name");
                prop_assert_eq!(owner, per_container.then_some(&point.labels["device"]));
            }
            last = now;
        }
    }
}
