//! `/sys/fs/bcachefs/UUID/`: events, errors, compression and devices of each bcachefs filesystem.
//!
//! Each kind of event is a file in `counters/` and a family, more than a hundred; which there are depends on the kernel.
//! Large figures are printed with a unit and one digit behind the point, so they go in steps.

use crate::kit::{Error, Host, Options, Root, parse};
use crate::model::{Batch, Entity, Family, Kind, counter, gauge};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = "fs/bcachefs";
const UUID: &[&str; 1] = &["uuid"];
const ALGORITHM: &[&str; 2] = &["algorithm", "uuid"];
const TYPE: &[&str; 2] = &["type", "uuid"];
const ERROR_TYPE: &[&str; 2] = &["error_type", "uuid"];
const DEVICE: &[&str; 2] = &["device", "uuid"];
const DEVICE_INFO: &[&str; 4] = &["device", "label", "state", "uuid"];
const DEVICE_IO: &[&str; 4] = &["data_type", "device", "operation", "uuid"];
const DEVICE_ERROR: &[&str; 3] = &["device", "type", "uuid"];
/// How many kinds of events there may be.
const FAMILIES_MAX: usize = 512;

static INFO: Family = gauge("node_bcachefs_info", "Always 1 for a filesystem that is mounted.", UUID);
static BTREE_CACHE_SIZE: Family =
    gauge("node_bcachefs_btree_cache_size_bytes", "Memory of the btree's cache, in bytes.", UUID);
static COMPRESSED: Family = gauge(
    "node_bcachefs_compression_compressed_bytes",
    "Space that compressed data takes, by algorithm, in bytes.",
    ALGORITHM,
);
static UNCOMPRESSED: Family = gauge(
    "node_bcachefs_compression_uncompressed_bytes",
    "Size of the data that is compressed, by algorithm, in bytes.",
    ALGORITHM,
);
static ERRORS: Family =
    counter("node_bcachefs_errors_total", "Faults found in the filesystem, by what they are.", ERROR_TYPE);
static BTREE_WRITES: Family =
    counter("node_bcachefs_btree_writes_total", "Writes of btree nodes, by what they were for.", TYPE);
static BTREE_WRITE_SIZE: Family = gauge(
    "node_bcachefs_btree_write_average_size_bytes",
    "Size of the writes of btree nodes on average, by what they were for, in bytes.",
    TYPE,
);
static DEVICE_STATE: Family =
    gauge("node_bcachefs_device_info", "Always 1: the label and the state of a device.", DEVICE_INFO);
static BUCKET_SIZE: Family =
    gauge("node_bcachefs_device_bucket_size_bytes", "Size of a bucket of the device, in bytes.", DEVICE);
static BUCKETS: Family = gauge("node_bcachefs_device_buckets", "Buckets of the device.", DEVICE);
static DURABILITY: Family =
    gauge("node_bcachefs_device_durability", "How many copies one on this device counts for.", DEVICE);
static IO_DONE: Family = counter(
    "node_bcachefs_device_io_done_bytes_total",
    "Bytes read and written on the device, by what they were.",
    DEVICE_IO,
);
static IO_ERRORS: Family = counter(
    "node_bcachefs_device_io_errors_total",
    "Errors of the device since the filesystem was made, by type.",
    DEVICE_ERROR,
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[RunTime {
        pattern: "node_bcachefs_<event>_total",
        kind: "counter",
        help: "Events since the filesystem was made, from /sys/fs/bcachefs/UUID/counters.",
        labels: UUID,
    }],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "bcachefs",
        "Events, errors and devices of bcachefs filesystems, from /sys/fs/bcachefs.",
        &[
            &INFO,
            &BTREE_CACHE_SIZE,
            &COMPRESSED,
            &UNCOMPRESSED,
            &ERRORS,
            &BTREE_WRITES,
            &BTREE_WRITE_SIZE,
            &DEVICE_STATE,
            &BUCKET_SIZE,
            &BUCKETS,
            &DURABILITY,
            &IO_DONE,
            &IO_ERRORS,
        ],
        open,
    )
};

/// The families of events, by the file.
struct Bcachefs(HashMap<String, Arc<Family>>);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    // The folder is there as soon as the module is; without a filesystem there is nothing to tell of.
    let names = host.devices(Root::Sys, FOLDER, |_| true);
    Ok(if names.is_ok_and(|names| names.is_empty()) || !host.exists(Root::Sys, FOLDER) {
        None
    } else {
        Some(Box::new(Bcachefs(HashMap::new())))
    })
}

