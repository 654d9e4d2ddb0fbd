//! Sensors of energy and power in `/sys/class/hwmon`, and rails of which only volts and amperes are measured.
//!
//! What a sensor measures is known of few chips. That of others is told as a rail, and is in no sum.

use super::source::{Found, POWER_MAX, Way};
use super::tree::Role;
use crate::kit::jetson::INPUTS;
use crate::kit::{Host, Root};
use crate::model::Batch;

const FOLDER: &str = "class/hwmon";
/// How many sensors are read.
const SENSORS_MAX: usize = 256;
/// A sensor as it was found.
#[derive(Debug, Default)]
struct Sensor<'a> {
    /// The driver's name for the chip.
    chip: &'a str,
    /// The chip and its device.
    home: &'a str,
    /// `power1`, `energy2`, `in3`.
    sensor: &'a str,
    label: &'a str,
    /// A card that is part of the processor, or a meter of a battery.
    is_within: bool,
}

/// What it measures: its role, the labels `component` and `source`, and what it is part of.
struct Meaning {
    role: Role,
    component: &'static str,
    source: &'static str,
    parent: String,
}

/// All sensors. Where RAPL has the packages, other drivers' figures of the same are left out.
pub(super) fn find(has_packages: bool, host: &mut Host, out: &mut Batch) -> Vec<Found> {
    let chips = match host.devices(Root::Sys, FOLDER, |_| true) {
        Err(error) if error.is_absent() => return Vec::new(),
        chips => out.ok(chips).unwrap_or_default(),
    };
    let mut found: Vec<Found> = Vec::new();
    for node in chips {
        let name = host.text(Root::Sys, format_args!("{FOLDER}/{node}/name"));
        let Some(chip) = out.found(name) else { continue };
        let is_mirror = host.text(Root::Sys, format_args!("{FOLDER}/{node}/device/type"));
        if matches!(is_mirror.as_deref(), Ok("Battery" | "Mains" | "USB" | "UPS" | "Wireless")) {
            continue;
        }
        let link = host.link(Root::Sys, format_args!("{FOLDER}/{node}")).unwrap_or_default();
        let home = device(&link).map_or_else(|| chip.clone(), |device| format!("{chip}-{device}"));
        // Before Linux 6.13 the meter of ACPI has its files there.
        for folder in [format!("{FOLDER}/{node}"), format!("{FOLDER}/{node}/device")] {
            if folder.ends_with("/device") && chip != "power_meter" {
                continue;
            }
            let names = host.names(Root::Sys, &folder);
            let names = out.found(names).unwrap_or_default();
            let sensors = sensors(&names, chip.starts_with("ina3221"));
            for sensor in &sensors {
                found.extend(of_sensor(sensor, &chip, &home, &folder, has_packages, host));
            }
            if !sensors.is_empty() {
                break;
            }
        }
    }
    found.truncate(SENSORS_MAX);
    for at in 1..found.len() {
        // Two of one name on one device stay apart by where they are.
        if found.iter().take(at).any(|before| found.get(at).is_some_and(|this| this.id == before.id))
            && let Some(this) = found.get_mut(at)
        {
            this.id = format!("{}@{}", this.id, this.folder.trim_start_matches(FOLDER).trim_matches('/'));
        }
    }
    found
}

/// `1-0040` of `../../devices/platform/c240000.i2c/i2c-1/1-0040/hwmon/hwmon2`, and `BAT0` of `…/power_supply/BAT0/hwmon2`:
/// the device, whose name lasts longer than the number of its sensors.
fn device(link: &str) -> Option<&str> {
    let mut steps = link.rsplit('/').skip(1).filter(|step| *step != "hwmon");
    steps.next().filter(|device| !matches!(*device, "" | "." | ".."))
}

