//! The daemon's own counters, kept by prometheus-client. Its text is read back by the parser of text files, so that they
//! are points like all others.

use collectors::kit::exposition::{self, Dialect};
use collectors::kit::lock;
use collectors::model::{self, Batch, POINTS_MAX, counter, gauge};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};

static BUILD: model::Family = gauge("wholenode_build_info", "The version that is running; always 1.", &["version"]);
static READ_ERRORS: model::Family =
    counter("wholenode_read_errors_total", "Values that could not be read.", &["collector", "reason"]);
static DROPPED: model::Family = counter(
    "wholenode_dropped_points_total",
    "Points left out of pages: the collector's batch was full, or they clashed with another collector's.",
    &["collector", "reason"],
);
static PANICS: model::Family = counter("wholenode_collector_panics_total", "Panics of the collector.", &["collector"]);
static OVERRUNS: model::Family = counter(
    "wholenode_overruns_total",
    "Rounds in which the collector took so long that it kept the thread that it was on.",
    &["collector"],
);
static RELOADS: model::Family =
    counter("wholenode_reloads_total", "Configurations read again, and whether they were taken.", &["result"]);

/// The families of this file, for the reference.
pub(super) static FAMILIES: &[&model::Family] = &[&BUILD, &READ_ERRORS, &DROPPED, &PANICS, &OVERRUNS, &RELOADS];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfCollector {
    collector: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    collector: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfResult {
    result: &'static str,
}

/// What rarely happens, counted since the start. Figures that change with every page are put by their owners directly.
#[derive(Debug)]
pub struct Instruments {
    version: &'static str,
    registry: Registry,
    read_errors: Family<OfReason, Counter>,
    dropped_points: Family<OfReason, Counter>,
    panics: Family<OfCollector, Counter>,
    overruns: Family<OfCollector, Counter>,
    reloads: Family<OfResult, Counter>,
    /// Grows with every count.
    changes: AtomicU64,
    /// The batch as it was last, and after how many changes: while nothing happens, it stays.
    last: Mutex<Option<(u64, Arc<Batch>)>>,
}

impl Instruments {
    /// Counters at zero.
    pub fn new(version: &'static str) -> Self {
        let mut instruments = Self {
            version,
            registry: Registry::default(),
            read_errors: Family::default(),
            dropped_points: Family::default(),
            panics: Family::default(),
            overruns: Family::default(),
            reloads: Family::default(),
            changes: AtomicU64::new(0),
            last: Mutex::default(),
        };
        let registry = &mut instruments.registry;
        register(registry, &BUILD, Info::new([("version", version)]));
        register(registry, &READ_ERRORS, instruments.read_errors.clone());
        register(registry, &DROPPED, instruments.dropped_points.clone());
        register(registry, &PANICS, instruments.panics.clone());
        register(registry, &OVERRUNS, instruments.overruns.clone());
        register(registry, &RELOADS, instruments.reloads.clone());
        instruments
    }

    pub(in crate::engine) fn version(&self) -> &'static str {
        self.version
    }

    pub(in crate::engine) fn faults(&self, collector: &'static str, reason: &'static str, count: u64) {
        self.read_errors.get_or_create(&OfReason { collector, reason }).inc_by(count);
        self.changed();
    }

    pub(in crate::engine) fn dropped(&self, collector: &'static str, reason: &'static str, points: u64) {
        self.dropped_points.get_or_create(&OfReason { collector, reason }).inc_by(points);
        self.changed();
    }

    pub(in crate::engine) fn panicked(&self, collector: &'static str) {
        self.panics.get_or_create(&OfCollector { collector }).inc();
        self.changed();
    }

    pub(in crate::engine) fn overrun(&self, collector: &'static str) {
        self.overruns.get_or_create(&OfCollector { collector }).inc();
        self.changed();
    }

    /// Counts a reload, and whether the configuration was taken.
    pub fn reloaded(&self, taken: bool) {
        self.reloads.get_or_create(&OfResult { result: if taken { "taken" } else { "refused" } }).inc();
        self.changed();
    }

    /// Said after each count: the next page makes a new batch, which has it.
    fn changed(&self) {
        self.changes.fetch_add(1, Release);
    }

    /// The counters as points.
    pub(in crate::engine) fn batch(&self) -> Arc<Batch> {
        let mut last = lock(&self.last);
        let changes = self.changes.load(Acquire);
        match &*last {
            Some((then, batch)) if *then == changes => Arc::clone(batch),
            _ => Arc::clone(&last.insert((changes, Arc::new(self.points()))).1),
        }
    }

    fn points(&self) -> Batch {
        let (mut text, mut batch) = (String::new(), Batch::new(POINTS_MAX));
        if encode(&mut text, &self.registry).is_ok() {
            match exposition::parse(text.as_bytes(), Dialect::OpenMetrics) {
                Ok(document) => document.put(&mut batch),
                Err(wrong) => {
                    tracing::error!(line = wrong.line, expected = wrong.expected, "own counters are not readable")
                }
            }
        }
        batch
    }
}

/// The registry adds `_total`, `_info` and the full stop itself.
fn register(registry: &mut Registry, family: &model::Family, metric: impl Metric) {
    let name = family.name.trim_end_matches("_total").trim_end_matches("_info");
    registry.register(name, family.help.trim_end_matches('.'), metric);
}
