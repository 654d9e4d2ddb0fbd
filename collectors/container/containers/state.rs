//! What is kept of a cgroup from round to round.

use super::limits::Limits;
use crate::kit::cgroup::{Handle, Named};
use std::sync::Arc;
use std::time::Duration;

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Who it is, as soon as that is known.
    pub(super) named: Option<Arc<Named>>,
    /// Those labels of it that are chosen, under the names that they have here.
    pub(super) labels: Vec<(String, String)>,
    /// When it was started, in wall-clock time.
    pub(super) started: Option<Duration>,
    /// What it may use.
    pub(super) limits: Limits,
    /// When what changes seldom is read again.
    pub(super) due: Duration,
    pub(super) cpu_stat: Handle,
    pub(super) cpuacct_stat: Handle,
    pub(super) memory: Handle,
    pub(super) memory_stat: Handle,
    pub(super) memory_peak: Handle,
    pub(super) memory_kernel: Handle,
    pub(super) memory_events: Handle,
    pub(super) memory_failcnt: Handle,
    pub(super) swap: Handle,
    pub(super) io: [Handle; 2],
    pub(super) pressure: [Handle; 3],
    pub(super) threads: Handle,
}

impl State {
    /// Looks again for the files that were not there: controllers may be enabled late.
    pub(super) fn retry(&mut self) {
        let Self { cpu_stat, cpuacct_stat, memory, memory_stat, memory_peak, memory_kernel, .. } = self;
        let Self { memory_events, memory_failcnt, swap, io, pressure, threads, .. } = self;
        let single = [cpu_stat, cpuacct_stat, memory, memory_stat, memory_peak, memory_kernel];
        let more = [memory_events, memory_failcnt, swap, threads];
        single.into_iter().chain(more).chain(io).chain(pressure).for_each(Handle::retry);
    }
}
