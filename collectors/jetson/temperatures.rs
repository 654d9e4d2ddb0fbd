//! `/sys/class/thermal/` of a Jetson board: its sensors under their names, without what is no measurement.
//!
//! A zone whose part of the chip is without power answers EAGAIN, or −256 °C: it has no temperature. `PMIC-Die` is a
//! constant. The collector thermal_zone shows all zones under node_exporter's names.

use crate::kit::jetson::{Sensor, is_measured};
use crate::kit::{Error, Host, Options, Root, jetson};
use crate::model::{Batch, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const SENSOR: &[&str; 2] = &["sensor", "zone"];
const TRIP: &[&str; 2] = &["trip", "type"];
/// What no trip of a board is above; zones give a huge number for one that is never reached.
const TRIP_MAX: i64 = 200_000;

static CELSIUS: Family =
    gauge("jetson_temperature_celsius", "Temperature that the sensor measures, in degrees Celsius.", SENSOR);
static TRIPS: Family = gauge(
    "jetson_temperature_trip_celsius",
    "Temperature from which on the zone is cooled (passive), reported (hot) or the board switched off (critical), in degrees Celsius.",
    &["sensor", "zone", "trip", "type"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "temperatures",
        "Temperatures of a Jetson board from /sys/class/thermal, without zones that measure nothing.",
        &[&CELSIUS, &TRIPS],
        open,
    )
};

struct Zone {
    folder: String,
    number: String,
    sensor: String,
    trips: Vec<Trip>,
}

struct Trip {
    number: String,
    kind: String,
    temp: i64,
}

#[derive(Default)]
struct Temperatures {
    look: jetson::Look,
    zones: Vec<Zone>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(Temperatures::default()) as Box<dyn Collector>))
}

impl Collector for Temperatures {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            self.zones = zones(host, out)?;
        }
        for zone in &self.zones {
            let of = out.entity(SENSOR, [&zone.sensor, &zone.number]);
            let temp = host.signed(Root::Sys, format_args!("{}/temp", zone.folder));
            if let Some(temp) = jetson::sensed(temp, out).filter(|temp| is_measured(*temp)) {
                out.put(&CELSIUS, of, Value::Scaled(temp, 3));
            }
            for trip in &zone.trips {
                let of = out.part(of, TRIP, [&trip.number, &trip.kind]);
                out.put(&TRIPS, of, Value::Scaled(trip.temp, 3));
            }
        }
        Ok(())
    }
}

/// The zones that measure something.
fn zones(host: &mut Host, out: &mut Batch) -> Result<Vec<Zone>, Error> {
    let mut zones = Vec::new();
    for Sensor { folder, number, name } in jetson::sensors(host, out)? {
        let trips = trips(&folder, host, out);
        zones.push(Zone { number, sensor: name, trips, folder });
    }
    Ok(zones)
}

/// The temperatures at which the kernel does something; those that start a fan are its own business.
fn trips(folder: &str, host: &mut Host, out: &mut Batch) -> Vec<Trip> {
    let names = out.found(host.names(Root::Sys, folder)).unwrap_or_default();
    let mut trips = Vec::new();
    for number in names.iter().filter_map(|name| trip_number(name)) {
        let kind = out.found(host.text(Root::Sys, format_args!("{folder}/trip_point_{number}_type")));
        let temp = out.found(host.signed(Root::Sys, format_args!("{folder}/trip_point_{number}_temp")));
        let is_told = |kind: &String| matches!(kind.as_str(), "passive" | "hot" | "critical");
        if let (Some(kind), Some(temp)) = (kind.filter(is_told), temp.filter(|temp| (1..TRIP_MAX).contains(temp))) {
            trips.push(Trip { number: number.to_owned(), kind, temp });
        }
    }
    trips
}

/// `trip_point_3_temp`: 3.
fn trip_number(name: &str) -> Option<&str> {
    let number = name.strip_prefix("trip_point_")?.strip_suffix("_temp")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn board(zones: &[(&str, &str)]) -> Tree {
        let tree = Tree::new(&[("proc/device-tree/compatible", "nvidia,tegra234\0")]);
        for (number, (sensor, temp)) in zones.iter().enumerate() {
            tree.write(&format!("sys/class/thermal/thermal_zone{number}/type"), &format!("{sensor}\n"));
            tree.write(&format!("sys/class/thermal/thermal_zone{number}/temp"), &format!("{temp}\n"));
        }
        tree
    }

    #[test]
    fn what_is_no_measurement_is_left_out() {
        let tree = board(&[
            ("cpu-thermal", "44562"),
            ("CV0-therm", "-256000"),
            ("cv1-thermal", "0"),
            ("PMIC-Die", "50000"),
            ("Tboard_tegra", "-4500"),
        ]);
        tree.write("calls/errno", "sys/class/thermal/thermal_zone2/temp EAGAIN\n");
        tree.write("sys/class/thermal/cooling_device0/type", "pwm-fan\n");
        let expected = "jetson_temperature_celsius{sensor=\"cpu-thermal\",zone=\"0\"} 44.562\n\
                        jetson_temperature_celsius{sensor=\"Tboard_tegra\",zone=\"4\"} -4.5\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn trips_that_cool_report_or_switch_off() {
        let tree = board(&[("tj-thermal", "50000")]);
        for (number, kind, temp) in [(0, "critical", "104500"), (1, "active", "50000"), (2, "hot", "2147483647")] {
            tree.write(&format!("sys/class/thermal/thermal_zone0/trip_point_{number}_type"), &format!("{kind}\n"));
            tree.write(&format!("sys/class/thermal/thermal_zone0/trip_point_{number}_temp"), &format!("{temp}\n"));
        }
        let expected = "jetson_temperature_celsius{sensor=\"tj-thermal\",zone=\"0\"} 50\n\
                        jetson_temperature_trip_celsius{sensor=\"tj-thermal\",zone=\"0\",trip=\"0\",type=\"critical\"} 104.5\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn machines_that_are_no_board() {
        Tree::new(&[("sys/class/thermal/thermal_zone0/temp", "1\n")]).check(&SPEC, &[], "absent\n");
        board(&[]).check(&SPEC, &[], "");
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String, n: i64) {
            trip_number(&name);
            is_measured(n);
        }
    }
}
