//! 20,000 points of 100 containers, from a snapshot to export requests: our own encoder, and OpenTelemetry's SDK with its
//! exporter, from callbacks to bytes; neither sends anything.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod ratio;

use collectors::model::{Batch, Family, Snapshot, Value, counter};
use criterion::{Criterion, Throughput};
use flate2::{Compression, write::GzEncoder};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::metrics::{Instrument, PeriodicReader, SdkMeterProvider, Stream};
use ratio::Ratios;
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use std::alloc::System;
use std::borrow::Cow;
use std::hint::black_box;
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use wholenode::encode::Gzip;
use wholenode::encode::otlp::{Attribute, Otlp, Requests, Resource, Shape};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONTAINERS: usize = 100;
const FAMILIES: usize = 200;
const POINTS: usize = CONTAINERS * FAMILIES;
const LABELS: &[&str; 6] = &["id", "name", "image", "namespace", "pod", "container"];
/// How often the processor time of a whole cycle is taken.
const CYCLES: usize = 7;
/// What ours may take of the SDK's processor time.
const SHARE_MAX: f64 = 0.1;

static TABLE: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let family = |at| Family {
        name: Cow::Owned(format!("container_figure_{at:03}_bytes_total")),
        ..counter("", "A figure of the container.", LABELS)
    };
    (0..FAMILIES).map(family).collect()
});

