//! The lines of a text, put together: families, series, buckets.

use super::scan::{self, Expected, Line, Sample};
use super::{Dialect, Document, FAMILIES_MAX, Figure, LABELS_MAX, Mismatch, Parsed, SAMPLES_MAX, Series};
use crate::model::{Distribution, Family, Kind, Value};
use std::collections::{HashMap, HashSet};

/// The families so far.
pub(super) struct Drafts {
    dialect: Dialect,
    drafts: Vec<Draft>,
    index: HashMap<String, usize>,
    samples: usize,
    labels: usize,
    timestamp: Option<u32>,
}

/// A family so far.
struct Draft {
    name: String,
    /// What OpenMetrics has behind the name on every line, and 0.0.4 in the name itself.
    suffix: &'static str,
    help: Option<String>,
    kind: Option<Kind>,
    line: u32,
    pieces: Vec<Piece>,
}

/// A line with a figure.
struct Piece {
    labels: Vec<(String, String)>,
    part: Part,
    value: Value,
    line: u32,
}

/// What a line's figure is to its series.
#[derive(Clone, Copy)]
enum Part {
    Value,
    /// A bucket by its bound, or a quantile.
    Point(f64),
    Sum,
    Count,
}

impl Drafts {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, drafts: Vec::new(), index: HashMap::new(), samples: 0, labels: 0, timestamp: None }
    }

    /// Takes one line.
    pub(super) fn take(&mut self, line: Line<'_>, number: u32) -> Result<(), Expected> {
        match line {
            Line::Nothing => Ok(()),
            Line::Help { name, help } => match self.draft(name, number)?.0.help.replace(help) {
                Some(_) => Err("one HELP line for each metric"),
                None => Ok(()),
            },
            Line::Type { name, word } => {
                let (kind, suffix) = kind(word, self.dialect)?;
                let draft = self.draft(name, number)?.0;
                draft.suffix = suffix;
                match draft.kind.replace(kind) {
                    Some(_) => Err("one TYPE line for each metric, before its first sample"),
                    None => Ok(()),
                }
            }
            Line::Sample(sample) => self.sample(sample, number),
        }
    }

    /// The family that a name belongs to, made if there is none, and what the name has behind the family's.
    ///
    /// A family of exactly that name goes before a histogram that has it on its lines.
    fn draft<'a>(&mut self, name: &'a str, line: u32) -> Result<(&mut Draft, &'a str), Expected> {
        let at = self.index.get(name).map(|&at| (at, "")).or_else(|| {
            let (base, suffix) = name.split_at(name.rfind('_')?);
            let at = *self.index.get(base)?;
            self.drafts.get(at)?.has_lines_with(suffix, self.dialect).then_some((at, suffix))
        });
        let (at, suffix) = match at {
            Some(found) => found,
            None if self.drafts.len() >= FAMILIES_MAX => return Err("at most 10000 metrics"),
            None => {
                self.index.insert(name.to_owned(), self.drafts.len());
                let name = name.to_owned();
                self.drafts.push(Draft { name, suffix: "", help: None, kind: None, line, pieces: Vec::new() });
                (self.drafts.len() - 1, "")
            }
        };
        self.drafts.get_mut(at).map(|draft| (draft, suffix)).ok_or("a metric name")
    }

    fn sample(&mut self, sample: Sample<'_>, line: u32) -> Result<(), Expected> {
        self.samples += 1;
        self.labels += sample.labels.len();
        if self.samples > SAMPLES_MAX || self.labels > LABELS_MAX {
            return Err("at most 200000 samples with 1000000 labels");
        }
        let (draft, suffix) = self.draft(sample.name, line)?;
        let mut labels = sample.labels;
        let part = match *draft.kind.get_or_insert(Kind::Untyped) {
            // When the series began, as OpenMetrics tells it.
            _ if suffix == "_created" => return Ok(()),
            Kind::Histogram => {
                let bound = bound(&mut labels, "le")?;
                match (suffix, bound) {
                    ("_bucket", Some(bound)) => Part::Point(bound),
                    ("_bucket", None) => return Err("a bucket with the label le"),
                    _ => sum_or_count(suffix).ok_or("_bucket, _sum or _count behind the name of a histogram")?,
                }
            }
            Kind::Summary => match (suffix, bound(&mut labels, "quantile")?) {
                ("", Some(quantile)) => Part::Point(quantile),
                _ => sum_or_count(suffix).ok_or("a summary's label quantile, or _sum or _count behind its name")?,
            },
            _ if suffix != draft.suffix => return Err("the suffix that belongs to the metric's type"),
            Kind::Counter | Kind::Gauge | Kind::Untyped => Part::Value,
        };
        draft.pieces.push(Piece { labels, part, value: sample.value, line });
        if sample.is_timed {
            self.timestamp.get_or_insert(line);
        }
        Ok(())
    }

    /// All that was taken. Families without samples are left out.
    pub(super) fn finish(self) -> Result<Document, Mismatch> {
        let mut families = Vec::new();
        for draft in self.drafts.into_iter().filter(|draft| !draft.pieces.is_empty()) {
            families.push(draft.finish()?);
        }
        // In the order of the text, so that the later one is told.
        let mut taken: HashSet<String> = HashSet::new();
        let mut names: HashSet<&str> = HashSet::new();
        for Parsed { family, line, .. } in &families {
            let lines: Vec<_> =
                family.kind.suffixes().iter().map(|suffix| format!("{}{suffix}", family.name)).collect();
            let is_new = names.insert(&family.name) && !taken.contains(family.name.as_ref());
            if !is_new || lines.iter().any(|name| names.contains(name.as_str())) {
                let expected = "a metric name that no other metric has on its lines";
                return Err(Mismatch { line: *line, expected });
            }
            taken.extend(lines);
        }
        Ok(Document { families, timestamp: self.timestamp })
    }
}

