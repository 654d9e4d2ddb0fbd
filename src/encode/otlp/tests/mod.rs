//! What arrives at a receiver that is told of small snapshots.

mod containers;
pub(crate) mod decoded;
mod foreign;
mod rounds;

use super::{Attribute, Otlp, Requests, Resource, Shape};
use collectors::model::{Batch, Distribution, Family, Kind, Snapshot, Value, counter, gauge, untyped};
use decoded::{Figure, Point};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

static LOAD: Family = gauge("load", "How busy.", &[]);
static BYTES: Family = counter("bytes_total", "Bytes.", &["device"]);
static FAILCNT: Family = counter("container_memory_failcnt", "Failures.", &[]);
static RAW: Family = untyped("raw", "", &["x"]);
const fn distributions(name: &'static str, kind: Kind) -> Family {
    Family { name: Cow::Borrowed(name), help: Cow::Borrowed("Sizes."), kind, labels: &[], semconv: None }
}
static SIZES: Family = distributions("sizes", Kind::Histogram);
static QUANTILES: Family = distributions("times", Kind::Summary);

/// The second of the batch, and what is in it.
fn batch(second: u64, put: impl FnOnce(&mut Batch)) -> Arc<Batch> {
    let mut batch = Batch::new(100_000);
    batch.uptime = Duration::from_secs(second);
    batch.taken = Duration::from_secs(BOOT + second);
    put(&mut batch);
    Arc::new(batch)
}

/// When the machine was started, since 1970.
const BOOT: u64 = 1_000_000;

/// An endpoint and what it was told last.
struct Scene {
    otlp: Otlp,
    out: Requests,
}

impl Scene {
    fn new(shape: Shape) -> Self {
        let machine = vec![("host.name".to_owned(), Attribute::Text("alpha".to_owned()))];
        Self { otlp: Otlp::new(Resource(machine), shape), out: Requests::default() }
    }

    /// The points of a round in this second, without `up`.
    fn round(&mut self, second: u64, batches: Vec<Arc<Batch>>) -> Vec<Point> {
        self.filtered(second, batches, |_| true)
    }

    fn filtered(&mut self, second: u64, batches: Vec<Arc<Batch>>, keep: impl Fn(&Family) -> bool) -> Vec<Point> {
        self.otlp.encode(&Snapshot::new(batches), Duration::from_secs(second), keep, &mut self.out);
        let mut all = self.points();
        let up = all.remove(0);
        assert_eq!((&*up.name, up.form, up.figure, up.time), ("up", "gauge", Figure::Int(1), seconds(second)));
        all
    }

    fn points(&self) -> Vec<Point> {
        let count = |(request, points)| {
            let found = decoded::points(request);
            assert_eq!(found.len(), points as usize);
            found
        };
        let all: Vec<Point> = self.out.iter().flat_map(count).collect();
        assert_eq!(all.len() as u64, self.out.points());
        all
    }
}

fn seconds(seconds: u64) -> u64 {
    seconds * 1_000_000_000
}

fn told(points: &[Point]) -> Vec<(&str, &'static str, Figure)> {
    points.iter().map(|point| (point.name.as_str(), point.form, point.figure.clone())).collect()
}

