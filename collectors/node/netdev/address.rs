//! The addresses of interfaces, from rtnetlink.
//!
//! Up to Linux 6.9 the answer waits for the RTNL lock, so it is asked for seldom.

use super::SELDOM;
use super::families::ADDRESS_INFO;
use crate::kit::netlink::{self, Message, Protocol, Request, array_at, u32_at};
use crate::kit::{Error, Host};
use crate::model::Batch;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// `RTM_GETADDR`, and what is asked: `struct ifaddrmsg` for all families.
const GETADDR: u16 = 22;
const ALL: &[u8] = &[0; 8];
/// `IFA_ADDRESS`, which of a link between two points is the other's, and `IFA_LOCAL`.
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;

/// An address of an interface.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    index: u32,
    prefix: u8,
    address: IpAddr,
}

/// What was answered last.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Interface, address, prefix, scope.
    known: Vec<[String; 4]>,
    asked: Option<Duration>,
}

impl Addresses {
    /// Puts the addresses of interfaces that `is_chosen`.
    pub(super) fn put(
        &mut self,
        have_changed: bool,
        is_chosen: impl Fn(&str) -> bool,
        host: &mut Host,
        out: &mut Batch,
    ) {
        let now = host.monotonic();
        if have_changed || self.asked.is_none_or(|at| now >= at + SELDOM) {
            self.asked = Some(now);
            self.known = out.ok(ask(host)).unwrap_or_default();
            self.known.retain(|[device, ..]| is_chosen(device));
        }
        for [device, address, netmask, scope] in &self.known {
            let of = out.entity(&["address", "device", "netmask", "scope"], [address, device, netmask, scope]);
            out.put(&ADDRESS_INFO, of, 1u64);
        }
    }
}

fn ask(host: &mut Host) -> Result<Vec<[String; 4]>, Error> {
    let request = Request::dump(Protocol::Route, "addresses", GETADDR, ALL);
    let addresses =
        host.netlink(&request, |addresses: &mut Vec<Address>, message| addresses.extend(address(message)))?;
    let mut told: Vec<[String; 4]> = Vec::new();
    for Address { index, prefix, address } in addresses {
        let Some(device) = host.interface(index) else { continue };
        let row = [device, shown(address), prefix.to_string(), scope(address).to_owned()];
        if !told.contains(&row) {
            told.push(row);
        }
    }
    Ok(told)
}

/// `struct ifaddrmsg` (family, length of the prefix, flags, scope, index) and attributes.
fn address(message: &Message<'_>) -> Option<Address> {
    let [family, prefix, ..] = array_at::<8>(message.body, 0)?;
    let attribute = |wanted| message.attributes(8).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let bytes = attribute(LOCAL).or_else(|| attribute(ADDRESS))?;
    let address = netlink::address(family, bytes)?;
    Some(Address { index: u32_at(message.body, 4)?, prefix, address })
}

/// An IPv4 address within IPv6 is shown as what it is.
fn shown(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// How far an address reaches.
fn scope(address: IpAddr) -> &'static str {
    let address = address.to_canonical();
    let (is_local, is_of_interface) = match address {
        IpAddr::V4(v4) => (v4.is_link_local() || v4.octets().starts_with(&[224, 0, 0]), false),
        IpAddr::V6(v6) => {
            let multicast_scope = v6.is_multicast().then(|| v6.octets()[1] & 0xf);
            (v6.is_unicast_link_local() || multicast_scope == Some(2), multicast_scope == Some(1))
        }
    };
    if address.is_loopback() || is_local {
        "link-local"
    } else if is_of_interface {
        "interface-local"
    } else if address.is_multicast() || address.is_unspecified() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        ""
    } else {
        "global"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    #[test]
    fn scopes() {
        for (address, expected) in [
            ("127.0.0.1", "link-local"),
            ("169.254.1.1", "link-local"),
            ("224.0.0.1", "link-local"),
            ("192.0.2.1", "global"),
            ("255.255.255.255", ""),
            ("239.0.0.1", ""),
            ("::1", "link-local"),
            ("fe80::1", "link-local"),
            ("ff02::1", "link-local"),
            ("ff01::1", "interface-local"),
            ("fd00::1", "global"),
            ("::", ""),
            ("::ffff:192.0.2.1", "global"),
        ] {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
        assert_eq!(shown(IpAddr::V6(Ipv6Addr::from_bits(0xffff_c000_0201))), "192.0.2.1");
    }
}
