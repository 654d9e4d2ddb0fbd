//! 60,000 samples of 1,000 containers, from numbers in memory to a page: our columns and text, prometheus-client's
//! text, and the bare copy of the finished page.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod ratio;

use collectors::model::{Batch, Family, Kind, Snapshot, Value, counter};
use criterion::{Criterion, Throughput};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use ratio::Ratios;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::borrow::Cow;
use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use wholenode::encode::{Format, Text};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONTAINERS: usize = 1000;
const FAMILIES: usize = 60;

static TABLE: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let family = |at| Family {
        name: Cow::Owned(format!("container_figure_{at:02}_bytes_total")),
        ..counter("", "A figure of the container.", &["container", "id", "namespace", "pod"])
    };
    (0..FAMILIES).map(family).collect()
});

/// What a collector has in its hands when it has read a container's files.
#[derive(Debug)]
struct Container {
    labels: [(&'static str, String); 4],
    figures: [Value; FAMILIES],
}

/// Mostly counts and bytes, every tenth figure in nanoseconds, every thirtieth a float.
fn container(at: usize) -> Container {
    let mut seed = at as u64 + 1;
    let figures = std::array::from_fn(|family| {
        // Knuth's linear congruential generator: the figures differ in length as real ones do.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = (seed >> 20 >> (seed % 40)) as i64;
        match family % 30 {
            29 => Value::Float(0.25 + n as f64 % 1e6),
            9 | 19 => Value::Scaled(n % 1_000_000_000_000 * 10 + 1, 9),
            _ => Value::Int(n),
        }
    });
    let labels = [
        ("container", format!("app-{}", at % 7)),
        ("id", format!("{at:064x}")),
        ("namespace", format!("team-{}", at % 20)),
        ("pod", format!("service-{}-7d4b9c6f5-x{at:04}", at % 50)),
    ];
    Container { labels, figures }
}

fn fill(batch: &mut Batch, containers: &[Container]) {
    batch.clear();
    for container in containers {
        let values = container.labels.each_ref().map(|(_, value)| value.as_str());
        let of = batch.entity(&["container", "id", "namespace", "pod"], values);
        for (family, figure) in TABLE.iter().zip(container.figures) {
            batch.put(family, of, figure);
        }
    }
}

/// Everything that is kept from round to round.
struct Page {
    batch: Arc<Batch>,
    text: Text,
    out: Vec<u8>,
}

impl Page {
    fn fill(&mut self, containers: &[Container]) {
        fill(Arc::get_mut(&mut self.batch).unwrap(), containers);
    }

    fn encode(&mut self) {
        let snapshot = Snapshot::new(vec![Arc::clone(&self.batch)]);
        self.out = self.text.page(&snapshot, Format::Text, std::mem::take(&mut self.out));
    }
}

/// The same page by prometheus-client: full names, and figures written as gauges, make its text what 0.0.4 wants.
#[derive(Debug)]
struct Client(Vec<Container>);

impl Collector for Client {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (at, family) in TABLE.iter().enumerate() {
            let mut metrics = encoder.encode_descriptor(&family.name, &family.help, None, MetricType::Counter)?;
            for container in &self.0 {
                let labels = container.labels.each_ref().map(|(name, value)| (*name, value.as_str()));
                let metric = metrics.encode_family(&labels)?;
                match container.figures[at] {
                    Value::Int(n) => ConstGauge::new(n).encode(metric)?,
                    value => ConstGauge::new(value.as_f64().unwrap_or(f64::NAN)).encode(metric)?,
                }
            }
        }
        Ok(())
    }
}

/// The samples of a page; how a figure is written does not matter.
fn samples(page: &str) -> Vec<(&str, f64)> {
    let lines = page.lines().filter(|line| !line.starts_with("# "));
    lines.map(|line| line.rsplit_once(' ').map(|(series, figure)| (series, figure.parse().unwrap())).unwrap()).collect()
}

fn main() {
    assert!(TABLE.iter().all(|family| family.kind == Kind::Counter));
    let containers: Vec<_> = (0..CONTAINERS).map(container).collect();
    let mut page = Page { batch: Arc::new(Batch::new(100_000)), text: Text::default(), out: Vec::new() };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Client((0..CONTAINERS).map(container).collect())));
    let mut client = String::new();

    page.fill(&containers);
    page.encode();
    encode_registry(&mut client, &registry).unwrap();
    assert!(samples(std::str::from_utf8(&page.out).unwrap()) == samples(&client), "the pages say different things");
    let finished = page.out.clone();
    println!("{} samples, {} bytes", CONTAINERS * FAMILIES, finished.len());

    page.fill(&containers);
    let region = Region::new(ALLOCATOR);
    page.fill(&containers);
    let filled = region.change();
    page.encode();
    let both = region.change();
    println!("allocations in a steady round: fill {}, fill and text {}", calls(filled), calls(both));
    assert!(calls(both) < 100, "{both:?}");

    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let mut ratios = Ratios::new(&mut criterion, "encode", Throughput::Elements((CONTAINERS * FAMILIES) as u64));
    let mut copy = Vec::new();
    ratios.case("copy of the finished page", || {
        copy.clear();
        copy.extend_from_slice(black_box(&finished));
    });
    ratios.case("fill", || page.fill(black_box(&containers)));
    ratios.case("merge and text", || page.encode());
    ratios.case("fill, merge and text", || {
        page.fill(black_box(&containers));
        page.encode();
    });
    ratios.case("prometheus-client, custom collector", || {
        client.clear();
        encode_registry(&mut client, &registry).unwrap();
    });
    ratios.print();
    criterion.final_summary();
}

fn calls(stats: stats_alloc::Stats) -> usize {
    stats.allocations + stats.reallocations
}
