//! The thermal zones of a Jetson board.

use crate::kit::{Error, Host, Root};
use crate::model::Batch;

const FOLDER: &str = "class/thermal";
/// The zone that always has the same temperature.
const CONSTANT: &str = "pmic-die";

/// A zone that measures something.
#[derive(Debug, PartialEq, Eq)]
pub struct Sensor {
    /// Its folder in sysfs.
    pub folder: String,
    /// Its number.
    pub number: String,
    /// What it is called.
    pub name: String,
}

/// The zones that measure something.
///
/// # Errors
/// What the kernel answered; that there are none is no error.
pub fn sensors(host: &mut Host, out: &mut Batch) -> Result<Vec<Sensor>, Error> {
    let names = match host.names(Root::Sys, FOLDER) {
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        names => names?,
    };
    let mut sensors = Vec::new();
    for zone in names {
        let Some(number) = zone.strip_prefix("thermal_zone") else { continue };
        let folder = format!("{FOLDER}/{zone}");
        let Some(name) = out.found(host.text(Root::Sys, format_args!("{folder}/type"))) else { continue };
        if !name.to_ascii_lowercase().starts_with(CONSTANT) {
            sensors.push(Sensor { number: number.to_owned(), name, folder });
        }
    }
    Ok(sensors)
}

/// Nothing is colder than −273.15 °C, and −256 °C says that the zone has no power.
pub fn is_measured(millidegrees: i64) -> bool {
    millidegrees > -273_150 && millidegrees != -256_000
}
