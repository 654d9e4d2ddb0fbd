//! The machines of `tests/machines` as an OTLP receiver sees them: point by point what their pages say.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../src/encode/otlp/tests/decoded.rs"]
mod decoded;

use crate::golden::{HOME, machines};
use collectors::kit::exposition::{Dialect, Figure as Told, parse};
use collectors::kit::{Child, Clock, Machine, Options, Replay, Roots, Script};
use collectors::model::{Batch, Distribution, Kind, Snapshot, Value};
use collectors::{ALL, Chosen, Spec};
use decoded::{Attributes, Figure, Point};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wholenode::encode::otlp::{Attribute, Otlp, Requests, Resource, Shape};
use wholenode::encode::{Format, Text};
use wholenode::engine::{Engine, Instruments};

/// What all collectors say of a machine, and how long it has been running.
fn snapshot(machine: &str) -> (Snapshot, Duration) {
    let tree = format!("{HOME}/tests/machines/{machine}");
    let folder = |name: &str| format!("{tree}/{name}");
    let roots = Roots {
        proc: folder("proc"),
        sys: folder("sys"),
        rootfs: folder("rootfs"),
        udev: folder("udev"),
        cgroup: folder("cgroup"),
        system_bus: None,
    };
    let replay = Replay::load(&folder("calls")).unwrap();
    let (wall, uptime) = replay.clock;
    let clock = Clock::Scripted(Script::new(uptime, wall));
    let machine = Machine::new(roots, clock, Some(replay), Child::new(env!("CARGO_BIN_EXE_wholenode")));
    let engine = Arc::new(Engine::new(machine, ALL, Duration::ZERO, Instruments::new("test")));
    let chosen = |spec: &&'static Spec| {
        let given = match spec.name {
            "textfile" => vec![("directory".to_owned(), vec![folder("textfile")])],
            "containers" => vec![("families".to_owned(), vec![".*".to_owned()])],
            _ => Vec::new(),
        };
        Chosen { spec, options: Options::new(spec.options, &given).unwrap() }
    };
    engine.configure(&ALL.iter().map(chosen).collect::<Vec<_>>());
    let all = engine.select(None, &[], &[]).unwrap();
    (engine.ask_once(all.into(), Duration::from_secs(60)), uptime)
}

/// What a series is on the page or at a receiver: name, labels, type, figure.
type Series = BTreeMap<(String, Attributes), (&'static str, Figure)>;

fn page(snapshot: &Snapshot) -> Series {
    let page = Text::default().page(snapshot, Format::Text, Vec::new());
    let mut found = Series::new();
    for parsed in parse(&page, Dialect::Prometheus).unwrap().families {
        let form = match parsed.family.kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Untyped => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        for series in parsed.series {
            let figure = match series.figure {
                Told::Value(Value::Int(n)) => Figure::Int(n),
                Told::Value(value) => Figure::Float(value.as_f64().unwrap()),
                Told::Distribution(told) if form == "histogram" => histogram(&told),
                Told::Distribution(told) => {
                    Figure::Summary(told.points, told.count.unwrap() as u64, told.sum.unwrap_or(f64::NAN))
                }
            };
            found.insert((parsed.family.name.to_string(), series.labels.into_iter().collect()), (form, figure));
        }
    }
    found
}

fn histogram(told: &Distribution) -> Figure {
    let (mut counts, mut below) = (Vec::new(), 0);
    for (_, count) in &told.points {
        counts.push(*count as u64 - below);
        below = *count as u64;
    }
    let bounds = told.points.iter().map(|point| point.0).filter(|bound| bound.is_finite()).collect();
    Figure::Histogram(bounds, counts, told.count.unwrap() as u64, told.sum)
}

fn receive(out: &Requests) -> Vec<Point> {
    let points: Vec<Point> = out.iter().flat_map(|request| decoded::points(request.0)).collect();
    assert_eq!(points.len() as u64, out.points());
    points
}

fn received(points: Vec<Point>) -> Series {
    let mut found = Series::new();
    for point in points {
        let form = if point.form.ends_with("sum") { "counter" } else { point.form };
        let (key, value) = ((point.name, point.labels), (form, point.figure));
        let again = found.insert(key.clone(), value);
        assert!(again.is_none(), "{key:?} comes twice");
    }
    found
}

/// Whether both say the same number. The page has no mark of whole numbers: 3.0 is written as 3.
fn is_same(page: &Figure, sent: &Figure) -> bool {
    match (page, sent) {
        (Figure::Int(n), Figure::Float(x)) => *n as f64 == *x,
        (Figure::Float(a), Figure::Float(b)) => a == b || a.is_nan() && b.is_nan(),
        (page, sent) => page == sent,
    }
}

fn encoder(per_container: bool) -> Otlp {
    let machine = vec![("host.name".to_owned(), Attribute::Text("alpha".to_owned()))];
    Otlp::new(Resource(machine), Shape { per_container, ..Shape::default() })
}

#[test]
fn receivers_are_told_what_the_pages_say() {
    for machine in machines() {
        let (snapshot, uptime) = snapshot(&machine);
        let page = page(&snapshot);
        for per_container in [false, true] {
            let mut out = Requests::default();
            encoder(per_container).encode(&snapshot, uptime, |_| true, &mut out);
            let mut sent = received(receive(&out));
            assert_eq!(sent.remove(&("up".to_owned(), Attributes::new())), Some(("gauge", Figure::Int(1))));
            assert!(sent.keys().eq(page.keys()), "{machine}: other series");
            for (key, (form, figure)) in &page {
                let (sent_form, sent_figure) = &sent[key];
                assert!(
                    form == sent_form && is_same(figure, sent_figure),
                    "{machine}: {key:?} {figure:?} {sent_figure:?}"
                );
            }
            assert_eq!(out.too_large(), 0);
        }
    }
}

#[test]
fn what_is_whole_is_sent_as_a_whole_number() {
    let (snapshot, uptime) = snapshot(&machines()[0]);
    let mut out = Requests::default();
    encoder(false).encode(&snapshot, uptime, |_| true, &mut out);
    let points = receive(&out);
    let of = |name: &str| points.iter().find(|point| point.name == name).unwrap().figure.clone();
    assert!(matches!(of("node_memory_MemTotal_bytes"), Figure::Int(_)));
    assert!(matches!(of("node_load1"), Figure::Float(_)));
}

#[test]
fn counters_of_the_machine_count_since_boot_and_those_of_containers_since_these_were_made() {
    let (mut before_boot, mut later) = (0, 0);
    for machine in machines() {
        let (snapshot, uptime) = snapshot(&machine);
        let mut out = Requests::default();
        let is_made_now = |name: &str| name == "up" || name.starts_with("wholenode_");
        let now = uptime + Duration::from_secs(5);
        encoder(false).encode(&snapshot, now, |_| true, &mut out);
        for point in receive(&out).into_iter().filter(|point| !is_made_now(&point.name)) {
            assert!(point.time == now.as_nanos() as u64 && point.start <= point.time && !point.is_gone, "{point:?}");
            let is_of_cgroup = point.name.starts_with("container_");
            assert!(is_of_cgroup || point.start == 0, "{point:?}");
            before_boot += usize::from(point.form == "monotonic sum" && point.start == 0);
            later += usize::from(point.start > 0);
        }
    }
    assert!(before_boot > 1000 && later > 10, "{before_boot} {later}");
}

/// A name as Prometheus makes it of one that arrives, with the default translation and no unit.
fn translated(name: &str, is_monotonic: bool) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric() && c != ':').filter(|word| !word.is_empty());
    let mut words: Vec<&str> = words.collect();
    if is_monotonic {
        words.retain(|word| *word != "total");
        words.push("total");
    }
    words.join("_")
}

