//! What is kept of a cgroup from round to round.

use super::filesystem;
use super::io;
use super::limits::Limits;
use super::network::{Place, Seat};
use super::pressure::Pressure;
use super::schedule::Schedule;
use crate::kit::cgroup::{Handle, Named};
use crate::model::Value;
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
    /// When its cgroup was made, if somebody asks for that.
    pub(super) made: Option<Duration>,
    /// What it may use.
    pub(super) limits: Limits,
    /// Where it writes.
    pub(super) layer: filesystem::Place,
    /// What it has written to disks so far, in bytes, where the kernel knows on whose behalf it writes.
    pub(super) written: Option<u64>,
    /// What it has read and written, disk by disk, in version 2.
    pub(super) moved: Option<Box<[(io::Number, io::Told)]>>,
    /// When what changes seldom is read again, and whether that is in this round.
    pub(super) due: Duration,
    pub(super) is_due: bool,
    /// Time outside of the kernel and in it, of version 1, and what it had used in all when that was read.
    pub(super) ticks: (Option<Value>, Option<Value>),
    pub(super) ticks_at: Option<Value>,
    /// How many of its processes the kernel killed for want of memory.
    pub(super) kills: Option<u64>,
    /// Where it is on the page of this round, if anything is told of it.
    pub(super) place: Option<Place>,
    pub(super) network: Seat,
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
    pub(super) pressure: [Pressure; 3],
    pub(super) threads: Handle,
    /// Of the processes, where that is asked for.
    pub(super) schedule: Option<Box<Schedule>>,
}

impl State {
    /// Looks again for the files that were not there: controllers may be enabled late.
    pub(super) fn retry(&mut self) {
        let Self { cpu_stat, cpuacct_stat, memory, memory_stat, memory_peak, memory_kernel, .. } = self;
        let Self { memory_events, memory_failcnt, swap, io, pressure, threads, .. } = self;
        let single = [cpu_stat, cpuacct_stat, memory, memory_stat, memory_peak, memory_kernel];
        let more = [memory_events, memory_failcnt, swap, threads];
        single.into_iter().chain(more).chain(io).for_each(Handle::retry);
        pressure.iter_mut().for_each(|of| of.handle.retry());
    }
}