impl Draft {
    fn has_lines_with(&self, suffix: &str, dialect: Dialect) -> bool {
        let Some(kind) = self.kind else { return false };
        let is_created = suffix == "_created" && !matches!(kind, Kind::Gauge | Kind::Untyped);
        kind.suffixes().contains(&suffix) || (dialect == Dialect::OpenMetrics && (suffix == self.suffix || is_created))
    }

    fn finish(self) -> Result<Parsed, Mismatch> {
        let kind = self.kind.unwrap_or(Kind::Untyped);
        let mut pieces = self.pieces;
        pieces.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut series: Vec<Series> = Vec::with_capacity(if kind.suffixes().is_empty() { pieces.len() } else { 0 });
        let mut rest = pieces.into_iter().peekable();
        while let Some(first) = rest.next() {
            let line = first.line;
            let figure = if kind.suffixes().is_empty() {
                if let Some(twice) = rest.next_if(|piece| piece.labels == first.labels) {
                    return Err(repeated(twice.line));
                }
                Figure::Value(first.value)
            } else {
                let mut gathered = Gathered::default();
                gathered.take(&first)?;
                while let Some(piece) = rest.next_if(|piece| piece.labels == first.labels) {
                    gathered.take(&piece)?;
                }
                Figure::Distribution(gathered.finish(kind, line)?)
            };
            series.push(Series { labels: first.labels, figure, line });
        }
        let family = Family::at_run_time(self.name + self.suffix, self.help.unwrap_or_default(), kind);
        Ok(Parsed { family, series, line: self.line })
    }
}

/// One histogram or summary, line by line.
#[derive(Default)]
struct Gathered {
    /// Bound, figure and line.
    points: Vec<(f64, f64, u32)>,
    sum: Option<f64>,
    count: Option<f64>,
}

impl Gathered {
    fn take(&mut self, piece: &Piece) -> Result<(), Mismatch> {
        let figure = piece.value.as_f64().unwrap_or(f64::NAN);
        let before = match piece.part {
            Part::Value => None,
            Part::Point(bound) => {
                self.points.push((bound, figure, piece.line));
                None
            }
            Part::Sum => self.sum.replace(figure),
            Part::Count => self.count.replace(count(figure, piece.line)?),
        };
        before.map_or(Ok(()), |_| Err(repeated(piece.line)))
    }

    fn finish(mut self, kind: Kind, line: u32) -> Result<Distribution, Mismatch> {
        self.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let Some(pair) = self.points.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(repeated(pair[1].2));
        }
        if kind == Kind::Histogram {
            for (_, figure, line) in &self.points {
                count(*figure, *line)?;
            }
            match (self.points.last(), self.count) {
                (Some((f64::INFINITY, all, _)), None) => self.count = Some(*all),
                (Some((f64::INFINITY, ..)), Some(_)) => {}
                (_, Some(all)) => self.points.push((f64::INFINITY, all, line)),
                (_, None) => return Err(Mismatch { line, expected: "a histogram with its count or its bucket +Inf" }),
            }
        }
        let points = self.points.into_iter().map(|(bound, figure, _)| (bound, figure)).collect();
        Ok(Distribution { points, count: self.count, sum: self.sum })
    }
}

fn repeated(line: u32) -> Mismatch {
    Mismatch { line, expected: "each series once" }
}

fn count(figure: f64, line: u32) -> Result<f64, Mismatch> {
    if figure.is_finite() && figure >= 0.0 { Ok(figure) } else { Err(Mismatch { line, expected: "a count" }) }
}

fn sum_or_count(suffix: &str) -> Option<Part> {
    match suffix {
        "_sum" => Some(Part::Sum),
        "_count" => Some(Part::Count),
        _ => None,
    }
}

/// Takes the label that tells a bucket or quantile from its neighbours out of the others.
fn bound(labels: &mut Vec<(String, String)>, name: &str) -> Result<Option<f64>, Expected> {
    let Some(at) = labels.iter().position(|(label, _)| label == name) else { return Ok(None) };
    let bound = scan::number(labels.remove(at).1.as_bytes()).and_then(Value::as_f64);
    // Adding zero makes -0 and 0 one bound.
    bound.filter(|bound| !bound.is_nan()).map(|bound| Some(bound + 0.0)).ok_or("a number in the label le or quantile")
}

/// The word of a TYPE line, in whatever case, and what OpenMetrics has behind the name of such a metric.
fn kind(word: &[u8], dialect: Dialect) -> Result<(Kind, &'static str), Expected> {
    let word = word.to_ascii_lowercase();
    let known = match (word.as_slice(), dialect) {
        (b"counter", Dialect::OpenMetrics) => (Kind::Counter, "_total"),
        (b"info", Dialect::OpenMetrics) => (Kind::Gauge, "_info"),
        (b"unknown", Dialect::OpenMetrics) => (Kind::Untyped, ""),
        (b"stateset", Dialect::OpenMetrics) => (Kind::Gauge, ""),
        (b"counter", Dialect::Prometheus) => (Kind::Counter, ""),
        (b"untyped", Dialect::Prometheus) => (Kind::Untyped, ""),
        (b"gauge", _) => (Kind::Gauge, ""),
        (b"histogram", _) => (Kind::Histogram, ""),
        (b"summary", _) => (Kind::Summary, ""),
        _ => return Err("counter, gauge, histogram, summary or untyped"),
    };
    Ok(known)
}
