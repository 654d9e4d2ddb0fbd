//! A mapping of which all keys are known, and the kinds of values that it may have.

use super::super::Error;
use super::tree::{Entry, Kind, Node};

/// A mapping, and what errors call it.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    path: &'a str,
    name: &'a str,
    entries: &'a [Entry],
}

/// A text and its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

impl<'a> Section<'a> {
    /// The root of the file, or a mapping below it; nothing counts as empty. Keys that are not among `keys` are refused.
    pub(super) fn new(path: &'a str, name: &'a str, node: &'a Node, keys: &[&str]) -> Result<Self, Error> {
        let section = Self::open(path, name, node, keys)?;
        if let Some(entry) = section.entries.iter().find(|entry| !keys.contains(&entry.key.as_str())) {
            let (key, all) = (&entry.key, keys.join(", "));
            return Err(section.fail(entry.line, "", &format!("there is no key \"{key}\" here: expected {all}")));
        }
        Ok(section)
    }

    /// A mapping whose keys are names.
    pub(super) fn names(path: &'a str, name: &'a str, node: &'a Node) -> Result<Self, Error> {
        Self::open(path, name, node, &["names"])
    }

    fn open(path: &'a str, name: &'a str, node: &'a Node, keys: &[&str]) -> Result<Self, Error> {
        let entries: &[Entry] = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Nothing => &[],
            other => {
                let why = format!("expected a mapping with {}, not {}", keys.join(", "), other.told());
                return Err(Section { path, name, entries: &[] }.fail(node.line, "", &why));
            }
        };
        Ok(Section { path, name, entries })
    }

    /// The keys and their values.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.entries.iter()
    }

    /// What stands there for the key, even nothing.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// A text; none if there is none or an empty one.
    pub(super) fn text(&self, key: &str) -> Result<Option<Text<'a>>, Error> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match &node.kind {
            Kind::Nothing => Ok(None),
            Kind::Text(text) if text.is_empty() => Ok(None),
            Kind::Text(text) => Ok(Some(Text { text, line: node.line })),
            other => Err(self.fail(node.line, key, &format!("expected a text, not {}", other.told()))),
        }
    }

    /// true or false, in any of the words that YAML 1.1 has for them.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        let Some(text) = self.text(key)? else { return Ok(default) };
        match text.text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Ok(true),
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Ok(false),
            word => Err(self.fail(text.line, key, &format!("\"{word}\": expected true or false"))),
        }
    }

    /// A list of texts; none if nothing is said.
    pub(super) fn list(&self, key: &str) -> Result<Option<(Vec<Text<'a>>, usize)>, Error> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let items = match &node.kind {
            Kind::Nothing => return Ok(None),
            Kind::List(items) => items,
            other => return Err(self.fail(node.line, key, &format!("expected a list of texts, not {}", other.told()))),
        };
        let text = |node: &'a Node| match &node.kind {
            Kind::Text(text) => Ok(Text { text, line: node.line }),
            other => Err(self.fail(node.line, key, &format!("expected a list of texts, with {} in it", other.told()))),
        };
        Ok(Some((items.iter().map(text).collect::<Result<_, _>>()?, node.line)))
    }

    /// An error about a key.
    pub(super) fn fail(&self, line: usize, key: &str, why: &str) -> Error {
        let word = match (self.name, key) {
            ("", "") => String::new(),
            ("", key) => format!("{key}: "),
            (name, "") => format!("{name}: "),
            (name, key) => format!("{name}.{key}: "),
        };
        Error::new(format!("{}:{line}: {word}{why}", self.path))
    }
}
