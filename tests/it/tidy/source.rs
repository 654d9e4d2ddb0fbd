//! The house's files as its rules see them: the text, and the code without comments, strings and tests.

use std::path::Path;

/// A Rust file. All three texts have the same length, so that a place in one is that place in the others.
pub(super) struct Source {
    /// From the repository's root.
    pub(super) path: String,
    /// As it is written.
    pub(super) text: String,
    /// Comments and the insides of strings are blanks.
    pub(super) code: String,
    /// What is for tests is blanks too: items under `#[cfg(test)]`, and the files that they name.
    pub(super) daemon: String,
}

impl Source {
    /// The line at a place in the text, for messages: `src/main.rs:7`.
    pub(super) fn at(&self, place: usize) -> String {
        format!("{}:{}", self.path, self.text[..place].matches('\n').count() + 1)
    }

    /// Whether all of it is for tests.
    pub(super) fn is_test(&self) -> bool {
        self.daemon.trim().is_empty()
    }

    /// The module that the file is: `collectors::kit::host`.
    pub(super) fn module(&self) -> Vec<&str> {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let mut module: Vec<&str> = path.split('/').collect();
        if module[0] == "src" {
            module[0] = "wholenode";
        }
        if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
            module.pop();
        }
        module
    }
}

/// Folders that fuzzers fill.
const BUILT: &[&str] = &["fuzz/artifacts", "fuzz/corpus", "fuzz/target"];

/// Every file that belongs to the house, from the repository's root, sorted; what was built and git's own are left out.
pub(super) fn files() -> Vec<String> {
    fn walk(root: &Path, below: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(root.join(below)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            let kind = entry.file_type().unwrap();
            let is_built = below.is_empty() && name.starts_with("target") || BUILT.contains(&path.as_str());
            if kind.is_dir() && name != ".git" && !is_built {
                walk(root, &path, found);
            } else if kind.is_file() && name != ".git" {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut found);
    found.sort();
    found
}

/// The text of a file of the house.
pub(super) fn read(path: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()).into_owned()
}

/// Every Rust file of the house.
pub(super) fn sources() -> Vec<Source> {
    let rust = files().into_iter().filter(|path| path.ends_with(".rs"));
    let mut sources: Vec<Source> = rust
        .map(|path| {
            let text = read(&path);
            let code = blank_words(&text);
            Source { daemon: code.clone(), path, text, code }
        })
        .collect();
    let mut for_tests: Vec<String> = ["benches", "fuzz", "tests"].map(str::to_owned).to_vec();
    for source in &mut sources {
        let home = source.path.strip_suffix(".rs").unwrap_or_default();
        let home = ["/mod", "/lib", "/main"].iter().find_map(|end| home.strip_suffix(end)).unwrap_or(home);
        let modules = blank_tests(&mut source.daemon);
        for_tests.extend(modules.iter().map(|module| format!("{home}/{module}")));
    }
    for source in &mut sources {
        let is_below = |home: &String| {
            source.path.strip_prefix(home.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if for_tests.iter().any(is_below) {
            source.daemon = blank(&source.daemon);
        }
    }
    assert!(sources.iter().any(|source| !source.is_test()), "no sources found: the walk is broken");
    sources
}

/// As many blanks; lines stay.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// The text with comments and the insides of strings and characters blanked.
fn blank_words(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !code.ends_with("br");
        // How much is kept, how much is blanked behind it, and how much then closes it.
        let (kept, blanked, close) = match first {
            '/' if rest.starts_with("//") => (0, rest.find('\n').unwrap_or(rest.len()), 0),
            '/' if rest.starts_with("/*") => (0, comment(rest), 0),
            '"' => (1, string(&rest[1..]), 1),
            'r' if !is_word && raw(rest).is_some() => raw(rest).unwrap(),
            '\'' => match character(&rest[1..]) {
                0 => (1, 0, 0),
                inside => (1, inside, 1),
            },
            other => (other.len_utf8(), 0, 0),
        };
        let end = (kept + blanked + close).min(rest.len());
        code.push_str(&rest[..kept]);
        code.push_str(&blank(&rest[kept..kept + blanked]));
        code.push_str(&rest[kept + blanked..end]);
        rest = &rest[end..];
    }
    assert_eq!(code.len(), text.len());
    code
}

fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// How long the inside of a string is.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped => return at,
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

/// How long `r#"` is, the inside behind it, and its end.
fn raw(text: &str) -> Option<(usize, usize, usize)> {
    let hashes = text[1..].bytes().take_while(|&byte| byte == b'#').count();
    let inside = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some((hashes + 2, inside.find(&end).unwrap_or(inside.len()), hashes + 1))
}

/// How long the inside of a character is; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices();
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((_, escaped))) => {
            1 + escaped.len_utf8() + text[1 + escaped.len_utf8()..].find('\'').unwrap_or(0)
        }
        (Some((_, _)), Some((second, '\''))) => second,
        _ => 0,
    }
}

/// Blanks the items under `#[cfg(test)]`; the modules among them that have files of their own.
fn blank_tests(code: &mut String) -> Vec<String> {
    const MARK: &str = "#[cfg(test)]";
    let mut modules = Vec::new();
    while let Some(start) = code.find(MARK) {
        let item = start + MARK.len();
        let semicolon = code[item..].find(';').map_or(code.len(), |at| item + at + 1);
        let brace = code[item..].find('{').map_or(code.len(), |at| item + at);
        let words: Vec<&str> = code[item..semicolon.min(brace)].split_whitespace().collect();
        let end = if words.contains(&"use") || semicolon < brace { semicolon } else { closing(code, brace) };
        if let (true, Some(at)) = (semicolon < brace, words.iter().position(|&word| word == "mod")) {
            modules.push(words[at + 1].trim_end_matches(';').to_owned());
        }
        let blanks = blank(&code[start..end]);
        code.replace_range(start..end, &blanks);
    }
    modules
}

/// The end of the block, parenthesis or bracket that opens at `start`.
pub(super) fn closing(code: &str, start: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

#[test]
fn the_rules_see_code_and_nothing_else() {
    let text = "let a = \"// \\\" no\"; // unsafe\nlet b: &'a str = r#\"x\"y\"#; let c = ['\"', '\\'', b'x']; /* /* a */ { */ f(r\"\", \"\");\n";
    let code = "let a = \"        \"; \nlet b: &'a str = r#\"   \"#; let c = [' ', '  ', b' ']; f(r\"\", \"\");\n";
    assert_eq!(blank_words(text).split_whitespace().collect::<Vec<_>>(), code.split_whitespace().collect::<Vec<_>>());
    let mut code =
        "a();\n#[cfg(test)]\nmod x;\n#[cfg(test)]\nmod y { { } }\nb();\n#[cfg(test)]\nuse z::{q};\n".to_owned();
    assert_eq!(blank_tests(&mut code), ["x"]);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a();", "b();"]);
}
