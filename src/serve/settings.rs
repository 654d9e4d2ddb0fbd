//! What the server can be told.

use super::Gate;
use std::sync::Arc;
use std::time::Duration;

/// What the server can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program's name, for the landing page.
    pub name: String,
    /// Its version, for the landing page.
    pub version: String,
    /// Where the page of everything is; the groups' pages are below it. `/` drops the landing page.
    pub telemetry_path: String,
    /// The groups that have a page of their own.
    pub groups: Vec<GroupPage>,
    /// Whether clients that prefer OpenMetrics get it.
    pub openmetrics: bool,
    /// How many pages may be in the making at once; 0: as many as are asked for.
    pub max_requests: usize,
    /// How old a finished page may be and still answer an identical request.
    pub max_age: Duration,
    /// What a client may take.
    pub limits: Limits,
    /// Who may come in; everyone, in the clear, if there is none.
    pub gate: Option<Arc<Gate>>,
}

/// A page with one group of collectors, at `<telemetry path>/<name>`.
#[derive(Clone, Copy, Debug)]
pub struct GroupPage {
    /// The last part of its path, and the group's name in [`Pages::select`](super::Pages::select).
    pub name: &'static str,
    /// Other last parts that lead to the same page.
    pub aliases: &'static [&'static str],
    /// One line for the landing page.
    pub about: &'static str,
}

/// What a client may take: time and room.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the connection or the first byte of a request to the end of its head.
    pub header: Duration,
    /// A kept connection without a request.
    pub idle: Duration,
    /// From the moment an answer is made until its last byte is with the kernel.
    pub write: Duration,
    /// How long collectors may take when the client names no timeout.
    pub patience: Duration,
    /// How long collectors may take at most.
    pub patience_max: Duration,
    /// How long a render may overrun its patience before the client is told so.
    pub grace: Duration,
    /// How young the making of a page must be for an identical request to join it.
    pub join: Duration,
    /// From the signal to stop until the server returns.
    pub stop: Duration,
    /// The largest head of a request, in bytes; hyper takes at least 8192.
    pub head_bytes: usize,
    /// How many connections may be open.
    pub connections: usize,
    /// How many bytes of pages may wait for their readers; the connection that has been reading longest makes room.
    pub page_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            write: Duration::from_secs(20),
            patience: Duration::from_secs(10),
            patience_max: Duration::from_secs(60),
            grace: Duration::from_secs(1),
            join: Duration::from_millis(100),
            stop: Duration::from_millis(1500),
            head_bytes: 16 * 1024,
            connections: 512,
            page_bytes: 64 * 1024 * 1024,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: "wholenode".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            telemetry_path: "/metrics".into(),
            groups: Vec::new(),
            openmetrics: false,
            max_requests: 40,
            max_age: Duration::ZERO,
            limits: Limits::default(),
            gate: None,
        }
    }
}

impl Settings {
    /// What comes before `/<group>`: the telemetry path with a leading and without a trailing slash, so "" for `/`.
    pub(super) fn base(&self) -> String {
        let path = self.telemetry_path.trim_matches('/');
        if path.is_empty() { String::new() } else { format!("/{path}") }
    }
}
