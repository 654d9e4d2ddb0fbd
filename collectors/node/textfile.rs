//! `*.prom` in folders that the operator names: figures that other programs write for Prometheus.
//!
//! A file that does not read costs only itself. What it says is kept until it changes, and so is why it does not read.

mod merge;
#[cfg(test)]
mod tests;

use crate::kit::exposition::{self, Dialect, Document};
use crate::kit::{Error, Glob, Host, Opt, OptKind, Options, Stamp};
use crate::model::{Batch, Family, POINTS_MAX, Value, gauge};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How large a file may be: 100,000 series, all that a page takes, in long lines.
const FILE_MAX: usize = 16 << 20;
/// How large all files together may be. What is kept of them takes several times that.
const FILES_SIZE_MAX: u64 = 32 << 20;
/// How many files are read.
const FILES_MAX: usize = 10_000;
/// How old a change must be before its file counts as unchanged: filesystems have clocks as coarse as this, and what is
/// written twice within one tick looks as if it was written once.
const SETTLED: Duration = Duration::from_secs(2);
/// After which time a folder is read again although it looks unchanged: not every filesystem tells.
const LISTED_FOR: Duration = Duration::from_secs(5);

static MTIME: Family = gauge(
    "node_textfile_mtime_seconds",
    "When each text file that was read was last modified, as seconds since 1970.",
    &["file"],
);
static SCRAPE_ERROR: Family = gauge(
    "node_textfile_scrape_error",
    "1 if a text file, its directory or a part of it could not be taken, 0 otherwise.",
    &[],
);

static OPTIONS: &[Opt] = &[Opt {
    name: "directory",
    kind: OptKind::List,
    default: "",
    help: "Directory whose *.prom files are read; may be repeated, and may hold *, ? and [a-z].",
}];

static RUN_TIME: &[RunTime] = &[RunTime {
    pattern: "<name>",
    kind: "as the file says",
    help: "Each metric in the files, under the name, type, help and labels that it has there.",
    labels: &[],
}];

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: RUN_TIME,
    options: OPTIONS,
    pace: Pace::Apart { min: Duration::ZERO },
    points_max: POINTS_MAX + FILES_MAX + 1,
    clash: Some(&SCRAPE_ERROR),
    ..Spec::new(
        Group::Node,
        "textfile",
        "Metrics that other programs write to *.prom files.",
        &[&MTIME, &SCRAPE_ERROR],
        open,
    )
};

struct Textfile {
    directories: Vec<Glob>,
    paths: BTreeSet<String>,
    listed: Option<Listed>,
    files: BTreeMap<String, Kept>,
    plan: merge::Plan,
}

/// When all folders were read, and what they looked like then: as long as they look so, they hold the same names.
struct Listed {
    at: Duration,
    stamps: Vec<(String, Stamp)>,
}

/// A file as it was read last.
struct Kept {
    /// `None`: too fresh to tell whether it will have changed.
    stamp: Option<Stamp>,
    changed: Duration,
    size: u64,
    content: Result<Document, Error>,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let directories = options.list("directory").iter().map(|text| Glob::new(text)).collect();
    Ok(Some(Box::new(Textfile::new(directories))))
}

impl Collector for Textfile {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let mut errors = Vec::new();
        if !self.is_listed(host) {
            (self.paths, self.listed) = self.list(host, &mut errors);
        }
        if self.refresh(host) {
            self.plan = merge::Plan::new(
                self.files.iter().filter_map(|(path, kept)| Some((path, kept.content.as_ref().ok()?))),
            );
        }
        errors.extend(self.files.values().filter_map(|kept| kept.content.as_ref().err().cloned()));
        errors.extend(self.plan.errors.iter().cloned());
        // Before the files' own points: should the batch be full, these are in it.
        out.put(&SCRAPE_ERROR, out.machine(), !errors.is_empty());
        for (path, kept) in self.files.iter().filter(|(_, kept)| kept.content.is_ok()) {
            let file = out.entity(&["file"], [path]);
            out.put(&MTIME, file, seconds(kept.changed));
        }
        self.plan.put(&self.files, out);
        errors.into_iter().for_each(|error| out.fault(error));
        Ok(())
    }
}

impl Textfile {
    fn new(directories: Vec<Glob>) -> Self {
        let (files, plan) = (BTreeMap::new(), merge::Plan::default());
        Self { directories, paths: BTreeSet::new(), listed: None, files, plan }
    }

    /// Whether the folders were read lately and hold the same names since.
    fn is_listed(&self, host: &mut Host) -> bool {
        self.listed.as_ref().is_some_and(|listed| {
            host.monotonic() < listed.at + LISTED_FOR
                && listed.stamps.iter().all(|(folder, then)| host.stamp_folder(folder).is_ok_and(|now| now == *then))
        })
    }

