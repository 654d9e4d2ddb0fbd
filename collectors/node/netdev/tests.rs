use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const HEAD: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

fn tree(lines: &str) -> Tree {
    Tree::new(&[("proc/net/dev", &format!("{HEAD}{lines}"))])
}

fn bytes(round: &str) -> Vec<&str> {
    round.lines().filter(|line| line.contains("receive_bytes") || line.starts_with('!')).collect()
}

#[test]
fn sixteen_counters() {
    let expected = "\
node_network_receive_bytes_total{device=\"eth0\"} 1
node_network_receive_compressed_total{device=\"eth0\"} 7
node_network_receive_drop_total{device=\"eth0\"} 4
node_network_receive_errs_total{device=\"eth0\"} 3
node_network_receive_fifo_total{device=\"eth0\"} 5
node_network_receive_frame_total{device=\"eth0\"} 6
node_network_receive_multicast_total{device=\"eth0\"} 8
node_network_receive_packets_total{device=\"eth0\"} 2
node_network_transmit_bytes_total{device=\"eth0\"} 9
node_network_transmit_carrier_total{device=\"eth0\"} 15
node_network_transmit_colls_total{device=\"eth0\"} 14
node_network_transmit_compressed_total{device=\"eth0\"} 16
node_network_transmit_drop_total{device=\"eth0\"} 12
node_network_transmit_errs_total{device=\"eth0\"} 11
node_network_transmit_fifo_total{device=\"eth0\"} 13
node_network_transmit_packets_total{device=\"eth0\"} 10
";
    tree("  eth0:    1    2 3 4 5 6 7 8  9 10 11 12 13 14 15 16\n").check(&SPEC, &[], expected);
}

#[test]
fn names_are_whatever_stands_before_the_last_colon() {
    let text = "\
eth0:1:5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
  a b: 6 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
ü: 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
";
    let round = tree(text).open(&SPEC, &[]).round();
    let expected = [
        "node_network_receive_bytes_total{device=\"eth0:1\"} 5",
        "node_network_receive_bytes_total{device=\"a b\"} 6",
        "node_network_receive_bytes_total{device=\"ü\"} 18446744073709552000",
    ];
    assert_eq!(bytes(&round), expected);
}

#[test]
fn a_bad_line_costs_only_itself() {
    let text = "\
  lo: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0
: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
eth0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
eth1: 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
eth2: 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1";
    let round = tree(text).open(&SPEC, &[]).round();
    let expected = ["node_network_receive_bytes_total{device=\"eth1\"} 7", "! malformed", "! malformed", "! malformed"];
    assert_eq!(bytes(&round), expected);
}

#[test]
fn devices_are_chosen_and_the_choice_holds_for_later_rounds() {
    let line = |name: &str| format!("{name}: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
    let tree = tree(&(line("lo") + &line("eth0") + &line("veth1")));
    let eth0 = ["node_network_receive_bytes_total{device=\"eth0\"} 1"];
    let mut opened = tree.open(&SPEC, &[("device-exclude", "^(lo|veth.*)$")]);
    assert_eq!(bytes(&opened.round()), eth0);
    assert_eq!(bytes(&opened.round()), eth0);
    assert_eq!(bytes(&tree.open(&SPEC, &[("device-include", "^eth")]).round()), eth0);
}

#[test]
fn rows_follow_what_comes_and_goes() {
    let mut rows = Rows::default();
    let mut round = |names: &[&str]| {
        rows.begin();
        names.iter().for_each(|name| rows.next(name.as_bytes(), |_| true).figures[0] += 1);
        rows.end();
        let counts: Vec<u64> = rows.iter_mut().map(|row| row.figures[0]).collect();
        (counts, rows.have_changed())
    };
    assert_eq!(round(&["lo", "eth0", "veth1"]), (vec![1, 1, 1], true));
    assert_eq!(round(&["lo", "eth0", "veth1"]), (vec![2, 2, 2], false));
    assert_eq!(round(&["lo", "veth1"]), (vec![3, 3], true));
    assert_eq!(round(&["lo", "eth0", "veth1"]), (vec![4, 1, 4], true));
    assert_eq!(round(&["lo"]), (vec![5], true));
    assert_eq!(round(&[]), (vec![], true));
}

const NOHANDLER: &str = "sys/class/net/eth0/statistics/rx_nohandler";

fn nohandler(round: &str) -> Option<&str> {
    round.lines().find_map(|line| line.strip_prefix("node_network_receive_nohandler_total{device=\"eth0\"} "))
}

#[test]
fn what_nobody_takes_is_read_each_round_where_it_grows() {
    let tree = tree("eth0: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
    tree.write(NOHANDLER, "0\n");
    let mut opened = tree.open(&SPEC, &[]);
    assert_eq!(nohandler(&opened.round()), Some("0"));
    tree.write(NOHANDLER, "5\n");
    assert_eq!(nohandler(&opened.round()), Some("0"));
    opened.advance(SELDOM);
    assert_eq!(nohandler(&opened.round()), Some("5"));
    tree.write(NOHANDLER, "6\n");
    assert_eq!(nohandler(&opened.round()), Some("6"));
    assert_eq!(nohandler(&tree.open(&SPEC, &[("netlink", "false")]).round()), None);
    tree.remove(NOHANDLER);
    assert_eq!(nohandler(&tree.open(&SPEC, &[]).round()), None);
}

#[test]
fn the_alias_is_a_label() {
    let tree = tree("eth0: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\neth1: 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
    tree.write("sys/class/net/eth0/ifalias", "uplink\n");
    tree.write("sys/class/net/eth1/ifalias", "\n");
    let expected = [
        "node_network_receive_bytes_total{device=\"eth0\",ifalias=\"uplink\"} 1",
        "node_network_receive_bytes_total{device=\"eth1\"} 2",
    ];
    assert_eq!(bytes(&tree.open(&SPEC, &[("label-ifalias", "true")]).round()), expected);
}

#[test]
fn sums_are_told_by_cause() {
    let tree = tree("eth0: 1 2 3 9 5 10 7 8 9 10 11 12 13 14 4 16\n");
    for (file, value) in [("rx_dropped", 4), ("rx_missed_errors", 5), ("rx_crc_errors", 10), ("rx_length_errors", 0)] {
        tree.write(&format!("sys/class/net/eth0/statistics/{file}"), &format!("{value}\n"));
    }
    let mut opened = tree.open(&SPEC, &[("enable-detailed-metrics", "true")]);
    let expected = "\
node_network_collisions_total{device=\"eth0\"} 14
node_network_multicast_total{device=\"eth0\"} 8
node_network_receive_bytes_total{device=\"eth0\"} 1
node_network_receive_compressed_total{device=\"eth0\"} 7
node_network_receive_crc_errors_total{device=\"eth0\"} 10
node_network_receive_dropped_total{device=\"eth0\"} 4
node_network_receive_errors_total{device=\"eth0\"} 3
node_network_receive_fifo_errors_total{device=\"eth0\"} 5
node_network_receive_length_errors_total{device=\"eth0\"} 0
node_network_receive_missed_errors_total{device=\"eth0\"} 5
node_network_receive_packets_total{device=\"eth0\"} 2
node_network_transmit_bytes_total{device=\"eth0\"} 9
node_network_transmit_compressed_total{device=\"eth0\"} 16
node_network_transmit_dropped_total{device=\"eth0\"} 12
node_network_transmit_errors_total{device=\"eth0\"} 11
node_network_transmit_fifo_errors_total{device=\"eth0\"} 13
node_network_transmit_packets_total{device=\"eth0\"} 10
";
    assert_eq!(opened.round(), expected);
    // A sum that stands still is not asked for its causes; one that is 0 has none.
    tree.write("sys/class/net/eth0/statistics/rx_dropped", "77\n");
    assert_eq!(opened.round(), expected);
    tree.write("proc/net/dev", &format!("{HEAD}eth0: 1 2 3 99 5 0 7 8 9 10 11 12 13 14 0 16\n"));
    let round = opened.round();
    for line in [
        "node_network_receive_dropped_total{device=\"eth0\"} 77",
        "node_network_receive_crc_errors_total{device=\"eth0\"} 0",
        "node_network_transmit_window_errors_total{device=\"eth0\"} 0",
    ] {
        assert!(round.lines().any(|said| said == line), "{line}\n{round}");
    }
}

#[test]
fn the_file_alone_has_its_own_detailed_names() {
    let tree = tree("eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    let round = tree.open(&SPEC, &[("enable-detailed-metrics", "true"), ("netlink", "false")]).round();
    let names: Vec<&str> =
        round.lines().map(|line| &line["node_network_".len()..line.find('{').unwrap() - "_total".len()]).collect();
    let expected = [
        "receive_bytes",
        "receive_compressed",
        "receive_dropped",
        "receive_errors",
        "receive_fifo",
        "receive_frame",
        "receive_multicast",
        "receive_packets",
        "transmit_bytes",
        "transmit_carrier",
        "transmit_colls",
        "transmit_compressed",
        "transmit_dropped",
        "transmit_errors",
        "transmit_fifo",
        "transmit_packets",
    ];
    assert_eq!(names, expected);
}

#[test]
fn addresses_are_those_of_chosen_interfaces() {
    let answer = "\
message 20
  u8 2 u8 24 u8 0x80 u8 0 u32 2
  1: ip 192.0.2.7
  2: ip 192.0.2.7
  3: text eth0:1
message 20
  u8 2 u8 32 u8 0 u8 0 u32 3
  1: ip 198.51.100.1
  2: ip 198.51.100.2
message 20
  u8 10 u8 64 u8 0 u8 253 u32 2
  1: ip fe80::1
message 20
  u8 2 u8 8 u8 0 u8 254 u32 1
  1: ip 127.0.0.1
";
    let tree = tree("lo: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
    tree.write("calls/interfaces", "1 lo\n2 eth0\n3 tun0\n");
    tree.write("calls/netlink/addresses", answer);
    let round = tree.open(&SPEC, &[("address-info", "true"), ("device-exclude", "^lo$")]).round();
    let expected = "\
node_network_address_info{address=\"192.0.2.7\",device=\"eth0\",netmask=\"24\",scope=\"global\"} 1
node_network_address_info{address=\"198.51.100.2\",device=\"tun0\",netmask=\"32\",scope=\"global\"} 1
node_network_address_info{address=\"fe80::1\",device=\"eth0\",netmask=\"64\",scope=\"link-local\"} 1
";
    assert_eq!(round, expected);
    tree.write("calls/netlink/addresses", "error EPERM\n");
    assert!(tree.open(&SPEC, &[("address-info", "true")]).round().ends_with("! denied\n"));
}

#[test]
fn without_the_file_the_round_fails() {
    Tree::new(&[]).check(&SPEC, &[], "! absent\n");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(line: Vec<u8>, name in "[^\n]{0,20}") {
        is_heading(&line);
        counters(&line);
        counters(format!("{name}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").as_bytes());
    }
}
