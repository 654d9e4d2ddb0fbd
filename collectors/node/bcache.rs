//! `/sys/fs/bcache/UUID/`: caches on fast disks, and the disks behind them.
//!
//! Large figures are printed with a unit and one digit behind the point, so they go in steps. Up to Linux 4.12 that was
//! not a digit but the rest in hundredths of 1024; it is read so still, as node_exporter does, and may be 2 % too low for
//! it. Most files take the lock that is held while a cache is registered; `priority_stats` also sorts all buckets, and is
//! read only when asked for.

use crate::kit::{Error, Host, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Entity, Family, Value, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "fs/bcache";
const UUID: &[&str; 1] = &["uuid"];
const BACKING: &[&str; 2] = &["backing_device", "uuid"];
const CACHE: &[&str; 2] = &["cache_device", "uuid"];

static AVERAGE_KEY_SIZE: Family =
    gauge("node_bcache_average_key_size_sectors", "Data per key of the btree on average, in sectors.", UUID);
static BTREE_CACHE_SIZE: Family =
    gauge("node_bcache_btree_cache_size_bytes", "Memory of the btree's cache, in bytes.", UUID);
static CACHE_AVAILABLE: Family =
    gauge("node_bcache_cache_available_percent", "Share of the cache that has no dirty data, in percent.", UUID);
static CONGESTED: Family =
    gauge("node_bcache_congested", "How long the cache has been slower than it may be, as the kernel prints it.", UUID);
static ROOT_USAGE: Family =
    gauge("node_bcache_root_usage_percent", "Share of the btree's root that is in use, in percent.", UUID);
static TREE_DEPTH: Family = gauge("node_bcache_tree_depth", "Depth of the btree.", UUID);
static ACTIVE_JOURNAL: Family =
    gauge("node_bcache_active_journal_entries", "Entries of the journal that are newer than the index.", UUID);
static BTREE_NODES: Family = gauge("node_bcache_btree_nodes", "Nodes of the btree.", UUID);
static BTREE_READ: Family = gauge(
    "node_bcache_btree_read_average_duration_seconds",
    "How long a read of the btree takes on average, in seconds.",
    UUID,
);
static READ_RACES: Family = counter(
    "node_bcache_cache_read_races_total",
    "Reads whose data had been dropped from the cache when they ended.",
    UUID,
);
static BYPASSED: Family =
    counter("node_bcache_bypassed_bytes_total", "Bytes read and written past the cache.", BACKING);
static BYPASS_HITS: Family =
    counter("node_bcache_cache_bypass_hits_total", "Requests meant to go past the cache that were in it.", BACKING);
static BYPASS_MISSES: Family = counter(
    "node_bcache_cache_bypass_misses_total",
    "Requests meant to go past the cache that were not in it.",
    BACKING,
);
static HITS: Family = counter("node_bcache_cache_hits_total", "Requests that were in the cache.", BACKING);
static MISS_COLLISIONS: Family = counter(
    "node_bcache_cache_miss_collisions_total",
    "Data that was to go into the cache after a miss and had got there in the meantime.",
    BACKING,
);
static MISSES: Family = counter("node_bcache_cache_misses_total", "Requests that were not in the cache.", BACKING);
static READAHEADS: Family = counter(
    "node_bcache_cache_readaheads_total",
    "Readaheads into the cache, once there was one; Linux 5.17 has none.",
    BACKING,
);
static DIRTY_DATA: Family = gauge(
    "node_bcache_dirty_data_bytes",
    "Data in the cache that is still to be written to the device, in bytes.",
    BACKING,
);
static DIRTY_TARGET: Family =
    gauge("node_bcache_dirty_target_bytes", "Dirty data that is aimed at, in bytes.", BACKING);
static RATE: Family = gauge("node_bcache_writeback_rate", "Rate of writing back, in bytes a second.", BACKING);
static PROPORTIONAL: Family = gauge(
    "node_bcache_writeback_rate_proportional_term",
    "Proportional part of the rate of writing back, in bytes a second.",
    BACKING,
);
static INTEGRAL: Family = gauge(
    "node_bcache_writeback_rate_integral_term",
    "Integral part of the rate of writing back, in bytes a second.",
    BACKING,
);
static CHANGE: Family =
    gauge("node_bcache_writeback_change", "Last change of the rate of writing back, in bytes a second.", BACKING);
static IO_ERRORS: Family =
    gauge("node_bcache_io_errors", "Errors of the cache's device, of which older ones weigh less.", CACHE);
static METADATA_WRITTEN: Family =
    counter("node_bcache_metadata_written_bytes_total", "Bytes written to the cache's device besides data.", CACHE);
static WRITTEN: Family =
    counter("node_bcache_written_bytes_total", "Bytes of data written to the cache's device.", CACHE);
static UNUSED: Family =
    gauge("node_bcache_priority_stats_unused_percent", "Share of the cache that holds no data, in percent.", CACHE);
static METADATA: Family =
    gauge("node_bcache_priority_stats_metadata_percent", "Share of the cache that holds metadata, in percent.", CACHE);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt {
        name: "priority-stats",
        kind: OptKind::Flag,
        default: "false",
        help: "Whether to show what share of a cache is unused and metadata, for which the kernel looks through all of it.",
    }],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "bcache", "Caches on fast disks, from /sys/fs/bcache.", FAMILIES, open)
};

