//! `/sys/class/watchdog/`: the timers that restart a machine which hangs.

use crate::kit::attribute::{self, Attribute, families};
use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "class/watchdog";

const fn of(file: &'static str, name: &'static str, help: &'static str) -> Attribute {
    Attribute::gauge(file, name, help, &["name"])
}

static ATTRIBUTES: [Attribute; 7] = [
    of("access_cs0", "node_watchdog_access_cs0", "Whether the machine was started from its second flash memory."),
    of("bootstatus", "node_watchdog_bootstatus", "Why the machine was last started, in bits; 0 is a plain start."),
    of("fw_version", "node_watchdog_fw_version", "Version of the timer's firmware."),
    of("nowayout", "node_watchdog_nowayout", "Whether the timer can't be stopped once it runs."),
    of("pretimeout", "node_watchdog_pretimeout_seconds", "How long before its end the timer warns, in seconds."),
    of("timeleft", "node_watchdog_timeleft_seconds", "Time until the machine is restarted, in seconds."),
    of("timeout", "node_watchdog_timeout_seconds", "Time after which a machine that hangs is restarted, in seconds."),
];
static INFO: Family = gauge(
    "node_watchdog_info",
    "Always 1: what the timer is, and its state in words.",
    &["identity", "name", "options", "pretimeout_governor", "state", "status"],
);
static FAMILIES: [&Family; 8] = families(&ATTRIBUTES, [&INFO]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "watchdog", "Watchdog timers from /sys/class/watchdog.", &FAMILIES, open)
};

/// The files of the words, which are their labels.
const WORDS: &[&str; 5] = &["identity", "options", "pretimeout_governor", "state", "status"];

struct Watchdog;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(host.exists(Root::Sys, FOLDER).then(|| Box::new(Watchdog) as Box<dyn Collector>))
}

impl Collector for Watchdog {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for name in host.devices(Root::Sys, FOLDER, |_| true)? {
            let of = out.entity(&["name"], [&name]);
            let folder = format!("{FOLDER}/{name}");
            attribute::put(&ATTRIBUTES, &folder, of, host, out);
            let words = attribute::words(WORDS, &folder, host, out);
            let of = out.part(of, WORDS, words.each_ref().map(String::as_str));
            out.put(&INFO, of, true);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn figures_and_words() {
        let files = [
            ("bootstatus", "0x20\n"),
            ("fw_version", "2\n"),
            ("identity", "iTCO_wdt\n"),
            ("nowayout", "0\n"),
            ("options", "0x8180\n"),
            ("state", "active\n"),
            ("status", "0x8000\n"),
            ("timeleft", "soon\n"),
            ("timeout", "30\n"),
        ];
        let tree = Tree::new(&[("sys/class/watchdog/watchdog1/uevent", "")]);
        files.iter().for_each(|(file, text)| tree.write(&format!("sys/class/watchdog/watchdog0/{file}"), text));
        let figure = |name, value| format!("node_watchdog_{name}{{name=\"watchdog0\"}} {value}\n");
        let info = "node_watchdog_info{name=\"watchdog0\",identity=\"iTCO_wdt\",options=\"0x8180\",state=\"active\",\
                    status=\"0x8000\"} 1\nnode_watchdog_info{name=\"watchdog1\"} 1\n";
        let [bootstatus, version] = [figure("bootstatus", 32), figure("fw_version", 2)];
        let [nowayout, timeout] = [figure("nowayout", 0), figure("timeout_seconds", 30)];
        tree.check(&SPEC, &[], &format!("{bootstatus}{version}{info}{nowayout}{timeout}! malformed\n"));
    }

    #[test]
    fn machines_without_any() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/watchdog/", "")]).check(&SPEC, &[], "");
    }
}
