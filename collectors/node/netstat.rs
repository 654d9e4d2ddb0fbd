//! `/proc/net/{netstat,snmp,snmp6}`: what the protocols of the network count, from IP to TCP.
//!
//! The kernel names some hundreds of figures, few of which are wanted. Which they are is decided once for each line of
//! names; while the kernel prints the same names, a round only goes through the numbers below them. A line of names
//! may change at any time: `IcmpMsg:` comes with the first message of a type.

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, Kind, Value};
use crate::{Collector, Group, RunTime, Spec};
use std::collections::HashMap;
use std::sync::Arc;

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[RunTime {
        pattern: "node_netstat_<Protocol>_<Name>",
        kind: "untyped",
        help: "A figure that the kernel counts for a protocol, such as node_netstat_Tcp_RetransSegs; of IPv6, \
               Udp6InErrors becomes Udp6_InErrors.",
        labels: &[],
    }],
    options: &[Opt {
        name: "fields",
        kind: OptKind::Regex,
        default: concat!(
            "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)",
            "|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)",
            "|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)",
            "|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
        ),
        help: "Figures to report, by protocol and name: Tcp_RetransSegs.",
    }],
    ..Spec::new(Group::Node, "netstat", "What network protocols count, from /proc/net/{netstat,snmp,snmp6}.", &[], open)
};

/// How many lines of names a file may have; Linux 6.18 prints 6.
const TABLES_MAX: usize = 32;
/// How many names are taken; Linux 6.18 has about 400.
const NAMES_MAX: usize = 4096;

struct Netstat {
    tables: [(KeptFile, &'static str, Vec<Table>); 2],
    list: (KeptFile, Vec<Field>),
    names: Names,
}

/// A line of names, and which of them are wanted.
struct Table {
    header: Box<[u8]>,
    columns: usize,
    chosen: Vec<(usize, Arc<Family>)>,
}

/// A name of `snmp6`; `None` if it is not wanted.
struct Field {
    name: Box<[u8]>,
    family: Option<Arc<Family>>,
}

/// The families of the names that are wanted; they last, whatever lines come and go.
struct Names {
    filter: Filter,
    /// The filter was asked since it has rested.
    has_asked: bool,
    families: HashMap<String, Arc<Family>>,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let file = |path| KeptFile::new(Root::Net, path).whole();
    if !["netstat", "snmp", "snmp6"].iter().any(|path| host.exists(Root::Net, path)) {
        return Ok(None);
    }
    Ok(Some(Box::new(Netstat {
        // What the daemon says of itself needs the first one, too.
        tables: [(file("netstat"), "netstat", Vec::new()), (file("snmp"), "snmp", Vec::new())],
        list: (file("snmp6"), Vec::new()),
        names: Names { filter: options.filter("fields", ""), families: HashMap::new(), has_asked: false },
    })))
}

impl Collector for Netstat {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for (file, name, tables) in &mut self.tables {
            if let Some(text) = there(host.read_kept(file), out) {
                put_tables(text, name, tables, &mut self.names, out);
            }
        }
        let (file, fields) = &mut self.list;
        // Without IPv6 there is no such file.
        if let Some(text) = there(host.read_kept(file), out) {
            put_list(text, fields, &mut self.names, out);
        }
        if std::mem::take(&mut self.names.has_asked) {
            self.names.filter.rest();
        }
        Ok(())
    }
}

/// What was read; a file that this kernel does not have is no fault.
fn there<'a>(result: Result<&'a [u8], Error>, out: &mut Batch) -> Option<&'a [u8]> {
    match result {
        Err(error) if error.is_absent() => None,
        result => out.ok(result),
    }
}

fn put_tables(text: &[u8], file: &str, tables: &mut Vec<Table>, names: &mut Names, out: &mut Batch) {
    let mut lines = parse::lines(text);
    let mut at = 0;
    while let (Some(header), Some(values)) = (lines.next(), lines.next()) {
        if at == TABLES_MAX {
            break;
        }
        if tables.get(at).is_none_or(|table| *table.header != *header) {
            tables.truncate(at);
            tables.push(Table::new(header, file, names));
        }
        let is_put = tables.get(at).is_some_and(|table| table.put(values, out).is_some());
        at += 1;
        if !is_put {
            let line = u32::try_from(2 * at).unwrap_or(0);
            out.fault(Error::malformed(&format!("/proc/net/{file}"), line, "a number for each name above"));
        }
    }
}

