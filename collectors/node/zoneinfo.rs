//! `/proc/zoneinfo`: the pages of each zone of each NUMA node.
//!
//! The figures of a node as a whole stand with its first zone. Lines about CPUs, the most on a large machine, are
//! skipped, and so is what later kernels add.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Entity, Family, Kind, counter, gauge};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::sync::Arc;
use std::time::Duration;

const LABELS: &[&str; 2] = &["node", "zone"];

static NR_FREE_PAGES: Family = gauge("node_zoneinfo_nr_free_pages", "Free pages.", LABELS);
static MIN: Family =
    gauge("node_zoneinfo_min_pages", "Free pages below which only those who free memory get some.", LABELS);
static LOW: Family =
    gauge("node_zoneinfo_low_pages", "Free pages below which the kernel begins to reclaim memory.", LABELS);
static HIGH: Family =
    gauge("node_zoneinfo_high_pages", "Free pages above which the kernel stops to reclaim memory.", LABELS);
static SCANNED: Family =
    gauge("node_zoneinfo_scanned_pages", "Pages looked at since memory was reclaimed last.", LABELS);
static SPANNED: Family = gauge("node_zoneinfo_spanned_pages", "Pages that the zone spans, holes included.", LABELS);
static PRESENT: Family = gauge("node_zoneinfo_present_pages", "Pages that exist in the zone.", LABELS);
static MANAGED: Family = gauge("node_zoneinfo_managed_pages", "Pages that are given out and taken back.", LABELS);
static ACTIVE_ANON: Family =
    gauge("node_zoneinfo_nr_active_anon_pages", "Pages without a file that were used lately.", LABELS);
static INACTIVE_ANON: Family =
    gauge("node_zoneinfo_nr_inactive_anon_pages", "Pages without a file that were not used lately.", LABELS);
static ISOLATED_ANON: Family =
    gauge("node_zoneinfo_nr_isolated_anon_pages", "Pages without a file that are about to be reclaimed.", LABELS);
static ANON_PAGES: Family =
    gauge("node_zoneinfo_nr_anon_pages", "Pages without a file that processes have mapped.", LABELS);
static ANON_HUGE: Family =
    gauge("node_zoneinfo_nr_anon_transparent_hugepages", "Huge pages without a file, made by themselves.", LABELS);
static ACTIVE_FILE: Family =
    gauge("node_zoneinfo_nr_active_file_pages", "Pages of files that were used lately.", LABELS);
static INACTIVE_FILE: Family =
    gauge("node_zoneinfo_nr_inactive_file_pages", "Pages of files that were not used lately.", LABELS);
static ISOLATED_FILE: Family =
    gauge("node_zoneinfo_nr_isolated_file_pages", "Pages of files that are about to be reclaimed.", LABELS);
static FILE_PAGES: Family = gauge("node_zoneinfo_nr_file_pages", "Pages of files.", LABELS);
static SLAB_RECLAIMABLE: Family =
    gauge("node_zoneinfo_nr_slab_reclaimable_pages", "Pages of the kernel's objects that can be reclaimed.", LABELS);
static SLAB_UNRECLAIMABLE: Family = gauge(
    "node_zoneinfo_nr_slab_unreclaimable_pages",
    "Pages of the kernel's objects that can't be reclaimed.",
    LABELS,
);
static MLOCK_STACK: Family = gauge("node_zoneinfo_nr_mlock_stack_pages", "Pages that are locked in memory.", LABELS);
static KERNEL_STACK: Family = gauge("node_zoneinfo_nr_kernel_stacks", "Memory of the kernel's stacks, in KiB.", LABELS);
static MAPPED: Family = gauge("node_zoneinfo_nr_mapped_pages", "Pages of files that processes have mapped.", LABELS);
static DIRTY: Family = gauge("node_zoneinfo_nr_dirty_pages", "Pages that wait to be written.", LABELS);
static WRITEBACK: Family = gauge("node_zoneinfo_nr_writeback_pages", "Pages that are being written.", LABELS);
static UNEVICTABLE: Family = gauge("node_zoneinfo_nr_unevictable_pages", "Pages that can't be reclaimed.", LABELS);
static SHMEM: Family = gauge("node_zoneinfo_nr_shmem_pages", "Pages of shared memory and of tmpfs.", LABELS);
static DIRTIED: Family =
    counter("node_zoneinfo_nr_dirtied_total", "Pages that were changed since the machine started.", LABELS);
static WRITTEN: Family =
    counter("node_zoneinfo_nr_written_total", "Pages that were written since the machine started.", LABELS);
