//! `/sys/class/power_supply/`: batteries, mains adapters, USB ports and wireless chargers.
//!
//! What a supply has depends on its driver. A read may ask a chip over a slow bus, or the firmware; a battery that was
//! taken out says ENODEV, one that does not know yet ENODATA.

use crate::kit::attribute::{self, Attribute, families};
use crate::kit::{Error, Filter, Host, Opt, OptKind, Options, Root};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "class/power_supply";

const fn of(file: &'static str, name: &'static str, help: &'static str) -> Attribute {
    Attribute::gauge(file, name, help, &["power_supply"])
}

/// The families of all figures, and what the kernel counts them in: millionths, and tenths of a degree.
static ATTRIBUTES: [Attribute; 49] = [
    of("authentic", "node_power_supply_authentic", "Whether the battery is one that the maker approves of."),
    of("calibrate", "node_power_supply_calibrate", "Whether the battery is being calibrated."),
    of("capacity", "node_power_supply_capacity", "Charge that is left, in percent."),
    of(
        "capacity_alert_max",
        "node_power_supply_capacity_alert_max",
        "Charge above which an alert is raised, in percent.",
    ),
    of(
        "capacity_alert_min",
        "node_power_supply_capacity_alert_min",
        "Charge below which an alert is raised, in percent.",
    ),
    of(
        "charge_control_limit",
        "node_power_supply_charge_control_limit",
        "Limit of the current while charging, in a millionth of the driver's steps.",
    )
    .scaled(6),
    of(
        "charge_control_limit_max",
        "node_power_supply_charge_control_limit_max",
        "Highest limit of the current while charging, in a millionth of the driver's steps.",
    )
    .scaled(6),
    of("charge_counter", "node_power_supply_charge_counter", "Charge that went through the battery, in ampere-hours.")
        .scaled(6),
    of(
        "charge_empty",
        "node_power_supply_charge_empty",
        "Charge at which the battery counts as empty, in ampere-hours.",
    )
    .scaled(6),
    of(
        "charge_empty_design",
        "node_power_supply_charge_empty_design",
        "Charge at which the new battery counted as empty, in ampere-hours.",
    )
    .scaled(6),
    of("charge_full", "node_power_supply_charge_full", "Charge of the full battery, in ampere-hours.").scaled(6),
    of(
        "charge_full_design",
        "node_power_supply_charge_full_design",
        "Charge of the full battery when it was new, in ampere-hours.",
    )
    .scaled(6),
    of("charge_now", "node_power_supply_charge_ampere", "Charge that is left, in ampere-hours.").scaled(6),
    of("charge_term_current", "node_power_supply_charge_term_current", "Current at which charging ends, in amperes.")
        .scaled(6),
    of(
        "constant_charge_current",
        "node_power_supply_constant_charge_current",
        "Current while charging with a constant one, in amperes.",
    )
    .scaled(6),
    of(
        "constant_charge_current_max",
        "node_power_supply_constant_charge_current_max",
        "Highest current while charging with a constant one, in amperes.",
    )
    .scaled(6),
    of(
        "constant_charge_voltage",
        "node_power_supply_constant_charge_voltage",
        "Voltage while charging with a constant one, in volts.",
    )
    .scaled(6),
    of(
        "constant_charge_voltage_max",
        "node_power_supply_constant_charge_voltage_max",
        "Highest voltage while charging with a constant one, in volts.",
    )
    .scaled(6),
    of("current_boot", "node_power_supply_current_boot", "Current at start, in amperes.").scaled(6),
    of("current_max", "node_power_supply_current_max", "Highest current, in amperes.").scaled(6),
    of("current_now", "node_power_supply_current_ampere", "Current, in amperes.").scaled(6),
    of("cycle_count", "node_power_supply_cyclecount", "How often the battery was charged and discharged."),
    of("energy_empty", "node_power_supply_energy_empty", "Energy at which the battery counts as empty, in watt-hours.")
        .scaled(6),
    of(
        "energy_empty_design",
        "node_power_supply_energy_empty_design",
        "Energy at which the new battery counted as empty, in watt-hours.",
    )
    .scaled(6),
    of("energy_full", "node_power_supply_energy_full", "Energy in the full battery, in watt-hours.").scaled(6),
    of(
        "energy_full_design",
        "node_power_supply_energy_full_design",
        "Energy in the full battery when it was new, in watt-hours.",
    )
    .scaled(6),
    of("energy_now", "node_power_supply_energy_watthour", "Energy that is left, in watt-hours.").scaled(6),
    of(
        "input_current_limit",
        "node_power_supply_input_current_limit",
        "Limit of the current that is drawn, in amperes.",
    )
    .scaled(6),
    of(
        "online",
        "node_power_supply_online",
        "Whether the supply feeds the machine: 0 no, 1 yes, 2 with a voltage that was negotiated.",
    ),
    of("power_now", "node_power_supply_power_watt", "Power, in watts.").scaled(6),
    of(
        "precharge_current",
        "node_power_supply_precharge_current",
        "Current while an empty battery is charged at first, in amperes.",
    )
    .scaled(6),
    of("present", "node_power_supply_present", "Whether the battery is there."),
    of("temp", "node_power_supply_temp_celsius", "Temperature, in degrees Celsius.").scaled(1),
    of(
        "temp_alert_max",
        "node_power_supply_temp_alert_max_celsius",
        "Temperature above which an alert is raised, in degrees Celsius.",
    )
    .scaled(1),
    of(
        "temp_alert_min",
        "node_power_supply_temp_alert_min_celsius",
        "Temperature below which an alert is raised, in degrees Celsius.",
    )
    .scaled(1),
    of("temp_ambient", "node_power_supply_temp_ambient_celsius", "Temperature around the battery, in degrees Celsius.")
        .scaled(1),
    of(
        "temp_ambient_max",
        "node_power_supply_temp_ambient_max_celsius",
        "Highest temperature around the battery, in degrees Celsius.",
    )
    .scaled(1),
    of(
        "temp_ambient_min",
        "node_power_supply_temp_ambient_min_celsius",
        "Lowest temperature around the battery, in degrees Celsius.",
    )
    .scaled(1),
    of("temp_max", "node_power_supply_temp_max_celsius", "Highest temperature, in degrees Celsius.").scaled(1),
    of("temp_min", "node_power_supply_temp_min_celsius", "Lowest temperature, in degrees Celsius.").scaled(1),
    of("time_to_empty_now", "node_power_supply_time_to_empty_seconds", "Time until the battery is empty, in seconds."),
    of("time_to_full_now", "node_power_supply_time_to_full_seconds", "Time until the battery is full, in seconds."),
    of("voltage_boot", "node_power_supply_voltage_boot", "Voltage at start, in volts.").scaled(6),
    of("voltage_max", "node_power_supply_voltage_max", "Highest voltage, in volts.").scaled(6),
    of("voltage_max_design", "node_power_supply_voltage_max_design", "Highest voltage by design, in volts.").scaled(6),
    of("voltage_min", "node_power_supply_voltage_min", "Lowest voltage, in volts.").scaled(6),
    of("voltage_min_design", "node_power_supply_voltage_min_design", "Lowest voltage by design, in volts.").scaled(6),
    of("voltage_now", "node_power_supply_voltage_volt", "Voltage, in volts.").scaled(6),
    of("voltage_ocv", "node_power_supply_voltage_ocv", "Voltage of the open circuit, in volts.").scaled(6),
];
static INFO: Family = gauge(
    "node_power_supply_info",
    "Always 1: what the supply is, and its state in words.",
    &[
        "capacity_level",
        "charge_type",
        "health",
        "manufacturer",
        "model_name",
        "power_supply",
        "scope",
        "serial_number",
        "status",
        "technology",
        "type",
        "usb_type",
    ],
);
static FAMILIES: [&Family; 50] = families(&ATTRIBUTES, [&INFO]);

