//! What is known of each interface, in the order of the file, which is the same round for round.

use super::parts::{GROUPS, Part};
use std::time::Duration;

/// An interface.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) name: String,
    /// What the filter said, so that a thousand interfaces do not cost a thousand searches every round.
    pub(super) is_chosen: bool,
    pub(super) figures: [u64; 16],
    pub(super) parts: [Part; GROUPS.len()],
    pub(super) alias: String,
    pub(super) nohandler: Option<u64>,
    /// When what seldom changes was read; `None`: never.
    pub(super) checked: Option<Duration>,
}

/// All interfaces.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    at: usize,
    have_changed: bool,
}

impl Rows {
    /// Begins a round.
    pub(super) fn begin(&mut self) {
        (self.at, self.have_changed) = (0, false);
    }

    /// The next interface of the round: mostly the one that came here in the last round too.
    pub(super) fn next(&mut self, name: &[u8], is_chosen: impl FnOnce(&str) -> bool) -> &mut Row {
        let left = self.rows.get(self.at..).unwrap_or_default();
        match left.iter().position(|row| row.name.as_bytes() == name) {
            Some(0) => {}
            Some(gone) => {
                self.have_changed = true;
                self.rows.drain(self.at..self.at + gone);
            }
            None => {
                self.have_changed = true;
                let name = String::from_utf8_lossy(name).into_owned();
                let is_chosen = is_chosen(&name);
                self.rows.insert(self.at, Row { name, is_chosen, ..Row::default() });
            }
        }
        self.at += 1;
        &mut self.rows[self.at - 1]
    }

    /// Ends a round: those that did not come are gone.
    pub(super) fn end(&mut self) {
        self.have_changed |= self.rows.len() > self.at;
        self.rows.truncate(self.at);
    }

    /// Whether interfaces have come or gone with this round.
    pub(super) fn have_changed(&self) -> bool {
        self.have_changed
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut()
    }
}
