//! A source of measured energy, and what has been read of it so far.

use super::counter::{Counter, Event, Integral, Moment, Step, power};
use super::tree::Role;
use crate::kit::{Error, Host, KeptFile, PerfCounter, PerfEvent, Root, parse};
use crate::model::Batch;
use std::time::Duration;

/// More than this, no machine draws, in microwatts.
pub(super) const POWER_MAX: u64 = 100_000_000_000;
/// Longer than this between two readings of power, and nothing is known of the time between.
pub(super) const GAP: Duration = Duration::from_secs(25);
/// What a firmware without a figure says, in microwatts: all bits of a 32-bit number of milliwatts.
const UNKNOWN: u64 = 4_294_967_295_000;

/// What was found, before it was read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) role: Role,
    /// The labels.
    pub(super) component: &'static str,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) source: &'static str,
    pub(super) label: String,
    /// Its folder below the root of sysfs.
    pub(super) folder: String,
    pub(super) way: Way,
    /// Why it can't be used, in one word.
    pub(super) unusable: Option<&'static str>,
}

/// How it is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    /// A file with microjoules, that say so much at their end, and never more power than this.
    Energy { file: String, range: Option<u64>, limit: u64 },
    /// A counter of the kernel's, how many joules its unit is, and never more power than this.
    Perf { event: PerfEvent, scale: f64, limit: u64 },
    /// A file with microwatts.
    Power { file: String },
    /// A file with milliwatts.
    Milliwatts { file: String },
    /// Files with millivolts and milliamperes.
    Rail { volts: String, amps: String },
    /// A battery, that is only read while it feeds the machine.
    Battery,
}

#[derive(Debug)]
enum Meter {
    Counter(Counter),
    Integral(Integral),
}

/// A source that is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) found: Found,
    meter: Meter,
    files: Vec<KeptFile>,
    perf: Option<PerfCounter>,
    /// All that was measured so far, in microjoules.
    pub(super) total: u64,
    /// What was added by the last sample.
    pub(super) added: u64,
    /// The power now, in microwatts.
    pub(super) power: Option<i64>,
    pub(super) events: [u64; Event::ALL.len()],
    /// `ok`, or why there is nothing to tell.
    pub(super) state: &'static str,
    /// It is no more; it may come back.
    pub(super) is_gone: bool,
}

/// What there is to read.
enum Reading {
    Is(u64),
    /// There is none now, in one word.
    Not(&'static str),
}

impl Source {
    pub(super) fn new(found: Found) -> Self {
        let meter = match &found.way {
            Way::Energy { range, limit, .. } => Meter::Counter(Counter::new(*range, *limit)),
            Way::Perf { scale, limit, .. } => Meter::Counter(Counter::new(Some(microjoules(u64::MAX, *scale)), *limit)),
            _ => Meter::Integral(Integral::new(GAP)),
        };
        let files = files(&found);
        let events = [0; Event::ALL.len()];
        Self { found, meter, files, perf: None, total: 0, added: 0, power: None, events, state: "new", is_gone: false }
    }

    /// It was found again, perhaps elsewhere.
    pub(super) fn is_found(&mut self, found: Found) {
        if self.is_gone || self.found.folder != found.folder || self.found.way != found.way {
            (self.files, self.perf) = (files(&found), None);
            self.meter = Self::new(found.clone()).meter;
        }
        self.found = found;
        self.is_gone = false;
    }

    /// It was not found any more.
    pub(super) fn is_lost(&mut self) {
        (self.is_gone, self.state, self.added, self.power) = (true, "gone", 0, None);
    }

    pub(super) fn is_ok(&self) -> bool {
        self.state == "ok"
    }

    pub(super) fn is_integrated(&self) -> bool {
        matches!(self.meter, Meter::Integral(_))
    }

    /// Reads it. What was seen is in its fields.
    pub(super) fn sample(&mut self, mains: bool, host: &mut Host, out: &mut Batch) {
        (self.added, self.power) = (0, None);
        if self.is_gone {
            return;
        }
        if let Some(why) = self.found.unusable {
            self.state = why;
            return;
        }
        let now = Moment { awake: host.monotonic(), boot: host.machine().clock.boot() };
        let reading = match self.read(mains, host) {
            Ok(Reading::Is(value)) => value,
            Ok(Reading::Not(why)) => {
                self.forget();
                self.state = why;
                return;
            }
            Err(error) => return self.fail(error, out),
        };
        let step = match &mut self.meter {
            Meter::Counter(counter) => counter.step(reading, now),
            Meter::Integral(integral) => integral.step(reading, now),
        };
        self.take(step, reading);
    }

    fn take(&mut self, step: Step, reading: u64) {
        if let Some(event) = step.event {
            self.count(event);
        }
        if let Some((added, passed)) = step.added {
            self.added = added;
            self.total = self.total.saturating_add(added);
            self.power = power(added, passed);
        }
        let (is_frozen, has_moved) = match &self.meter {
            Meter::Counter(counter) => (counter.is_frozen(), counter.has_moved()),
            Meter::Integral(integral) => (integral.is_frozen(), integral.has_moved()),
        };
        if self.is_integrated() {
            self.power = i64::try_from(reading).ok();
        }
        if !has_moved {
            // Perhaps it counts nothing at all: then this is no figure.
            self.power = None;
        }
        self.state = if is_frozen { "frozen" } else { "ok" };
    }

