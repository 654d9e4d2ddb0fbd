//! The house, checked from its sources: each rule is a test that says what to do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod imports;
mod source;
mod table;

use source::{Source, closing, files, read, sources};
use std::collections::BTreeSet;

/// How many lines a file has at most, and a function.
const FILE_MAX: usize = 400;
const FUNCTION_MAX: usize = 70;
/// How many lines say what a module is for; `src/lib.rs` is the map of the house.
const DOC_MAX: usize = 15;
const MAP_MAX: usize = 100;
/// Folders of `collectors/` that hold no collectors.
const NO_GROUPS: &[&str] = &["families", "kit", "model", "tests"];
/// The only file with unsafe code.
const UNSAFE: &str = "collectors/kit/sys.rs";
/// What is written by programs or plays a machine is under no budget.
const FREE: &[&str] =
    &["Cargo.lock", "LICENSE", "fuzz/Cargo.lock", "fuzz/seeds/", "layout.often.ld", "tests/golden/", "tests/machines/"];

/// Fails with what breaks a rule, and what to do about it.
#[track_caller]
fn broken_rule(broken: Vec<String>, advice: &str) {
    assert!(broken.is_empty(), "{advice}:\n  {}", broken.join("\n  "));
}

/// The folders that hold collectors.
fn groups() -> BTreeSet<String> {
    let folder = |path: String| {
        let (folder, _) = path.strip_prefix("collectors/")?.split_once('/')?;
        (!NO_GROUPS.contains(&folder)).then(|| folder.to_owned())
    };
    files().into_iter().filter_map(folder).collect()
}

/// The files of the house that somebody writes and reads.
fn written() -> Vec<String> {
    files().into_iter().filter(|path| !FREE.iter().any(|free| path.starts_with(free))).collect()
}

/// How many lines declare families: those of `static A: Family = …;` and of lists of them.
fn lines_of_families(code: &str) -> usize {
    let mut lines = 0;
    for (start, _) in code.match_indices("static ") {
        let statement = &code[start..];
        let Some(equals) = statement.find('=') else { continue };
        if !code[..start].ends_with(['\n', ' ']) || !statement[..equals].contains("Family") {
            continue;
        }
        let mut at = equals;
        while let Some(byte) = statement.as_bytes().get(at) {
            match byte {
                b'(' | b'[' | b'{' => at = closing(statement, at),
                b';' => break,
                _ => at += 1,
            }
        }
        lines += statement[..at].matches('\n').count() + 1;
    }
    lines
}

#[test]
fn files_are_short() {
    let groups = groups();
    let is_of_a_group = |path: &str| {
        let folder = path.strip_prefix("collectors/").and_then(|below| below.split_once('/'));
        folder.is_some_and(|(group, _)| groups.contains(group))
    };
    let rust = sources();
    let mut broken = Vec::new();
    for path in written() {
        let lines = read(&path).lines().count();
        let families = rust.iter().find(|source| source.path == path && is_of_a_group(&path));
        let counted = lines - families.map_or(0, |source| lines_of_families(&source.code));
        if counted > FILE_MAX {
            broken.push(format!("{path}: {counted} lines"));
        }
    }
    broken_rule(
        broken,
        &format!(
            "a file has at most {FILE_MAX} lines (family declarations of a collector aside): split it where its subject splits"
        ),
    );
}

/// The name and length of every function.
fn functions(source: &Source) -> Vec<(usize, String, usize)> {
    let code = &source.code;
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let name: String = code[start + 3..].chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect();
        let is_item = start == 0 || code[..start].ends_with([' ', '\n', '(', '"']);
        if name.is_empty() || !is_item {
            continue;
        }
        // The signature ends at the body, or at the semicolon of a declaration; neither is inside its brackets.
        let mut at = start;
        while let Some(byte) = code.as_bytes().get(at) {
            match byte {
                b'(' | b'[' => at = closing(code, at),
                b'{' | b';' => break,
                _ => at += 1,
            }
        }
        if code[at..].starts_with('{') {
            let lines = code[start..closing(code, at)].matches('\n').count() + 1;
            found.push((start, name, lines));
        }
    }
    found
}

