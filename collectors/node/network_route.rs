//! The routing tables, from rtnetlink: where packets go, route by route.
//!
//! Only routes to a gateway or a network are reported (`unicast`), of all tables together. The answer waits for the RTNL
//! lock, and a router with a whole internet's routes has a million of them: what goes beyond the points of a round is left out.

use crate::kit::netlink::{self, Message, Protocol, Request, array_at, attributes, u16_at, u32_at};
use crate::kit::{Error, Host, Options};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

const LABELS: &[&str; 7] = &["dest", "device", "gw", "priority", "proto", "src", "weight"];

static ROUTE_INFO: Family = gauge("node_network_route_info", "Always 1: a route, from rtnetlink.", LABELS);
static ROUTES: Family = gauge("node_network_routes", "Routes that lead to the interface, in all tables.", &["device"]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "network_route", "Routes from rtnetlink.", &[&ROUTE_INFO, &ROUTES], open)
};

/// `RTM_GETROUTE`, and what is asked: `struct rtmsg` for all families.
const GETROUTE: u16 = 26;
const RTMSG: usize = 12;
/// `RTN_UNICAST`.
const UNICAST: u8 = 1;
/// So many routes are taken; all that tell anybody anything are among them.
const ROUTES_MAX: usize = 100_000;

struct NetworkRoute;

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(NetworkRoute)))
}

/// What was answered.
#[derive(Debug, Default)]
struct Routes {
    routes: Vec<Route>,
    /// How many lead to each interface.
    counts: BTreeMap<u32, u64>,
}

/// One way of a route.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    family: u8,
    index: u32,
    source: Option<IpAddr>,
    destination: Option<(IpAddr, u8)>,
    gateway: Option<IpAddr>,
    priority: u32,
    protocol: u8,
    weight: Option<u16>,
}

impl Collector for NetworkRoute {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let request = Request::dump(Protocol::Route, "routes", GETROUTE, &[0; RTMSG]);
        let Routes { routes, counts } = host.netlink(&request, |all: &mut Routes, message| take_in(message, all))?;
        let names: HashMap<u32, String> =
            counts.keys().map(|&index| (index, host.interface(index).unwrap_or_default())).collect();
        let name = |index: u32| names.get(&index).map_or("", String::as_str);
        // Two tables may have the same route.
        let mut seen = HashSet::new();
        for route in &routes {
            let labels = labels(route);
            let [dest, gw, priority, proto, src, weight] = &labels;
            let values = [dest, name(route.index), gw, priority, proto, src, weight];
            let of = out.entity(LABELS, values);
            if seen.insert(of) {
                out.put(&ROUTE_INFO, of, 1u64);
            }
        }
        for (index, count) in counts {
            let of = out.entity(&["device"], [name(index)]);
            out.put(&ROUTES, of, count);
        }
        Ok(())
    }
}

/// `struct rtmsg` (family, lengths of destination and source, tos, table, protocol, scope, type, flags) and attributes:
/// 1 the destination, 4 the interface, 5 the gateway, 6 the priority, 7 the preferred source, 9 several ways.
fn take_in(message: &Message<'_>, all: &mut Routes) {
    let Some([family, length, .., protocol, _, UNICAST]) = array_at::<8>(message.body, 0) else { return };
    let mut route =
        Route { family, index: 0, source: None, destination: None, gateway: None, priority: 0, protocol, weight: None };
    let mut ways = None;
    for (attribute, value) in message.attributes(RTMSG) {
        match attribute {
            1 => route.destination = netlink::address(family, value).map(|address| (address, length)),
            4 => route.index = u32_at(value, 0).unwrap_or(0),
            5 => route.gateway = netlink::address(family, value),
            6 => route.priority = u32_at(value, 0).unwrap_or(0),
            7 => route.source = netlink::address(family, value),
            9 => ways = Some(value),
            _ => {}
        }
    }
    match ways {
        None => all.push(route),
        Some(ways) => all.push_ways(&route, ways),
    }
}

impl Routes {
    fn push(&mut self, route: Route) {
        *self.counts.entry(route.index).or_default() += 1;
        if self.routes.len() < ROUTES_MAX {
            self.routes.push(route);
        }
    }

