//! gzip for pages of metrics, made to be cheap where it runs: once in a while, with cold caches.
//!
//! A compressor that is told how its text looks needs no statistics and little memory: one table of 4 KiB, and one
//! Huffman code made for metrics at compile time, which every block announces with the same header. Other text comes
//! out right as well, only longer, and what does not shrink is stored. What costs most is a branch that a processor which
//! did something else meanwhile guesses wrong: of those there are few.

mod bits;
mod huffman;
mod packed;
mod stream;

pub(super) use packed::Packed;
pub(super) use stream::{ROOM, Stream};

use bits::Bits;
use huffman::{HEADER, LITERALS};
use std::ops::Range;

/// Positions are found again by the hash of this many bytes; a shorter match costs more than the bytes themselves.
const HASHED: u32 = 5;
const TABLE_BITS: u32 = 11;
const WINDOW: usize = 1 << 15;
/// How much a block holds: what a stored block can.
const BLOCK: usize = 65_535;
const LONGEST: usize = 258;
/// Of a match, every so many bytes are entered into the table.
const STRIDE: usize = 32;

/// The kind of a block that brings its code, as it stands behind the bit of the last block.
const DYNAMIC: u64 = 2 << 1;
/// No name, no time, a fast method, an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// A compressor, kept from page to page for its table.
#[derive(Debug)]
pub struct Gzip {
    /// The low half of the last position with each hash: a hint, as the rest of it is guessed to be the nearest.
    heads: Box<[u16; 1 << TABLE_BITS]>,
}

impl Default for Gzip {
    fn default() -> Self {
        Self { heads: Box::new([0; 1 << TABLE_BITS]) }
    }
}

impl Gzip {
    /// Appends the text as one gzip member.
    pub fn pack(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut bits = self.begin(out);
        self.blocks(text, 0, &mut bits);
        finish(crc32fast::hash(text), text.len(), &mut bits);
    }

    /// Begins a member.
    fn begin<'a>(&mut self, out: &'a mut Vec<u8>) -> Bits<'a> {
        // Nothing needs this to be right. But to write it from end to end brings it into the cache faster than to stumble
        // over each of its lines, and what goes in alone decides what comes out.
        self.heads.fill(0);
        out.extend_from_slice(&HEAD);
        Bits::new(out)
    }

    /// Writes all blocks of a text from `start` on.
    fn blocks(&mut self, text: &[u8], mut start: usize, bits: &mut Bits<'_>) {
        while text.len() > start + BLOCK {
            self.block(text, start..start + BLOCK, false, bits);
            start += BLOCK;
        }
        self.block(text, start..text.len(), true, bits);
    }

    /// The text has moved so far to the front.
    fn moved(&mut self, by: usize) {
        self.heads.iter_mut().for_each(|head| *head = head.wrapping_sub(by as u16));
    }

    /// Appends a text that was packed beforehand, but for the bytes in its gaps, as one gzip member. The shifts are how much
    /// further back each piece is in the text.
    pub(super) fn pack_known(&mut self, text: &[u8], packed: &Packed, shifts: &[u32], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&HEAD);
        let mut bits = Bits::new(out);
        begin(true, &mut bits);
        if packed.write(text, shifts, &mut bits).is_none() {
            // The gaps have grown so much that a copy would reach too far back.
            out.truncate(start);
            return self.pack(text, out);
        }
        bits.code(LITERALS[256]);
        finish(crc32fast::hash(text), text.len(), &mut bits);
    }

    /// Writes a block, stored if that is shorter.
    fn block(&mut self, text: &[u8], part: Range<usize>, is_last: bool, bits: &mut Bits<'_>) {
        let before = bits.mark();
        begin(is_last, bits);
        self.tokens(text, part.clone(), bits);
        bits.code(LITERALS[256]);
        let plain = text.get(part).unwrap_or_default();
        if bits.mark().length - before.length > plain.len() + 4 {
            bits.take_back(before);
            bits.put(is_last.into(), 3);
            let size = plain.len() as u16;
            bits.plain(&size.to_le_bytes());
            bits.plain(&(!size).to_le_bytes());
            bits.plain(plain);
        }
    }

    /// Writes bytes that are new and copies of those before, the longest that the last position with the same hash gives.
    fn tokens(&mut self, text: &[u8], part: Range<usize>, bits: &mut Bits<'_>) {
        let text = text.get(..part.end).unwrap_or_default();
        let (mut done, mut at) = (part.start, part.start);
        while let Some(word) = word(text, at) {
            let head = &mut self.heads[hash(word)];
            let distance = usize::from((at as u16).wrapping_sub(*head));
            *head = at as u16;
            let is_near = (1..=WINDOW.min(at)).contains(&distance);
            let earlier = if is_near { self::word(text, at - distance) } else { None };
            let differs = earlier.map_or(u64::MAX, |earlier| earlier ^ word);
            if hashed(differs) != 0 {
                // Where nothing repeats, steps grow.
                at += 1 + ((at - done) >> 7);
                continue;
            }
            let length = if differs == 0 { ahead(text, at, distance) } else { (differs.trailing_zeros() / 8) as usize };
            let mut before = 0;
            if done < at {
                before = self::before(text, done, at, distance);
                bits.literals(text.get(done..at - before).unwrap_or_default());
            }
            bits.copy(before + length, distance);
            done = at + length;
            let mut inside = at + STRIDE;
            while inside < done {
                self.enter(text, inside);
                inside += STRIDE;
            }
            self.enter(text, done - 2);
            at = done;
        }
        bits.literals(text.get(done..).unwrap_or_default());
    }

    /// Makes a position known to those after it.
    #[inline(always)]
    fn enter(&mut self, text: &[u8], at: usize) {
        if let Some(word) = word(text, at) {
            self.heads[hash(word)] = at as u16;
        }
    }
}

