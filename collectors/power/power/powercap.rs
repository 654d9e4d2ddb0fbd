//! RAPL's zones in `/sys/class/powercap`, by their names: the numbers of their folders only tell who was registered first.

use super::source::{Found, Way};
use super::tree::Role;
use crate::kit::{Error, Host, Root, parse};
use crate::model::Batch;

const FOLDER: &str = "class/powercap";
/// How many zones are read.
const ZONES_MAX: usize = 128;

/// What is to be known of the processors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Processors {
    /// Made by AMD or Hygon: the zone `core` has one core of the package only.
    pub(super) is_amd: bool,
    /// What looks like the machine is a part of one: its figures are the host's to share out.
    pub(super) is_virtual: bool,
}

impl Processors {
    /// `vendor_id : AuthenticAMD`, `flags : fpu hypervisor`, from `/proc/cpuinfo`.
    pub(super) fn read(cpuinfo: &[u8]) -> Self {
        let mut found = Self::default();
        for line in parse::lines(cpuinfo).take_while(|line| !line.is_empty()) {
            let Some((key, value)) = parse::field(line) else { continue };
            match parse::trim(key) {
                b"vendor_id" => found.is_amd = matches!(parse::trim(value), b"AuthenticAMD" | b"HygonGenuine"),
                b"flags" => found.is_virtual = parse::words(value).any(|word| word == b"hypervisor"),
                _ => {}
            }
        }
        found
    }
}

/// A zone, by its place and name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Zone {
    /// `intel-rapl:0:1`.
    pub(super) folder: String,
    pub(super) name: String,
    /// The name of the zone that it is in.
    pub(super) above: Option<String>,
}

impl Zone {
    /// The name and all above it, which is the same after the next start.
    pub(super) fn id(&self) -> String {
        match &self.above {
            Some(above) => format!("{above}/{}", self.name),
            None => self.name.clone(),
        }
    }

    fn is_mmio(&self) -> bool {
        self.folder.starts_with("intel-rapl-mmio")
    }
}

/// The zones that measure. Those of other control types are no measurements (dtpm), or have other files.
pub(super) fn find(processors: Processors, host: &mut Host, out: &mut Batch) -> Vec<Found> {
    let is_zone = |name: &str| name.starts_with("intel-rapl") && name.contains(':');
    let folders = match host.devices(Root::Sys, FOLDER, is_zone) {
        Err(error) if error.is_absent() => return Vec::new(),
        folders => out.ok(folders).unwrap_or_default(),
    };
    let mut named: Vec<(String, String)> = Vec::new();
    for folder in folders.into_iter().take(ZONES_MAX) {
        let name = host.text(Root::Sys, format_args!("{FOLDER}/{folder}/name"));
        named.extend(out.found(name).filter(|name| !name.is_empty()).map(|name| (folder, name)));
    }
    let zones = zones(&named);
    let roots: Vec<&str> = zones.iter().filter(|zone| zone.above.is_none()).map(|zone| &*zone.name).collect();
    let mut found = Vec::new();
    for zone in &zones {
        let (role, component, parent) = place(zone, &roots);
        let folder = format!("{FOLDER}/{}", zone.folder);
        let range =
            host.number(Root::Sys, format_args!("{folder}/max_energy_range_uj")).ok().filter(|range| *range > 0);
        let way = Way::Energy { file: "energy_uj".to_owned(), range, limit: limit(component, &folder, host) };
        found.push(Found {
            role,
            component,
            id: zone.id(),
            parent,
            source: "rapl",
            label: zone.name.clone(),
            folder,
            way,
            unusable: (processors.is_amd && component == "core").then_some("one_core_only"),
        });
    }
    found
}

/// The zones without those that are another window to the same hardware, in the order of their identities.
fn zones(named: &[(String, String)]) -> Vec<Zone> {
    let above = |folder: &str| {
        let (above, _) = folder.rsplit_once(':')?;
        named.iter().find(|(folder, _)| folder == above).map(|(_, name)| name.clone())
    };
    let zone =
        |(folder, name): &(String, String)| Zone { folder: folder.clone(), name: name.clone(), above: above(folder) };
    let mut zones: Vec<Zone> = named.iter().map(zone).collect();
    // The ones that are no duplicates come first, and of those of one name the first stays.
    zones.sort_by_key(|zone| (zone.id(), zone.is_mmio(), zone.folder.clone()));
    zones.dedup_by(|later, first| later.id() == first.id() && later.is_mmio() && !first.is_mmio());
    let mut seen = std::collections::BTreeSet::new();
    for zone in &mut zones {
        // Two of one name, which should not be, stay apart by their folders.
        if !seen.insert(zone.id()) {
            zone.name = format!("{}@{}", zone.name, zone.folder);
            seen.insert(zone.id());
        }
    }
    zones
}

/// What a zone is, and what it is part of: memory is beside its package, and both are in the platform if there is one.
pub(super) fn place(zone: &Zone, roots: &[&str]) -> (Role, &'static str, String) {
    let package = zone.above.as_deref().unwrap_or(&zone.name);
    let socket = package.split('-').nth(1).unwrap_or_default();
    let own = format!("psys-{socket}");
    let psys = roots.iter().find(|root| **root == own).or_else(|| roots.iter().find(|root| **root == "psys"));
    let psys = psys.map(|root| (*root).to_owned()).unwrap_or_default();
    let name = zone.name.split(['-', '@']).next().unwrap_or_default();
    match (name, &zone.above) {
        ("package", None) => (Role::Package, "package", psys),
        ("psys", None) => (Role::Platform, "psys", String::new()),
        ("dram", _) => (Role::Memory, "dram", psys),
        ("core", Some(above)) => (Role::Within, "core", above.clone()),
        ("uncore", Some(above)) => (Role::Within, "uncore", above.clone()),
        (_, above) => (Role::Within, "other", above.clone().unwrap_or_default()),
    }
}

