//! The YAML file: the words of the flags, nested at their dots or not.

use super::keys::{Given, Key, Layer, Source, expected};
use super::settings::CONFIG_FILE;
use super::{Error, names, otlp};
use collectors::Spec;
use collectors::kit::OptKind;
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use std::collections::BTreeMap;
use std::io::Read as _;

/// How large a file is read.
const FILE_MAX: u64 = 1 << 20;
/// How deep mappings are nested.
const DEPTH_MAX: usize = 16;

/// Reads a file that the user named.
pub(super) fn bytes(path: &str) -> Result<Vec<u8>, Error> {
    let fail = |why: String| Error::new(format!("{path}: {why}"));
    let io = |error: std::io::Error| fail(error.to_string());
    // Before it is opened: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(fail("expected a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(fail(format!("expected at most {FILE_MAX} bytes")));
    }
    Ok(bytes)
}

/// Reads a text file that the user named.
pub(super) fn read(path: &str) -> Result<String, Error> {
    String::from_utf8(bytes(path)?).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
        Error::new(format!("{path}:{line}: expected UTF-8"))
    })
}

/// The values that a file gives.
pub(super) fn parse(specs: &[&'static Spec], keys: &[Key], path: &str, text: &str) -> Result<Layer, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { specs, keys, path, parser: Parser::new_from_str(text), layer: Layer::new() };
    reader.document()?;
    Ok(reader.layer)
}

struct Reader<'a> {
    specs: &'a [&'static Spec],
    keys: &'a [Key],
    path: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    layer: Layer,
}

/// A part of the file that stands for itself.
enum Part {
    Scalar(String, Plain),
    ListStart,
    MapStart,
    End,
    /// A boundary of the file or of the document.
    Outer,
}

