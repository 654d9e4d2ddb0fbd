use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const INFO: &str = "\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
40 21 0:42 / /srv rw shared:9 - nfs4 nas:/vol rw,vers=4.2,clientaddr=10.0.0.5,addr=10.0.0.1
41 21 0:42 / /backup rw - nfs4 nas:/vol rw,vers=4.2,addr=10.0.0.1
";

fn mount(point: &str, lines: &str) -> String {
    format!("device nas:/vol mounted on {point} with fstype nfs4 statvers=1.1\n{lines}\n")
}

/// The round without the labels that every line has.
fn round(stats: &str) -> String {
    let tree = Tree::new(&[("proc/self/mountstats", stats), ("proc/self/mountinfo", INFO)]);
    let round = tree.open(&SPEC, &[]).round();
    round.replace("node_mountstats_nfs_", "").replace("export=\"nas:/vol\",mountaddr=\"10.0.0.1\"", "ID")
}

#[test]
fn a_filesystem_that_is_mounted_twice_is_told_once() {
    let lines = "\topts:\trw\n\tage:\t13968\n\tbytes:\t1 2 3 4 5 6 7 8\n\txprt:\ttcp 832 1 2 3 4 5 6 7 8 9 10 11 12\n\
                 \txprt:\ttcp 0 0 0 0 0 0 0 0 0 0 0 0 1\n\tper-op statistics\n\t        READ: 1 2 3 4 5 1500 7 8 9\n";
    let text = format!(
        "device proc mounted on /proc with fstype proc\nno device mounted on /x with fstype none\n{}{}",
        mount("/srv", lines),
        mount("/backup", "\txprt:\ttcp 1 1\n")
    );
    let page = "age_seconds_total{ID,protocol=\"tcp\"} 13968\n\
        direct_read_bytes_total{ID,protocol=\"tcp\"} 3\ndirect_write_bytes_total{ID,protocol=\"tcp\"} 4\n\
        mountpoint_info{ID,mountpoint=\"/srv\",protocol=\"tcp\"} 1\n\
        mountpoint_info{ID,mountpoint=\"/backup\",protocol=\"tcp\"} 1\n\
        operations_major_timeouts_total{ID,operation=\"READ\",protocol=\"tcp\"} 3\n\
        operations_queue_time_seconds_total{ID,operation=\"READ\",protocol=\"tcp\"} 1.5\n\
        operations_received_bytes_total{ID,operation=\"READ\",protocol=\"tcp\"} 5\n\
        operations_request_time_seconds_total{ID,operation=\"READ\",protocol=\"tcp\"} 0.008\n\
        operations_requests_total{ID,operation=\"READ\",protocol=\"tcp\"} 1\n\
        operations_response_time_seconds_total{ID,operation=\"READ\",protocol=\"tcp\"} 0.007\n\
        operations_sent_bytes_total{ID,operation=\"READ\",protocol=\"tcp\"} 4\n\
        operations_transmissions_total{ID,operation=\"READ\",protocol=\"tcp\"} 2\n\
        read_bytes_total{ID,protocol=\"tcp\"} 1\nread_pages_total{ID,protocol=\"tcp\"} 7\n\
        total_read_bytes_total{ID,protocol=\"tcp\"} 5\ntotal_write_bytes_total{ID,protocol=\"tcp\"} 6\n";
    let said = round(&text);
    let others: String = said.lines().filter(|line| !line.contains("transport=")).map(|l| format!("{l}\n")).collect();
    let rest = "write_bytes_total{ID,protocol=\"tcp\"} 2\nwrite_pages_total{ID,protocol=\"tcp\"} 8\n";
    assert_eq!(others, format!("{page}{rest}"));
    let first = |line: &&str| line.contains("transport=\"0\"");
    let transport: Vec<_> = said.lines().filter(first).filter_map(|line| line.split(['{', ' ']).next()).collect();
    assert_eq!(transport.len(), 10, "{said}");
    assert!(said.contains("transport_pending_queue_total{ID,protocol=\"tcp\",transport=\"1\"} 1\n"), "{said}");
    assert!(said.contains("transport_idle_time_seconds{ID,protocol=\"tcp\",transport=\"0\"} 4\n"), "{said}");
}

#[test]
fn every_protocol_has_its_columns() {
    let of = |line: &str| {
        let mut words = parse::words(line.as_bytes());
        let protocol = words.next().unwrap();
        transport(protocol, words).map(|number| number.map_or(-1, |number| i64::try_from(number).unwrap()))
    };
    assert_eq!(of("tcp 0 1 2 3 4 5 6 7 8 9 10 11 12"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(of("tcp 0 1 2 3 4 5 6 7 8 9"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1, -1]);
    assert_eq!(of("udp 0 1 5 6 7 8 9 10 11 12"), [0, 1, -1, -1, -1, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(of("udp 0 1 5 6 7 8 9"), [0, 1, -1, -1, -1, 5, 6, 7, 8, 9, -1, -1, -1]);
    assert_eq!(of("rdma 0 1 2 3 4 5 6 7 8 9 77 77 77 77"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1, -1]);
    assert_eq!(of("tcp 0 1 2 3 -4 5 6"), [0, 1, 2, 3, -1, 5, 6, -1, -1, -1, -1, -1, -1]);
    assert_eq!(of("pigeon 0 1"), [-1; 13]);
}

#[test]
fn events_and_what_does_not_read() {
    let events: Vec<String> = (0..27).map(|n: u32| n.to_string()).collect();
    let lines = format!(
        "\tevents:\t{}\n\tbytes:\t1 x 3\n\tage:\n\txprt:\tpigeon\n\tper-op statistics\n\tREAD: 1 2\n",
        events.join(" ")
    );
    let said = round(&mount("/elsewhere", &lines));
    assert_eq!(said.matches("event_").count(), 26, "{said}");
    assert!(said.contains("event_truncation_total{export=\"nas:/vol\",protocol=\"pigeon\"} 19\n"), "{said}");
    assert!(
        said.contains("operations_transmissions_total{export=\"nas:/vol\",operation=\"READ\",protocol=\"pigeon\"} 2\n")
    );
    assert!(!said.contains("age_seconds") && said.ends_with(&"! malformed\n".repeat(4)), "{said}");
    Tree::new(&[]).check(&SPEC, &[], "absent\n");
}

#[test]
fn times_below_zero_are_cut() {
    assert_eq!(value(u64::MAX, 3), Value::Scaled((1 << 53) - 1, 3));
    assert_eq!(value(u64::MAX, 0), Value::Float(u64::MAX as f64));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        addresses(&bytes);
        let first = [b"device a mounted on b with fstype nfs statvers=1.1 ", bytes.as_slice()].concat();
        let mut mount = Mount::new(&first).unwrap();
        Mount::new(&bytes);
        for word in ["", "xprt: udp ", "xprt: ", "events: ", "bytes: ", "age: ", "per-op", "READ: "] {
            let line: &'static [u8] = [word.as_bytes(), &bytes].concat().leak();
            mount.line(line);
        }
        let mut told = Told { addresses: Vec::new(), filesystems: HashSet::new(), mount_points: HashSet::new() };
        mount.put(&mut told, &mut Batch::new(1000));
    }
}
