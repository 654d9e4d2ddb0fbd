//! Folders that an operator named with `*`, `?` and `[…]`.

use super::{Error, Host};
use regex_lite::Regex;

/// How many folders a pattern may stand for, and how many may be looked through at each of its levels.
const FOLDERS_MAX: usize = 1000;

/// A folder, or a pattern that stands for some. `*` is any text within a name, `**` no more than that: nothing is
/// searched that the pattern does not name.
#[derive(Debug)]
pub struct Glob {
    /// The pattern as it was given.
    text: String,
    /// One for each level; `None` for a plain folder.
    levels: Option<Vec<Level>>,
}

#[derive(Debug)]
enum Level {
    Plain(String),
    Pattern(Regex),
}

impl Glob {
    /// The pattern in `text`. What is not a well-formed pattern is the name of a folder.
    pub fn new(text: &str) -> Self {
        let level = |part: &str| match part.contains(['*', '?', '[']) {
            true => regex(part).map(Level::Pattern),
            false => Some(Level::Plain(part.to_owned())),
        };
        let is_plain = !text.contains(['*', '?', '[']);
        let levels = if is_plain { None } else { text.split('/').map(level).collect() };
        Self { text: text.to_owned(), levels }
    }

    /// The folders, with what could not be read. A plain folder is given whether it exists or not.
    pub fn folders(&self, host: &mut Host) -> (Vec<String>, Vec<Error>) {
        let Some(levels) = &self.levels else { return (vec![self.text.clone()], Vec::new()) };
        let mut errors = Vec::new();
        // Paths so far, each with a slash at its end; the empty one is the working directory.
        let mut paths = vec![String::new()];
        for (depth, level) in levels.iter().enumerate() {
            let mut deeper = Vec::new();
            for path in &paths {
                match level {
                    Level::Plain(name) if name.is_empty() && depth > 0 => deeper.push(path.clone()),
                    Level::Plain(name) => deeper.push(format!("{path}{name}/")),
                    Level::Pattern(pattern) => {
                        let folder = if path.is_empty() { "." } else { path.as_str() };
                        // A file among the folders has nothing in it.
                        let names =
                            host.names_in(folder).or_else(|e| if e.is_absent() { Ok(Vec::new()) } else { Err(e) });
                        let names = names.map_err(|error| errors.push(error)).unwrap_or_default();
                        let fitting = names.iter().filter(|name| pattern.is_match(name));
                        deeper.extend(fitting.map(|name| format!("{path}{name}/")));
                    }
                }
                if deeper.len() > FOLDERS_MAX {
                    deeper.truncate(FOLDERS_MAX);
                    errors.push(Error::Other { path: self.text.clone(), why: "more than 1000 folders".to_owned() });
                    break;
                }
            }
            paths = deeper;
        }
        (paths.iter().map(|path| path.trim_end_matches('/').to_owned()).collect(), errors)
    }

    /// Whether it stands for folders that may or may not exist.
    pub fn is_pattern(&self) -> bool {
        self.levels.is_some()
    }
}

/// `disk[0-9]*`: one level of a pattern as a regular expression; `None` if a bracket is not closed.
pub(super) fn regex(part: &str) -> Option<Regex> {
    let mut expression = String::from("(?s)^");
    let mut rest = part.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => {
                let (set, after) = rest.as_str().split_once(']')?;
                let (not, set) = set.strip_prefix('^').map_or(("", set), |set| ("^", set));
                // The dash keeps its meaning; everything else stands for itself.
                let set: Vec<String> = set.split('-').map(regex_lite::escape).collect();
                expression.push_str(&format!("[{not}{}]", set.join("-")));
                rest = after.chars();
            }
            '\\' => expression.push_str(&regex_lite::escape(&rest.next()?.to_string())),
            letter => expression.push_str(&regex_lite::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    Regex::new(&expression).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn folders(tree: &Tree, pattern: &str) -> Vec<String> {
        let (folders, errors) = Glob::new(&format!("{}/{pattern}", tree.path())).folders(&mut tree.host());
        assert_eq!(errors, []);
        folders.iter().map(|folder| folder.strip_prefix(tree.path()).unwrap().to_owned()).collect()
    }

    #[test]
    fn each_level_has_its_own_pattern() {
        let tree = Tree::new(&[("a1/text/x", ""), ("a2/text/x", ""), ("b1/text/x", ""), ("a3", ""), ("a+/t/x", "")]);
        assert_eq!(folders(&tree, "a*/text"), ["/a+/text", "/a1/text", "/a2/text", "/a3/text"]);
        assert_eq!(folders(&tree, "a[0-2]/t*"), ["/a1/text", "/a2/text"]);
        assert_eq!(folders(&tree, "[^a]1//te?t/"), ["/b1/text"]);
        assert_eq!(folders(&tree, "a+/[a-z]"), ["/a+/t"]);
        assert_eq!(folders(&tree, "**/none*"), [""; 0]);
    }

    #[test]
    fn a_plain_folder_and_a_broken_pattern_are_taken_as_they_are() {
        let tree = Tree::new(&[]);
        assert_eq!(folders(&tree, "no/such"), ["/no/such"]);
        assert_eq!(folders(&tree, "no/[such"), ["/no/[such"]);
        assert!(Glob::new("a*").is_pattern() && !Glob::new("[a").is_pattern());
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern: String) {
            Glob::new(&pattern);
            regex(&pattern);
        }
    }
}
