//! `/sys/class/thermal/`: temperatures of zones, and how hard cooling devices work.
//!
//! A zone that is powered down says EAGAIN, EINVAL or ENODATA, or −256 °C on Tegra: that costs the one value. A cooling
//! device may say −1: Intel's powerclamp does while it is idle.

use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "class/thermal";

static TEMP: Family =
    gauge("node_thermal_zone_temp", "Temperature of the zone, in degrees Celsius.", &["type", "zone"]);
static CUR_STATE: Family =
    gauge("node_cooling_device_cur_state", "How hard the device cools, from 0 to its maximum.", &["name", "type"]);
static MAX_STATE: Family =
    gauge("node_cooling_device_max_state", "The state in which the device cools the most.", &["name", "type"]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "thermal_zone",
        "Thermal zones and cooling devices from /sys/class/thermal.",
        &[&TEMP, &CUR_STATE, &MAX_STATE],
        open,
    )
};

struct ThermalZone;

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(ThermalZone)))
}

impl Collector for ThermalZone {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let names = match host.devices(Root::Sys, FOLDER, |_| true) {
            Err(error) if error.is_absent() => return Ok(()),
            names => names?,
        };
        for name in names {
            if let Some(zone) = numbered(&name, "thermal_zone") {
                put_zone(zone, &name, host, out);
            } else if let Some(number) = numbered(&name, "cooling_device") {
                put_device(number, &name, host, out);
            }
        }
        Ok(())
    }
}

fn put_zone(zone: &str, name: &str, host: &mut Host, out: &mut Batch) {
    let kind = kind(name, host, out);
    let temp = host.signed(Root::Sys, format_args!("{FOLDER}/{name}/temp"));
    if let Some(temp) = out.found(temp).filter(|temp| is_valid(*temp)) {
        let of = out.entity(&["type", "zone"], [&kind, zone]);
        out.put(&TEMP, of, Value::Scaled(temp, 3));
    }
}

fn put_device(number: &str, name: &str, host: &mut Host, out: &mut Batch) {
    let kind = kind(name, host, out);
    let of = out.entity(&["name", "type"], [number, &kind]);
    for (family, file) in [(&CUR_STATE, "cur_state"), (&MAX_STATE, "max_state")] {
        let state = host.signed(Root::Sys, format_args!("{FOLDER}/{name}/{file}"));
        let state = out.found(state);
        out.put_some(family, of, state);
    }
}

fn kind(name: &str, host: &mut Host, out: &mut Batch) -> String {
    let kind = host.text(Root::Sys, format_args!("{FOLDER}/{name}/type"));
    out.found(kind).unwrap_or_default()
}

/// `thermal_zone12`: what stands behind the word.
fn numbered<'a>(name: &'a str, word: &str) -> Option<&'a str> {
    name.strip_prefix(word).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Nothing is colder than −273.15 °C, and −256 °C is what Tegra says of a zone without power.
fn is_valid(millidegrees: i64) -> bool {
    millidegrees > -273_150 && millidegrees != -256_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn zones_and_devices() {
        let tree = Tree::new(&[
            ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
            ("sys/class/thermal/thermal_zone0/temp", "27800\n"),
            ("sys/class/thermal/thermal_zone11/temp", "-3500\n"),
            ("sys/class/thermal/cooling_device0/type", "Processor\n"),
            ("sys/class/thermal/cooling_device0/cur_state", "0\n"),
            ("sys/class/thermal/cooling_device0/max_state", "10\n"),
            ("sys/class/thermal/cooling_device1/type", "intel_powerclamp\n"),
            ("sys/class/thermal/cooling_device1/cur_state", "-1\n"),
            ("sys/class/thermal/thermal_message", "x\n"),
        ]);
        let expected = "node_cooling_device_cur_state{name=\"0\",type=\"Processor\"} 0\n\
                        node_cooling_device_cur_state{name=\"1\",type=\"intel_powerclamp\"} -1\n\
                        node_cooling_device_max_state{name=\"0\",type=\"Processor\"} 10\n\
                        node_thermal_zone_temp{type=\"acpitz\",zone=\"0\"} 27.8\n\
                        node_thermal_zone_temp{zone=\"11\"} -3.5\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn a_zone_without_power_has_no_temperature() {
        let zone = |n| format!("sys/class/thermal/thermal_zone{n}/temp");
        let tree = Tree::new(&[
            (&zone(0), "-256000\n"),
            (&zone(1), "-274000\n"),
            (&zone(2), "hot\n"),
            (&zone(3), "0\n"),
            (&zone(4), "0\n"),
            (&zone(5), "0\n"),
            (&zone(6), "41500\n"),
            (
                "calls/errno",
                "sys/class/thermal/thermal_zone3/temp EAGAIN\nsys/class/thermal/thermal_zone4/temp EINVAL\n\
                 sys/class/thermal/thermal_zone5/temp ENODATA\n",
            ),
        ]);
        let expected = "node_thermal_zone_temp{zone=\"6\"} 41.5\n! io\n! io\n! malformed\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn machines_without_zones() {
        Tree::new(&[]).check(&SPEC, &[], "");
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String, n: i64) {
            numbered(&name, "thermal_zone");
            is_valid(n);
        }
    }
}
