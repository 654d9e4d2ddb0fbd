//! The written table of collectors, and the names of what they measure.

use super::source::{Source, closing, files, read, sources};
use super::{broken_rule, groups};
use collectors::model::{Family, Kind};
use collectors::{ALL, Group, Pace, Spec};
use std::collections::{BTreeMap, BTreeSet};

/// Counters whose names node_exporter gave them without `_total`.
const COUNTERS_WITHOUT_TOTAL: &[&str] = &["container_hugetlb_failcnt", "container_memory_failcnt"];
/// Gauges that it gave names with `_total`.
const GAUGES_WITH_TOTAL: &[&str] = &[
    "container_fs_inodes_total",
    "container_network_advance_tcp_stats_total",
    "container_network_tcp6_usage_total",
    "container_network_tcp_usage_total",
    "container_network_udp6_usage_total",
    "container_network_udp_usage_total",
    "node_systemd_socket_refused_connections_total",
];
/// Names that hold the kernel's own words, or a peer's, capitals and all.
const KERNEL_WORDS: &[&str] = &["DCGM_FI_", "node_memory_", "node_netstat_", "node_vmstat_"];

/// Labels that a peer gave names of its own making.
const LABELS_OF_PEERS: &[&str] = &["kernelVersion", "osVersion", "cadvisorVersion", "modelName", "Hostname"];

/// What is declared of a family, and where.
struct Declared {
    at: String,
    name: String,
    help: String,
    kind: Kind,
    labels: Vec<String>,
}

impl Declared {
    fn of(spec: &Spec, family: &Family) -> Self {
        Self {
            at: format!("collector {}", spec.name),
            name: family.name.to_string(),
            help: family.help.to_string(),
            kind: family.kind,
            labels: family.labels.iter().map(|&label| label.to_owned()).collect(),
        }
    }

    /// The static families of a file, as they are written: `gauge("name", "Help.", &["label"])`.
    fn in_source(source: &Source) -> Vec<Self> {
        let mut found = Vec::new();
        for (word, kind) in [("counter(", Kind::Counter), ("gauge(", Kind::Gauge), ("untyped(", Kind::Untyped)] {
            for (start, _) in source.daemon.match_indices(word) {
                let (open, end) = (start + word.len() - 1, closing(&source.daemon, start + word.len() - 1));
                let quotes: Vec<usize> = source.code[open..end].match_indices('"').map(|(at, _)| open + at).collect();
                let mut texts = quotes.chunks_exact(2).map(|pair| source.text[pair[0] + 1..pair[1]].to_owned());
                if let (Some(name), Some(help)) = (texts.next(), texts.next()) {
                    found.push(Self { at: source.at(start), name, help, kind, labels: texts.collect() });
                }
            }
        }
        found
    }
}

/// Every family that the code knows: those in the table, and those of the daemon about itself.
fn families() -> Vec<Declared> {
    let mut all: Vec<Declared> =
        ALL.iter().flat_map(|spec| spec.families.iter().map(|family| Declared::of(spec, family))).collect();
    let from_table = all.len();
    let sources = sources();
    let daemon = sources.iter().filter(|source| source.path.starts_with("src/"));
    all.extend(daemon.flat_map(Declared::in_source));
    assert!(from_table > 0 && all.len() > from_table, "no families found: the search is broken");
    all
}

/// Fails where a family breaks a rule.
#[track_caller]
fn families_obey(rule: impl Fn(&Declared) -> bool, advice: &str) {
    let broken = families().into_iter().filter(|family| !rule(family));
    broken_rule(broken.map(|family| format!("{} ({}): {:?}", family.name, family.at, family.help)).collect(), advice);
}

