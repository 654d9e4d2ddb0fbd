use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const FULL: &str = " 8  0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n";
const INFO: &str = "node_disk_info{device=\"sda\",major=\"8\",minor=\"0\",rotational=\"0\"} 1\n";

/// What is said of the families whose names begin with `node_disk_` and `wanted`.
fn said(round: &str, wanted: &str) -> String {
    let prefix = format!("node_disk_{wanted}");
    round.lines().filter(|line| line.starts_with(&prefix)).map(|line| format!("{}\n", &line[10..])).collect()
}

fn devices(round: &str) -> Vec<&str> {
    let of = round.lines().filter_map(|line| line.strip_prefix("node_disk_io_now{device=\""));
    of.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_column_has_its_unit() {
    let figures = "node_disk_discard_time_seconds_total 0.015\nnode_disk_discarded_sectors_total 14\n\
        node_disk_discards_completed_total 12\nnode_disk_discards_merged_total 13\n\
        node_disk_flush_requests_time_seconds_total 0.017\nnode_disk_flush_requests_total 16\nINFO\
        node_disk_io_now 9\nnode_disk_io_time_seconds_total 0.01\nnode_disk_io_time_weighted_seconds_total 0.011\n\
        node_disk_read_bytes_total 1536\nnode_disk_read_time_seconds_total 0.004\nnode_disk_reads_completed_total 1\n\
        node_disk_reads_merged_total 2\nnode_disk_write_time_seconds_total 0.008\nnode_disk_writes_completed_total 5\n\
        node_disk_writes_merged_total 6\nnode_disk_written_bytes_total 3584\n";
    let page = figures.replace(' ', "{device=\"sda\"} ").replace("INFO", INFO);
    Tree::new(&[("proc/diskstats", FULL)]).check(&SPEC, &[], &page);
}

#[test]
fn old_kernels_have_fewer_columns() {
    let text = "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sda-part 1 2 3 4\n8 16 sdb 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n";
    let round = Tree::new(&[("proc/diskstats", text)]).open(&SPEC, &[]).round();
    assert_eq!(devices(&round), ["sda", "sdb"]);
    assert_eq!(said(&round, "discard_time"), "discard_time_seconds_total{device=\"sdb\"} 0.015\n");
    assert_eq!(said(&round, "flush"), "");
    assert!(!round.contains('!'), "{round}");
}

#[test]
fn a_bad_line_costs_only_itself() {
    let text = "8 0 sda 1 2 3\n8 0 sda 1 2 3 4 5 6 7 8 -1 10 11\nx 0 sda 1 2 3 4 5 6 7 8 9 10 11\n\n8 16 sdb 1 2 3 4 5 6 7 8 \
                18446744073709551615 10 11\n";
    let round = Tree::new(&[("proc/diskstats", text)]).open(&SPEC, &[]).round();
    assert_eq!(devices(&round), ["sdb"]);
    assert!(round.ends_with(&"! malformed\n".repeat(4)), "{round}");
    Tree::new(&[]).check(&SPEC, &[], "absent\n");
}

#[test]
fn partitions_are_left_out_unless_they_are_disks() {
    let names = ["ram0", "zram0", "loop0", "fd0", "sda", "sda1", "xvda1", "nvme0n1", "nvme0n1p1", "mmcblk0p1", "dm-0"];
    let text: String = names.iter().map(|name| format!("1 1 {name} 1 2 3 4 5 6 7 8 9 10 11\n")).collect();
    let tree = Tree::new(&[("proc/diskstats", &text), ("sys/block/xvda1/", ""), ("sys/block/loop0/", "")]);
    let devices_with = |options: &[(&str, &str)]| -> Vec<String> {
        devices(&tree.open(&SPEC, options).round()).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(devices_with(&[]), ["sda", "xvda1", "nvme0n1", "mmcblk0p1", "dm-0"]);
    assert_eq!(devices_with(&[("device-exclude", r"\d$")]), ["sda"]);
    assert_eq!(devices_with(&[("device-include", "^xvd|^fd")]), ["fd0", "xvda1"]);
}

#[test]
fn udev_tells_what_a_disk_is() {
    let disk = "S:disk/by-id/x\nE:ID_ATA=1\nE:ID_MODEL=ST4000NM0035-1V4107\nE:ID_SERIAL=ST4000_ZC1\nE:ID_SERIAL_SHORT=ZC1\n\
                E:ID_REVISION=TNC3\nE:ID_WWN=0x5000c5\nE:ID_PATH=pci-0000:00:17.0-ata-1\nE:ID_ATA_WRITE_CACHE=1\n\
                E:ID_ATA_ROTATION_RATE_RPM=7200\nE:ID_ATA_WRITE_CACHE_ENABLED=maybe\nE:broken\nG:systemd\n";
    let mapped = "E:DM_NAME=vg0-root\nE:DM_UUID=LVM-1\nE:DM_VG_NAME=vg0\nE:DM_LV_NAME=root\nE:ID_FS_TYPE=ext4\n\
                  E:ID_FS_USAGE=filesystem\nE:ID_FS_UUID=c0ffee\nE:ID_FS_VERSION=1.0 x\nE:ID_ATA_WRITE_CACHE=1\n";
    let line = "1 2 3 4 5 6 7 8 9 10 11\n";
    let tree = Tree::new(&[
        ("proc/diskstats", &format!("8 0 sda {line}8 1 sda5 {line}253 3 dm-3 {line}104 0 cciss/c0d0 {line}")),
        ("udev/b8:0", disk),
        ("udev/b253:3", mapped),
        ("sys/devices/ata1/block/sda/queue/rotational", "1\n"),
        ("sys/devices/ata1/block/sda/sda5/partition", "5\n"),
        ("sys/block/sda", "-> ../devices/ata1/block/sda"),
        ("sys/class/block/sda5", "-> ../../devices/ata1/block/sda/sda5"),
        ("sys/block/cciss!c0d0/queue/rotational", "1\n"),
    ]);
    let round = tree.open(&SPEC, &[("device-exclude", "^$")]).round();
    let info = "info{device=\"sda\",major=\"8\",minor=\"0\",model=\"ST4000NM0035-1V4107\",path=\"pci-0000:00:17.0-ata-1\",\
                revision=\"TNC3\",rotational=\"1\",serial=\"ZC1\",wwn=\"0x5000c5\"} 1\n\
                info{device=\"sda5\",major=\"8\",minor=\"1\",rotational=\"1\"} 1\n\
                info{device=\"dm-3\",major=\"253\",minor=\"3\",rotational=\"0\"} 1\n\
                info{device=\"cciss/c0d0\",major=\"104\",minor=\"0\",rotational=\"1\"} 1\n";
    assert_eq!(said(&round, "info"), info);
    assert_eq!(said(&round, "ata"), "ata_rotation_rate_rpm{device=\"sda\"} 7200\nata_write_cache{device=\"sda\"} 1\n");
    assert_eq!(
        said(&round, "filesystem"),
        "filesystem_info{device=\"dm-3\",type=\"ext4\",usage=\"filesystem\",uuid=\"c0ffee\",version=\"1.0 x\"} 1\n"
    );
    assert_eq!(
        said(&round, "device_mapper"),
        "device_mapper_info{device=\"dm-3\",lv_name=\"root\",name=\"vg0-root\",uuid=\"LVM-1\",vg_name=\"vg0\"} 1\n"
    );
}

#[test]
fn what_a_disk_is_called_is_asked_again_after_a_minute() {
    let tree = Tree::new(&[("proc/diskstats", FULL), ("udev/b8:0", "E:ID_MODEL=old\n")]);
    let mut opened = tree.open(&SPEC, &[]);
    opened.round();
    tree.write("udev/b8:0", "E:ID_MODEL=new\n");
    opened.advance(Duration::from_secs(59));
    assert!(opened.round().contains("model=\"old\""));
    opened.advance(Duration::from_secs(1));
    assert!(opened.round().contains("model=\"new\""));
}

#[test]
fn disks_come_and_go() {
    let line = |names: &[&str]| -> String {
        names.iter().map(|name| format!("8 0 {name} 1 2 3 4 5 6 7 8 9 10 11\n")).collect()
    };
    let tree = Tree::new(&[("proc/diskstats", &line(&["sda", "sdb", "sdc"]))]);
    let mut opened = tree.open(&SPEC, &[]);
    for names in
        [&["sda", "sdb", "sdc"][..], &["sdb", "sdc"], &["sda", "sdb", "sdd", "sdc"], &["sdd"], &[], &["sdc", "sda"]]
    {
        tree.write("proc/diskstats", &line(names));
        assert_eq!(devices(&opened.round()), names);
    }
}

#[test]
fn a_database_that_may_not_be_read_is_told_every_round() {
    let tree = Tree::new(&[("proc/diskstats", FULL), ("calls/errno", "udev/b8:0 EACCES\n")]);
    let mut opened = tree.open(&SPEC, &[]);
    for _ in 0..2 {
        let round = opened.round();
        assert!(round.contains(INFO) && round.ends_with("! denied\n"), "{round}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        disk(&bytes);
        value(u64::MAX, Unit::Bytes);
        value(u64::MAX, Unit::Millis);
        let tree = Tree::new(&[("proc/diskstats", FULL)]);
        std::fs::create_dir(format!("{}/udev", tree.path())).unwrap();
        std::fs::write(format!("{}/udev/b8:0", tree.path()), &bytes).unwrap();
        tree.open(&SPEC, &[]).round();
    }
}
