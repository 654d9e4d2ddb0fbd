//! `/sys/class/hwmon/`: sensors for temperature, voltage, current, power, energy, humidity, fans and clocks.
//!
//! Families are named after the attributes that the machine has. A sensor may be slow (a bus with 100 kHz behind it) or
//! fail at any time: a zone that is powered down says EAGAIN, a channel that is off ENODATA, a broken bus EIO. That
//! costs the one value. Attributes are also looked for in `device/`, where old drivers have them.

mod attribute;
mod chip;
#[cfg(test)]
mod tests;

use crate::kit::{Error, Filter, Host, Opt, OptKind, Options, Root};
use crate::model::{Batch, Family, Kind, gauge};
use crate::{Collector, Group, Pace, RunTime, Spec};
use attribute::{Form, form, is_write_only, split, value};
use chip::{Chip, clean};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = "class/hwmon";
const CHIP_SENSOR: &[&str; 2] = &["chip", "sensor"];
/// How many families may be named at run time. Machines have a few dozen.
const FAMILIES_MAX: usize = 1024;

static CHIP_NAMES: Family = gauge(
    "node_hwmon_chip_names",
    "Always 1: the name that the driver gives the chip, from /sys/class/hwmon/*/name.",
    &["chip", "chip_name"],
);
static SENSOR_LABEL: Family = gauge(
    "node_hwmon_sensor_label",
    "Always 1: what the driver says that the sensor measures, from its *_label attribute.",
    &["chip", "label", "sensor"],
);

const fn named(pattern: &'static str, kind: &'static str, help: &'static str) -> RunTime {
    RunTime { pattern, kind, help, labels: CHIP_SENSOR }
}

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[
        named("node_hwmon_temp[_<attribute>]_celsius", "gauge", "Temperatures, their limits and offsets."),
        named("node_hwmon_<in|cpu>[_<attribute>]_volts", "gauge", "Voltages and their limits."),
        named("node_hwmon_curr[_<attribute>]_amps", "gauge", "Currents and their limits."),
        named("node_hwmon_power[_<attribute>]_watt", "gauge", "Power and its limits."),
        named("node_hwmon_power_average_interval[_<attribute>]_seconds", "gauge", "What the power is averaged over."),
        named("node_hwmon_power_accuracy", "gauge", "Accuracy of the power meter, as a ratio."),
        named("node_hwmon_energy[_<attribute>]_joule_total", "counter", "Energy used."),
        named("node_hwmon_humidity[_<attribute>]", "gauge", "Relative humidity, as a ratio."),
        named("node_hwmon_fan[_<attribute>]_rpm", "gauge", "Revolutions of fans a minute, their limits and targets."),
        named("node_hwmon_freq_freq_mhz", "gauge", "Clocks; the label sensor is the sensor's own label."),
        named("node_hwmon_<kind>_<alarm|fault>", "gauge", "Whether a sensor raises an alarm or is broken."),
        named("node_hwmon_<kind>_beep_enabled", "gauge", "Whether the alarm is heard."),
        named("node_hwmon_beep_enabled", "gauge", "Whether any alarm is heard."),
        named("node_hwmon_voltage_regulator_version", "gauge", "Version of the voltage regulator."),
        named("node_hwmon_update_interval_seconds", "gauge", "How often the chip measures."),
        named("node_hwmon_<kind>_<attribute>", "gauge", "Any other attribute (pwm, fan), as the driver prints it."),
    ],
    options: &[
        Opt {
            name: "chip-include",
            kind: OptKind::Regex,
            default: "",
            help: "Chips to report, by the label chip; all others are left out.",
        },
        Opt { name: "chip-exclude", kind: OptKind::Regex, default: "", help: "Chips to leave out." },
        Opt {
            name: "sensor-include",
            kind: OptKind::Regex,
            default: "",
            help: "Sensors to report, as \"chip;sensor\"; all others are left out.",
        },
        Opt {
            name: "sensor-exclude",
            kind: OptKind::Regex,
            default: "",
            help: "Sensors to leave out, as \"chip;sensor\"; they are not even read.",
        },
    ],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "hwmon", "Hardware sensors from /sys/class/hwmon.", &[&CHIP_NAMES, &SENSOR_LABEL], open)
};

struct Hwmon {
    chips: Filter,
    sensors: Filter,
    families: HashMap<String, Arc<Family>>,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !host.exists(Root::Sys, FOLDER) {
        return Ok(None);
    }
    Ok(Some(Box::new(Hwmon {
        chips: options.filter("chip-include", "chip-exclude"),
        sensors: options.filter("sensor-include", "sensor-exclude"),
        families: HashMap::new(),
    })))
}

