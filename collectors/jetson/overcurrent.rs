//! The hardware monitor `soctherm_oc`: how often the chip slowed itself down because too much current flowed.

use crate::kit::{Error, Host, Options, Root, jetson};
use crate::model::{Batch, Family, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const ALARM: &[&str; 1] = &["oc"];

static EVENTS: Family =
    counter("jetson_overcurrent_events_total", "How often the alarm of too much current was raised.", ALARM);
static ENABLED: Family =
    gauge("jetson_overcurrent_throttle_enabled", "Whether the chip slows down when the alarm is raised.", ALARM);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "overcurrent",
        "Alarms of too much current on a Jetson board, from its monitor soctherm_oc.",
        &[&EVENTS, &ENABLED],
        open,
    )
};

#[derive(Default)]
struct Overcurrent {
    look: jetson::Look,
    /// Folder, number and file of each alarm.
    alarms: Vec<(String, String, String)>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(Overcurrent::default()) as Box<dyn Collector>))
}

impl Collector for Overcurrent {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            self.alarms.clear();
            // A second monitor would have the same numbers; no board has one.
            for folder in jetson::monitors(host, "soctherm_oc")?.into_iter().take(1) {
                for file in host.names(Root::Sys, &folder)? {
                    if let Some(number) = alarm(&file) {
                        self.alarms.push((folder.clone(), number.to_owned(), file));
                    }
                }
            }
        }
        for (folder, number, file) in &self.alarms {
            let of = out.entity(ALARM, [number]);
            let events = host.number(Root::Sys, format_args!("{folder}/{file}"));
            let events = jetson::sensed(events, out);
            out.put_some(&EVENTS, of, events);
            let enabled = host.number(Root::Sys, format_args!("{folder}/oc{number}_throt_en"));
            let enabled = jetson::sensed(enabled, out);
            out.put_some(&ENABLED, of, enabled.map(|enabled| enabled != 0));
        }
        Ok(())
    }
}

/// `oc3_event_cnt`, with L4T 32 `oc3_irq_cnt`: 3.
fn alarm(file: &str) -> Option<&str> {
    let number = file.strip_prefix("oc")?;
    let number = number.strip_suffix("_event_cnt").or_else(|| number.strip_suffix("_irq_cnt"))?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn alarms_of_new_and_old_releases() {
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra234\0"),
            ("sys/class/hwmon/hwmon4/name", "soctherm_oc\n"),
            ("sys/class/hwmon/hwmon4/oc1_event_cnt", "0\n"),
            ("sys/class/hwmon/hwmon4/oc3_event_cnt", "412\n"),
            ("sys/class/hwmon/hwmon4/oc3_throt_en", "1\n"),
        ]);
        let expected = "jetson_overcurrent_events_total{oc=\"1\"} 0\njetson_overcurrent_events_total{oc=\"3\"} 412\n\
                        jetson_overcurrent_throttle_enabled{oc=\"3\"} 1\n";
        tree.check(&SPEC, &[], expected);
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra194\0"),
            ("sys/class/hwmon/hwmon4/name", "soctherm_oc\n"),
            ("sys/class/hwmon/hwmon4/oc2_irq_cnt", "7\n"),
            ("sys/class/hwmon/hwmon4/oc2_priority", "1\n"),
        ]);
        tree.check(&SPEC, &[], "jetson_overcurrent_events_total{oc=\"2\"} 7\n");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String) {
            alarm(&name);
        }
    }
}
