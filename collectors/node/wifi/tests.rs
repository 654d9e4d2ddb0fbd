use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const FAMILY: &str = "message 16\n u8 1 u8 2 u16 0\n 2: text nl80211\n 1: u16 28\n";
const INTERFACES: &str = "
message 28
  u8 7 u8 1 u16 0
  3: u32 4
  4: text wlan0
  38: u32 5180
message 28
  # a virtual one for peer-to-peer, without a name
  u8 7 u8 1 u16 0
  3: u32 5
";

#[test]
fn a_client_and_its_access_point() {
    let networks = "
message 28
  u8 34 u8 1 u16 0
  47:
    1: hex 02:00:5e:00:53:99
    6: u8 0 u8 5 hex 6f746865 hex 72
message 28
  u8 34 u8 1 u16 0
  47:
    1: hex 02:00:5e:00:53:01
    6: u8 1 u8 2 hex 0c18 u8 0 u8 4 hex 68:6f:6d:65
    9: u32 1
";
    let stations = "
message 28
  u8 19 u8 1 u16 0
  6: hex 02:00:5e:00:53:01
  21:
    1: u32 1250
    2: u32 7
    3: u32 8
    7: u8 0xd8
    8:
      1: u16 65535
      5: u32 12000
    9: u32 1
    10: u32 2
    11: u32 3
    12: u32 4
    14:
      1: u16 60
    16: u32 3600
    23: u64 4294967303
";
    let tree = Tree::new(&[
        ("sys/class/ieee80211/phy0/", ""),
        ("calls/netlink/nl80211", FAMILY),
        ("calls/netlink/wifi_interfaces", INTERFACES),
        ("calls/netlink/wifi_networks_wlan0", networks),
        ("calls/netlink/wifi_stations_wlan0", stations),
    ]);
    let of = "{device=\"wlan0\",mac_address=\"02:00:5e:00:53:01\"}";
    let expected = format!(
        "\
node_wifi_interface_frequency_hertz{{device=\"wlan0\"}} 5180000000
node_wifi_station_connected_seconds_total{of} 3600
node_wifi_station_inactive_seconds{of} 1.25
node_wifi_station_info{{bssid=\"02:00:5e:00:53:01\",device=\"wlan0\",mode=\"client\",ssid=\"home\"}} 1
node_wifi_station_receive_bits_per_second{of} 6000000
node_wifi_station_receive_bytes_total{of} 4294967303
node_wifi_station_received_packets_total{of} 1
node_wifi_station_signal_dbm{of} -40
node_wifi_station_transmit_bits_per_second{of} 1200000000
node_wifi_station_transmit_bytes_total{of} 8
node_wifi_station_transmit_failed_total{of} 4
node_wifi_station_transmit_retries_total{of} 3
node_wifi_station_transmitted_packets_total{of} 2
"
    );
    tree.check(&SPEC, &[], &expected);
}

#[test]
fn an_interface_that_is_down_says_little() {
    let tree = Tree::new(&[
        ("sys/class/ieee80211/phy0/", ""),
        ("calls/netlink/nl80211", FAMILY),
        ("calls/netlink/wifi_interfaces", "message 28\n u8 7 u8 1 u16 0\n 3: u32 4\n 4: text wlan0\n"),
        ("calls/netlink/wifi_networks_wlan0", "error ENOENT\n"),
        ("calls/netlink/wifi_stations_wlan0", "error EIO\n"),
    ]);
    tree.check(&SPEC, &[], "! io\n");
}

#[test]
fn without_a_radio_nothing_is_asked() {
    Tree::new(&[("calls/netlink/nl80211", FAMILY)]).check(&SPEC, &[], "absent\n");
    Tree::new(&[("sys/class/ieee80211/phy0/", "")]).check(&SPEC, &[], "absent\n");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = (ssid(&bytes), figures(&bytes), rate(&bytes), mac(&bytes));
    }
}
