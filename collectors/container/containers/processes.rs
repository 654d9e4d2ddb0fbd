//! The processes of containers and services, and what they have open; told where it is asked for.
//!
//! Of a container those count that are in cgroups within it too: some runtimes put all of them there. cAdvisor leaves these
//! out. A service's own cgroup is counted alone: what is within may be containers. Slices and pods have no processes.
//! Three calls for the list (and one for each cgroup within), three to see whose it is, one for the open files of each
//! process since Linux 6.2, four and one for each file before and for sockets, three for the limit.

use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Kind, Node, Trees};
use crate::kit::{Error, Host, Root, parse};
use std::time::Duration;

const NAMES: [Metric; 4] = [Metric::Processes, Metric::FileDescriptors, Metric::Sockets, Metric::Ulimits];

/// Puts them, as far as there is time `until` then.
pub(super) fn put(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    until: Duration,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    if !page.wanted.any(&NAMES) || !matches!(node.kind, Kind::Container { .. } | Kind::Service) {
        return Ok(());
    }
    let mut pids = Vec::new();
    let is_container = matches!(node.kind, Kind::Container { .. });
    let Some(count) = host.cgroup_pids(trees, &node.path, is_container, &mut pids)? else { return Ok(()) };
    page.put(Metric::Processes, Some(count));
    let Some(first) = pids.first().copied() else {
        if count == 0 {
            page.put(Metric::FileDescriptors, Some(0u64));
            page.put(Metric::Sockets, Some(0u64));
        }
        return Ok(());
    };
    // Others than the machine's procfs may have other processes under these numbers.
    if !is_of(host, first, &node.path) {
        return Ok(());
    }
    if pids.len() as u64 == count {
        for (metric, count) in [
            (Metric::FileDescriptors, Host::open_files as fn(&mut Host, u32) -> _),
            (Metric::Sockets, Host::open_sockets),
        ] {
            if page.wanted.any(&[metric]) {
                let sum = sum(host, &pids, until, count);
                let sum = page.out.ok(sum);
                page.put(metric, sum);
            }
        }
    }
    if page.wanted.any(&[Metric::Ulimits]) {
        let told = node.own.named.as_ref().and_then(|named| named.pid).filter(|pid| pids.contains(pid));
        let limits = host.read_once(Root::Proc, format_args!("{}/limits", told.unwrap_or(first)));
        let limit = page.out.found(limits).and_then(open_files_limit);
        let of = page.out.part(page.of, &["ulimit"], ["max_open_files"]);
        page.put_of(Metric::Ulimits, of, limit);
    }
    Ok(())
}

/// A sum over all processes. One that has ended has nothing.
fn sum(
    host: &mut Host,
    pids: &[u32],
    until: Duration,
    count: fn(&mut Host, u32) -> Result<u64, Error>,
) -> Result<u64, Error> {
    let mut sum = 0;
    for pid in pids {
        if host.monotonic() >= until {
            return Err(Error::Stuck { path: format!("{}/{pid}/fd", host.root(Root::Proc)) });
        }
        match count(host, *pid) {
            Ok(count) => sum += count,
            Err(error) if error.is_nothing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

/// The first process of a container: the one that its runtime tells, or the first of its cgroup; and whether there are
/// processes of which none can be seen from here.
pub(super) fn first(host: &mut Host, trees: &Trees, node: &Node<State>) -> Result<(Option<u32>, bool), Error> {
    let told = node.own.named.as_ref().and_then(|named| named.pid).filter(|pid| *pid != 0);
    if let Some(pid) = told.filter(|pid| is_of(host, *pid, &node.path)) {
        return Ok((Some(pid), false));
    }
    let mut pids = Vec::new();
    let count = host.cgroup_pids(trees, &node.path, true, &mut pids)?;
    let first = pids.first().copied().filter(|pid| is_of(host, *pid, &node.path));
    Ok((first, first.is_none() && count.is_some_and(|count| count > 0)))
}

/// Whether a process is in a cgroup or further down.
fn is_of(host: &mut Host, pid: u32, path: &str) -> bool {
    host.read_once(Root::Proc, format_args!("{pid}/cgroup")).is_ok_and(|text| is_within(text, path))
}

/// `12:memory:/docker/0123\n0::/docker/0123\n`: whether one of the lines names the last folder of the cgroup's path. What
/// comes before it differs where we are in a cgroup namespace; and then all of our own container is `/`.
fn is_within(text: &[u8], path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default().as_bytes();
    let mut paths =
        parse::lines_of_record(text).filter_map(|line| line.splitn(3, |byte| *byte == b':').nth(2)).peekable();
    let mut is_ours = paths.peek().is_some();
    for path in paths {
        if path.split(|byte| *byte == b'/').any(|folder| folder == last) {
            return true;
        }
        is_ours &= path == b"/";
    }
    is_ours
}

/// `Max open files            1024                 4096                 files`: the soft limit, -1 without one.
fn open_files_limit(text: &[u8]) -> Option<i64> {
    let rest = parse::lines_of_record(text).find_map(|line| line.strip_prefix(b"Max open files "))?;
    match parse::words(rest).next()? {
        b"unlimited" => Some(-1),
        number => parse::signed(number).filter(|limit| *limit >= 0),
    }
}

#[cfg(test)]
mod tests;