    /// `struct rtnexthop` (length, flags, weight less one, interface) and attributes, for each way.
    fn push_ways(&mut self, route: &Route, ways: &[u8]) {
        let mut rest = ways;
        while let (Some(length), Some([_, _, _, hops]), Some(index)) =
            (u16_at(rest, 0).map(usize::from), array_at::<4>(rest, 0), u32_at(rest, 4))
        {
            let Some(way) = rest.get(8..length) else { break };
            let gateway = attributes(way).find(|(attribute, _)| *attribute == 5);
            self.push(Route {
                index,
                gateway: gateway.and_then(|(_, value)| netlink::address(route.family, value)),
                weight: Some(u16::from(hops) + 1),
                ..*route
            });
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// Destination, gateway, priority, protocol, source and weight, as they are shown.
fn labels(route: &Route) -> [String; 6] {
    let shown = |address: Option<IpAddr>| address.map(|a| a.to_canonical().to_string()).unwrap_or_default();
    let destination = match route.destination {
        None | Some((_, 0)) => "default".to_owned(),
        Some((address, length)) => format!("{}/{length}", address.to_canonical()),
    };
    [
        destination,
        shown(route.gateway),
        route.priority.to_string(),
        protocol(route.protocol).to_owned(),
        shown(route.source),
        route.weight.map(|weight| weight.to_string()).unwrap_or_default(),
    ]
}

/// Who made a route: the names of `RTPROT_*`.
fn protocol(number: u8) -> &'static str {
    match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const INTERFACES: (&str, &str) = ("calls/interfaces", "1 lo\n2 eth0\n3 eth1\n");

    fn info(round: &str) -> Vec<&str> {
        round.lines().filter_map(|line| line.strip_prefix("node_network_route_info")).collect()
    }

    #[test]
    fn routes_of_all_tables() {
        let answer = "
message 24
  u8 2 u8 0 u8 0 u8 0 u8 254 u8 16 u8 0 u8 1 u32 0
  5: ip 192.0.2.1
  4: u32 2
  6: u32 100
message 24
  u8 2 u8 24 u8 0 u8 0 u8 254 u8 2 u8 253 u8 1 u32 0
  1: ip 192.0.2.0
  7: ip 192.0.2.7
  4: u32 2
message 24
  # the same in another table
  u8 2 u8 24 u8 0 u8 0 u8 99 u8 2 u8 253 u8 1 u32 0
  1: ip 192.0.2.0
  7: ip 192.0.2.7
  4: u32 2
message 24
  # a local one
  u8 2 u8 32 u8 0 u8 0 u8 255 u8 2 u8 254 u8 2 u32 0
  1: ip 192.0.2.7
  4: u32 2
message 24
  u8 10 u8 64 u8 0 u8 0 u8 254 u8 9 u8 0 u8 1 u32 0
  1: ip 2001:db8::
  6: u32 1024
  4: u32 9
";
        let expected = "\
node_network_route_info{dest=\"default\",device=\"eth0\",gw=\"192.0.2.1\",priority=\"100\",proto=\"dhcp\"} 1
node_network_route_info{dest=\"192.0.2.0/24\",device=\"eth0\",priority=\"0\",proto=\"kernel\",src=\"192.0.2.7\"} 1
node_network_route_info{dest=\"2001:db8::/64\",priority=\"1024\",proto=\"ra\"} 1
node_network_routes{device=\"eth0\"} 3
node_network_routes 1
";
        Tree::new(&[("calls/netlink/routes", answer), INTERFACES]).check(&SPEC, &[], expected);
    }

    #[test]
    fn a_route_of_several_ways() {
        let answer = "
message 24
  u8 2 u8 8 u8 0 u8 0 u8 254 u8 186 u8 0 u8 1 u32 0
  1: ip 10.0.0.0
  9: u16 16 u8 0 u8 0 u32 2 u16 8 u16 5 ip 192.0.2.1 u16 8 u8 0 u8 19 u32 3
";
        let round = Tree::new(&[("calls/netlink/routes", answer), INTERFACES]).open(&SPEC, &[]).round();
        let expected = [
            "{dest=\"10.0.0.0/8\",device=\"eth0\",gw=\"192.0.2.1\",priority=\"0\",proto=\"bgp\",weight=\"1\"} 1",
            "{dest=\"10.0.0.0/8\",device=\"eth1\",priority=\"0\",proto=\"bgp\",weight=\"20\"} 1",
        ];
        assert_eq!(info(&round), expected);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut all = Routes::default();
            all.push_ways(&Route { family: 2, index: 0, source: None, destination: None, gateway: None, priority: 0, protocol: 0, weight: None }, &bytes);
            all.routes.iter().for_each(|route| drop(labels(route)));
        }
    }
}
