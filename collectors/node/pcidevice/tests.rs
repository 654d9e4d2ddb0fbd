use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const DEVICE: &str = "sys/devices/pci0000:00/0000:00:02.1/0000:01:00.0";

fn tree() -> Tree {
    let files = [
        ("class", "0x010802"),
        ("vendor", "0x144d"),
        ("device", "0xa808"),
        ("subsystem_vendor", "0x144d"),
        ("subsystem_device", "0xa801"),
        ("revision", "0x00"),
        ("max_link_speed", "8.0 GT/s PCIe"),
        ("max_link_width", "4"),
        ("current_link_speed", "2.5 GT/s PCIe"),
        ("current_link_width", "4"),
        ("numa_node", "1"),
        ("d3cold_allowed", "1"),
        ("power_state", "D0"),
        ("sriov_numvfs", "2"),
    ];
    let tree = Tree::new(&[
        ("sys/bus/pci/devices/0000:01:00.0", "-> ../../../devices/pci0000:00/0000:00:02.1/0000:01:00.0"),
        ("sys/bus/pci/devices/nothing/class", "0x1\n"),
    ]);
    files.iter().for_each(|(file, text)| tree.write(&format!("{DEVICE}/{file}"), &format!("{text}\n")));
    tree
}

const PLACE_LABELS: &str = "segment=\"0000\",bus=\"01\",device=\"00\",function=\"0\"";
const INFO_LABELS: &str = "parent_segment=\"0000\",parent_bus=\"00\",parent_device=\"02\",parent_function=\"1\",\
    class_id=\"0x010802\",vendor_id=\"0x144d\",device_id=\"0xa808\",subsystem_vendor_id=\"0x144d\",\
    subsystem_device_id=\"0xa801\",revision=\"0x00\"";

fn figures(figures: &[(&str, i64)]) -> String {
    figures.iter().map(|(name, value)| format!("node_pcidevice_{name}{{{PLACE_LABELS}}} {value}\n")).collect()
}

fn states() -> String {
    let line = |state: &str| {
        let is_now = u8::from(state == "D0");
        format!("node_pcidevice_power_state{{{PLACE_LABELS},state=\"{state}\"}} {is_now}\n")
    };
    POWER_STATES.into_iter().map(line).collect()
}

fn info(more: &str) -> String {
    format!("node_pcidevice_info{{{PLACE_LABELS},{INFO_LABELS}{more}}} 1\n")
}

fn page(more: &str) -> String {
    let first =
        [("current_link_transfers_per_second", 2_500_000_000), ("current_link_width", 4), ("d3cold_allowed", 1)];
    let second = [("max_link_transfers_per_second", 8_000_000_000), ("max_link_width", 4), ("numa_node", 1)];
    let third =
        [("sriov_drivers_autoprobe", 0), ("sriov_numvfs", 2), ("sriov_totalvfs", 0), ("sriov_vf_total_msix", 0)];
    [figures(&first), info(more), figures(&second), states(), figures(&third)].concat()
}

#[test]
fn devices_with_links() {
    tree().check(&SPEC, &[], &page(""));
}

#[test]
fn names_from_the_file() {
    let tree = tree();
    let names = |names: [&str; 5]| {
        let [vendor, device, maker, card, class] = names;
        format!(
            ",vendor_name=\"{vendor}\",device_name=\"{device}\",subsystem_vendor_name=\"{maker}\",\
             subsystem_device_name=\"{card}\",class_name=\"{class}\""
        )
    };
    let path = format!("{}/mine.ids", tree.path());
    let options = [("names", "true"), ("idsfile", path.as_str())];
    let numbers = names(["144d", "a808", "144d", "a801", "Unknown class (010802)"]);
    tree.check(&SPEC, &options, &format!("{}! absent\n", page(&numbers)));
    tree.write("mine.ids", "144d  Samsung\n\ta808  NVMe SSD\nC 01  Mass storage\n");
    let known = names(["Samsung", "NVMe SSD", "Samsung", "a801", "Mass storage"]);
    tree.check(&SPEC, &options, &page(&known));
    tree.write("rootfs/usr/share/hwdata/pci.ids", "144d  Of the machine\n\ta808  SSD\nC 01  Storage\n");
    let known = names(["Of the machine", "SSD", "Of the machine", "a801", "Storage"]);
    let round = tree.open(&SPEC, &[("names", "true")]).round();
    assert!(round == page(&known) || std::path::Path::new("/usr/share/misc/pci.ids").exists(), "{round}");
}

#[test]
fn what_fails_is_absent_and_what_is_not_there_is_told_so() {
    let tree = tree();
    for file in ["max_link_width", "numa_node", "d3cold_allowed", "power_state", "sriov_numvfs"] {
        tree.remove(&format!("{DEVICE}/{file}"));
    }
    tree.write(&format!("{DEVICE}/current_link_speed"), "Unknown\n");
    tree.write(&format!("{DEVICE}/current_link_width"), "wide\n");
    tree.write("calls/errno", "sys/bus/pci/devices/0000:01:00.0/max_link_speed EIO\n");
    let first = figures(&[("current_link_transfers_per_second", -1), ("d3cold_allowed", 0)]);
    let second = figures(&[
        ("max_link_width", -1),
        ("sriov_drivers_autoprobe", 0),
        ("sriov_numvfs", 0),
        ("sriov_totalvfs", 0),
        ("sriov_vf_total_msix", 0),
    ]);
    tree.check(&SPEC, &[], &format!("{first}{}{second}! io\n! malformed\n", info("")));
}

#[test]
fn devices_that_come_and_go() {
    let tree = tree();
    let mut opened = tree.open(&SPEC, &[]);
    assert_eq!(opened.round(), page(""));
    tree.write(&format!("{DEVICE}/revision"), "0x01\n");
    assert_eq!(opened.round(), page(""));
    opened.advance(LOOK_AGAIN);
    assert_eq!(opened.round(), page("").replace("revision=\"0x00\"", "revision=\"0x01\""));
    tree.remove("sys/bus/pci/devices");
    assert_eq!(opened.round(), "! absent\n");
    Tree::new(&[]).check(&SPEC, &[], "absent\n");
    Tree::new(&[("sys/bus/pci/devices/", "")]).check(&SPEC, &[], "");
}

#[test]
fn speeds_of_old_and_new_kernels() {
    assert_eq!(speed(b"16.0 GT/s PCIe\n"), Some(Value::Int(16_000_000_000)));
    assert_eq!(speed(b"2.5 GT/s\n"), Some(Value::Int(2_500_000_000)));
    for bad in [&b""[..], b"fast", b"8.0", b"8.0 Gb/s", b"-1 GT/s", b"NaN GT/s"] {
        assert_eq!(speed(bad), None, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        says_nothing(&bytes);
        number(&bytes);
        flag(&bytes);
        speed(&bytes);
    }
}