/// The files of the words, which are their labels.
const WORDS: &[&str; 11] = &[
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt {
        name: "ignored-supplies",
        kind: OptKind::Regex,
        default: "^$",
        help: "Supplies to leave out; they are not even read.",
    }],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "powersupplyclass",
        "Batteries and other power supplies from /sys/class/power_supply.",
        &FAMILIES,
        open,
    )
};

struct Powersupplyclass {
    supplies: Filter,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let supplies = options.filter("", "ignored-supplies");
    let open = || Box::new(Powersupplyclass { supplies }) as Box<dyn Collector>;
    Ok(host.exists(Root::Sys, FOLDER).then(open))
}

impl Collector for Powersupplyclass {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for supply in host.devices(Root::Sys, FOLDER, |_| true)? {
            if self.supplies.keeps(&supply) {
                let of = out.entity(&["power_supply"], [&supply]);
                let folder = format!("{FOLDER}/{supply}");
                attribute::put(&ATTRIBUTES, &folder, of, host, out);
                let words = attribute::words(WORDS, &folder, host, out);
                let of = out.part(of, WORDS, words.each_ref().map(String::as_str));
                out.put(&INFO, of, true);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    fn tree() -> Tree {
        let battery = |file| format!("sys/class/power_supply/BAT0/{file}");
        Tree::new(&[
            ("sys/class/power_supply/AC/online", "0\n"),
            ("sys/class/power_supply/AC/type", "Mains\n"),
            ("sys/class/power_supply/AC/uevent", "POWER_SUPPLY_NAME=AC\n"),
            (&battery("capacity"), "81\n"),
            (&battery("capacity_level"), "Normal\n"),
            (&battery("cycle_count"), "0\n"),
            (&battery("energy_now"), "36580000\n"),
            (&battery("manufacturer"), " LGC\n"),
            (&battery("power_now"), "-5002000\n"),
            (&battery("serial_number"), "\n"),
            (&battery("temp"), "305\n"),
            (&battery("type"), "Battery\n"),
        ])
    }

    const AC: &str = "node_power_supply_info{power_supply=\"AC\",type=\"Mains\"} 1\n";
    const BATTERY: &str = "node_power_supply_info{power_supply=\"BAT0\",capacity_level=\"Normal\",\
                           manufacturer=\"LGC\",type=\"Battery\"} 1\n";

    fn figure(name: &str, supply: &str, value: &str) -> String {
        format!("node_power_supply_{name}{{power_supply=\"{supply}\"}} {value}\n")
    }

    #[test]
    fn figures_and_words() {
        let expected = [
            figure("capacity", "BAT0", "81"),
            figure("cyclecount", "BAT0", "0"),
            figure("energy_watthour", "BAT0", "36.58"),
            AC.to_owned(),
            BATTERY.to_owned(),
            figure("online", "AC", "0"),
            figure("power_watt", "BAT0", "-5.002"),
            figure("temp_celsius", "BAT0", "30.5"),
        ];
        tree().check(&SPEC, &[], &expected.concat());
        let expected = [AC.to_owned(), figure("online", "AC", "0")];
        tree().check(&SPEC, &[("ignored-supplies", "^BAT")], &expected.concat());
    }

    #[test]
    fn what_a_battery_does_not_know_is_absent() {
        let tree = tree();
        let errno = |file, errno| format!("sys/class/power_supply/BAT0/{file} {errno}\n");
        let gone = ["capacity", "cycle_count", "energy_now", "power_now"].map(|file| errno(file, "ENODATA")).concat();
        tree.write("calls/errno", &(gone + &errno("temp", "EIO") + &errno("manufacturer", "ENODEV")));
        let battery = BATTERY.replace("manufacturer=\"LGC\",", "");
        tree.check(&SPEC, &[], &format!("{AC}{battery}{}! io\n", figure("online", "AC", "0")));
    }

    #[test]
    fn machines_without_any() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/power_supply/", "")]).check(&SPEC, &[], "");
    }
}