static FAMILIES: &[&Family] = &[
    &AVERAGE_KEY_SIZE,
    &BTREE_CACHE_SIZE,
    &CACHE_AVAILABLE,
    &CONGESTED,
    &ROOT_USAGE,
    &TREE_DEPTH,
    &ACTIVE_JOURNAL,
    &BTREE_NODES,
    &BTREE_READ,
    &READ_RACES,
    &BYPASSED,
    &BYPASS_HITS,
    &BYPASS_MISSES,
    &HITS,
    &MISS_COLLISIONS,
    &MISSES,
    &READAHEADS,
    &DIRTY_DATA,
    &DIRTY_TARGET,
    &RATE,
    &PROPORTIONAL,
    &INTEGRAL,
    &CHANGE,
    &IO_ERRORS,
    &METADATA_WRITTEN,
    &WRITTEN,
    &UNUSED,
    &METADATA,
];

/// Files with one figure each, and their families.
type Files = &'static [(&'static str, &'static Family)];

static OF_SET: Files = &[
    ("average_key_size", &AVERAGE_KEY_SIZE),
    ("btree_cache_size", &BTREE_CACHE_SIZE),
    ("cache_available_percent", &CACHE_AVAILABLE),
    ("congested", &CONGESTED),
    ("root_usage_percent", &ROOT_USAGE),
    ("tree_depth", &TREE_DEPTH),
    ("internal/active_journal_entries", &ACTIVE_JOURNAL),
    ("internal/btree_nodes", &BTREE_NODES),
    ("internal/btree_read_average_duration_us", &BTREE_READ),
    ("internal/cache_read_races", &READ_RACES),
];
static OF_BACKING: Files = &[
    ("dirty_data", &DIRTY_DATA),
    ("stats_total/bypassed", &BYPASSED),
    ("stats_total/cache_bypass_hits", &BYPASS_HITS),
    ("stats_total/cache_bypass_misses", &BYPASS_MISSES),
    ("stats_total/cache_hits", &HITS),
    ("stats_total/cache_miss_collisions", &MISS_COLLISIONS),
    ("stats_total/cache_misses", &MISSES),
    ("stats_total/cache_readaheads", &READAHEADS),
];
static OF_CACHE: Files = &[("io_errors", &IO_ERRORS), ("metadata_written", &METADATA_WRITTEN), ("written", &WRITTEN)];
/// The lines of `writeback_rate_debug` and `priority_stats`.
static WRITEBACK: Files = &[
    ("rate:", &RATE),
    ("target:", &DIRTY_TARGET),
    ("proportional:", &PROPORTIONAL),
    ("integral:", &INTEGRAL),
    ("change:", &CHANGE),
];
static PRIORITY: Files = &[("Unused:", &UNUSED), ("Metadata:", &METADATA)];

