use super::*;
use crate::kit::testing::Tree;

fn tree(answer: &str) -> Tree {
    let tree = Tree::new(&[("sys/class/net/eth0/", ""), ("sys/class/net/lo/", "")]);
    tree.write("sys/class/net/bonding_masters", "bond0\n");
    tree.write("calls/ethtool/eth0", answer);
    tree
}

#[test]
fn driver_link_and_figures() {
    let answer = "\
driver e1000e
version 6.1.0
firmware 0.13-4
bus 0000:00:19.0
link 0x100006061ef 20cf 1
figure 7 rx_packets
figure 18446744073709551615 tx queue 0: drops
figure 1 a-b
figure 2 a_b
figure 3 empty
figure 4 empty
";
    let expected = "\
node_ethtool_info{bus_info=\"0000:00:19.0\",device=\"eth0\",driver=\"e1000e\",firmware_version=\"0.13-4\",version=\"6.1.0\"} 1
node_network_supported_speed_bytes{device=\"eth0\",duplex=\"half\",mode=\"10baseT\"} 1250000
node_network_supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"10baseT\"} 1250000
node_network_supported_speed_bytes{device=\"eth0\",duplex=\"half\",mode=\"100baseT\"} 12500000
node_network_supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"100baseT\"} 12500000
node_network_supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"1000baseT\"} 125000000
node_network_supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"20000baseMLD2\"} 2500000000
node_network_supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"20000baseKR2\"} 2500000000
node_network_supported_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"50000baseSR2\"} 6250000000
";
    let round = tree(answer).open(&SPEC, &[]).round();
    let find = |prefix: &str| round.lines().filter(|line| line.starts_with(prefix)).collect::<Vec<_>>();
    let mut said = find("node_ethtool_info");
    said.extend(find("node_network_supported_speed"));
    assert_eq!(said.join("\n") + "\n", expected);
    for line in [
        "node_network_supported_port_info{device=\"eth0\",type=\"TP\"} 1",
        "node_network_supported_port_info{device=\"eth0\",type=\"AUI\"} 1",
        "node_network_autonegotiate{device=\"eth0\"} 1",
        "node_network_autonegotiate_supported{device=\"eth0\"} 1",
        "node_network_autonegotiate_advertised{device=\"eth0\"} 1",
        "node_network_pause_supported{device=\"eth0\"} 1",
        "node_network_pause_advertised{device=\"eth0\"} 1",
        "node_network_asymmetricpause_supported{device=\"eth0\"} 1",
        "node_network_asymmetricpause_advertised{device=\"eth0\"} 0",
        "node_network_advertised_speed_bytes{device=\"eth0\",duplex=\"full\",mode=\"100baseT\"} 12500000",
        "node_ethtool_received_packets_total{device=\"eth0\"} 7",
        "node_ethtool_transmitted_queue_0_drops{device=\"eth0\"} 18446744073709552000",
        "node_ethtool_empty{device=\"eth0\"} 4",
    ] {
        assert!(round.lines().any(|said| said == line), "{line}\n{round}");
    }
    assert!(!round.contains("node_ethtool_a_b") && !round.contains('!'), "{round}");
}

#[test]
fn statistics_and_devices_are_chosen() {
    let tree = tree("driver x\nfigure 1 rx_a\nfigure 2 tx_a\n");
    tree.write("calls/ethtool/lo", "driver y\n");
    let expected = "node_ethtool_info{device=\"eth0\",driver=\"x\"} 1\nnode_ethtool_received_a{device=\"eth0\"} 1\n";
    tree.check(&SPEC, &[("metrics-include", "^rx_"), ("device-exclude", "^lo$")], expected);
    let both = [("device-include", "^(eth0|lo)$"), ("metrics-include", "^rx_"), ("device-exclude", "^lo$")];
    tree.check(&SPEC, &both, expected);
}

#[test]
fn what_no_driver_supports_is_no_fault() {
    let tree = Tree::new(&[("sys/class/net/lo/", "")]);
    tree.check(&SPEC, &[], "");
    Tree::new(&[]).check(&SPEC, &[], "! absent\n");
}