static NUMA_HIT: Family = counter("node_zoneinfo_numa_hit_total", "Pages taken from the node that was wanted.", LABELS);
static NUMA_MISS: Family =
    counter("node_zoneinfo_numa_miss_total", "Pages taken from here though another node was wanted.", LABELS);
static NUMA_FOREIGN: Family =
    counter("node_zoneinfo_numa_foreign_total", "Pages taken from another node though this one was wanted.", LABELS);
static NUMA_INTERLEAVE: Family = counter(
    "node_zoneinfo_numa_interleave_total",
    "Pages taken from here as their turn came, by an interleaving policy.",
    LABELS,
);
static NUMA_LOCAL: Family = counter("node_zoneinfo_numa_local_total", "Pages taken by a CPU of the node.", LABELS);
static NUMA_OTHER: Family = counter("node_zoneinfo_numa_other_total", "Pages taken by a CPU of another node.", LABELS);

/// What the lines are called.
static LINES: [(&[u8], &Family); 34] = [
    (b"nr_free_pages", &NR_FREE_PAGES),
    (b"min", &MIN),
    (b"low", &LOW),
    (b"high", &HIGH),
    (b"scanned", &SCANNED),
    (b"spanned", &SPANNED),
    (b"present", &PRESENT),
    (b"managed", &MANAGED),
    (b"nr_active_anon", &ACTIVE_ANON),
    (b"nr_inactive_anon", &INACTIVE_ANON),
    (b"nr_isolated_anon", &ISOLATED_ANON),
    (b"nr_anon_pages", &ANON_PAGES),
    (b"nr_anon_transparent_hugepages", &ANON_HUGE),
    (b"nr_active_file", &ACTIVE_FILE),
    (b"nr_inactive_file", &INACTIVE_FILE),
    (b"nr_isolated_file", &ISOLATED_FILE),
    (b"nr_file_pages", &FILE_PAGES),
    (b"nr_slab_reclaimable", &SLAB_RECLAIMABLE),
    (b"nr_slab_unreclaimable", &SLAB_UNRECLAIMABLE),
    (b"nr_mlock_stack", &MLOCK_STACK),
    (b"nr_kernel_stack", &KERNEL_STACK),
    (b"nr_mapped", &MAPPED),
    (b"nr_dirty", &DIRTY),
    (b"nr_writeback", &WRITEBACK),
    (b"nr_unevictable", &UNEVICTABLE),
    (b"nr_shmem", &SHMEM),
    (b"nr_dirtied", &DIRTIED),
    (b"nr_written", &WRITTEN),
    (b"numa_hit", &NUMA_HIT),
    (b"numa_miss", &NUMA_MISS),
    (b"numa_foreign", &NUMA_FOREIGN),
    (b"numa_interleave", &NUMA_INTERLEAVE),
    (b"numa_local", &NUMA_LOCAL),
    (b"numa_other", &NUMA_OTHER),
];

static FAMILIES: [&Family; LINES.len()] = {
    let mut families = [LINES[0].1; LINES.len()];
    let mut at = 1;
    while at < LINES.len() {
        families[at] = LINES[at].1;
        at += 1;
    }
    families
};

/// Its row in the table. The kernel takes each zone's lock, and prints five lines for each CPU in each zone.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    run_time: &[RunTime {
        pattern: "node_zoneinfo_protection_<n>",
        kind: "gauge",
        help: "Pages that are kept from those who could do with the n-th zone instead.",
        labels: LABELS,
    }],
    ..Spec::new(Group::Node, "zoneinfo", "Pages of each memory zone, from /proc/zoneinfo.", &FAMILIES, open)
};

/// How many zones a node may have; Linux 6.18 has up to 6.
const ZONES_MAX: usize = 16;

struct Zoneinfo {
    file: KeptFile,
    protection: Vec<Arc<Family>>,
}

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let protection = |zone| {
        let help = format!("Pages that are kept from those who could do with zone {zone} of the node instead.");
        Family::at_run_time(format!("node_zoneinfo_protection_{zone}"), help, Kind::Gauge)
    };
    let protection = (0..ZONES_MAX).map(protection).collect();
    Ok(Some(Box::new(Zoneinfo { file: KeptFile::new(Root::Proc, "zoneinfo"), protection })))
}

