//! gzip, with a compressor that is kept: its tables cost more to make than a page costs to compress.

use super::lock;
use flate2::{Compress, Compression, FlushCompress, Status};
use std::sync::Mutex;

/// The window: text of metrics repeats itself within a few KiB, and a small window costs little memory.
const WINDOW_BITS: u8 = 13;

/// Compresses pages.
#[derive(Debug, Default)]
pub(super) struct Gzip {
    spare: Mutex<Option<Compress>>,
}

impl Gzip {
    /// The text as a gzip stream; `None` if the compressor refuses, which it has no reason to.
    pub(super) fn pack(&self, text: &[u8]) -> Option<Vec<u8>> {
        let spare = lock(&self.spare).take();
        let mut compress = spare.unwrap_or_else(|| Compress::new_gzip(Compression::fast(), WINDOW_BITS));
        // Pages shrink to a tenth; a fifth rarely has to grow, and what is left over is given back.
        let mut packed = Vec::with_capacity(text.len() / 5 + 64);
        loop {
            let read = usize::try_from(compress.total_in()).ok()?;
            match compress.compress_vec(text.get(read..)?, &mut packed, FlushCompress::Finish).ok()? {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => packed.reserve(packed.capacity()),
            }
        }
        compress.reset();
        *lock(&self.spare) = Some(compress);
        packed.shrink_to_fit();
        Some(packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_text_comes_back_from_a_compressor_that_was_used() {
        let gzip = Gzip::default();
        let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for text in [&b""[..], b"node_load1 0.5\n", &noise, &b"node_load1 0.5\n".repeat(10_000), b"x"] {
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&gzip.pack(text).unwrap()[..]).read_to_end(&mut back).unwrap();
            assert_eq!(back, text);
        }
    }
}
