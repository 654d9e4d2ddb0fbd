use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const TEGRA: (&str, &str) = ("proc/device-tree/compatible", "nvidia,tegra234\0");

fn channel(tree: &Tree, monitor: &str, channel: usize, [label, volts, amperes]: [&str; 3]) {
    for (file, text) in [
        (format!("in{channel}_label"), label),
        (format!("in{channel}_input"), volts),
        (format!("curr{channel}_input"), amperes),
    ] {
        tree.write(&format!("sys/class/hwmon/{monitor}/{file}"), &format!("{text}\n"));
    }
}

fn chip(tree: &Tree, monitor: &str, name: &str, address: &str) {
    tree.write(&format!("sys/class/hwmon/{monitor}/name"), &format!("{name}\n"));
    tree.write(&format!("sys/devices/i2c/{address}/name"), "x\n");
    tree.write(&format!("sys/class/hwmon/{monitor}/device"), &format!("-> ../../../devices/i2c/{address}"));
}

#[test]
fn rails_of_old_releases_are_in_milliwatts() {
    let folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0";
    let tree = Tree::new(&[TEGRA, ("sys/bus/i2c/drivers/ina3221x/bind", "")]);
    for (file, text) in [
        ("rail_name_0", "POM_5V_IN"),
        ("in_voltage0_input", "4952"),
        ("in_current0_input", "352"),
        ("in_power0_input", "1743"),
        ("warn_current_limit_0", "32760 ma"),
        ("rail_name_1", "NC"),
        ("rail_name_2", "POM_5V_CPU"),
        ("in_power2_input", "366"),
    ] {
        tree.write(&format!("{folder}/{file}"), &format!("{text}\n"));
    }
    let expected = "jetson_power_watts{kind=\"input\"} 1.743\n\
                    jetson_rail_amperes{chip=\"6-0040\",rail=\"POM_5V_IN\"} 0.352\n\
                    jetson_rail_current_limit_amperes{chip=\"6-0040\",rail=\"POM_5V_IN\",kind=\"warning\"} 32.76\n\
                    jetson_rail_volts{chip=\"6-0040\",rail=\"POM_5V_IN\"} 4.952\n\
                    jetson_rail_watts{chip=\"6-0040\",rail=\"POM_5V_IN\"} 1.743\n\
                    jetson_rail_watts{chip=\"6-0040\",rail=\"POM_5V_CPU\"} 0.366\n";
    tree.check(&SPEC, &[], expected);
}

#[test]
fn power_is_voltage_times_current_where_nothing_else_is_told() {
    let tree = Tree::new(&[TEGRA]);
    chip(&tree, "hwmon2", "ina3221", "1-0040");
    channel(&tree, "hwmon2", 1, ["VDD_GPU_SOC", "843", "6170"]);
    channel(&tree, "hwmon2", 2, ["VDD_CPU_CV", "780", "3437"]);
    channel(&tree, "hwmon2", 3, ["VIN_SYS_5V0", "4968", "953"]);
    tree.write("sys/class/hwmon/hwmon2/in7_label", "sum of shunt voltages\n");
    tree.write("sys/class/hwmon/hwmon2/curr1_crit", "7784\n");
    tree.write("sys/class/hwmon/hwmon2/curr1_crit_alarm", "1\n");
    chip(&tree, "hwmon3", "ina3221", "1-0041");
    channel(&tree, "hwmon3", 1, ["VDDQ_VDD2_1V8AO", "1800", "341"]);
    channel(&tree, "hwmon3", 2, ["OFF", "x", "x"]);
    channel(&tree, "hwmon3", 3, ["NC", "x", "x"]);
    tree.write("sys/class/hwmon/hwmon3/in2_enable", "0\n");
    let expected = "jetson_power_watts{kind=\"sum\"} 12.616674\n\
                    jetson_rail_alarm{chip=\"1-0040\",rail=\"VDD_GPU_SOC\",kind=\"critical\"} 1\n\
                    jetson_rail_amperes{chip=\"1-0040\",rail=\"VDD_GPU_SOC\"} 6.17\n\
                    jetson_rail_amperes{chip=\"1-0040\",rail=\"VDD_CPU_CV\"} 3.437\n\
                    jetson_rail_amperes{chip=\"1-0040\",rail=\"VIN_SYS_5V0\"} 0.953\n\
                    jetson_rail_amperes{chip=\"1-0041\",rail=\"VDDQ_VDD2_1V8AO\"} 0.341\n\
                    jetson_rail_current_limit_amperes{chip=\"1-0040\",rail=\"VDD_GPU_SOC\",kind=\"critical\"} 7.784\n\
                    jetson_rail_volts{chip=\"1-0040\",rail=\"VDD_GPU_SOC\"} 0.843\n\
                    jetson_rail_volts{chip=\"1-0040\",rail=\"VDD_CPU_CV\"} 0.78\n\
                    jetson_rail_volts{chip=\"1-0040\",rail=\"VIN_SYS_5V0\"} 4.968\n\
                    jetson_rail_volts{chip=\"1-0041\",rail=\"VDDQ_VDD2_1V8AO\"} 1.8\n\
                    jetson_rail_watts{chip=\"1-0040\",rail=\"VDD_GPU_SOC\"} 5.20131\n\
                    jetson_rail_watts{chip=\"1-0040\",rail=\"VDD_CPU_CV\"} 2.68086\n\
                    jetson_rail_watts{chip=\"1-0040\",rail=\"VIN_SYS_5V0\"} 4.734504\n\
                    jetson_rail_watts{chip=\"1-0041\",rail=\"VDDQ_VDD2_1V8AO\"} 0.6138\n";
    tree.check(&SPEC, &[], expected);
}

