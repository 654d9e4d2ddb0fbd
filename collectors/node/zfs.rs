//! `/proc/spl/kstat/zfs/`: the caches of ZFS, and its pools and datasets.
//!
//! Families are named after what the module counts, which differs from release to release; files and lines that are not
//! there are left out. A pool has no `io` since OpenZFS 2.1, and `state` since 0.8. Only whole numbers of 64 bits are told.
//! Each dataset that is mounted is a file of its own: a thousand take some 15 ms.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Entity, Family, Kind, Value, gauge};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = "spl/kstat/zfs";
const POOL: &[&str; 1] = &["zpool"];
const DATASET: &[&str; 2] = &["dataset", "zpool"];
/// How many families one file may name. The longest, `arcstats`, has about 150 lines.
const FAMILIES_MAX: usize = 512;
/// What a pool may be. A pool that is something else is none of these.
const STATES: [&str; 7] = ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"];

static STATE: Family = gauge(
    "node_zfs_zpool_state",
    "1 for the state that the pool is in, from /proc/spl/kstat/zfs/POOL/state.",
    &["state", "zpool"],
);

const fn named(pattern: &'static str, help: &'static str, labels: &'static [&'static str]) -> RunTime {
    RunTime { pattern, kind: "untyped", help, labels }
}

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[
        named("node_zfs_abd_<name>", "Buffers of data, from abdstats.", &[]),
        named("node_zfs_arc_<name>", "The cache in memory and on fast disks, from arcstats.", &[]),
        named("node_zfs_dbuf_<name>", "The cache of blocks in use, from dbufstats.", &[]),
        named("node_zfs_dmu_tx_<name>", "Transactions and what they waited for, from dmu_tx.", &[]),
        named("node_zfs_dnode_<name>", "Objects and the cache of them, from dnodestats.", &[]),
        named("node_zfs_fm_<name>", "Reports of faults, from fm.", &[]),
        named("node_zfs_vdev_cache_<name>", "The read-ahead of devices, from vdev_cache_stats.", &[]),
        named("node_zfs_vdev_mirror_<name>", "Which side of a mirror was read, from vdev_mirror_stats.", &[]),
        named("node_zfs_xuio_<name>", "Buffers that were lent, from xuio_stats.", &[]),
        named("node_zfs_zfetch_<name>", "The read-ahead of files, from zfetchstats.", &[]),
        named("node_zfs_zil_<name>", "The intent log, from zil.", &[]),
        named("node_zfs_zpool_<name>", "Reads and writes of each pool, from POOL/io.", POOL),
        named("node_zfs_zpool_dataset_<name>", "Reads and writes of each dataset, from POOL/objset-*.", DATASET),
    ],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "zfs", "Caches, pools and datasets of ZFS, from /proc/spl/kstat/zfs.", &[&STATE], open)
};

/// The files of the whole machine, and what their families begin with.
const FILES: [(&str, &str); 11] = [
    ("abdstats", "node_zfs_abd_"),
    ("arcstats", "node_zfs_arc_"),
    ("dbufstats", "node_zfs_dbuf_"),
    ("dmu_tx", "node_zfs_dmu_tx_"),
    ("dnodestats", "node_zfs_dnode_"),
    ("fm", "node_zfs_fm_"),
    ("vdev_cache_stats", "node_zfs_vdev_cache_"),
    ("vdev_mirror_stats", "node_zfs_vdev_mirror_"),
    ("xuio_stats", "node_zfs_xuio_"),
    ("zfetchstats", "node_zfs_zfetch_"),
    ("zil", "node_zfs_zil_"),
];

struct Zfs {
    files: Vec<(KeptFile, Names)>,
    pool: Names,
    dataset: Names,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !host.exists(Root::Proc, FOLDER) {
        return Ok(None);
    }
    let file = |(file, prefix): (&'static str, _)| {
        (KeptFile::new(Root::Proc, format!("{FOLDER}/{file}")), Names::new(file, prefix))
    };
    Ok(Some(Box::new(Zfs {
        files: FILES.map(file).into(),
        pool: Names::new("POOL/io", "node_zfs_zpool_"),
        dataset: Names::new("POOL/objset-*", "node_zfs_zpool_dataset_"),
    })))
}

impl Collector for Zfs {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for (file, names) in &mut self.files {
            match host.read_kept(file) {
                Ok(text) => names.put_all(text, out.machine(), out),
                Err(error) if error.is_absent() => {}
                Err(error) => out.fault(error),
            }
        }
        for pool in host.names(Root::Proc, FOLDER)? {
            if FILES.iter().any(|(file, _)| *file == pool) {
                continue;
            }
            // What is no folder is no pool, and some files there are long: the module's log is one.
            if let Some(files) = out.found(host.names(Root::Proc, format_args!("{FOLDER}/{pool}"))) {
                self.pool(&pool, &files, host, out);
            }
        }
        Ok(())
    }
}

