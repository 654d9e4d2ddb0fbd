//! Which rails a Jetson board has, and in which files of sysfs their figures are.

use super::{monitors, sensed};
use crate::kit::{Error, Host, Root, parse};
use crate::model::Batch;

/// How many channels a chip has.
const CHANNELS: usize = 3;
/// Where the chips are of the driver of L4T 32, and where any chip of that kind is.
const OLD_DRIVER: &str = "bus/i2c/drivers/ina3221x";
const OLD_BUS: &str = "bus/iio/devices";

/// Rails through which all of the board's power flows, the widest first.
pub const INPUTS: &[&str] = &["VIN", "VDD_IN", "POM_5V_IN"];
/// Rails of boards that have no input rail, which lie beside each other: of AGX Orin, and of AGX Xavier. Whether Orin's
/// VDDQ_VDD2_1V8AO is fed by another of them is not known.
pub const ADDENDS: [&[&str]; 2] =
    [&["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"], &["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"]];
/// A rail that only AGX Thor has, whose input is measured by a chip without labels.
pub const OF_THOR: &str = "VDD_CPU_SOC_MSS";

/// A rail, and its files.
#[derive(Debug, PartialEq)]
pub struct Rail {
    /// What the board's device tree calls it.
    pub name: String,
    /// The chip that measures it: bus and address, `1-0040`.
    pub chip: String,
    /// The folder of its files.
    pub folder: String,
    /// In millivolts.
    pub voltage: String,
    /// In milliamperes.
    pub current: String,
    /// The file, and how many microwatts its unit is.
    pub power: Option<(String, i64)>,
    /// Of each kind, in milliamperes.
    pub limits: Vec<(&'static str, i64)>,
    /// Of each kind, the file.
    pub alarms: Vec<(&'static str, String)>,
}

/// What flows through a rail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// In millivolts.
    pub voltage: Option<i64>,
    /// In milliamperes.
    pub current: Option<i64>,
    /// In microwatts; the product of the two where the chip does not tell it.
    pub power: Option<i64>,
}

impl Rail {
    /// Asks the chip.
    pub fn read(&self, host: &mut Host, out: &mut Batch) -> Flow {
        let mut figure = |file: &str| {
            let figure = host.signed(Root::Sys, format_args!("{}/{file}", self.folder));
            sensed(figure, out)
        };
        let (voltage, current) = (figure(&self.voltage), figure(&self.current));
        let power = match &self.power {
            Some((file, scale)) => figure(file).and_then(|power| power.checked_mul(*scale)),
            None => voltage.zip(current).and_then(|(voltage, current)| voltage.checked_mul(current)),
        };
        Flow { voltage, current, power }
    }
}

/// The rails of the board.
///
/// # Errors
/// What the kernel answered.
pub fn rails(host: &mut Host, out: &mut Batch) -> Result<Vec<Rail>, Error> {
    let mut rails = Vec::new();
    for (mut rail, channel) in old_rails(host, out) {
        let limits = [
            ("warning", format!("warn_current_limit_{channel}")),
            ("critical", format!("crit_current_limit_{channel}")),
        ];
        rail.limits = read_limits(&rail.folder, limits, host, out);
        rails.push(rail);
    }
    for folder in monitors(host, "ina3221")? {
        let chip = chip_of(&folder, host);
        (1..=CHANNELS).for_each(|channel| rails.extend(rail(&chip, &folder, channel, host, out)));
    }
    let is_thor = rails.iter().any(|rail| rail.name == OF_THOR);
    for folder in monitors(host, "ina238")? {
        rails.extend(power_rail(is_thor, chip_of(&folder, host), folder, host, out));
    }
    Ok(rails)
}

/// The rails that L4T 32 has below `iio`, without their limits, and which channels of their chips they are.
pub fn old_rails(host: &mut Host, out: &mut Batch) -> Vec<(Rail, usize)> {
    let mut rails = Vec::new();
    for (chip, folder) in old_chips(host) {
        for channel in 0..CHANNELS {
            rails.extend(old_rail(&chip, &folder, channel, host, out).map(|rail| (rail, channel)));
        }
    }
    rails
}

/// The device of a hardware monitor: `../../devices/…/1-0040/hwmon/hwmon2`, or `device` in it, `../../../1-0040`.
fn chip_of(folder: &str, host: &mut Host) -> String {
    let home = host.link(Root::Sys, folder).unwrap_or_default();
    let link = host.link(Root::Sys, format_args!("{folder}/device")).unwrap_or_default();
    let device = home.rsplit_once("/hwmon/").map_or(link.as_str(), |(device, _)| device);
    device.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The chips of L4T 32, and their folders.
fn old_chips(host: &mut Host) -> Vec<(String, String)> {
    let mut folders = Vec::new();
    for chip in host.names(Root::Sys, OLD_DRIVER).unwrap_or_default() {
        if is_chip(&chip) {
            let names = host.names(Root::Sys, format_args!("{OLD_DRIVER}/{chip}")).unwrap_or_default();
            let device = names.iter().find(|name| name.starts_with("iio:device") || name.as_str() == "iio_device");
            folders.extend(device.map(|device| (chip.clone(), format!("{OLD_DRIVER}/{chip}/{device}"))));
        }
    }
    if folders.is_empty() {
        let devices = host.names(Root::Sys, OLD_BUS).unwrap_or_default();
        folders.extend(devices.into_iter().map(|device| (device.clone(), format!("{OLD_BUS}/{device}"))));
    }
    folders.retain(|(_, folder)| host.exists(Root::Sys, format_args!("{folder}/rail_name_0")));
    folders
}

/// `6-0040`: a bus and an address.
fn is_chip(name: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.split_once('-').is_some_and(|(bus, address)| is_hex(bus) && is_hex(address))
}

/// Whether a channel measures a rail.
fn is_rail(name: &str) -> bool {
    !name.is_empty() && !name.eq_ignore_ascii_case("NC")
}

fn old_rail(chip: &str, folder: &str, channel: usize, host: &mut Host, out: &mut Batch) -> Option<Rail> {
    let name =
        out.found(host.text(Root::Sys, format_args!("{folder}/rail_name_{channel}"))).filter(|name| is_rail(name))?;
    Some(Rail {
        name,
        chip: chip.to_owned(),
        folder: folder.to_owned(),
        voltage: format!("in_voltage{channel}_input"),
        current: format!("in_current{channel}_input"),
        power: Some((format!("in_power{channel}_input"), 1000)),
        limits: Vec::new(),
        alarms: Vec::new(),
    })
}

fn rail(chip: &str, folder: &str, channel: usize, host: &mut Host, out: &mut Batch) -> Option<Rail> {
    let name =
        out.found(host.text(Root::Sys, format_args!("{folder}/in{channel}_label"))).filter(|name| is_rail(name))?;
    if host.number(Root::Sys, format_args!("{folder}/in{channel}_enable")) == Ok(0) {
        return None;
    }
    let limits = [("warning", format!("curr{channel}_max")), ("critical", format!("curr{channel}_crit"))];
    let alarms = [("warning", format!("curr{channel}_max_alarm")), ("critical", format!("curr{channel}_crit_alarm"))];
    Some(Rail {
        name,
        chip: chip.to_owned(),
        folder: folder.to_owned(),
        voltage: format!("in{channel}_input"),
        current: format!("curr{channel}_input"),
        power: None,
        limits: read_limits(folder, limits, host, out),
        alarms: alarms.into(),
    })
}

/// The only rail of an INA238. It mostly has no name; the one on Thor's carrier board is the board's input.
fn power_rail(is_thor: bool, chip: String, folder: String, host: &mut Host, out: &mut Batch) -> Option<Rail> {
    let label = out.found(host.text(Root::Sys, format_args!("{folder}/in1_label")));
    let name = label.or_else(|| is_thor.then(|| "VIN".to_owned())).filter(|name| is_rail(name))?;
    let limits = [("warning", "curr1_max".to_owned()), ("critical", "curr1_crit".to_owned())];
    Some(Rail {
        name,
        chip,
        voltage: "in1_input".to_owned(),
        current: "curr1_input".to_owned(),
        power: Some(("power1_input".to_owned(), 1)),
        limits: read_limits(&folder, limits, host, out),
        alarms: Vec::new(),
        folder,
    })
}

/// Limits hardly ever change, and each is a read of the bus.
fn read_limits(
    folder: &str,
    files: [(&'static str, String); 2],
    host: &mut Host,
    out: &mut Batch,
) -> Vec<(&'static str, i64)> {
    let mut limits = Vec::new();
    for (kind, file) in files {
        let limit = host.read(Root::Sys, format_args!("{folder}/{file}")).map(milliamperes);
        limits.extend(out.found(limit).flatten().map(|limit| (kind, limit)));
    }
    limits
}

/// `32760` or, with L4T 32, `32760 ma`.
fn milliamperes(text: &[u8]) -> Option<i64> {
    parse::signed(parse::words(text).next()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chips_and_limits() {
        assert!(is_chip("6-0040") && is_chip("c-0041") && !is_chip("bind") && !is_chip("-") && !is_chip("ina-0040"));
        assert_eq!(milliamperes(b"32760 ma\n"), Some(32760));
        assert_eq!(milliamperes(b"7784\n"), Some(7784));
        assert_eq!(milliamperes(b"\n"), None);
        assert!(!is_rail("NC") && !is_rail("") && is_rail("VDD_IN"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, name: String) {
            milliamperes(&bytes);
            is_chip(&name);
        }
    }
}
