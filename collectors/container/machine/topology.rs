//! Threads, caches and memory nodes, one by one: `/sys/devices/system/{cpu/cpu*/cache,node}`.

use super::{CPUS, Place, numbered, online};
use crate::kit::{Host, Root, parse};
use crate::model::{Batch, Entity, Family, gauge};
use std::collections::{BTreeMap, BTreeSet};

pub(super) static CACHE: Family = gauge(
    "machine_cpu_cache_capacity_bytes",
    "How large a cache is, in bytes: one that only a core has, or, without core_id, one that all of a memory node share.",
    &["machine_id", "system_uuid", "boot_id", "node_id", "core_id", "type", "level"],
);
pub(super) static SIBLINGS: Family = gauge(
    "machine_thread_siblings_count",
    "How many CPUs the core of each CPU has.",
    &["machine_id", "system_uuid", "boot_id", "node_id", "core_id", "thread_id"],
);
pub(super) static NODE_MEMORY: Family = gauge(
    "machine_node_memory_capacity_bytes",
    "The memory of each memory node, in bytes.",
    &["machine_id", "system_uuid", "boot_id", "node_id"],
);
pub(super) static NODE_HUGEPAGES: Family = gauge(
    "machine_node_hugepages_count",
    "How many huge pages each memory node keeps, by their size in kibibytes.",
    &["machine_id", "system_uuid", "boot_id", "node_id", "page_size"],
);
pub(super) static NODE_DISTANCE: Family = gauge(
    "machine_node_distance",
    "How far it is from each memory node to each; 10 means no way at all.",
    &["machine_id", "system_uuid", "boot_id", "node_id", "target_node_id"],
);

const NODES: &str = "devices/system/node";
/// How many caches of a CPU are looked at; there are four or five.
const CACHES_MAX: usize = 16;

/// A memory node with its CPUs, by cores.
#[derive(Debug, Default)]
struct Node {
    id: String,
    cores: BTreeMap<(i64, i64), Vec<u32>>,
}

/// What the kernel tells of one cache.
struct Cache {
    level: u64,
    kind: String,
    bytes: u64,
    sharers: usize,
}

/// Puts all of it.
pub(super) fn put(of: Entity, places: &[Place], host: &mut Host, out: &mut Batch) {
    let folders = numbered(NODES, "node", host, out);
    let ids: Vec<String> = folders.iter().filter_map(|path| Some(path.rsplit_once("node")?.1.to_owned())).collect();
    let mut nodes = Vec::new();
    for (folder, id) in folders.iter().zip(&ids) {
        let list = host.read(Root::Sys, format_args!("{folder}/cpulist")).map(online);
        let cpus: BTreeSet<u32> = out.found(list).into_iter().flatten().collect();
        nodes.push(Node::new(id.clone(), places.iter().filter(|place| cpus.contains(&place.cpu))));
        put_node(folder, id, &ids, of, host, out);
    }
    if nodes.is_empty() {
        // A kernel without memory nodes: sockets stand for them, as with cAdvisor.
        let sockets: BTreeSet<i64> = places.iter().map(|place| place.socket).collect();
        let of_socket = |socket| places.iter().filter(move |place| place.socket == socket);
        nodes.extend(sockets.into_iter().map(|socket| Node::new(socket.to_string(), of_socket(socket))));
    }
    for node in &nodes {
        node.put_threads(of, out);
        node.put_caches(of, host, out);
    }
}

fn put_node(folder: &str, id: &str, ids: &[String], of: Entity, host: &mut Host, out: &mut Batch) {
    let of_node = out.part(of, &["node_id"], [id]);
    let bytes = host.read(Root::Sys, format_args!("{folder}/meminfo")).map(memory);
    let bytes = out.found(bytes).flatten();
    out.put_some(&NODE_MEMORY, of_node, bytes);
    let sizes = host.names(Root::Sys, format_args!("{folder}/hugepages"));
    for name in out.found(sizes).unwrap_or_default() {
        let Some(size) = name.strip_prefix("hugepages-").and_then(|rest| rest.strip_suffix("kB")) else { continue };
        let pages = host.number(Root::Sys, format_args!("{folder}/hugepages/{name}/nr_hugepages"));
        let pages = out.found(pages);
        let of = out.part(of_node, &["page_size"], [size]);
        out.put_some(&NODE_HUGEPAGES, of, pages);
    }
    let distances = host.read(Root::Sys, format_args!("{folder}/distance")).map(distances);
    // In the order of the nodes that are online, which are those with folders.
    for (target, distance) in ids.iter().zip(out.found(distances).unwrap_or_default()) {
        let of = out.part(of_node, &["target_node_id"], [target]);
        out.put(&NODE_DISTANCE, of, distance);
    }
}

