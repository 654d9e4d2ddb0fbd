//! `/sys/fs/btrfs/UUID/`: space, commits and devices of each btrfs filesystem. More of its devices it says where it is
//! mounted, over ioctls, which a child process makes.
//!
//! Times of commits are told since Linux 6.0. Where no mount of a filesystem can be asked, the sizes of its devices are
//! those in sysfs, which knows no UUIDs of devices; errors are then shown where there is one device, for sysfs counts them
//! (since 5.14) by a number that is no device's name.
//!
//! Differences to node_exporter: a device whose errors can't be read costs no other; a filesystem that grew from a seed shows
//! all of its devices; one whose UUID was changed, or of which only folders are mounted, is asked too.

use crate::kit::{Btrfs as Answer, Device, Error, Host, Options, Root, parse};
use crate::model::{Batch, Family, Value, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::fmt::Display;
use std::time::Duration;

mod mounts;

use mounts::Mounts;

const FOLDER: &str = "fs/btrfs";
const UUID: &[&str; 1] = &["uuid"];
const TYPE: &[&str; 2] = &["block_group_type", "uuid"];
const MODE: &[&str; 3] = &["block_group_type", "mode", "uuid"];
const DEVICE: &[&str; 3] = &["btrfs_dev_uuid", "device", "uuid"];
const ERROR: &[&str; 4] = &["btrfs_dev_uuid", "device", "type", "uuid"];

static INFO: Family =
    gauge("node_btrfs_info", "Always 1: the label of the filesystem, from /sys/fs/btrfs.", &["label", "uuid"]);
static GLOBAL_RSV_SIZE: Family =
    gauge("node_btrfs_global_rsv_size_bytes", "Metadata space that is set aside for emergencies, in bytes.", UUID);
static COMMITS: Family = counter("node_btrfs_commits_total", "Commits of transactions.", UUID);
static LAST_COMMIT: Family =
    gauge("node_btrfs_last_commit_seconds", "How long the last commit took, in seconds.", UUID);
static MAX_COMMIT: Family =
    gauge("node_btrfs_max_commit_seconds", "How long the longest commit took, in seconds.", UUID);
static COMMIT_TIME: Family =
    counter("node_btrfs_commit_seconds_total", "Time that all commits took together, in seconds.", UUID);
static RESERVED: Family = gauge(
    "node_btrfs_reserved_bytes",
    "Space that is reserved for writes under way, by what it is for, in bytes.",
    TYPE,
);
static USED: Family =
    gauge("node_btrfs_used_bytes", "Space in use, by what it is for and how it is laid out, in bytes.", MODE);
static SIZE: Family = gauge(
    "node_btrfs_size_bytes",
    "Space that is given to chunks, by what it is for and how it is laid out, in bytes.",
    MODE,
);
static RATIO: Family = gauge(
    "node_btrfs_allocation_ratio",
    "How much space on the devices such data takes, in relation to its size.",
    MODE,
);
static DEVICE_SIZE: Family =
    gauge("node_btrfs_device_size_bytes", "Size of a device of the filesystem, in bytes.", DEVICE);
static DEVICE_UNUSED: Family = gauge(
    "node_btrfs_device_unused_bytes",
    "Space of a device of the filesystem that is given to no chunk, in bytes.",
    DEVICE,
);
static DEVICE_ERRORS: Family = counter(
    "node_btrfs_device_errors_total",
    "Errors of a device of the filesystem by type (write, read, flush, corruption, generation).",
    ERROR,
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "btrfs",
        "Space, commits and devices of btrfs filesystems, from /sys/fs/btrfs and ioctls.",
        &[
            &INFO,
            &GLOBAL_RSV_SIZE,
            &COMMITS,
            &LAST_COMMIT,
            &MAX_COMMIT,
            &COMMIT_TIME,
            &RESERVED,
            &USED,
            &SIZE,
            &RATIO,
            &DEVICE_SIZE,
            &DEVICE_UNUSED,
            &DEVICE_ERRORS,
        ],
        open,
    )
};

/// What space may be for: `mixed` takes the place of the first two on small filesystems.
const TYPES: [&str; 4] = ["data", "metadata", "system", "mixed"];
/// What errors of a device are counted, in the order of the ioctl.
const ERRORS: [&str; 5] = ["write", "read", "flush", "corruption", "generation"];

struct Btrfs(Mounts);

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Btrfs(Mounts::new()))))
}

impl Collector for Btrfs {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        // Beside the filesystems there is `features`.
        let names = match host.devices(Root::Sys, FOLDER, |name| name.contains('-')) {
            // Without the module, too, there are no filesystems to tell of.
            Err(error) if error.is_absent() => return Ok(()),
            names => names?,
        };
        if names.is_empty() {
            return Ok(());
        }
        let answers = self.0.ask(host, out);
        for name in &names {
            let answer = answers.iter().find(|answer| answer.uuid == *name);
            filesystem(&format!("{FOLDER}/{name}"), name, answer, host, out);
        }
        Ok(())
    }
}

fn number(path: impl Display, host: &mut Host, out: &mut Batch) -> Option<u64> {
    out.found(host.number(Root::Sys, path))
}