/// `power1`, `energy1`, and `in1` of chips that measure rails, with the files that say it, energies first.
fn sensors(names: &[String], has_rails: bool) -> Vec<(&str, Way)> {
    let has = |name: &str| names.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (mut energies, mut others) = (Vec::new(), Vec::new());
    for name in names {
        let Some((sensor, file)) = name.split_once('_') else { continue };
        if sensor.strip_prefix("energy").is_some_and(is_number) && file == "input" {
            energies.push((sensor, Way::Energy { file: name.clone(), range: None, limit: POWER_MAX }));
        } else if sensor.strip_prefix("power").is_some_and(is_number) {
            // The mean over a while says more than one moment.
            let is_it = file == "average" || (file == "input" && !has(&format!("{sensor}_average")));
            others.extend(is_it.then(|| (sensor, Way::Power { file: name.clone() })));
        } else if has_rails
            && let Some(number) = sensor.strip_prefix("in")
            // Beyond the third channel are shunts and sums.
            && matches!(number, "1" | "2" | "3")
            && file == "input"
            && has(&format!("curr{number}_input"))
        {
            others.push((sensor, Way::Rail { volts: name.clone(), amps: format!("curr{number}_input") }));
        }
    }
    energies.extend(others);
    energies
}

fn of_sensor(
    (sensor, way): &(&str, Way),
    chip: &str,
    home: &str,
    folder: &str,
    has_packages: bool,
    host: &mut Host,
) -> Option<Found> {
    let mut text = |file: String| host.text(Root::Sys, format_args!("{folder}/{file}")).unwrap_or_default();
    if text(format!("{sensor}_enable")) == "0" {
        return None;
    }
    let label = if chip == "power_meter" { "oem_info" } else { "label" };
    let label = text(format!("{sensor}_{label}"));
    let is_within = match chip {
        "power_meter" => text(format!("{sensor}_is_battery")) == "1",
        // Only processors with graphics in them have this rail.
        "amdgpu" => text("in1_label".to_owned()) == "vddnb",
        _ => false,
    };
    let meaning = meaning(&Sensor { chip, home, sensor, label: &label, is_within }, has_packages)?;
    Some(Found {
        role: meaning.role,
        component: meaning.component,
        id: format!("{home}/{sensor}"),
        parent: meaning.parent,
        source: meaning.source,
        label,
        folder: folder.to_owned(),
        way: way.clone(),
        unusable: None,
    })
}

