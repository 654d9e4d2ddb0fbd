//! The references of all metrics and of all options, in Markdown, from the tables that the code works with.

use super::keys::{option, switch, variable};
use super::otlp;
use super::settings::{SECTIONS, section};
use collectors::kit::{Opt, OptKind};
use collectors::model::{Family, Kind};
use collectors::{Group, Spec};
use std::fmt::Write as _;

/// The reference of all metrics: the collectors', and those that the daemon says about itself.
pub fn metrics(specs: &[&'static Spec], own: impl Iterator<Item = &'static Family>) -> String {
    let mut text =
        "# Metrics\n\nWhat each collector measures. `--collector.NAME` and `--no-collector.NAME` turn one on or off.\n"
            .to_owned();
    for group in Group::ALL {
        let _ = writeln!(text, "\n## {}", group.name());
        for spec in specs.iter().filter(|spec| spec.group == group) {
            collector(&mut text, spec);
            if spec.families.is_empty() && spec.run_time.is_empty() {
                continue;
            }
            families(&mut text, spec.families.iter().copied().chain(spec.clash).chain(spec.scrape_error));
            for named in spec.run_time {
                row(&mut text, &[&code(named.pattern), named.kind, &codes(named.labels), &cell(named.help)]);
            }
        }
    }
    text.push_str("\n## The daemon itself\n\nHow each collector fares, and what the server does.\n");
    families(&mut text, own);
    text
}

fn families(text: &mut String, families: impl Iterator<Item = &'static Family>) {
    text.push_str("\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    let mut rows: Vec<_> = families.collect();
    rows.sort_by_key(|family| &family.name);
    rows.dedup_by_key(|family| &family.name);
    for family in rows {
        row(text, &[&code(&family.name), kind(family.kind), &codes(family.labels), &cell(&family.help)]);
    }
}

/// The reference of all options.
pub(super) fn options(specs: &[&'static Spec]) -> String {
    let mut text = "# Options\n\n\
        The option `a.b` is the flag `--a.b=VALUE` (or `--a.b VALUE`), the key `a.b` in the file that `--config.file` names, \
        and the environment variable beside it. A flag counts before the environment, the environment before the file. \
        A flag of kind true/false is set by `--a.b` and unset by `--no-a.b`. In the file, dots may be nesting: `a.b: 1` and \
        `a: {b: 1}` are the same, and `collector.NAME.enabled` is `collector.NAME`. A list repeats the flag, is a list in the \
        file, and is separated by commas in the environment.\n"
        .to_owned();
    for (word, title) in SECTIONS {
        let _ = writeln!(text, "\n## {title}");
        table(&mut text);
        for (name, setting) in section(word) {
            option_row(&mut text, &name, setting);
        }
        if *word == "otlp" {
            otlp(&mut text);
        }
    }
    for group in Group::ALL {
        let _ = writeln!(text, "\n## Collectors of the group {}", group.name());
        for spec in specs.iter().filter(|spec| spec.group == group) {
            collector(&mut text, spec);
            table(&mut text);
            let default = if spec.default { "true" } else { "false" };
            let own = Opt { name: "", kind: OptKind::Flag, default, help: "Turn it on or off." };
            option_row(&mut text, &switch(spec.name), &own);
            for setting in spec.options {
                option_row(&mut text, &option(spec, setting.name), setting);
            }
        }
    }
    text
}

/// How further endpoints and the variables of OpenTelemetry say the same.
fn otlp(text: &mut String) {
    text.push_str(
        "\nFurther endpoints have names, and stand in the file: `otlp.endpoints.WHICH.endpoint`, \
        `otlp.endpoints.WHICH.interval` and so on, as far as `otlp.spool.max-age` in this table. They take nothing from each \
        other. The variables of OpenTelemetry give values to the options of the first one; ours count before them, and they \
        count before the file. Of two for one option, the lower one in this table counts.\n\n\
        | variable | option | written as |\n|---|---|---|\n",
    );
    for (variable, key, written) in otlp::variables() {
        row(text, &[&code(variable), &code(key), written]);
    }
    text.push_str(
        "\n`OTEL_SDK_DISABLED=true` and `OTEL_METRICS_EXPORTER=none` turn pushing off. `K8S_NODE_NAME` or `NODE_NAME` is the \
        resource's `k8s.node.name`.\n",
    );
}

fn collector(text: &mut String, spec: &Spec) {
    let default = if spec.default { "On" } else { "Off" };
    let _ = writeln!(text, "\n### {}\n\n{} {default} by default.", spec.name, spec.about);
}

fn table(text: &mut String) {
    text.push_str("\n| option | value | default | environment variable | meaning |\n|---|---|---|---|---|\n");
}

fn option_row(text: &mut String, name: &str, opt: &Opt) {
    let value = match opt.kind {
        OptKind::Flag => "true/false",
        OptKind::Number => "number",
        OptKind::Span => "time",
        OptKind::Size => "bytes",
        OptKind::Text => "text",
        OptKind::List => "list",
        OptKind::Words(_) => "words",
        OptKind::Regex | OptKind::Instead(_) => "regex",
    };
    row(text, &[&code(name), value, &code(opt.default), &code(&variable(name)), &cell(opt.help)]);
}

fn row(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn code(word: &str) -> String {
    if word.is_empty() { String::new() } else { format!("`{}`", cell(word)) }
}

fn codes(words: &[&str]) -> String {
    words.iter().map(|word| code(word)).collect::<Vec<_>>().join(", ")
}

/// A bar would end the cell, in code too.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Untyped => "untyped",
        Kind::Histogram => "histogram",
        Kind::Summary => "summary",
    }
}