    fn fail(&mut self, error: Error, out: &mut Batch) {
        self.state = error.reason();
        match error {
            Error::Absent { .. } | Error::Gone { .. } => {
                self.count(Event::ReadError);
                self.forget();
            }
            // That is no event: it is so from the first sample on.
            Error::Denied { .. } => out.fault(error),
            _ => {
                self.count(Event::ReadError);
                if !error.is_nothing() {
                    out.fault(error);
                }
            }
        }
    }

    fn count(&mut self, event: Event) {
        let known = self.events.iter_mut().zip(Event::ALL);
        known.filter(|(_, (known, _))| *known == event).for_each(|(count, _)| *count += 1);
    }

    fn forget(&mut self) {
        match &mut self.meter {
            Meter::Counter(counter) => counter.forget(),
            Meter::Integral(integral) => integral.forget(),
        }
    }

    fn read(&mut self, mains: bool, host: &mut Host) -> Result<Reading, Error> {
        if let Way::Perf { event, scale, .. } = self.found.way {
            return count(&mut self.perf, event, host).map(|count| Reading::Is(microjoules(count, scale)));
        }
        let folder = &self.found.folder;
        let value = match (&self.found.way, self.files.as_mut_slice()) {
            (Way::Energy { .. }, [file, ..]) => return Ok(Reading::Is(number(host, file, folder)?)),
            (Way::Power { .. }, [file, ..]) => number(host, file, folder)?,
            // A rail that feeds back says less than nothing.
            (Way::Milliwatts { .. }, [file, ..]) => {
                signed(host, file, folder)?.max(0).unsigned_abs().saturating_mul(1000)
            }
            (Way::Rail { .. }, [volts, amps, ..]) => {
                let (volts, amps) = (signed(host, volts, folder)?, signed(host, amps, folder)?);
                volts.max(0).unsigned_abs().saturating_mul(amps.max(0).unsigned_abs())
            }
            (Way::Battery, _) if mains => return Ok(Reading::Not("mains")),
            (Way::Battery, _) => match battery(host, folder)? {
                Some(power) => power,
                None => return Ok(Reading::Not("not_discharging")),
            },
            _ => return Ok(Reading::Not("unknown")),
        };
        Ok(if value == UNKNOWN || value > POWER_MAX { Reading::Not("unknown") } else { Reading::Is(value) })
    }
}

fn files(found: &Found) -> Vec<KeptFile> {
    let file = |name: &String| KeptFile::new(Root::Sys, format!("{}/{name}", found.folder));
    match &found.way {
        Way::Energy { file: name, .. } | Way::Power { file: name } | Way::Milliwatts { file: name } => vec![file(name)],
        Way::Rail { volts, amps } => vec![file(volts), file(amps)],
        Way::Battery | Way::Perf { .. } => Vec::new(),
    }
}

/// What a counter says; one that can't be read is opened anew the next time.
fn count(counter: &mut Option<PerfCounter>, event: PerfEvent, host: &Host) -> Result<u64, Error> {
    let mut open = match counter.take() {
        Some(open) => open,
        None => host.perf(event)?,
    };
    let count = open.read()?;
    *counter = Some(open);
    Ok(count)
}

/// All that a machine uses in a century can be told in a float to the microjoule.
fn microjoules(count: u64, scale: f64) -> u64 {
    (count as f64 * scale * 1e6) as u64
}

fn number(host: &mut Host, file: &mut KeptFile, folder: &str) -> Result<u64, Error> {
    let number = parse::number(parse::trim(host.read_kept(file)?));
    number.ok_or_else(|| Error::malformed(&format!("/sys/{folder}"), 1, "a whole number of energy or power"))
}

fn signed(host: &mut Host, file: &mut KeptFile, folder: &str) -> Result<i64, Error> {
    let number = parse::signed(parse::trim(host.read_kept(file)?));
    number.ok_or_else(|| Error::malformed(&format!("/sys/{folder}"), 1, "a whole number of volts, amperes or watts"))
}

/// What a battery gives, in microwatts; `None`: it gives nothing. Drivers differ in the sign.
fn battery(host: &mut Host, folder: &str) -> Result<Option<u64>, Error> {
    if host.text(Root::Sys, format_args!("{folder}/status"))? != "Discharging" {
        return Ok(None);
    }
    match host.signed(Root::Sys, format_args!("{folder}/power_now")) {
        Ok(power) => return Ok(Some(power.unsigned_abs())),
        Err(error) if error.is_nothing() => {}
        Err(error) => return Err(error),
    }
    let amps = host.signed(Root::Sys, format_args!("{folder}/current_now"))?.unsigned_abs();
    let volts = host.signed(Root::Sys, format_args!("{folder}/voltage_now"))?.unsigned_abs();
    Ok(u64::try_from(u128::from(amps) * u128::from(volts) / 1_000_000).ok())
}
