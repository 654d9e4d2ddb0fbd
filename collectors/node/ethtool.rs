//! What the drivers of network interfaces count, and what their links can do, over the ioctl of ethtool.
//!
//! Each question waits for the RTNL lock, and some drivers ask their firmware: so each round asks for the figures alone.
//! Who drives an interface, the names of the figures and the modes of the link are asked for once a minute, and when an
//! interface has other figures than before.

mod link;
mod name;
#[cfg(test)]
mod tests;

use crate::kit::{Driver, Error, Filter, Host, Link, Opt, OptKind, Options, Root};
use crate::model::{Batch, Family, Kind, gauge};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

const DEVICE: &[&str; 1] = &["device"];
/// How many families may be named at run time. Each queue of a large interface has dozens.
const FAMILIES_MAX: usize = 20_000;
/// After which time is asked anew what seldom changes.
const SELDOM: Duration = Duration::from_secs(60);

static INFO: Family = gauge(
    "node_ethtool_info",
    "Always 1: who drives the interface.",
    &["bus_info", "device", "driver", "expansion_rom_version", "firmware_version", "version"],
);

static FAMILIES: &[&Family] = &[
    &INFO,
    &link::AUTONEGOTIATE,
    &link::SUPPORTED.autonegotiate,
    &link::SUPPORTED.pause,
    &link::SUPPORTED.asymmetric_pause,
    &link::SUPPORTED.speed,
    &link::PORT,
    &link::ADVERTISED.autonegotiate,
    &link::ADVERTISED.pause,
    &link::ADVERTISED.asymmetric_pause,
    &link::ADVERTISED.speed,
];

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[RunTime {
        pattern: "node_ethtool_<statistic>",
        kind: "untyped",
        help: "Whatever the driver counts under that name.",
        labels: DEVICE,
    }],
    options: &[
        Opt {
            name: "device-include",
            kind: OptKind::Regex,
            default: "",
            help: "Interfaces to ask, all others are left out.",
        },
        Opt { name: "device-exclude", kind: OptKind::Regex, default: "", help: "Interfaces to leave out." },
        Opt { name: "metrics-include", kind: OptKind::Regex, default: ".*", help: "Statistics of drivers to report." },
    ],
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "ethtool", "Statistics of network drivers over the ioctl of ethtool.", FAMILIES, open)
};

struct Ethtool {
    devices: Filter,
    names: Filter,
    known: HashMap<String, Known>,
    families: HashMap<String, Arc<Family>>,
}

/// What is known of an interface.
#[derive(Default)]
struct Known {
    asked: Duration,
    driver: Option<Driver>,
    link: Option<Link>,
    /// The family of each figure; `None`: it is not reported.
    figures: Vec<Option<Arc<Family>>>,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Ethtool {
        devices: options.filter("device-include", "device-exclude"),
        names: options.filter("metrics-include", ""),
        known: HashMap::new(),
        families: HashMap::new(),
    })))
}

impl Collector for Ethtool {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let mut devices = host.names(Root::Sys, "class/net")?;
        // `bonding_masters` is a file among the interfaces.
        devices.retain(|device| device != "bonding_masters" && self.devices.keeps(device));
        self.known.retain(|device, _| devices.binary_search(device).is_ok());
        for device in &devices {
            self.device(device, host, out);
        }
        Ok(())
    }
}

impl Ethtool {
    fn device(&mut self, device: &str, host: &mut Host, out: &mut Batch) {
        let now = host.monotonic();
        if self.known.get(device).is_none_or(|known| now >= known.asked + SELDOM) {
            self.ask(device, host, out);
        }
        let mut figures = self.figures(device, host, out);
        if figures.is_none() {
            self.ask(device, host, out);
            figures = self.figures(device, host, out);
        }
        let Some(known) = self.known.get(device) else { return };
        if let Some(Driver { name, version, firmware, bus, expansion_rom, .. }) = &known.driver {
            let values = [bus, device, name, expansion_rom, firmware, version].map(|value: &str| value);
            let names = &["bus_info", "device", "driver", "expansion_rom_version", "firmware_version", "version"];
            let of = out.entity(names, values);
            out.put(&INFO, of, 1u64);
        }
        if let Some(modes) = &known.link {
            link::put(device, modes, out);
        }
        let of = out.entity(DEVICE, [device]);
        for (family, figure) in known.figures.iter().zip(figures.unwrap_or_default()) {
            if let Some(family) = family {
                out.put(family, of, figure);
            }
        }
    }

