//! Radios, from nl80211: the network that an interface is in, and the stations at the other end.
//!
//! What a driver does not tell is left out, and not 0.

use crate::kit::netlink::{
    Message, Protocol, Request, array_at, attributes, push_attribute, text, u16_at, u32_at, u64_at,
};
use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, Value, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const LABELS: &[&str; 2] = &["device", "mac_address"];

static FREQUENCY: Family =
    gauge("node_wifi_interface_frequency_hertz", "Frequency on which the interface is, in hertz.", &["device"]);
static STATION_INFO: Family = gauge(
    "node_wifi_station_info",
    "Always 1: the network that the interface is in.",
    &["bssid", "device", "mode", "ssid"],
);
static CONNECTED: Family = counter(
    "node_wifi_station_connected_seconds_total",
    "Time that the station has been connected, in seconds.",
    LABELS,
);
static INACTIVE: Family =
    gauge("node_wifi_station_inactive_seconds", "Time since the station was last active, in seconds.", LABELS);
static RX_BITRATE: Family = gauge(
    "node_wifi_station_receive_bits_per_second",
    "Rate at which the station is received, in bits a second.",
    LABELS,
);
static TX_BITRATE: Family = gauge(
    "node_wifi_station_transmit_bits_per_second",
    "Rate at which the station is sent to, in bits a second.",
    LABELS,
);
static RX_BYTES: Family = counter("node_wifi_station_receive_bytes_total", "Bytes received from the station.", LABELS);
static TX_BYTES: Family = counter("node_wifi_station_transmit_bytes_total", "Bytes sent to the station.", LABELS);
static SIGNAL: Family = gauge("node_wifi_station_signal_dbm", "Strength of the station's signal, in dBm.", LABELS);
static TX_RETRIES: Family =
    counter("node_wifi_station_transmit_retries_total", "How often a packet to the station was sent again.", LABELS);
static TX_FAILED: Family =
    counter("node_wifi_station_transmit_failed_total", "Packets that the station did not get.", LABELS);
static BEACON_LOSS: Family =
    counter("node_wifi_station_beacon_loss_total", "How often the station's beacon was missed.", LABELS);
static TX_PACKETS: Family =
    counter("node_wifi_station_transmitted_packets_total", "Packets sent to the station.", LABELS);
static RX_PACKETS: Family =
    counter("node_wifi_station_received_packets_total", "Packets received from the station.", LABELS);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "wifi",
        "Radios and their stations from nl80211.",
        &[
            &FREQUENCY,
            &STATION_INFO,
            &CONNECTED,
            &INACTIVE,
            &RX_BITRATE,
            &TX_BITRATE,
            &RX_BYTES,
            &TX_BYTES,
            &SIGNAL,
            &TX_RETRIES,
            &TX_FAILED,
            &BEACON_LOSS,
            &TX_PACKETS,
            &RX_PACKETS,
        ],
        open,
    )
};

/// `GENL_ID_CTRL`, with which a family is asked for by name (`CTRL_CMD_GETFAMILY`).
const CONTROL: u16 = 0x10;
const GET_FAMILY: [u8; 4] = [3, 1, 0, 0];
/// The header of generic netlink: command, version, reserved.
const HEADER: usize = 4;
/// `NL80211_CMD_GET_INTERFACE`, `_GET_STATION`, `_GET_SCAN`.
const GET_INTERFACE: u8 = 5;
const GET_STATION: u8 = 17;
const GET_SCAN: u8 = 32;

/// Attributes of nl80211 (`NL80211_ATTR_*`).
const IFINDEX: u16 = 3;
const IFNAME: u16 = 4;
const MAC: u16 = 6;
const STA_INFO: u16 = 21;
const WIPHY_FREQ: u16 = 38;
const BSS: u16 = 47;

struct Wifi {
    /// The number that nl80211 has since it was loaded.
    family: u16,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    // Where there is no radio nobody asks for nl80211: the kernel would load it.
    if !host.names(Root::Sys, "class/ieee80211").is_ok_and(|radios| !radios.is_empty()) {
        return Ok(None);
    }
    Ok(number(host)?.map(|family| Box::new(Wifi { family }) as Box<dyn Collector>))
}

/// The number of nl80211, if it is loaded.
fn number(host: &mut Host) -> Result<Option<u16>, Error> {
    let mut body = GET_FAMILY.to_vec();
    push_attribute(&mut body, 2, b"nl80211\0");
    let request = Request::one(Protocol::Generic, "nl80211", CONTROL, &body);
    let family = host.netlink(&request, |family: &mut Option<u16>, message| {
        *family = attribute(message, 1).and_then(|value| u16_at(value, 0)).or(*family);
    });
    match family {
        Ok(None) => Err(Error::malformed("netlink nl80211", 0, "the number of the family")),
        Err(error) if error.is_absent() => Ok(None),
        family => family,
    }
}

impl Collector for Wifi {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let interfaces = match self.ask(host, "wifi_interfaces", GET_INTERFACE, None, interface) {
            // Loaded again, it has another number.
            Err(error) if error.is_absent() => {
                self.family = number(host)?.ok_or(error)?;
                self.ask(host, "wifi_interfaces", GET_INTERFACE, None, interface)?
            }
            interfaces => interfaces?,
        };
        for interface in interfaces {
            let device = &interface.name;
            let hertz = interface.megahertz.map(|mega| u64::from(mega) * 1_000_000);
            let of = out.entity(&["device"], [device]);
            out.put_some(&FREQUENCY, of, hertz);
            let networks: Vec<Network> = self.each(host, "networks", GET_SCAN, &interface, network, out);
            if let Some(Network { bssid, ssid, mode }) = networks.first() {
                let of = out.entity(&["bssid", "device", "mode", "ssid"], [bssid, device, mode, ssid]);
                out.put(&STATION_INFO, of, 1u64);
            }
            for (mac, figures) in self.each(host, "stations", GET_STATION, &interface, station, out) {
                let of = out.entity(LABELS, [device, &mac]);
                for (family, value) in figures {
                    out.put(family, of, value);
                }
            }
        }
        Ok(())
    }
}

