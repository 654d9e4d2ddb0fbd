//! Snapshot → Prometheus text 0.0.4 or OpenMetrics 1.0.

use super::form::{Forms, Notes, Page};
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
    pub fn page(&mut self, snapshot: &Snapshot, format: Format, mut out: Vec<u8>) -> Page {
        out.clear();
        let filled = self.forms.fill(snapshot, format, &mut out);
        if filled.is_none() {
            self.write(snapshot, format, &mut out);
        }
        Page::new(out, filled)
    }

    fn write(&mut self, snapshot: &Snapshot, format: Format, out: &mut Vec<u8>) {
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
                out.extend_from_slice(self.heads.of(at));
                self.lines(snapshot, group, &Name { sample: &family.name, kind: family.kind, format }, out, &mut notes);
            }
        }
        if format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        self.forms.learn(snapshot, format, notes, out);
    }

    fn lines(&mut self, snapshot: &Snapshot, group: &Group, name: &Name, out: &mut Vec<u8>, notes: &mut Notes) {
        for part in snapshot.parts(group) {
            let (batch, blocks) = (&snapshot.batches()[part.batch as usize], &mut self.blocks[part.batch as usize]);
            let mut skip = part.skip.iter().peekable();
            let samples = &part.of(snapshot.batches()).samples;
            notes.part(samples.len());
            for (at, sample) in samples.iter().enumerate() {
                if skip.next_if(|&&skipped| skipped as usize == at).is_some() {
                    continue;
                }
                let block = blocks.of(sample.of);
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
mod tests {
    use super::*;
    use collectors::model::{Batch, counter, gauge, untyped};
    use std::borrow::Cow;

    static UP: Family = gauge("up", "Is it \"up\"?\nYes.", &[]);
    static BYTES: Family = counter("bytes_total", "Bytes.", &["device", "way"]);
    static ODD: Family = counter("failcnt", "Not named like a counter.", &[]);
    static RAW: Family = untyped("raw", "", &[]);
    const fn family(name: &'static str, help: &'static str, kind: Kind) -> Family {
        Family { name: Cow::Borrowed(name), help: Cow::Borrowed(help), kind, labels: &[], semconv: None }
    }
    static SIZES: Family = family("sizes", "Sizes.", Kind::Histogram);
    static TIMES: Family = family("times", "Times.", Kind::Summary);

    fn snapshot() -> Snapshot {
        let mut batch = Batch::new(100);
        let machine = batch.machine();
        batch.put(&UP, machine, true);
        for device in ["eth0", "a\\\"\n"] {
            let device = batch.entity(&["device"], [device]);
            for way in ["in", "out"] {
                let way = batch.part(device, &["way"], [way]);
                batch.put(&BYTES, way, Value::Scaled(150, 2));
            }
        }
        batch.put(&ODD, machine, 7u64);
        batch.put(&RAW, machine, f64::NAN);
        let a = batch.entity(&["a"], ["x"]);
        let points = vec![(0.5, 1.0), (10.0, 2.0), (f64::INFINITY, 3.0)];
        batch.put_distribution(&SIZES, a, Distribution { points, count: Some(3.0), sum: Some(11.5) });
        batch.put_distribution(
            &TIMES,
            machine,
            Distribution { points: vec![(0.99, 2.5)], count: Some(1.0), sum: None },
        );
        Snapshot::new(vec![Arc::new(batch)])
    }

    fn page(format: Format) -> String {
        String::from_utf8(Text::default().page(&snapshot(), format, Vec::new()).into()).unwrap()
    }

    #[test]
    fn text_0_0_4() {
        assert_eq!(
            page(Format::Text),
            r#"# HELP bytes_total Bytes.
# TYPE bytes_total counter
bytes_total{device="eth0",way="in"} 1.5
bytes_total{device="eth0",way="out"} 1.5
bytes_total{device="a\\\"\n",way="in"} 1.5
bytes_total{device="a\\\"\n",way="out"} 1.5
# HELP failcnt Not named like a counter.
# TYPE failcnt counter
failcnt 7
# TYPE raw untyped
raw NaN
# HELP sizes Sizes.
# TYPE sizes histogram
sizes_bucket{a="x",le="0.5"} 1
sizes_bucket{a="x",le="10"} 2
sizes_bucket{a="x",le="+Inf"} 3
sizes_sum{a="x"} 11.5
sizes_count{a="x"} 3
# HELP times Times.
# TYPE times summary
times{quantile="0.99"} 2.5
times_count 1
# HELP up Is it "up"?\nYes.
# TYPE up gauge
up 1
"#
        );
    }

    #[test]
    fn openmetrics_1_0() {
        let page = page(Format::OpenMetrics);
        assert!(page.starts_with("# HELP bytes Bytes.\n# TYPE bytes counter\nbytes_total{"));
        assert!(page.contains("# TYPE failcnt unknown\nfailcnt 7\n# TYPE raw unknown\n"));
        assert!(page.contains("# HELP up Is it \\\"up\\\"?\\nYes.\n"));
        assert!(page.contains("sizes_bucket{a=\"x\",le=\"10.0\"} 2\n"));
        assert!(page.ends_with("up 1\n# EOF\n"));
    }

    #[test]
    fn families_can_be_left_out_and_the_writer_used_again() {
        let (mut text, snapshot) = (Text::keeping(|family| family.name == "up"), snapshot());
        for _ in 0..2 {
            let page = text.page(&snapshot, Format::Text, Vec::new());
            assert_eq!(page.text(), b"# HELP up Is it \"up\"?\\nYes.\n# TYPE up gauge\nup 1\n");
        }
    }

    #[test]
    fn a_writer_used_again_keeps_nothing_that_has_changed() {
        let page = |text: &mut Text, layout: &mut Arc<Layout>, device: &str, format| {
            let mut batch = Batch::new(10);
            let of = batch.entity(&["device"], [device]);
            batch.put(&BYTES, of, 1u64);
            let snapshot = Snapshot::like(layout, vec![Arc::new(batch)]);
            *layout = Arc::clone(snapshot.layout());
            String::from_utf8(text.page(&snapshot, format, Vec::new()).into()).unwrap()
        };
        let (mut text, mut layout) = Default::default();
        for (device, format) in [("a", Format::Text), ("b", Format::Text), ("b", Format::OpenMetrics)] {
            let again = page(&mut text, &mut layout, device, format);
            assert_eq!(again, page(&mut Text::default(), &mut Arc::default(), device, format));
            assert!(again.contains(&format!("{{device=\"{device}\"}} 1\n")));
        }
    }
}
