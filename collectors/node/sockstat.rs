//! `/proc/net/{sockstat,sockstat6}`: how many sockets there are of each protocol, and the memory that they take.
//!
//! The kernel names the protocols. Sums of both versions of IP are told by the first file: `tw`, `alloc` and `mem` of
//! TCP count sockets of IPv6 too.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, Kind, gauge};
use crate::{Collector, Group, RunTime, Spec};
use std::sync::Arc;

static USED: Family = gauge("node_sockstat_sockets_used", "Sockets of all kinds that are open.", &[]);

const fn named(pattern: &'static str, help: &'static str) -> RunTime {
    RunTime { pattern, kind: "gauge", help, labels: &[] }
}

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[
        named("node_sockstat_<Protocol>_inuse", "Sockets in use; of FRAG, packets that are being put together."),
        named("node_sockstat_<Protocol>_orphan", "Connections that no process holds any more."),
        named("node_sockstat_<Protocol>_tw", "Closed connections that are kept in the state TIME-WAIT."),
        named("node_sockstat_<Protocol>_alloc", "Sockets that are allocated, whatever their state."),
        named("node_sockstat_<Protocol>_mem", "Memory of the sockets' queues, in pages."),
        named("node_sockstat_<Protocol>_mem_bytes", "Memory of the sockets' queues, in bytes."),
        named("node_sockstat_<Protocol>_memory", "Memory of packets that are being put together, in bytes."),
    ],
    ..Spec::new(Group::Node, "sockstat", "Sockets of each protocol, from /proc/net/sockstat*.", &[&USED], open)
};

/// How many figures a file may have; Linux 6.18 prints 11.
const FIELDS_MAX: usize = 64;