#[test]
fn every_kind_of_family_and_value() {
    let points = Scene::new(Shape::default()).round(
        100,
        vec![batch(90, |b| {
            let machine = b.machine();
            b.put(&LOAD, machine, Value::Scaled(150, 2));
            b.put(&FAILCNT, machine, i64::MIN);
            let device = b.entity(&["device"], ["a\"\n"]);
            b.put(&BYTES, device, u64::MAX);
            let cumulative = vec![(0.5, 1.0), (10.0, 4.0), (f64::INFINITY, 6.0)];
            b.put_distribution(&SIZES, device, Distribution { points: cumulative, count: Some(6.0), sum: Some(11.5) });
            b.put_distribution(
                &QUANTILES,
                machine,
                Distribution { points: vec![(0.99, 2.5)], count: Some(1.0), sum: None },
            );
            for (x, value) in [("1", f64::NEG_INFINITY), ("2", f64::NAN)] {
                let of = b.entity(&["x"], [x]);
                b.put(&RAW, of, value);
            }
        })],
    );
    let all = told(&points);
    assert_eq!(
        all[..4],
        [
            ("bytes_total", "monotonic sum", Figure::Float(u64::MAX as f64)),
            ("container_memory_failcnt", "sum", Figure::Int(i64::MIN)),
            ("load", "gauge", Figure::Float(1.5)),
            ("raw", "gauge", Figure::Float(f64::NEG_INFINITY)),
        ]
    );
    assert!(matches!(all[4].2, Figure::Float(x) if x.is_nan()));
    let sizes = Figure::Histogram(vec![0.5, 10.0], vec![1, 3, 2], 6, Some(11.5));
    assert_eq!(all[5], ("sizes", "histogram", sizes));
    assert!(
        matches!(&all[6], ("times", "summary", Figure::Summary(points, 1, sum)) if points == &[(0.99, 2.5)] && sum.is_nan())
    );
    assert_eq!((points[0].labels["device"].as_str(), points[5].labels["device"].as_str()), ("a\"\n", "a\"\n"));
    assert!(points.iter().all(|point| point.time == seconds(100) && point.start == 0 && !point.is_gone));
    assert!(points.iter().all(|point| point.resource == [("host.name".to_owned(), "alpha".to_owned())].into()));
    assert_eq!((&*points[0].help, &*points[3].help), ("Bytes.", ""));
}

#[test]
fn what_the_page_leaves_out_is_left_out() {
    let one = |device| {
        batch(9, move |b: &mut Batch| {
            let of = b.entity(&["device"], [device]);
            b.put(&BYTES, of, 1u64);
            b.put(&LOAD, b.machine(), 1u64);
        })
    };
    let points = Scene::new(Shape::default()).filtered(10, vec![one("a"), one("a"), one("b")], |f| f.name != "load");
    let devices: Vec<&str> = points.iter().map(|point| &*point.labels["device"]).collect();
    assert_eq!(devices, ["a", "b"]);
}

#[test]
fn an_up_of_the_machine_itself_comes_first() {
    static UP: Family = gauge("up", "", &[]);
    let mut scene = Scene::new(Shape::default());
    assert!(scene.round(1, Vec::new()).is_empty());
    let snapshot = Snapshot::new(vec![batch(2, |b| b.put(&UP, b.machine(), 0u64))]);
    scene.otlp.encode(&snapshot, Duration::from_secs(2), |_| true, &mut scene.out);
    assert_eq!(told(&scene.points()), [("up", "gauge", Figure::Int(0))]);
}

#[test]
fn requests_have_no_more_points_than_receivers_take() {
    let mut scene = Scene::new(Shape::default());
    let points = scene.round(
        2,
        vec![batch(1, |b| {
            for at in 0..12_000 {
                let of = b.entity(&["x"], [&at.to_string()]);
                b.put(&RAW, of, at as u64);
                b.put(&BYTES, of, at as u64);
            }
        })],
    );
    assert_eq!(points.len(), 24_000);
    assert_eq!(scene.out.iter().map(|request| request.1).collect::<Vec<_>>(), [5000, 5000, 5000, 5000, 4001]);
    let of = |name: &str| -> Vec<Figure> {
        points.iter().filter(|point| point.name == name).map(|point| point.figure.clone()).collect()
    };
    let expected: Vec<Figure> = (0..12_000).map(Figure::Int).collect();
    assert_eq!([of("raw"), of("bytes_total")], [expected.clone(), expected]);
}

#[test]
fn requests_are_no_larger_than_receivers_take() {
    let mut scene = Scene::new(Shape::default());
    let long = "y".repeat(10_000);
    let points = scene.round(
        2,
        vec![batch(1, |b| {
            for at in 0..1_000 {
                let of = b.entity(&["x"], [&format!("{at}{long}")]);
                b.put(&RAW, of, at as u64);
            }
            let of = b.entity(&["x"], [&long.repeat(400)]);
            b.put(&RAW, of, 1u64);
        })],
    );
    assert_eq!((points.len(), scene.out.len(), scene.out.too_large()), (1_000, 4, 1));
    assert!(scene.out.iter().all(|request| request.0.len() <= 3 << 20));
    let few = scene.round(3, Vec::new());
    assert_eq!((few.len(), scene.out.too_large()), (1_000, 1));
}
