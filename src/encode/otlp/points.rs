//! Single points: numbers, histograms, summaries.

use super::protobuf::{self, bytes_key, fixed64_key, varint, varint_key, varint_size};
use collectors::model::{Distribution, Value};
use std::io::Write;

/// The number of the field with the attributes of a number or a summary; that of a histogram is another.
pub(super) const ATTRIBUTES: u8 = 7;
const ATTRIBUTES_OF_HISTOGRAM: u8 = 9;
const FLAGS: u8 = 8;
const FLAGS_OF_HISTOGRAM: u8 = 10;
const START: u8 = 2;
const TIME: u8 = 3;
/// The number of the field of a metric's data that the points are.
pub(super) const POINT: u8 = 1;
/// The flag of a point that says only that its series has ended.
const NO_RECORDED_VALUE: u8 = 1;
/// The largest number of bytes before the attributes of a number: three fields of eight bytes.
const NUMBER_MAX: usize = 27;

/// When a point was taken, and since when it counts, if it does; in nanoseconds since boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) start: Option<u64>,
    pub(super) time: u64,
}

/// A number's point, all but its attributes.
#[derive(Debug)]
pub(super) struct Number {
    bytes: [u8; NUMBER_MAX],
    length: usize,
}

impl Number {
    /// The number as its source has it: whole if it is whole, and else the nearest float.
    pub(super) fn new(value: Value, times: Times) -> Self {
        let mut number = Self::timed(times);
        match value {
            Value::Int(n) => number.fixed64(6, n as u64),
            Value::Float(x) => number.fixed64(4, x.to_bits()),
            Value::Scaled(n, decimals) => number.fixed64(4, nearest(n, decimals).to_bits()),
            Value::Distribution(_) => {}
        }
        number
    }

    /// That there is no number any more.
    pub(super) fn gone(times: Times) -> Self {
        let mut number = Self::timed(times);
        number.push(&[varint_key(FLAGS), NO_RECORDED_VALUE]);
        number
    }

    fn timed(times: Times) -> Self {
        let mut number = Self { bytes: [0; NUMBER_MAX], length: 0 };
        if let Some(start) = times.start {
            number.fixed64(START, start);
        }
        number.fixed64(TIME, times.time);
        number
    }

