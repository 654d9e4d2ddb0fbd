//! `/proc/net/dev`: what each network interface has sent and received.
//!
//! The file is read rather than rtnetlink because it takes no RTNL lock: a dump of links waits for every interface that
//! is being made or removed, seconds on a busy Kubernetes node, and makes others wait. Counters that go backwards (a
//! driver was reset) are shown as the kernel shows them.

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, counter};
use crate::{Collector, Group, Spec};
use nohandler::{NOHANDLER, Nohandler};
use std::collections::HashMap;

mod nohandler;

const DEVICE: &[&str; 1] = &["device"];
/// How many names may be remembered beyond twice those of the last round.
const SPARE_NAMES: usize = 256;

static RX_BYTES: Family = counter("node_network_receive_bytes_total", "Bytes received, from /proc/net/dev.", DEVICE);
static RX_PACKETS: Family =
    counter("node_network_receive_packets_total", "Packets received, from /proc/net/dev.", DEVICE);
static RX_ERRS: Family =
    counter("node_network_receive_errs_total", "Packets received with an error, from /proc/net/dev.", DEVICE);
static RX_DROP: Family = counter(
    "node_network_receive_drop_total",
    "Packets received and dropped, missed ones included, from /proc/net/dev.",
    DEVICE,
);
static RX_FIFO: Family =
    counter("node_network_receive_fifo_total", "Overruns of the receive queue, from /proc/net/dev.", DEVICE);
static RX_FRAME: Family = counter(
    "node_network_receive_frame_total",
    "Packets received with a wrong length, frame or checksum, from /proc/net/dev.",
    DEVICE,
);
static RX_COMPRESSED: Family =
    counter("node_network_receive_compressed_total", "Compressed packets received, from /proc/net/dev.", DEVICE);
static RX_MULTICAST: Family =
    counter("node_network_receive_multicast_total", "Multicast packets received, from /proc/net/dev.", DEVICE);
static TX_BYTES: Family = counter("node_network_transmit_bytes_total", "Bytes sent, from /proc/net/dev.", DEVICE);
static TX_PACKETS: Family = counter("node_network_transmit_packets_total", "Packets sent, from /proc/net/dev.", DEVICE);
static TX_ERRS: Family =
    counter("node_network_transmit_errs_total", "Packets that could not be sent, from /proc/net/dev.", DEVICE);
static TX_DROP: Family =
    counter("node_network_transmit_drop_total", "Packets dropped on their way out, from /proc/net/dev.", DEVICE);
static TX_FIFO: Family =
    counter("node_network_transmit_fifo_total", "Underruns of the transmit queue, from /proc/net/dev.", DEVICE);
static TX_COLLS: Family =
    counter("node_network_transmit_colls_total", "Collisions while sending, from /proc/net/dev.", DEVICE);
static TX_CARRIER: Family = counter(
    "node_network_transmit_carrier_total",
    "Packets lost to a missing carrier, an abort, a late collision or a silent heartbeat, from /proc/net/dev.",
    DEVICE,
);
static TX_COMPRESSED: Family =
    counter("node_network_transmit_compressed_total", "Compressed packets sent, from /proc/net/dev.", DEVICE);

/// In the order of the file's columns, and the one that is no column.
static FAMILIES: [&Family; 17] = [
    &RX_BYTES,
    &RX_PACKETS,
    &RX_ERRS,
    &RX_DROP,
    &RX_FIFO,
    &RX_FRAME,
    &RX_COMPRESSED,
    &RX_MULTICAST,
    &TX_BYTES,
    &TX_PACKETS,
    &TX_ERRS,
    &TX_DROP,
    &TX_FIFO,
    &TX_COLLS,
    &TX_CARRIER,
    &TX_COMPRESSED,
    &NOHANDLER,
];

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt {
            name: "device-include",
            kind: OptKind::Instead("device-exclude"),
            default: "",
            help: "Interfaces to report, all others are left out.",
        },
        Opt { name: "device-exclude", kind: OptKind::Regex, default: "", help: "Interfaces to leave out." },
    ],
    ..Spec::new(Group::Node, "netdev", "Traffic of network interfaces from /proc/net/dev.", &FAMILIES, open)
};

struct Netdev {
    file: KeptFile,
    chosen: Option<Chosen>,
    nohandler: Nohandler,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let is_given = |name| options.text(name).is_some();
    let chosen = (is_given("device-include") || is_given("device-exclude"))
        .then(|| Chosen::new(options.filter("device-include", "device-exclude")));
    Ok(Some(Box::new(Netdev {
        file: KeptFile::new(Root::Net, "dev").lines(),
        chosen,
        nohandler: Nohandler::default(),
    })))
}

impl Collector for Netdev {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        let mut seen = 0;
        for (number, line) in (1..).zip(parse::lines(text)) {
            if is_heading(line) {
                continue;
            }
            let Some((device, figures)) = counters(line) else {
                out.fault(Error::malformed("/proc/net/dev", number, "a name, a colon and sixteen numbers"));
                continue;
            };
            seen += 1;
            let device = String::from_utf8_lossy(device);
            if self.chosen.as_mut().is_some_and(|chosen| !chosen.has(&device)) {
                continue;
            }
            let of = out.entity(DEVICE, [&device]);
            for (family, figure) in FAMILIES.into_iter().zip(figures) {
                out.put(family, of, figure);
            }
            self.nohandler.see(&device, of);
        }
        if let Some(chosen) = &mut self.chosen {
            chosen.settle(seen);
        }
        self.nohandler.put(host, out);
        Ok(())
    }
}