fn put_list(text: &[u8], fields: &mut Vec<Field>, names: &mut Names, out: &mut Batch) {
    let machine = out.machine();
    let mut at = 0;
    for (line, number) in parse::lines(text).zip(1..) {
        let mut words = parse::words(line);
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        if fields.get(at).is_none_or(|field| *field.name != *name) {
            fields.truncate(at);
            if at == NAMES_MAX {
                break;
            }
            let family = split(name).and_then(|(protocol, rest)| names.family(protocol, rest, "snmp6"));
            fields.push(Field { name: name.into(), family });
        }
        if let Some(family) = fields.get(at).and_then(|field| field.family.as_ref()) {
            match figure(value) {
                Some(value) => out.put(family, machine, value),
                None => out.fault(Error::malformed("/proc/net/snmp6", number, "a name and a number")),
            }
        }
        at += 1;
    }
}

impl Table {
    fn new(header: &[u8], file: &str, names: &mut Names) -> Self {
        let mut words = parse::words(header);
        let protocol = words.next().and_then(|word| word.strip_suffix(b":"));
        let mut chosen: Vec<(usize, Arc<Family>)> = Vec::new();
        let mut columns = 0;
        for name in words {
            let family = protocol.and_then(|protocol| names.family(protocol, name, file));
            if let Some(family) = family.filter(|new| chosen.iter().all(|(_, old)| !Arc::ptr_eq(old, new))) {
                chosen.push((columns, family));
            }
            columns += 1;
        }
        Self { header: header.into(), columns, chosen }
    }

    /// `Tcp: 1 200 120000 -1 4`: puts the figures that are wanted; `None` if they don't fit the names.
    fn put(&self, values: &[u8], out: &mut Batch) -> Option<()> {
        let protocol = self.header.iter().position(|&byte| byte == b':')? + 1;
        let values = values.strip_prefix(self.header.get(..protocol)?)?;
        if parse::words(values).count() != self.columns {
            return None;
        }
        let mut words = parse::words(values);
        let mut next = 0;
        let mut is_good = true;
        for (column, family) in &self.chosen {
            let value = words.nth(column - next).and_then(figure);
            next = column + 1;
            is_good &= value.is_some();
            out.put_some(family, out.machine(), value);
        }
        is_good.then_some(())
    }
}

impl Names {
    /// The family of a name, if it is wanted and can be one.
    fn family(&mut self, protocol: &[u8], name: &[u8], file: &str) -> Option<Arc<Family>> {
        let key = format!("{}_{}", word(protocol)?, word(name)?);
        if let Some(family) = self.families.get(&key) {
            return Some(Arc::clone(family));
        }
        self.has_asked = true;
        if !self.filter.keeps(&key) || self.families.len() >= NAMES_MAX {
            return None;
        }
        let help = format!("{} of {}, as counted in /proc/net/{file}.", parse::text(name), parse::text(protocol));
        let family = Family::at_run_time(format!("node_netstat_{key}"), help, Kind::Untyped);
        self.families.insert(key, Arc::clone(&family));
        Some(family)
    }
}

/// `Udp6InErrors`: `Udp6` and `InErrors`; `None` for what is not of IPv6.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let six = name.iter().position(|&byte| byte == b'6')?;
    name.split_at_checked(six + 1)
}

/// The word, if it can be part of a family's name.
fn word(word: &[u8]) -> Option<&str> {
    let is_good = !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    std::str::from_utf8(word).ok().filter(|_| is_good)
}