impl Collector for Bcachefs {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for uuid in &host.devices(Root::Sys, FOLDER, |_| true)? {
            let mut at = At { home: format!("{FOLDER}/{uuid}"), host, out };
            let Some(names) = at.names("") else { continue };
            let of = at.out.entity(UUID, [uuid]);
            at.out.put(&INFO, of, 1u64);
            at.number("btree_cache_size", &BTREE_CACHE_SIZE, of);
            at.tables(uuid);
            self.events(of, &mut at);
            for name in &names {
                if let Some(device) = name.strip_prefix("dev-") {
                    at.home = format!("{FOLDER}/{uuid}/{name}");
                    at.device(device, uuid);
                }
            }
        }
        Ok(())
    }
}

impl Bcachefs {
    fn events(&mut self, of: Entity, at: &mut At) {
        for event in at.names("/counters").unwrap_or_default() {
            let file = format!("counters/{event}");
            let Some(text) = at.read(&file) else { continue };
            let Some(count) = since_creation(text) else {
                at.malformed(&file, "a count since filesystem creation");
                continue;
            };
            if !self.0.contains_key(&event) {
                if self.0.len() >= FAMILIES_MAX {
                    let (path, why) = (format!("/sys/{FOLDER}"), format!("more than {FAMILIES_MAX} kinds of events"));
                    return at.out.fault(Error::Other { path, why });
                }
                let clean = event.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
                let help = format!("Events since the filesystem was made, from /sys/{FOLDER}/UUID/{file}.");
                let family = Family::at_run_time(format!("node_bcachefs_{clean}_total"), help, Kind::Counter);
                self.0.insert(event.clone(), family);
            }
            if let Some(family) = self.0.get(&event) {
                at.out.put(family, of, count);
            }
        }
    }
}

/// A folder that is being read.
struct At<'a> {
    home: String,
    host: &'a mut Host,
    out: &'a mut Batch,
}

impl At<'_> {
    fn names(&mut self, below: &str) -> Option<Vec<String>> {
        let names = self.host.names(Root::Sys, format_args!("{}{below}", self.home));
        self.out.found(names)
    }

    fn read(&mut self, file: &str) -> Option<&[u8]> {
        self.out.found(self.host.read(Root::Sys, format_args!("{}/{file}", self.home)))
    }

    fn malformed(&mut self, file: &str, expected: &'static str) {
        self.out.fault(Error::malformed(&format!("/sys/{}/{file}", self.home), 0, expected));
    }

    fn number(&mut self, file: &str, family: &'static Family, of: Entity) {
        let Some(text) = self.read(file) else { return };
        match figure(parse::trim(text)) {
            Some(figure) => self.out.put(family, of, figure),
            None => self.malformed(file, "a number, perhaps with a unit"),
        }
    }

    /// Puts each row of a file, and tells if there was one that does not read.
    fn rows<'t, R>(
        &'t mut self,
        file: &str,
        rows: impl FnOnce(&'t [u8]) -> Vec<Option<R>>,
        mut put: impl FnMut(R, &mut Batch),
    ) {
        let Some(text) = self.out.found(self.host.read(Root::Sys, format_args!("{}/{file}", self.home))) else {
            return;
        };
        let rows = rows(text);
        if rows.iter().any(Option::is_none) {
            self.out.fault(Error::malformed(&format!("/sys/{}/{file}", self.home), 0, "names and numbers"));
        }
        rows.into_iter().flatten().for_each(|row| put(row, self.out));
    }

    fn tables(&mut self, uuid: &str) {
        self.rows("compression_stats", table, |(algorithm, [compressed, uncompressed]), out| {
            let of = out.entity(ALGORITHM, [&parse::text(algorithm), uuid]);
            out.put(&COMPRESSED, of, compressed);
            out.put(&UNCOMPRESSED, of, uncompressed);
        });
        self.rows("btree_write_stats", table, |(kind, [writes, size]), out| {
            let of = out.entity(TYPE, [&parse::text(kind), uuid]);
            out.put(&BTREE_WRITES, of, writes);
            out.put(&BTREE_WRITE_SIZE, of, size);
        });
        self.rows("errors", errors, |(kind, count), out| {
            let of = out.entity(ERROR_TYPE, [&parse::text(kind), uuid]);
            out.put(&ERRORS, of, count);
        });
    }

    fn device(&mut self, device: &str, uuid: &str) {
        let label = self.read("label").map(|text| parse::text(text).into_owned()).unwrap_or_default();
        let state = self.read("state").map(|text| parse::text(text).into_owned()).unwrap_or_default();
        let info = self.out.entity(DEVICE_INFO, [device, &label, &state, uuid]);
        self.out.put(&DEVICE_STATE, info, 1u64);
        let of = self.out.entity(DEVICE, [device, uuid]);
        self.number("bucket_size", &BUCKET_SIZE, of);
        self.number("nbuckets", &BUCKETS, of);
        self.number("durability", &DURABILITY, of);
        self.rows("io_done", io_done, |(operation, kind, bytes), out| {
            let of = out.entity(DEVICE_IO, [&parse::text(kind), device, operation, uuid]);
            out.put(&IO_DONE, of, bytes);
        });
        self.rows("io_errors", io_errors, |(kind, errors), out| {
            let of = out.entity(DEVICE_ERROR, [device, &parse::text(kind), uuid]);
            out.put(&IO_ERRORS, of, errors);
        });
    }
}

