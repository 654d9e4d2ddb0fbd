//! Bits on their way into bytes.

use super::huffman::{Code, DISTANCES, LENGTHS, LITERALS};
use super::{LONGEST, WINDOW};

/// How many bytes are gathered before they go out.
const STAGE: usize = 256;

/// Bits that are written, and where they go.
pub(super) struct Bits<'a> {
    out: &'a mut Vec<u8>,
    stage: [u8; STAGE + 8],
    staged: usize,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, stage: [0; STAGE + 8], staged: 0, held: 0, count: 0 }
    }

    /// Goes on where others were held.
    pub(super) fn resumed(out: &'a mut Vec<u8>, Held { bits, count }: Held) -> Self {
        Self { held: bits, count, ..Self::new(out) }
    }

    /// Passes on all whole bytes; what is left.
    pub(super) fn hold(mut self) -> Held {
        self.flush();
        Held { bits: self.held, count: self.count }
    }

    /// Writes up to 57 bits. All that is held is written each time, and what is no whole byte again the next time: that asks
    /// nothing that could be guessed wrong.
    #[inline(always)]
    pub(super) fn put(&mut self, code: u64, count: u32) {
        self.held |= code << self.count;
        self.count += count;
        // The rest of the division spares the check of bounds.
        let at = self.staged % STAGE;
        if let Some(room) = self.stage.get_mut(at..at + 8) {
            room.copy_from_slice(&self.held.to_le_bytes());
        }
        self.staged = at + (self.count / 8) as usize;
        self.held = self.held.checked_shr(self.count & !7).unwrap_or(0);
        self.count %= 8;
        if self.staged >= STAGE {
            self.flush();
        }
    }

    /// Passes on all whole bytes.
    fn flush(&mut self) {
        self.out.extend_from_slice(self.stage.get(..self.staged).unwrap_or_default());
        self.staged = 0;
    }

    /// Writes a code.
    pub(super) fn code(&mut self, code: Code) {
        self.put(code.bits(), code.count());
    }

    /// Writes bytes that are new.
    #[inline(always)]
    pub(super) fn literals(&mut self, bytes: &[u8]) {
        let (fours, rest) = bytes.as_chunks::<4>();
        for four in fours {
            let [a, b, c, d] = four.map(|byte| LITERALS[usize::from(byte)]);
            let (low, low_count) = (a.bits() | b.bits() << a.count(), a.count() + b.count());
            let (high, high_count) = (c.bits() | d.bits() << c.count(), c.count() + d.count());
            self.put(low | high << low_count, low_count + high_count);
        }
        let mut last = (0, 0);
        for code in rest.iter().map(|&byte| LITERALS[usize::from(byte)]) {
            last = (last.0 | code.bits() << last.1, last.1 + code.count());
        }
        self.put(last.0, last.1);
    }

    /// Writes a match.
    #[inline(always)]
    pub(super) fn copy(&mut self, length: usize, distance: usize) {
        let (from, from_count) = far(distance);
        for part in parts(length) {
            let code = LENGTHS[part.wrapping_sub(3) & 255];
            self.put(code.bits() | from << code.count(), code.count() + from_count);
        }
    }

    /// Fills the last byte with zeros, and passes all on.
    pub(super) fn align(&mut self) {
        self.put(0, (8 - self.count) % 8);
        self.flush();
    }

    /// Appends bytes as they are, to whole ones.
    pub(super) fn plain(&mut self, bytes: &[u8]) {
        self.align();
        self.out.extend_from_slice(bytes);
    }

    /// Where the next bit will be.
    pub(super) fn mark(&mut self) -> Mark {
        self.flush();
        Mark { length: self.out.len(), held: self.held, count: self.count }
    }

    /// Takes back all that was written since.
    pub(super) fn take_back(&mut self, mark: Mark) {
        self.out.truncate(mark.length);
        (self.staged, self.held, self.count) = (0, mark.held, mark.count);
    }
}

/// Bits that are no whole byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    bits: u64,
    count: u32,
}

/// A place among the bits.
pub(super) struct Mark {
    pub(super) length: usize,
    held: u64,
    count: u32,
}

/// How far back a match begins, and in how many bits.
#[inline(always)]
pub(super) fn far(distance: usize) -> (u64, u32) {
    let far = (distance - 1) as u32 & (WINDOW as u32 - 1);
    let extra = far.max(2).ilog2() - 1;
    let symbol = if far < 4 { far } else { 2 * (extra + 1) + (far >> extra & 1) };
    let code = DISTANCES[symbol as usize & 31];
    (code.bits() | u64::from(far & ((1 << extra) - 1)) << code.count(), code.count() + extra)
}

/// A length in parts of which none is too long or too short for a match.
#[inline(always)]
pub(super) fn parts(length: usize) -> impl Iterator<Item = usize> {
    let mut left = length;
    std::iter::from_fn(move || {
        let part = if left <= LONGEST { left } else { LONGEST.min(left - 3) };
        left -= part;
        (part > 0).then_some(part)
    })
}
