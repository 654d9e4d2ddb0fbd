use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

fn tree() -> Tree {
    let files = [
        ("board_id", "MT_1060111021\n"),
        ("fw_ver", "16.35.2000\n"),
        ("ports/1/state", "4: ACTIVE\n"),
        ("ports/1/phys_state", "5: LinkUp\n"),
        ("ports/1/rate", "2.5 Gb/sec (1X SDR)\n"),
        ("ports/1/counters/VL15_dropped", "3\n"),
        ("ports/1/counters/port_rcv_data", "18446744073709551615\n"),
        ("ports/1/counters/port_xmit_data", "100\n"),
        ("ports/1/counters/symbol_error", "N/A (no PMA)\n"),
        ("ports/1/counters/link_downed", "x\n"),
        ("ports/1/counters_ext/port_rcv_data_64", "10\n"),
        ("ports/1/hw_counters/lifespan", "10\n"),
        ("ports/1/hw_counters/out_of_buffer", "7\n"),
        ("ports/1/hw_counters/new_one", "7\n"),
        ("ports/none/state", "4: ACTIVE\n"),
    ];
    let tree = Tree::new(&[("sys/class/infiniband/irdma0/fw_ver", "1.52\n")]);
    files.iter().for_each(|(file, text)| tree.write(&format!("sys/class/infiniband/mlx5_0/{file}"), text));
    tree
}

const INFO: &str = "node_infiniband_info{device=\"mlx5_0\",board_id=\"MT_1060111021\",\
                    firmware_version=\"16.35.2000\"} 1\n";
const OTHER: &str = "node_infiniband_info{device=\"irdma0\",firmware_version=\"1.52\"} 1\n";

#[test]
fn adapters_and_ports() {
    let line = |name, value| format!("node_infiniband_{name}{{device=\"mlx5_0\",port=\"1\"}} {value}\n");
    let expected = [
        OTHER.to_owned(),
        INFO.to_owned(),
        line("legacy_data_received_bytes_total", "40"),
        line("lifespan_seconds", "0.01"),
        line("out_of_buffer_drops_total", "7"),
        line("physical_state_id", "5"),
        line("port_data_received_bytes_total", "73786976294838210000"),
        line("port_data_transmitted_bytes_total", "400"),
        line("rate_bytes_per_second", "312500000"),
        line("state_id", "4"),
        line("vl15_dropped_total", "3"),
        "! malformed\n".to_owned(),
    ];
    tree().check(&SPEC, &[], &expected.concat());
}

#[test]
fn adapters_are_chosen() {
    let tree = tree();
    tree.check(&SPEC, &[("device-include", "^irdma")], OTHER);
    tree.check(&SPEC, &[("device-exclude", "^mlx5_0$")], OTHER);
    tree.check(&SPEC, &[("device-include", "."), ("device-exclude", "^mlx5_0$")], OTHER);
}

#[test]
fn what_is_not_told_is_absent() {
    let tree = tree();
    tree.remove("sys/class/infiniband/mlx5_0/ports");
    tree.write("sys/class/infiniband/mlx5_0/ports/2/state", "ACTIVE\n");
    tree.write("sys/class/infiniband/mlx5_0/ports/2/rate", "fast\n");
    tree.check(&SPEC, &[], &format!("{OTHER}{INFO}! malformed\n! malformed\n"));
    Tree::new(&[]).check(&SPEC, &[], "absent\n");
    Tree::new(&[("sys/class/infiniband/", "")]).check(&SPEC, &[], "");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        state(&bytes);
        rate(&bytes);
        rate(&[&bytes[..], b" Gb/sec"].concat());
    }
}
