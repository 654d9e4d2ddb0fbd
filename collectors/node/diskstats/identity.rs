//! What a disk is called: what udev has found out about it, and whether it turns.

use super::DEVICE;
use crate::kit::{Error, Host, Root, parse};
use crate::model::{Batch, Entity, Family, gauge};

pub(super) static INFO: Family = gauge(
    "node_disk_info",
    "Always 1: what the device is, from udev's data and /sys/block/DEVICE/queue/rotational.",
    INFO_LABELS,
);
pub(super) static FILESYSTEM: Family = gauge(
    "node_disk_filesystem_info",
    "Always 1: the filesystem, or other content, that udev has found on the device.",
    FILESYSTEM_LABELS,
);
pub(super) static DEVICE_MAPPER: Family = gauge(
    "node_disk_device_mapper_info",
    "Always 1: what the device mapper and LVM call the device, from udev's data.",
    DEVICE_MAPPER_LABELS,
);
pub(super) static ATA_WRITE_CACHE: Family =
    gauge("node_disk_ata_write_cache", "Whether the ATA disk has a write cache, from udev's data.", DEVICE);
pub(super) static ATA_WRITE_CACHE_ENABLED: Family =
    gauge("node_disk_ata_write_cache_enabled", "Whether the ATA disk uses its write cache, from udev's data.", DEVICE);
pub(super) static ATA_ROTATION_RATE: Family = gauge(
    "node_disk_ata_rotation_rate_rpm",
    "Revolutions of the ATA disk a minute, 0 if it has no moving parts, from udev's data.",
    DEVICE,
);

const INFO_LABELS: &[&str; 9] =
    &["device", "major", "minor", "model", "path", "revision", "rotational", "serial", "wwn"];
const FILESYSTEM_LABELS: &[&str; 5] = &["device", "type", "usage", "uuid", "version"];
const DEVICE_MAPPER_LABELS: &[&str; 6] = &["device", "lv_layer", "lv_name", "name", "uuid", "vg_name"];

/// The properties of udev that are told, in the order of [`PROPERTIES`].
#[derive(Clone, Copy)]
enum Property {
    Path,
    Wwn,
    Model,
    Revision,
    ScsiSerial,
    SerialShort,
    Serial,
    FsType,
    FsUsage,
    FsUuid,
    FsVersion,
    DmName,
    DmUuid,
    DmVg,
    DmLv,
    DmLayer,
    Ata,
    AtaWriteCache,
    AtaWriteCacheEnabled,
    AtaRotationRate,
}

const PROPERTIES: [&[u8]; 20] = [
    b"ID_PATH",
    b"ID_WWN",
    b"ID_MODEL",
    b"ID_REVISION",
    b"SCSI_IDENT_SERIAL",
    b"ID_SERIAL_SHORT",
    b"ID_SERIAL",
    b"ID_FS_TYPE",
    b"ID_FS_USAGE",
    b"ID_FS_UUID",
    b"ID_FS_VERSION",
    b"DM_NAME",
    b"DM_UUID",
    b"DM_VG_NAME",
    b"DM_LV_NAME",
    b"DM_LV_LAYER",
    b"ID_ATA",
    b"ID_ATA_WRITE_CACHE",
    b"ID_ATA_WRITE_CACHE_ENABLED",
    b"ID_ATA_ROTATION_RATE_RPM",
];

/// What a device is called.
pub(super) struct Identity {
    major: String,
    minor: String,
    rotational: &'static str,
    udev: Udev,
    /// What could not be read, told again every round.
    error: Option<Error>,
}

impl Identity {
    pub(super) fn read((major, minor): (u32, u32), name: &str, host: &mut Host) -> Self {
        let (udev, error) = match host.read(Root::Udev, format_args!("b{major}:{minor}")) {
            Ok(text) => (Udev::parse(text), None),
            Err(error) => (Udev::default(), Some(error).filter(|error| !error.is_absent())),
        };
        let rotational = if turns(name, host) { "1" } else { "0" };
        Self { major: major.to_string(), minor: minor.to_string(), rotational, udev, error }
    }

    pub(super) fn put(&self, name: &str, of: Entity, out: &mut Batch) {
        use Property as P;
        let udev = |property| self.udev.get(property);
        // The one on the sticker, where the disk tells it; disks of virtio only have the last.
        let serial = [P::ScsiSerial, P::SerialShort, P::Serial].map(udev).into_iter().find(|serial| !serial.is_empty());
        let serial = serial.unwrap_or_default();
        let (model, path, revision, wwn) = (udev(P::Model), udev(P::Path), udev(P::Revision), udev(P::Wwn));
        let info = [name, &self.major, &self.minor, model, path, revision, self.rotational, serial, wwn];
        let info = out.entity(INFO_LABELS, info);
        out.put(&INFO, info, 1u64);
        if !udev(P::FsType).is_empty() {
            let filesystem = [name, udev(P::FsType), udev(P::FsUsage), udev(P::FsUuid), udev(P::FsVersion)];
            let filesystem = out.entity(FILESYSTEM_LABELS, filesystem);
            out.put(&FILESYSTEM, filesystem, 1u64);
        }
        if !udev(P::DmName).is_empty() {
            let (layer, lv, vg) = (udev(P::DmLayer), udev(P::DmLv), udev(P::DmVg));
            let mapped = out.entity(DEVICE_MAPPER_LABELS, [name, layer, lv, udev(P::DmName), udev(P::DmUuid), vg]);
            out.put(&DEVICE_MAPPER, mapped, 1u64);
        }
        if !udev(P::Ata).is_empty() {
            for (family, property) in [
                (&ATA_WRITE_CACHE, P::AtaWriteCache),
                (&ATA_WRITE_CACHE_ENABLED, P::AtaWriteCacheEnabled),
                (&ATA_ROTATION_RATE, P::AtaRotationRate),
            ] {
                out.put_some(family, of, parse::number(udev(property).as_bytes()));
            }
        }
        if let Some(error) = &self.error {
            out.fault(error.clone());
        }
    }
}

/// Whether the device, or the disk that it is a part of, is one that turns. A device that does not say does not.
fn turns(name: &str, host: &mut Host) -> bool {
    // Old RAID controllers have a slash in their names, which is none in sysfs: cciss/c0d0.
    let name = name.replace('/', "!");
    let mut says = |path: std::fmt::Arguments<'_>| host.number(Root::Sys, path).ok();
    let own = says(format_args!("block/{name}/queue/rotational"));
    own.or_else(|| says(format_args!("class/block/{name}/../queue/rotational"))) == Some(1)
}

/// The properties in a file of udev's database; the empty text for those that are not there.
#[derive(Default)]
struct Udev([String; PROPERTIES.len()]);

impl Udev {
    /// `E:ID_MODEL=ST4000NM0035`, among lines that begin with other letters. The last one may lack its end.
    fn parse(text: &[u8]) -> Self {
        let mut udev = Self::default();
        for line in text.split(|&byte| byte == b'\n') {
            let Some((name, value)) = line.strip_prefix(b"E:").and_then(|line| {
                let equals = line.iter().position(|&byte| byte == b'=')?;
                Some((line.get(..equals)?, line.get(equals + 1..)?))
            }) else {
                continue;
            };
            if let Some((_, place)) = PROPERTIES.iter().zip(&mut udev.0).find(|(known, _)| **known == name) {
                *place = String::from_utf8_lossy(value).into_owned();
            }
        }
        udev
    }

    fn get(&self, property: Property) -> &str {
        self.0.get(property as usize).map_or("", String::as_str)
    }
}
