use super::*;
use collectors::model::{Batch, counter, gauge, untyped};
use std::borrow::Cow;
use std::io::Read;

static UP: Family = gauge("up", "Is it \"up\"?\nYes.", &[]);
static BYTES: Family = counter("bytes_total", "Bytes.", &["device", "way"]);
static ODD: Family = counter("failcnt", "Not named like a counter.", &[]);
static RAW: Family = untyped("raw", "", &[]);
const fn family(name: &'static str, help: &'static str, kind: Kind) -> Family {
    Family { name: Cow::Borrowed(name), help: Cow::Borrowed(help), kind, labels: &[], semconv: None }
}
static SIZES: Family = family("sizes", "Sizes.", Kind::Histogram);
static TIMES: Family = family("times", "Times.", Kind::Summary);

fn snapshot() -> Snapshot {
    let mut batch = Batch::new(100);
    let machine = batch.machine();
    batch.put(&UP, machine, true);
    for device in ["eth0", "a\\\"\n"] {
        let device = batch.entity(&["device"], [device]);
        for way in ["in", "out"] {
            let way = batch.part(device, &["way"], [way]);
            batch.put(&BYTES, way, Value::Scaled(150, 2));
        }
    }
    batch.put(&ODD, machine, 7u64);
    batch.put(&RAW, machine, f64::NAN);
    let a = batch.entity(&["a"], ["x"]);
    let points = vec![(0.5, 1.0), (10.0, 2.0), (f64::INFINITY, 3.0)];
    batch.put_distribution(&SIZES, a, Distribution { points, count: Some(3.0), sum: Some(11.5) });
    batch.put_distribution(&TIMES, machine, Distribution { points: vec![(0.99, 2.5)], count: Some(1.0), sum: None });
    Snapshot::new(vec![Arc::new(batch)])
}

fn page(format: Format) -> String {
    String::from_utf8(Text::default().page(&snapshot(), format, Vec::new())).unwrap()
}

#[test]
fn text_0_0_4() {
    assert_eq!(
        page(Format::Text),
        r#"# HELP bytes_total Bytes.
# TYPE bytes_total counter
bytes_total{device="eth0",way="in"} 1.5
bytes_total{device="eth0",way="out"} 1.5
bytes_total{device="a\\\"\n",way="in"} 1.5
bytes_total{device="a\\\"\n",way="out"} 1.5
# HELP failcnt Not named like a counter.
# TYPE failcnt counter
failcnt 7
# TYPE raw untyped
raw NaN
# HELP sizes Sizes.
# TYPE sizes histogram
sizes_bucket{a="x",le="0.5"} 1
sizes_bucket{a="x",le="10"} 2
sizes_bucket{a="x",le="+Inf"} 3
sizes_sum{a="x"} 11.5
sizes_count{a="x"} 3
# HELP times Times.
# TYPE times summary
times{quantile="0.99"} 2.5
times_count 1
# HELP up Is it "up"?\nYes.
# TYPE up gauge
up 1
"#
    );
}

#[test]
fn openmetrics_1_0() {
    let page = page(Format::OpenMetrics);
    assert!(page.starts_with("# HELP bytes Bytes.\n# TYPE bytes counter\nbytes_total{"));
    assert!(page.contains("# TYPE failcnt unknown\nfailcnt 7\n# TYPE raw unknown\n"));
    assert!(page.contains("# HELP up Is it \\\"up\\\"?\\nYes.\n"));
    assert!(page.contains("sizes_bucket{a=\"x\",le=\"10.0\"} 2\n"));
    assert!(page.ends_with("up 1\n# EOF\n"));
}

#[test]
fn families_can_be_left_out_and_the_writer_used_again() {
    let (mut text, snapshot) = (Text::keeping(|family| family.name == "up"), snapshot());
    for _ in 0..2 {
        let page = text.page(&snapshot, Format::Text, Vec::new());
        assert_eq!(page, b"# HELP up Is it \"up\"?\\nYes.\n# TYPE up gauge\nup 1\n");
    }
}

#[test]
fn a_writer_used_again_keeps_nothing_that_has_changed() {
    let page = |text: &mut Text, layout: &mut Arc<Layout>, device: &str, format| {
        let mut batch = Batch::new(10);
        let of = batch.entity(&["device"], [device]);
        batch.put(&BYTES, of, 1u64);
        let snapshot = Snapshot::like(layout, vec![Arc::new(batch)]);
        *layout = Arc::clone(snapshot.layout());
        String::from_utf8(text.page(&snapshot, format, Vec::new())).unwrap()
    };
    let (mut text, mut layout) = Default::default();
    for (device, format) in [("a", Format::Text), ("b", Format::Text), ("b", Format::OpenMetrics)] {
        let again = page(&mut text, &mut layout, device, format);
        assert_eq!(again, page(&mut Text::default(), &mut Arc::default(), device, format));
        assert!(again.contains(&format!("{{device=\"{device}\"}} 1\n")));
    }
}

#[test]
fn a_long_page_is_packed_while_it_is_written() {
    let names: Vec<String> = (0..3_000).map(|at| format!("device-{}-{}", at, "x".repeat(at % 90))).collect();
    let long = "y".repeat(300_000);
    let mut batch = Batch::new(10_000);
    for device in names.iter().map(String::as_str).chain([&*long]).chain(names.iter().map(|name| &name[..8])) {
        let of = batch.entity(&["device"], [device]);
        batch.put(&BYTES, of, 1u64 << (device.len() % 60));
    }
    let snapshot = Snapshot::new(vec![Arc::new(batch)]);
    let mut text = Text::default();
    for format in [Format::Text, Format::OpenMetrics] {
        let (packed, plain) = (text.packed(&snapshot, format, 0), text.page(&snapshot, format, Vec::new()));
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_end(&mut back).unwrap();
        assert!(packed.is_packed && back == plain && packed.length == plain.len());
        // As if it had been packed as a whole.
        assert!(packed.bytes == Page::packed(plain, &mut Gzip::default()).bytes);
    }
}

#[test]
fn a_short_page_is_not_packed() {
    let page = Text::default().packed(&snapshot(), Format::Text, 1 << 20);
    assert_eq!((page.is_packed, page.length), (false, page.bytes.len()));
}
