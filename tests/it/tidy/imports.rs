//! Who may import whom, and who may touch the machine.

use super::source::{Source, sources};
use super::{broken_rule, groups};
use std::collections::HashSet;

/// What each part may name of the house: modules, and `collectors::Item` for what the package's root itself declares.
/// What ties the parts together (`main.rs`, `daemon.rs`, the roots of packages) may name all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    (
        "src/check/",
        &[
            "wholenode::check",
            "wholenode::engine::Finding",
            "wholenode::sources::Probed",
            "collectors::Item",
            "collectors::kit",
        ],
    ),
    (
        "src/config/",
        &[
            "wholenode::config",
            "wholenode::export::endpoint",
            "wholenode::serve::Listen",
            "wholenode::serve::web",
            "wholenode::sources::Sockets",
            "collectors::Item",
            "collectors::kit",
            "collectors::model",
        ],
    ),
    ("src/derive/", &["wholenode::derive", "collectors::model", "collectors::families"]),
    ("src/encode/", &["wholenode::encode", "collectors::model"]),
    (
        "src/engine/",
        &["wholenode::engine", "wholenode::derive", "collectors::Item", "collectors::kit", "collectors::model"],
    ),
    (
        "src/export/",
        &["wholenode::export", "wholenode::engine", "wholenode::encode", "collectors::kit", "collectors::model"],
    ),
    ("src/log.rs", &["wholenode::log"]),
    (
        "src/page.rs",
        &["wholenode::serve", "wholenode::engine", "wholenode::encode", "collectors::kit", "collectors::model"],
    ),
    ("src/serve/", &["wholenode::serve", "wholenode::engine", "wholenode::encode"]),
    ("src/sources/", &["wholenode::sources", "wholenode::engine", "collectors::kit"]),
    ("collectors/families/", &["collectors::families", "collectors::model"]),
    ("collectors/kit/", &["collectors::kit", "collectors::model"]),
    ("collectors/model/", &["collectors::model", "collectors::kit::Error"]),
];

/// What every collector may name besides its own parts.
const COLLECTOR: &[&str] = &["collectors::Item", "collectors::kit", "collectors::model", "collectors::families"];

/// Who may use what touches the machine.
const DOORS: &[(&str, &[&str])] = &[
    (
        "std::fs",
        &[
            "collectors/kit/host.rs",
            "collectors/kit/calls.rs",
            "collectors/kit/child",
            "src/config/",
            "src/export/",
            "src/serve/",
        ],
    ),
    ("std::env", &["src/config/", "src/main.rs", "build.rs"]),
    // build.rs asks which C library is linked.
    ("std::process", &["collectors/kit/child", "src/main.rs", "build.rs"]),
    ("tokio::fs", &[]),
    ("tokio::process", &[]),
];

/// A path that a file names, resolved: `collectors::kit::Error`, `std::fs::read`.
struct Named {
    path: String,
    place: usize,
}

/// Every path of two or more words outside tests, in `use` and in the text.
fn named(source: &Source, modules: &HashSet<Vec<&str>>) -> Vec<Named> {
    let code = &source.daemon;
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let starts = is_word(code.as_bytes()[at]) && !code[..at].ends_with(['.', '\'', '$']);
        if !starts {
            at += 1;
            continue;
        }
        at = read_path(code, at, &mut Vec::new(), &mut found);
    }
    let resolved = |(words, place): (Vec<&str>, usize)| Named { path: resolve(source, modules, &words), place };
    found.into_iter().map(resolved).collect()
}

