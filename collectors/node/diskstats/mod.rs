//! `/proc/diskstats`: what each disk has read and written; and what udev knows of it.
//!
//! A line has 14 columns up to Linux 4.17; 4.18 added four for discards, 5.5 two for flushes. Before 2.6.25 a partition
//! had only 7: such lines are left out. All are sums in memory, but `queue/rotational` takes the queue's lock, which is
//! held for as long as a device that is being reconfigured does not answer.
//!
//! The partitions that are left out by default are those whose disk tells the same. A disk of Xen may be called `xvda1`
//! without there being an `xvda`: it is kept.

mod identity;
#[cfg(test)]
mod tests;

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, Value, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use identity::Identity;
use std::time::Duration;

const DEVICE: &[&str; 1] = &["device"];
const EXCLUDED: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";
/// How long what a device is called is taken to be so. A filesystem that is made on it is shown after that time.
const IDENTITY_FOR: Duration = Duration::from_secs(60);
/// How many devices that follow each other may go between two rounds and still leave the others known.
const GONE_MAX: usize = 64;

static READS: Family =
    counter("node_disk_reads_completed_total", "Reads that were completed, from /proc/diskstats.", DEVICE);
static READS_MERGED: Family = counter(
    "node_disk_reads_merged_total",
    "Reads that were merged with a neighbour before they were sent to the device, from /proc/diskstats.",
    DEVICE,
);
static READ_BYTES: Family = counter("node_disk_read_bytes_total", "Bytes read, from /proc/diskstats.", DEVICE);
static READ_TIME: Family = counter(
    "node_disk_read_time_seconds_total",
    "Time that all reads took together, in seconds, from /proc/diskstats.",
    DEVICE,
);
static WRITES: Family =
    counter("node_disk_writes_completed_total", "Writes that were completed, from /proc/diskstats.", DEVICE);
static WRITES_MERGED: Family = counter(
    "node_disk_writes_merged_total",
    "Writes that were merged with a neighbour before they were sent to the device, from /proc/diskstats.",
    DEVICE,
);
static WRITTEN_BYTES: Family = counter("node_disk_written_bytes_total", "Bytes written, from /proc/diskstats.", DEVICE);
static WRITE_TIME: Family = counter(
    "node_disk_write_time_seconds_total",
    "Time that all writes took together, in seconds, from /proc/diskstats.",
    DEVICE,
);
static IO_NOW: Family = gauge("node_disk_io_now", "Requests that are under way, from /proc/diskstats.", DEVICE);
static IO_TIME: Family = counter(
    "node_disk_io_time_seconds_total",
    "Time in which a request was under way, in seconds, from /proc/diskstats.",
    DEVICE,
);
static IO_TIME_WEIGHTED: Family = counter(
    "node_disk_io_time_weighted_seconds_total",
    "Time in which requests were under way, times their number, in seconds, from /proc/diskstats.",
    DEVICE,
);
static DISCARDS: Family =
    counter("node_disk_discards_completed_total", "Discards that were completed, from /proc/diskstats.", DEVICE);
static DISCARDS_MERGED: Family = counter(
    "node_disk_discards_merged_total",
    "Discards that were merged with a neighbour before they were sent to the device, from /proc/diskstats.",
    DEVICE,
);
static DISCARDED_SECTORS: Family = counter(
    "node_disk_discarded_sectors_total",
    "Sectors of 512 bytes that were discarded, from /proc/diskstats.",
    DEVICE,
);
static DISCARD_TIME: Family = counter(
    "node_disk_discard_time_seconds_total",
    "Time that all discards took together, in seconds, from /proc/diskstats.",
    DEVICE,
);
static FLUSHES: Family = counter(
    "node_disk_flush_requests_total",
    "Flushes of the device's cache that were completed, from /proc/diskstats.",
    DEVICE,
);
static FLUSH_TIME: Family = counter(
    "node_disk_flush_requests_time_seconds_total",
    "Time that all flushes took together, in seconds, from /proc/diskstats.",
    DEVICE,
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    options: &[
        Opt {
            name: "device-include",
            kind: OptKind::Instead("device-exclude"),
            default: "",
            help: "Disks and partitions to report, all others are left out.",
        },
        Opt {
            name: "device-exclude",
            kind: OptKind::Regex,
            default: EXCLUDED,
            help: "Disks and partitions to leave out; unless it is given, a disk without partitions is kept whatever its name.",
        },
    ],
    ..Spec::new(
        Group::Node,
        "diskstats",
        "Reads and writes of disks from /proc/diskstats, and what udev knows of them.",
        FAMILIES,
        open,
    )
};

static FAMILIES: &[&Family] = &[
    &READS,
    &READS_MERGED,
    &READ_BYTES,
    &READ_TIME,
    &WRITES,
    &WRITES_MERGED,
    &WRITTEN_BYTES,
    &WRITE_TIME,
    &IO_NOW,
    &IO_TIME,
    &IO_TIME_WEIGHTED,
    &DISCARDS,
    &DISCARDS_MERGED,
    &DISCARDED_SECTORS,
    &DISCARD_TIME,
    &FLUSHES,
    &FLUSH_TIME,
    &identity::INFO,
    &identity::FILESYSTEM,
    &identity::DEVICE_MAPPER,
    &identity::ATA_WRITE_CACHE,
    &identity::ATA_WRITE_CACHE_ENABLED,
    &identity::ATA_ROTATION_RATE,
];

#[derive(Clone, Copy)]
enum Unit {
    One,
    /// Sectors of 512 bytes, whatever those of the device are.
    Bytes,
    Millis,
}

