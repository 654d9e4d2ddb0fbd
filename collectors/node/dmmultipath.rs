//! `/sys/block/dm-N/`: disks with several paths, of the device mapper's multipath, and the state of each path.
//!
//! A path is a device of its own, below `slaves/`. SCSI calls one that works `running`, NVMe calls it `live`.

use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "block";
const DEVICE: &[&str; 2] = &["device", "sysfs_name"];

static INFO: Family = gauge(
    "node_dmmultipath_device_info",
    "Always 1: the UUID of the device, from /sys/block/dm-N/dm.",
    &["device", "sysfs_name", "uuid"],
);
static ACTIVE: Family = gauge("node_dmmultipath_device_active", "1 unless the device is suspended.", DEVICE);
static SIZE: Family = gauge("node_dmmultipath_device_size_bytes", "Size of the device in bytes.", DEVICE);
static PATHS: Family = gauge("node_dmmultipath_device_paths", "Paths to the device.", DEVICE);
static PATHS_ACTIVE: Family = gauge("node_dmmultipath_device_paths_active", "Paths to the device that work.", DEVICE);
static PATHS_FAILED: Family =
    gauge("node_dmmultipath_device_paths_failed", "Paths to the device that don't work.", DEVICE);
static PATH_STATE: Family = gauge(
    "node_dmmultipath_path_state",
    "1 for the state that the path is in, from /sys/block/PATH/device/state.",
    &["device", "path", "state"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "dmmultipath",
        "Disks with several paths, from /sys/block/dm-*.",
        &[&INFO, &ACTIVE, &SIZE, &PATHS, &PATHS_ACTIVE, &PATHS_FAILED, &PATH_STATE],
        open,
    )
};

struct Dmmultipath;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(if host.exists(Root::Sys, FOLDER) { Some(Box::new(Dmmultipath)) } else { None })
}

impl Collector for Dmmultipath {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for sysfs_name in &host.devices(Root::Sys, FOLDER, |name| name.starts_with("dm-"))? {
            let uuid = out.found(host.text(Root::Sys, format_args!("{FOLDER}/{sysfs_name}/dm/uuid")));
            if let Some(uuid) = uuid.filter(|uuid| uuid.starts_with("mpath-")) {
                device(sysfs_name, &uuid, host, out);
            }
        }
        Ok(())
    }
}

fn device(sysfs_name: &str, uuid: &str, host: &mut Host, out: &mut Batch) {
    let home = format!("{FOLDER}/{sysfs_name}");
    let Some(name) = out.found(host.text(Root::Sys, format_args!("{home}/dm/name"))) else { return };
    let info = out.entity(&["device", "sysfs_name", "uuid"], [&name, sysfs_name, uuid]);
    out.put(&INFO, info, 1u64);
    let of = out.entity(DEVICE, [&name, sysfs_name]);
    let suspended = out.found(host.number(Root::Sys, format_args!("{home}/dm/suspended")));
    out.put_some(&ACTIVE, of, suspended.map(|suspended| suspended != 1));
    let sectors = out.found(host.number(Root::Sys, format_args!("{home}/size")));
    out.put_some(&SIZE, of, sectors.and_then(|sectors| sectors.checked_mul(512)));
    let paths = match host.names(Root::Sys, format_args!("{home}/slaves")) {
        Err(error) if error.is_absent() => Vec::new(),
        Err(error) => return out.fault(error),
        Ok(paths) => paths,
    };
    let mut active = 0u64;
    for path in &paths {
        // A path that has just been pulled out has no state, and does not work.
        let Some(state) = out.found(host.text(Root::Sys, format_args!("{FOLDER}/{path}/device/state"))) else {
            continue;
        };
        active += u64::from(matches!(state.as_str(), "running" | "live"));
        let of = out.entity(&["device", "path", "state"], [&name, path, &state]);
        out.put(&PATH_STATE, of, 1u64);
    }
    out.put(&PATHS, of, paths.len() as u64);
    out.put(&PATHS_ACTIVE, of, active);
    out.put(&PATHS_FAILED, of, paths.len() as u64 - active);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn a_disk_with_three_paths() {
        let tree = Tree::new(&[
            ("sys/block/dm-3/dm/uuid", "mpath-3600508\n"),
            ("sys/block/dm-3/dm/name", "mpatha\n"),
            ("sys/block/dm-3/dm/suspended", "1\n"),
            ("sys/block/dm-3/size", "2\n"),
            ("sys/block/dm-3/slaves/sda/x", ""),
            ("sys/block/dm-3/slaves/sdb/x", ""),
            ("sys/block/dm-3/slaves/nvme0n1/x", ""),
            ("sys/block/sda/device/state", "running\n"),
            ("sys/block/sdb/device/state", "offline\n"),
            ("sys/block/nvme0n1/device/state", "live\n"),
            ("sys/block/dm-0/dm/uuid", "LVM-abc\n"),
            ("sys/block/dm-1/size", "2\n"),
            ("sys/block/loop0/dm/uuid", "mpath-no\n"),
        ]);
        let page = "device_active{ID} 0\ndevice_info{ID,uuid=\"mpath-3600508\"} 1\ndevice_paths{ID} 3\n\
                    device_paths_active{ID} 2\ndevice_paths_failed{ID} 1\ndevice_size_bytes{ID} 1024\n\
                    path_state{device=\"mpatha\",path=\"nvme0n1\",state=\"live\"} 1\n\
                    path_state{device=\"mpatha\",path=\"sda\",state=\"running\"} 1\n\
                    path_state{device=\"mpatha\",path=\"sdb\",state=\"offline\"} 1\n";
        let round = tree.open(&SPEC, &[]).round().replace("device=\"mpatha\",sysfs_name=\"dm-3\"", "ID");
        assert_eq!(round.replace("node_dmmultipath_", ""), page);
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let tree = Tree::new(&[
            ("sys/block/dm-3/dm/uuid", "mpath-3600508\n"),
            ("sys/block/dm-3/dm/name", "mpatha\n"),
            ("sys/block/dm-3/dm/suspended", "no\n"),
            ("sys/block/dm-3/slaves/sda/x", ""),
            ("sys/block/dm-3/slaves/sdb/x", ""),
            ("sys/block/sdb/device/state", "running\n"),
            ("calls/errno", "sys/block/sdb/device/state EIO\n"),
        ]);
        let round = tree.open(&SPEC, &[]).round().replace("device=\"mpatha\",sysfs_name=\"dm-3\"", "ID");
        let page = "device_info{ID,uuid=\"mpath-3600508\"} 1\ndevice_paths{ID} 2\ndevice_paths_active{ID} 0\n\
                    device_paths_failed{ID} 2\n! io\n! malformed\n";
        assert_eq!(round.replace("node_dmmultipath_", ""), page);
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/block/", "")]).check(&SPEC, &[], "");
    }
}
