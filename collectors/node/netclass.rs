//! `/sys/class/net/`: what network interfaces are, how they are set, and whether they are up.
//!
//! A machine with many containers has hundreds of interfaces with more than twenty attributes each, and the kernel takes
//! a lock of the whole network (RTNL) for some. So each round asks for news first, which the kernel sends to whoever
//! listens (rtnetlink's group of links); where there is none to be had, it reads the four attributes that tell whether
//! anything has happened to an interface. When something has, to any of them, all attributes are read again, and else once
//! a minute: a bond's speed changes with its ports.
//!
//! A driver that knows no speed or duplex, or a link that is down, says EINVAL: there is no such figure. An interface
//! that is removed while it is read has none at all.

use crate::kit::netlink::LinkNews;
use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

const FOLDER: &str = "class/net";
/// How long attributes are taken to be as they were.
const SETTLED_FOR: Duration = Duration::from_secs(60);
/// Of how many interfaces the files that are read every round are kept open.
const KEPT_DEVICES: usize = 48;
const DEVICE: &[&str; 1] = &["device"];
const INFO_LABELS: &[&str; 7] = &["address", "adminstate", "broadcast", "device", "duplex", "ifalias", "operstate"];

static UP: Family = gauge("node_network_up", "Whether the interface is in operation, from its operstate.", DEVICE);
static INFO: Family =
    gauge("node_network_info", "Always 1: addresses, states, duplex and alias of the interface.", INFO_LABELS);
static ADDRESS_ASSIGN_TYPE: Family = gauge(
    "node_network_address_assign_type",
    "Where the hardware address is from: 0 device, 1 random, 2 another interface, 3 set.",
    DEVICE,
);
static CARRIER: Family = gauge("node_network_carrier", "Whether there is a link.", DEVICE);
static CARRIER_CHANGES: Family =
    counter("node_network_carrier_changes_total", "How often the link came or went.", DEVICE);
static CARRIER_UP: Family = counter("node_network_carrier_up_changes_total", "How often the link came.", DEVICE);
static CARRIER_DOWN: Family = counter("node_network_carrier_down_changes_total", "How often the link went.", DEVICE);
static DEVICE_ID: Family =
    gauge("node_network_device_id", "Tells interfaces apart that share a hardware address.", DEVICE);
static DORMANT: Family =
    gauge("node_network_dormant", "Whether the interface waits for something to let it go on.", DEVICE);
static FLAGS: Family = gauge("node_network_flags", "The interface's flags, as a number: 1 is up, 2 broadcast.", DEVICE);
static IFACE_ID: Family = gauge("node_network_iface_id", "The interface's number.", DEVICE);
static IFACE_LINK: Family = gauge("node_network_iface_link", "The number of the interface below this one.", DEVICE);
static IFACE_LINK_MODE: Family =
    gauge("node_network_iface_link_mode", "Whether the interface is dormant before it is up: 0 no, 1 yes.", DEVICE);
static MTU: Family = gauge("node_network_mtu_bytes", "The largest packet, in bytes.", DEVICE);
static NAME_ASSIGN_TYPE: Family = gauge(
    "node_network_name_assign_type",
    "Where the name is from: 1 the kernel, 2 the kernel by rule, 3 set, 4 renamed.",
    DEVICE,
);
static NET_DEV_GROUP: Family = gauge("node_network_net_dev_group", "The interface's group.", DEVICE);
static SPEED: Family =
    gauge("node_network_speed_bytes", "Speed in bytes a second; negative where the driver says it is unknown.", DEVICE);
static TX_QUEUE_LEN: Family =
    gauge("node_network_transmit_queue_length", "How many packets the queue to the device takes.", DEVICE);
static PROTOCOL_TYPE: Family =
    gauge("node_network_protocol_type", "What kind of hardware it is, as a number: 1 is Ethernet.", DEVICE);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt { name: "ignored-devices", kind: OptKind::Regex, default: "^$", help: "Interfaces to leave out." },
        Opt {
            name: "ignore-invalid-speed",
            kind: OptKind::Flag,
            default: "false",
            help: "Whether to leave out a speed that the driver says is unknown, instead of showing it below 0.",
        },
    ],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "netclass", "Network interfaces from /sys/class/net.", &FAMILIES, open)
};

static FAMILIES: [&Family; 19] = [
    &UP,
    &INFO,
    &ADDRESS_ASSIGN_TYPE,
    &CARRIER,
    &CARRIER_CHANGES,
    &CARRIER_UP,
    &CARRIER_DOWN,
    &DEVICE_ID,
    &DORMANT,
    &FLAGS,
    &IFACE_ID,
    &IFACE_LINK,
    &IFACE_LINK_MODE,
    &MTU,
    &NAME_ASSIGN_TYPE,
    &NET_DEV_GROUP,
    &SPEED,
    &TX_QUEUE_LEN,
    &PROTOCOL_TYPE,
];

