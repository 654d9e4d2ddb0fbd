//! Memory: `memory.current`, `memory.stat`, `memory.events` and their like of version 1.
//!
//! Of version 1, the figures named `total_` are taken: they include what is below, as all figures of version 2 do. The
//! figures of the whole machine come from `/proc/meminfo`: a root cgroup tells little, and what it tells costs much.

use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Controller, Node, Trees};
use crate::kit::{Error, Host, KeptFile, Keyed, parse};

/// The lines of `memory.stat` that are told: the family, the line's word in version 2 and in version 1.
const LINES: [(Metric, &[u8], &[u8]); 12] = [
    (Metric::Cache, b"file", b"total_cache"),
    (Metric::Rss, b"anon", b"total_rss"),
    (Metric::MappedFile, b"file_mapped", b"total_mapped_file"),
    (Metric::KernelUsage, b"kernel", b""),
    (Metric::ActiveFile, b"active_file", b"total_active_file"),
    (Metric::InactiveFile, b"inactive_file", b"total_inactive_file"),
    (Metric::FileDirty, b"file_dirty", b"total_dirty"),
    (Metric::FileWriteback, b"file_writeback", b"total_writeback"),
    (Metric::Pgscan, b"pgscan", b""),
    (Metric::Pgsteal, b"pgsteal", b""),
    (Metric::RefaultFile, b"workingset_refault_file", b""),
    (Metric::RefaultAnon, b"workingset_refault_anon", b""),
];
const STAT: [Metric; 15] = [
    Metric::WorkingSet,
    Metric::Cache,
    Metric::Rss,
    Metric::MappedFile,
    Metric::KernelUsage,
    Metric::ActiveFile,
    Metric::InactiveFile,
    Metric::FileDirty,
    Metric::FileWriteback,
    Metric::Pgscan,
    Metric::Pgsteal,
    Metric::RefaultFile,
    Metric::RefaultAnon,
    Metric::Failures,
    Metric::Swap,
];
const EVENTS: [Metric; 3] = [Metric::Failcnt, Metric::EventsHigh, Metric::EventsMax];

/// What `memory.stat` tells besides.
const FAULTS: usize = LINES.len();
const MAJOR_FAULTS: usize = FAULTS + 1;
/// In version 1 only.
const SWAP: usize = FAULTS + 2;
const WORDS: usize = FAULTS + 3;

/// Reads `memory.stat`: `anon 4096\nfile 8192\n…` of version 2, `cache 1\n…\ntotal_cache 1\n…` of version 1.
#[derive(Debug)]
pub(super) struct Stat(Keyed<WORDS>);

impl Stat {
    pub(super) fn new(unified: bool) -> Self {
        let mut words: [&[u8]; WORDS] = [b""; WORDS];
        for (place, (_, word, total)) in words.iter_mut().zip(LINES) {
            *place = if unified { word } else { total };
        }
        words[FAULTS] = if unified { b"pgfault" } else { b"total_pgfault" };
        words[MAJOR_FAULTS] = if unified { b"pgmajfault" } else { b"total_pgmajfault" };
        words[SWAP] = if unified { b"" } else { b"total_swap" };
        Self(Keyed::new(words))
    }
}

/// Whether the kernel killed anything for want of memory since the last rounds. It counts those of all cgroups in one
/// place, so that nobody has to look into each of them.
#[derive(Debug)]
pub(super) struct Kills {
    vmstat: KeptFile,
    last: Option<u64>,
    /// For so many rounds each cgroup is looked into: the kernel counts in two places, one after the other.
    looks: u32,
}

impl Default for Kills {
    fn default() -> Self {
        Self { vmstat: KeptFile::shared("vmstat"), last: None, looks: 0 }
    }
}

impl Kills {
    /// How many there were in all.
    pub(super) fn all(&self) -> Option<u64> {
        self.last
    }

    /// Looks, once a round. Before Linux 4.13 nothing is counted there.
    pub(super) fn look(&mut self, host: &mut Host) {
        let counted = host.read_kept(&mut self.vmstat).ok();
        let [kills] = counted.map(|text| keys(text, [b"oom_kill"])).unwrap_or_default();
        self.looks = if kills.is_none() || kills != self.last { 2 } else { self.looks.saturating_sub(1) };
        self.last = kills;
    }
}

/// Whether anything is swapped out on this machine: where nothing is, nobody has any there.
#[derive(Debug)]
pub(super) struct Swap {
    meminfo: KeptFile,
    /// How much there is, and how much of it is in use; `None`: that is not known.
    found: Option<(u64, u64)>,
}

impl Default for Swap {
    fn default() -> Self {
        Self { meminfo: KeptFile::shared("meminfo"), found: None }
    }
}

