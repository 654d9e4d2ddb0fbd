//! JSON that somebody else wrote, taken as it comes: what nobody asks for is passed over and never kept.

use json_event_parser::{JsonEvent, ReaderJsonParser};
use std::io::{self, Read};

/// How many bytes of a text are taken.
pub(super) const TEXT_MAX: usize = 512;
/// How many bytes of a name are looked at.
const NAME_MAX: usize = 256;
/// How deep values nest at most.
const DEPTH_MAX: usize = 64;
/// How long a text may be that is passed over, in bytes.
const TOKEN_MAX: usize = 4 << 20;

/// It is no JSON, or nests too deep.
#[derive(Debug)]
pub(super) struct Broken;

/// What is done with a member of an object: its value is taken.
pub(super) type Member<'a> = &'a mut dyn FnMut(&mut Json<'_>, &str) -> Result<(), Broken>;

/// What comes next of a document.
pub(super) struct Json<'a>(ReaderJsonParser<Lossy<'a>>);

impl<'a> Json<'a> {
    /// The document that is read from there.
    pub(super) fn new(from: &'a mut dyn Read) -> Self {
        let lossy = Lossy { from, rest: [0; 4], resting: 0 };
        Self(ReaderJsonParser::new(lossy).with_max_buffer_size(TOKEN_MAX))
    }

    /// Gives each member of the object that comes next, by name, to `of`, which takes its value; anything else than an
    /// object is passed over.
    pub(super) fn object(&mut self, of: Member<'_>) -> Result<(), Broken> {
        match self.next()? {
            JsonEvent::StartObject => self.members(of),
            event => {
                let opens = opens(&event)?;
                self.pass_over(opens)
            }
        }
    }

    /// Makes a row of each object in the array that comes next. Anything else is passed over.
    pub(super) fn rows<T: Default>(
        &mut self,
        of: &mut dyn FnMut(&mut Json<'_>, &str, &mut T) -> Result<(), Broken>,
        done: &mut dyn FnMut(T),
    ) -> Result<(), Broken> {
        let event = self.next()?;
        if event != JsonEvent::StartArray {
            let opens = opens(&event)?;
            return self.pass_over(opens);
        }
        loop {
            match self.next()? {
                JsonEvent::EndArray => return Ok(()),
                JsonEvent::StartObject => {
                    let mut row = T::default();
                    self.members(&mut |json, name| of(json, name, &mut row))?;
                    done(row);
                }
                event => {
                    let opens = opens(&event)?;
                    self.pass_over(opens)?;
                }
            }
        }
    }

    /// The first text in the array that comes next.
    pub(super) fn first(&mut self) -> Result<Option<String>, Broken> {
        let event = self.next()?;
        if event != JsonEvent::StartArray {
            let opens = opens(&event)?;
            return self.pass_over(opens).map(|()| None);
        }
        let mut first = None;
        loop {
            match self.next()? {
                JsonEvent::EndArray => return Ok(first),
                JsonEvent::String(text) => first = first.or_else(|| Some(cut(&text, TEXT_MAX))),
                event => {
                    let opens = opens(&event)?;
                    self.pass_over(opens)?;
                }
            }
        }
    }

    /// Like [`Json::object`], of an object that is written into a text, as texts of JSON may hold JSON.
    pub(super) fn inside(&mut self, of: Member<'_>) -> Result<(), Broken> {
        match self.next()? {
            JsonEvent::String(text) => {
                // That the text is none does not break what it is in.
                let _ = Json::new(&mut text.as_bytes()).object(of);
                Ok(())
            }
            event => {
                let opens = opens(&event)?;
                self.pass_over(opens)
            }
        }
    }

    /// The first bytes of the text that comes next, up to the end of a character; anything else is passed over.
    pub(super) fn text(&mut self) -> Result<Option<String>, Broken> {
        match self.next()? {
            JsonEvent::String(text) => Ok(Some(cut(&text, TEXT_MAX))),
            event => {
                let opens = opens(&event)?;
                self.pass_over(opens).map(|()| None)
            }
        }
    }

    /// The whole number that comes next; anything else is passed over.
    pub(super) fn number(&mut self) -> Result<Option<u32>, Broken> {
        match self.next()? {
            JsonEvent::Number(digits) => Ok(digits.parse().ok()),
            event => {
                let opens = opens(&event)?;
                self.pass_over(opens).map(|()| None)
            }
        }
    }

    /// Passes over what comes next.
    pub(super) fn skip(&mut self) -> Result<(), Broken> {
        let opens = opens(&self.next()?)?;
        self.pass_over(opens)
    }

    fn members(&mut self, of: Member<'_>) -> Result<(), Broken> {
        loop {
            let name = match self.next()? {
                JsonEvent::EndObject => return Ok(()),
                JsonEvent::ObjectKey(name) => cut(&name, NAME_MAX),
                _ => return Err(Broken),
            };
            of(self, &name)?;
        }
    }

    /// Passes over the rest of as many values as were begun.
    fn pass_over(&mut self, mut depth: usize) -> Result<(), Broken> {
        while depth > 0 {
            match self.next()? {
                JsonEvent::StartObject | JsonEvent::StartArray if depth == DEPTH_MAX => return Err(Broken),
                JsonEvent::StartObject | JsonEvent::StartArray => depth += 1,
                JsonEvent::EndObject | JsonEvent::EndArray => depth -= 1,
                JsonEvent::Eof => return Err(Broken),
                _ => {}
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<JsonEvent<'_>, Broken> {
        self.0.parse_next().map_err(|_| Broken)
    }
}

/// How many values an event begins without ending them; none can begin where others end.
fn opens(event: &JsonEvent<'_>) -> Result<usize, Broken> {
    match event {
        JsonEvent::StartObject | JsonEvent::StartArray => Ok(1),
        JsonEvent::EndObject | JsonEvent::EndArray | JsonEvent::ObjectKey(_) | JsonEvent::Eof => Err(Broken),
        JsonEvent::String(_) | JsonEvent::Number(_) | JsonEvent::Boolean(_) | JsonEvent::Null => Ok(0),
    }
}

/// Its first bytes, up to the end of a character.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// Reads on with question marks in place of what is not UTF-8.
struct Lossy<'a> {
    from: &'a mut dyn Read,
    /// The beginning of a character whose end is still to be read.
    rest: [u8; 4],
    resting: usize,
}

impl Read for Lossy<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let kept = std::mem::take(&mut self.resting);
            let room = into.get_mut(kept..).filter(|room| !room.is_empty()).ok_or(io::ErrorKind::FileTooLarge)?;
            let read = match self.from.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.resting = kept;
                    continue;
                }
                read => read?,
            };
            into[..kept].copy_from_slice(&self.rest[..kept]);
            let ready = self.mend(&mut into[..kept + read], read == 0);
            if ready > 0 || read == 0 {
                return Ok(ready);
            }
        }
    }
}

