//! Who used the energy of the packages: containers and services by their processor time, and what nobody is told of.
//!
//! The time of a cgroup is that of all that is in it, and stays with its parent when it is removed. What a parent has more
//! than its children was used by those that have ended, or by processes that are in no cgroup that is told of.

use super::ledger::Divider;
use crate::kit::cgroup::{Controller, Forest, Kind, Life, Named, Node, Trees};
use crate::kit::{Error, Host, Root, parse};
use crate::model::{Batch, Family, Value, counter};
use std::sync::Arc;
use std::time::Duration;

const COMPONENT: &str = "package";
const METHOD: &str = "cpu_time";
/// How often it is looked again who somebody is, and how many processors there are.
const SELDOM: Duration = Duration::from_secs(30);
/// How long a label may be, in bytes.
const VALUE_MAX: usize = 512;

pub(super) static CONTAINER: Family = counter(
    "container_energy_joules_total",
    "Share of the measured energy of the packages by processor time, in joules: equal time gets equal energy, whatever it was used for.",
    &["id", "name", "image", "namespace", "pod", "container", "component", "method"],
);
pub(super) static UNATTRIBUTED: Family = counter(
    "node_energy_unattributed_joules_total",
    "Measured energy that is no container's or service's share, in joules: while processors were idle or the kernel worked for itself (idle), of other processes (system), of what ended between two samples (exited).",
    &["component", "reason"],
);

/// Who gets what is nobody's, in the order of their weights.
const REASONS: [&str; 3] = ["idle", "system", "exited"];
const SYSTEM: usize = 1;
const EXITED: usize = 2;

/// What is kept of a cgroup.
#[derive(Debug, Default)]
struct Own {
    /// Whether it was read before.
    is_known: bool,
    /// The time that it had used by the last sample and by the one before, in nanoseconds.
    usage: Option<u64>,
    before: Option<u64>,
    /// What it used in between; `None`: that is not known.
    used: Option<u64>,
    /// What those in it had used when they were summed up last.
    below: u64,
    /// Its share of all energy so far, in microjoules.
    energy: u64,
    named: Option<Arc<Named>>,
    due: Duration,
}

/// Among what an interval was shared out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// The time of all processors, in nanoseconds.
    pub(super) whole: u64,
    /// How long it was.
    pub(super) passed: Duration,
}

/// The ledger.
#[derive(Debug)]
pub(super) struct Shares {
    forest: Forest<Own>,
    divider: Divider,
    weights: Vec<u64>,
    parts: Vec<u64>,
    /// What is nobody's, by [`REASONS`].
    nobodys: [u64; REASONS.len()],
    /// When the cgroups were read last, once they were.
    read: Option<Duration>,
    cpus: u64,
    cpus_due: Duration,
    /// Of the last interval, if it is known.
    spread: Option<Spread>,
    /// All that was shared out, and all that somebody got, those who are gone by now included.
    measured: u64,
    attributed: u64,
}

impl Shares {
    /// `None`: this machine has no cgroups.
    pub(super) fn open(host: &mut Host) -> Result<Option<Self>, Error> {
        let Some(forest) = Forest::open(host)? else { return Ok(None) };
        Ok(Some(Self {
            forest,
            divider: Divider::default(),
            weights: Vec::new(),
            parts: Vec::new(),
            nobodys: [0; REASONS.len()],
            read: None,
            cpus: 1,
            cpus_due: Duration::ZERO,
            spread: None,
            measured: 0,
            attributed: 0,
        }))
    }

    /// Shares out what was measured since the last time, in microjoules, by the time that was used since then.
    pub(super) fn share(&mut self, energy: u64, host: &mut Host, out: &mut Batch) {
        let now = host.monotonic();
        if now >= self.cpus_due {
            self.cpus_due = now + SELDOM;
            let online = host.read(Root::Sys, "devices/system/cpu/online").map(cpus);
            self.cpus = out.found(online).unwrap_or(self.cpus).max(1);
        }
        let passed = self.read.map(|read| now.saturating_sub(read));
        let capacity =
            passed.map(|passed| u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX).saturating_mul(self.cpus));
        let walked = self.forest.round(host, &mut |host, trees, node| look(host, trees, node, capacity, out));
        let is_read = out.ok(walked).is_some();
        let Some(capacity) = capacity else {
            // From here on it is known who uses what.
            self.read = is_read.then_some(now);
            return;
        };
        self.read = Some(now);
        self.weights.clear();
        self.weights.resize(REASONS.len(), 0);
        if is_read {
            let (_, root) = self.forest.parts();
            weigh(root, &mut self.weights);
        }
        let busy = self.weights.iter().fold(0u64, |sum, weight| sum.saturating_add(*weight));
        self.spread = passed.map(|passed| Spread { whole: capacity.max(busy), passed });
        if let Some(idle) = self.weights.first_mut() {
            *idle = capacity.saturating_sub(busy);
        }
        self.divider.divide(energy, &self.weights, &mut self.parts);
        self.measured = self.measured.saturating_add(energy);
        let mut parts = self.parts.iter().copied();
        for (nobodys, part) in self.nobodys.iter_mut().zip(parts.by_ref()) {
            *nobodys = nobodys.saturating_add(part);
        }
        if is_read {
            let (_, root) = self.forest.parts();
            self.attributed = self.attributed.saturating_add(give(root, &mut parts));
        }
    }

    /// Among what the last interval was shared out.
    pub(super) fn spread(&self) -> Option<Spread> {
        self.spread
    }

    /// Puts all shares.
    pub(super) fn put(&mut self, out: &mut Batch) {
        if self.read.is_none() {
            return;
        }
        let (_, root) = self.forest.parts();
        put(root, out);
        for (reason, energy) in REASONS.iter().zip(self.nobodys) {
            let of = out.entity(&["component", "reason"], [COMPONENT, reason]);
            out.put(&UNATTRIBUTED, of, joules(energy));
        }
    }
}

