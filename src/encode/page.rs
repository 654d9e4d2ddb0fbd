//! A page while it is written, and as it goes out.

use super::form::{Filled, Notes};
use super::gzip::{Gzip, ROOM, Stream};

/// Below this, packing saves no packet.
const WORTH_PACKING: usize = 1024;
/// A line that begins where there is still room ends behind it.
const LINE: usize = 4 << 10;

/// A page as it goes out.
#[derive(Debug)]
pub struct Page {
    /// The text, or one gzip member that holds it.
    pub bytes: Vec<u8>,
    /// How long the text is.
    pub length: usize,
    /// It is a gzip member.
    pub is_packed: bool,
}

impl Page {
    /// A text as it is.
    pub fn plain(text: Vec<u8>) -> Self {
        Self { length: text.len(), bytes: text, is_packed: false }
    }

    /// A text as a gzip member, if it is long enough for that to be worth it.
    pub fn packed(text: Vec<u8>, gzip: &mut Gzip) -> Self {
        Self::packed_by(text, |text, out| gzip.pack(text, out))
    }

    fn packed_by(text: Vec<u8>, pack: impl FnOnce(&[u8], &mut Vec<u8>)) -> Self {
        if text.len() < WORTH_PACKING {
            return Self::plain(text);
        }
        // Pages shrink to a fifth; a quarter rarely has to grow, and what is left over is given back.
        let mut bytes = Vec::with_capacity(text.len() / 4 + 64);
        pack(&text, &mut bytes);
        bytes.shrink_to_fit();
        Self { bytes, length: text.len(), is_packed: true }
    }
}

/// A page while it is written.
#[derive(Debug)]
pub(super) struct Sheet {
    /// What is written and not yet let go of.
    pub(super) text: Vec<u8>,
    /// How long that may be.
    room: usize,
    stream: Option<Stream>,
}

impl Sheet {
    /// A page that goes out as it is written, in this memory.
    pub(super) fn plain(mut text: Vec<u8>) -> Self {
        text.clear();
        Self { text, room: usize::MAX, stream: None }
    }

    /// A page that is packed: a long one while it is written, so that all of it is never there. It will probably be of this
    /// length.
    pub(super) fn packed(length: usize, gzip: Gzip) -> Self {
        Self { text: Vec::with_capacity(length.min(ROOM) + LINE), room: ROOM, stream: Some(Stream::new(gzip)) }
    }

    /// Makes room, if there is none left.
    #[inline(always)]
    pub(super) fn turn(&mut self, notes: &mut Notes) {
        if self.text.len() > self.room {
            self.pack(notes);
        }
    }

    #[cold]
    fn pack(&mut self, notes: &mut Notes) {
        if let Some(stream) = &mut self.stream {
            stream.pack(&mut self.text);
            notes.give_up();
        }
    }

    /// The page, and the compressor that may be used again.
    pub(super) fn end(self, filled: Option<Filled>) -> (Page, Option<Gzip>) {
        match self.stream {
            None => (Page::plain(self.text), None),
            Some(stream) if stream.is_begun() => {
                let (bytes, length, gzip) = stream.end(&self.text);
                (Page { bytes, length, is_packed: true }, Some(gzip))
            }
            Some(stream) => {
                let mut gzip = stream.unused();
                let page = Page::packed_by(self.text, |text, out| match &filled {
                    Some(filled) => filled.pack(text, &mut gzip, out),
                    None => gzip.pack(text, out),
                });
                (page, Some(gzip))
            }
        }
    }
}