/// Attributes that are numbers. The first [`WATCHED`] are read every round.
const NUMBERS: [(&str, &Family); 16] = [
    ("flags", &FLAGS),
    ("carrier_changes", &CARRIER_CHANGES),
    ("mtu", &MTU),
    ("addr_assign_type", &ADDRESS_ASSIGN_TYPE),
    ("carrier", &CARRIER),
    ("carrier_up_count", &CARRIER_UP),
    ("carrier_down_count", &CARRIER_DOWN),
    ("dev_id", &DEVICE_ID),
    ("dormant", &DORMANT),
    ("ifindex", &IFACE_ID),
    ("iflink", &IFACE_LINK),
    ("link_mode", &IFACE_LINK_MODE),
    ("name_assign_type", &NAME_ASSIGN_TYPE),
    ("netdev_group", &NET_DEV_GROUP),
    ("tx_queue_len", &TX_QUEUE_LEN),
    ("type", &PROTOCOL_TYPE),
];
const WATCHED: usize = 3;
const OPERSTATE: &str = "operstate";
/// Attributes that are text, besides the state, which is read every round.
const WORDS: [&str; 4] = ["address", "broadcast", "duplex", "ifalias"];

struct Netclass {
    /// `None`: all interfaces are wanted.
    ignored: Option<Filter>,
    skips_invalid_speed: bool,
    /// Interfaces by name; `None` for those that are left out.
    devices: BTreeMap<String, Option<Device>>,
    /// When all attributes were read last.
    settled: Option<Duration>,
    news: LinkNews,
}

struct Device {
    /// The files that are read every round, if they are kept.
    kept: Option<[KeptFile; WATCHED + 1]>,
    numbers: [Option<i64>; NUMBERS.len()],
    operstate: Option<String>,
    words: [String; WORDS.len()],
    speed: Option<i64>,
    is_new: bool,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !host.exists(Root::Sys, FOLDER) {
        return Ok(None);
    }
    let is_filtered = options.text("ignored-devices").is_some_and(|pattern| pattern != "^$");
    Ok(Some(Box::new(Netclass {
        ignored: is_filtered.then(|| options.filter("", "ignored-devices")),
        skips_invalid_speed: options.flag("ignore-invalid-speed"),
        devices: BTreeMap::new(),
        settled: None,
        news: LinkNews::default(),
    })))
}

impl Collector for Netclass {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let now = host.monotonic();
        let is_settled = self.settled.is_some_and(|then| now.saturating_sub(then) < SETTLED_FOR);
        let is_told = host.links_have_changed(&mut self.news);
        if is_told == Some(false) && is_settled {
            devices(&mut self.devices)
                .filter(|(_, device)| !device.is_new)
                .for_each(|(name, device)| device.put(name, self.skips_invalid_speed, out));
            return Ok(());
        }
        // Until all is read: the news is taken.
        let settled = self.settled.take();
        self.list(host)?;
        let mut has_changed = false;
        for (name, device) in devices(&mut self.devices) {
            has_changed |= device.watch(name, host, out) && !device.is_new;
        }
        let reads_all = has_changed || is_told == Some(true) || !is_settled;
        self.settled = if reads_all { Some(now) } else { settled };
        for (name, device) in devices(&mut self.devices) {
            if reads_all || device.is_new {
                // One that was removed is not put, nor what was read of it last.
                device.is_new = !device.read(name, host, out);
            }
            if !device.is_new {
                device.put(name, self.skips_invalid_speed, out);
            }
        }
        Ok(())
    }
}

fn devices(all: &mut BTreeMap<String, Option<Device>>) -> impl Iterator<Item = (&str, &mut Device)> {
    all.iter_mut().filter_map(|(name, device)| Some((name.as_str(), device.as_mut()?)))
}

impl Netclass {
    /// Finds the interfaces that came and forgets those that went.
    fn list(&mut self, host: &mut Host) -> Result<(), Error> {
        let (mut names, mut known) = (Vec::new(), 0);
        host.each_name(Root::Sys, FOLDER, |name| match self.devices.contains_key(name) {
            true => known += 1,
            false => names.push(name.to_owned()),
        })?;
        if known < self.devices.len() {
            names = host.names(Root::Sys, FOLDER)?;
            self.devices.retain(|name, _| names.binary_search(name).is_ok());
        }
        let mut kept = self.devices.values().flatten().filter(|device| device.kept.is_some()).count();
        for name in names {
            if self.devices.contains_key(&name) {
                continue;
            }
            let device = match &self.ignored {
                Some(ignored) if !ignored.keeps(&name) => None,
                // A file among the folders is no interface: bonding_masters.
                _ if !is_there(&name, host) => continue,
                _ => Some(Device::new(&name, kept < KEPT_DEVICES)),
            };
            kept += usize::from(device.as_ref().is_some_and(|device| device.kept.is_some()));
            self.devices.insert(name, device);
        }
        Ok(())
    }
}

