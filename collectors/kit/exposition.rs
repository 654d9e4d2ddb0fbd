//! The text formats in which programs write their metrics: Prometheus 0.0.4, and OpenMetrics as far as it is needed.
//!
//! What is accepted is what Prometheus' own parser for exporters accepts, down to its blanks; see [`scan`] for the
//! grammar. Stricter are the points where that parser loses or mixes up figures without a word: a series twice, a
//! bucket without its bound, a family under the names of another one's lines. The text is written by strangers: all
//! that it can make large is bounded.

mod gather;
mod scan;
#[cfg(test)]
mod tests;

use crate::model::{Batch, Distribution, Family, Value};
use std::sync::Arc;

/// How many families a text may name.
const FAMILIES_MAX: usize = 10_000;
/// How many lines with a figure a text may hold.
const SAMPLES_MAX: usize = 200_000;
/// How many labels a text may hold in all.
const LABELS_MAX: usize = 1_000_000;
/// How many labels a line may hold.
const LABELS_OF_LINE_MAX: usize = 64;
/// How long the name of a metric or label may be.
const NAME_MAX: usize = 1 << 10;
/// How long a label's value, or the help of a family, may be.
const TEXT_MAX: usize = 64 << 10;

/// Which of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0, read as 0.0.4 would say it: the counter `x` is the family `x_total`, the info `x` the gauge
    /// `x_info`, `_created` lines and exemplars are passed over.
    OpenMetrics,
}

/// What a text says; owned, so that it may be kept from round to round.
#[derive(Debug, Default, PartialEq)]
pub struct Document {
    /// The families that have series, in the order in which they were first named.
    pub families: Vec<Parsed>,
    /// The first line that gives a time of its own, if one does. The times themselves are not kept.
    pub timestamp: Option<u32>,
}

/// A family and its series.
#[derive(Debug, PartialEq)]
pub struct Parsed {
    /// What is measured; its help is empty if the text has none.
    pub family: Arc<Family>,
    /// Its series, sorted by their labels, each once.
    pub series: Vec<Series>,
    /// The line that named it first.
    pub line: u32,
}

/// Of whom, and how much.
#[derive(Debug, PartialEq)]
pub struct Series {
    /// The labels, sorted by name, each name once, without the empty ones, `le` of a histogram and `quantile` of a
    /// summary.
    pub labels: Vec<(String, String)>,
    /// How much.
    pub figure: Figure,
    /// Its first line.
    pub line: u32,
}

/// The figure of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Of a counter, a gauge or an untyped family.
    Value(Value),
    /// Of a histogram or a summary. A histogram always has its last bucket, `+Inf`, and its count.
    Distribution(Distribution),
}

/// Where and why a text does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The line, counted from 1.
    pub line: u32,
    /// What was expected there.
    pub expected: &'static str,
}

impl Document {
    /// How many series there are.
    pub fn len(&self) -> usize {
        self.families.iter().map(|parsed| parsed.series.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// Puts all of it.
    pub fn put(&self, out: &mut Batch) {
        for parsed in &self.families {
            parsed.series.iter().for_each(|series| series.put(&parsed.family, out));
        }
    }
}

impl Series {
    /// Puts this series under a family, which may be another file's of the same name.
    pub fn put(&self, family: &Arc<Family>, out: &mut Batch) {
        let of = out.named(self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        match &self.figure {
            Figure::Value(value) => out.put(family, of, *value),
            Figure::Distribution(distribution) => out.put_distribution(family, of, distribution.clone()),
        }
    }
}

/// Reads a whole text.
///
/// # Errors
/// The first line that does not read. Nothing of the text is given then: half of it could be wrong as well.
pub fn parse(text: &[u8], dialect: Dialect) -> Result<Document, Mismatch> {
    let mut drafts = gather::Drafts::new(dialect);
    for (line, number) in text.split_inclusive(|&byte| byte == b'\n').zip(1u32..) {
        let mismatch = |expected| Mismatch { line: number, expected };
        match line.strip_suffix(b"\n") {
            Some(line) => drafts.take(scan::line(line, dialect).map_err(mismatch)?, number).map_err(mismatch)?,
            None if line.iter().all(|&byte| scan::is_blank(byte)) => {}
            None => return Err(mismatch("a line feed at the end of the file")),
        }
    }
    drafts.finish()
}