impl Collector for Zoneinfo {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        // The zone that the lines belong to; none while they are about its CPUs.
        let mut of = None;
        // The last line has none of the figures, so it does no harm if it has no end.
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            if line.starts_with(b"Node ") {
                of = zone(line).map(|zone| out.entity(LABELS, zone));
                if of.is_none() {
                    out.fault(Error::malformed("/proc/zoneinfo", number, "Node N, zone NAME"));
                }
            } else if line.trim_ascii_start().starts_with(b"pagesets") {
                of = None;
            } else if let Some(of) = of
                && !self.put(line, of, out)
            {
                out.fault(Error::malformed("/proc/zoneinfo", number, "a whole number"));
            }
        }
        if out.is_empty() { Err(Error::malformed("/proc/zoneinfo", 0, "zones and their pages")) } else { Ok(()) }
    }
}

impl Zoneinfo {
    /// Puts the figures of a line, if it is known; whether they read as such.
    fn put(&self, line: &[u8], of: Entity, out: &mut Batch) -> bool {
        let mut words = parse::words(line);
        let Some(word) = words.next() else { return true };
        if word == b"protection:" {
            let mut all = true;
            for (family, pages) in self.protection.iter().zip(protection(line)) {
                all &= pages.is_some();
                out.put_some(family, of, pages);
            }
            return all;
        }
        let Some((_, family)) = LINES.iter().find(|(known, _)| *known == word) else { return true };
        let Some(word) = words.next() else { return true };
        let pages = parse::signed(word);
        out.put_some(*family, of, pages);
        pages.is_some()
    }
}

/// `Node 0, zone   Normal`: the node and the zone.
fn zone(line: &[u8]) -> Option<[&str; 2]> {
    let mut words = parse::words(line).skip(1);
    let node = words.next()?.strip_suffix(b",").filter(|node| parse::number(node).is_some())?;
    words.next().filter(|word| *word == b"zone")?;
    Some([std::str::from_utf8(node).ok()?, std::str::from_utf8(words.next()?).ok()?])
}

/// `        protection: (0, 2039, 31932)`: the numbers.
fn protection(line: &[u8]) -> impl Iterator<Item = Option<u64>> {
    let open = line.iter().position(|byte| *byte == b'(').map_or(line.len(), |at| at + 1);
    let close = line.iter().rposition(|byte| *byte == b')').unwrap_or(line.len()).max(open);
    line[open..close].split(|byte| *byte == b',').map(|word| parse::number(parse::trim(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const TEXT: &str = "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 105\n      nr_dirtied   1082\n\
        \x20     nr_hugetlb   0\n  pages free     3840\n        boost    0\n        min      12\n        high     18\n\
        \x20       protection: (0, 3019, 20555)\n      nr_free_pages 3840\n      numa_hit     7\n  pagesets\n    cpu: 0\n\
        \x20             count:    0\n              high:     5\n  vm stats threshold: 4\n  node_unreclaimable:  0\n\
        \x20 start_pfn:           1\nNode 1, zone   Normal\n  pages free     9\n        min      -1\n\
        \x20       protection: (0, 0)\n";

    #[test]
    fn zones_of_nodes() {
        let dma = "{node=\"0\",zone=\"DMA\"}";
        let normal = "{node=\"1\",zone=\"Normal\"}";
        let page = [
            format!("node_zoneinfo_high_pages{dma} 18\n"),
            format!("node_zoneinfo_min_pages{dma} 12\nnode_zoneinfo_min_pages{normal} -1\n"),
            format!("node_zoneinfo_nr_dirtied_total{dma} 1082\nnode_zoneinfo_nr_free_pages{dma} 3840\n"),
            format!("node_zoneinfo_nr_inactive_anon_pages{dma} 105\nnode_zoneinfo_numa_hit_total{dma} 7\n"),
            format!("node_zoneinfo_protection_0{dma} 0\nnode_zoneinfo_protection_0{normal} 0\n"),
            format!("node_zoneinfo_protection_1{dma} 3019\nnode_zoneinfo_protection_1{normal} 0\n"),
            format!("node_zoneinfo_protection_2{dma} 20555\n"),
        ];
        Tree::new(&[("proc/zoneinfo", TEXT)]).check(&SPEC, &[], &page.concat());
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let text = "Node x\n min 1\nNode 0, zone DMA32\n\n min x\n low\n protection: (1, x)\n protection: ";
        let of = "{node=\"0\",zone=\"DMA32\"}";
        let page = format!("node_zoneinfo_protection_0{of} 1\n{}", "! malformed\n".repeat(4));
        Tree::new(&[("proc/zoneinfo", text)]).check(&SPEC, &[], &page);
        Tree::new(&[("proc/zoneinfo", "")]).check(&SPEC, &[], "! malformed\n");
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            zone(&bytes);
            zone(&[b"Node 0, zone ", &bytes[..]].concat());
            protection(&bytes).for_each(drop);
        }
    }
}
