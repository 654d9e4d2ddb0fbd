use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const ETH0: [(&str, &str); 22] = [
    ("addr_assign_type", "0\n"),
    ("address", "52:54:00:12:34:56\n"),
    ("broadcast", "ff:ff:ff:ff:ff:ff\n"),
    ("carrier", "1\n"),
    ("carrier_changes", "3\n"),
    ("carrier_down_count", "1\n"),
    ("carrier_up_count", "2\n"),
    ("dev_id", "0x20\n"),
    ("dormant", "0\n"),
    ("duplex", "full\n"),
    ("flags", "0x1003\n"),
    ("ifalias", "uplink \"a\"\n"),
    ("ifindex", "2\n"),
    ("iflink", "7\n"),
    ("link_mode", "0\n"),
    ("mtu", "1500\n"),
    ("name_assign_type", "4\n"),
    ("netdev_group", "9\n"),
    ("operstate", "up\n"),
    ("speed", "10000\n"),
    ("tx_queue_len", "1000\n"),
    ("type", "1\n"),
];
const PAGE: &str = r#"node_network_address_assign_type{device="eth0"} 0
node_network_carrier{device="eth0"} 1
node_network_carrier_changes_total{device="eth0"} 3
node_network_carrier_down_changes_total{device="eth0"} 1
node_network_carrier_up_changes_total{device="eth0"} 2
node_network_device_id{device="eth0"} 32
node_network_dormant{device="eth0"} 0
node_network_flags{device="eth0"} 4099
node_network_iface_id{device="eth0"} 2
node_network_iface_link{device="eth0"} 7
node_network_iface_link_mode{device="eth0"} 0
node_network_info{address="52:54:00:12:34:56",adminstate="up",broadcast="ff:ff:ff:ff:ff:ff",device="eth0",duplex="full",ifalias="uplink \"a\"",operstate="up"} 1
node_network_mtu_bytes{device="eth0"} 1500
node_network_name_assign_type{device="eth0"} 4
node_network_net_dev_group{device="eth0"} 9
node_network_protocol_type{device="eth0"} 1
node_network_speed_bytes{device="eth0"} 1250000000
node_network_transmit_queue_length{device="eth0"} 1000
node_network_up{device="eth0"} 1
"#;

fn add(tree: &Tree, device: &str, attributes: &[(&str, &str)]) {
    tree.write(&format!("sys/devices/virtual/net/{device}/"), "");
    for (attribute, text) in attributes {
        tree.write(&format!("sys/devices/virtual/net/{device}/{attribute}"), text);
    }
    tree.write(&format!("sys/class/net/{device}"), &format!("-> ../../devices/virtual/net/{device}"));
}

fn eth0() -> Tree {
    let tree = Tree::new(&[("sys/class/net/bonding_masters", "bond0\n")]);
    add(&tree, "eth0", &ETH0);
    tree
}

fn lines(round: &str, with: &str) -> Vec<String> {
    round.lines().filter(|line| line.contains(with) || line.starts_with('!')).map(str::to_owned).collect()
}

#[test]
fn all_of_an_interface() {
    let tree = eth0();
    let mut opened = tree.open(&SPEC, &[]);
    assert_eq!(opened.round(), PAGE);
    assert_eq!(opened.round(), PAGE);
    Tree::new(&[]).check(&SPEC, &[], "absent\n");
}

#[test]
fn a_link_that_is_down_has_no_speed() {
    let tree = Tree::new(&[]);
    let path = "sys/class/net/eth1";
    let refused = ["carrier", "duplex", "speed"].map(|attribute| format!("{path}/{attribute} EINVAL\n")).concat();
    tree.write("calls/errno", &format!("{refused}{path}/iflink EIO\n{path}/dormant EOPNOTSUPP\n"));
    let down = [("flags", "0x1002\n"), ("operstate", "down\n"), ("carrier", ""), ("speed", ""), ("mtu", "x\n")];
    add(&tree, "eth1", &down);
    let page = "node_network_flags{device=\"eth1\"} 4098\n\
                node_network_info{adminstate=\"down\",device=\"eth1\",operstate=\"down\"} 1\n\
                node_network_up{device=\"eth1\"} 0\n! io\n! malformed\n";
    tree.check(&SPEC, &[], page);
}