    fn fixed64(&mut self, field: u8, bits: u64) {
        self.push(&[fixed64_key(field)]);
        self.push(&bits.to_le_bytes());
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    /// How many bytes the point takes, its key and length included.
    pub(super) fn size(&self, attributes: &[u8]) -> usize {
        framed(self.length + attributes.len())
    }

    pub(super) fn write(&self, attributes: &[u8], out: &mut Vec<u8>) {
        out.push(bytes_key(POINT));
        varint(out, (self.length + attributes.len()) as u64);
        out.extend_from_slice(&self.bytes[..self.length]);
        out.extend_from_slice(attributes);
    }
}

/// How many bytes a point of so many takes with its key and length.
pub(super) fn framed(size: usize) -> usize {
    1 + varint_size(size) + size
}

/// The float that is nearest to `n` divided by 10^`decimals`.
fn nearest(n: i64, decimals: u8) -> f64 {
    /// What is up to here is a float itself, and so is a power of ten up to the 22nd: their quotient is rounded once.
    const WHOLE: u64 = 1 << 53;
    if n.unsigned_abs() <= WHOLE && decimals <= 22 {
        return n as f64 / 10f64.powi(i32::from(decimals));
    }
    let mut text = [0; 32];
    let mut rest = &mut text[..];
    let is_written = write!(rest, "{n}e-{decimals}").is_ok();
    let left = rest.len();
    let text = std::str::from_utf8(&text[..32 - left]).ok().filter(|_| is_written);
    text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// Writes a histogram's point without its key and length. `attributes` are those of a number's point.
pub(super) fn histogram(distribution: &Distribution, attributes: &[u8], times: Times, out: &mut Vec<u8>) {
    let Buckets { bounds, total } = Buckets::of(distribution);
    start_and_time(times, out);
    protobuf::fixed64(out, 4, total);
    if let Some(sum) = distribution.sum {
        protobuf::fixed64(out, 5, sum.to_bits());
    }
    if !distribution.points.is_empty() {
        out.push(bytes_key(6));
        varint(out, 8 * (bounds.clone().count() as u64 + 1));
        let mut below = 0;
        for (_, count) in bounds.clone() {
            out.extend_from_slice(&count.saturating_sub(below).to_le_bytes());
            below = below.max(count);
        }
        out.extend_from_slice(&total.saturating_sub(below).to_le_bytes());
        out.push(bytes_key(7));
        varint(out, 8 * bounds.clone().count() as u64);
        bounds.for_each(|(bound, _)| out.extend_from_slice(&bound.to_le_bytes()));
    }
    for_histogram(attributes, out);
}

/// That there is no histogram any more.
pub(super) fn histogram_gone(attributes: &[u8], times: Times, out: &mut Vec<u8>) {
    start_and_time(times, out);
    out.extend_from_slice(&[varint_key(FLAGS_OF_HISTOGRAM), NO_RECORDED_VALUE]);
    for_histogram(attributes, out);
}

/// Writes a summary's point without its key and length. It can't say that a sum is unknown: that is no number then.
pub(super) fn summary(distribution: &Distribution, attributes: &[u8], times: Times, out: &mut Vec<u8>) {
    start_and_time(times, out);
    protobuf::fixed64(out, 4, whole(distribution.count.unwrap_or(0.0)));
    protobuf::fixed64(out, 5, distribution.sum.unwrap_or(f64::NAN).to_bits());
    for (quantile, value) in &distribution.points {
        out.extend_from_slice(&[bytes_key(6), 18]);
        protobuf::fixed64(out, 1, quantile.to_bits());
        protobuf::fixed64(out, 2, value.to_bits());
    }
    out.extend_from_slice(attributes);
}

fn start_and_time(times: Times, out: &mut Vec<u8>) {
    protobuf::fixed64(out, START, times.start.unwrap_or(0));
    protobuf::fixed64(out, TIME, times.time);
}

/// How far a distribution has come, for telling whether it began anew.
pub(super) fn count(distribution: &Distribution) -> f64 {
    distribution.count.or_else(|| distribution.points.last().map(|last| last.1)).unwrap_or(0.0)
}

/// A count; what is none is 0.
fn whole(count: f64) -> u64 {
    count.round() as u64
}

/// The buckets of a histogram: each bound with the observations up to it, and how many there are in all.
struct Buckets<I> {
    bounds: I,
    total: u64,
}

impl Buckets<()> {
    /// A bound that is not above the one before it is left out, and so is infinity, which is the last one by itself.
    fn of(distribution: &Distribution) -> Buckets<impl Iterator<Item = (f64, u64)> + Clone + '_> {
        let is_last = |point: &&(f64, f64)| point.0 == f64::INFINITY;
        let last = distribution.points.iter().find(is_last).map(|point| point.1);
        let points = distribution.points.iter();
        let bounds =
            points.filter(|(bound, _)| bound.is_finite()).scan(f64::NEG_INFINITY, |highest, &(bound, count)| {
                let is_next = bound > *highest;
                *highest = highest.max(bound);
                Some(is_next.then_some((bound, whole(count))))
            });
        let bounds = bounds.flatten();
        let below = bounds.clone().map(|bound| bound.1).max().unwrap_or(0);
        Buckets { bounds, total: whole(last.or(distribution.count).unwrap_or(0.0)).max(below) }
    }
}

/// Writes attributes of a number's point as those of a histogram's.
fn for_histogram(mut attributes: &[u8], out: &mut Vec<u8>) {
    while let [_, rest @ ..] = attributes {
        let size_bytes = rest.iter().take_while(|&&byte| byte >= 0x80).count() + 1;
        let bits = rest.iter().take(size_bytes).rev();
        let size = bits.fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let Some((attribute, others)) = rest.split_at_checked(size_bytes + size) else { return };
        out.push(bytes_key(ATTRIBUTES_OF_HISTOGRAM));
        out.extend_from_slice(attribute);
        attributes = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_float() {
        for (n, decimals) in [(150, 2), (i64::MAX, 9), (i64::MIN, 18), (9_007_199_254_740_993, 1), (1, 255), (7, 23)] {
            let expected: f64 = format!("{n}e-{decimals}").parse().unwrap();
            assert_eq!(nearest(n, decimals).to_bits(), expected.to_bits(), "{n} {decimals}");
        }
    }

    fn buckets(points: &[(f64, f64)], count: Option<f64>) -> (Vec<(f64, u64)>, u64) {
        let distribution = Distribution { points: points.to_vec(), count, sum: None };
        let buckets = Buckets::of(&distribution);
        (buckets.bounds.collect(), buckets.total)
    }

    #[test]
    fn odd_histograms() {
        let infinity = f64::INFINITY;
        assert_eq!(buckets(&[(1.0, 2.0), (infinity, 5.0)], Some(5.0)), (vec![(1.0, 2)], 5));
        assert_eq!(buckets(&[(1.0, 2.0), (1.0, 3.0), (0.5, 4.0)], Some(9.0)), (vec![(1.0, 2)], 9));
        assert_eq!(buckets(&[(f64::NAN, 2.0), (2.0, 7.0)], None), (vec![(2.0, 7)], 7));
        assert_eq!(buckets(&[(infinity, 3.0)], None), (vec![], 3));
        assert_eq!(buckets(&[(1.0, -1.0), (2.0, f64::NAN)], None), (vec![(1.0, 0), (2.0, 0)], 0));
        assert_eq!(buckets(&[], Some(4.0)), (vec![], 4));
    }

    proptest! {
        #[test]
        fn scaled_numbers_are_the_nearest_float(n: i64, decimals in 0..30u8) {
            let expected: f64 = format!("{n}e-{decimals}").parse().unwrap();
            prop_assert_eq!(nearest(n, decimals).to_bits(), expected.to_bits());
        }
    }
}
