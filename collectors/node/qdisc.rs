//! The queue in front of each network interface, from rtnetlink: what it sent, dropped and holds.
//!
//! Only the queue at the root is reported: it counts for those below it. The answer waits for the RTNL lock.

use crate::kit::netlink::{Message, Protocol, Request, attributes, text, u32_at, u64_at};
use crate::kit::{Error, Filter, Host, Opt, OptKind, Options};
use crate::model::{Batch, Family, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const LABELS: &[&str; 2] = &["device", "kind"];

static BYTES: Family = counter("node_qdisc_bytes_total", "Bytes sent through the queue.", LABELS);
static PACKETS: Family = counter("node_qdisc_packets_total", "Packets sent through the queue.", LABELS);
static DROPS: Family = counter("node_qdisc_drops_total", "Packets that the queue dropped.", LABELS);
static REQUEUES: Family = counter(
    "node_qdisc_requeues_total",
    "Packets that came back into the queue as the interface did not take them.",
    LABELS,
);
static OVERLIMITS: Family =
    counter("node_qdisc_overlimits_total", "How often a packet met the queue at its limit.", LABELS);
static QUEUE_LENGTH: Family = gauge("node_qdisc_current_queue_length", "Packets that wait in the queue.", LABELS);
static BACKLOG: Family = gauge("node_qdisc_backlog", "Bytes that wait in the queue.", LABELS);

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
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "qdisc",
        "Queues in front of network interfaces from rtnetlink.",
        &[&BYTES, &PACKETS, &DROPS, &REQUEUES, &OVERLIMITS, &QUEUE_LENGTH, &BACKLOG],
        open,
    )
};

/// `RTM_GETQDISC`, and what is asked: `struct tcmsg` for all interfaces.
const GETQDISC: u16 = 38;
const TCMSG: usize = 20;
/// `TC_H_ROOT`: the parent of a queue at the root.
const ROOT: u32 = u32::MAX;

struct Qdisc(Filter);

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Qdisc(options.filter("device-include", "device-exclude")))))
}

impl Collector for Qdisc {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let request = Request::dump(Protocol::Route, "qdiscs", GETQDISC, &[0; TCMSG]);
        for queue in host.netlink(&request, |queues: &mut Vec<Queue>, message| queues.extend(queue(message)))? {
            let Some(device) = host.interface(queue.index).filter(|device| self.0.keeps(device)) else { continue };
            let of = out.entity(LABELS, [&device, &queue.kind]);
            out.put_some(&BYTES, of, queue.bytes);
            out.put_some(&PACKETS, of, queue.packets);
            out.put_some(&DROPS, of, queue.drops);
            out.put_some(&REQUEUES, of, queue.requeues);
            out.put_some(&OVERLIMITS, of, queue.overlimits);
            out.put_some(&QUEUE_LENGTH, of, queue.length);
            out.put_some(&BACKLOG, of, queue.backlog);
        }
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Queue {
    index: u32,
    kind: String,
    bytes: Option<u64>,
    packets: Option<u64>,
    length: Option<u32>,
    backlog: Option<u32>,
    drops: Option<u32>,
    requeues: Option<u32>,
    overlimits: Option<u32>,
}

/// `struct tcmsg` (family, 3 bytes, index, handle, parent, info) and attributes: 1 the kind, 7 the figures.
fn queue(message: &Message<'_>) -> Option<Queue> {
    let parent = u32_at(message.body, 12)?;
    if parent != ROOT && parent != 0 {
        return None;
    }
    let mut queue = Queue { index: u32_at(message.body, 4)?, ..Queue::default() };
    for (attribute, value) in message.attributes(TCMSG) {
        match attribute {
            1 => queue.kind = text(value),
            7 => figures(value, &mut queue),
            _ => {}
        }
    }
    Some(queue)
}

/// `TCA_STATS2`: 1 `gnet_stats_basic` (bytes, packets), 3 `gnet_stats_queue`, 8 (since 5.5) packets that have outgrown 32 bits.
fn figures(bytes: &[u8], queue: &mut Queue) {
    for (attribute, value) in attributes(bytes) {
        match attribute {
            1 => {
                queue.bytes = u64_at(value, 0);
                queue.packets = queue.packets.or(u32_at(value, 8).map(u64::from));
            }
            3 => {
                queue.length = u32_at(value, 0);
                queue.backlog = u32_at(value, 4);
                queue.drops = u32_at(value, 8);
                queue.requeues = u32_at(value, 12);
                queue.overlimits = u32_at(value, 16);
            }
            8 => queue.packets = u64_at(value, 0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const ANSWER: &str = "
message 36
  u32 0  i32 1  u32 0  u32 0xffffffff  u32 2
  1: text noqueue
  7:
    1: u64 0 u32 0 pad 4
    3: u32 0 u32 0 u32 0 u32 0 u32 0
message 36
  u32 0  i32 2  u32 0  u32 0xffffffff  u32 2
  1: text mq
  7:
    1: u64 123456789012 u32 7 pad 4
    8: u64 4294967303
    3: u32 1 u32 2 u32 3 u32 4 u32 5
message 36
  # a queue of the interface's queues
  u32 0  i32 2  u32 0  u32 0x80010001  u32 2
  1: text fq_codel
";

    #[test]
    fn queues_at_the_root() {
        let tree = Tree::new(&[("calls/netlink/qdiscs", ANSWER), ("calls/interfaces", "1 lo\n2 eth0\n")]);
        let expected = "\
node_qdisc_backlog{device=\"eth0\",kind=\"mq\"} 2
node_qdisc_bytes_total{device=\"eth0\",kind=\"mq\"} 123456789012
node_qdisc_current_queue_length{device=\"eth0\",kind=\"mq\"} 1
node_qdisc_drops_total{device=\"eth0\",kind=\"mq\"} 3
node_qdisc_overlimits_total{device=\"eth0\",kind=\"mq\"} 5
node_qdisc_packets_total{device=\"eth0\",kind=\"mq\"} 4294967303
node_qdisc_requeues_total{device=\"eth0\",kind=\"mq\"} 4
";
        tree.check(&SPEC, &[("device-include", "^eth")], expected);
        assert!(tree.open(&SPEC, &[]).round().contains("node_qdisc_drops_total{device=\"lo\",kind=\"noqueue\"} 0\n"));
    }

    #[test]
    fn an_interface_that_is_gone_is_left_out() {
        Tree::new(&[("calls/netlink/qdiscs", ANSWER)]).check(&SPEC, &[], "");
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            figures(&bytes, &mut Queue::default());
        }
    }
}
