//! Snapshot → Prometheus text 0.0.4 or OpenMetrics 1.0.

use super::form::{Filled, Forms, Notes};
use super::gzip::Gzip;
use super::page::{Page, Sheet};
use super::{Format, wire};
use collectors::model::{Distribution, Entity, Family, Group, Kind, Labels, Layout, Snapshot, Value};
use std::fmt;
use std::sync::Arc;

/// Writes pages. Kept from page to page for its memory, and for what is the same on the next page.
#[derive(Debug, Default)]
pub struct Text {
    keep: Keep,
    forms: Forms,
    heads: Heads,
    /// The label blocks of each batch.
    blocks: Vec<Blocks>,
    gzip: Option<Gzip>,
}

/// Which families are on the pages. It never changes, so that what is known of a page is known of the next one.
struct Keep(Box<dyn Fn(&Family) -> bool + Send>);

impl Default for Keep {
    fn default() -> Self {
        Self(Box::new(|_| true))
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep")
    }
}

impl Text {
    /// Writes pages that have only the families that `keep` keeps.
    pub fn keeping(keep: impl Fn(&Family) -> bool + Send + 'static) -> Self {
        Self { keep: Keep(Box::new(keep)), ..Self::default() }
    }

    /// The page of a snapshot, its families sorted by name. It takes the memory of `out`.
    pub fn page(&mut self, snapshot: &Snapshot, format: Format, out: Vec<u8>) -> Vec<u8> {
        let mut sheet = Sheet::plain(out);
        self.make(snapshot, format, &mut sheet);
        sheet.text
    }

    /// The same page, packed by gzip if it is long enough for that. It will probably be of this length.
    pub fn packed(&mut self, snapshot: &Snapshot, format: Format, length: usize) -> Page {
        let mut sheet = Sheet::packed(length, self.gzip.take().unwrap_or_default());
        let filled = self.make(snapshot, format, &mut sheet);
        let (page, gzip) = sheet.end(filled);
        self.gzip = gzip;
        page
    }

    /// Writes a page; tells if it was filled into a form.
    pub(super) fn make(&mut self, snapshot: &Snapshot, format: Format, sheet: &mut Sheet) -> Option<Filled> {
        let filled = self.forms.fill(snapshot, format, &mut sheet.text);
        if filled.is_none() {
            self.write(snapshot, format, sheet);
        }
        filled
    }

    fn write(&mut self, snapshot: &Snapshot, format: Format, sheet: &mut Sheet) {
        self.heads.prepare(snapshot, format);
        self.blocks.resize_with(snapshot.batches().len(), Blocks::default);
        for (blocks, batch) in self.blocks.iter_mut().zip(snapshot.batches()) {
            blocks.prepare(batch.labels());
        }
        let mut notes = Notes::new(snapshot);
        for (at, group) in snapshot.groups().iter().enumerate() {
            let family = snapshot.family(group);
            if (self.keep.0)(family) {
                notes.group(at);
                sheet.text.extend_from_slice(self.heads.of(at));
                let name = Name { sample: &family.name, kind: family.kind, format };
                self.lines(snapshot, group, &name, sheet, &mut notes);
            }
        }
        if format == Format::OpenMetrics {
            sheet.text.extend_from_slice(b"# EOF\n");
        }
        self.forms.learn(snapshot, format, notes, &sheet.text);
    }

    fn lines(&mut self, snapshot: &Snapshot, group: &Group, name: &Name, sheet: &mut Sheet, notes: &mut Notes) {
        for part in snapshot.parts(group) {
            let (batch, blocks) = (&snapshot.batches()[part.batch as usize], &mut self.blocks[part.batch as usize]);
            let mut skip = part.skip.iter().peekable();
            let samples = &part.of(snapshot.batches()).samples;
            notes.part(samples.len());
            for (at, sample) in samples.iter().enumerate() {
                if skip.next_if(|&&skipped| skipped as usize == at).is_some() {
                    continue;
                }
                sheet.turn(notes);
                let (block, out) = (blocks.of(sample.of), &mut sheet.text);
                match sample.value {
                    Value::Distribution(at) => {
                        notes.give_up();
                        if let Some(distribution) = batch.distribution(at) {
                            name.distribution(block, distribution, out);
                        }
                    }
                    value => {
                        out.extend_from_slice(name.sample.as_bytes());
                        out.extend_from_slice(block.closed());
                        let start = out.len();
                        wire::value(out, value);
                        notes.figure(sample, start, out.len());
                        out.push(b'\n');
                    }
                }
            }
        }
    }
}

/// The HELP and TYPE lines of a page. They are written once and copied while the same families are there.
#[derive(Debug, Default)]
struct Heads {
    of: Option<(Arc<Layout>, Format)>,
    bytes: Vec<u8>,
    /// For each group, where its lines end.
    ends: Vec<usize>,
}

impl Heads {
    fn prepare(&mut self, snapshot: &Snapshot, format: Format) {
        let is_same = |of: &(Arc<Layout>, Format)| Arc::ptr_eq(&of.0, snapshot.layout()) && of.1 == format;
        if self.of.as_ref().is_some_and(is_same) {
            return;
        }
        self.of = Some((Arc::clone(snapshot.layout()), format));
        self.bytes.clear();
        self.ends.clear();
        for group in snapshot.groups() {
            self.write(snapshot.family(group), format, snapshot);
            self.ends.push(self.bytes.len());
        }
    }