impl Swap {
    /// Looks, once a round. In version 1 `memory.stat` tells of it, which is read anyway.
    pub(super) fn look(&mut self, host: &mut Host, trees: &Trees) {
        if trees.unified() {
            let told = host.read_kept(&mut self.meminfo).ok();
            let [total, free] = told.map(|text| keys(text, [b"SwapTotal:", b"SwapFree:"])).unwrap_or_default();
            self.found = total.zip(free).and_then(|(total, free)| Some((total, total.checked_sub(free)?)));
        }
    }

    /// What a cgroup has there, in version 2. Whether the kernel counts it at all is looked up now and then.
    fn of(&self, host: &mut Host, tree: &str, node: &mut Node<State>) -> Result<Option<u64>, Error> {
        match self.found {
            Some((0, _)) => return Ok(Some(0)),
            Some((_, 0)) if !node.own.is_due => return Ok((!node.own.swap.is_absent()).then_some(0)),
            _ => {}
        }
        let text = host.cgroup(tree, &node.path, "memory.swap.current", &mut node.own.swap)?;
        Ok(text.and_then(|text| parse::number(parse::trim(text))))
    }
}

/// Puts what is told of a cgroup that is not the root.
pub(super) fn put(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    (kills, swap, stat): (&Kills, &Swap, &mut Stat),
    page: &mut Page<'_>,
) -> Result<(), Error> {
    let Some(tree) = trees.of(Controller::Memory) else { return Ok(()) };
    let unified = trees.unified();
    let name = |unified_name, name| if unified { unified_name } else { name };
    let mut usage = None;
    if page.wanted.any(&[Metric::MemoryUsage, Metric::WorkingSet]) {
        let file = name("memory.current", "memory.usage_in_bytes");
        let text = host.cgroup(tree, &node.path, file, &mut node.own.memory)?;
        usage = text.and_then(|text| parse::number(parse::trim(text)));
        page.put(Metric::MemoryUsage, usage);
    }
    if page.wanted.any(&STAT) {
        if let Some(text) = host.cgroup_kept(tree, &node.path, "memory.stat", &mut node.own.memory_stat)? {
            put_stat(&stat.0.find(text), usage, page);
        }
        node.is_heard = node.own.memory_stat.is_kept();
    }
    if unified && page.wanted.any(&[Metric::Swap]) && !node.own.memory.is_absent() {
        page.put(Metric::Swap, swap.of(host, tree, node)?);
    }
    if page.wanted.any(&[Metric::MaxUsage]) {
        let file = name("memory.peak", "memory.max_usage_in_bytes");
        let text = host.cgroup(tree, &node.path, file, &mut node.own.memory_peak)?;
        page.put(Metric::MaxUsage, text.and_then(|text| parse::number(parse::trim(text))));
    }
    if !unified && page.wanted.any(&[Metric::KernelUsage]) {
        let text = host.cgroup(tree, &node.path, "memory.kmem.usage_in_bytes", &mut node.own.memory_kernel)?;
        page.put(Metric::KernelUsage, text.and_then(|text| parse::number(parse::trim(text))));
    }
    let must_look = match kills.last {
        // Where nobody was ever killed, nobody was here.
        Some(0) if usage.is_some() => {
            node.own.kills = Some(0);
            false
        }
        // Before Linux 4.13, version 1 counted none at all.
        None if !unified => false,
        _ => kills.looks > 0 || node.own.kills.is_none(),
    };
    if page.wanted.any(&EVENTS) || (page.wanted.any(&[Metric::OomEvents]) && must_look) {
        put_events(host, (tree, unified), node, page)?;
    }
    page.put(Metric::OomEvents, node.own.kills);
    Ok(())
}

fn put_stat(stat: &[Option<u64>; WORDS], usage: Option<u64>, page: &mut Page<'_>) {
    for ((metric, ..), value) in LINES.into_iter().zip(*stat) {
        page.put(metric, value);
        if metric == Metric::InactiveFile {
            let working_set = usage.zip(value).map(|(usage, inactive)| usage.saturating_sub(inactive));
            page.put(Metric::WorkingSet, working_set);
        }
    }
    page.put(Metric::Swap, stat[SWAP]);
    if page.wanted.any(&[Metric::Failures]) {
        for (kind, value) in [("pgfault", stat[FAULTS]), ("pgmajfault", stat[MAJOR_FAULTS])] {
            // cAdvisor gives the same figure twice, under two scopes. This is the one that dashboards ask for.
            let of = page.out.part(page.of, &["failure_type", "scope"], [kind, "container"]);
            page.put_of(Metric::Failures, of, value);
        }
    }
}

