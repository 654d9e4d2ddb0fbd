//! Rails of boards: which of them are the board's input, which lie beside each other, and those that only L4T 32 has.
//!
//! L4T 32 tells the rails of Jetson boards below `iio`, in milliwatts; later releases below `hwmon`.

use super::source::{Found, Way};
use super::tree::Role;
use crate::kit::Host;
use crate::kit::jetson::{self, ADDENDS, INPUTS, OF_THOR};
use crate::model::Batch;

/// Rails of one board that one of those feeds.
const FED: [&[&str]; 2] = [&["POM_5V_CPU", "POM_5V_GPU"], &["VDD_CPU_GPU_CV", "VDD_SOC"]];

/// The rails of L4T 32, without those of chips that were found below `hwmon` too.
pub(super) fn find(known: &[Found], host: &mut Host, out: &mut Batch) -> Vec<Found> {
    let mut found = Vec::new();
    for (rail, channel) in jetson::old_rails(host, out) {
        let home = format!("ina3221x-{}/", rail.chip);
        let Some((file, _)) = rail.power.filter(|_| !known.iter().any(|known| known.id.starts_with(&home))) else {
            continue;
        };
        let is_input = INPUTS.contains(&&*rail.name);
        found.push(Found {
            role: if is_input { Role::BoardInput } else { Role::Within },
            component: if is_input { "board" } else { "rail" },
            id: format!("{home}in_power{channel}"),
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
    let Some(input) = know_input(found) else { return };
    for set in FED {
        if set.iter().all(|label| has(found, label)) {
            let fed = found.iter_mut().filter(|found| found.component == "rail" && set.contains(&&*found.label));
            fed.for_each(|fed| fed.parent.clone_from(&input));
        }
    }
}

/// The board's input. The widest of several feeds the others, whose power is in its own: they are in no sum.
fn know_input(found: &mut [Found]) -> Option<String> {
    let of = |label: &&str| found.iter().find(|found| found.role == Role::BoardInput && found.label == **label);
    let (input, label) = INPUTS.iter().find_map(of).map(|input| (input.id.clone(), input.label.clone()))?;
    let others = found.iter_mut().filter(|found| found.role == Role::BoardInput && found.label != label);
    others.for_each(|other| (other.role, other.component, other.parent) = (Role::Within, "rail", input.clone()));
    Some(input)
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;
    use std::time::Duration;

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

    /// What a board of L4T 32 with these rails and milliwatts tells after five seconds.
    fn board(rails: &[(&str, &str)]) -> String {
        let tree = Tree::new(&[]);
        for (at, (name, power)) in rails.iter().enumerate() {
            let folder = format!("sys/bus/i2c/drivers/ina3221x/1-004{}/iio:device{}", at / 3, at / 3);
            tree.write(&format!("{folder}/rail_name_{}", at % 3), &format!("{name}\n"));
            tree.write(&format!("{folder}/in_power{}_input", at % 3), &format!("{power}\n"));
        }
        let mut opened = tree.open(&SPEC, &[]);
        opened.round();
        opened.advance(Duration::from_secs(5));
        opened.round()
    }

    #[test]
    fn an_input_that_another_feeds_is_not_counted_again() {
        let whole = "node_host_power_watts{source=\"rail\",scope=\"board_in\"} 8\n";
        let fed = "component=\"rail\",id=\"ina3221x-1-0040/in_power";
        // Whichever of the two is found first.
        for (rails, feeder, fed_at) in
            [([("VIN", "8000"), ("VDD_IN", "6140")], 0, 1), ([("VDD_IN", "6140"), ("VIN", "8000")], 1, 0)]
        {
            let page = board(&rails);
            let parent = format!("{fed}{fed_at}\",parent=\"ina3221x-1-0040/in_power{feeder}\"");
            assert!(page.contains(whole) && page.contains(&parent), "{page}");
            assert!(page.contains("node_host_energy_joules_total{source=\"rail\",scope=\"board_in\"} 40\n"), "{page}");
        }
    }

    #[test]
    fn rails_of_l4t_32_are_in_milliwatts() {
        let nano = board(&[("POM_5V_IN", "1743"), ("NC", "-1"), ("POM_5V_CPU", "405"), ("POM_5V_GPU", "0")]);
        for line in [
            "node_host_power_watts{source=\"rail\",scope=\"board_in\"} 1.743\n",
            "node_host_energy_joules_total{source=\"rail\",scope=\"board_in\"} 8.715\n",
            "node_power_watts{component=\"board\",id=\"ina3221x-1-0040/in_power0\",source=\"ina3221\"} 1.743\n",
            "node_energy_joules_total{component=\"rail\",id=\"ina3221x-1-0040/in_power2\",parent=\"ina3221x-1-0040/in_power0\",source=\"ina3221\"} 2.025\n",
            "label=\"POM_5V_CPU\",kind=\"integrated\"} 1\n",
        ] {
            assert!(nano.contains(line), "{line}{nano}");
        }
        assert_eq!(nano.matches("node_power_source_info").count(), 3, "nothing is connected to NC: {nano}");
        let rails =
            [("GPU", "1155"), ("CPU", "385"), ("SOC", "2502"), ("CV", "-8"), ("VDDRQ", "192"), ("SYS5V", "2692")];
        let xavier = board(&rails);
        for line in [
            "energy_joules_total{source=\"components\",scope=\"components\"} 34.63\n",
            "power_watts{source=\"components\",scope=\"components\"} 6.926\n",
        ] {
            assert!(xavier.contains(line), "less than all of it: {xavier}");
        }
        assert!(!board(&rails[..5]).contains("node_host"), "a part of them is no sum");
    }
}