impl Node {
    fn new<'a>(id: String, places: impl Iterator<Item = &'a Place>) -> Self {
        let mut cores: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        places.for_each(|place| cores.entry((place.socket, place.core)).or_default().push(place.cpu));
        Self { id, cores }
    }

    fn put_threads(&self, of: Entity, out: &mut Batch) {
        for ((_, core), threads) in &self.cores {
            for thread in threads {
                let values = [self.id.as_str(), &core.to_string(), &thread.to_string()];
                let of = out.part(of, &["node_id", "core_id", "thread_id"], values);
                out.put(&SIBLINGS, of, threads.len() as u64);
            }
        }
    }

    /// Caches that some cores of a node share have no series: there is no label to tell them apart by.
    fn put_caches(&self, of: Entity, host: &mut Host, out: &mut Batch) {
        let cpus = self.cores.values().map(Vec::len).sum::<usize>();
        let mut told = BTreeSet::new();
        for ((_, core), threads) in &self.cores {
            for cache in threads.first().map(|cpu| caches(*cpu, host, out)).unwrap_or_default() {
                let core = match cache.level {
                    0..=2 if cache.sharers == threads.len() => core.to_string(),
                    3.. if cache.sharers == cpus => String::new(),
                    _ => continue,
                };
                let level = cache.level.to_string();
                // Two sockets of one node have cores of the same numbers.
                if told.insert((core.clone(), cache.kind.clone(), cache.level)) {
                    let names = &["node_id", "core_id", "type", "level"];
                    let of = out.part(of, names, [self.id.as_str(), &core, &cache.kind, &level]);
                    out.put(&CACHE, of, cache.bytes);
                }
            }
        }
    }
}

fn caches(cpu: u32, host: &mut Host, out: &mut Batch) -> Vec<Cache> {
    let mut caches = Vec::new();
    for folder in numbered(&format!("{CPUS}/cpu{cpu}/cache"), "index", host, out).iter().take(CACHES_MAX) {
        let level = host.number(Root::Sys, format_args!("{folder}/level"));
        let kind = host.text(Root::Sys, format_args!("{folder}/type"));
        // Not all firmware knows how large its caches are.
        let bytes = host.read(Root::Sys, format_args!("{folder}/size")).map(size);
        let sharers = host.read(Root::Sys, format_args!("{folder}/shared_cpu_list")).map(|list| online(list).len());
        let found = (out.found(level), out.found(kind), out.found(bytes).flatten(), out.found(sharers));
        if let (Some(level), Some(kind), Some(bytes), Some(sharers)) = found {
            caches.push(Cache { level, kind, bytes, sharers });
        }
    }
    caches
}

/// `32K`: in bytes.
fn size(text: &[u8]) -> Option<u64> {
    let (digits, unit) = match parse::trim(text) {
        [digits @ .., b'K'] => (digits, 1 << 10),
        [digits @ .., b'M'] => (digits, 1 << 20),
        digits => (digits, 1),
    };
    parse::number(digits)?.checked_mul(unit)
}

/// `Node 0 MemTotal:       32805048 kB`: in bytes.
fn memory(meminfo: &[u8]) -> Option<u64> {
    let total = |line| {
        let mut words = parse::words(line).skip(2);
        words.next().filter(|word| *word == b"MemTotal:")?;
        parse::number(words.next()?)?.checked_mul(1024)
    };
    parse::lines_of_record(meminfo).find_map(total)
}

/// `10 21`.
fn distances(text: &[u8]) -> Vec<u64> {
    parse::words(parse::trim(text)).map_while(parse::number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_and_memory() {
        assert_eq!((size(b"32K\n"), size(b"4M"), size(b"7"), size(b"K"), size(b"")), {
            (Some(32 << 10), Some(4 << 20), Some(7), None, None)
        });
        assert_eq!(memory(b"Node 0 MemTotal:       4 kB\nNode 0 MemFree: 1 kB\n"), Some(4096));
        assert_eq!((memory(b"Node 0 MemFree: 1 kB\n"), memory(b"MemTotal: 4 kB\n")), (None, None));
        assert_eq!(distances(b"10 21\n"), [10, 21]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            size(&bytes);
            memory(&bytes);
            distances(&bytes);
        }
    }
}
