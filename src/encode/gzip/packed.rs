//! A text that is known but for some gaps, packed beforehand: what is left to do is to say how far back its copies are.

use super::WINDOW;
use super::bits::{self, Bits};
use super::huffman::{LENGTHS, LITERALS};

/// Positions are found again by the hash of this many bytes.
const HASHED: usize = 4;
const BUCKETS_BITS: u32 = 11;
/// How many positions with the same hash are looked at.
const WAYS: usize = 4;
/// How far back a copy may reach, for gaps grow.
const NEAR: usize = WINDOW - WINDOW / 16;
/// From here on, nothing better is looked for.
const LONG: usize = 64;
/// How many bits a copy from the next byte on has to save besides those of that byte.
const BETTER: u32 = 6;

/// The pieces between the gaps, in bits.
#[derive(Debug)]
pub(in crate::encode) struct Packed {
    steps: Vec<Step>,
    pieces: Vec<Piece>,
}

/// Where a piece ends: its steps, and its bytes among those of all pieces.
#[derive(Clone, Copy, Debug)]
struct Piece {
    steps: u32,
    bytes: u32,
}

/// Some bytes as bits, or a copy: a bit that tells which, then the number of bits and the bits themselves. Behind the bits of
/// a copy's length, it says of which piece it is, and how far back it would be without gaps.
#[derive(Clone, Copy, Debug)]
struct Step(u64);

impl Step {
    const COPY: u64 = 1 << 63;
    const BYTES_BITS: u32 = 56;
    const LENGTH_BITS: u32 = 20;

    fn bytes(bits: u64, count: u32) -> Self {
        Self(bits | u64::from(count) << Self::BYTES_BITS)
    }

    fn copy(length: usize, distance: usize, piece: usize) -> Self {
        let code = LENGTHS[length - 3];
        Self(Self::COPY | code.bits() | u64::from(code.count()) << 20 | (distance as u64) << 25 | (piece as u64) << 40)
    }

    #[inline(always)]
    fn write(self, shift: u32, shifts: &[u32], bits: &mut Bits<'_>) -> Option<()> {
        if self.0 & Self::COPY == 0 {
            bits.put(self.0 & ((1 << Self::BYTES_BITS) - 1), (self.0 >> Self::BYTES_BITS) as u32);
            return Some(());
        }
        let gaps = shift - shifts.get((self.0 >> 40 & 0xffff) as usize)?;
        let distance = (self.0 >> 25 & 0x7fff) as usize + gaps as usize;
        let (from, from_count) = bits::far(distance);
        let count = (self.0 >> 20 & 31) as u32;
        bits.put(self.0 & ((1 << Self::LENGTH_BITS) - 1) | from << count, count + from_count);
        (distance <= WINDOW).then_some(())
    }
}

impl Packed {
    /// Packs the pieces that lie one behind the other in `bytes`, and end there at `ends`. The shifts are how much further
    /// back each is in a text of usual gaps.
    pub(in crate::encode) fn new(bytes: &[u8], ends: &[u32], shifts: &[u32]) -> Self {
        let buckets = vec![[u32::MAX; WAYS]; 1 << BUCKETS_BITS];
        let mut packing = Packing { bytes, ends, shifts, buckets, steps: Vec::with_capacity(bytes.len() / 16) };
        let mut start = 0;
        let mut packed = |(piece, &end): (usize, &u32)| {
            packing.piece(piece, start, end as usize);
            start = end as usize;
            Piece { steps: packing.steps.len() as u32, bytes: end }
        };
        let pieces = ends.iter().enumerate().map(&mut packed).collect();
        packing.steps.shrink_to_fit();
        Self { steps: packing.steps, pieces }
    }

    /// Writes the text that has these bytes in its gaps; `None` if that can't be, after some of it.
    pub(super) fn write(&self, text: &[u8], shifts: &[u32], bits: &mut Bits<'_>) -> Option<()> {
        let (mut done, mut end, mut before) = (0, 0, 0);
        for (piece, &shift) in self.pieces.iter().zip(shifts) {
            bits.literals(text.get(end + before as usize..end + shift as usize)?);
            for step in self.steps.get(done..piece.steps as usize)? {
                step.write(shift, shifts, bits)?;
            }
            (done, end, before) = (piece.steps as usize, piece.bytes as usize, shift);
        }
        Some(())
    }
}

struct Packing<'a> {
    bytes: &'a [u8],
    ends: &'a [u32],
    shifts: &'a [u32],
    /// The last positions with each hash, the newest first.
    buckets: Vec<[u32; WAYS]>,
    steps: Vec<Step>,
}

/// A copy that saves so many bits.
#[derive(Clone, Copy, Default)]
struct Copy {
    saved: u32,
    length: usize,
    distance: usize,
    piece: usize,
}

