//! Which chips there are, and what they are called.

use super::FOLDER;
use crate::kit::{Error, Host, Root};
use crate::model::Batch;
use std::collections::HashMap;

/// A chip with sensors.
#[derive(Debug, PartialEq)]
pub(super) struct Chip {
    /// `hwmon3`: where it is now; another number after the next start.
    pub(super) node: String,
    /// The label `chip`, which lasts: after the device, else after the name.
    pub(super) label: String,
    /// The driver's name for it.
    pub(super) name: Option<String>,
}

/// All chips, each with a label of its own.
pub(super) fn find(host: &mut Host, out: &mut Batch) -> Result<Vec<Chip>, Error> {
    let mut chips = Vec::new();
    for node in host.devices(Root::Sys, FOLDER, |_| true)? {
        let name = match host.text(Root::Sys, format_args!("{FOLDER}/{node}/name")) {
            Ok(name) => Some(clean(&name)).filter(|name| !name.is_empty()),
            Err(error) if error.is_absent() => None,
            Err(error) => {
                out.fault(error);
                None
            }
        };
        let label = device(host, &node).or_else(|| name.clone()).unwrap_or_else(|| clean(&node));
        chips.push(Chip { node, label, name });
    }
    tell_apart(&mut chips);
    Ok(chips)
}

fn device(host: &mut Host, node: &str) -> Option<String> {
    let link = host.link(Root::Sys, format_args!("{FOLDER}/{node}/device")).ok()?;
    if !host.exists(Root::Sys, format_args!("{FOLDER}/{node}/device")) {
        return None;
    }
    let home = host.link(Root::Sys, format_args!("{FOLDER}/{node}")).unwrap_or_else(|_| node.to_owned());
    of_device(&home, &link)
}

/// One device may have several nodes (a laptop's fans and its other sensors): those get their name behind the label,
/// or, where that does not tell them apart, their node.
fn tell_apart(chips: &mut [Chip]) {
    let with_name = |chip: &Chip| chip.name.as_ref().map(|name| format!("{}_{name}", chip.label));
    let mut labels: HashMap<String, usize> = HashMap::new();
    let mut longer: HashMap<String, usize> = HashMap::new();
    for chip in &*chips {
        *labels.entry(chip.label.clone()).or_default() += 1;
        if let Some(label) = with_name(chip) {
            *longer.entry(label).or_default() += 1;
        }
    }
    for chip in chips {
        if labels.get(&chip.label) == Some(&1) {
            continue;
        }
        chip.label = with_name(chip)
            .filter(|label| longer.get(label) == Some(&1) && !labels.contains_key(label))
            .unwrap_or_else(|| format!("{}_{}", chip.label, clean(&chip.node)));
    }
}

/// `../../devices/platform/coretemp.0/hwmon/hwmon0` and `../../../coretemp.0`: `platform_coretemp_0`.
///
/// The links of sysfs lead through no other links, so they can be followed by name.
fn of_device(home: &str, link: &str) -> Option<String> {
    let mut path: Vec<&str> = FOLDER.split('/').collect();
    for target in [home, link] {
        if target.starts_with('/') {
            path.clear();
        }
        for step in target.split('/') {
            match step {
                "" | "." => {}
                ".." => drop(path.pop()),
                step => path.push(step),
            }
        }
    }
    let device = clean(path.pop()?);
    let bus = path.pop().map(clean).unwrap_or_default();
    match (bus.is_empty(), device.is_empty()) {
        (_, true) => None,
        (true, false) => Some(device),
        (false, false) => Some(format!("{bus}_{device}")),
    }
}

/// Lower case letters, digits, colons and underscores; whatever else there is becomes an underscore.
pub(super) fn clean(name: &str) -> String {
    let allowed = |c: char| if matches!(c, 'a'..='z' | '0'..='9' | ':') { c } else { '_' };
    name.to_lowercase().chars().map(allowed).collect::<String>().trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_follow_the_device() {
        let pci = "../../devices/pci0000:00/0000:00:03.1/0000:06:00.0/hwmon/hwmon1";
        for (home, link, label) in [
            ("../../devices/platform/coretemp.0/hwmon/hwmon0", "../../../coretemp.0", Some("platform_coretemp_0")),
            (pci, "../../../0000:06:00.0", Some("0000:00:03_1_0000:06:00_0")),
            (
                "../../devices/virtual/thermal/thermal_zone0/hwmon2",
                "../../thermal_zone0",
                Some("thermal_thermal_zone0"),
            ),
            ("hwmon3", "/sys/devices/platform/applesmc.768", Some("platform_applesmc_768")),
            ("hwmon3", "../../../..", None),
            ("hwmon3", "/-/Fan", Some("fan")),
        ] {
            assert_eq!(of_device(home, link).as_deref(), label, "{home} {link}");
        }
    }

    fn labels(chips: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        let chip = |(node, label, name): &(&str, &str, Option<&str>)| Chip {
            node: (*node).to_owned(),
            label: (*label).to_owned(),
            name: name.map(str::to_owned),
        };
        let mut chips: Vec<_> = chips.iter().map(chip).collect();
        tell_apart(&mut chips);
        chips.into_iter().map(|chip| chip.label).collect()
    }

    #[test]
    fn only_labels_that_clash_grow() {
        let clash = [("hwmon0", "a", Some("x")), ("hwmon1", "a", Some("y")), ("hwmon2", "b", Some("x"))];
        assert_eq!(labels(&clash), ["a_x", "a_y", "b"]);
        let same = [("hwmon0", "a", Some("x")), ("hwmon1", "a", Some("x")), ("hwmon2", "a", None)];
        assert_eq!(labels(&same), ["a_hwmon0", "a_hwmon1", "a_hwmon2"]);
        let taken = [("hwmon0", "a", Some("x")), ("hwmon1", "a", Some("y")), ("hwmon2", "a_x", None)];
        assert_eq!(labels(&taken), ["a_hwmon0", "a_y", "a_x"]);
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(home: String, link: String, names in prop::collection::vec("[ab]{0,2}", 0..6)) {
            of_device(&home, &link);
            let nodes: Vec<_> = (0..names.len()).map(|n| format!("hwmon{n}")).collect();
            let chips: Vec<_> = nodes.iter().zip(&names).map(|(node, name)| (node.as_str(), "a", Some(&**name))).collect();
            let mut labels = labels(&chips);
            labels.sort_unstable();
            labels.dedup();
            prop_assert_eq!(labels.len(), names.len());
        }
    }
}
