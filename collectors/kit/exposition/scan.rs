//! One line of a text, by itself.
//!
//! - `# HELP name text`, with `\\`, `\n` and `\"` escaped in the text; `# TYPE name word`; any other `#…` is a comment.
//! - `name{label="value",…} figure time`: the time in whole milliseconds may be missing, and so may the labels or their
//!   braces; a comma may follow the last label; `\\`, `\n` and `\"` are escaped in values.
//!
//! Blanks and tabs may stand between any two of these, but not behind the last one.

use super::{Dialect, LABELS_OF_LINE_MAX, NAME_MAX, TEXT_MAX};
use crate::kit::parse;
use crate::model::Value;

/// What a line should have said.
pub(super) type Expected = &'static str;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    Nothing,
    Help { name: &'a str, help: String },
    Type { name: &'a str, word: &'a [u8] },
    Sample(Sample<'a>),
}

/// A line with a figure.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    /// Sorted by name, without empty ones.
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: Value,
    pub(super) is_timed: bool,
}

/// `http_requests_total{code="200"} 7`, `# TYPE http_requests_total counter`: one line without its end.
pub(super) fn line(line: &[u8], dialect: Dialect) -> Result<Line<'_>, Expected> {
    let mut rest = Cursor(line);
    rest.blanks();
    if rest.0.is_empty() {
        Ok(Line::Nothing)
    } else if rest.eat(b'#') {
        comment(rest)
    } else {
        sample(rest, dialect)
    }
}

