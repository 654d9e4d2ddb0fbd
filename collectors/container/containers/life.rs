//! When a cgroup was started and seen, how often its runtime started it anew, and what the runtime's probe says of it.

use super::metrics::{Metric, Page};
use super::processes;
use super::state::State;
use crate::kit::Host;
use crate::kit::cgroup::{Health, Kind, Node, Trees};
use crate::model::Value;
use std::time::Duration;

/// Puts them.
pub(super) fn put(host: &Host, node: &Node<State>, now: Duration, page: &mut Page<'_>) {
    page.put(Metric::StartTime, node.own.started.and_then(seconds));
    let told = node.own.named.as_ref().and_then(|named| named.created);
    page.put(Metric::CreationTime, told.or(node.own.made).and_then(seconds));
    page.put(Metric::LastSeen, seconds(now));
    let Kind::Container { id, .. } = &node.kind else { return };
    page.put(Metric::Restarts, node.own.named.as_ref().and_then(|named| named.attempt));
    if page.wanted.any(&[Metric::HealthState]) {
        let health = host.machine().healths.of(id).map(|health| match health {
            Health::Healthy => 1,
            Health::Starting | Health::Unhealthy => 0,
            Health::NotProbed => -1,
        });
        page.put(Metric::HealthState, health.map(Value::Int));
    }
}

/// When a cgroup was made whose runtime tells of no process. The times of its files are those at which they were first
/// looked at, see [`Host::cgroup_made`]: a container is as old as a process of it.
pub(super) fn started(host: &mut Host, trees: &Trees, node: &Node<State>) -> Option<Duration> {
    let made = host.cgroup_made(trees, &node.path);
    let is_container = matches!(node.kind, Kind::Container { .. });
    let first = is_container.then(|| processes::first(host, trees, node).ok()?.0).flatten();
    first.and_then(|first| host.started(first)).into_iter().chain(made).min()
}

/// To the millisecond.
pub(super) fn seconds(time: Duration) -> Option<Value> {
    i64::try_from(time.as_millis()).ok().map(|millis| Value::Scaled(millis, 3))
}