    /// The paths of all files, sorted, each once however many patterns name it; and what it takes to know them again.
    fn list(&self, host: &mut Host, errors: &mut Vec<Error>) -> (BTreeSet<String>, Option<Listed>) {
        let mut paths = BTreeSet::new();
        let mut stamps = Some(Vec::new());
        for directory in &self.directories {
            let (folders, failed) = directory.folders(host);
            errors.extend(failed);
            for folder in folders {
                // Before its names: what comes in between is a change.
                let stamp = host.stamp_folder(&folder).ok().filter(|stamp| is_settled(stamp, host));
                stamps = stamps.zip(stamp.filter(|_| !directory.is_pattern())).map(|(mut stamps, stamp)| {
                    stamps.push((folder.clone(), stamp));
                    stamps
                });
                let names = match host.names_in(&folder) {
                    Ok(names) => names,
                    // A pattern also names files, and folders that went away since.
                    Err(error) if directory.is_pattern() && error.is_absent() => continue,
                    Err(error) => {
                        errors.push(error);
                        continue;
                    }
                };
                let folder = folder.trim_end_matches('/');
                let texts = names.iter().filter(|name| name.ends_with(".prom"));
                paths.extend(texts.map(|name| format!("{folder}/{name}")));
            }
        }
        if let Some(first) = paths.iter().nth(FILES_MAX).cloned() {
            errors.push(Error::Other { path: first.clone(), why: format!("more than {FILES_MAX} files") });
            paths.split_off(&first);
        }
        // What could not be read is tried again, and told again, in each round.
        let listed = stamps.filter(|_| errors.is_empty()).map(|stamps| Listed { at: host.monotonic(), stamps });
        (paths, listed)
    }

    /// Reads what changed; whether the page may have changed with it.
    fn refresh(&mut self, host: &mut Host) -> bool {
        let paths = std::mem::take(&mut self.paths);
        let count = |files: &BTreeMap<String, Kept>| files.values().filter(|kept| kept.content.is_ok()).count();
        let before = count(&self.files);
        self.files.retain(|path, _| paths.contains(path));
        let mut is_room_made = count(&self.files) != before;
        let mut is_changed = is_room_made;
        for path in &paths {
            let stamp = host.stamp(path);
            if let (Ok(stamp), Some(kept)) = (&stamp, self.files.get(path))
                && kept.stamp == Some(*stamp)
            {
                continue;
            }
            is_room_made |= self.files.remove(path).is_some_and(|kept| kept.content.is_ok());
            let kept = self.read(host, path, stamp);
            is_changed |= is_room_made || kept.content.is_ok();
            self.files.insert(path.clone(), kept);
        }
        if is_room_made {
            // What was refused for want of room is read again in the next round.
            let refused = self.files.values_mut().filter(|kept| matches!(kept.content, Err(Error::Other { .. })));
            refused.for_each(|kept| kept.stamp = None);
        }
        self.paths = paths;
        is_changed
    }

    fn read(&self, host: &mut Host, path: &str, stamp: Result<Stamp, Error>) -> Kept {
        let room = Room::beside(&self.files);
        let known = stamp.as_ref().ok().copied();
        let (mut changed, size) = known.map_or((Duration::ZERO, 0), |stamp| (stamp.changed, stamp.size));
        let content = stamp.and_then(|_| {
            if size > FILE_MAX as u64 {
                return Err(Error::TooLarge { path: path.to_owned(), limit: FILE_MAX });
            }
            room.check(path, size, 0)?;
            let (text, at) = host.read_regular(path, FILE_MAX)?;
            changed = at;
            let document = document(path, text)?;
            room.check(path, size, document.len())?;
            Ok(document)
        });
        // A read that failed may succeed without any change to the file.
        let is_read =
            matches!(content, Ok(_) | Err(Error::Malformed { .. } | Error::TooLarge { .. } | Error::Other { .. }));
        Kept { stamp: known.filter(|stamp| is_read && is_settled(stamp, host)), changed, size, content }
    }
}

/// Whether a change after this stamp would give another one.
fn is_settled(stamp: &Stamp, host: &Host) -> bool {
    host.wall().saturating_sub(stamp.touched) > SETTLED
}

/// What the other files leave of the bounds.
struct Room {
    size: u64,
    series: usize,
}

impl Room {
    fn beside(files: &BTreeMap<String, Kept>) -> Self {
        let good = || files.values().filter_map(|kept| Some((kept.size, kept.content.as_ref().ok()?.len())));
        let size = good().map(|(size, _)| size).sum();
        let series = good().map(|(_, series)| series).sum();
        Self { size: FILES_SIZE_MAX.saturating_sub(size), series: POINTS_MAX.saturating_sub(series) }
    }

    fn check(&self, path: &str, size: u64, series: usize) -> Result<(), Error> {
        let why = match () {
            () if size > self.size => format!("more than {FILES_SIZE_MAX} bytes in all files"),
            () if series > self.series => format!("more than {POINTS_MAX} series in all files"),
            () => return Ok(()),
        };
        Err(Error::Other { path: path.to_owned(), why })
    }
}

/// A whole file.
fn document(path: &str, text: &[u8]) -> Result<Document, Error> {
    let document = exposition::parse(text, Dialect::Prometheus)
        .map_err(|mismatch| Error::malformed(path, mismatch.line, mismatch.expected))?;
    match document.timestamp {
        Some(line) => Err(Error::malformed(path, line, "no timestamp: Prometheus dates what it reads itself")),
        None => Ok(document),
    }
}

/// Nanoseconds, shown as seconds.
fn seconds(time: Duration) -> Value {
    i64::try_from(time.as_nanos()).map_or(Value::Float(time.as_secs_f64()), |ns| Value::Scaled(ns, 9))
}