/// Reads `a::b::{c, d::e}` from `at`, with the words before it; where it ends.
fn read_path<'a>(
    code: &'a str,
    mut at: usize,
    before: &mut Vec<&'a str>,
    found: &mut Vec<(Vec<&'a str>, usize)>,
) -> usize {
    let (start, depth) = (at, before.len());
    loop {
        let length = code[at..].bytes().take_while(|&byte| is_word(byte)).count();
        before.push(&code[at..at + length]);
        at += length;
        let Some(rest) = code[at..].strip_prefix("::") else { break };
        if rest.starts_with('{') {
            let end = super::source::closing(code, at + 2);
            let mut inside = at + 3;
            while inside < end - 1 {
                inside = match &code[inside..] {
                    // `Format as F`: the other name is of no account.
                    renamed if renamed.starts_with("as ") => inside + renamed.find([',', '}']).unwrap_or(0).max(1),
                    word if is_word(word.as_bytes()[0]) => read_path(code, inside, before, found),
                    _ => inside + 1,
                };
            }
            before.truncate(depth);
            return end;
        }
        if !rest.bytes().next().is_some_and(is_word) {
            break;
        }
        at += 2;
    }
    if before.len() > 1 {
        found.push((before.clone(), start));
    }
    before.truncate(depth);
    at
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn resolve(source: &Source, modules: &HashSet<Vec<&str>>, words: &[&str]) -> String {
    let mut path = source.module();
    let mut rest = words;
    match words[0] {
        "crate" => path.truncate(1),
        "self" => {}
        "super" => {}
        first => {
            path.push(first);
            if !modules.contains(&path) {
                return words.join("::");
            }
            path.pop();
        }
    }
    while let Some(&word) = rest.first() {
        match word {
            "crate" | "self" => {}
            "super" => drop(path.pop()),
            word => path.push(word),
        }
        rest = &rest[1..];
    }
    path.join("::")
}

fn is_within(path: &str, prefix: &str) -> bool {
    if prefix == "collectors::Item" {
        let root = path.strip_prefix("collectors::").unwrap_or_default();
        return root.starts_with(|c: char| c.is_ascii_uppercase());
    }
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn all_named() -> Vec<(Source, Vec<Named>)> {
    let sources = sources();
    let modules: HashSet<Vec<&str>> = sources.iter().map(Source::module).collect();
    let found: Vec<Vec<Named>> = sources.iter().map(|source| named(source, &modules)).collect();
    drop(modules);
    sources.into_iter().zip(found).collect()
}

#[test]
fn imports_go_one_way() {
    let mut broken = Vec::new();
    for (source, named) in all_named() {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(part, _)| source.path.starts_with(part)) else { continue };
        for name in named {
            let is_ours = is_within(&name.path, "collectors") || is_within(&name.path, "wholenode");
            if is_ours && !allowed.iter().any(|prefix| is_within(&name.path, prefix)) {
                broken.push(format!("{} names {}", source.at(name.place), name.path));
            }
        }
    }
    broken_rule(
        broken,
        "data flows one way: move what is needed to where it may be named, or pass it in (see MAY_IMPORT)",
    );
}

#[test]
fn every_part_of_the_daemon_has_its_imports_written_down() {
    let roots = ["src/main.rs", "src/lib.rs", "src/daemon.rs"];
    let is_unknown = |source: &Source| {
        source.path.starts_with("src/")
            && !roots.contains(&source.path.as_str())
            && !MAY_IMPORT.iter().any(|(part, _)| source.path.starts_with(part))
    };
    let broken = sources().iter().filter(|source| is_unknown(source)).map(|source| source.path.clone()).collect();
    broken_rule(broken, "a new part of the daemon: write into MAY_IMPORT what it may name");
}

#[test]
fn a_collector_names_the_kit_the_model_and_itself() {
    let groups = groups();
    let mut broken = Vec::new();
    for (source, named) in all_named() {
        let module = source.module();
        if module.len() < 3 || module[0] != "collectors" || !groups.contains(module[1]) {
            continue;
        }
        let own = module[..3].join("::");
        for name in named {
            let is_ours = is_within(&name.path, "collectors") || is_within(&name.path, "wholenode");
            let may = is_within(&name.path, &own) || COLLECTOR.iter().any(|prefix| is_within(&name.path, prefix));
            let is_system_call = ["libc", "rustix"].iter().any(|prefix| is_within(&name.path, prefix))
                && !is_within(&name.path, "rustix::io::Errno");
            if (is_ours && !may) || is_system_call {
                broken.push(format!("{} names {}", source.at(name.place), name.path));
            }
        }
    }
    broken_rule(broken, "a collector stands on kit, model and families alone: what two of them need goes there");
}

#[test]
fn the_model_needs_no_library() {
    let manifest = super::source::read("collectors/Cargo.toml");
    let dependencies = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let names: Vec<String> = dependencies
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().replace('-', "_")))
        .collect();
    assert!(!names.is_empty(), "no dependencies found in collectors/Cargo.toml");
    let mut broken = Vec::new();
    for (source, named) in all_named() {
        for name in named.iter().filter(|_| source.path.starts_with("collectors/model/")) {
            if names.iter().any(|library| is_within(&name.path, library)) {
                broken.push(format!("{} names {}", source.at(name.place), name.path));
            }
        }
    }
    broken_rule(broken, "the model is plain Rust: move what needs a library to kit");
}

#[test]
fn the_machine_is_touched_at_its_doors() {
    let mut broken = Vec::new();
    for (source, named) in all_named() {
        for name in named {
            let Some((door, allowed)) = DOORS.iter().find(|(door, _)| is_within(&name.path, door)) else { continue };
            if !allowed.iter().any(|part| source.path.starts_with(part)) {
                broken.push(format!("{} names {} of {door}", source.at(name.place), name.path));
            }
        }
    }
    broken_rule(
        broken,
        "ask kit's Host (collectors) or src/config (settings); a new door is written into DOORS, with a reason",
    );
}

#[test]
fn paths_are_found_wherever_they_are_written() {
    let code = "use crate::{kit::{self, Error}, node::cpu};\nuse std::{fs, env as e};\nfn f() { super::g(std::process::id()); h::<u8>(); }\n";
    let source = Source {
        path: "collectors/node/x.rs".to_owned(),
        text: code.to_owned(),
        code: code.to_owned(),
        daemon: code.to_owned(),
    };
    let found: Vec<String> = named(&source, &HashSet::new()).into_iter().map(|named| named.path).collect();
    let expected = [
        "collectors::kit",
        "collectors::kit::Error",
        "collectors::node::cpu",
        "std::fs",
        "std::env",
        "collectors::node::g",
        "std::process::id",
    ];
    assert_eq!(found[..7], expected);
}