/// So many microjoules.
pub(super) fn joules(energy: u64) -> Value {
    i64::try_from(energy).map_or(Value::Float(energy as f64 / 1e6), |energy| Value::Scaled(energy, 6))
}

/// Whether a cgroup of this kind has a share of its own.
fn is_told(kind: &Kind) -> bool {
    matches!(kind, Kind::Container { .. } | Kind::Service)
}

/// Reads the time that a cgroup has used, and who it is. `capacity` is what all processors could have given since the last
/// sample, if there was one.
fn look(host: &mut Host, trees: &Trees, node: &mut Node<Own>, capacity: Option<u64>, out: &mut Batch) -> Life {
    let usage = match usage(host, trees, node) {
        Err(Error::Gone { .. }) => return Life::Gone,
        usage => out.ok(usage).flatten(),
    };
    let own = &mut node.own;
    own.before = std::mem::replace(&mut own.usage, usage);
    // One that was not there at the last sample has used all that it has used since then.
    let from = if own.is_known { own.before } else { capacity.map(|_| 0) };
    own.is_known = true;
    let used = from.zip(usage).map(|(from, usage)| usage.saturating_sub(from));
    own.used = used.map(|used| used.min(capacity.unwrap_or(0)));
    let now = host.monotonic();
    if let Kind::Container { runtime, id } = &node.kind
        && (own.named.is_none() || now >= own.due)
    {
        own.due = now + SELDOM;
        own.named = host.who(*runtime, id).or(own.named.take());
    }
    Life::Alive
}

/// In nanoseconds; `None`: this cgroup does not tell. The root of version 2 counts in ticks, and counts more than others.
fn usage(host: &mut Host, trees: &Trees, node: &mut Node<Own>) -> Result<Option<u64>, Error> {
    if trees.unified() {
        if node.kind == Kind::Root {
            return Ok(None);
        }
        let text = host.cgroup_kept("", &node.path, "cpu.stat", &mut node.pulse)?;
        return Ok(text.and_then(usage_usec).and_then(|usec| usec.checked_mul(1000)));
    }
    let Some(tree) = trees.of(Controller::Cpuacct) else { return Ok(None) };
    let text = host.cgroup_kept(tree, &node.path, "cpuacct.usage", &mut node.pulse)?;
    Ok(text.and_then(|text| parse::number(parse::trim(text))))
}

/// `usage_usec 123\nuser_usec 100\n…`
fn usage_usec(text: &[u8]) -> Option<u64> {
    let mut entries = parse::lines_of_record(text).filter_map(parse::entry);
    entries.find(|(key, _)| *key == b"usage_usec").map(|(_, usec)| usec)
}

/// `0-3,5`: how many.
fn cpus(online: &[u8]) -> u64 {
    let count = |(first, last): (u32, u32)| u64::from(last.saturating_sub(first)) + 1;
    parse::ranges(online).flatten().map(count).sum()
}

/// Adds the weights of all that have a share in the order in which they are visited, and what is nobody's to the first ones:
/// how much of the time of this cgroup is then accounted for.
fn weigh(node: &mut Node<Own>, weights: &mut Vec<u64>) -> u64 {
    if let Kind::Container { .. } = node.kind {
        let used = node.own.used.unwrap_or(0);
        weights.push(used);
        return used;
    }
    let place = is_told(&node.kind).then_some(weights.len());
    if place.is_some() {
        weights.push(0);
    }
    let (mut claimed, mut still, mut below) = (0u64, 0u64, 0u64);
    for child in node.children() {
        claimed = claimed.saturating_add(weigh(child, weights));
        still = still.saturating_add(child.own.before.unwrap_or(0));
        below = below.saturating_add(child.own.usage.unwrap_or(0));
    }
    let has_lost = std::mem::replace(&mut node.own.below, below) > still;
    if node.kind == Kind::Inside {
        // The rest is the service's that it is in.
        return claimed;
    }
    let rest = node.own.used.map_or(0, |used| used.saturating_sub(claimed));
    let at = place.unwrap_or(if has_lost { EXITED } else { SYSTEM });
    if let Some(weight) = weights.get_mut(at) {
        *weight = weight.saturating_add(rest);
    }
    claimed.saturating_add(rest)
}

/// Gives each its part, in the same order: how much that was.
fn give(node: &mut Node<Own>, parts: &mut impl Iterator<Item = u64>) -> u64 {
    let mut given = 0u64;
    if is_told(&node.kind) {
        given = parts.next().unwrap_or(0);
        node.own.energy = node.own.energy.saturating_add(given);
    }
    for child in node.children() {
        given = given.saturating_add(give(child, parts));
    }
    given
}

fn put(node: &mut Node<Own>, out: &mut Batch) {
    if is_told(&node.kind) {
        let nobody = Named::default();
        let named = node.own.named.as_deref().unwrap_or(&nobody);
        let name = match &node.kind {
            Kind::Container { id, .. } if named.name.is_empty() => id,
            _ => &named.name,
        };
        let Named { image, namespace, pod, container, .. } = named;
        let values = [&*node.path, name, image, namespace, pod, container, COMPONENT, METHOD];
        let names = &["id", "name", "image", "namespace", "pod", "container", "component", "method"];
        let of = out.entity(names, values.map(cut));
        out.put(&CONTAINER, of, joules(node.own.energy));
    }
    for child in node.children() {
        put(child, out);
    }
}

/// Its first bytes, up to the end of a character.
fn cut(value: &str) -> &str {
    value.get(..value.floor_char_boundary(VALUE_MAX)).unwrap_or(value)
}

#[cfg(test)]
mod tests;