impl Lossy<'_> {
    /// Replaces what is not UTF-8; how much is ready. A character that may go on is kept aside, unless nothing comes any more.
    fn mend(&mut self, bytes: &mut [u8], is_end: bool) -> usize {
        let mut at = 0;
        while let Err(error) = std::str::from_utf8(&bytes[at..]) {
            at += error.valid_up_to();
            let length = match error.error_len() {
                Some(length) => length,
                None if is_end => bytes.len() - at,
                None => {
                    self.resting = bytes.len() - at;
                    self.rest[..self.resting].copy_from_slice(&bytes[at..]);
                    return at;
                }
            };
            bytes[at..at + length].fill(b'?');
            at += length;
        }
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(mut json: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let result = Json::new(&mut json).object(&mut |json, name| {
            let text = json.text()?.unwrap_or_default();
            found.push(format!("{name}={text}"));
            Ok(())
        });
        if result.is_err() {
            found.push("broken".to_owned());
        }
        found
    }

    #[test]
    fn what_is_not_asked_for_is_passed_over() {
        assert_eq!(texts(br#"{"a":"1","b":[{"c":1}],"d":{"e":"f"},"g":"\u00e9\n"}"#), ["a=1", "b=", "d=", "g=é\n"]);
        assert_eq!(texts(b"[1,2]"), [""; 0]);
        assert_eq!(texts(b"{\"a\":\"1\""), ["a=1", "broken"]);
        assert_eq!(texts("[".repeat(100_000).as_bytes()), ["broken"]);
    }

    #[test]
    fn long_texts_end_between_characters() {
        for (before, length) in [("", TEXT_MAX), ("a", TEXT_MAX - 1)] {
            let json = format!("{{\"a\":\"{before}{}\",\"b\":\"2\"}}", "é".repeat(TEXT_MAX));
            let found = texts(json.as_bytes());
            assert_eq!((found[0].len() - 2, found[1].as_str()), (length, "b=2"));
        }
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        assert_eq!(texts(b"{\"a\":\"\xff\xc3\xa9\xc3\",\"b\":\"\xe2\x82\"}"), ["a=?é?", "b=??"]);
    }

    #[test]
    fn an_object_within_a_text() {
        let mut found = Vec::new();
        let mut json: &[u8] = br#"{"a":"{\"n\":7,\"x\":\"y\"}","b":"no {","c":{}}"#;
        let parsed = Json::new(&mut json).object(&mut |json, name| {
            json.inside(&mut |inner, below| {
                found.push((name.to_owned(), below.to_owned(), inner.number()?));
                Ok(())
            })
        });
        parsed.unwrap();
        let expected = [("a", "n", Some(7)), ("a", "x", None)];
        assert_eq!(found, expected.map(|(name, below, number)| (name.to_owned(), below.to_owned(), number)));
    }

    proptest! {
        #[test]
        fn anything_may_be_read(bytes: Vec<u8>) {
            texts(&bytes);
        }

        #[test]
        fn what_is_utf_8_stays_as_it_is(text: String, more: Vec<u8>, size in 1usize..9) {
            struct Slow<'a>(&'a [u8], usize);
            impl Read for Slow<'_> {
                fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                    let room = self.1.min(into.len());
                    self.0.read(&mut into[..room])
                }
            }
            let bytes = [text.as_bytes(), &more].concat();
            let (mut found, mut room) = (Vec::new(), [0; 16]);
            let mut lossy = Lossy { from: &mut Slow(&bytes, size), rest: [0; 4], resting: 0 };
            while let Ok(read @ 1..) = lossy.read(&mut room) {
                found.extend_from_slice(&room[..read]);
            }
            let is_same = found.iter().zip(&bytes).all(|(found, byte)| found == byte || *found == b'?');
            prop_assert!(found.len() == bytes.len() && found.starts_with(text.as_bytes()) && is_same);
            prop_assert!(std::str::from_utf8(&found).is_ok());
        }
    }
}