/// In the order of the file's columns behind the name.
static COLUMNS: [(&Family, Unit); 17] = [
    (&READS, Unit::One),
    (&READS_MERGED, Unit::One),
    (&READ_BYTES, Unit::Bytes),
    (&READ_TIME, Unit::Millis),
    (&WRITES, Unit::One),
    (&WRITES_MERGED, Unit::One),
    (&WRITTEN_BYTES, Unit::Bytes),
    (&WRITE_TIME, Unit::Millis),
    (&IO_NOW, Unit::One),
    (&IO_TIME, Unit::Millis),
    (&IO_TIME_WEIGHTED, Unit::Millis),
    (&DISCARDS, Unit::One),
    (&DISCARDS_MERGED, Unit::One),
    (&DISCARDED_SECTORS, Unit::One),
    (&DISCARD_TIME, Unit::Millis),
    (&FLUSHES, Unit::One),
    (&FLUSH_TIME, Unit::Millis),
];
const COLUMNS_MIN: usize = 11;
const COLUMNS_OF_OLD_PARTITION: usize = 4;

/// What a line says: the device's number, its name, the figures, and how many they are.
type Line<'a> = ((u32, u32), &'a str, [u64; COLUMNS.len()], usize);

struct Diskstats {
    file: KeptFile,
    filter: Filter,
    /// Whether the default exclusion holds, which means partitions.
    is_default: bool,
    /// In the order of the file.
    disks: Vec<Disk>,
}

/// A line of the file, and what its device is called.
struct Disk {
    number: (u32, u32),
    name: String,
    figures: [u64; COLUMNS.len()],
    columns: usize,
    /// When it was asked what the device is called; `None`: not yet.
    asked: Option<Duration>,
    /// `None`: it is to be left out.
    identity: Option<Identity>,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !host.exists(Root::Proc, "diskstats") {
        return Ok(None);
    }
    Ok(Some(Box::new(Diskstats {
        file: KeptFile::new(Root::Proc, "diskstats").lines(),
        filter: options.filter("device-include", "device-exclude"),
        is_default: options.text("device-exclude") == Some(EXCLUDED),
        disks: Vec::new(),
    })))
}

impl Collector for Diskstats {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        self.read(host, out)?;
        let now = host.monotonic();
        for disk in &mut self.disks {
            if disk.asked.is_none_or(|asked| now.saturating_sub(asked) >= IDENTITY_FOR) {
                let is_kept = self.filter.keeps(&disk.name) || self.is_default && is_whole(&disk.name, host);
                disk.identity = is_kept.then(|| Identity::read(disk.number, &disk.name, host));
                disk.asked = Some(now);
            }
            let Some(identity) = &disk.identity else { continue };
            let of = out.entity(DEVICE, [&disk.name]);
            for ((family, unit), figure) in COLUMNS.iter().zip(disk.figures).take(disk.columns) {
                out.put(*family, of, value(figure, *unit));
            }
            identity.put(&disk.name, of, out);
        }
        Ok(())
    }
}

impl Diskstats {
    fn read(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        let mut count = 0;
        for (line, number) in parse::lines(text).zip(1..) {
            let Some((device, name, figures, columns)) = disk(line) else {
                out.fault(Error::malformed("/proc/diskstats", number, "two numbers, a name, and at least 11 figures"));
                continue;
            };
            if columns == COLUMNS_OF_OLD_PARTITION {
                continue;
            }
            let is_it = |disk: &Disk| disk.number == device && disk.name == name;
            if !self.disks.get(count).is_some_and(is_it) {
                match self.disks.iter().skip(count).take(GONE_MAX).position(is_it) {
                    Some(gone) => drop(self.disks.drain(count..count + gone)),
                    None => self.disks.insert(count, Disk::new(device, name)),
                }
            }
            if let Some(disk) = self.disks.get_mut(count) {
                (disk.figures, disk.columns) = (figures, columns);
            }
            count += 1;
        }
        self.disks.truncate(count);
        Ok(())
    }
}

impl Disk {
    fn new(number: (u32, u32), name: &str) -> Self {
        Self { number, name: name.to_owned(), figures: [0; COLUMNS.len()], columns: 0, asked: None, identity: None }
    }
}

/// Whether a name that looks like that of a partition is that of a disk.
fn is_whole(name: &str, host: &mut Host) -> bool {
    let is_like_a_partition = ["sd", "hd", "vd", "xvd"].iter().any(|prefix| name.starts_with(prefix));
    is_like_a_partition && host.exists(Root::Sys, format_args!("block/{name}"))
}

/// ` 254       0 vda 94700 9573 7347242 66768 …`
fn disk(line: &[u8]) -> Option<Line<'_>> {
    let mut words = parse::words(line);
    let mut number = || u32::try_from(parse::number(words.next()?)?).ok();
    let device = (number()?, number()?);
    let name = std::str::from_utf8(words.next()?).ok()?;
    let mut figures = [0; COLUMNS.len()];
    let mut columns = 0;
    for (figure, word) in figures.iter_mut().zip(words) {
        *figure = parse::number(word)?;
        columns += 1;
    }
    (columns >= COLUMNS_MIN || columns == COLUMNS_OF_OLD_PARTITION).then_some((device, name, figures, columns))
}

fn value(figure: u64, unit: Unit) -> Value {
    const SECTOR: u64 = 512;
    match unit {
        Unit::One => figure.into(),
        Unit::Bytes => figure.checked_mul(SECTOR).map_or(Value::Float(figure as f64 * SECTOR as f64), Value::from),
        Unit::Millis => i64::try_from(figure).map_or(Value::Float(figure as f64 / 1e3), |ms| Value::Scaled(ms, 3)),
    }
}
