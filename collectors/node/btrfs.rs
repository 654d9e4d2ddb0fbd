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
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const HOME: &str = "sys/fs/btrfs/c0ffee00-0000-4000-8000-000000000001";

    fn tree(files: &[(&str, &str)]) -> Tree {
        let tree = Tree::new(&[("sys/fs/btrfs/features/free_space_tree", "0\n")]);
        files.iter().for_each(|(path, text)| tree.write(&format!("{HOME}/{path}"), text));
        tree
    }

    /// The round without the words that every line has.
    fn round(tree: &Tree) -> String {
        let round = tree.open(&SPEC, &[]).round().replace("uuid=\"c0ffee00-0000-4000-8000-000000000001\"", "ID");
        round.replace("node_btrfs_", "")
    }

    #[test]
    fn a_filesystem_on_one_disk() {
        let tree = tree(&[
            ("label", "home\n"),
            ("metadata_uuid", "c0ffee00-0000-4000-8000-000000000001\n"),
            ("allocation/global_rsv_size", "16777216\n"),
            ("allocation/data/bytes_reserved", "4096\n"),
            ("allocation/data/total_bytes", "9\n"),
            ("allocation/data/flags", "1\n"),
            ("allocation/data/single/total_bytes", "8388608\n"),
            ("allocation/data/single/used_bytes", "1048576\n"),
            ("allocation/metadata/dup/total_bytes", "2\n"),
            ("allocation/system/future/total_bytes", "3\n"),
            (
                "commit_stats",
                "commits 12\ncur_commit_ms 0\nlast_commit_ms 251\nmax_commit_ms 1300\ntotal_commit_ms 5\n",
            ),
            ("devices/sda2/size", "2048\n"),
            (
                "devinfo/1/error_stats",
                "write_errs 1\nread_errs 2\nflush_errs 0\ncorruption_errs 4\ngeneration_errs 5\n",
            ),
        ]);
        let page = "allocation_ratio{block_group_type=\"data\",mode=\"single\",ID} 1\n\
            allocation_ratio{block_group_type=\"metadata\",mode=\"dup\",ID} 2\ncommit_seconds_total{ID} 0.005\n\
            commits_total{ID} 12\n\
            device_errors_total{device=\"sda2\",type=\"write\",ID} 1\n\
            device_errors_total{device=\"sda2\",type=\"read\",ID} 2\n\
            device_errors_total{device=\"sda2\",type=\"flush\",ID} 0\n\
            device_errors_total{device=\"sda2\",type=\"corruption\",ID} 4\n\
            device_errors_total{device=\"sda2\",type=\"generation\",ID} 5\n\
            device_size_bytes{device=\"sda2\",ID} 1048576\n\
            global_rsv_size_bytes{ID} 16777216\ninfo{label=\"home\",ID} 1\nlast_commit_seconds{ID} 0.251\n\
            max_commit_seconds{ID} 1.3\nreserved_bytes{block_group_type=\"data\",ID} 4096\n\
            size_bytes{block_group_type=\"data\",mode=\"single\",ID} 8388608\n\
            size_bytes{block_group_type=\"metadata\",mode=\"dup\",ID} 2\n\
            size_bytes{block_group_type=\"system\",mode=\"future\",ID} 3\n\
            used_bytes{block_group_type=\"data\",mode=\"single\",ID} 1048576\n";
        assert_eq!(round(&tree), page);
    }

    const MOUNTS: &str = "1 0 0:9 / / rw - tmpfs x rw\n30 1 0:40 /a /a rw - btrfs /dev/sda rw\n\
                          31 1 0:40 /b /b rw - btrfs /dev/sda rw\n";
    const SAID: &str = "c0ffee00-0000-4000-8000-000000000001";

    /// Two disks, of which one is missing.
    fn mounted(calls: &str) -> Tree {
        let tree = tree(&[("devices/sda/size", "2048\n"), ("devinfo/1/error_stats", "write_errs 9\n")]);
        tree.write("proc/1/mountinfo", MOUNTS);
        tree.write("calls/btrfs", &calls.replace("ID", SAID));
        tree
    }

    #[test]
    fn what_a_filesystem_says_itself() {
        let tree = mounted("/a ID u-1 sda 1000 400 1 2 3 4 5\n/a ID u-2 - 3000 3001\n/b EIO\n");
        let errors = |(kind, count)| {
            format!("device_errors_total{{btrfs_dev_uuid=\"u-1\",device=\"sda\",type=\"{kind}\",ID}} {count}\n")
        };
        let page = ERRORS.iter().zip(1..).map(errors).collect::<String>()
            + "device_size_bytes{btrfs_dev_uuid=\"u-1\",device=\"sda\",ID} 1000\n\
               device_size_bytes{btrfs_dev_uuid=\"u-2\",ID} 3000\n\
               device_unused_bytes{btrfs_dev_uuid=\"u-1\",device=\"sda\",ID} 600\ninfo{ID} 1\n";
        assert_eq!(round(&tree), page);
    }

    #[test]
    fn another_mount_is_asked_where_one_can_not_be_opened() {
        let listed =
            "device_errors_total{device=\"sda\",type=\"write\",ID} 9\ndevice_size_bytes{device=\"sda\",ID} 1048576\n";
        let said = "device_size_bytes{btrfs_dev_uuid=\"u\",device=\"sda\",ID} 1000\n\
                    device_unused_bytes{btrfs_dev_uuid=\"u\",device=\"sda\",ID} 600\n";
        let answer = "ID u sda 1000 400\n";
        for (calls, page, faults) in [
            (format!("/a EACCES\n/b {answer}"), said, ""),
            (format!("/a {answer}/b STUCK\n"), said, ""),
            ("/a EIO\n/b EACCES\n".to_owned(), listed, "! denied\n"),
            // The other mount is of the same filesystem: it would hang as well.
            (format!("/a STUCK\n/b {answer}"), listed, "! stuck\n"),
            // Unmounted since the table was read, or of another filesystem.
            (String::new(), listed, ""),
            ("/a other u sda 1 1\n".to_owned(), listed, ""),
        ] {
            assert_eq!(round(&mounted(&calls)), format!("{page}info{{ID}} 1\n{faults}"), "{calls}");
        }
    }

    #[test]
    fn an_old_kernel_and_several_disks() {
        let tree = tree(&[
            ("label", "\n"),
            ("devices/sda/size", "1\n"),
            ("devices/sdb/size", "2\n"),
            ("devices/sdc/size", "3\n"),
            ("devinfo/1/error_stats", "write_errs 1\n"),
            ("allocation/data/raid5/total_bytes", "30\n"),
        ]);
        let page = "allocation_ratio{block_group_type=\"data\",mode=\"raid5\",ID} 1.5\n\
                    device_size_bytes{device=\"sda\",ID} 512\ndevice_size_bytes{device=\"sdb\",ID} 1024\n\
                    device_size_bytes{device=\"sdc\",ID} 1536\ninfo{ID} 1\n\
                    size_bytes{block_group_type=\"data\",mode=\"raid5\",ID} 30\n";
        assert_eq!(round(&tree), page);
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let tree = tree(&[
            ("devices/sda/size", "many\n"),
            ("commit_stats", "commits -1\nlast_commit_ms 251\n"),
            ("allocation/global_rsv_size", "1\n"),
        ]);
        tree.write("calls/errno", &format!("{HOME}/allocation/global_rsv_size EIO\n"));
        let faults = "! io\n! malformed\n! malformed\n! malformed\n! malformed\n";
        assert_eq!(round(&tree), format!("info{{ID}} 1\nlast_commit_seconds{{ID}} 0.251\n{faults}"));
    }

    #[test]
    fn without_the_module_there_is_none() {
        Tree::new(&[]).check(&SPEC, &[], "");
        Tree::new(&[("sys/fs/btrfs/features/x", "")]).check(&SPEC, &[], "");
        Tree::new(&[("sys/fs/btrfs/0-1/label", "x\n")]).check(&SPEC, &[], "");
    }

    #[test]
    fn how_often_a_byte_is_written() {
        assert_eq!(ratio("raid6", 4), Some(2.0));
        assert_eq!(ratio("raid6", 2), None);
        assert_eq!(ratio("raid5", 0), None);
        assert_eq!(ratio("raid1c4", 0), Some(4.0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            counted(&bytes, "commits");
            counted(&[b"commits ", bytes.as_slice(), b"\n"].concat(), "commits");
        }
    }
}
