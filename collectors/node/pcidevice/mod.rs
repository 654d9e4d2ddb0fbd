//! `/sys/bus/pci/devices/`: what is on the PCI bus, how it is linked, and whether it sleeps.
//!
//! The links' speeds and widths are read from the device itself. Where a device has no such attribute at all, the figure
//! is what node_exporter says then: −1 for links, 0 for virtual functions and `d3cold_allowed`. What fails to be read is
//! absent.

mod device;
mod ids;
#[cfg(test)]
mod tests;

use crate::kit::{Error, Host, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Entity, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use device::{Device, Ids};
use ids::Book;
use std::time::Duration;

const FOLDER: &str = "bus/pci/devices";
const PLACE: &[&str; 4] = &["segment", "bus", "device", "function"];
/// A device's numbers may change under its name, if it is changed while the machine runs.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

static INFO: Family = gauge(
    "node_pcidevice_info",
    "Always 1: what the device is, and the bridge that it is behind.",
    &[
        "bus",
        "class_id",
        "class_name",
        "device",
        "device_id",
        "device_name",
        "function",
        "parent_bus",
        "parent_device",
        "parent_function",
        "parent_segment",
        "revision",
        "segment",
        "subsystem_device_id",
        "subsystem_device_name",
        "subsystem_vendor_id",
        "subsystem_vendor_name",
        "vendor_id",
        "vendor_name",
    ],
);
static MAX_SPEED: Family = gauge(
    "node_pcidevice_max_link_transfers_per_second",
    "Transfers per second that each lane of the device is capable of; -1 without a link.",
    PLACE,
);
static MAX_WIDTH: Family =
    gauge("node_pcidevice_max_link_width", "Lanes that the device is capable of; -1 without a link.", PLACE);
static SPEED: Family = gauge(
    "node_pcidevice_current_link_transfers_per_second",
    "Transfers per second on each lane of the device's link; -1 without a link.",
    PLACE,
);
static WIDTH: Family =
    gauge("node_pcidevice_current_link_width", "Lanes of the device's link; -1 without a link.", PLACE);
static NUMA_NODE: Family =
    gauge("node_pcidevice_numa_node", "The part of the memory that the device is near to.", PLACE);
static D3COLD: Family =
    gauge("node_pcidevice_d3cold_allowed", "Whether the device may be cut off from power while it sleeps.", PLACE);
static AUTOPROBE: Family = gauge(
    "node_pcidevice_sriov_drivers_autoprobe",
    "Whether drivers are looked for when virtual functions are made.",
    PLACE,
);
static NUMVFS: Family = gauge("node_pcidevice_sriov_numvfs", "Virtual functions that there are.", PLACE);
static TOTALVFS: Family = gauge("node_pcidevice_sriov_totalvfs", "Virtual functions that there can be.", PLACE);
static MSIX: Family =
    gauge("node_pcidevice_sriov_vf_total_msix", "Interrupts that the virtual functions share.", PLACE);
static POWER_STATE: Family = gauge(
    "node_pcidevice_power_state",
    "Whether the device is in this power state; one series for each.",
    &["bus", "device", "function", "segment", "state"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt {
            name: "names",
            kind: OptKind::Flag,
            default: "false",
            help: "Whether to show the names of vendors, devices and classes too, from pci.ids.",
        },
        Opt {
            name: "idsfile",
            kind: OptKind::Text,
            default: "",
            help: "The file pci.ids, in place of the one in /usr/share/misc or /usr/share/hwdata.",
        },
    ],
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "pcidevice",
        "PCI devices from /sys/bus/pci/devices.",
        &[
            &INFO,
            &MAX_SPEED,
            &MAX_WIDTH,
            &SPEED,
            &WIDTH,
            &NUMA_NODE,
            &D3COLD,
            &AUTOPROBE,
            &NUMVFS,
            &TOTALVFS,
            &MSIX,
            &POWER_STATE,
        ],
        open,
    )
};

/// What an attribute's text says.
type Parser = fn(&[u8]) -> Option<Value>;

/// The attributes with figures: file, family, parser, and the figure of a device that has no such attribute.
static FIGURES: [(&str, &Family, Parser, Option<Value>); 10] = [
    ("max_link_speed", &MAX_SPEED, speed, Some(Value::Int(-1))),
    ("max_link_width", &MAX_WIDTH, number, Some(Value::Int(-1))),
    ("current_link_speed", &SPEED, speed, Some(Value::Int(-1))),
    ("current_link_width", &WIDTH, number, Some(Value::Int(-1))),
    ("d3cold_allowed", &D3COLD, flag, Some(Value::Int(0))),
    ("sriov_drivers_autoprobe", &AUTOPROBE, flag, Some(Value::Int(0))),
    ("sriov_numvfs", &NUMVFS, number, Some(Value::Int(0))),
    ("sriov_totalvfs", &TOTALVFS, number, Some(Value::Int(0))),
    ("sriov_vf_total_msix", &MSIX, number, Some(Value::Int(0))),
    ("numa_node", &NUMA_NODE, number, None),
];
const POWER_STATES: [&str; 7] = ["D0", "D1", "D2", "D3hot", "D3cold", "unknown", "error"];