#[test]
fn a_sum_without_one_of_its_rails_is_none() {
    let tree = Tree::new(&[TEGRA]);
    let rails = [("GPU", "1155"), ("CPU", "385"), ("SOC", "2502"), ("CV", "0"), ("VDDRQ", "192"), ("SYS5V", "2692")];
    chip(&tree, "hwmon2", "ina3221", "1-0040");
    chip(&tree, "hwmon3", "ina3221", "1-0041");
    for (at, (name, current)) in rails.iter().enumerate() {
        channel(&tree, if at < 3 { "hwmon2" } else { "hwmon3" }, at % 3 + 1, [name, "1000", current]);
    }
    // One that nobody knows may feed them all.
    chip(&tree, "hwmon4", "ina3221", "1-0042");
    channel(&tree, "hwmon4", 1, ["CARRIER", "1000", "9000"]);
    assert!(tree.open(&SPEC, &[]).round().contains("jetson_power_watts{kind=\"sum\"} 6.926\n"));
    tree.write("calls/errno", "sys/class/hwmon/hwmon2/curr2_input EIO\n");
    let page = tree.open(&SPEC, &[]).round();
    assert!(!page.contains("jetson_power_watts") && page.contains("rail=\"GPU\"} 1.155\n"), "{page}");
    assert!(page.ends_with("! io\n"), "{page}");
    tree.write("calls/errno", "sys/class/hwmon/hwmon2/curr2_input ENODATA\n");
    assert!(!tree.open(&SPEC, &[]).round().contains('!'));
    tree.write("calls/errno", "");
    channel(&tree, "hwmon3", 3, ["NC", "x", "x"]);
    let page = tree.open(&SPEC, &[]).round();
    assert!(!page.contains("jetson_power_watts") && page.contains("rail=\"GPU\"} 1.155\n"), "{page}");
}

#[test]
fn the_input_of_thor_is_in_microwatts() {
    let tree = Tree::new(&[TEGRA]);
    chip(&tree, "hwmon1", "ina3221", "2-0040");
    channel(&tree, "hwmon1", 1, ["VDD_GPU", "0", "0"]);
    chip(&tree, "hwmon4", "ina238", "2-0044");
    tree.write("sys/class/hwmon/hwmon4/in1_input", "19780\n");
    tree.write("sys/class/hwmon/hwmon4/curr1_input", "1000\n");
    tree.write("sys/class/hwmon/hwmon4/power1_input", "19780000\n");
    let page = tree.open(&SPEC, &[]).round();
    assert!(!page.contains("2-0044") && !page.contains("jetson_power_watts"), "whose is it? {page}");
    channel(&tree, "hwmon1", 2, ["VDD_CPU_SOC_MSS", "640", "8649"]);
    let page = tree.open(&SPEC, &[]).round();
    assert!(page.starts_with("jetson_power_watts{kind=\"input\"} 19.78\n"), "{page}");
    assert!(page.contains("jetson_rail_watts{chip=\"2-0044\",rail=\"VIN\"} 19.78\n"), "{page}");
    assert!(page.contains("jetson_rail_watts{chip=\"2-0040\",rail=\"VDD_GPU\"} 0\n"), "{page}");
}

#[test]
fn machines_that_are_no_board_and_boards_without_chips() {
    Tree::new(&[]).check(&SPEC, &[], "absent\n");
    Tree::new(&[TEGRA]).check(&SPEC, &[], "");
}

proptest! {
    #[test]
    fn no_figures_make_the_total_panic(figures: Vec<Option<i64>>) {
        let mut total = Total { kind: "sum", of: &["x"], microwatts: Some(0) };
        figures.iter().for_each(|figure| total.add("x", *figure));
        prop_assert!(total.microwatts.is_none() || figures.iter().all(Option::is_some));
    }
}
