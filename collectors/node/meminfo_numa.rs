//! `/sys/devices/system/node/node*/{meminfo,numastat}`: how the memory of each NUMA node is used.
//!
//! The kernel names the families; each release adds some.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, Kind};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Its row in the table. For each node the kernel adds up the counters of all CPUs.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    run_time: &[
        RunTime {
            pattern: "node_memory_numa_<Name>",
            kind: "gauge",
            help: "A line of a node's meminfo: bytes where the kernel gives kB; Active(anon) becomes Active_anon.",
            labels: &["node"],
        },
        RunTime {
            pattern: "node_memory_numa_<name>_total",
            kind: "counter",
            help: "A line of a node's numastat: pages that were taken from it or should have been.",
            labels: &["node"],
        },
    ],
    ..Spec::new(Group::Node, "meminfo_numa", "How the memory of each NUMA node is used.", &[], open)
};

const FOLDER: &str = "devices/system/node";
const PREFIX: &str = "node_memory_numa_";
/// How many names are taken; Linux 6.18 has some 50.
const NAMES_MAX: usize = 256;
/// How long a name may be.
const NAME_MAX: usize = 64;

/// How often nodes are looked for: memory may be plugged in.
const NODES_PACE: Duration = Duration::from_secs(60);

struct MeminfoNuma {
    nodes: Vec<Node>,
    nodes_due: Duration,
    families: Families,
}

struct Node {
    number: String,
    meminfo: KeptFile,
    numastat: KeptFile,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let nodes = nodes(host)?;
    let nodes_due = host.monotonic() + NODES_PACE;
    Ok(Some(Box::new(MeminfoNuma { nodes, nodes_due, families: Families::default() })))
}

/// The nodes that are there now; a kernel without NUMA has none.
fn nodes(host: &mut Host) -> Result<Vec<Node>, Error> {
    let names = match host.names(Root::Sys, FOLDER) {
        Err(error) if error.is_absent() => Vec::new(),
        names => names?,
    };
    let node = |name: &String| {
        let number = name.strip_prefix("node").filter(|number| parse::number(number.as_bytes()).is_some())?;
        let file = |file| KeptFile::new(Root::Sys, format!("{FOLDER}/{name}/{file}"));
        Some(Node { number: number.to_owned(), meminfo: file("meminfo"), numastat: file("numastat") })
    };
    Ok(names.iter().filter_map(node).collect())
}

impl Collector for MeminfoNuma {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if host.monotonic() >= self.nodes_due {
            self.nodes = nodes(host)?;
            self.nodes_due = host.monotonic() + NODES_PACE;
        }
        for Node { number, meminfo, numastat } in &mut self.nodes {
            // A node may be gone before nodes are looked for again.
            if let Some(text) = out.found(host.read_kept(meminfo)) {
                self.families.put(text, field, [number, "meminfo"], out);
            }
            if let Some(text) = out.found(host.read_kept(numastat)) {
                self.families.put(text, count, [number, "numastat"], out);
            }
        }
        Ok(())
    }
}

/// The families by the kernel's words; no word is in both files.
#[derive(Default)]
struct Families(HashMap<Box<[u8]>, Arc<Family>>);

impl Families {
    fn put(&mut self, text: &[u8], split: Split, [node, file]: [&str; 2], out: &mut Batch) {
        let of = out.entity(&["node"], [node]);
        for (line, number) in parse::lines_of_record(text).zip(1..) {
            if parse::trim(line).is_empty() {
                continue;
            }
            match split(line).and_then(|figure| Some((self.of(&figure)?, figure.value))) {
                Some((family, value)) => out.put(family, of, value),
                None => {
                    let path = format!("/sys/{FOLDER}/node{node}/{file}");
                    out.fault(Error::malformed(&path, number, "a name and a number"));
                }
            }
        }
    }

    /// The family of a figure; a new one is made if its name is its own.
    fn of(&mut self, figure: &Figure<'_>) -> Option<&Arc<Family>> {
        if !self.0.contains_key(figure.name) {
            let name = metric_name(figure.name).filter(|_| self.0.len() < NAMES_MAX)?;
            let word = parse::text(figure.name);
            let (name, help) = match figure.kind {
                Kind::Counter => (format!("{PREFIX}{name}_total"), format!("{word} of a node's numastat, in pages.")),
                _ => (format!("{PREFIX}{name}"), format!("{word} of a node's meminfo, in bytes where it is no count.")),
            };
            if self.0.values().any(|known| known.name == name) {
                return None;
            }
            self.0.insert(figure.name.into(), Family::at_run_time(name, help, figure.kind));
        }
        self.0.get(figure.name)
    }
}