impl Wifi {
    /// What is told of one interface, or nothing and a fault.
    fn each<T>(
        &self,
        host: &mut Host,
        what: &str,
        command: u8,
        of: &Interface,
        read: fn(&Message<'_>) -> Option<T>,
        out: &mut Batch,
    ) -> Vec<T> {
        match self.ask(host, &format!("wifi_{what}_{}", of.name), command, Some(of), read) {
            Ok(all) => all,
            // An interface that is down, or of a kind that has no stations.
            Err(error) if error.is_absent() || error.is_unsupported() || matches!(error, Error::Gone { .. }) => {
                Vec::new()
            }
            Err(error) => out.ok(Err(error)).unwrap_or_default(),
        }
    }

    fn ask<T>(
        &self,
        host: &mut Host,
        name: &str,
        command: u8,
        of: Option<&Interface>,
        read: fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let mut body = vec![command, 0, 0, 0];
        if let Some(interface) = of {
            push_attribute(&mut body, IFINDEX, &interface.index.to_ne_bytes());
        }
        let request = Request::dump(Protocol::Generic, name, self.family, &body);
        let all = host.netlink(&request, |all: &mut Option<Vec<T>>, message| {
            all.get_or_insert_default().extend(read(message));
        })?;
        Ok(all.unwrap_or_default())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Interface {
    index: u32,
    name: String,
    megahertz: Option<u32>,
}

/// An interface that has a name: some virtual ones have none.
fn interface(message: &Message<'_>) -> Option<Interface> {
    let name = text(attribute(message, IFNAME)?);
    let number = |kind| attribute(message, kind).and_then(|value| u32_at(value, 0));
    Some(Interface { index: number(IFINDEX)?, name, megahertz: number(WIPHY_FREQ) }).filter(|one| !one.name.is_empty())
}

#[derive(Debug, PartialEq, Eq)]
struct Network {
    bssid: String,
    ssid: String,
    mode: &'static str,
}

/// `NL80211_BSS_*`: 1 the access point's address, 6 what it sends of itself, 9 what the interface is to it. Of those that
/// were only heard there is no 9.
fn network(message: &Message<'_>) -> Option<Network> {
    let bss = attribute(message, BSS)?;
    let find = |wanted| attributes(bss).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let mode = match u32_at(find(9)?, 0)? {
        0 | 1 => "client",
        3 => "ad-hoc",
        _ => "unknown",
    };
    Some(Network {
        bssid: find(1).map(mac).unwrap_or_default(),
        ssid: find(6).and_then(ssid).unwrap_or_default(),
        mode,
    })
}

/// Elements of 802.11, each with a number and a length: the text of number 0.
fn ssid(elements: &[u8]) -> Option<String> {
    let mut rest = elements;
    loop {
        let [number, length] = array_at(rest, 0)?;
        let value = rest.get(2..2 + usize::from(length))?;
        if number == 0 {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        rest = &rest[2 + value.len()..];
    }
}

/// A station's address and figures.
fn station(message: &Message<'_>) -> Option<(String, Vec<(&'static Family, Value)>)> {
    Some((mac(attribute(message, MAC)?), figures(attribute(message, STA_INFO)?)))
}

/// `NL80211_STA_INFO_*`: a number each, of 8, 32 or 64 bits; the rates are attributes again.
fn figures(bytes: &[u8]) -> Vec<(&'static Family, Value)> {
    let find = |wanted| attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let count = |kind| find(kind).and_then(|value| u32_at(value, 0)).map(u64::from);
    let long = |kind, short| find(kind).and_then(|value| u64_at(value, 0)).or_else(|| count(short)).map(Value::from);
    let signal = |value: &[u8]| value.first().map(|dbm| Value::Int(dbm.cast_signed().into()));
    [
        (&CONNECTED, count(16).map(Value::from)),
        (&INACTIVE, count(1).map(|ms| Value::Scaled(ms.cast_signed(), 3))),
        (&RX_BITRATE, find(14).and_then(rate)),
        (&TX_BITRATE, find(8).and_then(rate)),
        (&RX_BYTES, long(23, 2)),
        (&TX_BYTES, long(24, 3)),
        (&SIGNAL, find(7).and_then(signal)),
        (&TX_RETRIES, count(11).map(Value::from)),
        (&TX_FAILED, count(12).map(Value::from)),
        (&BEACON_LOSS, count(18).map(Value::from)),
        (&TX_PACKETS, count(10).map(Value::from)),
        (&RX_PACKETS, count(9).map(Value::from)),
    ]
    .into_iter()
    .filter_map(|(family, value)| Some((family, value?)))
    .collect()
}

/// `NL80211_RATE_INFO_*`, in 100 kbit/s: 5 a number of 32 bits, 1 one of 16 on old kernels.
fn rate(bytes: &[u8]) -> Option<Value> {
    let find = |wanted| attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let hundreds = find(5).and_then(|value| u32_at(value, 0));
    let hundreds = hundreds.or_else(|| find(1).and_then(|value| u16_at(value, 0)).map(u32::from))?;
    Some(Value::from(u64::from(hundreds) * 100_000))
}

/// `02:00:5e:00:53:01`.
fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn attribute<'a>(message: &Message<'a>, wanted: u16) -> Option<&'a [u8]> {
    message.attributes(HEADER).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
