//! Batteries in `/sys/class/power_supply`: what is drawn from them while nothing else feeds the machine.

use super::source::{Found, Way};
use super::tree::Role;
use crate::kit::{Host, Root};
use crate::model::Batch;

const FOLDER: &str = "class/power_supply";

/// The batteries of the machine itself, and the supplies that may feed it instead.
pub(super) fn find(host: &mut Host, out: &mut Batch) -> (Vec<Found>, Vec<String>) {
    let names = match host.devices(Root::Sys, FOLDER, |_| true) {
        Err(error) if error.is_absent() => return Default::default(),
        names => out.ok(names).unwrap_or_default(),
    };
    let (mut batteries, mut mains) = (Vec::new(), Vec::new());
    for name in names {
        let folder = format!("{FOLDER}/{name}");
        let kind = host.text(Root::Sys, format_args!("{folder}/type"));
        match out.found(kind).as_deref() {
            // That of a mouse feeds the mouse.
            Some("Battery") if host.text(Root::Sys, format_args!("{folder}/scope")).as_deref() != Ok("Device") => {
                batteries.push(Found {
                    role: Role::Battery,
                    component: "battery",
                    id: name.clone(),
                    parent: String::new(),
                    source: "battery",
                    label: name,
                    folder,
                    way: Way::Battery,
                    unusable: None,
                });
            }
            Some("Mains" | "USB" | "Wireless") => mains.push(folder),
            _ => {}
        }
    }
    (batteries, mains)
}

/// Whether one of these supplies feeds the machine.
pub(super) fn is_fed(mains: &[String], host: &mut Host) -> bool {
    mains.iter().any(|folder| host.number(Root::Sys, format_args!("{folder}/online")).is_ok_and(|online| online > 0))
}