/// `memory.events` of version 2; `memory.failcnt` and `memory.oom_control` of version 1, which counts kills since 4.13.
fn put_events(
    host: &mut Host,
    (tree, unified): (&str, bool),
    node: &mut Node<State>,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    node.own.kills = if unified {
        let events = host.cgroup(tree, &node.path, "memory.events", &mut node.own.memory_events)?;
        let [high, max, kills] = events.map(|text| keys(text, [b"high", b"max", b"oom_kill"])).unwrap_or_default();
        page.put(Metric::EventsHigh, high);
        page.put(Metric::EventsMax, max);
        page.put(Metric::Failcnt, max);
        kills
    } else {
        if page.wanted.any(&[Metric::Failcnt]) {
            let text = host.cgroup(tree, &node.path, "memory.failcnt", &mut node.own.memory_failcnt)?;
            page.put(Metric::Failcnt, text.and_then(|text| parse::number(parse::trim(text))));
        }
        let text = host.cgroup(tree, &node.path, "memory.oom_control", &mut node.own.memory_events)?;
        let [kills] = text.map(|text| keys(text, [b"oom_kill"])).unwrap_or_default();
        kills
    };
    Ok(())
}

/// Puts the memory of the whole machine, as a root cgroup would have it.
pub(super) fn put_root(host: &mut Host, meminfo: &mut KeptFile, page: &mut Page<'_>) -> Result<(), Error> {
    const WORDS: [&[u8]; 10] = [
        b"AnonPages:",
        b"Cached:",
        b"Buffers:",
        b"SwapCached:",
        b"Inactive(file):",
        b"Active(file):",
        b"Mapped:",
        b"MemTotal:",
        b"SwapTotal:",
        b"SwapFree:",
    ];
    let kibibytes = keys(host.read_kept(meminfo)?, WORDS);
    let [anonymous, cached, buffers, swap_cached, inactive, active, mapped, total, swap, swap_free] =
        kibibytes.map(|kibibytes| kibibytes.and_then(|kibibytes| kibibytes.checked_mul(1024)));
    let sum = |one: u64, other| one.saturating_add(other);
    let file = cached.zip(buffers).map(|(cached, buffers)| sum(sum(cached, buffers), swap_cached.unwrap_or(0)));
    let usage = file.zip(anonymous).map(|(file, anonymous)| sum(file, anonymous));
    page.put(Metric::MemoryUsage, usage);
    page.put(Metric::WorkingSet, usage.zip(inactive).map(|(usage, inactive)| usage.saturating_sub(inactive)));
    page.put(Metric::Cache, file);
    page.put(Metric::Rss, anonymous);
    page.put(Metric::MappedFile, mapped);
    page.put(Metric::ActiveFile, active);
    page.put(Metric::InactiveFile, inactive);
    page.put(Metric::Swap, swap.zip(swap_free).map(|(swap, free)| swap.saturating_sub(free)));
    page.put(Metric::MemoryLimit, total);
    page.put(Metric::MemorySwapLimit, swap);
    Ok(())
}

/// `low 0\nhigh 3\n…`: the numbers behind these words. `MemTotal:  16 kB` has a unit behind its number.
pub(super) fn keys<const N: usize>(text: &[u8], words: [&[u8]; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    for line in parse::lines_of_record(text) {
        let mut line = parse::words(line);
        let Some(key) = line.next() else { continue };
        if let Some(at) = words.iter().position(|word| *word == key)
            && let Some(place) = found.get_mut(at)
        {
            *place = line.next().and_then(parse::number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_memory_stat() {
        let find = |unified, text: &[u8]| Stat::new(unified).0.find(text);
        let inactive_file = LINES.iter().position(|(metric, ..)| *metric == Metric::InactiveFile).unwrap();
        let told = find(true, b"anon 1\nfile 2\nkernel 3\ninactive_file 4\nactive_file 5\npgfault 6\npgmajfault 7\n");
        assert_eq!((told[0], told[1], told[3]), (Some(2), Some(1), Some(3)));
        assert_eq!((told[inactive_file], told[FAULTS], told[MAJOR_FAULTS]), (Some(4), Some(6), Some(7)));
        let told = find(false, b"cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\ntotal_swap 5\ntotal_inactive_file 3\n");
        assert_eq!((told[0], told[1], told[3]), (Some(10), Some(20), None));
        assert_eq!((told[SWAP], told[inactive_file], told[FAULTS]), (Some(5), Some(3), None));
    }

    #[test]
    fn words_and_their_numbers() {
        assert_eq!(
            keys(b"low 0\nhigh 3\nmax 4\noom 1\noom_kill 1\n", [b"high", b"oom_kill", b"none"]),
            [Some(3), Some(1), None]
        );
        assert_eq!(keys(b"MemTotal:       16 kB\n", [b"MemTotal:"]), [Some(16)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, unified: bool) {
            Stat::new(unified).0.find(&bytes);
            keys(&bytes, [b"high"]);
        }
    }
}
