//! Rails of boards: which of them are the board's input, which lie beside each other, and those that only L4T 32 has.
//!
//! L4T 32 tells the rails of Jetson boards below `iio`, in milliwatts; later releases below `hwmon`.

use super::source::{Found, Way};
use super::tree::Role;
use crate::kit::{Host, jetson};
use crate::model::Batch;

/// Rails that are all that a board draws.
pub(super) const INPUTS: &[&str] = &["POM_5V_IN", "VDD_IN", "VIN"];
/// Rails that one of those feeds.
const FED: &[&str] = &["POM_5V_CPU", "POM_5V_GPU", "VDD_CPU_GPU_CV", "VDD_SOC"];
/// Rails of boards that have no input rail, which lie beside each other: of AGX Orin, and of AGX Xavier.
const ADDENDS: [&[&str]; 2] =
    [&["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"], &["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"]];
/// A rail that only AGX Thor has, whose input is measured by a chip without labels.
const OF_THOR: &str = "VDD_CPU_SOC_MSS";

/// The rails of L4T 32.
pub(super) fn find(host: &mut Host, out: &mut Batch) -> Vec<Found> {
    let mut found = Vec::new();
    for (rail, channel) in jetson::old_rails(host, out) {
        let Some((file, _)) = rail.power else { continue };
        let is_input = INPUTS.contains(&&*rail.name);
        found.push(Found {
            role: if is_input { Role::BoardInput } else { Role::Within },
            component: if is_input { "board" } else { "rail" },
            id: format!("ina3221x-{}/in_power{channel}", rail.chip),
            parent: String::new(),
            source: "ina3221",
            label: rail.name,
            folder: rail.folder,
            way: Way::Milliwatts { file },
            unusable: None,
        });
    }
    found
}

/// What can only be told from all sensors together: which board this is.
pub(super) fn know_boards(found: &mut [Found]) {
    let has =
        |found: &[Found], label: &str| found.iter().any(|found| found.component == "rail" && found.label == label);
    for set in ADDENDS {
        if !set.iter().all(|label| has(found, label)) {
            continue;
        }
        let addends = found.iter_mut().filter(|found| found.component == "rail" && set.contains(&&*found.label));
        addends.for_each(|addend| addend.role = Role::Device);
    }
    if has(found, OF_THOR) {
        let inputs = found.iter_mut().filter(|found| found.id.starts_with("ina238") && found.label.is_empty());
        for input in inputs {
            (input.role, input.component, input.label) = (Role::BoardInput, "board", "VIN".to_owned());
        }
    }
    let input = found.iter().find(|found| found.role == Role::BoardInput).map(|input| input.id.clone());
    if let Some(input) = input {
        let fed = found.iter_mut().filter(|found| found.component == "rail" && FED.contains(&&*found.label));
        fed.for_each(|fed| fed.parent.clone_from(&input));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_known_by_all_their_rails() {
        let roles = |labels: &[&str]| -> Vec<Role> {
            let found = |label: &&str| Found {
                role: Role::Within,
                component: "rail",
                id: if label.is_empty() { "ina238-2-0044/power1".to_owned() } else { (*label).to_owned() },
                parent: String::new(),
                source: "hwmon",
                label: (*label).to_owned(),
                folder: String::new(),
                way: Way::Battery,
                unusable: None,
            };
            let mut found: Vec<Found> = labels.iter().map(found).collect();
            know_boards(&mut found);
            found.into_iter().map(|found| found.role).collect()
        };
        let (device, within) = (Role::Device, Role::Within);
        let orin = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"];
        assert_eq!(roles(&orin), [device, device, device, within]);
        assert_eq!(roles(&orin[1..]), [within; 3], "a part of them is no sum");
        let thor = ["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0", ""];
        assert_eq!(roles(&thor), [within, within, within, Role::BoardInput]);
        assert_eq!(roles(&["VDD_GPU", ""]), [within; 2]);
    }
}
