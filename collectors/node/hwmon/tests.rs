use super::*;
use crate::kit::testing::Tree;

const CORETEMP: &str = "sys/devices/platform/coretemp.0";

/// A chip on the platform bus: its node, its device, its name, and its attributes.
fn chip(tree: &Tree, node: &str, device: &str, name: &str, attributes: &[(&str, &str)]) {
    let home = format!("devices/platform/{device}/hwmon/{node}");
    tree.write(&format!("sys/{home}/name"), &format!("{name}\n"));
    tree.write(&format!("sys/{home}/device"), &format!("-> ../../../{device}"));
    tree.write(&format!("sys/class/hwmon/{node}"), &format!("-> ../../{home}"));
    attributes.iter().for_each(|(file, text)| tree.write(&format!("sys/{home}/{file}"), &format!("{text}\n")));
}

fn one(attributes: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[("sys/class/hwmon/", "")]);
    chip(&tree, "hwmon0", "coretemp.0", "coretemp", attributes);
    tree
}

/// The round without the labels of the chip that `one` makes.
fn round(tree: &Tree) -> Vec<String> {
    let round = tree.open(&SPEC, &[]).round();
    let lines = round.lines().filter(|line| !line.starts_with("node_hwmon_chip_names"));
    lines.map(|line| line.replace("node_hwmon_", "").replace("chip=\"platform_coretemp_0\",", "")).collect()
}

