//! The whole page of each machine in `tests/machines`, and the references, compared with `tests/golden`.
//!
//! `UPDATE_GOLDEN=1 cargo test` writes them anew; the difference is then read like code.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::states::Tree;
use std::fmt::Write as _;
use std::path::Path;

pub(crate) const HOME: &str = env!("CARGO_MANIFEST_DIR");
/// Families whose values differ from run to run: their labels are compared, their values are not.
const CHANGING: &[&str] =
    &["node_scrape_collector_duration_seconds", "wholenode_collector_age_seconds", "node_textfile_mtime_seconds"];
/// Families that tell of the build or of the process, and not of the machine.
const LEFT_OUT: &[&str] = &["wholenode_build_info", "node_exporter_build_info", "process_"];

/// What the program prints.
pub(crate) fn output(arguments: &[String]) -> String {
    let output = crate::program::command().args(arguments).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{told}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.is_empty(), "{arguments:?} printed nothing\n{told}");
    text
}

/// What the program says of the machine whose files these are, without what changes.
pub(crate) fn page_of(tree: &Path, collectors: &[String], more: &[&str]) -> String {
    let tree = tree.to_str().unwrap();
    let roots = [
        ("procfs", "proc"),
        ("sysfs", "sys"),
        ("rootfs", "rootfs"),
        ("udev.data", "udev"),
        ("cgroupfs", "cgroup"),
        ("calls", "calls"),
    ];
    let mut arguments = vec!["once".to_owned()];
    arguments.extend(roots.map(|(flag, folder)| format!("--path.{flag}={tree}/{folder}")));
    arguments.push(format!("--collector.textfile.directory={tree}/textfile"));
    arguments.extend(collectors.iter().map(|name| format!("--collector.{name}")));
    arguments.extend(more.iter().map(|flag| (*flag).to_owned()));
    let page = output(&arguments);
    lasting(&if tree.starts_with(HOME) { page } else { page.replace(tree, "TREE") })
}

/// What is told of containers. When what is no container was made is told by the times of files, which checkouts set.
fn of_containers(page: &str) -> String {
    let is_ours =
        |line: &&str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with("container_");
    let mut told = String::new();
    for line in page.lines().filter(is_ours) {
        let is_made =
            line.starts_with("container_start_time") && !line.contains(",name=") && !line.contains("id=\"/\"");
        let is_made = is_made || line.starts_with("container_creation_time");
        match line.rsplit_once(' ').filter(|_| is_made) {
            Some((series, _)) => writeln!(told, "{series} *").unwrap(),
            None => writeln!(told, "{line}").unwrap(),
        }
    }
    told
}

/// The names of all collectors, as the reference of the options has them: those that are off by default are shown too.
pub(crate) fn collectors() -> Vec<String> {
    let reference = output(&["options".to_owned()]);
    reference.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect()
}

/// The names of a group's collectors.
pub(crate) fn collectors_of(group: &str) -> Vec<String> {
    let reference = output(&["options".to_owned()]);
    let of_group = reference.split_once(&format!("## Collectors of the group {group}\n")).unwrap().1;
    let of_group = of_group.lines().take_while(|line| !line.starts_with("## "));
    of_group.filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect()
}

/// The machines' names.
pub(crate) fn machines() -> Vec<String> {
    let entries = std::fs::read_dir(format!("{HOME}/tests/machines")).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut machines: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    machines.sort();
    assert!(!machines.is_empty());
    machines
}

/// The page without what differs from run to run and from checkout to checkout.
fn lasting(page: &str) -> String {
    let mut lasting = String::new();
    for line in page.replace(HOME, "REPOSITORY").lines() {
        let described = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
        let name = described.split(['{', ' ']).next().unwrap_or_default();
        let is_changing = CHANGING.contains(&name) && !line.starts_with('#');
        if LEFT_OUT.iter().any(|family| name.starts_with(family)) {
            continue;
        }
        match line.rsplit_once(' ') {
            Some((series, _)) if is_changing => writeln!(lasting, "{series} *").unwrap(),
            _ => writeln!(lasting, "{line}").unwrap(),
        }
    }
    lasting
}

/// Compares with the file in `tests/golden`, or writes it.
#[track_caller]
pub(crate) fn compare(name: &str, text: &str) {
    let path = Path::new(HOME).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|wish| !wish.is_empty() && wish != "0") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let changes = difference(&golden, text);
    assert!(
        changes.is_empty(),
        "tests/golden/{name} says otherwise (- it, + the program now). If this is meant: UPDATE_GOLDEN=1 cargo test, \
         and read the diff.\n{changes}"
    );
}

/// The lines that only one of two texts has: `- old` and `+ new`, in their order.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    // How many lines both have in common from here on.
    let mut common = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut changes) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            writeln!(changes, "- {}", old[i].trim_end_matches('\n')).unwrap();
            i += 1;
        } else {
            writeln!(changes, "+ {}", new[j].trim_end_matches('\n')).unwrap();
            j += 1;
        }
    }
    changes
}

#[test]
fn every_machine_has_the_page_that_it_had() {
    for machine in machines() {
        compare(&format!("{machine}.prom"), &page_of(&Tree::of(&machine).path, &collectors(), &[]));
    }
}

#[test]
fn all_that_can_be_told_of_containers() {
    for machine in machines() {
        let options = ["--collector.containers.families=.*", "--collector.containers.legacy-labels"];
        let page = page_of(&Tree::of(&machine).path, &collectors(), &options);
        compare(&format!("containers/{machine}.prom"), &of_containers(&page));
    }
}

#[test]
fn the_reference_of_the_families_is_up_to_date() {
    compare("metrics.md", &output(&["metrics".to_owned()]));
}

#[test]
fn the_reference_of_the_options_is_up_to_date() {
    compare("options.md", &output(&["options".to_owned()]));
}

#[test]
fn a_difference_is_shown_line_by_line() {
    assert_eq!(difference("a\nb\nc\n", "a\nb\nc\n"), "");
    assert_eq!(difference("a\nb\nc\n", "a\nx\nc\nd\n"), "- b\n+ x\n+ d\n");
    assert_eq!(difference("", "a\n"), "+ a\n");
    assert_eq!(difference("a\n", "a"), "- a\n+ a\n");
}

#[test]
fn what_changes_is_left_out_and_nothing_else() {
    let page = format!(
        "# TYPE node_textfile_mtime_seconds gauge\nnode_textfile_mtime_seconds{{file=\"{HOME}/a b\"}} 5\n\
         # TYPE wholenode_build_info gauge\nwholenode_build_info{{version=\"1\"}} 1\nnode_load1 2\n"
    );
    let expected = "# TYPE node_textfile_mtime_seconds gauge\nnode_textfile_mtime_seconds{file=\"REPOSITORY/a b\"} *\nnode_load1 2\n";
    assert_eq!(lasting(&page), expected);
}
