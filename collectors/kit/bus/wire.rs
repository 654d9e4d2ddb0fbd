//! Messages of D-Bus as bytes: how a question is written, and how an answer is read.
//!
//! Of the types of D-Bus, those are read that the answers to our questions have: texts, numbers, rows of them, and one of
//! them as a variant. What a message claims about its own lengths is believed only as far as its bytes go.

use super::Question;

/// The part of a message's header that has always the same length.
pub(super) const HEAD: usize = 16;
/// How long a message may be: 100,000 units of systemd.
pub(super) const MESSAGE_MAX: usize = 32 << 20;

const CALL: u8 = 1;
const ANSWER: u8 = 2;
const REFUSAL: u8 = 3;
/// Who is asked is not started if it does not run.
const NO_AUTO_START: u8 = 2;
const VERSION: u8 = 1;

/// Codes of header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Appends a question, in little-endian order.
pub(super) fn write(out: &mut Vec<u8>, serial: u32, question: &Question<'_>) {
    const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
    let (interface, member, arguments): (_, _, &[&str]) = match question.property {
        None => (question.interface, question.method, &[]),
        Some(property) => (PROPERTIES, "Get", &[question.interface, property]),
    };
    let mut body = Vec::new();
    arguments.iter().for_each(|text| push_text(&mut body, text));
    let start = out.len();
    out.extend_from_slice(&[b'l', CALL, NO_AUTO_START, VERSION]);
    out.extend_from_slice(&length(body.len()));
    out.extend_from_slice(&serial.to_le_bytes());
    let mut fields = Vec::new();
    let texts = [
        (PATH, b'o', question.path),
        (INTERFACE, b's', interface),
        (MEMBER, b's', member),
        (DESTINATION, b's', question.of),
    ];
    for (code, kind, text) in texts {
        align(&mut fields);
        fields.extend_from_slice(&[code, 1, kind, 0]);
        push_text(&mut fields, text);
    }
    if !arguments.is_empty() {
        align(&mut fields);
        fields.extend_from_slice(&[SIGNATURE, 1, b'g', 0, 2, b's', b's', 0]);
    }
    out.extend_from_slice(&length(fields.len()));
    // The fields begin at a multiple of 8 from the message's start, so they were aligned by themselves.
    out.extend_from_slice(&fields);
    out.resize(start + (out.len() - start).next_multiple_of(8), 0);
    out.extend_from_slice(&body);
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(&length(text.len()));
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// How long the message is that begins so; `None`: no message begins so.
pub(super) fn length_of(head: &[u8; HEAD]) -> Option<usize> {
    let is_big = is_big(head[0])?;
    if head[3] != VERSION {
        return None;
    }
    let mut head = Values { bytes: head, at: 4, is_big };
    let (body, _serial, fields) = (head.number()?, head.number()?, head.number()?);
    let fields = HEAD.checked_add(fields as usize)?.checked_next_multiple_of(8)?;
    fields.checked_add(body as usize)
}

fn is_big(mark: u8) -> Option<bool> {
    match mark {
        b'l' => Some(false),
        b'B' => Some(true),
        _ => None,
    }
}

/// A message, as far as it is of interest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// Which question it answers; `None`: it is no answer.
    pub(super) answers: Option<u32>,
    /// The answer, or the name of the error.
    pub(super) body: Result<Body<'a>, &'a str>,
}

/// Reads a whole message.
pub(super) fn message(bytes: &[u8]) -> Option<Message<'_>> {
    let (&mark, &kind) = (bytes.first()?, bytes.get(1)?);
    let is_big = is_big(mark)?;
    let mut values = Values { bytes, at: 12, is_big };
    let end = values.number()? as usize + HEAD;
    let (mut answers, mut error, mut signature) = (None, None, "");
    values.bytes = bytes.get(..end)?;
    while values.has_more() {
        values.align(8)?;
        let code = values.byte()?;
        match (code, values.any()?) {
            (REPLY_SERIAL, Value::Number(serial)) => answers = Some(serial),
            (ERROR_NAME, Value::Text(name)) => error = Some(name),
            (SIGNATURE, Value::Text(text)) => signature = text,
            _ => {}
        }
    }
    let body = Body { signature, bytes: bytes.get(end.checked_next_multiple_of(8)?..)?, is_big };
    match kind {
        ANSWER => Some(Message { answers: Some(answers?), body: Ok(body) }),
        REFUSAL => Some(Message { answers: Some(answers?), body: Err(error?) }),
        // Calls and signals: not for us.
        _ => Some(Message { answers: None, body: Err("") }),
    }
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text, or the path of an object.
    Text(&'a str),
    /// A whole number of 32 bits without a sign.
    Number(u32),
    /// A whole number of 64 bits without a sign.
    Long(u64),
    /// Yes or no.
    Truth(bool),
    /// A number of another kind, that nobody asked for.
    Other,
}

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    signature: &'a str,
    bytes: &'a [u8],
    is_big: bool,
}

