//! A text that is packed while it is written: what is packed and too far back for copies is let go of.

use super::bits::{Bits, Held};
use super::{BLOCK, Gzip, WINDOW, finish};

/// How much of a text is there at a time: what copies may be of, and a block. Beyond it, there is something to be packed.
pub(in crate::encode) const ROOM: usize = WINDOW + BLOCK;

/// The gzip member of such a text, which is the same as if it had been packed as a whole.
#[derive(Debug)]
pub(in crate::encode) struct Stream {
    gzip: Gzip,
    out: Vec<u8>,
    held: Held,
    /// How much is packed of the text that is still there, and how much was let go of.
    done: usize,
    gone: usize,
    sum: crc32fast::Hasher,
}

impl Stream {
    pub(in crate::encode) fn new(gzip: Gzip) -> Self {
        Self { gzip, out: Vec::new(), held: Held::default(), done: 0, gone: 0, sum: crc32fast::Hasher::new() }
    }

    /// Whether some of the text is packed.
    pub(in crate::encode) fn is_begun(&self) -> bool {
        !self.out.is_empty()
    }

    /// The compressor of a stream that was not begun.
    pub(in crate::encode) fn unused(self) -> Gzip {
        self.gzip
    }

    /// Packs all whole blocks of a text but the last, and takes from its front what is no longer needed.
    pub(in crate::encode) fn pack(&mut self, text: &mut Vec<u8>) {
        let mut bits = match self.is_begun() {
            true => Bits::resumed(&mut self.out, self.held),
            false => self.gzip.begin(&mut self.out),
        };
        let before = self.done;
        while text.len() > self.done + BLOCK {
            self.gzip.block(text, self.done..self.done + BLOCK, false, &mut bits);
            self.done += BLOCK;
        }
        self.held = bits.hold();
        self.sum.update(text.get(before..self.done).unwrap_or_default());
        let far = self.done.saturating_sub(WINDOW);
        text.drain(..far);
        self.gzip.moved(far);
        self.done -= far;
        self.gone += far;
    }

    /// Packs what is left of the text: the member, how long the text was, and the compressor.
    pub(in crate::encode) fn end(mut self, text: &[u8]) -> (Vec<u8>, usize, Gzip) {
        let length = self.gone + text.len();
        let mut bits = Bits::resumed(&mut self.out, self.held);
        self.gzip.blocks(text, self.done, &mut bits);
        self.sum.update(text.get(self.done..).unwrap_or_default());
        finish(self.sum.finalize(), length, &mut bits);
        self.out.shrink_to_fit();
        (self.out, length, self.gzip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packs a text that comes in pieces, and looks whether it is as if it had come at once.
    #[track_caller]
    fn comes_in_pieces(text: &[u8], sizes: &[usize]) {
        let mut stream = Stream::new(Gzip::default());
        let (mut left, mut there) = (text, Vec::new());
        for &size in sizes.iter().cycle() {
            let (piece, rest) = left.split_at(size.min(left.len()));
            there.extend_from_slice(piece);
            if there.len() > ROOM {
                stream.pack(&mut there);
                assert!(there.len() <= ROOM, "{} bytes are still there", there.len());
            }
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        if !stream.is_begun() {
            return assert!(text.len() <= ROOM);
        }
        let (packed, length, _) = stream.end(&there);
        let mut whole = Vec::new();
        Gzip::default().pack(text, &mut whole);
        assert!(packed == whole && length == text.len(), "{} bytes in pieces of {sizes:?}", text.len());
    }

    fn text(length: usize) -> Vec<u8> {
        let line = |at: usize| format!("family_{}{{id=\"{}\"}} {}\n", at % 7, at % 900, at * 7_919 % 10_007);
        (0..).flat_map(|at| line(at).into_bytes()).take(length).collect()
    }

    #[test]
    fn long_texts_and_long_pieces() {
        for length in [0, 1, ROOM, ROOM + 1, ROOM + BLOCK - 1, ROOM + BLOCK, ROOM + BLOCK + 1, 700_000] {
            for size in [1000, BLOCK, 3 * BLOCK + 1, 1_000_000] {
                comes_in_pieces(&text(length), &[size]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_pieces(
            length in 0..400_000usize,
            noise in prop::collection::vec(any::<u8>(), 0..200),
            sizes in prop::collection::vec(1..90_000usize, 1..8),
        ) {
            let mut text = text(length);
            text.splice(length / 2..length / 2, noise.repeat(9));
            comes_in_pieces(&text, &sizes);
        }
    }
}