fn is_there(device: &str, host: &mut Host) -> bool {
    host.exists(Root::Sys, format_args!("{FOLDER}/{device}/."))
}

impl Device {
    fn new(name: &str, is_kept: bool) -> Self {
        let file = |attribute| KeptFile::new(Root::Sys, format!("{FOLDER}/{name}/{attribute}"));
        let [(flags, _), (changes, _), (mtu, _), ..] = NUMBERS;
        Self {
            kept: is_kept.then(|| [flags, changes, mtu, OPERSTATE].map(file)),
            numbers: [None; NUMBERS.len()],
            operstate: None,
            words: Default::default(),
            speed: None,
            is_new: true,
        }
    }

    /// Reads what tells of changes; whether there are any.
    fn watch(&mut self, name: &str, host: &mut Host, out: &mut Batch) -> bool {
        let mut has_changed = false;
        for (at, ((attribute, _), number)) in NUMBERS.iter().zip(&mut self.numbers).take(WATCHED).enumerate() {
            let now = match &mut self.kept {
                Some(files) => number_of(host.read_kept(&mut files[at]), name, attribute, out),
                None => number_of(read(name, attribute, host), name, attribute, out),
            };
            has_changed |= *number != now;
            *number = now;
        }
        let state = match &mut self.kept {
            Some(files) => offered(host.read_kept(&mut files[WATCHED]), out),
            None => offered(read(name, OPERSTATE, host), out),
        };
        if state.map(parse::trim) != self.operstate.as_ref().map(String::as_bytes) {
            has_changed = true;
            self.operstate = state.map(|state| parse::text(state).into_owned());
        }
        has_changed
    }

    /// Reads everything else; whether the interface is still there.
    fn read(&mut self, name: &str, host: &mut Host, out: &mut Batch) -> bool {
        for ((attribute, _), number) in NUMBERS.iter().zip(&mut self.numbers).skip(WATCHED) {
            *number = number_of(read(name, attribute, host), name, attribute, out);
        }
        self.speed = number_of(read(name, "speed", host), name, "speed", out);
        for (attribute, word) in WORDS.iter().zip(&mut self.words) {
            word.clear();
            word.push_str(&parse::text(offered(read(name, attribute, host), out).unwrap_or_default()));
        }
        is_there(name, host)
    }

    fn put(&self, name: &str, skips_invalid_speed: bool, out: &mut Batch) {
        let [address, broadcast, duplex, ifalias] = &self.words;
        let adminstate = match self.numbers[0] {
            Some(flags) if flags & 1 == 1 => "up",
            Some(_) => "down",
            None => "unknown",
        };
        let operstate = self.operstate.as_deref().unwrap_or_default();
        let info = out.entity(INFO_LABELS, [address, adminstate, broadcast, name, duplex, ifalias, operstate]);
        out.put(&INFO, info, 1u64);
        let of = out.entity(DEVICE, [name]);
        out.put_some(&UP, of, self.operstate.as_ref().map(|state| state == "up"));
        for ((_, family), number) in NUMBERS.into_iter().zip(self.numbers) {
            out.put_some(family, of, number);
        }
        let speed = self.speed.filter(|speed| *speed >= 0 || !skips_invalid_speed);
        out.put_some(&SPEED, of, speed.and_then(|megabits| megabits.checked_mul(1_000_000 / 8)));
    }
}

fn read<'a>(device: &str, attribute: impl Display, host: &'a mut Host) -> Result<&'a [u8], Error> {
    host.read(Root::Sys, format_args!("{FOLDER}/{device}/{attribute}"))
}

/// What an attribute says; nothing, without a fault, where the interface has no such thing or is gone itself.
fn offered<'a>(result: Result<&'a [u8], Error>, out: &mut Batch) -> Option<&'a [u8]> {
    match result {
        Err(Error::Absent { .. } | Error::Gone { .. }) => None,
        Err(Error::Io { errno: Errno::INVAL | Errno::OPNOTSUPP, .. }) => None,
        result => out.ok(result),
    }
}

fn number_of(result: Result<&[u8], Error>, device: &str, attribute: &str, out: &mut Batch) -> Option<i64> {
    let text = offered(result, out)?;
    let number = integer(text);
    if number.is_none() {
        out.fault(Error::malformed(&format!("/sys/{FOLDER}/{device}/{attribute}"), 1, "a whole number"));
    }
    number
}

/// `1500`, `-1`, or `0x1003`: a number.
fn integer(text: &[u8]) -> Option<i64> {
    let text = parse::trim(text);
    if text.starts_with(b"0x") { parse::hex(text)?.try_into().ok() } else { parse::signed(text) }
}

#[cfg(test)]
mod tests;
