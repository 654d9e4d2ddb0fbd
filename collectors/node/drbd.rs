//! `/proc/drbd`: devices that DRBD mirrors to another node.
//!
//! Amounts are printed in KiB. DRBD 9 prints only its version here.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const DEVICE: &[&str; 1] = &["device"];
const NODE: &[&str; 2] = &["device", "node"];
const KIB: u64 = 1024;

static NETWORK_SENT: Family =
    counter("node_drbd_network_sent_bytes_total", "Bytes sent to the other node, from /proc/drbd.", DEVICE);
static NETWORK_RECEIVED: Family =
    counter("node_drbd_network_received_bytes_total", "Bytes received from the other node, from /proc/drbd.", DEVICE);
static DISK_WRITTEN: Family =
    counter("node_drbd_disk_written_bytes_total", "Bytes written to the local disk, from /proc/drbd.", DEVICE);
static DISK_READ: Family =
    counter("node_drbd_disk_read_bytes_total", "Bytes read from the local disk, from /proc/drbd.", DEVICE);
static ACTIVITYLOG_WRITES: Family =
    counter("node_drbd_activitylog_writes_total", "Updates of the activity log, from /proc/drbd.", DEVICE);
static BITMAP_WRITES: Family =
    counter("node_drbd_bitmap_writes_total", "Updates of the bitmap, from /proc/drbd.", DEVICE);
static LOCAL_PENDING: Family =
    gauge("node_drbd_local_pending", "Requests to the local disk that are under way, from /proc/drbd.", DEVICE);
static REMOTE_PENDING: Family =
    gauge("node_drbd_remote_pending", "Requests to the other node that it has not answered, from /proc/drbd.", DEVICE);
static REMOTE_UNACKNOWLEDGED: Family = gauge(
    "node_drbd_remote_unacknowledged",
    "Requests of the other node that were not answered, from /proc/drbd.",
    DEVICE,
);
static APPLICATION_PENDING: Family =
    gauge("node_drbd_application_pending", "Requests to the device that are under way, from /proc/drbd.", DEVICE);
static EPOCHS: Family =
    gauge("node_drbd_epochs", "Groups of writes that may be reordered among themselves, from /proc/drbd.", DEVICE);
static OUT_OF_SYNC: Family =
    gauge("node_drbd_out_of_sync_bytes", "Data that differs between the nodes, in bytes, from /proc/drbd.", DEVICE);
static CONNECTED: Family =
    gauge("node_drbd_connected", "Whether the other node is connected, from /proc/drbd.", DEVICE);
static IS_PRIMARY: Family =
    gauge("node_drbd_node_role_is_primary", "Whether the node may use the device, from /proc/drbd.", NODE);
static IS_UP_TO_DATE: Family =
    gauge("node_drbd_disk_state_is_up_to_date", "Whether the node's disk has all data, from /proc/drbd.", NODE);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "drbd", "Devices that DRBD mirrors, from /proc/drbd.", FAMILIES, open)
};

static FAMILIES: &[&Family] = &[
    &NETWORK_SENT,
    &NETWORK_RECEIVED,
    &DISK_WRITTEN,
    &DISK_READ,
    &ACTIVITYLOG_WRITES,
    &BITMAP_WRITES,
    &LOCAL_PENDING,
    &REMOTE_PENDING,
    &REMOTE_UNACKNOWLEDGED,
    &APPLICATION_PENDING,
    &EPOCHS,
    &OUT_OF_SYNC,
    &CONNECTED,
    &IS_PRIMARY,
    &IS_UP_TO_DATE,
];

/// The words of the figures, their families, and what they count in.
static FIGURES: [(&[u8], &Family, u64); 12] = [
    (b"ns", &NETWORK_SENT, KIB),
    (b"nr", &NETWORK_RECEIVED, KIB),
    (b"dw", &DISK_WRITTEN, KIB),
    (b"dr", &DISK_READ, KIB),
    (b"al", &ACTIVITYLOG_WRITES, 1),
    (b"bm", &BITMAP_WRITES, 1),
    (b"lo", &LOCAL_PENDING, 1),
    (b"pe", &REMOTE_PENDING, 1),
    (b"ua", &REMOTE_UNACKNOWLEDGED, 1),
    (b"ap", &APPLICATION_PENDING, 1),
    (b"ep", &EPOCHS, 1),
    (b"oos", &OUT_OF_SYNC, KIB),
];

struct Drbd(KeptFile);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let file = KeptFile::single("drbd");
    Ok(if host.exists(Root::Proc, "drbd") { Some(Box::new(Drbd(file))) } else { None })
}

