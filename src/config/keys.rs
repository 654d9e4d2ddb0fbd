//! Every word that can be given a value, and the value with the place where it was given.

use super::names;
use super::settings::rows;
use collectors::Spec;
use collectors::kit::{Opt, OptKind};
use std::collections::BTreeMap;
use std::fmt;

/// The first letters of every environment variable of ours.
pub(super) const PREFIX: &str = "WHOLENODE_";

/// A word that can be given a value.
#[derive(Debug)]
pub(super) struct Key {
    /// The word with its dots: the flag without dashes, the key in the file.
    pub(super) name: String,
    /// What values it takes.
    pub(super) kind: OptKind,
    /// What it belongs to.
    pub(super) meaning: Meaning,
}

/// What a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The process.
    Process,
    /// A collector: turns it on or off.
    Switch,
    /// A collector's option.
    Option,
    /// A collector of node_exporter that is not here: it can be turned off.
    Absent,
}

impl Key {
    /// Its environment variable.
    pub(super) fn variable(&self) -> String {
        variable(&self.name)
    }

    /// Whether `KEY.enabled` means the same as `KEY`.
    pub(super) fn is_switch(&self) -> bool {
        matches!(self.meaning, Meaning::Switch | Meaning::Absent)
    }
}

/// The environment variable of a word.
pub(super) fn variable(name: &str) -> String {
    let word = |c: char| if c == '.' || c == '-' { '_' } else { c.to_ascii_uppercase() };
    PREFIX.chars().chain(name.chars().map(word)).collect()
}

/// All keys of a set of collectors.
pub(super) fn keys(specs: &[&'static Spec]) -> Vec<Key> {
    let of_process = |(name, row): (String, &Opt)| Key { name, kind: row.kind, meaning: Meaning::Process };
    let mut keys: Vec<Key> = rows().map(of_process).collect();
    for spec in specs {
        keys.push(Key { name: switch(spec.name), kind: OptKind::Flag, meaning: Meaning::Switch });
        keys.extend(spec.options.iter().map(|row| Key {
            name: option(spec, row.name),
            kind: row.kind,
            meaning: Meaning::Option,
        }));
    }
    keys.extend(names::absent(specs).map(|name| Key {
        name: switch(name),
        kind: OptKind::Flag,
        meaning: Meaning::Absent,
    }));
    keys
}

/// The word that turns a collector on or off.
pub(super) fn switch(collector: &str) -> String {
    format!("collector.{collector}")
}

/// The word of a collector's option.
pub(super) fn option(spec: &Spec, name: &str) -> String {
    format!("collector.{}.{name}", spec.name)
}

/// What a kind expects, for an error.
pub(super) fn expected(kind: OptKind) -> &'static str {
    match kind {
        OptKind::Flag => "true or false",
        OptKind::Number => "a whole number",
        OptKind::Span => "a length of time such as 5s",
        OptKind::Size => "a number of bytes such as 64MiB",
        OptKind::Text => "a text",
        OptKind::List => "a text or a list of texts",
        OptKind::Words(_) => "words with commas between them",
        OptKind::Regex | OptKind::Instead(_) => "a regular expression",
    }
}

/// What was given for a key, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// The values; one, unless the key is a list.
    pub(super) words: Vec<String>,
    /// Where they stand.
    pub(super) from: Source,
}

/// What was given, by key. A later layer covers an earlier one.
pub(super) type Layer = BTreeMap<String, Given>;

/// Where something was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A flag, as it was written.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A line of the file.
    Line(String, usize),
}

impl Source {
    /// The beginning of an error about a key: where it was given, and its name.
    pub(super) fn of(&self, key: &str) -> String {
        match self {
            Source::Line(..) => format!("{self}: {key}"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(name) | Source::Variable(name) => f.write_str(name),
            Source::Line(file, line) => write!(f, "{file}:{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_words_share_a_flag_or_a_variable() {
        let keys = keys(collectors::ALL);
        let mut flags: BTreeSet<String> = keys.iter().map(|key| key.name.clone()).collect();
        let variables: BTreeSet<String> = keys.iter().map(Key::variable).collect();
        assert_eq!((flags.len(), variables.len()), (keys.len(), keys.len()));
        for key in keys.iter().filter(|key| key.kind == OptKind::Flag) {
            assert!(flags.insert(format!("no-{}", key.name)), "no-{}", key.name);
        }
    }

    #[test]
    fn enabled_is_no_option() {
        assert!(keys(collectors::ALL).iter().all(|key| !key.name.ends_with(".enabled")));
    }

    #[test]
    fn a_variable_is_the_word_in_capitals() {
        assert_eq!(variable("web.listen-address"), "WHOLENODE_WEB_LISTEN_ADDRESS");
    }
}
