//! What the server counts about itself.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The status codes a page can be answered with, in the order of [`Figures::requests`].
pub const CODES: [u16; 5] = [200, 400, 405, 500, 503];

/// The server's own counters. Shared: made before the server, so that the pages can hold them.
#[derive(Debug, Default)]
pub struct State {
    requests: [AtomicU64; CODES.len()],
    pub(super) in_flight: AtomicUsize,
    pub(super) connections: AtomicUsize,
    pub(super) accepted: AtomicU64,
    pub(super) making: AtomicUsize,
    pub(super) page_bytes: AtomicUsize,
    pub(super) sent_bytes: AtomicU64,
    pub(super) made: AtomicU64,
    pub(super) gzip_from: AtomicU64,
    pub(super) gzip_to: AtomicU64,
    pub(super) late_header: AtomicU64,
    pub(super) late_idle: AtomicU64,
    pub(super) late_write: AtomicU64,
    pub(super) crowded_out: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) unauthorized: AtomicU64,
    pub(super) rate_limited: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests for pages that were answered, by code, in the order of [`CODES`]. Landing page and probes don't count.
    pub requests: [u64; CODES.len()],
    /// Requests for pages that have no answer yet.
    pub in_flight: usize,
    /// Open connections.
    pub connections: usize,
    /// Connections ever accepted.
    pub accepted: u64,
    /// Pages in the making.
    pub making: usize,
    /// Bytes of finished pages in memory: waiting for a reader or kept for the next one. Shared pages count once.
    pub page_bytes: usize,
    /// Bytes handed to the kernel, heads included.
    pub sent_bytes: u64,
    /// Pages made. Requests beyond this number shared one.
    pub made: u64,
    /// Bytes of pages before compression, of those that were compressed.
    pub gzip_from: u64,
    /// Bytes of these pages after compression.
    pub gzip_to: u64,
    /// Connections closed because a request's head took too long.
    pub late_header: u64,
    /// Connections closed because no request came.
    pub late_idle: u64,
    /// Connections closed because the client read too slowly.
    pub late_write: u64,
    /// Connections closed to make room for others.
    pub crowded_out: u64,
    /// Connections closed because TLS did not come about.
    pub handshakes_failed: u64,
    /// Requests refused because they brought no right password.
    pub unauthorized: u64,
    /// Requests refused because there were too many of them.
    pub rate_limited: u64,
}

impl State {
    /// The counters now.
    pub fn figures(&self) -> Figures {
        Figures {
            requests: std::array::from_fn(|at| self.requests.get(at).map_or(0, |count| count.load(Relaxed))),
            in_flight: self.in_flight.load(Relaxed),
            connections: self.connections.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            making: self.making.load(Relaxed),
            page_bytes: self.page_bytes.load(Relaxed),
            sent_bytes: self.sent_bytes.load(Relaxed),
            made: self.made.load(Relaxed),
            gzip_from: self.gzip_from.load(Relaxed),
            gzip_to: self.gzip_to.load(Relaxed),
            late_header: self.late_header.load(Relaxed),
            late_idle: self.late_idle.load(Relaxed),
            late_write: self.late_write.load(Relaxed),
            crowded_out: self.crowded_out.load(Relaxed),
            handshakes_failed: self.handshakes_failed.load(Relaxed),
            unauthorized: self.unauthorized.load(Relaxed),
            rate_limited: self.rate_limited.load(Relaxed),
        }
    }

    /// A request for a page was answered.
    pub(super) fn answered(&self, code: u16) {
        if let Some(count) = CODES.iter().position(|known| *known == code).and_then(|at| self.requests.get(at)) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// Counts in a gauge as long as it lives.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    pub(super) fn new(gauge: &'a AtomicUsize) -> Self {
        gauge.fetch_add(1, Relaxed);
        Counted(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