    fn of(&self, group: usize) -> &[u8] {
        let start = group.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[group]]
    }

    fn write(&mut self, family: &Family, format: Format, snapshot: &Snapshot) {
        let (name, word) = called(family, format, snapshot);
        let out = &mut self.bytes;
        if !family.help.is_empty() {
            out.extend_from_slice(b"# HELP ");
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
            wire::help(out, &family.help, format == Format::OpenMetrics);
            out.push(b'\n');
        }
        out.extend_from_slice(b"# TYPE ");
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
        out.push(b'\n');
    }
}

/// The name and the type of a family on its HELP and TYPE lines.
fn called<'a>(family: &'a Family, format: Format, snapshot: &Snapshot) -> (&'a str, &'static str) {
    let full: &str = &family.name;
    match (format, family.kind) {
        (_, Kind::Gauge) => (full, "gauge"),
        (_, Kind::Histogram) => (full, "histogram"),
        (_, Kind::Summary) => (full, "summary"),
        (Format::Text, Kind::Counter) => (full, "counter"),
        (Format::Text, Kind::Untyped) => (full, "untyped"),
        // OpenMetrics writes `_total` on samples only, and knows no counter without it. Where the bare name is
        // another family's, the two would become one.
        (Format::OpenMetrics, Kind::Counter) => match full.strip_suffix("_total") {
            Some(bare) if !has_family(snapshot, bare) => (bare, "counter"),
            _ => (full, "unknown"),
        },
        (Format::OpenMetrics, Kind::Untyped) => (full, "unknown"),
    }
}

fn has_family(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.groups().binary_search_by(|group| snapshot.family(group).name.as_ref().cmp(name)).is_ok()
}

/// How the lines of a family begin.
struct Name<'a> {
    sample: &'a str,
    kind: Kind,
    format: Format,
}

impl Name<'_> {
    fn distribution(&self, block: Block<'_>, distribution: &Distribution, out: &mut Vec<u8>) {
        let (suffix, label): (&[u8], &[u8]) =
            if self.kind == Kind::Histogram { (b"_bucket", b"le=\"") } else { (b"", b"quantile=\"") };
        for &(bound, figure) in &distribution.points {
            out.extend_from_slice(self.sample.as_bytes());
            out.extend_from_slice(suffix);
            block.open(out);
            out.extend_from_slice(label);
            wire::bound(out, bound, self.format);
            out.extend_from_slice(b"\"} ");
            wire::float(out, figure);
            out.push(b'\n');
        }
        for (suffix, figure) in [("_sum", distribution.sum), ("_count", distribution.count)] {
            if let Some(figure) = figure {
                out.extend_from_slice(self.sample.as_bytes());
                out.extend_from_slice(suffix.as_bytes());
                out.extend_from_slice(block.closed());
                wire::float(out, figure);
                out.push(b'\n');
            }
        }
    }
}

/// The label blocks of a batch: each is rendered once, and copied for every point of its entity while the batch has the
/// same label sets.
#[derive(Debug, Default)]
struct Blocks {
    labels: Arc<Labels>,
    bytes: Vec<u8>,
    /// Where the labels of each entity begin and end; the brace before and the brace and blank behind them are in the
    /// bytes too, so nothing ends at 0.
    spans: Vec<(usize, usize)>,
}

impl Blocks {
    fn prepare(&mut self, labels: &Arc<Labels>) {
        if !Arc::ptr_eq(&self.labels, labels) {
            self.labels = Arc::clone(labels);
            self.bytes.clear();
            self.spans.clear();
            self.spans.resize(labels.entities(), (0, 0));
        }
    }

    fn of(&mut self, of: Entity) -> Block<'_> {
        let (start, end) = self.render(of);
        Block { bytes: &self.bytes[start - 1..end + 2], is_bare: start == end }
    }

    fn render(&mut self, of: Entity) -> (usize, usize) {
        if let (start, end @ 1..) = self.spans[of.index()] {
            return (start, end);
        }
        let labels = Arc::clone(&self.labels);
        let inherited = match labels.parent(of) {
            parent if parent == of => (0, 0),
            parent => self.render(parent),
        };
        self.bytes.push(b'{');
        let start = self.bytes.len();
        self.bytes.extend_from_within(inherited.0..inherited.1);
        for (name, value) in labels.own(of) {
            if self.bytes.len() > start {
                self.bytes.push(b',');
            }
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(b"=\"");
            wire::label_value(&mut self.bytes, value);
            self.bytes.push(b'"');
        }
        let end = self.bytes.len();
        self.bytes.extend_from_slice(b"} ");
        self.spans[of.index()] = (start, end);
        (start, end)
    }
}

/// One rendered label block: `{a="1"} `.
#[derive(Clone, Copy)]
struct Block<'a> {
    bytes: &'a [u8],
    is_bare: bool,
}

impl<'a> Block<'a> {
    /// The whole block and the blank behind it.
    fn closed(self) -> &'a [u8] {
        if self.is_bare { b" " } else { self.bytes }
    }

    /// Writes the block up to where one more label goes.
    fn open(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.bytes.len() - 2]);
        if !self.is_bare {
            out.push(b',');
        }
    }
}

#[cfg(test)]
mod tests;
