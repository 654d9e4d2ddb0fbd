//! The power rails of a Jetson board, measured by chips on an i2c bus (INA3221, INA238): half a millisecond for each figure.
//!
//! L4T 32 has them below `iio`, with power in milliwatts; later releases below `hwmon`, where power is the product of
//! voltage and current. Rails are called as the board's device tree calls them; `NC` is connected to nothing. An alarm is
//! told once: whoever reads it first (the collector hwmon reads it too) clears it in the chip.

#[cfg(test)]
mod tests;

use crate::kit::jetson::{self, ADDENDS, INPUTS, Rail};
use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const RAIL: &[&str; 2] = &["chip", "rail"];
const KIND: &[&str; 1] = &["kind"];

static VOLTS: Family = gauge("jetson_rail_volts", "Voltage of the rail, in volts.", RAIL);
static AMPERES: Family = gauge("jetson_rail_amperes", "Current through the rail, in amperes.", RAIL);
static WATTS: Family = gauge(
    "jetson_rail_watts",
    "Power through the rail, in watts; the product of voltage and current where the chip does not tell it.",
    RAIL,
);
static LIMIT: Family = gauge(
    "jetson_rail_current_limit_amperes",
    "Current from which on the chip raises the alarm, in amperes.",
    &["chip", "rail", "kind"],
);
static ALARM: Family = gauge(
    "jetson_rail_alarm",
    "Whether the current was above the limit since this was read last.",
    &["chip", "rail", "kind"],
);
static POWER: Family = gauge(
    "jetson_power_watts",
    "Power of the board, in watts: what its input rail measures (input), or on AGX Orin and AGX Xavier, which have none, the sum of the rails that lie beside each other, a lower bound without what the carrier board uses (sum).",
    KIND,
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "rails",
        "Voltage, current and power of a Jetson board's rails.",
        &[&VOLTS, &AMPERES, &WATTS, &LIMIT, &ALARM, &POWER],
        open,
    )
};

#[derive(Default)]
struct Rails {
    look: jetson::Look,
    rails: Vec<Rail>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(Rails::default()) as Box<dyn Collector>))
}

impl Collector for Rails {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            self.rails = jetson::rails(host, out)?;
        }
        let mut total = Total::of(&self.rails);
        for rail in &self.rails {
            total.add(&rail.name, put(rail, host, out));
        }
        if let Some(microwatts) = total.microwatts {
            let of = out.entity(KIND, [total.kind]);
            out.put(&POWER, of, Value::Scaled(microwatts, 6));
        }
        Ok(())
    }
}

/// Puts what the chip tells of a rail; its power in microwatts.
fn put(rail: &Rail, host: &mut Host, out: &mut Batch) -> Option<i64> {
    let of = out.entity(RAIL, [&rail.chip, &rail.name]);
    let flow = rail.read(host, out);
    out.put_some(&VOLTS, of, flow.voltage.map(|voltage| Value::Scaled(voltage, 3)));
    out.put_some(&AMPERES, of, flow.current.map(|current| Value::Scaled(current, 3)));
    out.put_some(&WATTS, of, flow.power.map(|power| Value::Scaled(power, 6)));
    for (kind, milliamperes) in &rail.limits {
        let of = out.part(of, KIND, [kind]);
        out.put(&LIMIT, of, Value::Scaled(*milliamperes, 3));
    }
    for (kind, file) in &rail.alarms {
        let alarm = host.number(Root::Sys, format_args!("{}/{file}", rail.folder));
        let alarm = jetson::sensed(alarm, out);
        let of = out.part(of, KIND, [kind]);
        out.put_some(&ALARM, of, alarm.map(|alarm| alarm != 0));
    }
    flow.power
}

/// What the board uses: what flows through its input, or through rails that are known to lie beside each other, if each
/// of them could be read. Of rails that nobody knows one may feed another: they are in no sum.
struct Total {
    kind: &'static str,
    /// The rails that count.
    of: &'static [&'static str],
    microwatts: Option<i64>,
}

impl Total {
    fn of(rails: &[Rail]) -> Self {
        let is_there = |name: &&str| rails.iter().any(|rail| rail.name == **name);
        if let Some(input) = INPUTS.iter().find(|input| is_there(input)) {
            return Self { kind: "input", of: std::slice::from_ref(input), microwatts: Some(0) };
        }
        let beside = ADDENDS.into_iter().find(|set| set.iter().all(is_there));
        Self { kind: "sum", of: beside.unwrap_or_default(), microwatts: beside.map(|_| 0) }
    }

    fn add(&mut self, rail: &str, microwatts: Option<i64>) {
        if self.of.contains(&rail) {
            self.microwatts = self.microwatts.zip(microwatts).and_then(|(sum, more)| sum.checked_add(more));
        }
    }
}