impl Zfs {
    fn pool(&mut self, pool: &str, files: &[String], host: &mut Host, out: &mut Batch) {
        for file in files {
            let is_dataset = file.starts_with("objset-");
            if !is_dataset && file != "io" && file != "state" {
                continue;
            }
            let read = host.read(Root::Proc, format_args!("{FOLDER}/{pool}/{file}"));
            let Some(text) = out.found(read) else { continue };
            if is_dataset {
                if let Some(dataset) = dataset(text) {
                    let of = out.entity(DATASET, [&String::from_utf8_lossy(dataset), pool]);
                    self.dataset.put_all(text, of, out);
                } else {
                    out.fault(Error::malformed(&format!("/proc/{FOLDER}/{pool}/{file}"), 0, "the name of a dataset"));
                }
            } else if file == "io" {
                let of = out.entity(POOL, [pool]);
                for (name, value) in columns(text) {
                    self.pool.put(name, value, of, out);
                }
            } else {
                let state = parse::text(text).to_lowercase();
                for known in STATES {
                    let of = out.entity(&["state", "zpool"], [known, pool]);
                    out.put(&STATE, of, known == state);
                }
            }
        }
    }
}

/// The families of one file, made when their lines are first seen.
struct Names {
    file: &'static str,
    prefix: &'static str,
    /// By the name in the file; `None`: another line has the same family.
    known: HashMap<Vec<u8>, Option<Arc<Family>>>,
}

impl Names {
    fn new(file: &'static str, prefix: &'static str) -> Self {
        Self { file, prefix, known: HashMap::new() }
    }

    fn put_all(&mut self, text: &[u8], of: Entity, out: &mut Batch) {
        let mut is_empty = true;
        for (name, value) in figures(text) {
            is_empty = false;
            self.put(name, value, of, out);
        }
        if is_empty {
            out.fault(Error::malformed(&self.path(), 0, "a table of name, type and data"));
        }
    }

    fn put(&mut self, name: &[u8], value: Option<Value>, of: Entity, out: &mut Batch) {
        if !self.known.contains_key(name) {
            if self.known.len() >= FAMILIES_MAX {
                return out.fault(Error::Other { path: self.path(), why: format!("more than {FAMILIES_MAX} names") });
            }
            let family = self.family(name);
            self.known.insert(name.to_owned(), family);
        }
        match (self.known.get(name), value) {
            (Some(Some(family)), Some(value)) => out.put(family, of, value),
            (_, None) => out.fault(Error::malformed(&self.path(), 0, "whole numbers")),
            _ => {}
        }
    }

    fn family(&self, name: &[u8]) -> Option<Arc<Family>> {
        let last = name.rsplit(|&byte| byte == b'.').next().unwrap_or(name);
        let clean = last.iter().map(|&byte| if byte.is_ascii_alphanumeric() { char::from(byte) } else { '_' });
        let full = self.prefix.chars().chain(clean).collect::<String>();
        if self.known.values().flatten().any(|family| family.name == full) {
            return None;
        }
        let help = format!("{}, from {}.", String::from_utf8_lossy(name), self.path());
        Some(Family::at_run_time(full, help, Kind::Untyped))
    }

    fn path(&self) -> String {
        format!("/proc/{FOLDER}/{}", self.file)
    }
}

/// The lines below the heading `name type data`. The last one may lack its end.
fn table(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_heading = |line: &&[u8]| parse::words(line).eq([&b"name"[..], b"type", b"data"]);
    text.split(|&byte| byte == b'\n').skip_while(move |line| !is_heading(line)).skip(1)
}

/// `hits                            4    8772612`: the figures of a table. Type 4 is a whole number of 64 bits, 3 may be negative.
fn figures(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<Value>)> {
    table(text).filter_map(|line| {
        let mut words = parse::words(line);
        let (name, kind, data) = (words.next()?, words.next()?, words.next()?);
        match kind {
            b"4" => Some((name, parse::number(data).map(Value::from))),
            b"3" => Some((name, parse::signed(data).map(Value::from))),
            _ => None,
        }
    })
}

/// `dataset_name                    7    tank/home`: the name, which may have blanks in it.
fn dataset(text: &[u8]) -> Option<&[u8]> {
    let line = table(text).find(|line| parse::words(line).next() == Some(b"dataset_name"))?;
    let after_word = |rest: &'_ [u8]| rest.iter().position(u8::is_ascii_whitespace);
    let kind = line.trim_ascii_start();
    let kind = kind.get(after_word(kind)?..)?.trim_ascii_start();
    let name = kind.get(after_word(kind)?..)?.trim_ascii_start();
    (!name.is_empty()).then_some(name)
}

