//! The daemon's own counters, kept by prometheus-client. Its text is read back by the parser of text files, so that they
//! are points like all others.

use collectors::kit::lock;
use collectors::model::{Batch, POINTS_MAX};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex};

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
    registry: Registry,
    read_errors: Family<OfReason, Counter>,
    dropped_points: Family<OfReason, Counter>,
    panics: Family<OfCollector, Counter>,
    lanes_replaced: Family<OfCollector, Counter>,
    reloads: Family<OfResult, Counter>,
    /// The text as it was last, and the batch that it made: while nothing happens, both stay.
    last: Mutex<(String, Arc<Batch>)>,
}

impl Instruments {
    /// Counters at zero.
    pub fn new(version: &'static str) -> Self {
        let mut instruments = Self {
            registry: Registry::with_prefix("wholenode"),
            read_errors: Family::default(),
            dropped_points: Family::default(),
            panics: Family::default(),
            lanes_replaced: Family::default(),
            reloads: Family::default(),
            last: Mutex::default(),
        };
        let registry = &mut instruments.registry;
        registry.register("build", "The version that is running", Info::new([("version", version)]));
        registry.register("read_errors", "Values that could not be read, by reason", instruments.read_errors.clone());
        registry.register("dropped_points", "Points left out of pages, by reason", instruments.dropped_points.clone());
        registry.register("collector_panics", "Panics of collectors", instruments.panics.clone());
        registry.register(
            "lanes_replaced",
            "Fast lanes lost to a collector that hung",
            instruments.lanes_replaced.clone(),
        );
        registry.register("reloads", "Configurations read again", instruments.reloads.clone());
        instruments
    }

    pub(in crate::engine) fn faults(&self, collector: &'static str, reason: &'static str, count: u64) {
        self.read_errors.get_or_create(&OfReason { collector, reason }).inc_by(count);
    }

    pub(in crate::engine) fn dropped(&self, collector: &'static str, reason: &'static str, points: u64) {
        self.dropped_points.get_or_create(&OfReason { collector, reason }).inc_by(points);
    }

    pub(in crate::engine) fn panicked(&self, collector: &'static str) {
        self.panics.get_or_create(&OfCollector { collector }).inc();
    }

    pub(in crate::engine) fn lane_replaced(&self, collector: &'static str) {
        self.lanes_replaced.get_or_create(&OfCollector { collector }).inc();
    }

    /// Counts a reload, and whether the configuration was taken.
    pub fn reloaded(&self, taken: bool) {
        self.reloads.get_or_create(&OfResult { result: if taken { "taken" } else { "refused" } }).inc();
    }

    /// The counters as points.
    pub(in crate::engine) fn batch(&self) -> Arc<Batch> {
        let mut last = lock(&self.last);
        let mut text = String::with_capacity(last.0.len());
        if encode(&mut text, &self.registry).is_ok() && text != last.0 {
            let mut batch = Batch::new(POINTS_MAX);
            // READ BACK
            *last = (text, Arc::new(batch));
        }
        Arc::clone(&last.1)
    }
}