struct Pcidevice {
    names: Vec<String>,
    devices: Vec<Device>,
    looked: Duration,
    book: Option<Book>,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let book = options.flag("names").then(|| Book::new(options.text("idsfile")));
    let collector = Pcidevice { names: Vec::new(), devices: Vec::new(), looked: Duration::ZERO, book };
    Ok(host.exists(Root::Sys, FOLDER).then(|| Box::new(collector) as Box<dyn Collector>))
}

impl Collector for Pcidevice {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let names = host.names(Root::Sys, FOLDER)?;
        let now = host.monotonic();
        if names != self.names || now.saturating_sub(self.looked) >= LOOK_AGAIN {
            self.devices = names.iter().filter_map(|name| Device::find(name, host, out)).collect();
            (self.names, self.looked) = (names, now);
            if let Some(book) = &mut self.book {
                let ids: Vec<Ids> = self.devices.iter().map(|device| device.ids).collect();
                let learned = book.learn(&ids, host);
                out.ok(learned);
            }
        }
        for device in &self.devices {
            let of = out.entity(PLACE, device.place.each_ref().map(String::as_str));
            put_info(device, self.book.as_ref(), of, out);
            put_figures(&device.name, of, host, out);
        }
        Ok(())
    }
}

fn put_info(device: &Device, book: Option<&Book>, of: Entity, out: &mut Batch) {
    let [segment, bus, slot, function] = match &device.parent {
        Some(parent) => parent.each_ref().map(String::as_str),
        None => ["*"; 4],
    };
    let labels = &["parent_segment", "parent_bus", "parent_device", "parent_function"];
    let of = out.part(of, labels, [segment, bus, slot, function]);
    let ids = &device.ids;
    let numbers = [
        format!("{:#08x}", ids.class),
        format!("{:#06x}", ids.vendor),
        format!("{:#06x}", ids.device),
        format!("{:#06x}", ids.subsystem_vendor),
        format!("{:#06x}", ids.subsystem_device),
        format!("{:#04x}", ids.revision),
    ];
    let labels = &["class_id", "vendor_id", "device_id", "subsystem_vendor_id", "subsystem_device_id", "revision"];
    let mut of = out.part(of, labels, numbers.each_ref().map(String::as_str));
    if let Some(names) = book.and_then(|book| book.names(ids)) {
        let labels = &["vendor_name", "device_name", "subsystem_vendor_name", "subsystem_device_name", "class_name"];
        of = out.part(of, labels, names.each_ref().map(String::as_str));
    }
    out.put(&INFO, of, true);
}

fn put_figures(name: &str, of: Entity, host: &mut Host, out: &mut Batch) {
    for (file, family, parsed, missing) in &FIGURES {
        let path = format_args!("{FOLDER}/{name}/{file}");
        let value = match host.read(Root::Sys, path) {
            Ok(text) if says_nothing(text) => Ok(*missing),
            Ok(text) => match parsed(text) {
                // No part of the memory is nearer than others.
                Some(Value::Int(-1)) if *file == "numa_node" => Ok(None),
                Some(value) => Ok(Some(value)),
                None => Err(Error::malformed(&format!("/sys/{path}"), 1, "a figure")),
            },
            Err(error) if error.is_absent() => Ok(*missing),
            Err(error) => Err(error),
        };
        let value = out.found(value).flatten();
        out.put_some(*family, of, value);
    }
    let state = host.text(Root::Sys, format_args!("{FOLDER}/{name}/power_state"));
    if let Some(now) = out.found(state).filter(|state| !state.is_empty()) {
        for state in POWER_STATES {
            let of = out.part(of, &["state"], [state]);
            out.put(&POWER_STATE, of, state == now);
        }
    }
}

/// Whether the device does not know: `Unknown`, `Unknown speed`, or nothing.
fn says_nothing(text: &[u8]) -> bool {
    let text = parse::trim(text);
    text.is_empty() || text.starts_with(b"Unknown")
}

fn number(text: &[u8]) -> Option<Value> {
    parse::signed(parse::trim(text)).map(Value::Int)
}

fn flag(text: &[u8]) -> Option<Value> {
    parse::signed(parse::trim(text)).map(|number| Value::from(number != 0))
}

/// `8.0 GT/s PCIe`, before Linux 5.9 `8 GT/s`: in transfers per second.
fn speed(text: &[u8]) -> Option<Value> {
    let mut words = parse::words(text);
    let speed = parse::float(words.next()?).filter(|speed| (0.0..1e6).contains(speed))?;
    (words.next()? == b"GT/s").then(|| Value::Int((speed * 1e9).round() as i64))
}
