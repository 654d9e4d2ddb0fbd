//! `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`: the kernel's load balancer, its services and the servers behind them.
//!
//! Servers that the chosen labels do not tell apart are summed up.

use crate::kit::{Error, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// In the order of a label block.
const LABELS: &[&str; 6] = &["local_address", "local_mark", "local_port", "proto", "remote_address", "remote_port"];

static CONNECTIONS: Family = counter("node_ipvs_connections_total", "Connections that were spread.", &[]);
static IN_PACKETS: Family = counter("node_ipvs_incoming_packets_total", "Packets to the servers.", &[]);
static OUT_PACKETS: Family = counter("node_ipvs_outgoing_packets_total", "Packets from the servers.", &[]);
static IN_BYTES: Family = counter("node_ipvs_incoming_bytes_total", "Bytes to the servers.", &[]);
static OUT_BYTES: Family = counter("node_ipvs_outgoing_bytes_total", "Bytes from the servers.", &[]);
static ACTIVE: Family = gauge("node_ipvs_backend_connections_active", "Connections to the server in use.", LABELS);
static INACTIVE: Family =
    gauge("node_ipvs_backend_connections_inactive", "Connections to the server that are being closed.", LABELS);
static WEIGHT: Family = gauge("node_ipvs_backend_weight", "The server's weight: 0 takes no new connections.", LABELS);

/// In the order of the columns of `ip_vs_stats`.
static TOTALS: [&Family; 5] = [&CONNECTIONS, &IN_PACKETS, &OUT_PACKETS, &IN_BYTES, &OUT_BYTES];

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt {
        name: "backend-labels",
        kind: OptKind::Words(LABELS),
        default: "local_address,local_port,remote_address,remote_port,proto,local_mark",
        help: "The labels that tell servers apart; what differs in others only is summed up.",
    }],
    // A line for each server of each service, of which a cluster has thousands.
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "ipvs",
        "The kernel's load balancer, from /proc/net/ip_vs*.",
        &[&CONNECTIONS, &IN_PACKETS, &OUT_PACKETS, &IN_BYTES, &OUT_BYTES, &ACTIVE, &INACTIVE, &WEIGHT],
        open,
    )
};

struct Ipvs {
    totals: KeptFile,
    table: KeptFile,
    chosen: [bool; LABELS.len()],
    servers: Vec<Server>,
    labels: [String; LABELS.len()],
}

/// A server of a service: weight, active and inactive connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Server {
    key: Key,
    figures: [u64; 3],
}

/// What tells servers apart; what was not chosen is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    local: Option<IpAddr>,
    mark: Option<u32>,
    local_port: Option<u16>,
    proto: Option<&'static str>,
    remote: Option<IpAddr>,
    remote_port: Option<u16>,
}

/// The kernel has the files while the module is loaded.
fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !host.exists(Root::Net, "ip_vs_stats") {
        return Ok(None);
    }
    let words = options.text("backend-labels").unwrap_or_default();
    Ok(Some(Box::new(Ipvs {
        totals: KeptFile::new(Root::Net, "ip_vs_stats").whole(),
        table: KeptFile::new(Root::Net, "ip_vs").lines(),
        chosen: LABELS.map(|label| words.split(',').any(|word| word == label)),
        servers: Vec::new(),
        labels: Default::default(),
    })))
}

impl Collector for Ipvs {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let machine = out.machine();
        match totals(host.read_kept(&mut self.totals)?) {
            Some(totals) => TOTALS.iter().zip(totals).for_each(|(family, total)| out.put(*family, machine, total)),
            None => out.fault(Error::malformed("/proc/net/ip_vs_stats", 3, "five hexadecimal numbers")),
        }
        if let Some(text) = out.ok(host.read_kept(&mut self.table)) {
            self.servers.clear();
            servers(text, &mut self.servers, |line| {
                out.fault(Error::malformed(
                    "/proc/net/ip_vs",
                    line,
                    "an address, a port, and three numbers of a server",
                ));
            });
            let chosen = &self.chosen;
            self.servers.iter_mut().for_each(|server| server.key.keep(chosen));
            self.servers.sort_unstable();
            for same in self.servers.chunk_by(|a, b| a.key == b.key) {
                put(same, &mut self.labels, out);
            }
        }
        Ok(())
    }
}

/// Puts the sums of servers that have the same labels.
fn put(same: &[Server], labels: &mut [String; LABELS.len()], out: &mut Batch) {
    let Some(first) = same.first() else { return };
    first.key.write(labels);
    let of = out.entity(LABELS, labels.each_ref().map(String::as_str));
    for (at, family) in [&WEIGHT, &ACTIVE, &INACTIVE].into_iter().enumerate() {
        out.put(family, of, same.iter().map(|server| server.figures[at]).fold(0, u64::saturating_add));
    }
}

