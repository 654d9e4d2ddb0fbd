//! Engine and encoder together: the pages that are given out.

use crate::encode::{Format, Text};
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
    /// Which families are on the pages.
    families: Mutex<Arc<Filter>>,
    /// The encoders that are not at work, with their memory.
    encoders: Mutex<Vec<Text>>,
    /// How long the last page was: the next one will be much the same.
    length: AtomicUsize,
}

/// A page that was asked for.
#[derive(Debug)]
struct Page {
    source: Source,
    ask: Ask,
    format: Format,
}

impl Source {
    /// Pages of this engine, with the families that the filter keeps.
    pub fn new(engine: Arc<Engine>, families: Filter) -> Self {
        let families = Mutex::new(Arc::new(families));
        Self(Arc::new(Shared { engine, families, encoders: Mutex::default(), length: AtomicUsize::new(0) }))
    }

    /// From now on, pages have other families.
    pub fn keep(&self, families: Filter) {
        *lock(&self.0.families) = Arc::new(families);
    }

    /// The page of a snapshot.
    pub fn encode(&self, snapshot: &Snapshot, format: Format) -> Vec<u8> {
        let families = Arc::clone(&lock(&self.0.families));
        let encoder = lock(&self.0.encoders).pop();
        let mut encoder = encoder.unwrap_or_default();
        // With some room: to grow, it would be copied into one twice as long.
        let length = self.0.length.load(Relaxed);
        let mut page = Vec::with_capacity(length + length / 16 + 1024);
        encoder.encode(snapshot, format, |family| families.keeps(&family.name), &mut page);
        self.0.length.store(page.len(), Relaxed);
        lock(&self.0.encoders).push(encoder);
        page
    }
}

impl Pages for Source {
    fn select(&self, group: Option<&str>, collect: &[String], exclude: &[String]) -> Result<Selection, String> {
        self.0.engine.select(group, collect, exclude).map(Selection::from)
    }

    fn begin(&self, selection: &Selection, format: Format, patience: Duration) -> Box<dyn Making> {
        let ask = self.0.engine.begin(Arc::clone(selection), patience);
        Box::new(Page { source: self.clone(), ask, format })
    }
}

impl Making for Page {
    fn make(&self) -> Option<Vec<u8>> {
        let snapshot = self.source.0.engine.work(&self.ask)?;
        Some(self.source.encode(&snapshot, self.format))
    }

    fn is_held_up(&self) -> bool {
        self.source.0.engine.is_held_up(&self.ask)
    }
}