/// Whether a scalar stands there without quotes.
#[derive(Clone, Copy, PartialEq)]
struct Plain(bool);

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<(), Error> {
        let mut documents = 0;
        while let Some((part, line)) = self.next()? {
            match part {
                Part::Outer => {}
                _ if documents > 0 => return Err(self.fail(line, "expected one document, not several")),
                Part::MapStart => {
                    documents += 1;
                    self.mapping("", 0)?;
                }
                Part::Scalar(text, plain) if is_nothing(&text, plain) => documents += 1,
                _ => return Err(self.fail(line, "expected keys with values, such as log.level: warn")),
            }
        }
        Ok(())
    }

    fn mapping(&mut self, prefix: &str, depth: usize) -> Result<(), Error> {
        let mut lines = BTreeMap::new();
        while let Some((part, line)) = self.next()? {
            let name = match part {
                Part::End => break,
                Part::Scalar(key, _) if prefix.is_empty() => key,
                Part::Scalar(key, _) => format!("{prefix}.{key}"),
                _ => return Err(self.fail(line, "expected a text as key")),
            };
            if depth > DEPTH_MAX {
                return Err(self.fail(line, "expected less nesting"));
            }
            if let Some(first) = lines.get(&name) {
                return Err(self.fail(line, &format!("{name}: given twice, first on line {first}")));
            }
            self.value(&name, line, depth)?;
            lines.insert(name, line);
        }
        Ok(())
    }

    fn value(&mut self, name: &str, line: usize, depth: usize) -> Result<(), Error> {
        let fail = |reader: &Self, why: &str| Err(reader.fail(line, &format!("{name}: {why}")));
        let tabled = match otlp::tabled(name) {
            Ok(tabled) => tabled,
            Err(why) => return fail(self, &why),
        };
        let key = tabled.as_deref().and_then(|tabled| self.key(tabled));
        let is_above = tabled.is_some_and(|tabled| self.keys.iter().any(|key| is_below(&key.name, &tabled)));
        if key.is_none() && !is_above {
            return fail(self, &names::unknown(self.specs, name));
        }
        let holds_more = is_above || key.is_some_and(|key| key.is_switch() && key.name == name);
        let words = match (self.next()?.map(|(part, _)| part), key) {
            (Some(Part::MapStart), _) if holds_more => return self.mapping(name, depth + 1),
            (Some(Part::Scalar(text, plain)), _) if holds_more && is_nothing(&text, plain) => return Ok(()),
            (_, Some(key)) if key.name == CONFIG_FILE => return fail(self, "can't stand in the file itself"),
            (Some(Part::ListStart), Some(key)) if key.kind == OptKind::List => self.list(name)?,
            (Some(Part::Scalar(text, plain)), Some(_)) if !is_nothing(&text, plain) => vec![text],
            (Some(part), Some(key)) => {
                let what = match part {
                    Part::ListStart => "a list",
                    Part::MapStart => "a mapping",
                    _ => "nothing",
                };
                return fail(self, &format!("expected {}, not {what}", expected(key.kind)));
            }
            _ => return fail(self, "expected keys below it"),
        };
        let name = key.filter(|key| key.is_switch()).map_or(name, |key| &key.name);
        if let Some(Given { from: Source::Line(_, first), .. }) = self.layer.get(name) {
            return fail(self, &format!("given twice, first on line {first}"));
        }
        let from = Source::Line(self.path.to_owned(), line);
        self.layer.insert(name.to_owned(), Given { words, from });
        Ok(())
    }

    fn list(&mut self, name: &str) -> Result<Vec<String>, Error> {
        let mut words = Vec::new();
        while let Some((part, line)) = self.next()? {
            match part {
                Part::End => break,
                Part::Scalar(text, plain) if !is_nothing(&text, plain) => words.push(text),
                _ => return Err(self.fail(line, &format!("{name}: expected a list of texts"))),
            }
        }
        Ok(words)
    }

    /// The key of a name; `collector.NAME.enabled` means `collector.NAME`.
    fn key(&self, name: &str) -> Option<&'a Key> {
        let keys = self.keys;
        let of = |name: &str| keys.iter().find(|key| key.name == name);
        of(name).or_else(|| of(name.strip_suffix(".enabled")?).filter(|key| key.is_switch()))
    }

    /// The next part and its line.
    fn next(&mut self) -> Result<Option<(Part, usize)>, Error> {
        let Some(next) = self.parser.next_event() else { return Ok(None) };
        let (event, span) = next.map_err(|error| self.fail(error.marker().line(), error.info()))?;
        let line = span.start.line();
        let part = match event {
            Event::Alias(_) => return Err(self.fail(line, "expected the value itself, not an alias")),
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return Err(self.fail(line, "expected the value without a tag"));
            }
            Event::Scalar(text, style, ..) => Part::Scalar(text.into_owned(), Plain(style == ScalarStyle::Plain)),
            Event::SequenceStart(..) => Part::ListStart,
            Event::MappingStart(..) => Part::MapStart,
            Event::SequenceEnd | Event::MappingEnd => Part::End,
            _ => Part::Outer,
        };
        Ok(Some((part, line)))
    }

    fn fail(&self, line: usize, why: &str) -> Error {
        Error::new(format!("{}:{line}: {why}", self.path))
    }
}

/// `cpu:`, `cpu: ~` and `cpu: null` say nothing; `cpu: ""` says the empty text.
fn is_nothing(text: &str, plain: Plain) -> bool {
    plain == Plain(true) && matches!(text, "" | "~" | "null")
}

fn is_below(key: &str, name: &str) -> bool {
    key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::super::keys::keys;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([a-z.:\\[\\]{}&*!~#'\"|>-]|log|collector| |\n){0,80}") {
            let _ = parse(collectors::ALL, &keys(collectors::ALL), "x", &text);
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        let deep = "collector.cpu:\n".to_owned() + &"{enabled: ".repeat(100_000);
        assert!(parse(collectors::ALL, &keys(collectors::ALL), "x", &deep).is_err());
    }

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        assert_eq!(read("/dev/zero").unwrap_err().to_string(), "/dev/zero: expected a regular file");
        assert!(read("/nowhere").unwrap_err().to_string().starts_with("/nowhere: No such file"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, vec![b' '; FILE_MAX as usize + 1]).unwrap();
        assert!(read(path.to_str().unwrap()).unwrap_err().to_string().ends_with("expected at most 1048576 bytes"));
        std::fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
        assert!(read(path.to_str().unwrap()).unwrap_err().to_string().ends_with(":2: expected UTF-8"));
    }
}
