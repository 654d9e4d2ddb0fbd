//! `/sys/class/infiniband/`: adapters for InfiniBand and RoCE, and what their ports count.
//!
//! Reading a counter may ask the adapter. Which ones there are depends on the driver; `N/A (no PMA)` stands in files of
//! old kernels for a counter that is not there.

mod counters;
#[cfg(test)]
mod tests;

use crate::kit::attribute::{self, families};
use crate::kit::{Error, Filter, Host, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Entity, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use counters::{COUNTERS, COUNTERS_EXT, HW_COUNTERS};
use std::time::Duration;

const FOLDER: &str = "class/infiniband";
const PORT: &[&str] = &["device", "port"];

static INFO: Family = gauge(
    "node_infiniband_info",
    "Always 1: what the adapter is, and the version of its firmware.",
    &["board_id", "device", "firmware_version", "hca_type"],
);
static STATE: Family = gauge(
    "node_infiniband_state_id",
    "State of the port: 0 no change, 1 down, 2 initialising, 3 armed, 4 active, 5 active and about to go.",
    PORT,
);
static PHYSICAL_STATE: Family = gauge(
    "node_infiniband_physical_state_id",
    "State of the port's link: 0 no change, 1 asleep, 2 polling, 3 off, 4 training, 5 up, 6 recovering, 7 testing.",
    PORT,
);
static RATE: Family = gauge("node_infiniband_rate_bytes_per_second", "Speed of the port, in bytes per second.", PORT);

static FAMILIES: [&Family; 26] = families(&COUNTERS, [&INFO, &STATE, &PHYSICAL_STATE, &RATE]);
static WITH_EXT: [&Family; 34] = families(&COUNTERS_EXT, FAMILIES);
static WITH_HW: [&Family; 64] = families(&HW_COUNTERS, WITH_EXT);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt {
            name: "device-include",
            kind: OptKind::Regex,
            default: "",
            help: "Adapters to report, all others are left out.",
        },
        Opt { name: "device-exclude", kind: OptKind::Regex, default: "", help: "Adapters to leave out." },
    ],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "infiniband", "InfiniBand and RoCE adapters from /sys/class/infiniband.", &WITH_HW, open)
};

struct Infiniband {
    devices: Filter,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let devices = options.filter("device-include", "device-exclude");
    Ok(host.exists(Root::Sys, FOLDER).then(|| Box::new(Infiniband { devices }) as Box<dyn Collector>))
}

impl Collector for Infiniband {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for device in host.names(Root::Sys, FOLDER)? {
            if !self.devices.keeps(&device) {
                continue;
            }
            let words = attribute::words(&["board_id", "fw_ver", "hca_type"], &format!("{FOLDER}/{device}"), host, out);
            let of = out.entity(&["device"], [&device]);
            let labels = &["board_id", "firmware_version", "hca_type"];
            let info = out.part(of, labels, words.each_ref().map(String::as_str));
            out.put(&INFO, info, true);
            let ports = host.names(Root::Sys, format_args!("{FOLDER}/{device}/ports"));
            for port in out.found(ports).iter().flatten() {
                if parse::number(port.as_bytes()).is_some() {
                    let of = out.part(of, &["port"], [port]);
                    put_port(of, &format!("{FOLDER}/{device}/ports/{port}"), host, out);
                }
            }
        }
        Ok(())
    }
}

fn put_port(of: Entity, folder: &str, host: &mut Host, out: &mut Batch) {
    let mut word = |family: &'static Family, file: &str, value: fn(&[u8]) -> Option<Value>, expected| {
        let path = format_args!("{folder}/{file}");
        let text = host.read(Root::Sys, path);
        let value =
            text.and_then(|text| value(text).ok_or_else(|| Error::malformed(&format!("/sys/{path}"), 1, expected)));
        let value = out.found(value);
        out.put_some(family, of, value);
    };
    word(&STATE, "state", state, "a number and a state");
    word(&PHYSICAL_STATE, "phys_state", state, "a number and a state");
    word(&RATE, "rate", rate, "a rate in Gb/sec");
    attribute::put(&COUNTERS, &format!("{folder}/counters"), of, host, out);
    attribute::put(&COUNTERS_EXT, &format!("{folder}/counters_ext"), of, host, out);
    attribute::put(&HW_COUNTERS, &format!("{folder}/hw_counters"), of, host, out);
}

/// `4: ACTIVE`: the number.
fn state(text: &[u8]) -> Option<Value> {
    let (number, _) = parse::field(text)?;
    parse::number(number).map(Value::from)
}

/// `2.5 Gb/sec (1X SDR)`: in bytes per second.
fn rate(text: &[u8]) -> Option<Value> {
    const BYTES: f64 = 1e9 / 8.0;
    let mut words = parse::words(text);
    let gigabits = parse::float(words.next()?).filter(|rate| (0.0..1e9).contains(rate))?;
    words.next()?.starts_with(b"Gb/s").then(|| Value::Int((gigabits * BYTES).round() as i64))
}