impl Collector for Drbd {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.0)?;
        let mut device: Option<String> = None;
        for (number, line) in (1..).zip(parse::lines(text)) {
            for word in parse::words(line) {
                let Some((name, value)) = pair(word) else { continue };
                if let (Some(number), true) = (parse::number(name), value.is_empty()) {
                    device = Some(format!("drbd{number}"));
                } else if let Some(device) = &device
                    && put(name, value, device, out).is_none()
                {
                    out.fault(Error::malformed("/proc/drbd", number, "whole numbers, and pairs of states"));
                }
            }
        }
        Ok(())
    }
}

/// `ns:17324442`: the word and the value. What has more colons is a time.
fn pair(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = word.iter().position(|&byte| byte == b':')?;
    let value = word.get(colon + 1..)?;
    (!value.contains(&b':')).then_some((word.get(..colon)?, value))
}

/// Puts a word that is told; `None`: its value does not read.
fn put(name: &[u8], value: &[u8], device: &str, out: &mut Batch) -> Option<()> {
    if let Some((_, family, unit)) = FIGURES.iter().find(|(known, ..)| *known == name) {
        let of = out.entity(DEVICE, [device]);
        out.put(*family, of, parse::number(value)?.checked_mul(*unit)?);
    }
    let (family, good): (_, &[u8]) = match name {
        b"cs" => {
            let of = out.entity(DEVICE, [device]);
            out.put(&CONNECTED, of, value == b"Connected");
            return Some(());
        }
        b"ro" => (&IS_PRIMARY, b"Primary"),
        b"ds" => (&IS_UP_TO_DATE, b"UpToDate"),
        _ => return Some(()),
    };
    let slash = value.iter().position(|&byte| byte == b'/')?;
    for (node, state) in [("local", value.get(..slash)?), ("remote", value.get(slash + 1..)?)] {
        let of = out.entity(NODE, [device, node]);
        out.put(family, of, state == good);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const HEAD: &str = "version: 8.4.11 (api:1/proto:86-101)\nsrcversion: FC3433D849E3B88C1E7B55C\n";

    fn round(text: &str) -> String {
        let tree = Tree::new(&[("proc/drbd", &format!("{HEAD}{text}"))]);
        tree.open(&SPEC, &[]).round().replace("node_drbd_", "")
    }

    #[test]
    fn a_device_that_is_mirrored() {
        let text = "\n 0: cs:Unconfigured\n 1: cs:Connected ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----\n\
                    \tns:1 nr:2 dw:3 dr:4 al:5 bm:6 lo:7 pe:8 ua:9 ap:10 ep:11 wo:f oos:12\n\
                    \t[==>.................] sync'ed: 15.2% (1780/2096)M finish: 0:00:45 speed: 40,076 (39,324) K/sec\n";
        let page = "activitylog_writes_total{ID} 5\napplication_pending{ID} 10\nbitmap_writes_total{ID} 6\n\
                    connected{device=\"drbd0\"} 0\nconnected{ID} 1\ndisk_read_bytes_total{ID} 4096\n\
                    disk_state_is_up_to_date{ID,node=\"local\"} 1\ndisk_state_is_up_to_date{ID,node=\"remote\"} 0\n\
                    disk_written_bytes_total{ID} 3072\nepochs{ID} 11\nlocal_pending{ID} 7\n\
                    network_received_bytes_total{ID} 2048\nnetwork_sent_bytes_total{ID} 1024\n\
                    node_role_is_primary{ID,node=\"local\"} 1\nnode_role_is_primary{ID,node=\"remote\"} 0\n\
                    out_of_sync_bytes{ID} 12288\nremote_pending{ID} 8\nremote_unacknowledged{ID} 9\n";
        assert_eq!(round(text).replace("device=\"drbd1\"", "ID"), page);
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let text = " 0: cs:WFConnection ro:Primary ns:x nr:18446744073709551615 al:1\n";
        let page = "activitylog_writes_total{device=\"drbd0\"} 1\nconnected{device=\"drbd0\"} 0\n";
        assert_eq!(round(text), format!("{page}{}", "! malformed\n".repeat(3)));
        assert_eq!(round("GIT-hash: 1 build by x, 2023\nns:1\n"), "");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            pair(&bytes);
            for name in [&b"ns"[..], b"ro", b"cs"] {
                put(name, &bytes, "drbd0", &mut Batch::new(10));
            }
        }
    }
}