/// `nread nwritten reads …` and, below, `1884160 3206144 22 …`: each name with its number.
fn columns(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<Value>)> {
    let mut lines = parse::lines(text).skip_while(|line| parse::words(line).next() != Some(b"nread"));
    let (names, figures) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    parse::words(names).zip(parse::words(figures)).map(|(name, word)| (name, parse::number(word).map(Value::from)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const HEAD: &str = "13 1 0x01 147 39984 7000000000 8000000000\nname                            type data\n";

    fn table_of(lines: &str) -> String {
        format!("{HEAD}{lines}")
    }

    #[test]
    fn figures_are_named_by_the_module() {
        let tree = Tree::new(&[
            ("proc/spl/kstat/zfs/arcstats", &table_of("hits 4 18446744073709551615\nmemory_free 3 -5\nl2.size 4 7\n")),
            ("proc/spl/kstat/zfs/fm", &table_of("erpt-dropped 4 18\nerpt_dropped 4 19\nname 7 text\nsmall 2 3\n")),
            ("proc/spl/kstat/zfs/dbgmsg", "timestamp message\n"),
        ]);
        let page = "node_zfs_arc_hits 18446744073709552000\nnode_zfs_arc_memory_free -5\nnode_zfs_arc_size 7\n\
                    node_zfs_fm_erpt_dropped 18\n";
        tree.check(&SPEC, &[], page);
    }

    #[test]
    fn pools_and_datasets() {
        let io = "12 3 0x00 1 80 79205351707403 395818011156865\n\
                  nread    nwritten reads    writes   wtime    wlentime wupdate  rtime    rlentime rupdate  wcnt rcnt\n\
                  1884160  3206144  22       132      7155162  1        2        3        4        5        0    0\n";
        let dataset = table_of("dataset_name 7    tank/my files\nwrites 4 1\nnread 4 7\nzil_commit 3 9\n");
        let tree = Tree::new(&[
            ("proc/spl/kstat/zfs/tank/io", io),
            ("proc/spl/kstat/zfs/tank/objset-0x36", &dataset),
            ("proc/spl/kstat/zfs/tank/txgs", "not read\n"),
            ("proc/spl/kstat/zfs/tank/state", "DEGRADED\n"),
            ("proc/spl/kstat/zfs/new/guid", "17\n"),
        ]);
        let round = tree.open(&SPEC, &[]).round();
        let has = |line: &str| assert!(round.lines().any(|said| said == line), "{line}\n{round}");
        has("node_zfs_zpool_nread{zpool=\"tank\"} 1884160");
        has("node_zfs_zpool_rcnt{zpool=\"tank\"} 0");
        has("node_zfs_zpool_dataset_writes{dataset=\"tank/my files\",zpool=\"tank\"} 1");
        has("node_zfs_zpool_state{state=\"degraded\",zpool=\"tank\"} 1");
        has("node_zfs_zpool_state{state=\"online\",zpool=\"tank\"} 0");
        assert_eq!(round.lines().count(), 12 + 3 + STATES.len());
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let tree = Tree::new(&[
            ("proc/spl/kstat/zfs/arcstats", &table_of("hits 4 x\nmisses 4 2")),
            ("proc/spl/kstat/zfs/zil", "13 1 0x01\n"),
            ("proc/spl/kstat/zfs/tank/objset-0x1", &table_of("writes 4 1\n")),
            ("proc/spl/kstat/zfs/tank/objset-0x2", &table_of("dataset_name 7 tank\nwrites 4 1\n")),
            ("proc/spl/kstat/zfs/tank/io", "nread nwritten\nx 2\n"),
            ("calls/errno", "proc/spl/kstat/zfs/fm EIO\n"),
        ]);
        let page = "node_zfs_arc_misses 2\nnode_zfs_zpool_dataset_writes{dataset=\"tank\",zpool=\"tank\"} 1\n\
                    node_zfs_zpool_nwritten{zpool=\"tank\"} 2\n! io\n! malformed\n! malformed\n! malformed\n! malformed\n";
        tree.check(&SPEC, &[], page);
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn names_are_bounded() {
        let lines: String = (0..FAMILIES_MAX + 3).map(|n| format!("n{n} 4 1\n")).collect();
        let tree = Tree::new(&[("proc/spl/kstat/zfs/zil", &table_of(&lines))]);
        let round = tree.open(&SPEC, &[]).round();
        assert_eq!(round.lines().filter(|line| line.starts_with("node_zfs_zil_")).count(), FAMILIES_MAX);
        assert!(round.ends_with(&"! other\n".repeat(3)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let bytes = [HEAD.as_bytes(), &bytes].concat();
            figures(&bytes).count();
            dataset(&bytes);
            columns(&[b"nread\n", bytes.as_slice()].concat()).count();
            let mut names = Names::new("zil", "node_zfs_zil_");
            names.put(&bytes, Some(Value::Int(1)), Entity::MACHINE, &mut Batch::new(10));
        }
    }
}
