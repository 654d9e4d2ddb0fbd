//! JSON that somebody else wrote, taken as it comes: what nobody asks for is passed over and never kept.

use std::io::{self, Read};
use struson::reader::{JsonReader, JsonStreamReader, ReaderSettings, ValueType};

/// How many bytes of a text are taken.
pub(super) const TEXT_MAX: usize = 512;
/// How many bytes of a name are looked at.
const NAME_MAX: usize = 256;
/// How deep values nest at most.
const DEPTH_MAX: u32 = 32;

/// It is no JSON, or nests too deep.
#[derive(Debug)]
pub(super) struct Broken;

/// What comes next of a document.
pub(super) struct Json<'a>(JsonStreamReader<Lossy<'a>>);

impl<'a> Json<'a> {
    /// The document that is read from there.
    pub(super) fn new(from: &'a mut dyn Read) -> Self {
        let settings = ReaderSettings { track_path: false, max_nesting_depth: Some(DEPTH_MAX), ..Default::default() };
        Self(JsonStreamReader::new_custom(Lossy { from, text: Vec::new(), at: 0, rest: Vec::new() }, settings))
    }

    /// Gives each member of the object that comes next, by name, to `of`, which takes its value; anything else than an
    /// object is passed over.
    pub(super) fn object(&mut self, of: &mut dyn FnMut(&mut Self, &str) -> Result<(), Broken>) -> Result<(), Broken> {
        if self.peek()? != ValueType::Object {
            return self.skip();
        }
        self.0.begin_object().map_err(|_| Broken)?;
        while self.has_next()? {
            let name = self.0.next_name().map_err(|_| Broken)?;
            let name = name[..name.floor_char_boundary(NAME_MAX)].to_owned();
            of(self, &name)?;
        }
        self.0.end_object().map_err(|_| Broken)
    }

    /// Lets `of` take each value of the array that comes next; anything else than an array is passed over.
    pub(super) fn array(&mut self, of: &mut dyn FnMut(&mut Self) -> Result<(), Broken>) -> Result<(), Broken> {
        if self.peek()? != ValueType::Array {
            return self.skip();
        }
        self.0.begin_array().map_err(|_| Broken)?;
        while self.has_next()? {
            of(self)?;
        }
        self.0.end_array().map_err(|_| Broken)
    }

    /// Like [`Json::object`], of an object that is written into a text, as texts of JSON may hold JSON.
    pub(super) fn inside(
        &mut self,
        of: &mut dyn FnMut(&mut Json<'_>, &str) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        if self.peek()? != ValueType::String {
            return self.skip();
        }
        let mut text = self.0.next_string_reader().map_err(|_| Broken)?;
        // That the text is none does not break what it is in.
        let _ = Json::new(&mut text).object(of);
        pass_over(&mut text)
    }

    /// The first bytes of the text that comes next, up to the end of a character; anything else is passed over.
    pub(super) fn text(&mut self) -> Result<Option<String>, Broken> {
        if self.peek()? != ValueType::String {
            return self.skip().map(|()| None);
        }
        let mut text = self.0.next_string_reader().map_err(|_| Broken)?;
        // A character that begins within the limit is at most three bytes longer.
        let mut bytes = Vec::new();
        (&mut text).take(TEXT_MAX as u64 + 3).read_to_end(&mut bytes).map_err(|_| Broken)?;
        pass_over(&mut text)?;
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        Ok(Some(text))
    }

    /// The whole number that comes next; anything else is passed over.
    pub(super) fn number(&mut self) -> Result<Option<u32>, Broken> {
        if self.peek()? != ValueType::Number {
            return self.skip().map(|()| None);
        }
        self.0.next_number_as_str().map(|digits| digits.parse().ok()).map_err(|_| Broken)
    }

    /// Passes over what comes next.
    pub(super) fn skip(&mut self) -> Result<(), Broken> {
        self.0.skip_value().map_err(|_| Broken)
    }

    fn peek(&mut self) -> Result<ValueType, Broken> {
        self.0.peek().map_err(|_| Broken)
    }

    fn has_next(&mut self) -> Result<bool, Broken> {
        self.0.has_next().map_err(|_| Broken)
    }
}

fn pass_over(text: &mut impl Read) -> Result<(), Broken> {
    io::copy(text, &mut io::sink()).map(|_| ()).map_err(|_| Broken)
}

/// Reads on with a sign in place of what is not UTF-8.
struct Lossy<'a> {
    from: &'a mut dyn Read,
    /// What is ready, and how much of it was taken.
    text: Vec<u8>,
    at: usize,
    /// The beginning of a character whose end is still to be read.
    rest: Vec<u8>,
}

impl Lossy<'_> {
    /// Makes more of it ready; nothing more: that was the end.
    fn fill(&mut self) -> io::Result<()> {
        (self.at, self.text) = (0, std::mem::take(&mut self.text));
        self.text.clear();
        let mut room = [0; 1024];
        while self.text.is_empty() {
            let read = match self.from.read(&mut room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.rest.extend_from_slice(&room[..read]);
            let mut known = 0;
            for chunk in self.rest.utf8_chunks() {
                let (valid, broken) = (chunk.valid(), chunk.invalid());
                self.text.extend_from_slice(valid.as_bytes());
                known += valid.len();
                let may_go_on = known + broken.len() == self.rest.len() && broken.len() < 4 && read > 0;
                if !broken.is_empty()
                    && !(may_go_on && std::str::from_utf8(broken).is_err_and(|e| e.error_len().is_none()))
                {
                    self.text.extend_from_slice("\u{fffd}".as_bytes());
                    known += broken.len();
                }
            }
            self.rest.drain(..known);
            if read == 0 {
                break;
            }
        }
        Ok(())
    }
}

impl Read for Lossy<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.fill()?;
        }
        let ready = &self.text[self.at..];
        let taken = ready.len().min(into.len());
        into[..taken].copy_from_slice(&ready[..taken]);
        self.at += taken;
        Ok(taken)
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
        assert_eq!(texts(b"{\"a\":\"\xff\xc3\xa9\xc3\",\"b\":\"\xe2\x82\"}"), ["a=\u{fffd}é\u{fffd}", "b=\u{fffd}"]);
        // A character that two reads share.
        for shift in 0..8 {
            let json = format!("{}{{\"a\":\"{}\"}}", " ".repeat(1024 - 8 + shift), "€𝄞");
            assert_eq!(texts(json.as_bytes()), ["a=€𝄞"]);
        }
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
        fn it_reads_on_as_the_standard_library_does(bytes: Vec<u8>, size in 1usize..9) {
            struct Slow<'a>(&'a [u8], usize);
            impl Read for Slow<'_> {
                fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                    let room = self.1.min(into.len());
                    self.0.read(&mut into[..room])
                }
            }
            let mut text = String::new();
            let from = &mut Slow(&bytes, size);
            Lossy { from, text: Vec::new(), at: 0, rest: Vec::new() }.read_to_string(&mut text).unwrap();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