#[test]
fn an_old_kernel_tells_less() {
    let tree = Tree::new(&[]);
    add(&tree, "x", &[("mtu", "1500\n")]);
    let page = "node_network_info{adminstate=\"unknown\",device=\"x\"} 1\nnode_network_mtu_bytes{device=\"x\"} 1500\n";
    tree.check(&SPEC, &[], page);
}

#[test]
fn an_unknown_speed_may_be_left_out() {
    let tree = Tree::new(&[]);
    add(&tree, "tap0", &[("speed", "-1\n")]);
    let said = |options: &[(&str, &str)]| lines(&tree.open(&SPEC, options).round(), "speed");
    assert_eq!(said(&[]), ["node_network_speed_bytes{device=\"tap0\"} -125000"]);
    assert_eq!(said(&[("ignore-invalid-speed", "true")]), [""; 0]);
}

#[test]
fn interfaces_are_ignored_and_come_and_go() {
    let tree = eth0();
    add(&tree, "veth1", &[("operstate", "up\n")]);
    let mut opened = tree.open(&SPEC, &[("ignored-devices", "^veth|^lo$")]);
    assert_eq!(opened.round(), PAGE);
    assert_eq!(opened.round(), PAGE);
    let mut opened = tree.open(&SPEC, &[]);
    let up = |device: &str| format!("node_network_up{{device=\"{device}\"}} 1");
    assert_eq!(lines(&opened.round(), "network_up"), [up("eth0"), up("veth1")]);
    tree.remove("sys/class/net/veth1");
    add(&tree, "veth2", &[("operstate", "up\n")]);
    assert_eq!(lines(&opened.round(), "network_up"), [up("eth0"), up("veth2")]);
    // A link that leads nowhere: removed between the listing and the reads.
    tree.remove("sys/devices/virtual/net/veth2");
    assert_eq!(opened.round(), PAGE);
}

#[test]
fn everything_is_read_again_when_something_has_changed_or_a_minute_has_passed() {
    let tree = eth0();
    add(&tree, "bond0", &[("speed", "10000\n"), ("operstate", "up\n")]);
    let mut opened = tree.open(&SPEC, &[]);
    let mut speeds = || lines(&opened.round(), "speed");
    let speed = |bond: u64, eth: u64| {
        let line = |(device, speed): (&str, u64)| format!("node_network_speed_bytes{{device=\"{device}\"}} {speed}");
        [("bond0", bond * 125_000), ("eth0", eth * 125_000)].map(line)
    };
    assert_eq!(speeds(), speed(10_000, 10_000));
    let set = |device: &str, attribute: &str, text: &str| {
        tree.write(&format!("sys/class/net/{device}/{attribute}"), text);
    };
    set("eth0", "speed", "100\n");
    set("bond0", "speed", "100\n");
    assert_eq!(speeds(), speed(10_000, 10_000));
    set("eth0", "carrier_changes", "5\n");
    assert_eq!(speeds(), speed(100, 100));
    set("bond0", "speed", "1000\n");
    assert_eq!(speeds(), speed(100, 100));
    opened.advance(SETTLED_FOR);
    assert_eq!(lines(&opened.round(), "speed"), speed(1000, 100));
    set("bond0", "operstate", "down\n");
    set("eth0", "mtu", "9000\n");
    let said = opened.round();
    assert_eq!(lines(&said, "network_up{device=\"b"), ["node_network_up{device=\"bond0\"} 0"]);
    assert_eq!(lines(&said, "mtu"), ["node_network_mtu_bytes{device=\"eth0\"} 9000"]);
}

#[test]
fn a_thousand_interfaces_do_not_take_the_handles_of_all() {
    let tree = Tree::new(&[]);
    (0..KEPT_DEVICES + 2).for_each(|n| add(&tree, &format!("veth{n}"), &[("flags", "0x1\n"), ("operstate", "up\n")]));
    let mut host = tree.host();
    let mut netclass = Netclass {
        ignored: None,
        skips_invalid_speed: false,
        devices: BTreeMap::new(),
        settled: None,
        news: LinkNews::default(),
    };
    let mut out = Batch::new(10_000);
    netclass.collect(&mut host, &mut out).unwrap();
    assert_eq!(out.len(), 3 * (KEPT_DEVICES + 2));
    assert_eq!(devices(&mut netclass.devices).filter(|(_, device)| device.kept.is_some()).count(), KEPT_DEVICES);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, number: i64) {
        integer(&bytes);
        prop_assert_eq!(integer(format!("{number}\n").as_bytes()), Some(number));
    }
}