/// What the filter said of each name, so that a thousand interfaces do not cost a thousand searches every round.
struct Chosen {
    filter: Filter,
    known: HashMap<String, bool>,
}

impl Chosen {
    fn new(filter: Filter) -> Self {
        Self { filter, known: HashMap::new() }
    }

    fn has(&mut self, name: &str) -> bool {
        if let Some(&known) = self.known.get(name) {
            return known;
        }
        let keeps = self.filter.keeps(name);
        self.known.insert(name.to_owned(), keeps);
        keeps
    }

    /// Interfaces of containers come and go, each under a new name: forgets all when most of them are gone.
    fn settle(&mut self, seen: usize) {
        if self.known.len() > 2 * seen + SPARE_NAMES {
            self.known = HashMap::new();
        }
    }
}

/// ` face |bytes    packets errs drop fifo frame compressed multicast|bytes …`: one of the two lines at the top.
fn is_heading(line: &[u8]) -> bool {
    line.starts_with(b"Inter-|") || line.starts_with(b" face |")
}

/// `  eth0: 79380542 2854 0 0 0 0 0 0 269248 2180 0 0 0 0 0 0`: the name and the numbers.
///
/// Only the last colon ends the name: `eth0:1` is one. Old kernels print no blank behind it.
fn counters(line: &[u8]) -> Option<(&[u8], [u64; 16])> {
    let colon = line.iter().rposition(|&byte| byte == b':')?;
    let (name, rest) = line.split_at(colon);
    let name = name.trim_ascii_start();
    if name.is_empty() {
        return None;
    }
    let mut words = parse::words(rest.get(1..)?).map(parse::number);
    let mut figures = [0; 16];
    for figure in &mut figures {
        *figure = words.next()??;
    }
    Some((name, figures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const HEAD: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

    fn tree(lines: &str) -> Tree {
        Tree::new(&[("proc/net/dev", &format!("{HEAD}{lines}"))])
    }

    fn bytes(round: &str) -> Vec<&str> {
        round.lines().filter(|line| line.contains("receive_bytes") || line.starts_with('!')).collect()
    }

    #[test]
    fn sixteen_counters() {
        let expected = "\
node_network_receive_bytes_total{device=\"eth0\"} 1
node_network_receive_compressed_total{device=\"eth0\"} 7
node_network_receive_drop_total{device=\"eth0\"} 4
node_network_receive_errs_total{device=\"eth0\"} 3
node_network_receive_fifo_total{device=\"eth0\"} 5
node_network_receive_frame_total{device=\"eth0\"} 6
node_network_receive_multicast_total{device=\"eth0\"} 8
node_network_receive_packets_total{device=\"eth0\"} 2
node_network_transmit_bytes_total{device=\"eth0\"} 9
node_network_transmit_carrier_total{device=\"eth0\"} 15
node_network_transmit_colls_total{device=\"eth0\"} 14
node_network_transmit_compressed_total{device=\"eth0\"} 16
node_network_transmit_drop_total{device=\"eth0\"} 12
node_network_transmit_errs_total{device=\"eth0\"} 11
node_network_transmit_fifo_total{device=\"eth0\"} 13
node_network_transmit_packets_total{device=\"eth0\"} 10
";
        tree("  eth0:    1    2 3 4 5 6 7 8  9 10 11 12 13 14 15 16\n").check(&SPEC, &[], expected);
    }

    #[test]
    fn names_are_whatever_stands_before_the_last_colon() {
        let text = "\
eth0:1:5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
  a b: 6 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
    ü: 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
";
        let round = tree(text).open(&SPEC, &[]).round();
        let expected = [
            "node_network_receive_bytes_total{device=\"eth0:1\"} 5",
            "node_network_receive_bytes_total{device=\"a b\"} 6",
            "node_network_receive_bytes_total{device=\"ü\"} 18446744073709552000",
        ];
        assert_eq!(bytes(&round), expected);
    }

    #[test]
    fn a_bad_line_costs_only_itself() {
        let text = "\
  lo: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0
    : 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
eth0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
eth1: 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
eth2: 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1";
        let round = tree(text).open(&SPEC, &[]).round();
        let expected =
            ["node_network_receive_bytes_total{device=\"eth1\"} 7", "! malformed", "! malformed", "! malformed"];
        assert_eq!(bytes(&round), expected);
    }

    #[test]
    fn devices_are_chosen_and_the_choice_holds_for_later_rounds() {
        let line = |name: &str| format!("{name}: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
        let tree = tree(&(line("lo") + &line("eth0") + &line("veth1")));
        let eth0 = ["node_network_receive_bytes_total{device=\"eth0\"} 1"];
        let mut opened = tree.open(&SPEC, &[("device-exclude", "^(lo|veth.*)$")]);
        assert_eq!(bytes(&opened.round()), eth0);
        assert_eq!(bytes(&opened.round()), eth0);
        assert_eq!(bytes(&tree.open(&SPEC, &[("device-include", "^eth")]).round()), eth0);
    }

    #[test]
    fn names_that_are_gone_are_forgotten() {
        let mut chosen = Chosen::new(Filter::default());
        (0..SPARE_NAMES + 3).for_each(|n| assert!(chosen.has(&n.to_string())));
        chosen.settle(2);
        assert_eq!(chosen.known.len(), SPARE_NAMES + 3);
        chosen.settle(1);
        assert_eq!(chosen.known.len(), 0);
    }

    #[test]
    fn without_the_file_the_round_fails() {
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(line: Vec<u8>, name in "[^\n]{0,20}") {
            is_heading(&line);
            counters(&line);
            counters(format!("{name}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").as_bytes());
        }
    }
}