impl<'a> Body<'a> {
    /// The value of a property.
    pub fn value(self) -> Option<Value<'a>> {
        (self.signature == "v").then(|| self.values().any())?
    }

    /// Hands on each row of an array of structs, which has this signature (`a(so)`); `None` if it reads otherwise.
    pub fn rows(self, signature: &str, mut each: impl FnMut(&mut Values<'a>) -> Option<()>) -> Option<()> {
        if self.signature != signature || !signature.starts_with("a(") {
            return None;
        }
        let mut values = self.values();
        let length = values.number()? as usize;
        values.align(8)?;
        values.bytes = values.bytes.get(..values.at.checked_add(length)?)?;
        while values.has_more() {
            values.align(8)?;
            each(&mut values)?;
        }
        Some(())
    }

    fn values(self) -> Values<'a> {
        Values { bytes: self.bytes, at: 0, is_big: self.is_big }
    }
}

/// Values one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big: bool,
}

impl<'a> Values<'a> {
    /// Those that begin at a place, in little-endian order.
    #[cfg(test)]
    pub(super) fn of(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, is_big: false }
    }

    /// The next one is a text or a path.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        self.text_of(length)
    }

    /// The next one is a number of 32 bits, or a truth.
    pub fn number(&mut self) -> Option<u32> {
        let bytes = self.fixed()?;
        Some(if self.is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn long(&mut self) -> Option<u64> {
        let bytes = self.fixed()?;
        Some(if self.is_big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let [byte] = self.fixed()?;
        Some(byte)
    }

    /// The next one says itself what it is. None of those that we ask for is a container.
    pub(super) fn any(&mut self) -> Option<Value<'a>> {
        match self.short_text()? {
            "s" | "o" => self.text().map(Value::Text),
            "g" => self.short_text().map(Value::Text),
            "u" => self.number().map(Value::Number),
            "t" => self.long().map(Value::Long),
            "b" => self.number().map(|number| Value::Truth(number != 0)),
            "y" => self.byte().map(|_| Value::Other),
            "n" | "q" => self.fixed::<2>().map(|_| Value::Other),
            "i" | "h" => self.fixed::<4>().map(|_| Value::Other),
            "x" | "d" => self.fixed::<8>().map(|_| Value::Other),
            _ => None,
        }
    }

    fn short_text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        self.text_of(length)
    }

    fn text_of(&mut self, length: usize) -> Option<&'a str> {
        let end = self.at.checked_add(length)?;
        let text = self.bytes.get(self.at..end)?;
        (*self.bytes.get(end)? == 0).then_some(())?;
        self.at = end + 1;
        std::str::from_utf8(text).ok()
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N)?;
        let bytes = self.bytes.get(self.at..)?.first_chunk().copied()?;
        self.at += N;
        Some(bytes)
    }

    pub(super) fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    pub(super) fn has_more(&self) -> bool {
        self.at < self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{self, Said};
    use super::*;
    use proptest::prelude::*;

    fn rows(body: Body<'_>) -> Option<Vec<(String, u32)>> {
        let mut rows = Vec::new();
        body.rows("a(su)", |row| {
            rows.push((row.text()?.to_owned(), row.number()?));
            Some(())
        })?;
        Some(rows)
    }

    fn head(bytes: &[u8]) -> Option<usize> {
        length_of(bytes.first_chunk()?)
    }

    #[test]
    fn a_question_is_written_as_the_specification_says() {
        let mut bytes = vec![b'x'; 3];
        write(&mut bytes, 7, &Question::method("a.b", "/c", "d.e", "F"));
        let expected = b"l\x01\x02\x01\0\0\0\0\x07\0\0\0\x3d\0\0\0\
            \x01\x01o\0\x02\0\0\0/c\0\0\0\0\0\0\
            \x02\x01s\0\x03\0\0\0d.e\0\0\0\0\0\
            \x03\x01s\0\x01\0\0\0F\0\0\0\0\0\0\0\
            \x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0";
        // The length is without what aligns the body.
        assert_eq!(bytes[3 + 12], 0x3c);
        assert_eq!(bytes[3..3 + 12], expected[..12]);
        assert_eq!(bytes[3 + 13..], expected[13..]);
        assert_eq!(head(&bytes[3..]), Some(bytes.len() - 3));
        bytes.clear();
        write(&mut bytes, 8, &Question::property("a.b", "/c", "d.e", "Fg"));
        assert!(bytes.ends_with(b"\x08\x01g\0\x02ss\0\x03\0\0\0d.e\0\x02\0\0\0Fg\0"));
        assert_eq!(head(&bytes), Some(bytes.len()));
    }

    #[test]
    fn answers_in_both_orders_of_bytes() {
        for is_big in [false, true] {
            let said = Said::Rows(
                "a(su)",
                vec![vec![Said::Text("one"), Said::Number(1)], vec![Said::Text("twö"), Said::Number(2)]],
            );
            let bytes = script::answer(is_big, 5, &said);
            assert_eq!(head(&bytes), Some(bytes.len()));
            let found = message(&bytes).unwrap();
            assert_eq!(found.answers, Some(5));
            assert_eq!(rows(found.body.unwrap()).unwrap(), [("one".to_owned(), 1), ("twö".to_owned(), 2)]);
            assert_eq!(found.body.unwrap().rows("a(so)", |_| Some(())), None);
            for (said, value) in [
                (Said::Text("x"), Value::Text("x")),
                (Said::Number(u32::MAX), Value::Number(u32::MAX)),
                (Said::Long(1 << 40), Value::Long(1 << 40)),
                (Said::Truth(true), Value::Truth(true)),
            ] {
                let bytes = script::answer(is_big, 5, &Said::Property(Box::new(said)));
                assert_eq!(message(&bytes).unwrap().body.unwrap().value(), Some(value));
            }
            let refusal = script::answer(is_big, 9, &Said::Error("a.b.Error"));
            let refusal = message(&refusal).unwrap();
            assert_eq!((refusal.answers, refusal.body.err()), (Some(9), Some("a.b.Error")));
        }
    }

    #[test]
    fn no_message() {
        assert_eq!(head(b"HTTP/1.1 400 Bad Request"), None);
        assert_eq!(head(b"l\x02\0\x02\0\0\0\0\0\0\0\0\0\0\0\0"), None, "another version");
        assert_eq!(head(b"l\x02\0\x01\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff"), Some((1 << 33) + 15));
        assert!(message(b"").is_none() && message(b"l\x02\0\x01\0\0\0\0\0\0\0\0\x08\0\0\0").is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, at: usize, byte: u8, cut: usize) {
            let _ = (head(&bytes), message(&bytes).map(|found| found.body.map(|body| (body.value(), rows(body)))));
            // A message that was right, but for one byte and its end.
            let said = Said::Rows("a(su)", vec![vec![Said::Text("one"), Said::Number(1)]; 3]);
            let mut bytes = script::answer(false, 5, &said);
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _ = (head(&bytes), message(&bytes).map(|found| found.body.map(|body| (body.value(), rows(body)))));
        }

        #[test]
        fn what_is_said_comes_back(names: Vec<(String, u32)>, is_big: bool, serial: u32) {
            let names: Vec<_> = names.into_iter().map(|(name, number)| (name.replace('\0', ""), number)).collect();
            let said = names.iter().map(|(name, number)| vec![Said::Text(name), Said::Number(*number)]).collect();
            let bytes = script::answer(is_big, serial, &Said::Rows("a(su)", said));
            prop_assert_eq!(head(&bytes), Some(bytes.len()));
            let found = message(&bytes).unwrap();
            prop_assert_eq!(found.answers, Some(serial));
            prop_assert_eq!(rows(found.body.unwrap()), Some(names));
        }
    }
}