/// `42`, or `-1`: TCP's `MaxConn` when there is no limit.
fn figure(word: &[u8]) -> Option<Value> {
    parse::signed(word).map(Value::from).or_else(|| parse::number(word).map(Value::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const NETSTAT: &str = "\
TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed PruneCalled TCPTimeouts TCPOFOQueue\nTcpExt: 1 2 3 4 5 6
IpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 18446744073709551615 8
MPTcpExt: MPCapableSYNRX\nMPTcpExt: 9\n";
    const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives\nIp: 2 64 10
Icmp: InMsgs InErrors OutMsgs\nIcmp: 11 12 13
Tcp: RtoAlgorithm MaxConn ActiveOpens CurrEstab InErrs\nTcp: 1 -1 14 15 16
UdpLite: InDatagrams InErrors\nUdpLite: 17 18\n";
    const SNMP6: &str = "\
Ip6InReceives                   \t1\nIp6InOctets                     \t2\nIcmp6InMsgs                     \t3
Udp6InErrors                    \t4\nUdpLite6InErrors                \t5\nIcmp6OutType143                 \t6\n";
    const PAGE: &str = "\
node_netstat_Icmp6_InMsgs 3\nnode_netstat_Icmp_InErrors 12\nnode_netstat_Icmp_InMsgs 11\nnode_netstat_Icmp_OutMsgs 13
node_netstat_Ip6_InOctets 2\nnode_netstat_IpExt_InOctets 18446744073709552000\nnode_netstat_IpExt_OutOctets 8
node_netstat_Ip_Forwarding 2\nnode_netstat_TcpExt_SyncookiesFailed 3\nnode_netstat_TcpExt_SyncookiesRecv 2
node_netstat_TcpExt_SyncookiesSent 1\nnode_netstat_TcpExt_TCPOFOQueue 6\nnode_netstat_TcpExt_TCPTimeouts 5
node_netstat_Tcp_ActiveOpens 14\nnode_netstat_Tcp_CurrEstab 15\nnode_netstat_Tcp_InErrs 16
node_netstat_Udp6_InErrors 4\nnode_netstat_UdpLite6_InErrors 5\nnode_netstat_UdpLite_InErrors 18\n";

    fn tree() -> Tree {
        Tree::new(&[("proc/net/netstat", NETSTAT), ("proc/net/snmp", SNMP), ("proc/net/snmp6", SNMP6)])
    }

    #[test]
    fn what_dashboards_want() {
        let tree = tree();
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), PAGE);
        assert_eq!(opened.round(), PAGE);
    }

    #[test]
    fn what_the_operator_wants() {
        let page = "node_netstat_Tcp_MaxConn -1\nnode_netstat_Tcp_RtoAlgorithm 1\n";
        tree().check(&SPEC, &[("fields", "^Tcp_(Rto|Max)")], page);
        let all = tree().open(&SPEC, &[("fields", "")]).round();
        assert_eq!(all.lines().count(), 6 + 3 + 1 + 3 + 3 + 5 + 2 + 6);
    }

    #[test]
    fn names_may_change_between_rounds() {
        let tree = tree();
        let mut opened = tree.open(&SPEC, &[]);
        opened.round();
        let more = "IcmpMsg: InType3\nIcmpMsg: 7\nTcp: RetransSegs ActiveOpens\nTcp: 1 2\n";
        tree.write("proc/net/snmp", more);
        tree.remove("proc/net/netstat");
        tree.write("proc/net/snmp6", "Udp6NoPorts 1\nIp6InOctets 2\nLonely6\nNone 1\n");
        let page = "node_netstat_Ip6_InOctets 2\nnode_netstat_Tcp_ActiveOpens 2\nnode_netstat_Tcp_RetransSegs 1\n\
                    node_netstat_Udp6_NoPorts 1\n";
        assert_eq!(opened.round(), page);
    }

    #[test]
    fn a_line_that_does_not_fit_costs_only_itself() {
        let snmp = "Tcp: ActiveOpens InErrs\nTcp: 1\nUdp: InErrors NoPorts\nUdp: x 2\nIcmp: InMsgs\nUdp: 1\n\
                    Ip-x: InErrors\nIp-x: 1\nUdp6: InErrors InErrors\nUdp6: 3 4\nIp: Forwarding\nIp: 9";
        let files =
            [("proc/net/snmp", snmp), ("proc/net/snmp6", "Ip6InOctets -\n"), ("calls/errno", "proc/net/netstat EIO\n")];
        let page = "node_netstat_Udp6_InErrors 3\nnode_netstat_Udp_NoPorts 2\n! io\n";
        Tree::new(&files).check(&SPEC, &[], &format!("{page}{}", "! malformed\n".repeat(4)));
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn a_round_like_the_last_makes_no_families() {
        let mut names = Names { filter: Filter::default(), families: HashMap::new(), has_asked: false };
        let (mut tables, mut fields, mut out) = (Vec::new(), Vec::new(), Batch::new(100));
        let mut round = || {
            put_tables(SNMP.as_bytes(), "snmp", &mut tables, &mut names, &mut out);
            put_list(SNMP6.as_bytes(), &mut fields, &mut names, &mut out);
            tables
                .iter()
                .map(|table| table.header.as_ptr())
                .chain(fields.iter().map(|field| field.name.as_ptr()))
                .collect()
        };
        let first: Vec<_> = round();
        assert_eq!(round(), first);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "([A-Za-z6:-]{0,3}( [a-z0-9-]{0,3}){0,3}\n){0,6}") {
            let mut names = Names { filter: Filter::default(), families: HashMap::new(), has_asked: false };
            for text in [&bytes[..], text.as_bytes()] {
                let mut out = Batch::new(100);
                put_tables(text, "snmp", &mut Vec::new(), &mut names, &mut out);
                put_list(text, &mut Vec::new(), &mut names, &mut out);
            }
        }
    }
}