fn comment(mut rest: Cursor<'_>) -> Result<Line<'_>, Expected> {
    rest.blanks();
    let keyword = rest.word();
    if keyword != b"HELP" && keyword != b"TYPE" {
        return Ok(Line::Nothing);
    }
    rest.blanks();
    let name = rest.name(true);
    if !rest.0.first().is_none_or(|&byte| is_blank(byte)) {
        return Err("a metric name");
    }
    check_name(name)?;
    rest.blanks();
    match (name, rest.0) {
        ("", _) | (_, []) => Ok(Line::Nothing),
        (name, word) if keyword == b"TYPE" => Ok(Line::Type { name, word }),
        (name, _) => Ok(Line::Help { name, help: rest.help()? }),
    }
}

fn sample(mut rest: Cursor<'_>, dialect: Dialect) -> Result<Line<'_>, Expected> {
    let name = rest.name(true);
    if name.is_empty() {
        return Err("a metric name");
    }
    check_name(name)?;
    rest.blanks();
    let labels = if rest.eat(b'{') { labels(&mut rest)? } else { Vec::new() };
    rest.blanks();
    let word = rest.word();
    let value = number(word).ok_or(match word.last() {
        Some(b'\r') => "lines that end in LF, not in CR LF",
        _ => "a number",
    })?;
    let is_timed = match dialect {
        Dialect::Prometheus => timestamp(rest)?,
        Dialect::OpenMetrics => timestamp_or_exemplar(rest)?,
    };
    Ok(Line::Sample(Sample { name, labels, value, is_timed }))
}

/// Behind the brace: `code="200",method="get"}`.
fn labels(rest: &mut Cursor<'_>) -> Result<Vec<(String, String)>, Expected> {
    let mut labels = Vec::new();
    loop {
        rest.blanks();
        if rest.eat(b'}') {
            break;
        }
        let name = rest.name(false);
        check_name(name)?;
        if name.is_empty() || name.starts_with("__") {
            // Names that begin so are Prometheus' own, `__name__` above all.
            return Err(if name.is_empty() {
                "a label name, or }"
            } else {
                "a label name that does not begin with __"
            });
        }
        rest.expect(b'=', "= behind the label name")?;
        rest.expect(b'"', "a label value in quotes")?;
        labels.push((name.to_owned(), rest.quoted()?));
        if labels.len() > LABELS_OF_LINE_MAX {
            return Err("at most 64 labels");
        }
        rest.blanks();
        if !rest.eat(b',') {
            rest.expect(b'}', ", or } behind the label value")?;
            break;
        }
    }
    labels.sort_unstable();
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err("each label name once");
    }
    // To Prometheus, an empty label is no label.
    labels.retain(|(_, value)| !value.is_empty());
    Ok(labels)
}

/// ` 1700000000000`, or nothing; a blank behind it is an error.
fn timestamp(rest: Cursor<'_>) -> Result<bool, Expected> {
    let mut rest = rest;
    if rest.0.is_empty() {
        return Ok(false);
    }
    rest.blanks();
    let word = std::str::from_utf8(rest.0).unwrap_or_default();
    word.parse::<i64>().map(|_| true).map_err(|_| "the end of the line, or a timestamp in milliseconds")
}

/// ` 1700000000.5 # {trace_id="a"} 1`: seconds and an exemplar, or one of them, or nothing.
fn timestamp_or_exemplar(mut rest: Cursor<'_>) -> Result<bool, Expected> {
    rest.blanks();
    if rest.0.first().is_none_or(|&byte| byte == b'#') {
        return Ok(false);
    }
    number(rest.word()).ok_or("a timestamp in seconds")?;
    rest.blanks();
    let is_end = rest.0.first().is_none_or(|&byte| byte == b'#');
    if is_end { Ok(true) } else { Err("the end of the line, or an exemplar") }
}

/// `12`, `-1.5e9`, `+Inf`, `NaN`: what Go's `ParseFloat` takes, without its hexadecimal numbers and underscores.
///
/// Whole numbers stay exact. Go refuses what is beyond the largest float, and a sign before NaN; Rust does not.
pub(super) fn number(word: &[u8]) -> Option<Value> {
    if let Some(whole) = parse::signed(word)
        && (whole != 0 || word.first() != Some(&b'-'))
    {
        return Some(Value::Int(whole));
    }
    let float = parse::float(word)?;
    let is_spelled = word.iter().any(|byte| byte.eq_ignore_ascii_case(&b'n'));
    let is_signed = matches!(word.first(), Some(b'+' | b'-'));
    let is_refused = (float.is_infinite() && !is_spelled) || (float.is_nan() && is_signed);
    (!is_refused).then_some(Value::Float(float))
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn check_name(name: &str) -> Result<(), Expected> {
    if name.len() > NAME_MAX { Err("a name of at most 1024 bytes") } else { Ok(()) }
}

fn check_text(length: usize) -> Result<(), Expected> {
    if length > TEXT_MAX { Err("a text of at most 64 KiB") } else { Ok(()) }
}

/// What is left of a line.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, accept: impl Fn(&u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !accept(byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn blanks(&mut self) {
        self.take(|&byte| is_blank(byte));
    }

    fn word(&mut self) -> &'a [u8] {
        self.take(|&byte| !is_blank(byte))
    }

    /// A name, or "" where none begins.
    fn name(&mut self, with_colons: bool) -> &'a str {
        if self.0.first().is_some_and(u8::is_ascii_digit) {
            return "";
        }
        let name = self.take(|&byte| byte.is_ascii_alphanumeric() || byte == b'_' || (with_colons && byte == b':'));
        std::str::from_utf8(name).unwrap_or_default()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, byte: u8, expected: Expected) -> Result<(), Expected> {
        self.blanks();
        if self.eat(byte) { Ok(()) } else { Err(expected) }
    }

    /// What follows a backslash.
    fn escaped(&mut self) -> Result<u8, Expected> {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        match first {
            b'n' => Ok(b'\n'),
            b'\\' | b'"' => Ok(*first),
            _ => Err("\\\\, \\\" or \\n, where a backslash is"),
        }
    }

    /// Behind the opening quote: the value, and its closing quote.
    fn quoted(&mut self) -> Result<String, Expected> {
        let mut value = Vec::new();
        loop {
            value.extend_from_slice(self.take(|byte| !matches!(byte, b'"' | b'\\')));
            if self.eat(b'"') {
                check_text(value.len())?;
                return String::from_utf8(value).map_err(|_| "a label value in UTF-8");
            }
            if !self.eat(b'\\') {
                return Err("a quote at the end of the label value");
            }
            value.push(self.escaped()?);
        }
    }

    /// The rest of the line. Nobody reckons with help, so what is not UTF-8 is only replaced.
    fn help(&mut self) -> Result<String, Expected> {
        let mut help = Vec::new();
        loop {
            help.extend_from_slice(self.take(|&byte| byte != b'\\'));
            if !self.eat(b'\\') {
                check_text(help.len())?;
                return Ok(String::from_utf8_lossy(&help).into_owned());
            }
            help.push(self.escaped()?);
        }
    }
}
