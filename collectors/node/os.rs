//! `/etc/os-release`, or `/usr/lib/os-release`: the distribution.
//!
//! A line that is no assignment is skipped.

use crate::kit::{Error, Host, Options, parse};
use crate::model::{Batch, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const LABELS: &[&str; 12] = &[
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

static INFO: Family = gauge("node_os_info", "The distribution, as its os-release tells; always 1.", LABELS);
static VERSION: Family = gauge(
    "node_os_version",
    "The first two numbers of the distribution's version, as one: 24.04.",
    &["id", "id_like", "name"],
);
static SUPPORT_END: Family = gauge(
    "node_os_support_end_timestamp_seconds",
    "When support for the distribution ends, in seconds since 1970.",
    &[],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "os", "The distribution, from /etc/os-release.", &[&INFO, &VERSION, &SUPPORT_END], open)
};

/// How often it is read again: the distribution may be upgraded.
const PACE: Duration = Duration::from_secs(60);

struct Os {
    release: Release,
    due: Duration,
}

/// What the file tells.
#[derive(Debug, Default)]
struct Release {
    /// By label; empty where it tells nothing.
    texts: [String; LABELS.len()],
    support_end: String,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    match host.os_release() {
        Err(error) if error.is_absent() => Ok(None),
        _ => Ok(Some(Box::new(Os { release: Release::default(), due: Duration::ZERO }))),
    }
}

impl Collector for Os {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if host.monotonic() >= self.due {
            self.release = release(host.os_release()?);
            self.due = host.monotonic() + PACE;
        }
        let Release { texts, support_end } = &self.release;
        let of = out.entity(LABELS, texts.each_ref().map(String::as_str));
        out.put(&INFO, of, 1u64);
        let text = |label| LABELS.iter().zip(texts).find(|(name, _)| **name == label).map_or("", |(_, text)| text);
        if let Some(version) = version(text("version_id")) {
            let of = out.entity(&["id", "id_like", "name"], [text("id"), text("id_like"), text("name")]);
            out.put(&VERSION, of, version);
        }
        if !support_end.is_empty() {
            match midnight(support_end.as_bytes()) {
                Some(seconds) => out.put(&SUPPORT_END, out.machine(), seconds),
                None => out.fault(Error::malformed("os-release", 0, "SUPPORT_END as YYYY-MM-DD")),
            }
        }
        Ok(())
    }
}

fn release(assignments: Vec<(String, String)>) -> Release {
    let mut release = Release::default();
    for (key, value) in assignments {
        if key == "SUPPORT_END" {
            release.support_end = value;
        } else if let Some(at) = LABELS.iter().position(|label| key.eq_ignore_ascii_case(label)) {
            release.texts[at] = value;
        }
    }
    release
}

/// `20.04.2`: 20.04; `None` if it does not begin with a number above 0.
fn version(id: &str) -> Option<Value> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let major = digits(id);
    if major == 0 {
        return None;
    }
    let minor = id.get(major..).and_then(|rest| rest.strip_prefix('.')).map_or(0, digits);
    let text = if minor == 0 { id.get(..major)? } else { id.get(..major + 1 + minor)? };
    text.parse().ok().filter(|number| *number > 0.0).map(Value::Float)
}

/// `2028-06-30`: when that day begins, in seconds since 1970.
fn midnight(date: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else { return None };
    let year = i64::try_from(parse::number(&[y1, y2, y3, y4])?).ok()?;
    let month = parse::number(&[m1, m2])?;
    let day = i64::try_from(parse::number(&[d1, d2])?).ok()?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if !(1..=*months.get(before)?).contains(&day) {
        return None;
    }
    let last = year - 1;
    let days_of_years = year * 365 + last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400);
    /// The same count for 1 January 1970.
    const EPOCH: i64 = 719_528;
    let days = days_of_years + months.iter().take(before).sum::<i64>() + day - EPOCH;
    Some(days * 86_400)
}

#[cfg(test)]
mod tests;
