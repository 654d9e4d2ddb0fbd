//! What a collector can be told, and what it was told.

use regex_lite::Regex;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// One option of a collector: its row in the flags, the file, the environment, the help and the reference.
#[derive(Debug)]
pub struct Opt {
    /// The word after `collector.NAME.`.
    pub name: &'static str,
    /// What values it takes.
    pub kind: OptKind,
    /// The value when nothing is said; empty for none.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptKind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// A length of time: `5s`, `250ms`, `1m`.
    Span,
    /// A number of bytes: `64MiB`, `512KiB`, `65536`.
    Size,
    /// Any text.
    Text,
    /// Texts; the option may be repeated.
    List,
    /// Some of these words, with commas between them.
    Words(&'static [&'static str]),
    /// A regular expression.
    Regex,
    /// A regular expression of what to keep. It takes the place of the named exclusion, and can't be given beside it.
    Instead(&'static str),
}

/// The checked options of one collector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<&'static str, Vec<String>>,
}

impl Options {
    /// Checks what was given against the rows.
    ///
    /// # Errors
    /// One line that says which option, what was given, and what was expected.
    pub fn new(rows: &'static [Opt], given: &[(String, Vec<String>)]) -> Result<Self, String> {
        let mut values: BTreeMap<&'static str, Vec<String>> = rows
            .iter()
            .map(|row| (row.name, if row.default.is_empty() { Vec::new() } else { vec![row.default.to_owned()] }))
            .collect();
        let is_given =
            |name: &str| given.iter().any(|(given, words)| given == name && words.iter().any(|w| !w.is_empty()));
        for (name, words) in given {
            let row = rows.iter().find(|row| row.name == name).ok_or_else(|| format!("{name}: no such option"))?;
            for word in words {
                check(row.kind, word).map_err(|expected| format!("{name}: \"{word}\": expected {expected}"))?;
            }
            if let OptKind::Instead(other) = row.kind
                && is_given(name)
            {
                if is_given(other) {
                    return Err(format!("{name}: expected either this or {other}, not both"));
                }
                values.insert(other, Vec::new());
            }
            values.insert(row.name, words.iter().filter(|word| !word.is_empty()).cloned().collect());
        }
        Ok(Self { values })
    }

    /// The option's text; the last one counts if it was repeated.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// All texts of a repeated option.
    pub fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a flag is set.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A length of time.
    pub fn span(&self, name: &str) -> Option<std::time::Duration> {
        span(self.text(name)?)
    }

    /// A number of bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        size(self.text(name)?)
    }

    /// The filter that two options make.
    pub fn filter(&self, include: &str, exclude: &str) -> Filter {
        let pattern = |name| self.text(name).map(|text| Pattern::new(text.to_owned()));
        Filter { include: pattern(include), exclude: pattern(exclude) }
    }

    /// The filter that two options make whose expressions mean whole names. An empty one means the empty name.
    pub fn whole_filter(&self, include: &str, exclude: &str) -> Filter {
        let pattern = |name| Some(Pattern::new(format!("^(?:{})$", self.text(name).unwrap_or_default())));
        Filter { include: pattern(include), exclude: pattern(exclude) }
    }
}

/// Which names to keep: those that the first expression finds and the second does not. Expressions are not anchored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    include: Option<Pattern>,
    exclude: Option<Pattern>,
}

impl Filter {
    /// Whether the name passes.
    pub fn keeps(&self, name: &str) -> bool {
        let finds = |pattern: &Option<Pattern>| pattern.as_ref().and_then(|pattern| pattern.finds(name));
        finds(&self.include) != Some(false) && finds(&self.exclude) != Some(true)
    }

    /// Gives back the memory that matching took, 100 KB for the expression of netstat. For those who remember the answers,
    /// after each time they have asked.
    pub fn rest(&mut self) {
        for pattern in [&mut self.include, &mut self.exclude].into_iter().flatten() {
            pattern.compiled.take();
        }
    }
}