/// Between these is what a zone can't draw, in microwatts.
pub(super) fn bounds(component: &str) -> (u64, u64) {
    const WATT: u64 = 1_000_000;
    match component {
        "psys" => (1_000 * WATT, 20_000 * WATT),
        "dram" => (200 * WATT, 500 * WATT),
        _ => (500 * WATT, 1_500 * WATT),
    }
}

/// Whether a package may be read; where there is none, it may not.
pub(super) fn is_readable(found: &[Found], host: &mut Host) -> bool {
    let mut packages = found.iter().filter(|found| found.role == Role::Package);
    packages.any(|found| {
        let energy = host.number(Root::Sys, format_args!("{}/energy_uj", found.folder));
        !matches!(energy, Err(Error::Denied { .. }))
    })
}

/// More than this, a zone can't draw, in microwatts: twice the largest of its limits, where those are limits at all.
fn limit(component: &str, folder: &str, host: &mut Host) -> u64 {
    let (least, most) = bounds(component);
    let mut largest = 0;
    for (number, file) in [(0, "max_power_uw"), (1, "max_power_uw"), (0, "power_limit_uw"), (1, "power_limit_uw")] {
        // Many zones have none, and it is only a hint.
        let limit = host.number(Root::Sys, format_args!("{folder}/constraint_{number}_{file}"));
        largest = limit.unwrap_or(0).max(largest);
    }
    if largest == 0 { most } else { largest.saturating_mul(2).clamp(least, most) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(zones: &[(&str, &str)]) -> Vec<(String, String)> {
        zones.iter().map(|(folder, name)| ((*folder).to_owned(), (*name).to_owned())).collect()
    }

    #[test]
    fn zones_are_known_by_their_names_in_any_order() {
        let mut given = named(&[
            ("intel-rapl-mmio:0", "package-0"),
            ("intel-rapl-mmio:0:0", "dram"),
            ("intel-rapl:0", "package-1"),
            ("intel-rapl:0:0", "dram"),
            ("intel-rapl:1", "psys"),
            ("intel-rapl:2", "package-0"),
            ("intel-rapl:2:0", "core"),
            ("intel-rapl:3", "package-0-die-1"),
        ]);
        let of = |given: &[(String, String)]| -> Vec<(String, String)> {
            zones(given).into_iter().map(|zone| (zone.id(), zone.folder)).collect()
        };
        let expected = named(&[
            ("package-0", "intel-rapl:2"),
            ("package-0-die-1", "intel-rapl:3"),
            ("package-0/core", "intel-rapl:2:0"),
            // Only by the other window.
            ("package-0/dram", "intel-rapl-mmio:0:0"),
            ("package-1", "intel-rapl:0"),
            ("package-1/dram", "intel-rapl:0:0"),
            ("psys", "intel-rapl:1"),
        ]);
        assert_eq!(of(&given), expected);
        given.reverse();
        assert_eq!(of(&given), expected);
    }

    #[test]
    fn what_is_in_what() {
        let placed = |zones_of: &[(&str, &str)]| -> Vec<(Role, String)> {
            let zones = zones(&named(zones_of));
            let roots: Vec<&str> = zones.iter().filter(|zone| zone.above.is_none()).map(|zone| &*zone.name).collect();
            zones.iter().map(|zone| place(zone, &roots)).map(|(role, _, parent)| (role, parent)).collect()
        };
        let laptop = [("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:0:1", "dram")];
        let none = String::new;
        let parts = [(Role::Package, none()), (Role::Within, "package-0".to_owned()), (Role::Memory, none())];
        assert_eq!(placed(&laptop), parts);
        let two = [("a:0", "package-0"), ("a:1", "package-1"), ("a:2", "psys"), ("a:3", "psys-1")];
        let parents: Vec<String> = placed(&two).into_iter().map(|(_, parent)| parent).collect();
        assert_eq!(parents, ["psys", "psys-1", "", ""]);
    }

    #[test]
    fn processors_and_guests() {
        let amd = Processors::read(
            b"processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor sse\n\nvendor_id\t: x\n",
        );
        assert!(amd.is_amd && amd.is_virtual);
        let intel = Processors::read(b"vendor_id\t: GenuineIntel\nflags\t\t: fpu\n");
        assert!(!intel.is_amd && !intel.is_virtual);
    }

    proptest! {
        #[test]
        fn no_names_make_it_panic(given in prop::collection::vec(("[ab:0-]{0,6}", "(package|psys|dram|)[-@0-9a-z]{0,5}"), 0..12), bytes: Vec<u8>) {
            // No two folders have one name.
            let given: std::collections::BTreeMap<String, String> = given.into_iter().collect();
            let zones = zones(&given.into_iter().collect::<Vec<_>>());
            let mut ids: Vec<String> = zones.iter().map(Zone::id).collect();
            zones.iter().for_each(|zone| drop(place(zone, &[])));
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), zones.len(), "an identity twice");
            Processors::read(&bytes);
        }
    }
}
