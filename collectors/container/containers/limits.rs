//! What a cgroup may use, read again every half minute: limits, weights and quotas seldom change.

use super::metrics::{Metric, Page, Wanted};
use crate::kit::cgroup::{Controller, Handle, Trees};
use crate::kit::{Error, Host, parse};

/// What is set; `None`: the kernel tells nothing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// In microseconds.
    pub(super) cpu_period: Option<u64>,
    /// In microseconds for each period; `None` also without a limit.
    pub(super) cpu_quota: Option<u64>,
    cpu_shares: Option<u64>,
    memory: Option<u64>,
    memory_reservation: Option<u64>,
    memory_swap: Option<u64>,
    threads: Option<u64>,
    memory_migrate: Option<u64>,
}

/// What depends on the quota.
const QUOTA: [Metric; 5] =
    [Metric::CpuPeriod, Metric::CpuQuota, Metric::CfsPeriods, Metric::CfsThrottledPeriods, Metric::CfsThrottledSeconds];

/// From here on version 1 means "no limit".
const UNLIMITED: u64 = 1 << 62;

impl Limits {
    /// Reads those of a cgroup, as far as they are wanted: each file that is looked at costs the kernel a kilobyte.
    pub(super) fn read(host: &mut Host, trees: &Trees, path: &str, wanted: Wanted) -> Result<Self, Error> {
        use Controller::{Cpu, Cpuset, Memory, Pids};
        let mut read = Files { host, trees, path };
        let mut limits = Limits::default();
        let unified = trees.unified();
        let name = |unified_name, name| if unified { unified_name } else { name };
        if wanted.any(&QUOTA) {
            (limits.cpu_quota, limits.cpu_period) = match unified {
                true => read.text(Cpu, "cpu.max", cpu_max)?.unwrap_or_default(),
                // -1: no limit.
                false => (read.number(Cpu, "cpu.cfs_quota_us")?, read.number(Cpu, "cpu.cfs_period_us")?),
            };
        }
        if wanted.any(&[Metric::CpuShares]) {
            let weight = read.number(Cpu, name("cpu.weight", "cpu.shares"))?;
            limits.cpu_shares = if unified { weight.map(shares) } else { weight };
        }
        for (metric, place, unified_name, old_name) in [
            (Metric::MemoryLimit, &mut limits.memory, "memory.max", "memory.limit_in_bytes"),
            (Metric::MemoryReservation, &mut limits.memory_reservation, "memory.low", "memory.soft_limit_in_bytes"),
            (Metric::MemorySwapLimit, &mut limits.memory_swap, "memory.swap.max", "memory.memsw.limit_in_bytes"),
        ] {
            if wanted.any(&[metric]) {
                *place = read.limit(Memory, name(unified_name, old_name))?;
            }
        }
        if wanted.any(&[Metric::ThreadsMax]) {
            limits.threads = read.number(Pids, "pids.max")?;
        }
        // In version 2 it always does.
        if wanted.any(&[Metric::MemoryMigrate]) && !unified {
            limits.memory_migrate = read.number(Cpuset, "cpuset.memory_migrate")?;
        }
        Ok(limits)
    }

    /// Puts them.
    pub(super) fn put(&self, page: &mut Page<'_>) {
        page.put(Metric::CpuPeriod, self.cpu_period);
        page.put(Metric::CpuQuota, self.cpu_quota);
        page.put(Metric::CpuShares, self.cpu_shares);
        page.put(Metric::MemoryLimit, self.memory);
        page.put(Metric::MemoryReservation, self.memory_reservation);
        page.put(Metric::MemorySwapLimit, self.memory_swap);
        page.put(Metric::ThreadsMax, self.threads);
        page.put(Metric::MemoryMigrate, self.memory_migrate);
    }
}

struct Files<'a> {
    host: &'a mut Host,
    trees: &'a Trees,
    path: &'a str,
}

impl Files<'_> {
    fn text<T>(&mut self, of: Controller, file: &str, parse: impl Fn(&[u8]) -> T) -> Result<Option<T>, Error> {
        let Some(tree) = self.trees.of(of) else { return Ok(None) };
        Ok(self.host.cgroup(tree, self.path, file, &mut Handle::default())?.map(parse))
    }

    fn number(&mut self, of: Controller, file: &str) -> Result<Option<u64>, Error> {
        Ok(self.text(of, file, |text| parse::number(parse::trim(text)))?.flatten())
    }

    /// A limit in bytes; 0 for none, as dashboards expect it.
    fn limit(&mut self, of: Controller, file: &str) -> Result<Option<u64>, Error> {
        Ok(self.text(of, file, |text| limit(parse::trim(text)))?.flatten())
    }
}

/// `max` or a number of bytes.
fn limit(text: &[u8]) -> Option<u64> {
    if text == b"max" {
        return Some(0);
    }
    parse::number(text).map(|bytes| if bytes > UNLIMITED { 0 } else { bytes })
}

/// `100000 100000` or `max 100000`: the quota, if there is one, and the period.
fn cpu_max(text: &[u8]) -> (Option<u64>, Option<u64>) {
    let mut words = parse::words(parse::trim(text)).map(parse::number);
    (words.next().flatten(), words.next().flatten())
}

/// The shares of version 1 for a weight of version 2, as runtimes convert them the other way.
fn shares(weight: u64) -> u64 {
    2 + weight.clamp(1, 10_000).saturating_sub(1) * 262_142 / 9_999
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_and_their_absence() {
        assert_eq!(cpu_max(b"50000 100000\n"), (Some(50_000), Some(100_000)));
        assert_eq!(cpu_max(b"max 100000\n"), (None, Some(100_000)));
        assert_eq!((limit(b"max"), limit(b"4096"), limit(b"-1")), (Some(0), Some(4096), None));
        assert_eq!(limit(b"9223372036854771712"), Some(0));
        assert_eq!((shares(1), shares(100), shares(10_000), shares(0)), (2, 2597, 262_144, 2));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, weight: u64) {
            cpu_max(&bytes);
            limit(&bytes);
            shares(weight);
        }
    }
}
