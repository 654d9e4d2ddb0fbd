//! When a cgroup was started and seen, how often its runtime started it anew, and what the runtime's probe says of it.

use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::Host;
use crate::kit::cgroup::{Health, Kind, Node};
use crate::model::Value;
use std::time::Duration;

/// Puts them.
pub(super) fn put(host: &Host, node: &Node<State>, page: &mut Page<'_>) {
    page.put(Metric::StartTime, node.own.started.and_then(seconds));
    page.put(Metric::LastSeen, seconds(host.wall()));
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

fn seconds(time: Duration) -> Option<Value> {
    i64::try_from(time.as_millis()).ok().map(|millis| Value::Scaled(millis, 3))
}