/// The names and forms of all families that the code knows and that are numbers, and of those that the machines name.
fn names() -> BTreeMap<String, &'static str> {
    let (mut otlp, mut out) = (encoder(false), Requests::default());
    let mut batch = Batch::new(10_000);
    for family in ALL.iter().flat_map(|spec| spec.families) {
        if !matches!(family.kind, Kind::Histogram | Kind::Summary) {
            batch.put(*family, batch.machine(), 1u64);
        }
    }
    let known = Snapshot::new(vec![Arc::new(batch)]);
    let snapshots = machines().into_iter().map(|machine| snapshot(&machine).0);
    let mut found = BTreeMap::new();
    for snapshot in std::iter::once(known).chain(snapshots) {
        otlp.encode(&snapshot, Duration::from_secs(1), |_| true, &mut out);
        found.extend(receive(&out).into_iter().map(|point| (point.name, point.form)));
    }
    found
}

#[test]
fn prometheus_leaves_all_names_as_they_are() {
    let names = names();
    assert!(names.len() > 1000, "{} names", names.len());
    for (name, form) in &names {
        assert_eq!(translated(name, *form == "monotonic sum"), *name);
    }
    // Only where the name would be another one is a counter no monotonic sum.
    let odd: Vec<&str> = names.iter().filter(|named| *named.1 == "sum").map(|named| named.0.as_str()).collect();
    assert!(odd.iter().all(|name| translated(name, true) != *name), "{odd:?}");
    for name in ["container_memory_failcnt", "node_mountstats_nfs_total_read_bytes_total"] {
        assert!(odd.contains(&name), "{odd:?}");
    }
}

#[test]
fn a_machine_that_falls_silent_ends_all_its_series() {
    let (snapshot, uptime) = snapshot(&machines()[0]);
    let (mut otlp, mut out) = (encoder(true), Requests::default());
    otlp.encode(&snapshot, uptime, |_| true, &mut out);
    let count = out.points();
    let before = receive(&out);
    otlp.encode(&Snapshot::default(), uptime + Duration::from_secs(60), |_| true, &mut out);
    assert_eq!(out.points(), count);
    let after = receive(&out);
    assert!(after[1..].iter().all(|point| point.is_gone && point.figure == Figure::None || point.form == "histogram"));
    let series = |points: &[Point]| -> Vec<_> {
        points.iter().map(|point| (point.resource.clone(), point.name.clone(), point.labels.clone())).collect()
    };
    assert!(series(&before) == series(&after));
    otlp.encode(&Snapshot::default(), uptime + Duration::from_secs(120), |_| true, &mut out);
    assert_eq!(out.points(), 1);
}
