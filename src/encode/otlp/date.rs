//! When a request is sent, its times are made what receivers expect: since 1970, and no longer since boot.

use std::fmt;

/// What no time since boot reaches: thirty years. Times since 1970 are beyond it.
const UPTIME_MAX: u64 = 30 * 365 * 86_400 * 1_000_000_000;

/// That bytes are no request of ours: torn, foreign, or dated already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no request with times since boot")
    }
}

impl std::error::Error for Malformed {}

/// Turns times since boot into times since 1970, by the time of boot in nanoseconds since 1970. They keep their places.
///
/// # Errors
/// Not a request that [`super::Otlp`] wrote, or dated before. It is as it was then.
pub fn date(request: &mut [u8], boot: u64) -> Result<(), Malformed> {
    // All of it is looked at before anything is changed.
    let is_sound = |time: u64| time < UPTIME_MAX && time.checked_add(boot).is_some();
    request_times(request, |time| is_sound(time).then_some(time))?;
    request_times(request, |time| time.checked_add(boot))
}

/// The numbers of the fields that lead from a request to its metrics: resources, scopes, metrics.
const TO_METRICS: [u64; 3] = [1, 2, 2];
/// The fields of a metric with points: gauge, sum, histogram, summary.
const DATA: [u64; 4] = [5, 7, 9, 11];
const POINTS: u64 = super::points::POINT as u64;
/// The fields of a point with its start and its time.
const TIMES: [u64; 2] = [2, 3];

/// Replaces the times of all points; none from `replace` ends it.
fn request_times(request: &mut [u8], mut replace: impl FnMut(u64) -> Option<u64>) -> Result<(), Malformed> {
    to_metrics(request, &TO_METRICS, &mut replace).ok_or(Malformed)
}

/// Goes through a message on the way to metrics.
fn to_metrics(message: &mut [u8], path: &[u64], replace: &mut impl FnMut(u64) -> Option<u64>) -> Option<()> {
    let Some((next, path)) = path.split_first() else { return metric(message, replace) };
    let mut fields = Fields { message, at: 0 };
    while let Some((number, value)) = fields.next()? {
        match value {
            Value::Bytes(inner) if number == *next => to_metrics(inner, path, replace)?,
            // A resource, a scope: beside what leads on there is nothing else.
            Value::Bytes(_) if number == 1 => {}
            _ => return None,
        }
    }
    Some(())
}

fn metric(message: &mut [u8], replace: &mut impl FnMut(u64) -> Option<u64>) -> Option<()> {
    let mut fields = Fields { message, at: 0 };
    while let Some((number, value)) = fields.next()? {
        match value {
            Value::Bytes(data) if DATA.contains(&number) => points(data, replace)?,
            // Its name and description.
            Value::Bytes(_) if matches!(number, 1 | 2) => {}
            _ => return None,
        }
    }
    Some(())
}

fn points(message: &mut [u8], replace: &mut impl FnMut(u64) -> Option<u64>) -> Option<()> {
    let mut fields = Fields { message, at: 0 };
    while let Some((number, value)) = fields.next()? {
        match value {
            Value::Bytes(point) if number == POINTS => times(point, replace)?,
            // That they are cumulative, and monotonic.
            Value::Varint if matches!(number, 2 | 3) => {}
            _ => return None,
        }
    }
    Some(())
}

fn times(point: &mut [u8], replace: &mut impl FnMut(u64) -> Option<u64>) -> Option<()> {
    let mut fields = Fields { message: point, at: 0 };
    let mut is_timed = false;
    while let Some((number, value)) = fields.next()? {
        match value {
            Value::Fixed(bytes) if TIMES.contains(&number) => {
                *bytes = replace(u64::from_le_bytes(*bytes))?.to_le_bytes();
                is_timed |= number == TIMES[1];
            }
            _ if TIMES.contains(&number) => return None,
            _ => {}
        }
    }
    is_timed.then_some(())
}

/// The value of a field. Numbers of four bytes are in none of ours.
enum Value<'a> {
    Varint,
    Fixed(&'a mut [u8; 8]),
    Bytes(&'a mut [u8]),
}

/// The fields of a message, each in its place.
struct Fields<'a> {
    message: &'a mut [u8],
    at: usize,
}

impl Fields<'_> {
    /// The next field, none behind the last one; nothing at all if the bytes are no message.
    fn next(&mut self) -> Option<Option<(u64, Value<'_>)>> {
        if self.at == self.message.len() {
            return Some(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => {
                self.varint()?;
                Value::Varint
            }
            1 => Value::Fixed(self.take(8)?.try_into().ok()?),
            2 => {
                let size = self.varint()?.try_into().ok()?;
                Value::Bytes(self.take(size)?)
            }
            _ => return None,
        };
        Some(Some((key >> 3, value)))
    }

    fn take(&mut self, size: usize) -> Option<&mut [u8]> {
        let start = self.at;
        let end = start.checked_add(size)?;
        let taken = self.message.get_mut(start..end)?;
        self.at = end;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = *self.message.get(self.at)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
