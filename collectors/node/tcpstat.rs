//! TCP sockets by state, and the bytes that wait in them, from `sock_diag`.
//!
//! The kernel walks through its whole table of sockets for each round, with time for others in between; on a machine with
//! a million sockets that takes a second. A listening socket has no bytes: what the kernel gives in their place is how
//! many connections wait to be accepted, and how many may.

use crate::kit::netlink::{Message, Protocol, Request, array_at, u32_at};
use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static CONNECTION_STATES: Family = gauge(
    "node_tcp_connection_states",
    "TCP sockets in the state; of rx_queued_bytes and tx_queued_bytes, bytes that wait in all that are connected.",
    &["state"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "tcpstat", "TCP sockets by state from sock_diag.", &[&CONNECTION_STATES], open)
};

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `struct inet_diag_req_v2`: family, protocol, extensions, padding, states, and 48 bytes that tell no socket.
const REQUEST: usize = 56;
const TCP: u8 = 6;
/// The states 1 to 11.
const STATES: u32 = 0xfff;
const LISTEN: usize = 10;

/// By the kernel's number of the state, from 1; the first stands for any other.
const NAMES: [&str; 12] = [
    "unknown",
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
];

struct Tcpstat;

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Tcpstat)))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sockets {
    states: [u64; NAMES.len()],
    received: u64,
    sent: u64,
}

impl Collector for Tcpstat {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let mut all = ask(host, "tcp", 2)?;
        if host.exists(Root::Net, "tcp6")
            && let Some(six) = out.ok(ask(host, "tcp6", 10))
        {
            all.received += six.received;
            all.sent += six.sent;
            all.states.iter_mut().zip(six.states).for_each(|(sum, count)| *sum += count);
        }
        let mut put = |state, count: u64| {
            let of = out.entity(&["state"], [state]);
            out.put(&CONNECTION_STATES, of, count);
        };
        let any = all.states.iter().any(|count| *count > 0);
        for (state, count) in NAMES.into_iter().zip(all.states).filter(|(_, count)| *count > 0) {
            put(state, count);
        }
        if any {
            put("rx_queued_bytes", all.received);
            put("tx_queued_bytes", all.sent);
        }
        Ok(())
    }
}

fn ask(host: &mut Host, name: &str, family: u8) -> Result<Sockets, Error> {
    let mut body = [0; REQUEST];
    let head = [family, TCP, 0, 0].into_iter().chain(STATES.to_ne_bytes());
    body.iter_mut().zip(head).for_each(|(place, byte)| *place = byte);
    host.netlink(&Request::dump(Protocol::SockDiag, name, BY_FAMILY, &body), |sockets, message| {
        socket(message, sockets);
    })
}

/// `struct inet_diag_msg`: family, state, timer, retransmits, 48 bytes of addresses, expiry, both queues, user, inode.
fn socket(message: &Message<'_>, sockets: &mut Sockets) {
    let (Some([_, state]), Some(received), Some(sent)) =
        (array_at::<2>(message.body, 0), u32_at(message.body, 56), u32_at(message.body, 60))
    else {
        return;
    };
    let state = usize::from(state);
    let place = if state < NAMES.len() { state } else { 0 };
    sockets.states[place] += 1;
    if state != LISTEN {
        sockets.received += u64::from(received);
        sockets.sent += u64::from(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn sockets(rows: &[(u8, u32, u32)]) -> String {
        let message = |(state, received, sent): &(u8, u32, u32)| {
            format!("message 20\n u8 2 u8 {state} pad 54 u32 {received} u32 {sent} pad 8\n")
        };
        rows.iter().map(message).collect()
    }

    #[test]
    fn states_of_both_families() {
        let tree = Tree::new(&[
            ("calls/netlink/tcp", &sockets(&[(1, 10, 20), (1, 0, 5), (10, 3, 128), (13, 0, 0)])),
            ("calls/netlink/tcp6", &sockets(&[(6, 0, 0), (1, 1, 1)])),
            ("proc/net/tcp6", ""),
        ]);
        let expected = "\
node_tcp_connection_states{state=\"unknown\"} 1
node_tcp_connection_states{state=\"established\"} 3
node_tcp_connection_states{state=\"time_wait\"} 1
node_tcp_connection_states{state=\"listen\"} 1
node_tcp_connection_states{state=\"rx_queued_bytes\"} 11
node_tcp_connection_states{state=\"tx_queued_bytes\"} 26
";
        tree.check(&SPEC, &[], expected);
        tree.remove("proc/net/tcp6");
        assert!(tree.open(&SPEC, &[]).round().contains("{state=\"established\"} 2\n"));
    }

    #[test]
    fn ipv6_that_fails_leaves_ipv4() {
        let tree = Tree::new(&[("calls/netlink/tcp", &sockets(&[(7, 0, 0)])), ("proc/net/tcp6", "")]);
        assert!(tree.open(&SPEC, &[]).round().ends_with("! absent\n"));
        Tree::new(&[("calls/netlink/tcp", "error EPERM\n")]).check(&SPEC, &[], "! denied\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_state_has_a_place(state: u8, received: u32, sent: u32) {
            let tree = Tree::new(&[("calls/netlink/tcp", &sockets(&[(state, received, sent)]))]);
            prop_assert!(!tree.open(&SPEC, &[]).round().contains('!'));
        }
    }
}