impl Key {
    fn keep(&mut self, chosen: &[bool; LABELS.len()]) {
        let [local, mark, local_port, proto, remote, remote_port] = chosen;
        self.local.take_if(|_| !local);
        self.mark.take_if(|_| !mark);
        self.local_port.take_if(|_| !local_port);
        self.proto.take_if(|_| !proto);
        self.remote.take_if(|_| !remote);
        self.remote_port.take_if(|_| !remote_port);
    }

    fn write(&self, labels: &mut [String; LABELS.len()]) {
        labels.iter_mut().for_each(String::clear);
        let [local, mark, local_port, proto, remote, remote_port] = labels;
        let number = |label: &mut String, port: Option<u16>| port.map(|port| write!(label, "{port}"));
        let address = |label: &mut String, ip: Option<IpAddr>| ip.map(|ip| write!(label, "{}", ip.to_canonical()));
        // Writing to a string can't fail.
        let _ = (address(local, self.local), number(local_port, self.local_port));
        let _ = (address(remote, self.remote), number(remote_port, self.remote_port));
        let _ = self.mark.map(|bits| write!(mark, "{bits:08X}"));
        proto.push_str(self.proto.unwrap_or_default());
    }
}

/// The third line, `   9C4      F423F    7A11E         1DCD6500         EE6B2800`: connections, packets and bytes.
fn totals(text: &[u8]) -> Option<[u64; 5]> {
    let mut words = parse::words(parse::lines(text).nth(2)?).map(parse::hex);
    let mut totals = [0; 5];
    for total in &mut totals {
        *total = words.next()??;
    }
    Some(totals)
}

/// The servers below their services. Those of a service that does not read are left out.
fn servers(text: &[u8], servers: &mut Vec<Server>, mut bad_line: impl FnMut(u32)) {
    let mut current = None;
    for (line, number) in parse::lines(text).zip(1..) {
        let mut words = parse::words(line);
        match words.next() {
            // Headings.
            None | Some(b"IP" | b"Prot") => (),
            Some(b"->") if words.next() == Some(b"RemoteAddress:Port") => (),
            Some(b"->") => match (current, server(line)) {
                (Some(key), Some(server)) => servers.push(Server { key: Key { ..server.key.of(key) }, ..server }),
                (None, Some(_)) => (),
                (_, None) => bad_line(number),
            },
            Some(proto) => {
                current = service(proto, words.next().unwrap_or_default());
                if current.is_none() {
                    bad_line(number);
                }
            }
        }
    }
}

impl Key {
    /// The server's part of this, the service's of the other.
    fn of(self, service: Key) -> Key {
        Key { remote: self.remote, remote_port: self.remote_port, ..service }
    }
}

/// `TCP` and `0A60000A:0035`, or `FWM` and `0000002A`: what is said of a service.
fn service(proto: &[u8], place: &[u8]) -> Option<Key> {
    let proto = ["TCP", "UDP", "SCTP", "FWM"].into_iter().find(|known| known.as_bytes() == proto)?;
    if proto == "FWM" {
        let mark = parse::hex(place)?.try_into().ok()?;
        return Some(Key { mark: Some(mark), local_port: Some(0), proto: Some(proto), ..Key::default() });
    }
    let (local, port) = endpoint(place)?;
    Some(Key { local: Some(local), local_port: Some(port), proto: Some(proto), ..Key::default() })
}

/// `  -> 0AF40105:0035      Masq    1      12         3`: address, way, weight, active and inactive connections.
fn server(line: &[u8]) -> Option<Server> {
    let mut words = parse::words(line).skip(1);
    let (remote, port) = endpoint(words.next()?)?;
    let mut figures = words.skip(1).map(parse::number);
    let figures = [figures.next()??, figures.next()??, figures.next()??];
    Some(Server { key: Key { remote: Some(remote), remote_port: Some(port), ..Key::default() }, figures })
}