    /// The figures; `None` if the interface now has others.
    fn figures(&self, device: &str, host: &mut Host, out: &mut Batch) -> Option<Vec<u64>> {
        let count = self.known.get(device).map_or(0, |known| known.figures.len());
        if count == 0 {
            return Some(Vec::new());
        }
        match host.figures(device, u32::try_from(count).unwrap_or(u32::MAX)) {
            Ok(figures) => figures,
            Err(error) => {
                supported::<()>(Err(error), out);
                Some(Vec::new())
            }
        }
    }

    /// Asks for all that seldom changes.
    fn ask(&mut self, device: &str, host: &mut Host, out: &mut Batch) {
        let driver = supported(host.driver(device), out);
        let link = supported(host.link_modes(device), out);
        let count = driver.as_ref().map_or(0, |driver| driver.figures);
        let names = if count == 0 { None } else { supported(host.figure_names(device, count), out) };
        let figures = self.chosen(&names.unwrap_or_default(), out);
        self.known.insert(device.to_owned(), Known { asked: host.monotonic(), driver, link, figures });
    }

    /// The families of the figures that are reported. Names that come to be the same are told by none of them.
    fn chosen(&mut self, names: &[String], out: &mut Batch) -> Vec<Option<Arc<Family>>> {
        let metrics: Vec<Option<(String, String)>> = names
            .iter()
            .map(|name| Some(name::sanitised(name)).filter(|name| self.names.keeps(name)))
            .map(|name| name.and_then(|name| name::full(&name).map(|full| (name, full))))
            .collect();
        let mut seen: HashMap<&str, &str> = HashMap::new();
        let mut twice = HashSet::new();
        for (raw, (_, full)) in names.iter().zip(&metrics).filter_map(|(raw, metric)| Some((raw, metric.as_ref()?))) {
            if seen.insert(full, raw).is_some_and(|other| other != raw) {
                twice.insert(full.as_str());
            }
        }
        // Of several figures that a driver gives one name, the last counts.
        let is_told = |raw: &str, at: usize| names.iter().rposition(|name| name == raw) == Some(at);
        let mut told = HashSet::new();
        let mut families = Vec::new();
        for (at, (raw, metric)) in names.iter().zip(&metrics).enumerate() {
            let metric = metric.as_ref().filter(|(_, full)| !twice.contains(full.as_str()) && is_told(raw, at));
            let name = metric.map(|(name, full)| (name, name::of_peer(name, full)));
            let name = name.filter(|(_, full)| told.insert(full.clone()));
            families.push(name.and_then(|(name, full)| family(&mut self.families, name, full, out)));
        }
        families
    }
}

fn family(
    families: &mut HashMap<String, Arc<Family>>,
    name: &str,
    full: String,
    out: &mut Batch,
) -> Option<Arc<Family>> {
    if let Some(family) = families.get(&full) {
        return Some(Arc::clone(family));
    }
    if families.len() >= FAMILIES_MAX {
        let why = format!("more than {FAMILIES_MAX} kinds of statistics");
        out.fault(Error::Other { path: "ethtool".to_owned(), why });
        return None;
    }
    let family = Family::at_run_time(full.clone(), format!("What the driver counts as {name}."), Kind::Untyped);
    families.insert(full, Arc::clone(&family));
    Some(family)
}

/// The answer, or a fault, unless the driver does not do such things or the interface is gone.
fn supported<T>(result: Result<T, Error>, out: &mut Batch) -> Option<T> {
    match result {
        Err(error) if error.is_unsupported() || matches!(error, Error::Gone { .. }) => None,
        result => out.ok(result),
    }
}
