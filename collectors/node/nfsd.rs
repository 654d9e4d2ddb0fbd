//! `/proc/net/rpc/nfsd`: what the NFS server of this machine was asked.
//!
//! Each figure is a sum over all CPUs. Newer kernels add lines, and columns to `proc4ops`; `wdeleg_getattr` came with
//! Linux 6.6. What a kernel doesn't know it was never asked, which is 0, as in node_exporter.

use crate::families::nfs::{METHODS_2, METHODS_3, Requests, Version};
use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static REPLY_CACHE_HITS: Family = counter(
    "node_nfsd_reply_cache_hits_total",
    "Requests that were answered from the cache of replies, from /proc/net/rpc/nfsd.",
    &[],
);
static REPLY_CACHE_MISSES: Family = counter(
    "node_nfsd_reply_cache_misses_total",
    "Requests whose reply went into the cache, from /proc/net/rpc/nfsd.",
    &[],
);
static REPLY_CACHE_NOCACHE: Family = counter(
    "node_nfsd_reply_cache_nocache_total",
    "Requests whose reply need not go into the cache, from /proc/net/rpc/nfsd.",
    &[],
);
static STALE: Family = counter(
    "node_nfsd_file_handles_stale_total",
    "File handles that no longer meant a file, from /proc/net/rpc/nfsd.",
    &[],
);
static READ: Family =
    counter("node_nfsd_disk_bytes_read_total", "Bytes read for clients, from /proc/net/rpc/nfsd.", &[]);
static WRITTEN: Family =
    counter("node_nfsd_disk_bytes_written_total", "Bytes written for clients, from /proc/net/rpc/nfsd.", &[]);
static THREADS: Family = gauge("node_nfsd_server_threads", "Threads of the server, from /proc/net/rpc/nfsd.", &[]);
static RA_SIZE: Family = gauge(
    "node_nfsd_read_ahead_cache_size_blocks",
    "Size of the readahead cache; Linux 5.4 and later have none, and show 0, from /proc/net/rpc/nfsd.",
    &[],
);
static RA_NOT_FOUND: Family = counter(
    "node_nfsd_read_ahead_cache_not_found_total",
    "Reads that were not in the readahead cache, from /proc/net/rpc/nfsd.",
    &[],
);
static CONNECTIONS: Family =
    counter("node_nfsd_connections_total", "TCP connections of clients, from /proc/net/rpc/nfsd.", &[]);
static RPCS: Family = counter("node_nfsd_server_rpcs_total", "Calls by clients, from /proc/net/rpc/nfsd.", &[]);
static PACKETS: Family =
    counter("node_nfsd_packets_total", "Packets of clients by protocol, from /proc/net/rpc/nfsd.", &["proto"]);
static ERRORS: Family =
    counter("node_nfsd_rpc_errors_total", "Bad calls by what was wrong, from /proc/net/rpc/nfsd.", &["error"]);
static REQUESTS: Family = counter(
    "node_nfsd_requests_total",
    "Requests by version of NFS and method, from /proc/net/rpc/nfsd.",
    &["method", "proto"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "nfsd", "Requests to the NFS server, from /proc/net/rpc/nfsd.", FAMILIES, open)
};

static FAMILIES: &[&Family] = &[
    &REPLY_CACHE_HITS,
    &REPLY_CACHE_MISSES,
    &REPLY_CACHE_NOCACHE,
    &STALE,
    &READ,
    &WRITTEN,
    &THREADS,
    &RA_SIZE,
    &RA_NOT_FOUND,
    &CONNECTIONS,
    &RPCS,
    &PACKETS,
    &ERRORS,
    &REQUESTS,
];