#[test]
fn functions_are_short() {
    let mut broken = Vec::new();
    let mut all = 0;
    for source in sources() {
        for (place, name, lines) in functions(&source) {
            all += 1;
            if lines > FUNCTION_MAX {
                broken.push(format!("{}: {name} has {lines} lines", source.at(place)));
            }
        }
    }
    assert!(all > 200, "only {all} functions found: the search is broken");
    broken_rule(broken, &format!("a function has at most {FUNCTION_MAX} lines, 30 are a good aim: name a part of it"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut broken = Vec::new();
    for source in sources() {
        let lines = source.text.lines().take_while(|line| line.starts_with("//!")).count();
        let is_file_of_tests = source.is_test() && !source.path.starts_with("tests/");
        let (least, most) = match source.path.as_str() {
            "src/lib.rs" => (1, MAP_MAX),
            _ => (usize::from(!is_file_of_tests), DOC_MAX),
        };
        if !(least..=most).contains(&lines) {
            broken.push(format!("{}: {lines} lines of //!", source.path));
        }
    }
    broken_rule(broken, &format!("a file begins with 1 to {DOC_MAX} lines of //! that say what it is for"));
}

/// Fails where one of the words is in the part of the sources that `of` chooses.
#[track_caller]
fn without(words: &[&str], of: fn(&Source) -> &str, advice: &str) {
    let mut broken = Vec::new();
    for source in sources() {
        for word in words {
            let places = of(&source).match_indices(word).map(|(place, _)| format!("{}: {word}", source.at(place)));
            broken.extend(places);
        }
    }
    broken_rule(broken, advice);
}

#[test]
fn nothing_panics_outside_tests() {
    let words = [".unwrap()", ".expect(\"", "panic!", "unreachable!", "unimplemented!", "todo!"];
    without(&words, |source| &source.daemon, "return an Error, or count a fault and go on");
}

/// Where a word stands in the text, and not a longer one around it.
fn places_of_word<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let places = text.match_indices(word).map(|(place, _)| place);
    places.filter(move |&at| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

#[test]
fn unsafe_code_is_in_one_file() {
    let mut broken = Vec::new();
    for source in sources() {
        if source.path == UNSAFE {
            continue;
        }
        for word in ["unsafe", "unsafe_code"] {
            broken.extend(places_of_word(&source.code, word).map(|place| source.at(place)));
        }
    }
    broken_rule(broken, "no unsafe code: rustix has a safe form of the system call, or kit/sys.rs gets one");
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("\nunsafe_code = \"deny\"\n"), "Cargo.toml must deny unsafe code");
    for package in ["Cargo.toml", "collectors/Cargo.toml"] {
        assert!(read(package).contains("[lints]\nworkspace = true"), "{package} must take the lints of the workspace");
    }
}

#[test]
fn unsafe_code_says_why_it_is_sound() {
    let sources = sources();
    let source = sources.iter().find(|source| source.path == UNSAFE).unwrap();
    assert!(source.code.contains("#![allow(unsafe_code)]"), "{UNSAFE} must allow unsafe code");
    let lines: Vec<&str> = source.text.lines().collect();
    let mut broken = Vec::new();
    for place in places_of_word(&source.code, "unsafe") {
        let line = source.text[..place].matches('\n').count();
        let comment = lines[..line].iter().rev().take_while(|above| above.trim_start().starts_with("//"));
        if !comment.into_iter().any(|above| above.trim_start().starts_with("// SAFETY: ")) {
            broken.push(source.at(place));
        }
    }
    broken_rule(broken, "above each unsafe block stands a comment that begins with `// SAFETY: `");
}

#[test]
fn no_test_is_left_out() {
    without(&["#[ignore"], |source| &source.code, "a test that can't run here prints what it lacks and returns");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["X", "XX"].concat()];
    let is_letter = |c: char| c.is_alphanumeric();
    // A page may speak of the marks, in backticks.
    let is_mention = |c: char| is_letter(c) || c == '`';
    let mut broken = Vec::new();
    for path in written() {
        for (number, line) in read(&path).lines().enumerate() {
            let is_marked = |mark: &String| {
                line.match_indices(mark.as_str())
                    .any(|(at, _)| !line[..at].ends_with(is_mention) && !line[at + mark.len()..].starts_with(is_letter))
            };
            if marks.iter().any(is_marked) {
                broken.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    broken_rule(broken, "do it, or leave it out and say so in the documentation");
}

#[test]
fn every_machine_has_its_page() {
    let files = files();
    let machines: BTreeSet<String> = files
        .iter()
        .filter_map(|path| {
            let (machine, file) = path.strip_prefix("tests/machines/")?.split_once('/')?;
            let state = file.strip_prefix("states/").and_then(|file| file.split_once('/'));
            Some(state.map_or(machine.to_owned(), |(state, _)| format!("states/{machine}-{state}")))
        })
        .collect();
    let pages: BTreeSet<String> = files
        .iter()
        .filter_map(|path| path.strip_prefix("tests/golden/")?.strip_suffix(".prom"))
        .map(|page| page.strip_prefix("containers/").unwrap_or(page).to_owned())
        .collect();
    assert!(!machines.is_empty(), "no machines found in tests/machines");
    let broken = machines.symmetric_difference(&pages).cloned().collect();
    broken_rule(
        broken,
        "each folder of tests/machines, and of states in it, has its page in tests/golden: UPDATE_GOLDEN=1 cargo test, or remove what is left over",
    );
}

#[test]
fn an_image_is_built_from_all_that_a_build_needs() {
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    let copied: Vec<&str> =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).flat_map(str::split_whitespace).collect();
    let files = files();
    let roots = files.iter().map(|path| path.split('/').next().unwrap()).collect::<BTreeSet<_>>();
    let is_needed = |root: &&str| {
        root.ends_with(".ld")
            || ["build.rs", "Cargo.toml", "Cargo.lock", ".cargo", "src", "collectors", "benches"].contains(root)
    };
    for path in roots.into_iter().filter(is_needed) {
        assert!(copied.contains(&path), "the Dockerfile copies no {path}");
        assert!(ignored.lines().any(|line| line == format!("!{path}")), ".dockerignore keeps {path} out");
    }
}