struct Sockstat {
    files: [(KeptFile, &'static str, Vec<Field>); 2],
    page_size: i64,
}

/// A figure of a protocol, where the file has it.
struct Field {
    protocol: Box<[u8]>,
    state: &'static str,
    family: Arc<Family>,
    /// The same in bytes, where the figure is of pages.
    in_bytes: Option<Arc<Family>>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let files = ["/proc/net/sockstat", "/proc/net/sockstat6"].map(|path| {
        let name = path.trim_start_matches("/proc/net/");
        (KeptFile::new(Root::Net, name).whole(), path, Vec::new())
    });
    let page_size = i64::try_from(host.page_size()).unwrap_or(4096);
    Ok(Some(Box::new(Sockstat { files, page_size })))
}

impl Collector for Sockstat {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for (file, path, fields) in &mut self.files {
            match host.read_kept(file) {
                Ok(text) => put_all(text, path, self.page_size, fields, out),
                // Without IPv6 there is no such file.
                Err(error) if error.is_absent() => (),
                Err(error) => out.fault(error),
            }
        }
        Ok(())
    }
}

fn put_all(text: &[u8], path: &str, page_size: i64, fields: &mut Vec<Field>, out: &mut Batch) {
    let machine = out.machine();
    let mut at = 0;
    for (line, number) in parse::lines(text).zip(1..) {
        let mut words = parse::words(line);
        let Some(protocol) = words.next().and_then(|word| word.strip_suffix(b":")) else {
            out.fault(Error::malformed(path, number, "a protocol, a colon, names and numbers"));
            continue;
        };
        for (state, value) in figures(words) {
            let Some(value) = value else {
                out.fault(Error::malformed(path, number, "a number for each name"));
                continue;
            };
            if protocol == b"sockets" {
                if state == b"used" && !path.ends_with('6') {
                    out.put(&USED, machine, value);
                }
                continue;
            }
            let is_same = |field: &Field| *field.protocol == *protocol && field.state.as_bytes() == state;
            if !fields.get(at).is_some_and(is_same) {
                let Some(field) = Field::new(protocol, state, path) else { continue };
                fields.truncate(at.min(FIELDS_MAX));
                fields.push(field);
            }
            if let Some(field) = fields.get(at) {
                out.put(&field.family, machine, value);
                if let Some(family) = &field.in_bytes {
                    out.put_some(family, machine, value.checked_mul(page_size));
                }
            }
            at += 1;
        }
    }
}

impl Field {
    /// `None` for a figure that has no name yet, or for a protocol whose name can't be part of a family's.
    fn new(protocol: &[u8], state: &[u8], path: &str) -> Option<Self> {
        const NAME_MAX: usize = 32;
        let is_good = !protocol.is_empty() && protocol.len() <= NAME_MAX;
        let name = std::str::from_utf8(protocol).ok()?;
        if !is_good || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let (state, meaning) = match (state, name.starts_with("FRAG")) {
            (b"inuse", false) => ("inuse", "sockets in use"),
            (b"inuse", true) => ("inuse", "packets that are being put together"),
            (b"orphan", _) => ("orphan", "connections that no process holds any more"),
            (b"tw", _) => ("tw", "closed connections in the state TIME-WAIT"),
            (b"alloc", _) => ("alloc", "sockets that are allocated"),
            (b"mem", _) => ("mem", "memory of queues in pages"),
            (b"memory", _) => ("memory", "memory of fragments in bytes"),
            _ => return None,
        };
        let make = |suffix: &str, meaning: &str| {
            let help = format!("{name} of {path}: {meaning}.");
            Family::at_run_time(format!("node_sockstat_{name}_{suffix}"), help, Kind::Gauge)
        };
        let in_bytes = (state == "mem").then(|| make("mem_bytes", "memory of queues in bytes"));
        Some(Self { protocol: protocol.into(), state, family: make(state, meaning), in_bytes })
    }
}

/// `inuse 12 orphan 0 tw 3 alloc 14 mem 2`, behind the protocol: the figures by name.
fn figures<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = (&'a [u8], Option<i64>)> {
    std::iter::from_fn(move || Some((words.next()?, words.next().and_then(parse::signed))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const V4: &str = "sockets: used 229\nTCP: inuse 4 orphan 1 tw 5 alloc 17 mem 2\nUDP: inuse 3 mem -1\nUDPLITE: inuse 0\n\
                      RAW: inuse 6\nFRAG: inuse 0 memory 8192\n";
    const V6: &str = "TCP6: inuse 7\nFRAG6: inuse 0 memory 0\n";

    fn page(tree: &Tree, four: &str) -> String {
        let size = tree.host().page_size();
        four.replace("2p", &(2 * size).to_string()).replace("-1p", &format!("-{size}"))
    }

    #[test]
    fn sockets_of_both_versions() {
        let tree = Tree::new(&[("proc/net/sockstat", V4), ("proc/net/sockstat6", V6)]);
        let expected = page(
            &tree,
            "node_sockstat_FRAG6_inuse 0\nnode_sockstat_FRAG6_memory 0\nnode_sockstat_FRAG_inuse 0\n\
             node_sockstat_FRAG_memory 8192\nnode_sockstat_RAW_inuse 6\nnode_sockstat_TCP6_inuse 7\n\
             node_sockstat_TCP_alloc 17\nnode_sockstat_TCP_inuse 4\nnode_sockstat_TCP_mem 2\n\
             node_sockstat_TCP_mem_bytes 2p\nnode_sockstat_TCP_orphan 1\nnode_sockstat_TCP_tw 5\n\
             node_sockstat_UDPLITE_inuse 0\nnode_sockstat_UDP_inuse 3\nnode_sockstat_UDP_mem -1\n\
             node_sockstat_UDP_mem_bytes -1p\nnode_sockstat_sockets_used 229\n",
        );
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), expected);
        assert_eq!(opened.round(), expected);
        tree.remove("proc/net/sockstat6");
        tree.write("proc/net/sockstat", "UDP: inuse 1\nTCP: inuse 2\n");
        assert_eq!(opened.round(), "node_sockstat_TCP_inuse 2\nnode_sockstat_UDP_inuse 1\n");
        Tree::new(&[]).check(&SPEC, &[], "");
    }

    #[test]
    fn a_bad_figure_costs_only_itself() {
        let text = "TCP inuse 4\nTCP: inuse x tw 5 mem\nUDP: inuse 1 later 9 mem 0\nA-B: inuse 1\nRAW: inuse 9";
        let tree = Tree::new(&[("proc/net/sockstat", text), ("proc/net/sockstat6", "sockets: used 1\n")]);
        let expected = "node_sockstat_TCP_tw 5\nnode_sockstat_UDP_inuse 1\nnode_sockstat_UDP_mem 0\n\
                        node_sockstat_UDP_mem_bytes 0\n! malformed\n! malformed\n! malformed\n";
        tree.check(&SPEC, &[], expected);
        tree.write("calls/errno", "proc/net/sockstat EIO\n");
        tree.check(&SPEC, &[], "! io\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "([A-Z]{0,3}:?( (inuse|mem|[a-z]) [0-9-]{0,3}){0,3}\n){0,9}") {
            for text in [&bytes[..], text.as_bytes()] {
                let mut fields = Vec::new();
                put_all(text, "/proc/net/sockstat", 4096, &mut fields, &mut Batch::new(100));
                prop_assert!(fields.len() <= FIELDS_MAX + 1);
            }
        }
    }
}