impl Collector for Hwmon {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for chip in chip::find(host, out)? {
            if self.chips.keeps(&chip.label) {
                self.chip(&chip, host, out);
            }
        }
        Ok(())
    }
}

impl Hwmon {
    fn chip(&mut self, chip: &Chip, host: &mut Host, out: &mut Batch) {
        if let Some(name) = &chip.name {
            let of = out.entity(&["chip", "chip_name"], [&chip.label, name]);
            out.put(&CHIP_NAMES, of, 1u64);
        }
        // A clock is known by its label; two with one label keep their numbers.
        let mut clocks = BTreeSet::new();
        for (sensor, found) in sensors(&chip.node, host, out) {
            if !self.sensors.keeps(&format!("{};{sensor}", chip.label)) {
                continue;
            }
            let label = found.files.get("label").and_then(|path| out.ok(label(path, host)));
            if let Some(label) = label.as_deref() {
                let of = out.entity(&["chip", "label", "sensor"], [&chip.label, label, &sensor]);
                out.put(&SENSOR_LABEL, of, 1u64);
            }
            let clock = (found.kind == "freq")
                .then(|| label.as_deref().map(clean))
                .flatten()
                .filter(|clock| !clock.is_empty() && clocks.insert(clock.clone()));
            self.sensor(&chip.label, &sensor, clock.as_deref(), &found, host, out);
        }
    }

    fn sensor(
        &mut self,
        chip: &str,
        sensor: &str,
        clock: Option<&str>,
        found: &Sensor,
        host: &mut Host,
        out: &mut Batch,
    ) {
        let of_sensor = out.entity(CHIP_SENSOR, [chip, sensor]);
        let is_beside_plain = found.files.contains_key("");
        // Two attributes may lead to one name: fan1_rpm and fan1_input.
        let mut names = BTreeSet::new();
        for (element, path) in &found.files {
            if element == "label" || is_write_only(element) {
                continue;
            }
            let Some(form) = form(found.kind, element, is_beside_plain) else { continue };
            if !names.insert(form.name.clone()) {
                continue;
            }
            let Some(text) = out.ok(host.read(Root::Sys, path)) else { continue };
            let Some(value) = value(text, form.decimals) else {
                // Some attributes are words (a serial number of a power meter); a measurement is not.
                if matches!(element.as_str(), "" | "input" | "average") {
                    out.fault(Error::malformed(&format!("/sys/{path}"), 1, "a number"));
                }
                continue;
            };
            let of = match clock {
                Some(clock) if element == "input" => out.entity(CHIP_SENSOR, [chip, clock]),
                _ => of_sensor,
            };
            match self.family(form) {
                Some(family) => out.put(family, of, value),
                None => out.fault(Error::Other {
                    path: format!("/sys/{FOLDER}"),
                    why: format!("more than {FAMILIES_MAX} kinds of attributes"),
                }),
            }
        }
    }

    fn family(&mut self, form: Form) -> Option<&Arc<Family>> {
        if !self.families.contains_key(&form.name) {
            if self.families.len() >= FAMILIES_MAX {
                return None;
            }
            let kind = if form.name.ends_with("_joule_total") { Kind::Counter } else { Kind::Gauge };
            let family = Family::at_run_time(form.name.clone(), form.help, kind);
            self.families.insert(form.name.clone(), family);
        }
        self.families.get(&form.name)
    }
}

/// A sensor of a chip: `temp`, and the file of each attribute, by what stands behind `temp1_`.
struct Sensor {
    kind: &'static str,
    files: BTreeMap<String, String>,
}

/// The sensors of a chip, by name. An attribute that `device/` has too is read there.
fn sensors(node: &str, host: &mut Host, out: &mut Batch) -> BTreeMap<String, Sensor> {
    let mut sensors = BTreeMap::new();
    for folder in [format!("{FOLDER}/{node}"), format!("{FOLDER}/{node}/device")] {
        let names = match host.names(Root::Sys, &folder) {
            Ok(names) => names,
            Err(error) if error.is_absent() => continue,
            Err(error) => {
                out.fault(error);
                continue;
            }
        };
        for file in names {
            let Some(attribute) = split(&file) else { continue };
            let sensor = sensors
                .entry(format!("{}{}", attribute.kind, attribute.number))
                .or_insert_with(|| Sensor { kind: attribute.kind, files: BTreeMap::new() });
            sensor.files.insert(attribute.element.to_owned(), format!("{folder}/{file}"));
        }
    }
    sensors
}

/// A sensor's label, blanks and all: dashboards match on it.
fn label(path: &str, host: &mut Host) -> Result<String, Error> {
    let text = host.read(Root::Sys, path)?;
    Ok(String::from_utf8_lossy(text).trim_matches('\n').to_owned())
}