/// A line of one of the files.
struct Figure<'a> {
    name: &'a [u8],
    kind: Kind,
    value: u64,
}

type Split = fn(&[u8]) -> Option<Figure<'_>>;

/// `Node 0 Active(anon):       1564 kB`, or `Node 0 HugePages_Total:       0`.
fn field(line: &[u8]) -> Option<Figure<'_>> {
    let mut words = parse::words(line);
    words.next().filter(|word| *word == b"Node")?;
    words.next()?;
    let name = words.next()?.strip_suffix(b":")?;
    let value = parse::number(words.next()?)?;
    let value = match words.next() {
        None => value,
        Some(b"kB") => value.checked_mul(1024)?,
        Some(_) => return None,
    };
    Some(Figure { name, kind: Kind::Gauge, value })
}

/// `numa_hit 193460335812`.
fn count(line: &[u8]) -> Option<Figure<'_>> {
    let mut words = parse::words(line);
    Some(Figure { name: words.next()?, kind: Kind::Counter, value: parse::number(words.next()?)? })
}

/// `Active(anon)`: `Active_anon`; `None` if it can't be part of a family's name.
fn metric_name(name: &[u8]) -> Option<String> {
    let is_short = !name.is_empty() && name.len() <= NAME_MAX;
    let letter = |byte: &u8| match byte {
        b'(' => Some('_'),
        byte if byte.is_ascii_alphanumeric() || *byte == b'_' => Some(char::from(*byte)),
        _ => None,
    };
    name.strip_suffix(b")").unwrap_or(name).iter().map(letter).collect::<Option<String>>().filter(|_| is_short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const MEMINFO: &str = "\nNode 0 MemTotal:       134182340 kB\nNode 0 Active(anon):     706184 kB\n\
                           Node 0 HugePages_Total:     7\n";
    const NUMASTAT: &str = "numa_hit 193460335812\nnuma_miss 0\n";
    const PAGE: &str = "node_memory_numa_Active_anon{node=\"0\"} 723132416\nnode_memory_numa_HugePages_Total{node=\"0\"} 7\n\
                        node_memory_numa_MemTotal{node=\"0\"} 137402716160\n\
                        node_memory_numa_numa_hit_total{node=\"0\"} 193460335812\nnode_memory_numa_numa_miss_total{node=\"0\"} 0\n";

    fn file(node: u32, name: &str) -> String {
        format!("sys/devices/system/node/node{node}/{name}")
    }

    #[test]
    fn both_files_of_a_node() {
        let tree = Tree::new(&[(&file(0, "meminfo"), MEMINFO), (&file(0, "numastat"), NUMASTAT)]);
        tree.write("sys/devices/system/node/possible", "0-1\n");
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), PAGE);
        tree.write(&file(3, "meminfo"), "Node 3 MemTotal: 0 kB\n");
        tree.write(&file(3, "numastat"), "");
        let line = "node_memory_numa_MemTotal{node=\"0\"} 137402716160\n";
        let both = PAGE.replace(line, &format!("{line}node_memory_numa_MemTotal{{node=\"3\"}} 0\n"));
        assert_eq!(opened.round(), PAGE);
        opened.advance(NODES_PACE);
        assert_eq!(opened.round(), both);
        tree.remove("sys/devices/system/node/node3");
        assert_eq!(opened.round(), PAGE);
        opened.advance(NODES_PACE);
        assert_eq!(opened.round(), PAGE);
    }

    #[test]
    fn a_kernel_without_numa_has_no_figures() {
        Tree::new(&[]).check(&SPEC, &[], "");
        Tree::new(&[("sys/devices/system/node/possible", "0\n")]).check(&SPEC, &[], "");
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let text = "Node 0 A: 1\nNode 0 B 1\nNode 0 C: 1 MB\nNode 0 D-E: 1\nNode 0 A(b): 1\nNode 0 A_b: 2\nNode 0 Z: 1";
        let page = "node_memory_numa_A{node=\"0\"} 1\nnode_memory_numa_A_b{node=\"0\"} 1\n\
                    node_memory_numa_Z{node=\"0\"} 1\n";
        Tree::new(&[(&file(0, "meminfo"), text)]).check(&SPEC, &[], &format!("{page}{}", "! malformed\n".repeat(4)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            field(&bytes);
            field(&[b"Node 0 ", &bytes[..]].concat());
            count(&bytes);
            if let Some(name) = metric_name(&bytes) {
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
            }
        }
    }
}