/// What a column is: a family, or a label value of one; `None`: not told.
#[derive(Clone, Copy)]
enum Column {
    None,
    Of(&'static Family),
    Packets(&'static str),
    Errors(&'static str),
}

use Column::{Errors, None as Skip, Of, Packets};

/// The lines that are not of methods. `th` goes on with times that are always 0, which don't read as whole numbers.
static LINES: [(&[u8], &[Column]); 7] = [
    (b"rc", &[Of(&REPLY_CACHE_HITS), Of(&REPLY_CACHE_MISSES), Of(&REPLY_CACHE_NOCACHE)]),
    (b"fh", &[Of(&STALE)]),
    (b"io", &[Of(&READ), Of(&WRITTEN)]),
    (b"th", &[Of(&THREADS)]),
    (b"ra", &[Of(&RA_SIZE), Skip, Skip, Skip, Skip, Skip, Skip, Skip, Skip, Skip, Skip, Of(&RA_NOT_FOUND)]),
    (b"net", &[Skip, Packets("udp"), Packets("tcp"), Of(&CONNECTIONS)]),
    (b"rpc", &[Of(&RPCS), Skip, Errors("fmt"), Errors("auth"), Errors("cInt")]),
];
static VERSIONS: [Version; 3] = [
    (b"proc2", "2", &without_null(METHODS_2)),
    (b"proc3", "3", &without_null(METHODS_3)),
    (
        b"proc4ops",
        "4",
        &[
            "",
            "",
            "",
            "Access",
            "Close",
            "Commit",
            "Create",
            "DelegPurge",
            "DelegReturn",
            "GetAttr",
            "GetFH",
            "Link",
            "Lock",
            "Lockt",
            "Locku",
            "Lookup",
            "LookupRoot",
            "Nverify",
            "Open",
            "OpenAttr",
            "OpenConfirm",
            "OpenDgrd",
            "PutFH",
            "",
            "",
            "Read",
            "ReadDir",
            "ReadLink",
            "Remove",
            "Rename",
            "Renew",
            "RestoreFH",
            "SaveFH",
            "SecInfo",
            "SetAttr",
            "SetClientID",
            "SetClientIDConfirm",
            "Verify",
            "Write",
            "RelLockOwner",
        ],
    ),
];

/// That nothing was asked for is not told.
const fn without_null<const N: usize>(mut methods: [&str; N]) -> [&str; N] {
    methods[0] = "";
    methods
}

const WRITE_DELEGATION: &str = "WdelegGetattr";

struct Nfsd(KeptFile);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let file = KeptFile::new(Root::Net, "rpc/nfsd").whole();
    Ok(if host.exists(Root::Net, "rpc/nfsd") { Some(Box::new(Nfsd(file))) } else { None })
}

impl Collector for Nfsd {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.0)?;
        let mut requests = Requests::new(&REQUESTS, &VERSIONS);
        let mut delegation = Some(0);
        for (line, number) in parse::lines(text).zip(1..) {
            let mut words = parse::words(line);
            let word = words.next().unwrap_or_default();
            let mut numbers = words.map(parse::number);
            let reads = if let Some((_, columns)) = LINES.iter().find(|(known, _)| *known == word) {
                figures(numbers, columns, out)
            } else if let Some(reads) = requests.line(word, &mut numbers, out) {
                reads
            } else if word == b"wdeleg_getattr" {
                delegation = numbers.next().flatten();
                delegation.map(drop)
            } else {
                Some(())
            };
            if reads.is_none() {
                out.fault(Error::malformed("/proc/net/rpc/nfsd", number, "as many numbers as there should be"));
            }
        }
        requests.end(out);
        let of = out.entity(&["method", "proto"], [WRITE_DELEGATION, "4"]);
        out.put_some(&REQUESTS, of, delegation);
        Ok(())
    }
}

/// `rc 0 6 18622`: the figures behind the word.
fn figures(mut numbers: impl Iterator<Item = Option<u64>>, columns: &[Column], out: &mut Batch) -> Option<()> {
    for column in columns {
        let figure = numbers.next()??;
        match column {
            Skip => {}
            Of(family) => out.put(*family, out.machine(), figure),
            Packets(protocol) => {
                let of = out.entity(&["proto"], [protocol]);
                out.put(&PACKETS, of, figure);
            }
            Errors(error) => {
                let of = out.entity(&["error"], [error]);
                out.put(&ERRORS, of, figure);
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn said(text: &str) -> Vec<String> {
        let round = Tree::new(&[("proc/net/rpc/nfsd", text)]).open(&SPEC, &[]).round();
        round.lines().filter(|line| !line.ends_with(" 0")).map(|line| line.replace("node_nfsd_", "")).collect()
    }

    #[test]
    fn figures_and_calls_by_method() {
        let text = "rc 1 2 3\nfh 4 0 0 0 0\nio 5 6\nth 8 0 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000\n\
                    ra 32 0 0 0 0 0 0 0 0 0 0 7\nnet 30 10 20 9\nrpc 40 6 1 2 3\nproc3 22 9 7 8 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 6\n\
                    proc4 2 1 2\nproc4ops 4 1 2 3 4\nwdeleg_getattr 15\nnewer x\n";
        let page = [
            "connections_total 9",
            "disk_bytes_read_total 5",
            "disk_bytes_written_total 6",
            "file_handles_stale_total 4",
            "packets_total{proto=\"udp\"} 10",
            "packets_total{proto=\"tcp\"} 20",
            "read_ahead_cache_not_found_total 7",
            "read_ahead_cache_size_blocks 32",
            "reply_cache_hits_total 1",
            "reply_cache_misses_total 2",
            "reply_cache_nocache_total 3",
            "requests_total{method=\"GetAttr\",proto=\"3\"} 7",
            "requests_total{method=\"SetAttr\",proto=\"3\"} 8",
            "requests_total{method=\"Commit\",proto=\"3\"} 6",
            "requests_total{method=\"Access\",proto=\"4\"} 4",
            "requests_total{method=\"WdelegGetattr\",proto=\"4\"} 15",
            "rpc_errors_total{error=\"fmt\"} 1",
            "rpc_errors_total{error=\"auth\"} 2",
            "rpc_errors_total{error=\"cInt\"} 3",
            "server_rpcs_total 40",
            "server_threads 8",
        ];
        assert_eq!(said(text), page);
    }

    #[test]
    fn a_bad_line_costs_only_itself() {
        let text = "rc 1 x 3\nio 5\nproc2\nwdeleg_getattr -1\nproc3 22 1 7\nth 8\n";
        let page = [
            "disk_bytes_read_total 5",
            "reply_cache_hits_total 1",
            "requests_total{method=\"GetAttr\",proto=\"3\"} 7",
            "server_threads 8",
            "! malformed",
            "! malformed",
            "! malformed",
            "! malformed",
            "! malformed",
        ];
        assert_eq!(said(text), page);
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let numbers = || parse::words(&bytes).map(parse::number);
            let mut out = Batch::new(100);
            figures(numbers(), LINES[5].1, &mut out);
            Requests::new(&REQUESTS, &VERSIONS).line(b"proc2", &mut numbers(), &mut out);
        }
    }
}
