//! Engine and encoder together: the pages that are given out.

use crate::encode::{Format, Text};
use crate::engine::Engine;
use crate::serve::{Pages, Selection};
use collectors::kit::{Filter, lock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Which families are on the pages.
#[derive(Debug)]
struct Families {
    keeps: Filter,
    own: bool,
}

impl Families {
    fn have(&self, name: &str) -> bool {
        let is_own = || name.starts_with("wholenode_") || name.starts_with("promhttp_");
        self.keeps.keeps(name) && (self.own || !is_own())
    }
}

/// Makes pages of what the engine knows.
#[derive(Debug)]
pub struct Source {
    engine: Arc<Engine>,
    families: Mutex<Arc<Families>>,
    /// The encoders that are not at work, with their memory.
    encoders: Mutex<Vec<Text>>,
    /// How long the last page was: the next one will be much the same.
    length: std::sync::atomic::AtomicUsize,
}

impl Source {
    /// Pages of this engine, with the families that the filter keeps, and with what the daemon says about itself or not.
    pub fn new(engine: Arc<Engine>, keeps: Filter, own: bool) -> Self {
        let families = Mutex::new(Arc::new(Families { keeps, own }));
        Self { engine, families, encoders: Mutex::default(), length: Default::default() }
    }

    /// From now on, pages have other families.
    pub fn keep(&self, keeps: Filter, own: bool) {
        *lock(&self.families) = Arc::new(Families { keeps, own });
    }
}

impl Pages for Source {
    fn select(&self, group: Option<&str>, collect: &[String], exclude: &[String]) -> Result<Selection, String> {
        self.engine.select(group, collect, exclude).map(Selection::from)
    }

    fn render(&self, selection: &Selection, format: Format, patience: Duration) -> Vec<u8> {
        use std::sync::atomic::Ordering::Relaxed;
        let snapshot = self.engine.ask(selection, patience);
        let families = Arc::clone(&lock(&self.families));
        let encoder = lock(&self.encoders).pop();
        let mut encoder = encoder.unwrap_or_default();
        let mut page = Vec::with_capacity(self.length.load(Relaxed) + 1024);
        encoder.encode(&snapshot, format, |family| families.have(&family.name), &mut page);
        self.length.store(page.len(), Relaxed);
        lock(&self.encoders).push(encoder);
        page
    }
}