impl Packing<'_> {
    fn piece(&mut self, piece: usize, start: usize, end: usize) {
        let (mut done, mut at, mut next) = (start, start, None);
        while at < end {
            let copy = next.take().unwrap_or_else(|| self.find(piece, at, end));
            self.enter(at, end);
            if copy.length < LONG {
                let later = self.find(piece, at + 1, end);
                if copy.saved == 0 || later.saved > copy.saved + BETTER {
                    next = Some(later);
                    at += 1;
                    continue;
                }
            }
            self.literals(done, at);
            let step = |length| Step::copy(length, copy.distance, copy.piece);
            self.steps.extend(bits::parts(copy.length).map(step));
            (at + 1..at + copy.length).for_each(|inside| self.enter(inside, end));
            at += copy.length;
            done = at;
        }
        self.literals(done, end);
    }

    fn literals(&mut self, start: usize, end: usize) {
        let (mut held, mut count) = (0, 0);
        for code in self.bytes[start..end].iter().map(|&byte| LITERALS[usize::from(byte)]) {
            if count + code.count() > Step::BYTES_BITS {
                self.steps.push(Step::bytes(held, count));
                (held, count) = (0, 0);
            }
            held |= code.bits() << count;
            count += code.count();
        }
        if count > 0 {
            self.steps.push(Step::bytes(held, count));
        }
    }

    /// The bucket of the bytes from `at` on, if the piece has enough of them.
    fn bucket(&self, at: usize, end: usize) -> Option<usize> {
        let bytes: &[u8; HASHED] = self.bytes.get(at..end)?.first_chunk()?;
        Some((u32::from_le_bytes(*bytes).wrapping_mul(0x9e37_79b1) >> (32 - BUCKETS_BITS)) as usize)
    }

    fn enter(&mut self, at: usize, end: usize) {
        if let Some(bucket) = self.bucket(at, end) {
            let bucket = &mut self.buckets[bucket];
            bucket.rotate_right(1);
            bucket[0] = at as u32;
        }
    }

    /// The copy of what is at `at` that saves most.
    fn find(&self, piece: usize, at: usize, end: usize) -> Copy {
        let candidates = self.bucket(at, end).map_or([u32::MAX; WAYS], |bucket| self.buckets[bucket]);
        let earlier = candidates.iter().map(|&from| from as usize).filter(|&from| from < at);
        earlier.map(|from| self.copy(piece, at, end, from)).max_by_key(|copy| copy.saved).unwrap_or_default()
    }

    fn copy(&self, piece: usize, at: usize, end: usize, from: usize) -> Copy {
        if self.bytes[from..].first_chunk::<HASHED>() != self.bytes[at..].first_chunk() {
            return Copy::default();
        }
        let source = self.ends.partition_point(|&end| end as usize <= from);
        // No copy reaches beyond its piece or into a gap, but it may be of what it writes itself.
        let until = if source == piece { end } else { self.ends[source] as usize };
        let pairs = self.bytes[from..until].iter().zip(&self.bytes[at..end]);
        let length = pairs.take_while(|(a, b)| a == b).count();
        let distance = at - from;
        let gaps = self.shifts[piece] - self.shifts[source];
        if length < HASHED || distance + gaps as usize > NEAR {
            return Copy::default();
        }
        let plain: u32 = self.bytes[at..at + length].iter().map(|&byte| LITERALS[usize::from(byte)].count()).sum();
        let (_, far) = bits::far(distance + gaps as usize);
        let cost: u32 = bits::parts(length).map(|part| LENGTHS[part - 3].count() + far).sum();
        Copy { saved: plain.saturating_sub(cost), length, distance, piece: source }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gzip;
    use super::*;
    use std::io::Read;

    /// Packs pieces with these gaps between them as they were packed beforehand with others; whether that could be.
    #[track_caller]
    fn is_written(pieces: &[&[u8]], usual: usize, gap: &[u8]) -> bool {
        let bytes = pieces.concat();
        let lengths = pieces.iter().scan(0, |end, piece| {
            *end += piece.len() as u32;
            Some(*end)
        });
        let ends: Vec<u32> = lengths.collect();
        let shifts = |gap: usize| (0..pieces.len()).map(|before| (before * gap) as u32).collect::<Vec<u32>>();
        let packed = Packed::new(&bytes, &ends, &shifts(usual));
        let (text, shifts) = (pieces.join(gap), shifts(gap.len()));
        let (mut out, mut back, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        Gzip::default().pack_known(&text, &packed, &shifts, &mut out);
        flate2::read::GzDecoder::new(&out[..]).read_to_end(&mut back).unwrap();
        assert!(back == text, "{} bytes came back as others", text.len());
        Gzip::default().pack(&text, &mut plain);
        let is_written = packed.write(&text, &shifts, &mut Bits::new(&mut Vec::new())).is_some();
        assert!(is_written || out == plain, "what can't be written is packed as any text");
        is_written
    }

    #[test]
    fn gaps_may_be_as_long_as_they_like() {
        let pieces: [&[u8]; 4] = [b"node_load1 ", b"\nnode_load5 ", b"\nnode_load15 ", b"\n"];
        for gap in [&b""[..], b"0", b"0.25", b"18446744073709551615", &[b'9'; 300]] {
            assert!(is_written(&pieces, 4, gap));
        }
    }

    #[test]
    fn no_copy_reaches_further_back_than_a_window() {
        let pieces = [&b"a piece that comes twice"[..], b"", b"a piece that comes twice"];
        assert!(is_written(&pieces, 10, &vec![b'0'; WINDOW / 2 - 12]));
        assert!(!is_written(&pieces, 10, &vec![b'0'; WINDOW / 2 - 11]));
    }

    #[test]
    fn pieces_of_all_lengths_come_back() {
        let text = b"x".repeat(2_000);
        for length in [0, 1, 2, 3, 4, 5, 8, 63, 64, 65, 257, 258, 259, 260, 261, 262, 516, 517, 2_000] {
            assert!(is_written(&[&text[..length], &text[..length]], 1, b"1"), "{length}");
            assert!(is_written(&[&text[..length], b"\xff\x00", &text], 1, b"1"), "{length}");
        }
    }
}
