//! Processor time: `cpu.stat` of version 2; `cpuacct.usage`, `cpuacct.stat` and `cpu.stat` of version 1.

use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Controller, Handle, Node, Trees};
use crate::kit::{Error, Host, parse};
use crate::model::Value;

const TIMES: [Metric; 2] = [Metric::CpuUser, Metric::CpuSystem];
const QUOTA: [Metric; 5] = [
    Metric::CfsPeriods,
    Metric::CfsThrottledPeriods,
    Metric::CfsThrottledSeconds,
    Metric::CfsBurstPeriods,
    Metric::CfsBurstSeconds,
];

/// How many processors are told of: no kernel is built for more.
const CPUS_MAX: usize = 8192;

/// What the files tell; what they lack is absent.
#[derive(Debug, Default, PartialEq)]
struct Times {
    usage: Option<Value>,
    user: Option<Value>,
    system: Option<Value>,
    periods: Option<u64>,
    throttled: Option<u64>,
    throttled_time: Option<Value>,
    bursts: Option<u64>,
    burst_time: Option<Value>,
}

/// Puts them. The first file is read by the node's own handle, which hears of its death.
pub(super) fn put(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    per_cpu: bool,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    let times = if trees.unified() { of_unified(host, node)? } else { of_separate(host, trees, node, page)? };
    let is_told =
        per_cpu && !trees.unified() && page.wanted.any(&[Metric::CpuUsage]) && put_each(host, trees, node, page)?;
    if times.usage.is_some() && !is_told {
        let total = page.out.part(page.of, &["cpu"], ["total"]);
        page.put_of(Metric::CpuUsage, total, times.usage);
    }
    page.put(Metric::CpuUser, times.user);
    page.put(Metric::CpuSystem, times.system);
    // Counted only while there is a quota.
    if node.own.limits.cpu_quota.is_some() {
        page.put(Metric::CfsPeriods, times.periods);
        page.put(Metric::CfsThrottledPeriods, times.throttled);
        page.put(Metric::CfsThrottledSeconds, times.throttled_time);
        page.put(Metric::CfsBurstPeriods, times.bursts);
        page.put(Metric::CfsBurstSeconds, times.burst_time);
    }
    Ok(())
}

/// Processor time by processor, as far as each had some: whether anything is told. The sum over all is the time in all.
fn put_each(host: &mut Host, trees: &Trees, node: &Node<State>, page: &mut Page<'_>) -> Result<bool, Error> {
    let Some(tree) = trees.of(Controller::Cpuacct) else { return Ok(false) };
    let Some(text) = host.cgroup(tree, &node.path, "cpuacct.usage_percpu", &mut Handle::default())? else {
        return Ok(false);
    };
    let mut is_told = false;
    for (cpu, usage) in parse::words(parse::trim(text)).take(CPUS_MAX).enumerate() {
        if let Some(usage) = parse::number(usage).filter(|usage| *usage > 0) {
            let of = page.out.part(page.of, &["cpu"], [&format!("cpu{cpu:02}")]);
            page.put_of(Metric::CpuUsage, of, nanoseconds(usage));
            is_told = true;
        }
    }
    Ok(is_told)
}

fn of_unified(host: &mut Host, node: &mut Node<State>) -> Result<Times, Error> {
    Ok(host.cgroup_kept("", &node.path, "cpu.stat", &mut node.pulse)?.map(stat).unwrap_or_default())
}

fn of_separate(host: &mut Host, trees: &Trees, node: &mut Node<State>, page: &mut Page<'_>) -> Result<Times, Error> {
    let mut times = Times::default();
    if let Some(tree) = trees.of(Controller::Cpuacct) {
        if let Some(text) = host.cgroup_kept(tree, &node.path, "cpuacct.usage", &mut node.pulse)? {
            times.usage = parse::number(parse::trim(text)).and_then(nanoseconds);
        }
        // Nobody had a tick who did not run.
        let has_run = times.usage != node.own.ticks_at || times.usage.is_none();
        if page.wanted.any(&TIMES)
            && has_run
            && let Some(text) = host.cgroup(tree, &node.path, "cpuacct.stat", &mut node.own.cpuacct_stat)?
        {
            node.own.ticks = ticks(text);
            node.own.ticks_at = times.usage;
        }
        (times.user, times.system) = node.own.ticks;
    }
    if page.wanted.any(&QUOTA)
        && node.own.limits.cpu_quota.is_some()
        && let Some(tree) = trees.of(Controller::Cpu)
        && let Some(text) = host.cgroup(tree, &node.path, "cpu.stat", &mut node.own.cpu_stat)?
    {
        let Times { periods, throttled, throttled_time, bursts, burst_time, .. } = stat(text);
        times = Times { periods, throttled, throttled_time, bursts, burst_time, ..times };
    }
    Ok(times)
}

/// `usage_usec 123\nuser_usec 100\n…` of version 2, `nr_periods 5\n…\nthrottled_time 7` (in nanoseconds) of version 1.
fn stat(text: &[u8]) -> Times {
    let mut times = Times::default();
    for line in parse::lines_of_record(text) {
        let Some((key, number)) = parse::entry(line) else { continue };
        match key {
            b"usage_usec" => times.usage = microseconds(number),
            b"user_usec" => times.user = microseconds(number),
            b"system_usec" => times.system = microseconds(number),
            b"nr_periods" => times.periods = Some(number),
            b"nr_throttled" => times.throttled = Some(number),
            b"throttled_usec" => times.throttled_time = microseconds(number),
            b"throttled_time" => times.throttled_time = nanoseconds(number),
            b"nr_bursts" => times.bursts = Some(number),
            b"burst_usec" => times.burst_time = microseconds(number),
            b"burst_time" => times.burst_time = nanoseconds(number),
            _ => {}
        }
    }
    times
}

/// `user 12\nsystem 3`, in hundredths of a second.
fn ticks(text: &[u8]) -> (Option<Value>, Option<Value>) {
    let (mut user, mut system) = (None, None);
    for line in parse::lines_of_record(text) {
        let Some((key, ticks)) = parse::entry(line) else { continue };
        let value = i64::try_from(ticks).ok().map(|ticks| Value::Scaled(ticks, 2));
        match key {
            b"user" => user = value,
            b"system" => system = value,
            _ => {}
        }
    }
    (user, system)
}

pub(super) fn microseconds(number: u64) -> Option<Value> {
    Some(Value::Scaled(i64::try_from(number).ok()?, 6))
}

pub(super) fn nanoseconds(number: u64) -> Option<Value> {
    Some(Value::Scaled(i64::try_from(number).ok()?, 9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_cpu_stat() {
        let text = b"usage_usec 42\nuser_usec 40\nsystem_usec 2\nnice_usec 0\nnr_periods 5\nnr_throttled 1\nthrottled_usec 9\nnr_bursts 0\nburst_usec 0\n";
        let times = stat(text);
        assert_eq!(times.usage, Some(Value::Scaled(42, 6)));
        assert_eq!((times.periods, times.throttled, times.bursts), (Some(5), Some(1), Some(0)));
        assert_eq!(times.throttled_time, Some(Value::Scaled(9, 6)));
        let times = stat(b"nr_periods 7\nnr_throttled 2\nthrottled_time 1000\n");
        assert_eq!((times.usage, times.throttled_time), (None, Some(Value::Scaled(1000, 9))));
    }

    #[test]
    fn ticks_of_version_1() {
        assert_eq!(ticks(b"user 12\nsystem 3\n"), (Some(Value::Scaled(12, 2)), Some(Value::Scaled(3, 2))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            stat(&bytes);
            ticks(&bytes);
        }
    }
}