/// `0A60000A:0035`, or `[fd00:0000:0000:0000:0000:0000:0000:000a]:0035`: an address and a port.
fn endpoint(word: &[u8]) -> Option<(IpAddr, u16)> {
    let (address, port) = word.split_at(word.iter().rposition(|&byte| byte == b':')?);
    let port = parse::hex(port.get(1..)?)?.try_into().ok()?;
    let ip = match address.strip_prefix(b"[").and_then(|address| address.strip_suffix(b"]")) {
        Some(address) => IpAddr::V6(std::str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?),
        None => IpAddr::V4(Ipv4Addr::from_bits(parse::hex(address)?.try_into().ok()?)),
    };
    Some((ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const STATS: &str = "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n      10       20        0   FFFFFFFFFFFFFF                5\n\n Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n       4    1FB3C        0          1282A8F                0\n";
    const TOTAL: &str = "node_ipvs_connections_total 16\nnode_ipvs_incoming_bytes_total 72057594037927940\n\
                         node_ipvs_incoming_packets_total 32\nnode_ipvs_outgoing_bytes_total 5\n\
                         node_ipvs_outgoing_packets_total 0\n";
    const TABLE: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A60000A:01BB rr persistent 10800
  -> 0AF40105:18EB      Masq    1      12         3
  -> 0AF40206:18EB      Masq    2      5          4
UDP  [fd00:0000:0000:0000:0000:0000:0000:000a]:0035 rr
  -> [fd00:0010:0000:0000:0000:0000:0000:0005]:0035      Masq    1      0          7
SCTP 0A60000B:0050 wlc
  -> 0AF40105:0050      Masq    0      0          0
FWM  0000002A wlc
  -> 0AF40105:0000      Route   1      8          9
";

    fn tree(table: &str) -> Tree {
        Tree::new(&[("proc/net/ip_vs_stats", STATS), ("proc/net/ip_vs", table)])
    }

    fn weights(round: &str) -> Vec<&str> {
        let wanted = |line: &&str| line.starts_with("node_ipvs_backend_weight") || line.starts_with('!');
        round.lines().filter(wanted).map(|line| line.trim_start_matches("node_ipvs_backend_weight")).collect()
    }

    #[test]
    fn services_and_their_servers() {
        let round = tree(TABLE).open(&SPEC, &[]).round();
        assert!(round.ends_with(TOTAL), "{round}");
        let expected = [
            r#"{local_mark="0000002A",local_port="0",proto="FWM",remote_address="10.244.1.5",remote_port="0"} 1"#,
            r#"{local_address="10.96.0.10",local_port="443",proto="TCP",remote_address="10.244.1.5",remote_port="6379"} 1"#,
            r#"{local_address="10.96.0.10",local_port="443",proto="TCP",remote_address="10.244.2.6",remote_port="6379"} 2"#,
            r#"{local_address="10.96.0.11",local_port="80",proto="SCTP",remote_address="10.244.1.5",remote_port="80"} 0"#,
            r#"{local_address="fd00::a",local_port="53",proto="UDP",remote_address="fd00:10::5",remote_port="53"} 1"#,
        ];
        assert_eq!(weights(&round), expected);
        assert!(round.contains("active{local_mark=\"0000002A\",local_port=\"0\",proto=\"FWM\",remote_address=\"10.244.1.5\",remote_port=\"0\"} 8\n"));
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn servers_with_the_same_labels_are_summed_up() {
        let tree = tree(TABLE);
        let said = |labels| tree.open(&SPEC, &[("backend-labels", labels)]).round();
        assert_eq!(
            weights(&said("proto")),
            [r#"{proto="FWM"} 1"#, r#"{proto="SCTP"} 0"#, r#"{proto="TCP"} 3"#, r#"{proto="UDP"} 1"#]
        );
        let all = "node_ipvs_backend_connections_active 25\nnode_ipvs_backend_connections_inactive 23\n\
                   node_ipvs_backend_weight 5\n";
        assert_eq!(said(""), format!("{all}{TOTAL}"));
    }

    #[test]
    fn servers_of_a_service_that_does_not_read_are_nobody_s() {
        let table = "TCP  0A60000A:01BB rr\n  -> 0AF40105:18EB Masq 1 x 3\nTCP 0A60000A rr\n  -> 0AF40105:18EB Masq 1 1 1\n\
                     IP_7 0A60000A:0001 rr\n  -> 0AF40105:18EB Masq 1 1 1\n";
        let tree = tree(table);
        tree.check(&SPEC, &[], &format!("{TOTAL}! malformed\n! malformed\n! malformed\n"));
        tree.write("proc/net/ip_vs_stats", "a\nb\n1 2 3 4\n");
        tree.write("proc/net/ip_vs", "");
        tree.check(&SPEC, &[], "! malformed\n");
    }

    #[test]
    fn addresses_as_the_kernel_prints_them() {
        let mapped =
            endpoint(b"[0000:0000:0000:0000:0000:ffff:0a00:0001]:FFFF").map(|(ip, port)| (ip.to_canonical(), port));
        assert_eq!(mapped, Some((IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 65535)));
        for bad in [&b""[..], b":", b"0A000001", b"0A00000100:1", b"[::1:1", b"[x]:1", b"0A000001:10000"] {
            assert_eq!(endpoint(bad), None, "{}", parse::text(bad));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, lines in "((TCP|FWM| ->|x) [0-9A-F:\\[\\]]{0,20} [0-9 ]{0,9}\n){0,9}") {
            totals(&bytes);
            endpoint(&bytes);
            for text in [&bytes[..], lines.as_bytes()] {
                servers(text, &mut Vec::new(), |_| ());
            }
        }
    }
}
