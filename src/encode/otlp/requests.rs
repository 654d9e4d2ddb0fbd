//! Export requests one behind the other, and how points get into them.

use super::metric::Metrics;
use super::protobuf::{self, Begun};
use super::resource::Resources;

/// How many points a request has at most.
const POINTS_MAX: u32 = 5_000;
/// How many bytes: receivers of gRPC take 4 MiB, measured before compression.
const BYTES_MAX: usize = 3 << 20;
/// What the lengths and keys around a point may take, besides texts.
const AROUND: usize = 64;

/// Messages of type `ExportMetricsServiceRequest`, one behind the other. Kept for their memory.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    /// Where each one ends, and how many points it has.
    ends: Vec<(usize, u32)>,
    too_large: u64,
}

impl Requests {
    /// The requests, each with the number of its points.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| end.0));
        starts.zip(&self.ends).map(|(start, &(end, points))| (&self.bytes[start..end], points))
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many points are in all of them.
    pub fn points(&self) -> u64 {
        self.ends.iter().map(|end| u64::from(end.1)).sum()
    }

    /// How many points were left out, because one alone is larger than a request may be.
    pub fn too_large(&self) -> u64 {
        self.too_large
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.too_large = 0;
    }

    fn end(&self) -> usize {
        self.ends.last().map_or(0, |end| end.0)
    }
}

/// Where a point belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// Which metric, by its number among those that are there now, or, if it is of before, among those before.
    pub(super) metric: u32,
    /// Which resource, likewise.
    pub(super) resource: u32,
    /// Whether both are of the round before.
    pub(super) is_of_before: bool,
}

/// What is begun at the moment.
#[derive(Clone, Copy, Debug)]
struct Open {
    at: At,
    resource: [Begun; 2],
    metric: [Begun; 2],
}

/// Puts points into requests, and begins a metric, a resource or a request wherever one must be.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut Requests,
    /// The metrics now, and before.
    metrics: [&'a Metrics; 2],
    /// The resources now, and before.
    resources: [&'a Resources; 2],
    open: Option<Open>,
    /// How many points the request has so far.
    points: u32,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Requests, metrics: [&'a Metrics; 2], resources: [&'a Resources; 2]) -> Self {
        out.clear();
        Self { out, metrics, resources, open: None, points: 0 }
    }

    /// Where the next point is to be written: it takes `size` bytes, with its key and length. None if it is too large.
    pub(super) fn point(&mut self, at: At, size: usize) -> Option<&mut Vec<u8>> {
        let mut around = self.around(at);
        let length = self.out.bytes.len() - self.out.end();
        if self.open.is_some() && (self.points == POINTS_MAX || length + around + size > BYTES_MAX) {
            self.finish();
            around = self.around(at);
        }
        if self.open.is_none() && around + size > BYTES_MAX {
            self.out.too_large += 1;
            return None;
        }
        self.begin(at);
        self.points += 1;
        Some(&mut self.out.bytes)
    }

    /// How many bytes have to be written before the point can be.
    fn around(&self, at: At) -> usize {
        let resource = AROUND + self.resource(at).len();
        let metric = AROUND + self.head(at).len();
        match self.open {
            Some(open) if open.at == at => 0,
            Some(open) if self.is_same_resource(open.at, at) => metric,
            _ => metric + resource,
        }
    }

    fn metrics(&self, at: At) -> &'a Metrics {
        self.metrics[usize::from(at.is_of_before)]
    }

    /// The name of the metric, and its description if it is the machine's: for each container it would be said again.
    fn head(&self, at: At) -> &'a [u8] {
        self.metrics(at).head(at.metric, at.resource == 0)
    }

    /// Whether both belong to the same resource: the machine is the first one, in every round.
    fn is_same_resource(&self, a: At, b: At) -> bool {
        let is_same_round = a.is_of_before == b.is_of_before || std::ptr::eq(self.resources[0], self.resources[1]);
        a.resource == b.resource && (is_same_round || a.resource == 0)
    }

    fn resource(&self, at: At) -> &'a [u8] {
        self.resources[usize::from(at.is_of_before)].bytes(at.resource)
    }

    fn begin(&mut self, at: At) {
        let resource = match self.open {
            Some(open) if open.at == at => return,
            Some(open) if self.is_same_resource(open.at, at) => {
                open.metric.iter().for_each(|&begun| protobuf::end(&mut self.out.bytes, begun));
                open.resource
            }
            _ => {
                self.close();
                let bytes = self.resource(at);
                let out = &mut self.out.bytes;
                let resource = protobuf::begin(out, 1);
                out.extend_from_slice(bytes);
                let of_scope = protobuf::begin(out, 2);
                scope(out);
                [of_scope, resource]
            }
        };
        let (head, form) = (self.head(at), self.metrics(at).form(at.metric));
        let out = &mut self.out.bytes;
        let metric = protobuf::begin(out, 2);
        out.extend_from_slice(head);
        let points = protobuf::begin(out, form.field());
        out.extend_from_slice(form.head());
        self.open = Some(Open { at, resource, metric: [points, metric] });
    }

    /// Ends what is begun, innermost first.
    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let begun = open.metric.iter().chain(&open.resource);
            begun.for_each(|&begun| protobuf::end(&mut self.out.bytes, begun));
        }
    }

    /// Ends the request, if one is begun.
    pub(super) fn finish(&mut self) {
        if self.open.is_some() {
            self.close();
            self.out.ends.push((self.out.bytes.len(), self.points));
            self.points = 0;
        }
    }
}

/// Who says it.
fn scope(out: &mut Vec<u8>) {
    let (name, version) = ("wholenode", env!("CARGO_PKG_VERSION"));
    out.push(protobuf::bytes_key(1));
    protobuf::varint(out, (4 + name.len() + version.len()) as u64);
    protobuf::text(out, 1, name);
    protobuf::text(out, 2, version);
}