/// Begins a block, perhaps the last one.
fn begin(is_last: bool, bits: &mut Bits<'_>) {
    bits.put(u64::from(is_last) | DYNAMIC, 3);
    HEADER.iter().for_each(|&code| bits.code(code));
}

/// Ends a member of a text with this checksum and of this length.
fn finish(sum: u32, length: usize, bits: &mut Bits<'_>) {
    bits.plain(&sum.to_le_bytes());
    bits.plain(&(length as u32).to_le_bytes());
}

/// The eight bytes from `at` on.
fn word(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes))
}

/// The bytes of a word that are hashed, and nothing else of it.
fn hashed(word: u64) -> u64 {
    word << (64 - 8 * HASHED)
}

/// The index of a word in the table; the mask spares the check of bounds.
fn hash(word: u64) -> usize {
    let mixed = hashed(word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - TABLE_BITS)) as usize & ((1 << TABLE_BITS) - 1)
}

/// How many bytes from `at` on are as those `distance` before, of which the first eight are.
fn ahead(text: &[u8], at: usize, distance: usize) -> usize {
    let mut length = 8;
    while let (Some(a), Some(b)) = (word(text, at + length), word(text, at + length - distance)) {
        if a != b {
            return length + ((a ^ b).trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = text.get(at + length..).unwrap_or_default();
    let earlier = text.get(at + length - distance..).unwrap_or_default();
    length + rest.iter().zip(earlier).take_while(|(a, b)| a == b).count()
}

/// How many bytes just before `at`, of those not yet written, are as those `distance` before.
fn before(text: &[u8], done: usize, at: usize, distance: usize) -> usize {
    let fresh = text.get(done..at).unwrap_or_default().iter().rev();
    let earlier = text.get(..at - distance).unwrap_or_default().iter().rev();
    fresh.zip(earlier).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    const PAGE: &[u8] = include_bytes!("../../../tests/golden/vm.prom");

    /// Packs, looks whether the text comes back and has not grown; the size.
    #[track_caller]
    fn packed(gzip: &mut Gzip, text: &[u8]) -> usize {
        let mut out = b"before".to_vec();
        gzip.pack(text, &mut out);
        let out = &out[6..];
        let mut back = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(out);
        decoder.read_to_end(&mut back).unwrap();
        assert!(back == text, "{} bytes came back as others", text.len());
        let most = text.len() + 32 + 16 * (text.len() / BLOCK);
        assert!(out.len() <= most, "{} bytes have grown to {}", text.len(), out.len());
        out.len()
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    /// What has no end of matches, what has no matches, and pages.
    fn texts(length: usize) -> [Vec<u8>; 3] {
        [vec![b'x'; length], noise(length), PAGE.iter().copied().cycle().take(length).collect()]
    }

    const SIZES: [usize; 28] = [
        0,
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        9,
        16,
        257,
        258,
        259,
        260,
        261,
        262,
        263,
        264,
        265,
        32_767,
        32_768,
        32_769,
        65_534,
        65_535,
        65_536,
        65_537,
        131_070,
        1 << 20,
    ];

    #[test]
    fn texts_of_all_sizes_come_back() {
        let mut gzip = Gzip::default();
        for text in SIZES.iter().flat_map(|&size| texts(size)) {
            packed(&mut gzip, &text);
        }
    }

    #[test]
    fn a_page_gets_smaller_than_with_the_usual_compressor() {
        let mut usual = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        usual.write_all(PAGE).unwrap();
        let (ours, usual) = (packed(&mut Gzip::default(), PAGE), usual.finish().unwrap().len());
        assert!(ours < usual, "{ours} bytes, and {usual}");
    }

    #[test]
    fn copies_reach_back_a_window_and_no_further() {
        let piece = noise(200);
        let with = |gap: usize| packed(&mut Gzip::default(), &[&piece[..], &vec![b'0'; gap], &piece].concat());
        assert!(with(WINDOW - 200) + 200 < with(WINDOW - 199));
    }

    #[test]
    fn nothing_of_another_text_is_left() {
        let mut gzip = Gzip::default();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        gzip.pack(PAGE, &mut first);
        packed(&mut gzip, &PAGE[100..]);
        gzip.pack(PAGE, &mut second);
        assert_eq!(first, second);
    }

    #[test]
    fn the_gzip_command_reads_it() {
        for text in SIZES.iter().flat_map(|&size| texts(size)) {
            let mut out = Vec::new();
            Gzip::default().pack(&text, &mut out);
            let mut command = Command::new("gzip");
            command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped());
            let Ok(mut child) = command.spawn() else { return };
            let mut input = child.stdin.take().unwrap();
            let writer = std::thread::spawn(move || input.write_all(&out));
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap().unwrap();
            assert!(output.status.success() && output.stdout == text, "{} bytes", text.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..5_000)) {
            packed(&mut Gzip::default(), &bytes);
        }

        #[test]
        fn repeated_pieces_come_back(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..8),
            order in prop::collection::vec((any::<prop::sample::Index>(), 1..30usize), 0..200),
        ) {
            let repeated = order.iter().map(|(index, times)| index.get(&pieces).repeat(*times));
            let text: Vec<u8> = repeated.flatten().collect();
            let mut gzip = Gzip::default();
            packed(&mut gzip, &text);
            packed(&mut gzip, &text);
        }
    }
}
