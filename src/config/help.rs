//! `--help`: one screen for each subject, and where the rest is told.

use super::settings::{SECTIONS, section};
use collectors::kit::{Opt, OptKind};
use collectors::{Group, Spec};
use std::fmt::Write as _;

const WIDTH: usize = 80;

const HEAD: &str = "\
wholenode tells Prometheus everything that this machine can say about itself,
or any receiver of OTLP.

Usage: wholenode [COMMAND] [FLAGS] [@FILE]

Commands:
  (none)      Serve until SIGTERM. SIGHUP reads the configuration again.
  once        Print the page once and end; --group=NAME prints one group's page.
  push --once Push once to all endpoints and end: with 0 if all was taken.
  check       Print what each collector finds here, what it misses, and what
              would grant it. Ends with 1 if something is denied or fails.
  metrics     Print the reference of all metrics, as Markdown.
  options     Print the reference of all options, as Markdown.
  -h, --help  Print this.  --version prints the version.
";

const TAIL: &str = "
Every flag --a.b=VALUE can also be given as the environment variable
WHOLENODE_A_B=VALUE, or as the key a.b in the file; a flag counts before the
environment, and that before the file. @FILE stands for the flags in FILE, one
on a line. Flags of node_exporter mean the same here. Where the system bus is
not at its usual place, DBUS_SYSTEM_BUS_ADDRESS says where, as everywhere; so do
the OTEL_* variables of OpenTelemetry, for what is pushed.

Examples:
  wholenode
  wholenode --web.listen-address=127.0.0.1:9100 --no-collector.loadavg
  wholenode --path.rootfs=/host --path.procfs=/host/proc --path.sysfs=/host/sys
  wholenode --config.file=/etc/wholenode.yaml
  wholenode check --path.rootfs=/host
  wholenode once --collector.disable-defaults --collector.loadavg
  wholenode --otlp.endpoint=http://collector:4318 --otlp.interval=30s
  curl --silent http://localhost:9100/metrics

Everything that a collector can be told: wholenode options
Everything that is measured:             wholenode metrics
";

/// The help.
pub(super) fn help(specs: &[&'static Spec]) -> String {
    let mut text = HEAD.to_owned();
    for (word, title) in SECTIONS {
        let _ = writeln!(text, "\n{title}:");
        if *word == "collector" {
            collectors(&mut text, specs);
        }
        for (name, row) in section(word) {
            let _ = writeln!(text, "  {}", flag(&name, row));
            wrapped(&mut text, 8, row.help.split(' '));
        }
    }
    text + TAIL
}

/// `--[no-]web.enable-openmetrics`, `--web.max-requests=40`.
fn flag(name: &str, row: &Opt) -> String {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let value = match row.kind {
        _ if !row.default.is_empty() => row.default,
        OptKind::Regex | OptKind::Instead(_) => "REGEX",
        OptKind::Size => "BYTES",
        _ if name.starts_with("path.") || ends(&[".directory"]) => "FOLDER",
        _ if ends(&["-socket"]) => "unix:///PATH",
        _ if ends(&[".endpoint", ".proxy"]) => "URL",
        _ if ends(&[".headers", "-attributes"]) => "NAME=VALUE",
        _ if ends(&["-name", "-user", "-id"]) => "NAME",
        _ => "FILE",
    };
    match row.kind {
        OptKind::Flag => format!("--[no-]{name}"),
        OptKind::List => format!("--{name}={value} ..."),
        _ => format!("--{name}={value}"),
    }
}

fn collectors(text: &mut String, specs: &[&'static Spec]) {
    text.push_str("  --collector.NAME  --no-collector.NAME\n        Turn one on or off.\n");
    text.push_str("  --collector.NAME.OPTION=VALUE\n        Tell one something.\n");
    for group in Group::ALL {
        for (default, word) in [(true, "On"), (false, "Off")] {
            let is_listed = |spec: &&&Spec| spec.group == group && spec.default == default;
            let names: Vec<&str> = specs.iter().filter(is_listed).map(|spec| spec.name).collect();
            if !names.is_empty() {
                let _ = writeln!(text, "  {word} by default ({}):", group.name());
                wrapped(text, 8, names.into_iter());
            }
        }
    }
}

/// Words in lines of bounded width.
fn wrapped<'a>(text: &mut String, indent: usize, words: impl Iterator<Item = &'a str>) {
    let mut column = 0;
    for word in words {
        let length = word.chars().count();
        if column == 0 || column + 1 + length > WIDTH {
            if column > 0 {
                text.push('\n');
            }
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent + length;
        } else {
            text.push(' ');
            column += 1 + length;
        }
        text.push_str(word);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{UNTOLD, rows};

    #[test]
    fn every_setting_is_told_and_no_line_is_long() {
        let help = help(collectors::ALL);
        for (name, _) in rows() {
            let is_told = help.contains(&format!("--{name}=")) || help.contains(&format!("--[no-]{name}\n"));
            assert_eq!(is_told, !UNTOLD.contains(&name.as_str()), "{name}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= WIDTH && line.trim_end() == line, "{line}");
        }
    }

    #[test]
    fn the_flags_of_its_examples_are_taken() {
        for line in TAIL.lines().filter_map(|line| line.strip_prefix("  wholenode")) {
            let words = line.split_ascii_whitespace().filter(|word| !word.starts_with("--config.file")).map(Into::into);
            crate::config::Written::new(words, []).load().unwrap();
        }
    }
}