/// What sysfs tells of a filesystem, and what it has answered itself.
fn filesystem(home: &str, name: &str, answer: Option<&Answer>, host: &mut Host, out: &mut Batch) {
    let uuid = out.found(host.text(Root::Sys, format_args!("{home}/metadata_uuid")));
    let uuid = uuid.filter(|uuid| !uuid.is_empty()).unwrap_or_else(|| name.to_owned());
    // Without its folder of devices it is no filesystem, or has just been unmounted.
    let Some(devices) = out.found(host.names(Root::Sys, format_args!("{home}/devices"))) else { return };
    let label = out.found(host.text(Root::Sys, format_args!("{home}/label"))).unwrap_or_default();
    let info = out.entity(&["label", "uuid"], [&label, &uuid]);
    out.put(&INFO, info, 1u64);
    let of = out.entity(UUID, [&uuid]);
    let reserve = number(format_args!("{home}/allocation/global_rsv_size"), host, out);
    out.put_some(&GLOBAL_RSV_SIZE, of, reserve);
    if let Some(text) = out.found(host.read(Root::Sys, format_args!("{home}/commit_stats"))) {
        let stats = [("commits", &COMMITS, 0), ("last_commit_ms", &LAST_COMMIT, 3)];
        let stats = stats.into_iter().chain([("max_commit_ms", &MAX_COMMIT, 3), ("total_commit_ms", &COMMIT_TIME, 3)]);
        for (word, family, decimals) in stats {
            match counted(text, word) {
                Some(figure) => out.put(family, of, Value::Scaled(figure, decimals)),
                None => out.fault(Error::malformed(&format!("/sys/{home}/commit_stats"), 0, "counts of commits")),
            }
        }
    }
    for kind in TYPES {
        space(home, &uuid, kind, devices.len(), host, out);
    }
    match answer {
        Some(answer) => answer.devices.iter().for_each(|device| asked(device, &uuid, out)),
        None => listed(home, &uuid, &devices, host, out),
    }
}

/// A device as the filesystem itself tells of it.
fn asked(device: &Device, uuid: &str, out: &mut Batch) {
    let of = out.entity(DEVICE, [&device.uuid, &device.name, uuid]);
    out.put(&DEVICE_SIZE, of, device.size);
    out.put_some(&DEVICE_UNUSED, of, device.size.checked_sub(device.used));
    for (kind, errors) in ERRORS.iter().zip(device.errors.into_iter().flatten()) {
        let of = out.entity(ERROR, [&device.uuid, &device.name, kind, uuid]);
        out.put(&DEVICE_ERRORS, of, errors);
    }
}

/// The devices as sysfs lists them.
fn listed(home: &str, uuid: &str, devices: &[String], host: &mut Host, out: &mut Batch) {
    for device in devices {
        let of = out.entity(&["device", "uuid"], [device, uuid]);
        let sectors = number(format_args!("{home}/devices/{device}/size"), host, out);
        out.put_some(&DEVICE_SIZE, of, sectors.and_then(|sectors| sectors.checked_mul(512)));
        if devices.len() == 1 {
            errors(home, device, uuid, host, out);
        }
    }
}

fn space(home: &str, uuid: &str, kind: &str, devices: usize, host: &mut Host, out: &mut Batch) {
    let Some(names) = out.found(host.names(Root::Sys, format_args!("{home}/allocation/{kind}"))) else { return };
    let of = out.entity(TYPE, [kind, uuid]);
    let reserved = number(format_args!("{home}/allocation/{kind}/bytes_reserved"), host, out);
    out.put_some(&RESERVED, of, reserved);
    // Each way of laying out is a folder among the files.
    for mode in names.iter().filter(|name| !name.contains('_')) {
        for (family, file) in [(&USED, "used_bytes"), (&SIZE, "total_bytes")] {
            let bytes = number(format_args!("{home}/allocation/{kind}/{mode}/{file}"), host, out);
            if let Some(bytes) = bytes {
                let of = out.entity(MODE, [kind, mode, uuid]);
                out.put(family, of, bytes);
                if file == "total_bytes" {
                    out.put_some(&RATIO, of, ratio(mode, devices));
                }
            }
        }
    }
}

/// How often each byte is written; data with parity is spread over all devices.
fn ratio(mode: &str, devices: usize) -> Option<f64> {
    let with_parity = |parity: usize| {
        let data = devices.checked_sub(parity).filter(|&data| data > 0)?;
        Some(devices as f64 / data as f64)
    };
    match mode {
        "single" | "raid0" => Some(1.0),
        "dup" | "raid1" | "raid10" => Some(2.0),
        "raid1c3" => Some(3.0),
        "raid1c4" => Some(4.0),
        "raid5" => with_parity(1),
        "raid6" => with_parity(2),
        _ => None,
    }
}

fn errors(home: &str, device: &str, uuid: &str, host: &mut Host, out: &mut Batch) {
    let Some(numbers) = out.found(host.names(Root::Sys, format_args!("{home}/devinfo"))) else { return };
    // Two numbers and one device: the other one is missing, and either may be meant.
    let [number] = numbers.as_slice() else { return };
    let Some(text) = out.found(host.read(Root::Sys, format_args!("{home}/devinfo/{number}/error_stats"))) else {
        return;
    };
    for kind in ERRORS {
        let of = out.entity(&["device", "type", "uuid"], [device, kind, uuid]);
        out.put_some(&DEVICE_ERRORS, of, counted(text, &format!("{kind}_errs")));
    }
}

/// `last_commit_ms 251`: the number behind the word, among other lines.
fn counted(text: &[u8], word: &str) -> Option<i64> {
    let lines = text.split(|&byte| byte == b'\n');
    let mut words = lines.map(parse::words).find_map(|mut words| {
        let is_it = words.next() == Some(word.as_bytes());
        is_it.then_some(words)
    })?;
    parse::number(words.next()?)?.try_into().ok()
}

#[cfg(test)]
mod tests;
