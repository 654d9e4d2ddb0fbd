//! What an endpoint was told: which series, since when they count, and how far they had come.

use std::collections::HashMap;

/// How many series that are gone are remembered, should they come back, and for how long.
const LOST_MAX: usize = 10_000;
const LOST_FOR: u64 = 3_600_000_000_000;
/// How many names of families are remembered.
const FAMILIES_MAX: usize = 100_000;

/// A series as it was sent last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series {
    /// A number that stands for its name and labels.
    pub(super) key: u64,
    /// Since when it counts, in nanoseconds since boot.
    pub(super) start: u64,
    /// Of when its last sample was, likewise.
    pub(super) time: u64,
    /// How far it had come; 0 if it does not count.
    pub(super) figure: f64,
    /// Which metric, batch and entity of the round it was.
    pub(super) metric: u32,
    pub(super) batch: u32,
    pub(super) entity: u32,
    pub(super) is_met: bool,
}

/// What is known about a series that is about to be sent, and may be new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// A number that stands for the family's name.
    pub(super) family: u64,
    /// Since when its thing exists, if that is known.
    pub(super) birth: Option<u64>,
    /// Since when there may be anything to count.
    pub(super) earliest: u64,
    /// When there was a round without it, if it is new.
    pub(super) without: u64,
}

/// The series of the last round, in their order: rounds are much alike, so mostly each is where it is looked for.
#[derive(Debug, Default)]
pub(super) struct Memory {
    sent: Vec<Series>,
    /// Where in `sent` the next one is expected.
    next: usize,
    /// The series of this round, once they are others than in the last one.
    changed: Option<Vec<Series>>,
    /// Where in `sent` each one is, for a round that has changed.
    index: HashMap<u64, u32>,
    gone: Vec<Series>,
    lost: HashMap<u64, Series>,
    /// In which round a series of a family was sent for the first time.
    families: HashMap<u64, u64>,
    round: u64,
}

impl Memory {
    pub(super) fn begin(&mut self) {
        (self.next, self.changed) = (0, None);
        self.round += 1;
    }

    /// Takes note of a series that is sent, and says since when it counts. `seen.start` is of no account.
    pub(super) fn start(&mut self, mut seen: Series, origin: &Origin) -> u64 {
        let known = self.recall(seen.key);
        let start = match known.or_else(|| self.lost.remove(&seen.key)) {
            // It has begun anew, at some time after its last sample.
            Some(before) if seen.figure < before.figure => before.time,
            Some(before) => before.start,
            None => self.first(origin),
        };
        seen.start = start.max(origin.birth.unwrap_or(0)).min(seen.time);
        self.note(seen);
        seen.start
    }

    /// Takes note of a series that does not count.
    pub(super) fn sent(&mut self, seen: Series) {
        self.recall(seen.key);
        self.note(seen);
    }

    /// Since when a new series counts. Where others of its family have been sent before, it is of a thing that has come
    /// since the last round; else it may be as old as the machine.
    fn first(&mut self, origin: &Origin) -> u64 {
        if self.families.len() >= FAMILIES_MAX {
            self.families.clear();
        }
        let since = *self.families.entry(origin.family).or_insert(self.round);
        if since < self.round && origin.birth.is_none() { origin.without.max(origin.earliest) } else { origin.earliest }
    }

    /// The series as it was sent in the last round.
    fn recall(&mut self, key: u64) -> Option<Series> {
        if let Some(series) = self.sent.get_mut(self.next).filter(|series| series.key == key) {
            series.is_met = true;
            return Some(*series);
        }
        if self.changed.is_none() {
            self.changed = Some(self.sent[..self.next].to_vec());
            self.index.clear();
            self.index.extend(self.sent.iter().zip(0..).skip(self.next).map(|(series, at)| (series.key, at)));
        }
        let at = *self.index.get(&key)?;
        self.next = at as usize;
        let series = &mut self.sent[self.next];
        series.is_met = true;
        Some(*series)
    }

    /// Puts down what was just recalled, or is new.
    fn note(&mut self, mut seen: Series) {
        seen.is_met = false;
        let expected = self.sent.get_mut(self.next).filter(|series| series.key == seen.key);
        self.next += usize::from(expected.is_some());
        match (&mut self.changed, expected) {
            (Some(changed), _) => changed.push(seen),
            (None, Some(series)) => *series = Series { is_met: true, ..seen },
            (None, None) => {}
        }
    }

    /// Ends the round; how many series were sent in the last one and not in this.
    pub(super) fn end(&mut self, now: u64) -> usize {
        self.gone.clear();
        if let Some(changed) = self.changed.take() {
            self.gone.extend(self.sent.iter().filter(|series| !series.is_met));
            self.sent = changed;
            self.index = HashMap::new();
        } else {
            self.gone.extend_from_slice(&self.sent[self.next..]);
            self.sent.truncate(self.next);
        }
        self.sent.iter_mut().for_each(|series| series.is_met = false);
        if !self.gone.is_empty() {
            self.lost.retain(|_, series| now.saturating_sub(series.time) < LOST_FOR);
            let room = LOST_MAX.saturating_sub(self.lost.len());
            self.lost.extend(self.gone.iter().take(room).map(|series| (series.key, *series)));
        }
        self.gone.len()
    }

    /// One of the series that are gone.
    pub(super) fn gone(&self, at: usize) -> Series {
        self.gone[at]
    }
}
