//! node_exporter's whole command line: `tests/config/node_exporter.flags` says of each flag what becomes of it here.

use collectors::ALL;
use wholenode::config::{Command, Config, Written};

const LIST: &str = include_str!("../config/node_exporter.flags");

/// A flag of the list: what is expected, its word without dashes, its value; none for a switch.
fn listed() -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let (expected, flag) = line.split_once(' ').unwrap();
        match flag.trim_start().strip_prefix("--").unwrap() {
            switch if switch.starts_with("[no-]") => (expected, switch.trim_start_matches("[no-]"), None),
            valued => {
                let (word, value) = valued.split_once('=').unwrap();
                (expected, word, Some(value))
            }
        }
    };
    lines.map(row).collect()
}

fn load(flags: &[String]) -> Result<Config, String> {
    match Written::new(flags.iter().map(Into::into), []).load() {
        Ok(Command::Serve(config)) => Ok(config),
        Ok(other) => panic!("{flags:?}: {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

/// What became of these flags, in the words of the list.
fn became(flags: &[String]) -> (&'static str, String) {
    match load(flags) {
        Err(line) => ("refused", line),
        Ok(config) => match config.warnings.first() {
            None => ("honoured", String::new()),
            Some(line) if line.contains("has no effect") => ("idle", line.clone()),
            Some(line) if line.contains("is an old name") => ("old", line.clone()),
            Some(line) => ("warned", line.clone()),
        },
    }
}

/// Whether the flag is of the process or of a collector that is here.
fn is_here(word: &str) -> bool {
    let Some(below) = word.strip_prefix("collector.") else { return true };
    let collector = match below.split('.').next().unwrap() {
        "disable-defaults" => return true,
        "powersupply" => "powersupplyclass",
        "qdisk" => "qdisc",
        own => own,
    };
    ALL.iter().any(|spec| spec.name == collector)
}

#[test]
fn every_flag_of_node_exporter_is_honoured_told_to_be_idle_or_refused_in_one_line() {
    let mut broken = Vec::new();
    for (expected, word, value) in listed() {
        let forms: Vec<Vec<String>> = match value {
            None => vec![vec![format!("--{word}")], vec![format!("--no-{word}")]],
            Some(value) => vec![
                vec![format!("--{word}={value}")],
                vec![format!("--{word}"), value.to_owned()],
                vec![format!("--{word}={value}"), format!("--{word}={value}")],
                vec![format!("--{word}=")],
            ],
        };
        for form in forms {
            // What asks for nothing is never refused.
            let asks_for_nothing = form[0].starts_with("--no-") || form[0].ends_with('=');
            let found = became(&form);
            let is_right = match expected {
                "refused" if asks_for_nothing => found.0 == "honoured",
                "refused" => found.0 == "refused" && found.1.contains(word) && !found.1.contains("no such"),
                // An empty path or address is no path and no address.
                "honoured" if asks_for_nothing && value.is_some() => {
                    found.0 != "warned" && !found.1.contains("no such")
                }
                _ if is_here(word) => found.0 == expected,
                _ => asks_for_nothing || found.1.contains("not part of this wholenode") || found.0 == expected,
            };
            if !is_right || found.1.contains('\n') {
                broken.push(format!("{}: {expected} by the list, but {} {}", form.join(" "), found.0, found.1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_file_of_all_honoured_flags_is_one_command_line() {
    let honoured = listed().into_iter().filter(|(expected, word, _)| {
        // An inclusion and its exclusion contradict each other, there as here.
        *expected == "honoured" && !word.ends_with("-include") && is_here(word)
    });
    let lines: Vec<String> = honoured
        .map(|(_, word, value)| match value {
            // A value on the flag's line, or on the next.
            Some(value) if word.len() % 2 == 0 => format!("--{word}\n{value}\n"),
            Some(value) => format!("--{word}={value}\n"),
            None => format!("--{word}\n"),
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flags");
    std::fs::write(&path, format!("# all of them\n\n{}", lines.concat())).unwrap();
    let config = load(&[format!("@{}", path.display())]).unwrap();
    assert!(config.collectors.len() >= 13 && config.max_requests == 7 && config.telemetry_path == "/m");
}

/// Whichever node_exporter is on this machine: none of its flags is missing in the list.
#[test]
fn the_list_has_every_flag_that_node_exporter_tells() {
    let asked = std::process::Command::new("prometheus-node-exporter").arg("--help-long").output();
    let Ok(asked) = asked else { return crate::skipped("prometheus-node-exporter is not on this machine") };
    let told = String::from_utf8([asked.stdout, asked.stderr].concat()).unwrap();
    let flags = told.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let words: Vec<&str> = flags
        .map(|flag| flag.trim_start_matches("[no-]"))
        .map(|flag| flag.split(['=', ' ']).next().unwrap())
        .filter(|word| word.contains('.'))
        .collect();
    assert!(words.len() > 100, "{told}");
    let list = listed();
    let missing: Vec<&&str> = words.iter().filter(|word| list.iter().all(|(_, known, _)| known != *word)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