struct Bcache {
    priority_stats: bool,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Bcache { priority_stats: options.flag("priority-stats") })))
}

impl Collector for Bcache {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        // Beside the sets of caches there are switches such as `register`.
        let uuids = match host.devices(Root::Sys, FOLDER, |name| name.contains('-')) {
            // Without the module, too, there are no caches to tell of.
            Err(error) if error.is_absent() => return Ok(()),
            uuids => uuids?,
        };
        for uuid in &uuids {
            let home = format!("{FOLDER}/{uuid}");
            let of = out.entity(UUID, [uuid]);
            files(&home, OF_SET, of, host, out);
            let Some(names) = out.found(host.names(Root::Sys, &home)) else { continue };
            for name in &names {
                let home = format!("{home}/{name}");
                if is_numbered(name, "bdev") {
                    let of = out.entity(BACKING, [name, uuid]);
                    files(&home, OF_BACKING, of, host, out);
                    lines(&format!("{home}/writeback_rate_debug"), WRITEBACK, of, host, out);
                } else if is_numbered(name, "cache") {
                    let of = out.entity(CACHE, [name, uuid]);
                    files(&home, OF_CACHE, of, host, out);
                    if self.priority_stats {
                        lines(&format!("{home}/priority_stats"), PRIORITY, of, host, out);
                    }
                }
            }
        }
        Ok(())
    }
}

