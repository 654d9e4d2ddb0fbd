//! What the name of an attribute says, and what its text says.

use super::chip::clean;
use crate::kit::parse;
use crate::model::Value;

const KINDS: [&str; 14] = [
    "beep_enable",
    "cpu",
    "curr",
    "energy",
    "fan",
    "freq",
    "humidity",
    "in",
    "intrusion",
    "power",
    "pwm",
    "temp",
    "update_interval",
    "vrm",
];

/// The parts of a name: `temp`, 1 and `crit_alarm`.
#[derive(Debug, PartialEq)]
pub(super) struct Attribute<'a> {
    pub(super) kind: &'static str,
    pub(super) number: u64,
    pub(super) element: &'a str,
}

/// `temp1_crit_alarm`, `pwm1`, `update_interval`: the parts. A missing number is 0: thermal zones have a plain `temp`.
pub(super) fn split(file: &str) -> Option<Attribute<'_>> {
    let (kind, rest) = file.split_at(file.find(|c: char| c.is_ascii_digit()).unwrap_or(file.len()));
    let kind = KINDS.into_iter().find(|known| *known == kind)?;
    if rest.is_empty() {
        // `power/` is the folder that every device has for its sleep states.
        return (kind != "power").then_some(Attribute { kind, number: 0, element: "" });
    }
    let (number, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let element = if rest.is_empty() { "" } else { rest.strip_prefix('_').filter(|element| !element.is_empty())? };
    Some(Attribute { kind, number: parse::number(number.as_bytes())?, element })
}

/// `in0_reset_history` clears minima and maxima when it is written.
pub(super) fn is_write_only(element: &str) -> bool {
    element.ends_with("reset_history")
}

/// How an attribute is shown.
#[derive(Debug, PartialEq)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) help: String,
    /// It counts 10^-n units: 3 for millivolts shown as volts.
    pub(super) decimals: u8,
}

/// The form of `<kind>N_<element>`. `input` is left out of the name unless there is a plain `<kind>N` beside it.
///
/// The units follow node_exporter's names, where limits and their alarms share a unit: `temp_crit_alarm_celsius` is in
/// thousandths too. One value differs: humidity comes in thousandths of a percent, so its ratio has five decimals.
pub(super) fn form(kind: &str, element: &str, is_beside_plain: bool) -> Option<Form> {
    let (unit, meaning, decimals) = match (kind, element) {
        ("beep_enable", "") => return Some(single("beep_enabled", kind, 0)),
        ("vrm", "") => return Some(single("voltage_regulator_version", kind, 0)),
        ("update_interval", "") => return Some(single("update_interval_seconds", kind, 3)),
        ("beep_enable" | "vrm" | "update_interval", _) => return None,
        (_, "fault" | "alarm") => ("", "1 if so", 0),
        (_, "beep") => ("_enabled", "1 if the alarm is heard", 0),
        ("in" | "cpu", _) => ("_volts", "in volts", 3),
        ("temp", "type") => ("", "as the driver prints it", 0),
        ("temp", _) => ("_celsius", "in degrees Celsius", 3),
        ("curr", _) => ("_amps", "in amperes", 3),
        ("energy", _) => ("_joule_total", "in joules", 6),
        ("power", "accuracy") => ("", "as a ratio", 2),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            ("_seconds", "in seconds", 3)
        }
        ("power", _) => ("_watt", "in watts", 6),
        ("humidity", _) => ("", "as a ratio", 5),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", "in revolutions a minute", 0),
        ("freq", "input") => ("_freq_mhz", "in MHz", 6),
        _ => ("", "as the driver prints it", 0),
    };
    let clean = clean(element);
    let (name, file) = match element {
        "" => (format!("node_hwmon_{kind}{unit}"), format!("{kind}N")),
        "input" if !is_beside_plain => (format!("node_hwmon_{kind}{unit}"), format!("{kind}N_input")),
        _ if clean.is_empty() => return None,
        _ => (format!("node_hwmon_{kind}_{clean}{unit}"), format!("{kind}N_{clean}")),
    };
    Some(Form { name, help: format!("Attribute {file} of hardware sensors, {meaning}."), decimals })
}

fn single(name: &str, file: &str, decimals: u8) -> Form {
    Form { name: format!("node_hwmon_{name}"), help: format!("Attribute {file} of sensor chips."), decimals }
}

/// `55000`, `9.1` or `95.00%`: so many 10^-`decimals` units.
pub(super) fn value(text: &[u8], decimals: u8) -> Option<Value> {
    let text = parse::trim(text);
    let text = text.strip_suffix(b"%").unwrap_or(text);
    match parse::signed(text) {
        Some(n) if decimals == 0 => Some(Value::Int(n)),
        Some(n) => Some(Value::Scaled(n, decimals)),
        None => {
            let number = parse::float(text).filter(|number| number.is_finite())?;
            Some(Value::Float(number / 10f64.powi(i32::from(decimals))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_split() {
        for (file, kind, number, element) in [
            ("temp1_crit_alarm", "temp", 1, "crit_alarm"),
            ("pwm12", "pwm", 12, ""),
            ("temp", "temp", 0, ""),
            ("in00_input", "in", 0, "input"),
            ("pwm1_auto_point1_temp", "pwm", 1, "auto_point1_temp"),
            ("update_interval", "update_interval", 0, ""),
        ] {
            assert_eq!(split(file), Some(Attribute { kind, number, element }), "{file}");
        }
        for file in
            ["power", "temp_input", "temp1x", "temp1_", "uevent", "", "1", "beep_mask", "in99999999999999999999"]
        {
            assert_eq!(split(file), None, "{file}");
        }
    }

    #[test]
    fn figures_are_exact_where_the_kernel_is() {
        assert_eq!(value(b"-500\n", 3), Some(Value::Scaled(-500, 3)));
        assert_eq!(value(b" 64\n", 0), Some(Value::Int(64)));
        assert_eq!(value(b"9.1\n", 0), Some(Value::Float(9.1)));
        assert_eq!(value(b"18446744073709551615\n", 6), Some(Value::Float(18446744073709551615.0 / 1e6)));
        assert_eq!(value(b"95.5%\n", 2), Some(Value::Float(0.955)));
        for bad in [&b""[..], b"\n", b"NaN\n", b"inf", b"0x10", b"N/A\n", b"%", b"1 2\n"] {
            assert_eq!(value(bad, 3), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(kind in prop::sample::select(KINDS.to_vec()), rest: String, element: String) {
            split(&rest);
            split(&format!("{kind}{rest}"));
            form(kind, &element, true);
            if let Some(attribute) = split(&format!("{kind}1_{element}")) {
                prop_assert_eq!(attribute, Attribute { kind, number: 1, element: &element });
            }
        }

        #[test]
        fn names_of_families_are_valid(kind in prop::sample::select(KINDS.to_vec()), element: String) {
            if let Some(form) = form(kind, &element, false) {
                let is_valid = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | ':');
                prop_assert!(form.name.chars().all(is_valid), "{}", form.name);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text: Vec<u8>, decimals in 0u8..7) {
            value(&text, decimals);
        }
    }
}
