//! A small YAML document as a tree that knows its lines. Scalars keep their text.

use super::super::Error;
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

/// How deep anything in a web configuration is nested, and a little.
const DEPTH_MAX: usize = 8;

/// A value, and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// `key:`, `key: ~`, `key: null`.
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Kind {
    /// What it is, for an error.
    pub(super) fn told(&self) -> &'static str {
        match self {
            Kind::Nothing => "nothing",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

/// The document's tree; [`Kind::Nothing`] if it says nothing.
pub(super) fn parse(path: &str, text: &str) -> Result<Node, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { path, parser: Parser::new_from_str(text) };
    let mut root = None;
    while let Some((event, line)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if root.is_some() => return Err(reader.fail(line, "expected one document, not several")),
            event => root = Some(reader.node(event, line, 0)?),
        }
    }
    Ok(root.unwrap_or(Node { line: 1, kind: Kind::Nothing }))
}

struct Reader<'a> {
    path: &'a str,
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, usize)>, Error> {
        let Some(next) = self.parser.next_event() else { return Ok(None) };
        let (event, span) = next.map_err(|error| self.fail(error.marker().line(), error.info()))?;
        Ok(Some((event, span.start.line())))
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, Error> {
        if depth > DEPTH_MAX {
            return Err(self.fail(line, "expected less nesting"));
        }
        let kind = match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) if is_nothing(&text) => Kind::Nothing,
            Event::Scalar(text, _, _, None) => Kind::Text(text.into_owned()),
            Event::SequenceStart(_, None) => Kind::List(self.list(depth)?),
            Event::MappingStart(_, None) => Kind::Map(self.map(depth)?),
            Event::Alias(_) => return Err(self.fail(line, "expected the value itself, not an alias")),
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(self.fail(line, "expected the value without a tag"));
            }
            _ => return Err(self.fail(line, "expected a value")),
        };
        Ok(Node { line, kind })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::new();
        while let Some((event, line)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            nodes.push(self.node(event, line, depth + 1)?);
        }
        Ok(nodes)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((event, line)) = self.next()? {
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, _, _, None) => key.into_owned(),
                _ => return Err(self.fail(line, "expected a text as key")),
            };
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                return Err(self.fail(line, &format!("{key}: given twice, first on line {}", first.line)));
            }
            let Some((event, at)) = self.next()? else { break };
            let value = self.node(event, at, depth + 1)?;
            entries.push(Entry { key, line, value });
        }
        Ok(entries)
    }

    fn fail(&self, line: usize, why: &str) -> Error {
        Error::new(format!("{}:{line}: {why}", self.path))
    }
}

fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
