//! What a page has in common with the one before: nearly all of its bytes. They are the form, into which figures are filled.

use super::gzip::{Gzip, Packed, ROOM};
use super::{Format, wire};
use collectors::model::{Entity, Labels, Layout, Sample, Snapshot, Value};
use std::sync::Arc;

/// The form of a page with more figures would be worth less than its memory; a longer text is packed while it is written.
const FIGURES_MAX: usize = 1024;
const BYTES_MAX: usize = ROOM;

/// The form of a page, and how much further back than in the form each of its pieces is.
#[derive(Debug)]
pub(super) struct Filled {
    form: Arc<Form>,
    shifts: Vec<u32>,
}

impl Filled {
    /// Appends the text that was filled into the form as one gzip member.
    pub(super) fn pack(&self, text: &[u8], gzip: &mut Gzip, out: &mut Vec<u8>) {
        gzip.pack_known(text, &self.form.packed, &self.shifts, out);
    }
}

/// A page without those figures that differ from one time to the next.
#[derive(Debug)]
struct Form {
    bytes: Vec<u8>,
    packed: Packed,
}

/// The form that pages are filled into, as long as they are alike.
#[derive(Debug, Default)]
pub(super) struct Forms {
    last: Option<(Shape, Arc<Form>)>,
    /// The last page, if it did not fit. It takes two that are alike to make a form: an odd one costs none.
    odd: Option<Shape>,
}

/// All of a page but its text.
#[derive(Debug)]
struct Shape {
    // While they are held, they can't change.
    layout: Arc<Layout>,
    labels: Vec<Arc<Labels>>,
    format: Format,
    /// The groups that are on the page, how many samples each of their parts has, and these.
    groups: Vec<u32>,
    parts: Vec<u32>,
    samples: Vec<Known>,
}

/// A sample of a page.
#[derive(Clone, Copy, Debug)]
struct Known {
    of: Entity,
    /// Where the form has a gap for it; 0: it is printed there.
    gap: u32,
    value: Value,
}

/// What is noted about a page while it is written without a form.
#[derive(Debug)]
pub(super) struct Notes {
    groups: Vec<u32>,
    parts: Vec<u32>,
    samples: Vec<Known>,
    /// Where the figures begin and end on the page.
    spans: Vec<(u32, u32)>,
    /// There may be a form of this page.
    is_fit: bool,
}

impl Notes {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let figures: usize = snapshot.batches().iter().map(|batch| batch.len()).sum();
        let is_fit = figures <= FIGURES_MAX && snapshot.losses().is_empty();
        let room = if is_fit { figures } else { 0 };
        let (samples, spans) = (Vec::with_capacity(room), Vec::with_capacity(room));
        Self { groups: Vec::new(), parts: Vec::new(), samples, spans, is_fit }
    }

    pub(super) fn group(&mut self, at: usize) {
        if self.is_fit {
            self.groups.push(at as u32);
        }
    }

    /// Notes that so many samples of a group come from one batch.
    pub(super) fn part(&mut self, samples: usize) {
        if self.is_fit {
            self.parts.push(samples as u32);
        }
    }

    /// Notes that a figure was written from `start` to `end`.
    pub(super) fn figure(&mut self, sample: &Sample, start: usize, end: usize) {
        if self.is_fit {
            self.samples.push(Known { of: sample.of, gap: 0, value: sample.value });
            self.spans.push((start as u32, end as u32));
        }
    }

    /// There was something besides figures.
    pub(super) fn give_up(&mut self) {
        self.is_fit = false;
    }
}

impl Forms {
    /// Writes the page of a snapshot, if it only has to be filled into the form.
    pub(super) fn fill(&mut self, snapshot: &Snapshot, format: Format, out: &mut Vec<u8>) -> Option<Filled> {
        let (shape, form) = self.last.as_ref().filter(|(shape, _)| shape.is_of(snapshot, format))?;
        let Some(shifts) = shape.fill(form, snapshot, out) else {
            out.clear();
            return None;
        };
        self.odd = None;
        Some(Filled { form: Arc::clone(form), shifts })
    }

    /// Learns from a page that could not be filled in.
    pub(super) fn learn(&mut self, snapshot: &Snapshot, format: Format, notes: Notes, page: &[u8]) {
        if !notes.is_fit || page.len() > BYTES_MAX {
            *self = Self::default();
            return;
        }
        let is_alike = |shape: &Shape| shape.is_of(snapshot, format) && shape.has(&notes);
        match self.odd.take().filter(is_alike) {
            Some(mut shape) => {
                let printed = self.last.as_ref().map(|(shape, _)| shape).filter(|shape| is_alike(shape));
                let form = shape.print(printed, &notes, page);
                self.last = Some((shape, Arc::new(form)));
            }
            None => self.odd = Some(Shape::new(snapshot, format, notes)),
        }
    }
}

