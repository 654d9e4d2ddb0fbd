//! What a family is called in a request, and as what it is sent.
//!
//! Names are the page's and the unit is empty, so that dashboards work for nodes that are scraped and nodes that push.
//! Prometheus translates names that arrive: from that of a monotonic sum it takes every word `total` and puts one at
//! the end. So a counter whose name that would change (`container_memory_failcnt`, `DCGM_FI_DEV_PCIE_REPLAY_COUNTER`,
//! `node_mountstats_nfs_total_read_bytes_total`) is sent as a sum that is not said to be monotonic: it keeps its name
//! there, and is still a running sum with a start to everybody else. A unit would be appended to the name as well.

use super::protobuf;
use collectors::model::{Family, Kind, Layout, Snapshot};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// As what a family is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Gauge,
    /// A cumulative sum; whether it is said to be monotonic.
    Sum(bool),
    Histogram,
    Summary,
}

impl Form {
    fn of(family: &Family) -> Self {
        match family.kind {
            Kind::Gauge | Kind::Untyped => Form::Gauge,
            Kind::Counter => Form::Sum(keeps_its_name(&family.name)),
            Kind::Histogram => Form::Histogram,
            Kind::Summary => Form::Summary,
        }
    }

    /// The number of the field of a metric that its points are in.
    pub(super) fn field(self) -> u8 {
        match self {
            Form::Gauge => 5,
            Form::Sum(_) => 7,
            Form::Histogram => 9,
            Form::Summary => 11,
        }
    }

    /// What stands before its points: that they are cumulative, that they are monotonic.
    pub(super) fn head(self) -> &'static [u8] {
        match self {
            Form::Gauge | Form::Summary => b"",
            Form::Sum(true) => b"\x10\x02\x18\x01",
            Form::Sum(false) | Form::Histogram => b"\x10\x02",
        }
    }

    /// Whether it counts from a start on.
    pub(super) fn has_start(self) -> bool {
        self != Form::Gauge
    }
}

/// Whether Prometheus leaves the name of a monotonic sum as it is.
fn keeps_its_name(name: &str) -> bool {
    let is_word = |word: &&str| *word == "total";
    name.ends_with("_total") && name.split(|c: char| !c.is_alphanumeric()).filter(is_word).count() == 1
}

/// Whether what a family counts began with this daemon and not with the machine: its own figures, and energy, which it
/// adds up itself.
fn is_counted_here(name: &str) -> bool {
    const OURS: [&str; 2] = ["wholenode_", "process_"];
    const ADDED_UP: [&str; 6] = [
        "container_energy_joules_total",
        "node_energy_joules_total",
        "node_energy_unattributed_joules_total",
        "node_estimated_energy_joules_total",
        "node_host_energy_joules_total",
        "node_power_counter_events_total",
    ];
    OURS.iter().any(|prefix| name.starts_with(prefix)) || ADDED_UP.contains(&name)
}

#[derive(Debug)]
struct Metric {
    /// Where its name begins and ends, and where its description does.
    span: [u32; 3],
    form: Form,
    key: u64,
    is_counted_here: bool,
}

/// The metrics of a layout: what stands before the points of each, written once and copied while the same families are
/// there. The last one is `up`.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    layout: Option<Arc<Layout>>,
    bytes: Vec<u8>,
    metrics: Vec<Metric>,
}

impl Metrics {
    /// Whether they are those of the snapshot.
    pub(super) fn fit(&self, snapshot: &Snapshot) -> bool {
        self.layout.as_ref().is_some_and(|layout| Arc::ptr_eq(layout, snapshot.layout()))
    }

    /// The metrics of a snapshot.
    pub(super) fn new(snapshot: &Snapshot, has_descriptions: bool, hasher: &RandomState) -> Self {
        let mut metrics = Self { layout: Some(Arc::clone(snapshot.layout())), ..Self::default() };
        for group in snapshot.groups() {
            let family = snapshot.family(group);
            let help = if has_descriptions { &*family.help } else { "" };
            metrics.push(&family.name, help, Form::of(family), hasher);
        }
        metrics.push("up", "", Form::Gauge, hasher);
        metrics
    }

    fn push(&mut self, name: &str, help: &str, form: Form, hasher: &RandomState) {
        let start = self.bytes.len() as u32;
        protobuf::text(&mut self.bytes, 1, name);
        let name_end = self.bytes.len() as u32;
        if !help.is_empty() {
            protobuf::text(&mut self.bytes, 2, help);
        }
        let span = [start, name_end, self.bytes.len() as u32];
        let (key, is_counted_here) = (hasher.hash_one(name), is_counted_here(name));
        self.metrics.push(Metric { span, form, key, is_counted_here });
    }

    /// The number of `up`.
    pub(super) fn up(&self) -> u32 {
        self.metrics.len() as u32 - 1
    }

    /// Its name, and its description if that is wanted.
    pub(super) fn head(&self, at: u32, is_described: bool) -> &[u8] {
        let [start, name_end, end] = self.metrics[at as usize].span;
        &self.bytes[start as usize..if is_described { end } else { name_end } as usize]
    }

    /// As what it is sent.
    pub(super) fn form(&self, at: u32) -> Form {
        self.metrics[at as usize].form
    }

    /// A number that stands for its name.
    pub(super) fn key(&self, at: u32) -> u64 {
        self.metrics[at as usize].key
    }

    /// Whether what it counts began with this daemon.
    pub(super) fn is_counted_here(&self, at: u32) -> bool {
        self.metrics[at as usize].is_counted_here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_monotonic_where_prometheus_keeps_their_names() {
        for name in ["node_cpu_seconds_total", "a_total", "node_totals_total"] {
            assert!(keeps_its_name(name), "{name}");
        }
        for name in [
            "container_memory_failcnt",
            "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
            "node_mountstats_nfs_total_read_bytes_total",
            "total",
            "a:total:b_total",
            "nototal",
        ] {
            assert!(!keeps_its_name(name), "{name}");
        }
    }

    #[test]
    fn everything_that_is_added_up_here_counts_since_the_start_of_the_daemon() {
        let added_up = collectors::ALL.iter().filter(|spec| spec.group == collectors::Group::Power);
        let counters: Vec<_> =
            added_up.flat_map(|spec| spec.families).filter(|family| family.kind == Kind::Counter).collect();
        assert!(counters.len() >= 6);
        for family in counters {
            assert!(is_counted_here(&family.name), "{} is missing in ADDED_UP", family.name);
        }
    }
}
