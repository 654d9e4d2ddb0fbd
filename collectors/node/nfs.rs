//! `/proc/net/rpc/nfs`: what this machine asked of NFS servers.
//!
//! A line for each version of NFS, with a column for each method; newer kernels know more methods. What a kernel doesn't
//! know it never called: it is 0, as in node_exporter. The columns of version 4 are those of Linux 3.13 and later.

use crate::families::nfs::{METHODS_2, METHODS_3, Requests, Version};
use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, counter};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static PACKETS: Family = counter(
    "node_nfs_packets_total",
    "Packets by protocol; Linux counts none, and shows 0, from /proc/net/rpc/nfs.",
    &["protocol"],
);
static CONNECTIONS: Family =
    counter("node_nfs_connections_total", "TCP connections to servers; Linux counts none, and shows 0.", &[]);
static RPCS: Family = counter("node_nfs_rpcs_total", "Calls made to servers, from /proc/net/rpc/nfs.", &[]);
static RETRANSMISSIONS: Family =
    counter("node_nfs_rpc_retransmissions_total", "Calls that had to be sent again, from /proc/net/rpc/nfs.", &[]);
static AUTH_REFRESHES: Family = counter(
    "node_nfs_rpc_authentication_refreshes_total",
    "How often credentials had to be made anew, from /proc/net/rpc/nfs.",
    &[],
);
static REQUESTS: Family = counter(
    "node_nfs_requests_total",
    "Requests by version of NFS and method, from /proc/net/rpc/nfs.",
    &["method", "proto"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "nfs",
        "Requests made to NFS servers, from /proc/net/rpc/nfs.",
        &[&PACKETS, &CONNECTIONS, &RPCS, &RETRANSMISSIONS, &AUTH_REFRESHES, &REQUESTS],
        open,
    )
};

/// The methods of each version of NFS, in the order of the columns.
static VERSIONS: [Version; 3] = [
    (b"proc2", "2", &METHODS_2),
    (b"proc3", "3", &METHODS_3),
    (
        b"proc4",
        "4",
        &[
            "Null",
            "Read",
            "Write",
            "Commit",
            "Open",
            "OpenConfirm",
            "OpenNoattr",
            "OpenDowngrade",
            "Close",
            "Setattr",
            "FsInfo",
            "Renew",
            "SetClientID",
            "SetClientIDConfirm",
            "Lock",
            "Lockt",
            "Locku",
            "Access",
            "Getattr",
            "Lookup",
            "LookupRoot",
            "Remove",
            "Rename",
            "Link",
            "Symlink",
            "Create",
            "Pathconf",
            "StatFs",
            "ReadLink",
            "ReadDir",
            "ServerCaps",
            "DelegReturn",
            "GetACL",
            "SetACL",
            "FsLocations",
            "ReleaseLockowner",
            "Secinfo",
            "FsidPresent",
            "ExchangeID",
            "CreateSession",
            "DestroySession",
            "Sequence",
            "GetLeaseTime",
            "ReclaimComplete",
            "LayoutGet",
            "GetDeviceInfo",
            "LayoutCommit",
            "LayoutReturn",
            "SecinfoNoName",
            "TestStateID",
            "FreeStateID",
            "GetDeviceList",
            "BindConnToSession",
            "DestroyClientID",
            "Seek",
            "Allocate",
            "DeAllocate",
            "LayoutStats",
            "Clone",
        ],
    ),
];

struct Nfs(KeptFile);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let file = KeptFile::new(Root::Net, "rpc/nfs").whole();
    Ok(if host.exists(Root::Net, "rpc/nfs") { Some(Box::new(Nfs(file))) } else { None })
}

impl Collector for Nfs {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.0)?;
        let mut requests = Requests::new(&REQUESTS, &VERSIONS);
        for (line, number) in parse::lines(text).zip(1..) {
            let mut words = parse::words(line);
            let word = words.next().unwrap_or_default();
            let mut numbers = words.map(parse::number);
            let reads = match word {
                b"net" => net(numbers, out),
                b"rpc" => rpc(numbers, out),
                _ => requests.line(word, &mut numbers, out).unwrap_or(Some(())),
            };
            if reads.is_none() {
                out.fault(Error::malformed("/proc/net/rpc/nfs", number, "as many numbers as it says"));
            }
        }
        requests.end(out);
        Ok(())
    }
}

/// `net 0 0 0 0`: packets, those by UDP, those by TCP, and connections.
fn net(mut numbers: impl Iterator<Item = Option<u64>>, out: &mut Batch) -> Option<()> {
    let (_, udp, tcp, connections) = (numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??);
    for (protocol, packets) in [("udp", udp), ("tcp", tcp)] {
        let of = out.entity(&["protocol"], [protocol]);
        out.put(&PACKETS, of, packets);
    }
    out.put(&CONNECTIONS, out.machine(), connections);
    Some(())
}

/// `rpc 1218785755 374636 1218815394`
fn rpc(numbers: impl Iterator<Item = Option<u64>>, out: &mut Batch) -> Option<()> {
    let mut numbers = numbers.fuse();
    for family in [&RPCS, &RETRANSMISSIONS, &AUTH_REFRESHES] {
        out.put(family, out.machine(), numbers.next()??);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn said(text: &str) -> Vec<String> {
        let round = Tree::new(&[("proc/net/rpc/nfs", text)]).open(&SPEC, &[]).round();
        round.lines().filter(|line| !line.ends_with(" 0")).map(|line| line.replace("node_nfs_", "")).collect()
    }

    #[test]
    fn calls_by_method() {
        let text = "net 9 1 2 3\nrpc 100 5 101\nproc3 22 0 7 8 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9\n\
                    proc4 47 1 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 3 4 5\nproc5 x\n";
        let page = [
            "connections_total 3",
            "packets_total{protocol=\"udp\"} 1",
            "packets_total{protocol=\"tcp\"} 2",
            "requests_total{method=\"GetAttr\",proto=\"3\"} 7",
            "requests_total{method=\"SetAttr\",proto=\"3\"} 8",
            "requests_total{method=\"Commit\",proto=\"3\"} 9",
            "requests_total{method=\"Null\",proto=\"4\"} 1",
            "requests_total{method=\"Read\",proto=\"4\"} 2",
            "requests_total{method=\"LayoutGet\",proto=\"4\"} 3",
            "requests_total{method=\"GetDeviceInfo\",proto=\"4\"} 4",
            "requests_total{method=\"LayoutCommit\",proto=\"4\"} 5",
            "rpc_authentication_refreshes_total 101",
            "rpc_retransmissions_total 5",
            "rpcs_total 100",
        ];
        assert_eq!(said(text), page);
        let all = Tree::new(&[("proc/net/rpc/nfs", text)]).open(&SPEC, &[]).round();
        let requests = all.lines().filter(|line| line.contains("requests_total")).count();
        assert_eq!(requests, VERSIONS.iter().map(|(_, _, methods)| methods.len()).sum::<usize>());
    }

    #[test]
    fn a_bad_line_costs_only_itself() {
        let text = "net 1 2\nrpc 7 x 1\nproc2 18 1 2\nproc3\n";
        let page = [
            "requests_total{method=\"Null\",proto=\"2\"} 1",
            "requests_total{method=\"GetAttr\",proto=\"2\"} 2",
            "rpcs_total 7",
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
            net(numbers(), &mut out);
            rpc(numbers(), &mut out);
            Requests::new(&REQUESTS, &VERSIONS).line(b"proc2", &mut numbers(), &mut out);
        }
    }
}