/// The lines of an attribute, which comes whole: the last one may lack its end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').map(parse::trim).filter(|line| !line.is_empty())
}

/// `108k`, `1.7G` or `12`.
fn figure(word: &[u8]) -> Option<u64> {
    const UNITS: &[u8] = b"kmgtpe";
    let unit = UNITS.iter().position(|unit| word.last().is_some_and(|last| last.eq_ignore_ascii_case(unit)));
    let Some(unit) = unit else { return parse::number(word).or_else(|| scaled(word, 1.0)) };
    scaled(word.get(..word.len() - 1)?, (0..=unit).fold(1.0, |scale, _| scale * 1024.0))
}

fn scaled(word: &[u8], scale: f64) -> Option<u64> {
    let number = parse::float(word).filter(|number| number.is_finite() && *number >= 0.0)?;
    Some((number * scale) as u64)
}

/// `since filesystem creation:  18.4M`, below the count since the filesystem was mounted.
fn since_creation(text: &[u8]) -> Option<u64> {
    let rest = lines(text).find_map(|line| line.strip_prefix(b"since filesystem creation:"))?;
    figure(parse::trim(rest))
}

/// `lz4        19.3G     67.0G      112k` or `initial:    19088     108k`, below a heading: the name and two figures.
fn table(text: &[u8]) -> Vec<Option<(&[u8], [u64; 2])>> {
    let row = |line| {
        let mut words = parse::words(line);
        let name = words.next()?;
        let figures = [figure(words.next()?)?, figure(words.next()?)?];
        Some((name.strip_suffix(b":").unwrap_or(name), figures))
    };
    lines(text).skip(1).filter(|line| parse::words(line).count() > 2).map(row).collect()
}

/// `bset_bad_csum 1 1700000000`: the name and the count, before the time when it was seen last.
///
/// A count too wide for its column runs into the time, which has ten digits until the year 2286.
fn errors(text: &[u8]) -> Vec<Option<(&[u8], u64)>> {
    const DIGITS_OF_TIME: usize = 10;
    let row = |line| {
        let mut words = parse::words(line);
        let (name, count) = (words.next()?, words.next()?);
        let has_time = words.next().is_some() || count.len() <= DIGITS_OF_TIME;
        let count = if has_time { count } else { count.get(..count.len() - DIGITS_OF_TIME)? };
        Some((name, parse::number(count)?))
    };
    lines(text).filter(|line| parse::words(line).count() > 1).map(row).collect()
}

/// `read:` or `write:`, and below each `btree       :  411258880`: the operation, the kind of data, the bytes.
fn io_done(text: &[u8]) -> Vec<Option<(&'static str, &[u8], u64)>> {
    let mut operation = None;
    let mut rows = Vec::new();
    for line in lines(text) {
        match (line, operation) {
            (b"read:", _) => operation = Some("read"),
            (b"write:", _) => operation = Some("write"),
            (_, Some(operation)) => rows.push(figure_of(line).map(|(kind, bytes)| (operation, kind, bytes))),
            (_, None) => {}
        }
    }
    rows
}

/// `  checksum:  2`, in the part below `IO errors since filesystem creation`.
fn io_errors(text: &[u8]) -> Vec<Option<(&[u8], u64)>> {
    let is_title = |line: &&[u8]| line.starts_with(b"IO errors since ");
    let part = lines(text).skip_while(|line| !line.starts_with(b"IO errors since filesystem creation")).skip(1);
    part.take_while(|line| !is_title(line)).map(figure_of).collect()
}

/// `checksum:  2`: the name and the number.
fn figure_of(line: &[u8]) -> Option<(&[u8], u64)> {
    let (name, number) = parse::field(line)?;
    Some((name, parse::number(number)?))
}

#[cfg(test)]
mod tests;