#[test]
fn a_chip_with_a_temperature() {
    let tree = one(&[("temp1_input", "55500"), ("temp1_label", "Package id 0"), ("temp1_crit", "-1")]);
    let expected = "\
node_hwmon_chip_names{chip=\"platform_coretemp_0\",chip_name=\"coretemp\"} 1
node_hwmon_sensor_label{chip=\"platform_coretemp_0\",label=\"Package id 0\",sensor=\"temp1\"} 1
node_hwmon_temp_celsius{chip=\"platform_coretemp_0\",sensor=\"temp1\"} 55.5
node_hwmon_temp_crit_celsius{chip=\"platform_coretemp_0\",sensor=\"temp1\"} -0.001
";
    tree.check(&SPEC, &[], expected);
}

#[test]
fn every_kind_has_its_unit() {
    let tree = one(&[
        ("in0_input", "1050"),
        ("in0_alarm", "1"),
        ("in0_beep", "1"),
        ("cpu0_vid", "1250"),
        ("curr1_max", "2000"),
        ("power1_input", "12345678"),
        ("power1_average", "34000000"),
        ("power1_average_interval", "1000"),
        ("power1_accuracy", "95.0%"),
        ("power1_model_number", "X-7"),
        ("energy1_input", "123456789"),
        ("humidity1_input", "45300"),
        ("fan1_input", "1200"),
        ("fan1_pulses", "2"),
        ("fan1_fault", "0"),
        ("pwm1", "64"),
        ("pwm1_input", "65"),
        ("pwm1_auto_point1_temp", "30000"),
        ("intrusion0_alarm", "1"),
        ("temp1_type", "4"),
        ("temp1_reset_history", "1"),
        ("beep_enable", "1"),
        ("update_interval", "1500"),
        ("vrm", "9.1"),
        ("uevent", "1"),
    ]);
    let expected = [
        "beep_enabled{sensor=\"beep_enable0\"} 1",
        "cpu_vid_volts{sensor=\"cpu0\"} 1.25",
        "curr_max_amps{sensor=\"curr1\"} 2",
        "energy_joule_total{sensor=\"energy1\"} 123.456789",
        "fan_fault{sensor=\"fan1\"} 0",
        "fan_pulses{sensor=\"fan1\"} 2",
        "fan_rpm{sensor=\"fan1\"} 1200",
        "humidity{sensor=\"humidity1\"} 0.453",
        "in_alarm{sensor=\"in0\"} 1",
        "in_beep_enabled{sensor=\"in0\"} 1",
        "in_volts{sensor=\"in0\"} 1.05",
        "intrusion_alarm{sensor=\"intrusion0\"} 1",
        "power_accuracy{sensor=\"power1\"} 0.95",
        "power_average_interval_seconds{sensor=\"power1\"} 1",
        "power_average_watt{sensor=\"power1\"} 34",
        "power_watt{sensor=\"power1\"} 12.345678",
        "pwm{sensor=\"pwm1\"} 64",
        "pwm_auto_point1_temp{sensor=\"pwm1\"} 30000",
        "pwm_input{sensor=\"pwm1\"} 65",
        "temp_type{sensor=\"temp1\"} 4",
        "update_interval_seconds{sensor=\"update_interval0\"} 1.5",
        "voltage_regulator_version{sensor=\"vrm0\"} 9.1",
    ];
    assert_eq!(round(&tree), expected);
}

#[test]
fn clocks_are_known_by_their_label() {
    let tree = one(&[
        ("freq1_input", "1500000000"),
        ("freq1_label", "SCLK"),
        ("freq2_input", "500000"),
        ("freq3_input", "7000000"),
        ("freq3_label", "sclk"),
    ]);
    let expected = [
        "freq_freq_mhz{sensor=\"sclk\"} 1500",
        "freq_freq_mhz{sensor=\"freq2\"} 0.5",
        "freq_freq_mhz{sensor=\"freq3\"} 7",
        "sensor_label{label=\"SCLK\",sensor=\"freq1\"} 1",
        "sensor_label{label=\"sclk\",sensor=\"freq3\"} 1",
    ];
    assert_eq!(round(&tree), expected);
}

#[test]
fn a_sensor_that_fails_costs_one_value() {
    let tree = one(&[("temp1_input", "1000"), ("temp1_max", "9000"), ("temp2_input", "2000"), ("temp3_input", "3000")]);
    tree.write(&format!("{CORETEMP}/hwmon/hwmon0/temp4_input"), "N/A\n");
    tree.write(&format!("{CORETEMP}/hwmon/hwmon0/temp5_input"), "");
    tree.write(
        "calls/errno",
        "sys/class/hwmon/hwmon0/temp1_input EAGAIN\nsys/class/hwmon/hwmon0/temp2_input ENODATA\n",
    );
    let expected = [
        "temp_celsius{sensor=\"temp3\"} 3",
        "temp_max_celsius{sensor=\"temp1\"} 9",
        "! io",
        "! io",
        "! malformed",
        "! malformed",
    ];
    assert_eq!(round(&tree), expected);
}

#[test]
fn attributes_of_the_device_count_too() {
    let tree = one(&[("fan1_input", "1"), ("temp1_input", "1000"), ("power/control", "auto")]);
    tree.write(&format!("{CORETEMP}/fan1_input"), "777\n");
    tree.write(&format!("{CORETEMP}/temp"), "5000\n");
    tree.write(&format!("{CORETEMP}/power/control"), "auto\n");
    let expected =
        ["fan_rpm{sensor=\"fan1\"} 777", "temp_celsius{sensor=\"temp0\"} 5", "temp_celsius{sensor=\"temp1\"} 1"];
    assert_eq!(round(&tree), expected);
}

#[test]
fn attributes_that_lead_to_one_name_are_told_once() {
    let tree = one(&[("fan1_input", "1"), ("fan1_rpm", "2"), ("temp1_a-b", "3"), ("temp1_a.b", "4")]);
    assert_eq!(round(&tree), ["fan_rpm{sensor=\"fan1\"} 1", "temp_a_b_celsius{sensor=\"temp1\"} 0.003"]);
}

#[test]
fn nodes_of_one_device_are_told_apart() {
    let tree = Tree::new(&[]);
    chip(&tree, "hwmon0", "asus-nb-wmi", "asus", &[("pwm1_enable", "1")]);
    chip(&tree, "hwmon1", "asus-nb-wmi", "asus_custom_fan_curve", &[("pwm1_enable", "2")]);
    let expected = "\
node_hwmon_chip_names{chip=\"platform_asus_nb_wmi_asus\",chip_name=\"asus\"} 1
node_hwmon_chip_names{chip=\"platform_asus_nb_wmi_asus_custom_fan_curve\",chip_name=\"asus_custom_fan_curve\"} 1
node_hwmon_pwm_enable{chip=\"platform_asus_nb_wmi_asus\",sensor=\"pwm1\"} 1
node_hwmon_pwm_enable{chip=\"platform_asus_nb_wmi_asus_custom_fan_curve\",sensor=\"pwm1\"} 2
";
    tree.check(&SPEC, &[], expected);
}

#[test]
fn chips_without_a_device_go_by_name_or_node() {
    let tree = Tree::new(&[
        ("sys/class/hwmon/hwmon3/name", "my-Chip 7\n"),
        ("sys/class/hwmon/hwmon3/temp1_input", "1000\n"),
        ("sys/class/hwmon/hwmon4/temp1_input", "2000\n"),
        ("sys/class/hwmon/hwmon5/device", "-> nowhere"),
        ("sys/class/hwmon/hwmon5/name", "---\n"),
        ("sys/class/hwmon/hwmon5/temp1_input", "3000\n"),
    ]);
    let expected = "\
node_hwmon_chip_names{chip=\"my_chip_7\",chip_name=\"my_chip_7\"} 1
node_hwmon_temp_celsius{chip=\"my_chip_7\",sensor=\"temp1\"} 1
node_hwmon_temp_celsius{chip=\"hwmon4\",sensor=\"temp1\"} 2
node_hwmon_temp_celsius{chip=\"hwmon5\",sensor=\"temp1\"} 3
";
    tree.check(&SPEC, &[], expected);
}

#[test]
fn what_is_left_out_is_not_read() {
    let tree = one(&[("temp1_input", "1000"), ("temp2_input", "2000")]);
    chip(&tree, "hwmon1", "other.1", "other", &[("temp1_input", "7000")]);
    tree.write("calls/errno", "sys/class/hwmon/hwmon0/temp1_input EIO\nsys/class/hwmon/hwmon1/temp1_input EIO\n");
    let options = [("chip-exclude", "other"), ("sensor-exclude", "^platform_coretemp_0;temp1$")];
    let expected = "\
node_hwmon_chip_names{chip=\"platform_coretemp_0\",chip_name=\"coretemp\"} 1
node_hwmon_temp_celsius{chip=\"platform_coretemp_0\",sensor=\"temp2\"} 2
";
    tree.check(&SPEC, &options, expected);
    tree.check(&SPEC, &[("chip-include", "coretemp"), ("sensor-include", ";temp2$")], expected);
    let both = [("chip-include", "."), ("sensor-include", ";temp[12]$")].into_iter().chain(options);
    tree.check(&SPEC, &both.collect::<Vec<_>>(), expected);
}

#[test]
fn a_machine_without_sensors_has_none_now() {
    let tree = Tree::new(&[]);
    tree.check(&SPEC, &[], "absent\n");
    // The kernel knows of sensors and there are none: nothing has failed.
    tree.write("sys/class/hwmon/", "");
    tree.check(&SPEC, &[], "");
    let tree = one(&[("temp1_input", "1000")]);
    let mut opened = tree.open(&SPEC, &[]);
    assert!(opened.round().contains("node_hwmon_temp_celsius"));
    tree.remove("sys/class");
    assert_eq!(opened.round(), "! absent\n");
}

#[test]
fn families_are_kept_and_their_number_is_bounded() {
    let mut hwmon = Hwmon { chips: Filter::default(), sensors: Filter::default(), families: HashMap::new() };
    let named = |n: usize| form("temp", &n.to_string(), false).unwrap();
    let first = Arc::clone(hwmon.family(named(0)).unwrap());
    (1..FAMILIES_MAX).for_each(|n| assert!(hwmon.family(named(n)).is_some()));
    assert!(hwmon.family(named(FAMILIES_MAX)).is_none());
    assert!(Arc::ptr_eq(&first, hwmon.family(named(0)).unwrap()));
    assert_eq!(hwmon.families["node_hwmon_temp_0_celsius"].kind, Kind::Gauge);
}