fn labels(container: usize) -> [String; 6] {
    let id = format!("{:064x}", (container as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let uid = format!("{container:08x}-5b3f-4c88-8f10-2d6b9a4e7c31");
    [
        format!("/kubepods/burstable/pod{uid}/{id}"),
        id,
        format!("registry.example/team/app-{}:1.{}", container % 30, container % 7),
        format!("team-{}", container % 10),
        format!("service-{}-7d4b9c6f5-x{container:04}", container % 50),
        format!("app-{}", container % 30),
    ]
}

/// Figures that have nothing in common with each other: the hard case for a compressor.
fn figure(family: usize, container: usize) -> i64 {
    let seed = (family * CONTAINERS + container) as u64 + 1;
    let mixed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (mixed >> 20 >> (mixed % 40)) as i64
}

fn snapshot() -> Snapshot {
    let mut batch = Batch::new(POINTS);
    (batch.taken, batch.uptime) = (Duration::from_secs(1_700_000_000), Duration::from_secs(1_000));
    for container in 0..CONTAINERS {
        let labels = labels(container);
        let of = batch.entity(LABELS, labels.each_ref().map(String::as_str));
        for (at, family) in TABLE.iter().enumerate() {
            batch.put(family, of, Value::Int(figure(at, container)));
        }
    }
    Snapshot::new(vec![Arc::new(batch)])
}

/// Our encoder, with all that it keeps from push to push.
struct Ours {
    otlp: Otlp,
    out: Requests,
    seconds: u64,
}

impl Ours {
    fn new(per_container: bool) -> Self {
        let machine = [("service.name", "wholenode"), ("host.name", "alpha")];
        let machine = machine.map(|(name, value)| (name.to_owned(), Attribute::Text(value.to_owned())));
        let shape = Shape { per_container, ..Shape::default() };
        Self { otlp: Otlp::new(Resource(machine.to_vec()), shape), out: Requests::default(), seconds: 1_000 }
    }

    fn push(&mut self, snapshot: &Snapshot) {
        self.seconds += 60;
        self.otlp.encode(snapshot, Duration::from_secs(self.seconds), |_| true, &mut self.out);
    }
}

/// A client that only counts what it is to send.
#[derive(Clone, Debug, Default)]
struct Nowhere(Arc<AtomicUsize>);

impl HttpClient for Nowhere {
    fn send_bytes<'a, 'async_trait>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        self.0.store(black_box(request.body()).len(), Relaxed);
        Box::pin(async { Ok(Response::new(Bytes::new())) })
    }
}

/// The SDK: an observable counter for each family, whose callback tells of each container; its limit of series is lifted.
fn sdk(sent: &Nowhere) -> SdkMeterProvider {
    let exporter = MetricExporter::builder().with_http().with_http_client(sent.clone());
    let exporter = exporter.with_endpoint("http://localhost/v1/metrics").build().unwrap();
    let reader = PeriodicReader::builder(exporter).with_interval(Duration::from_secs(86_400)).build();
    let unlimited = |_: &Instrument| Stream::builder().with_cardinality_limit(2 * CONTAINERS).build().ok();
    let provider = SdkMeterProvider::builder().with_reader(reader).with_view(unlimited).build();
    let meter = provider.meter("wholenode");
    let sets: Arc<Vec<Vec<KeyValue>>> = Arc::new(
        (0..CONTAINERS)
            .map(|at| LABELS.iter().zip(labels(at)).map(|(name, value)| KeyValue::new(*name, value)).collect())
            .collect(),
    );
    for (at, family) in TABLE.iter().enumerate() {
        let sets = Arc::clone(&sets);
        let counter = meter.u64_observable_counter(&*family.name).with_description(&*family.help);
        counter
            .with_callback(move |observer| {
                for (container, set) in sets.iter().enumerate() {
                    observer.observe(figure(at, container) as u64, set);
                }
            })
            .build();
    }
    provider
}

/// The best processor time of all threads, and what the last cycle allocated.
fn cycles(mut cycle: impl FnMut()) -> (Duration, Stats) {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    (0..3).for_each(|_| cycle());
    let region = Region::new(ALLOCATOR);
    cycle();
    let stats = region.change();
    let took = |_| {
        let begun = now();
        cycle();
        now() - begun
    };
    ((0..CYCLES).map(took).min().unwrap(), stats)
}

fn calls(stats: Stats) -> usize {
    stats.allocations + stats.reallocations
}

/// Bytes for each point: as they are, packed by our gzip, by the usual one at its first and its sixth level.
fn sizes(name: &str, out: &Requests) {
    let (mut raw, mut ours, mut usual) = (0, 0, [0; 2]);
    let (mut gzip, mut packed) = (Gzip::default(), Vec::new());
    for (request, _) in out.iter() {
        packed.clear();
        gzip.pack(request, &mut packed);
        raw += request.len();
        ours += packed.len();
        for (sum, level) in usual.iter_mut().zip([1, 6]) {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(request).unwrap();
            *sum += encoder.finish().unwrap().len();
        }
    }
    let each = |bytes: usize| bytes as f64 / out.points() as f64;
    println!(
        "{name}: {} requests, bytes per point {:.1}; gzip: our own {:.1}, level 1 {:.1}, level 6 {:.1}",
        out.len(),
        each(raw),
        each(ours),
        each(usual[0]),
        each(usual[1])
    );
}

fn main() {
    let snapshot = snapshot();
    let (mut one, mut many) = (Ours::new(false), Ours::new(true));
    let sent = Nowhere::default();
    let provider = sdk(&sent);

    let (ours, stats) = cycles(|| one.push(&snapshot));
    let (_, of_many) = cycles(|| many.push(&snapshot));
    let (theirs, of_sdk) = cycles(|| provider.force_flush().unwrap());
    for (name, stats) in [("one resource", stats), ("a resource per container", of_many), ("SDK and exporter", of_sdk)]
    {
        println!("allocations of a push, {name}: {}", calls(stats));
    }
    sizes("one resource", &one.out);
    sizes("a resource per container", &many.out);
    println!("SDK and exporter: bytes per point {:.1}", sent.0.load(Relaxed) as f64 / POINTS as f64);
    let share = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("processor time of a push: ours {ours:.1?}, SDK and exporter {theirs:.1?}: {share:.3} of it\n");
    assert_eq!((calls(stats), calls(of_many)), (0, 0), "a steady push allocates");
    assert!(one.out.points() == POINTS as u64 + 1 && sent.0.load(Relaxed) > 200 * POINTS, "not the same points");
    assert!(share <= SHARE_MAX, "{share:.3} of the SDK's processor time, {SHARE_MAX} at most");

    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let mut ratios = Ratios::new(&mut criterion, "otlp", Throughput::Elements(POINTS as u64));
    let finished: Vec<u8> = one.out.iter().flat_map(|request| request.0).copied().collect();
    let mut copy = Vec::new();
    ratios.case("copy of the finished requests", || {
        copy.clear();
        copy.extend_from_slice(black_box(&finished));
    });
    ratios.case("one resource", || one.push(&snapshot));
    ratios.case("a resource per container", || many.push(&snapshot));
    ratios.case("SDK and exporter", || provider.force_flush().unwrap());
    ratios.print();
    criterion.final_summary();
}
