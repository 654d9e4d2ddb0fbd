//! gzip with compressors that are kept; two pages at a time are rare, and the second one brings its own.

use super::lock;
use crate::encode;
use std::sync::Mutex;

/// Compresses pages.
#[derive(Debug, Default)]
pub(super) struct Gzip {
    spare: Mutex<Option<encode::Gzip>>,
}

impl Gzip {
    /// The page as a gzip stream.
    pub(super) fn pack(&self, page: &encode::Page) -> Vec<u8> {
        let spare = lock(&self.spare).take();
        let mut compress = spare.unwrap_or_default();
        // Pages shrink to a fifth; a quarter rarely has to grow, and what is left over is given back.
        let mut packed = Vec::with_capacity(page.text().len() / 4 + 64);
        page.pack(&mut compress, &mut packed);
        *lock(&self.spare) = Some(compress);
        packed.shrink_to_fit();
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_text_comes_back_from_a_compressor_that_was_used() {
        let gzip = Gzip::default();
        for text in [&b""[..], b"node_load1 0.5\n", &b"node_load1 0.5\n".repeat(10_000), b"x"] {
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&gzip.pack(&text.to_vec().into())[..]).read_to_end(&mut back).unwrap();
            assert_eq!(back, text);
        }
        assert!(lock(&gzip.spare).is_some(), "the compressor is kept");
    }
}