/// What a sensor measures; `None`: what something else measures already, or nothing.
fn meaning(of: &Sensor<'_>, has_packages: bool) -> Option<Meaning> {
    let first = |sensor: &str| format!("{}/{sensor}", of.home);
    let says = |role, component, source| Some(Meaning { role, component, source, parent: String::new() });
    let within = |component, source, parent| Some(Meaning { role: Role::Within, component, source, parent });
    let package = |source| if has_packages { None } else { says(Role::Package, "package", source) };
    match (of.chip, of.label) {
        (_, "NC") => None,
        ("power_meter", _) if of.is_within => within("battery", "acpi_meter", String::new()),
        ("power_meter", label) if label.starts_with("Module Power") => says(Role::Module, "module", "acpi_meter"),
        ("power_meter", label) if label.contains("Power Socket") => within("socket", "acpi_meter", String::new()),
        ("power_meter", _) => says(Role::Meter, "board", "acpi_meter"),
        ("corsairpsu", _) if of.sensor == "power1" => says(Role::PsuInput, "psu", "hwmon"),
        ("corsairpsu", _) => within("rail", "hwmon", first("power1")),
        (_, label) if label.starts_with("pin") => says(Role::PsuInput, "psu", "pmbus"),
        (_, label) if label.starts_with("pout") => within("psu_output", "pmbus", String::new()),
        ("amdgpu", _) if of.is_within => within("gpu", "amdgpu", "package-0".to_owned()),
        ("amdgpu", _) => says(Role::Device, "gpu", "amdgpu"),
        ("i915" | "xe", _) if of.sensor == "energy1" => says(Role::Device, "gpu", "i915"),
        ("i915" | "xe", _) => within("gpu", "i915", first("energy1")),
        (chip, _) if chip.starts_with("i915_gt") => within("gpu", "i915", first("energy1").replace(chip, "i915")),
        ("ibmpowernv", label) if label.starts_with("System") => says(Role::Meter, "board", "hwmon"),
        ("amd_energy", label) if label.starts_with("Esocket") => package("hwmon"),
        ("amd_energy", _) if has_packages => None,
        ("fam15h_power", _) => package("hwmon"),
        ("apm_xgene", label) if label.starts_with("CPU") => package("hwmon"),
        (chip, label) if chip.starts_with("ina") && INPUTS.contains(&label) => says(Role::BoardInput, "board", "hwmon"),
        _ => within("rail", "hwmon", String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(names: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn energies_first_and_means_before_moments() {
        let given =
            names(&["power1_input", "power1_average", "power2_input", "power1_cap", "energy1_input", "in1_input"]);
        let found: Vec<String> =
            sensors(&given, false).into_iter().map(|(name, way)| format!("{name} {way:?}")).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("energy1") && found[1].contains("power1_average") && found[2].contains("power2_input")
        );
        let rails = names(&["in1_input", "curr1_input", "in2_input", "in4_input", "curr4_input"]);
        assert_eq!(sensors(&rails, true).len(), 1);
    }

    #[test]
    fn devices_have_names() {
        assert_eq!(device("../../devices/platform/c240000.i2c/i2c-1/1-0040/hwmon/hwmon2"), Some("1-0040"));
        assert_eq!(device("../../devices/LNXSYSTM:00/power_supply/BAT0/hwmon2"), Some("BAT0"));
        assert_eq!((device("hwmon0"), device("../hwmon0"), device("")), (None, None, None));
    }

    #[test]
    fn what_sensors_mean() {
        let of = |chip, sensor, label, is_within| {
            let home = &format!("{chip}-x");
            let sensor = Sensor { chip, home, sensor, label, is_within };
            meaning(&sensor, true).map(|meaning| (meaning.role, meaning.component, meaning.parent))
        };
        let alone = |role, component| Some((role, component, String::new()));
        assert_eq!(of("power_meter", "power1", "", false), alone(Role::Meter, "board"));
        assert_eq!(of("power_meter", "power1", "", true), alone(Role::Within, "battery"));
        assert_eq!(of("power_meter", "power1", "Module Power Socket 0", false), alone(Role::Module, "module"));
        assert_eq!(of("power_meter", "power1", "Grace Power Socket 0", false), alone(Role::Within, "socket"));
        assert_eq!(of("pfe1100", "power1", "pin", false), alone(Role::PsuInput, "psu"));
        assert_eq!(of("pfe1100", "power2", "pout1", false), alone(Role::Within, "psu_output"));
        assert_eq!(of("ina3221", "in1", "VDD_IN", false), alone(Role::BoardInput, "board"));
        assert_eq!(of("ina3221", "in2", "VDD_CPU_GPU_CV", false), alone(Role::Within, "rail"));
        assert_eq!(of("ina3221", "in2", "VDDQ_VDD2_1V8AO", false), alone(Role::Within, "rail"));
        assert_eq!(of("ina3221", "in3", "NC", false), None);
        assert_eq!(of("amdgpu", "power1", "PPT", true), Some((Role::Within, "gpu", "package-0".to_owned())));
        assert_eq!(of("amdgpu", "power1", "PPT", false), alone(Role::Device, "gpu"));
        assert_eq!(of("i915_gt0", "energy1", "", false), Some((Role::Within, "gpu", "i915-x/energy1".to_owned())));
        assert_eq!(of("amd_energy", "energy1", "Esocket0", false), None);
        assert_eq!(of("scmi_sensors", "power1", "whatever", false), alone(Role::Within, "rail"));
    }

    proptest! {
        #[test]
        fn no_names_make_it_panic(mut given in prop::collection::vec("(power|energy|in|curr)[0-9]{0,2}_(input|average|x)|.{0,6}", 0..20), chip: String, label: String) {
            given.sort();
            for (sensor, _) in sensors(&given, true) {
                meaning(&Sensor { chip: &chip, home: &chip, sensor, label: &label, is_within: false }, false);
            }
        }
    }
}
