//! One Huffman code for all pages of metrics, and the header by which a block of deflate announces it.
//!
//! The lengths come from counting pages of several machines; nothing breaks where a text is of another kind.

/// The lengths of the codes: one digit for each byte, the end of the block and 29 lengths of matches.
const TEXT: &[u8; 286] = b"ccccccccccaccccccccccccccccccccc5c7bcccaabbb7a786666667767abc8ccc9a9a9aba9cba9aa8c9899aacbbcccc7c586657775a866557a55568798a9c8ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccacc56566656665667667aabbcccccc";
/// The same for the 30 distances.
const FAR: &[u8; 30] = b"999999876534453444455555566756";
/// The same for what writes the lengths above.
const META: &[u8; 19] = b"7776633354343777377";
/// The order in which the lengths of `META` are written.
const META_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Bits to be written, the first one lowest, and how many: in the upper byte.
#[derive(Clone, Copy)]
pub(super) struct Code(u32);

impl Code {
    const fn new(bits: u32, count: u32) -> Self {
        Self(bits | count << 24)
    }

    pub(super) const fn bits(self) -> u64 {
        (self.0 & 0xff_ffff) as u64
    }

    pub(super) const fn count(self) -> u32 {
        self.0 >> 24
    }

    /// The code with more bits behind it.
    const fn then(self, bits: u32, count: u32) -> Self {
        Self::new(self.bits() as u32 | bits << self.count(), self.count() + count)
    }
}

/// For every byte, and the end of a block.
pub(super) static LITERALS: [Code; 257] = {
    let all = codes(TEXT);
    let mut literals = [Code(0); 257];
    let mut at = 0;
    while at < literals.len() {
        literals[at] = all[at];
        at += 1;
    }
    literals
};

/// For the lengths from 3 to 258, with their extra bits.
pub(super) static LENGTHS: [Code; 256] = {
    let all = codes(TEXT);
    let mut lengths = [all[285]; 256];
    let mut n = 0usize;
    while n < 255 {
        let extra = if n < 8 { 0 } else { n.ilog2() - 2 };
        let symbol = 257 + 4 * extra as usize + (n >> extra);
        lengths[n] = all[symbol].then(n as u32 & ((1 << extra) - 1), extra);
        n += 1;
    }
    lengths
};

/// For the distances, without their extra bits; the last two stand for nothing.
pub(super) static DISTANCES: [Code; 32] = {
    let all = codes(FAR);
    let mut distances = [Code(0); 32];
    let mut at = 0;
    while at < all.len() {
        distances[at] = all[at];
        at += 1;
    }
    distances
};

/// What a block begins with, after the bits that say whether it is the last and what kind.
pub(super) static HEADER: [Code; HEADER_CODES] = header().codes;
const HEADER_CODES: usize = header::<400>().written;

const fn length(digit: u8) -> u32 {
    (if digit < b'a' { digit - b'0' } else { digit - b'a' + 10 }) as u32
}

/// The canonical code with these lengths.
const fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut codes = [Code(0); N];
    let (mut next, mut count) = (0u32, 1);
    while count < 16 {
        next <<= 1;
        let mut at = 0;
        while at < N {
            if length(lengths[at]) == count {
                codes[at] = Code::new(next.reverse_bits() >> (32 - count), count);
                next += 1;
            }
            at += 1;
        }
        count += 1;
    }
    // A code that leaves something unused, or uses something twice, is refused by everyone.
    assert!(next == 1 << 15);
    codes
}

/// Codes put together to a few long ones.
struct Header<const N: usize> {
    codes: [Code; N],
    written: usize,
    held: u64,
    count: u32,
}

impl<const N: usize> Header<N> {
    const fn push(&mut self, code: Code) {
        self.held |= code.bits() << self.count;
        self.count += code.count();
        if self.count >= 24 {
            self.flush();
        }
    }

    const fn flush(&mut self) {
        let count = if self.count < 24 { self.count } else { 24 };
        self.codes[self.written] = Code::new(self.held as u32 & ((1 << count) - 1), count);
        self.written += 1;
        self.held >>= count;
        self.count -= count;
    }
}

/// The header, in as many codes as it says itself.
const fn header<const N: usize>() -> Header<N> {
    let meta = codes(META);
    let mut header = Header { codes: [Code(0); N], written: 0, held: 0, count: 0 };
    // 286 lengths, 30 of distances, 19 of their own.
    header.push(Code::new(29 | 29 << 5 | 15 << 10, 14));
    let mut at = 0;
    while at < META.len() {
        header.push(Code::new(length(META[META_ORDER[at]]), 3));
        at += 1;
    }
    at = 0;
    while at < TEXT.len() + FAR.len() {
        let mut run = 0;
        while at > 0 && run < 6 && at + run < TEXT.len() + FAR.len() && nth(at + run) == nth(at - 1) {
            run += 1;
        }
        // Symbol 16 says the length before again, three to six times.
        if run < 3 {
            header.push(meta[nth(at) as usize]);
            at += 1;
        } else {
            header.push(meta[16].then(run as u32 - 3, 2));
            at += run;
        }
    }
    header.flush();
    header
}

/// The length of the code of the nth symbol, distances after the rest.
const fn nth(at: usize) -> u32 {
    length(if at < TEXT.len() { TEXT[at] } else { FAR[at - TEXT.len()] })
}