/// The files that are collectors: `collectors/node/stat.rs`, `collectors/node/hwmon/mod.rs`.
fn collector_files() -> BTreeSet<(String, String)> {
    let groups = groups();
    let mut found = BTreeSet::new();
    for path in files() {
        let words: Vec<&str> = path.split('/').collect();
        match words[..] {
            ["collectors", group, file] if groups.contains(group) && file != "mod.rs" => {
                found.insert((group.to_owned(), file.trim_end_matches(".rs").to_owned()));
            }
            ["collectors", group, folder, "mod.rs"] if groups.contains(group) => {
                found.insert((group.to_owned(), folder.to_owned()));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_collector_is_in_the_table_under_its_own_name() {
    let table: BTreeSet<(String, String)> =
        ALL.iter().map(|spec| (spec.group.name().to_owned(), spec.name.to_owned())).collect();
    let broken =
        table.symmetric_difference(&collector_files()).map(|(group, name)| format!("{group}/{name}")).collect();
    broken_rule(
        broken,
        "file name = Spec.name, folder = group, and a row in collectors::ALL: one of the three is missing or other",
    );
}

#[test]
fn every_pace_is_written_down() {
    let page = read("benches/README.md");
    let is_missing = |spec: &&&Spec| {
        let default = if spec.default { "on" } else { "off" };
        let pace = match spec.pace {
            Pace::Round => "round",
            Pace::Apart { .. } => "apart",
            Pace::Every { .. } => "every",
        };
        !page.contains(&format!("\n| `{}` | {default} | {pace} | ", spec.name))
    };
    let broken = ALL.iter().filter(is_missing).map(|spec| spec.name.to_owned()).collect();
    broken_rule(broken, "the paces in benches/README.md lack it or say otherwise: cargo bench --bench pace -- --write");
}

#[test]
fn every_group_is_a_folder() {
    let named: BTreeSet<String> = Group::ALL.iter().map(|group| group.name().to_owned()).collect();
    assert_eq!(named, groups(), "Group::ALL and the folders of collectors/ must be the same (see NO_GROUPS)");
}

#[test]
fn collectors_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    let broken = ALL.iter().filter(|spec| !seen.insert(spec.name)).map(|spec| spec.name.to_owned()).collect();
    broken_rule(broken, "a name is a file, a flag, a key and a label: it can't mean two collectors");
    let is_plain = |spec: &&&Spec| !is_snake_case(spec.name) || spec.about.is_empty() || spec.about.contains('\n');
    let broken = ALL.iter().filter(is_plain).map(|spec| spec.name.to_owned()).collect();
    broken_rule(broken, "a collector has a snake_case name, and one line that says what it reads");
}

#[test]
fn options_are_told_in_one_sentence() {
    let mut broken = Vec::new();
    for spec in ALL {
        let mut names = BTreeSet::new();
        for option in spec.options {
            let is_name = option
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'.') || byte.is_ascii_digit());
            if !is_name || !names.insert(option.name) || !is_sentence(option.help) {
                broken.push(format!("{}.{}: {:?}", spec.name, option.name, option.help));
            }
        }
    }
    broken_rule(
        broken,
        "an option has a name of lower-case-words-with-dashes (or dots, where node_exporter's has), once per collector, and a help that ends with a period",
    );
}

#[test]
fn families_have_names_of_their_own() {
    let mut seen: BTreeMap<String, &Family> = BTreeMap::new();
    let mut broken = Vec::new();
    for spec in ALL {
        for &family in spec.families {
            let first = seen.entry(family.name.to_string()).or_insert(family);
            if !std::ptr::eq(*first, family) {
                broken.push(format!("{} ({})", family.name, spec.name));
            }
        }
    }
    broken_rule(broken, "two collectors that put one family share one static, in collectors/families");
    let ours: Vec<String> = sources()
        .iter()
        .filter(|source| source.path.starts_with("src/"))
        .flat_map(Declared::in_source)
        .map(|family| family.name)
        .collect();
    let distinct: BTreeSet<&String> = ours.iter().collect();
    assert_eq!(distinct.len(), ours.len(), "a family of the daemon is declared twice");
    let broken = ours.iter().filter(|name| seen.contains_key(*name)).cloned().collect();
    broken_rule(broken, "a family of the daemon has the name of a collector's");
}

#[test]
fn names_are_snake_case() {
    let is_name = |name: &str| match KERNEL_WORDS.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        Some(words) => !words.is_empty() && words.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        None => is_snake_case(name),
    };
    families_obey(|family| is_name(&family.name), "a family's name is snake_case (KERNEL_WORDS lists the exceptions)");
}

#[test]
fn counters_and_only_counters_end_in_total() {
    let is_right = |family: &Declared| {
        (family.kind == Kind::Counter) == family.name.ends_with("_total")
            || family.kind == Kind::Untyped
            || COUNTERS_WITHOUT_TOTAL.contains(&family.name.as_str())
            || GAUGES_WITH_TOTAL.contains(&family.name.as_str())
    };
    families_obey(is_right, "a counter's name ends in _total, no other does; where a peer's does not, list it");
}

#[test]
fn help_is_one_sentence() {
    families_obey(|family| is_sentence(&family.help), "HELP is one line that ends with a period");
    let mut broken = Vec::new();
    for spec in ALL {
        for family in spec.run_time {
            if !is_sentence(family.help) || family.pattern.is_empty() || family.kind.is_empty() {
                broken.push(format!("{} ({})", family.pattern, spec.name));
            }
        }
    }
    broken_rule(broken, "what is named at run time has a pattern, a type, and one line that ends with a period");
}

#[test]
fn labels_are_valid() {
    let is_right = |family: &Declared| {
        let distinct: BTreeSet<&String> = family.labels.iter().collect();
        let is_label = |label: &&String| match label.as_str() {
            "le" | "quantile" | "job" | "instance" => false,
            label => is_snake_case(label) || LABELS_OF_PEERS.contains(&label),
        };
        distinct.len() == family.labels.len() && distinct.iter().all(is_label)
    };
    families_obey(is_right, "a label is snake_case, comes once, and is none that Prometheus sets itself");
}

fn is_snake_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// One line, with an end.
fn is_sentence(text: &str) -> bool {
    !text.contains('\n') && !text.contains("\\n") && text.len() > 1 && text.ends_with(['.', '…'])
}