/// An expression, which is compiled when something is asked of it.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(text: String) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// `None`: it is no expression, which [`Options::new`] does not let through.
    fn finds(&self, name: &str) -> Option<bool> {
        let compiled = self.compiled.get_or_init(|| Regex::new(&self.text).ok());
        compiled.as_ref().map(|regex| regex.is_match(name))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn check(kind: OptKind, word: &str) -> Result<(), String> {
    match kind {
        OptKind::Flag if word != "true" && word != "false" => Err("true or false".to_owned()),
        OptKind::Number if word.parse::<u64>().is_err() => Err("a whole number".to_owned()),
        OptKind::Span if span(word).is_none() => Err("a length of time such as 250ms, 5s or 1m".to_owned()),
        OptKind::Size if size(word).is_none() => Err("a number of bytes such as 512KiB or 64MiB".to_owned()),
        OptKind::Words(known) if word.split(',').any(|word| !word.is_empty() && !known.contains(&word)) => {
            Err(format!("words out of {}", known.join(",")))
        }
        OptKind::Regex | OptKind::Instead(_) => {
            Regex::new(word).map(drop).map_err(|error| format!("a regular expression ({error})"))
        }
        _ => Ok(()),
    }
}

/// `250ms`, `5s`, `1m30s`, `1h`: a length of time.
pub fn span(text: &str) -> Option<std::time::Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let seconds = match &tail[..unit] {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = &tail[unit..];
    }
    if text.is_empty() { None } else { std::time::Duration::try_from_secs_f64(total).ok() }
}

/// `64MiB`, `512KiB`, `1GiB`, `65536`, `65536B`: a number of bytes.
fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    static ROWS: &[Opt] = &[
        Opt { name: "device-include", kind: OptKind::Instead("device-exclude"), default: "", help: "" },
        Opt { name: "device-exclude", kind: OptKind::Regex, default: "^lo$", help: "" },
        Opt { name: "guest", kind: OptKind::Flag, default: "true", help: "" },
        Opt { name: "labels", kind: OptKind::Words(&["proto", "port"]), default: "proto,port", help: "" },
    ];

    fn given(pairs: &[(&str, &str)]) -> Result<Options, String> {
        let pairs: Vec<_> = pairs.iter().map(|(name, word)| ((*name).to_owned(), vec![(*word).to_owned()])).collect();
        Options::new(ROWS, &pairs)
    }

    #[test]
    fn defaults_hold_until_something_is_said() {
        let options = given(&[]).unwrap();
        assert!(options.flag("guest"));
        assert!(!options.filter("device-include", "device-exclude").keeps("lo"));
        assert!(options.filter("device-include", "device-exclude").keeps("eth0"));
    }

    #[test]
    fn an_inclusion_takes_the_place_of_the_default_exclusion() {
        let filter = given(&[("device-include", "^l")]).unwrap().filter("device-include", "device-exclude");
        assert!(filter.keeps("lo") && !filter.keeps("eth0"));
        let mut rested = filter.clone();
        rested.rest();
        assert!(rested == filter && rested.keeps("lo") && !rested.keeps("eth0"));
        let both = given(&[("device-include", "a"), ("device-exclude", "b")]).unwrap_err();
        assert_eq!(both, "device-include: expected either this or device-exclude, not both");
    }

    #[test]
    fn expressions_may_mean_whole_names() {
        let filter = given(&[("device-exclude", "lo|eth.")]).unwrap().whole_filter("guest", "device-exclude");
        assert!(!filter.keeps("lo") && !filter.keeps("eth0") && !filter.keeps("long"), "the inclusion is \"true\"");
        assert!(filter.keeps("true"));
        let all = given(&[("device-include", ".+"), ("device-exclude", "")]).unwrap();
        let all = all.whole_filter("device-include", "device-exclude");
        assert!(all.keeps("lo") && all.keeps("x") && !all.keeps(""));
        let none = given(&[("device-include", "")]).unwrap().whole_filter("device-include", "device-exclude");
        assert!(!none.keeps("eth0"));
    }

    #[test]
    fn what_does_not_fit_is_told_in_one_line() {
        assert_eq!(given(&[("guest", "yes")]).unwrap_err(), "guest: \"yes\": expected true or false");
        assert_eq!(given(&[("gest", "true")]).unwrap_err(), "gest: no such option");
        assert_eq!(given(&[("labels", "port,,proto")]).unwrap().text("labels"), Some("port,,proto"));
        assert_eq!(given(&[("labels", "port,x")]).unwrap_err(), "labels: \"port,x\": expected words out of proto,port");
        assert!(given(&[("device-exclude", "(")]).unwrap_err().contains("expected a regular expression"));
    }

    #[test]
    fn spans() {
        assert_eq!(span("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(span("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(span("1.5s"), Some(Duration::from_millis(1500)));
        for bad in ["", "5", "s", "5x", "-1s", "1..s", "99999999999999999999h"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!((size("64MiB"), size("512KiB"), size("1GiB")), (Some(64 << 20), Some(512 << 10), Some(1 << 30)));
        assert_eq!((size("65536"), size("7B"), size("0")), (Some(65_536), Some(7), Some(0)));
        for bad in ["", "MiB", "5M", "5 MiB", "-1", "1.5MiB", "99999999999GiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
