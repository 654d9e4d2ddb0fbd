//! Engine and encoder together: the pages that are given out.

use crate::encode::{self, Format, Text};
use crate::engine::{Ask, Engine};
use crate::serve::{Making, Pages, Selection};
use collectors::kit::{Filter, lock};
use collectors::model::Snapshot;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Makes pages of what the engine knows.
#[derive(Clone, Debug)]
pub struct Source(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    encoders: Mutex<Encoders>,
    /// How long the last page was: the next one will be much the same.
    length: AtomicUsize,
}

#[derive(Debug, Default)]
struct Encoders {
    /// Which families are on the pages.
    families: Arc<Filter>,
    /// The encoders for these that are not at work, with what they know.
    idle: Vec<Text>,
}

/// A page that was asked for.
#[derive(Debug)]
struct Page {
    source: Source,
    ask: Ask,
    format: Format,
    gzip: bool,
}

impl Source {
    /// Pages of this engine, with the families that the filter keeps.
    pub fn new(engine: Arc<Engine>, families: Filter) -> Self {
        let source = Self(Arc::new(Shared { engine, encoders: Mutex::default(), length: AtomicUsize::new(0) }));
        source.keep(families);
        source
    }

    /// From now on, pages have other families.
    pub fn keep(&self, families: Filter) {
        *lock(&self.0.encoders) = Encoders { families: Arc::new(families), idle: Vec::new() };
    }

    /// The page of a snapshot, packed by gzip if that is wanted and worth it.
    pub fn encode(&self, snapshot: &Snapshot, format: Format, gzip: bool) -> encode::Page {
        let (families, idle) = {
            let mut encoders = lock(&self.0.encoders);
            (Arc::clone(&encoders.families), encoders.idle.pop())
        };
        let mut encoder = idle.unwrap_or_else(|| {
            let families = Arc::clone(&families);
            Text::keeping(move |family| families.keeps(&family.name))
        });
        // With some room: to grow, it would be copied into one twice as long.
        let length = self.0.length.load(Relaxed);
        let room = length + length / 16 + 1024;
        let page = match gzip {
            true => encoder.packed(snapshot, format, room),
            false => encode::Page::plain(encoder.page(snapshot, format, Vec::with_capacity(room))),
        };
        self.0.length.store(page.length, Relaxed);
        let mut encoders = lock(&self.0.encoders);
        if Arc::ptr_eq(&encoders.families, &families) {
            encoders.idle.push(encoder);
        }
        page
    }
}

impl Pages for Source {
    fn select(&self, group: Option<&str>, collect: &[String], exclude: &[String]) -> Result<Selection, String> {
        self.0.engine.select(group, collect, exclude).map(Selection::from)
    }

    fn begin(&self, selection: &Selection, format: Format, gzip: bool, patience: Duration) -> Box<dyn Making> {
        let ask = self.0.engine.begin(Arc::clone(selection), patience);
        Box::new(Page { source: self.clone(), ask, format, gzip })
    }
}

impl Making for Page {
    fn make(&self) -> Option<encode::Page> {
        let snapshot = self.source.0.engine.work(&self.ask)?;
        Some(self.source.encode(&snapshot, self.format, self.gzip))
    }

    fn is_held_up(&self) -> bool {
        self.source.0.engine.is_held_up(&self.ask)
    }
}