impl Shape {
    fn new(snapshot: &Snapshot, format: Format, notes: Notes) -> Self {
        let labels = snapshot.batches().iter().map(|batch| Arc::clone(batch.labels())).collect();
        let Notes { groups, parts, samples, .. } = notes;
        Self { layout: Arc::clone(snapshot.layout()), labels, format, groups, parts, samples }
    }

    /// Whether a page of this snapshot would have this shape, if it has the same samples.
    fn is_of(&self, snapshot: &Snapshot, format: Format) -> bool {
        let labels = snapshot.batches().iter().map(|batch| batch.labels());
        Arc::ptr_eq(&self.layout, snapshot.layout())
            && self.labels.len() == labels.len()
            && self.labels.iter().zip(labels).all(|(ours, theirs)| Arc::ptr_eq(ours, theirs))
            && self.format == format
    }

    /// Whether a page has samples in the same places.
    fn has(&self, notes: &Notes) -> bool {
        self.groups == notes.groups
            && self.parts == notes.parts
            && self.samples.len() == notes.samples.len()
            && self.samples.iter().zip(&notes.samples).all(|(ours, theirs)| ours.of == theirs.of)
    }

    /// Fills the page of a snapshot into its form, and tells the shifts; `None` if it does not fit, after some of it.
    fn fill(&self, form: &Form, snapshot: &Snapshot, out: &mut Vec<u8>) -> Option<Vec<u32>> {
        let (mut parts, mut samples) = (self.parts.iter(), self.samples.iter());
        let (mut done, mut shifts) = (0, vec![0]);
        let of = |&group: &u32| snapshot.groups().get(group as usize).map_or(&[][..], |group| snapshot.parts(group));
        for part in self.groups.iter().flat_map(of) {
            let column = &part.of(snapshot.batches()).samples;
            // Which entities come one after another tells nothing of where one family ends and the next begins.
            parts.next().filter(|&&known| known as usize == column.len())?;
            for sample in column {
                let known = samples.next().filter(|known| known.of == sample.of)?;
                if known.gap > 0 {
                    let gap = known.gap as usize;
                    out.extend_from_slice(form.bytes.get(done..gap)?);
                    wire::value(out, sample.value);
                    shifts.push((out.len() - gap) as u32);
                    done = gap;
                } else if !is_same(known.value, sample.value) {
                    return None;
                }
            }
        }
        out.extend_from_slice(form.bytes.get(done..)?);
        samples.next().is_none().then_some(shifts)
    }

    /// Makes a form of a page of this shape. Figures that are as they were, here and where an earlier form has them printed,
    /// and that seem to stay so, are printed.
    fn print(&mut self, earlier: Option<&Shape>, notes: &Notes, page: &[u8]) -> Form {
        let mut bytes = Vec::with_capacity(page.len());
        let (mut ends, mut shifts, mut done) = (Vec::new(), vec![0], 0);
        for (at, known) in self.samples.iter_mut().enumerate() {
            let (value, (start, end)) = (notes.samples[at].value, notes.spans[at]);
            let is_as_in = |known: &Known| known.gap == 0 && is_same(known.value, value);
            if is_steady(value) && is_as_in(known) && earlier.is_none_or(|shape| is_as_in(&shape.samples[at])) {
                continue;
            }
            bytes.extend_from_slice(&page[done..start as usize]);
            done = end as usize;
            known.gap = bytes.len() as u32;
            ends.push(known.gap);
            shifts.push((done - bytes.len()) as u32);
        }
        bytes.extend_from_slice(&page[done..]);
        ends.push(bytes.len() as u32);
        bytes.shrink_to_fit();
        let packed = Packed::new(&bytes, &ends, &shifts);
        Form { bytes, packed }
    }
}

/// Whether two figures look the same.
fn is_same(a: Value, b: Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

/// Whether a figure that did not change probably never will: flags, and counts of what does not happen.
fn is_steady(value: Value) -> bool {
    [Value::Int(0), Value::Int(1), Value::Float(0.0)].contains(&value) || matches!(value, Value::Scaled(0, _))
}

#[cfg(test)]
mod tests;
