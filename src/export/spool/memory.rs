//! What waits in memory: all of it, or what has not waited for long enough to be worth a write to the disk.

use super::record::{Head, Packed, Tally};
use std::collections::VecDeque;

/// Records, oldest first.
#[derive(Debug, Default)]
pub(super) struct Memory {
    waiting: VecDeque<Packed>,
    bytes: u64,
    tally: Tally,
}

impl Memory {
    pub(super) fn push(&mut self, packed: Packed) {
        self.bytes += packed.head.size();
        self.tally.add(packed.head.tally());
        self.waiting.push_back(packed);
    }

    pub(super) fn pop(&mut self) -> Option<Head> {
        let head = self.waiting.pop_front()?.head;
        self.bytes -= head.size();
        self.tally.take(head.tally());
        if self.waiting.is_empty() {
            // An outage is over: its room is given back.
            self.waiting = VecDeque::new();
        }
        Some(head)
    }

    /// Lets the oldest go, which are elsewhere now.
    pub(super) fn forget(&mut self, count: usize) {
        for _ in 0..count {
            self.pop();
        }
    }

    pub(super) fn front(&self) -> Option<&Packed> {
        self.waiting.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Packed> {
        self.waiting.iter()
    }

    /// How many bytes these are, or will be on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }
}