/// `cache0`, among files such as `cache_available_percent`.
fn is_numbered(name: &str, word: &str) -> bool {
    name.strip_prefix(word).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn files(home: &str, files: Files, of: Entity, host: &mut Host, out: &mut Batch) {
    for (file, family) in files {
        let Some(text) = out.found(host.read(Root::Sys, format_args!("{home}/{file}"))) else { continue };
        match figure(parse::trim(text)) {
            // The kernel no longer counts them, and prints a zero.
            Some(0) if file.ends_with("cache_readaheads") => {}
            Some(us) if file.ends_with("_us") => out.put(*family, of, Value::Scaled(us, 6)),
            Some(figure) => out.put(*family, of, figure),
            None => out.fault(Error::malformed(&format!("/sys/{home}/{file}"), 1, "a number, perhaps with a unit")),
        }
    }
}

fn lines(path: &str, lines: Files, of: Entity, host: &mut Host, out: &mut Batch) {
    let Some(text) = out.found(host.read(Root::Sys, path)) else { return };
    for (word, family) in lines {
        // A kernel that does not print the line has no such figure.
        match line(text, word.as_bytes()) {
            Some(Some(figure)) => out.put(*family, of, figure),
            Some(None) => out.fault(Error::malformed(&format!("/sys/{path}"), 0, "numbers, perhaps with units")),
            None => {}
        }
    }
}

/// `proportional:   -427.5k` or `Unused:         99%`: the figure at the end of the line that begins with the word.
fn line(text: &[u8], word: &[u8]) -> Option<Option<i64>> {
    let line = text.split(|&byte| byte == b'\n').find(|line| line.starts_with(word))?;
    let last = parse::words(line.get(word.len()..)?).last().unwrap_or_default();
    let number = last.strip_suffix(b"/sec").or_else(|| last.strip_suffix(b"%")).unwrap_or(last);
    Some(figure(number))
}

/// `100`, `20.4G` or `-1.0k`.
fn figure(word: &[u8]) -> Option<i64> {
    const UNITS: &[u8] = b"kMGTPEZY";
    let (digits, sign) = word.strip_prefix(b"-").map_or((word, 1.0), |digits| (digits, -1.0));
    let unit = UNITS.iter().position(|unit| digits.last() == Some(unit));
    let Some(unit) = unit else { return parse::signed(word) };
    let mut parts = digits.get(..digits.len() - 1)?.splitn(2, |&byte| byte == b'.');
    let whole = parse::number(parts.next()?)? as f64;
    let rest = parts.next().map_or(Some(0), parse::number)? as f64;
    let scale = (0..=unit).fold(1.0, |scale, _| scale * 1024.0);
    Some((sign * ((whole + rest / 10.24) * scale).trunc()) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const HOME: &str = "sys/fs/bcache/c0ffee00-0001";

    fn tree(files: &[(&str, &str)]) -> Tree {
        let tree = Tree::new(&[("sys/fs/bcache/register", "")]);
        files.iter().for_each(|(path, text)| tree.write(&format!("{HOME}/{path}"), text));
        tree
    }

    fn round(tree: &Tree, options: &[(&str, &str)]) -> String {
        let round = tree.open(&SPEC, options).round();
        round.replace("uuid=\"c0ffee00-0001\"", "ID").replace("node_bcache_", "")
    }

    #[test]
    fn a_cache_and_the_disk_behind_it() {
        let tree = tree(&[
            ("btree_cache_size", "1.0M\n"),
            ("tree_depth", "1\n"),
            ("internal/btree_read_average_duration_us", "1305\n"),
            ("stats_total/cache_hits", "99\n"),
            ("bdev0/dirty_data", "2.0k\n"),
            ("bdev0/stats_total/cache_hits", "546\n"),
            ("bdev0/stats_total/cache_readaheads", "0\n"),
            (
                "bdev0/writeback_rate_debug",
                "rate:\t\t1.0M/sec\ndirty:\t\t5.0G\nintegral:\t-1.0k\nchange:\t0.0k/sec\nnext io:\t-17ms\n",
            ),
            ("bdev1/stats_total/cache_readaheads", "7\n"),
            ("cache0/io_errors", "0\n"),
            ("cache0/priority_stats", "Unused:\t\t99%\nClean:\t\t0%\nMetadata:\t1%\nSectors per Q: 64\n"),
        ]);
        let page = "btree_cache_size_bytes{ID} 1048576\nbtree_read_average_duration_seconds{ID} 0.001305\n\
                    cache_hits_total{backing_device=\"bdev0\",ID} 546\n\
                    cache_readaheads_total{backing_device=\"bdev1\",ID} 7\n\
                    dirty_data_bytes{backing_device=\"bdev0\",ID} 2048\nio_errors{cache_device=\"cache0\",ID} 0\n\
                    PRIORITYtree_depth{ID} 1\nwriteback_change{backing_device=\"bdev0\",ID} 0\n\
                    writeback_rate{backing_device=\"bdev0\",ID} 1048576\n\
                    writeback_rate_integral_term{backing_device=\"bdev0\",ID} -1024\n";
        assert_eq!(round(&tree, &[]), page.replace("PRIORITY", ""));
        let priority = "priority_stats_metadata_percent{cache_device=\"cache0\",ID} 1\n\
                        priority_stats_unused_percent{cache_device=\"cache0\",ID} 99\n";
        assert_eq!(round(&tree, &[("priority-stats", "true")]), page.replace("PRIORITY", priority));
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let tree = tree(&[
            ("tree_depth", "deep\n"),
            ("congested", "1\n"),
            ("bdev0/writeback_rate_debug", "rate:\nchange: 1.0k/sec\n"),
            ("internal/btree_nodes", "7\n"),
        ]);
        tree.write("calls/errno", &format!("{HOME}/congested EIO\n"));
        let page =
            "btree_nodes{ID} 7\nwriteback_change{backing_device=\"bdev0\",ID} 1024\n! io\n! malformed\n! malformed\n";
        assert_eq!(round(&tree, &[]), page);
        Tree::new(&[]).check(&SPEC, &[], "");
        Tree::new(&[("sys/fs/bcache/register", "")]).check(&SPEC, &[], "");
    }

    #[test]
    fn figures_with_units() {
        for (text, number) in [
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("1k", Some(1024)),
            ("20.4G", Some(21_894_266_880)),
            ("1.1M", Some(1_150_976)),
            ("-427.5k", Some(-437_748)),
            ("9999999Y", Some(i64::MAX)),
            ("k", None),
            ("", None),
            ("1.x", None),
            ("--1k", None),
        ] {
            assert_eq!(figure(text.as_bytes()), number, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            figure(&bytes);
            line(&[b"rate:", bytes.as_slice()].concat(), b"rate:");
        }
    }
}
