//! Machines in further states: `tests/machines/NAME/states/STATE` holds the files that differ from the machine's own, and
//! `absent` beside them names those that are not there. Each gets a tree of its own, and a page in `tests/golden/states`.
#![allow(clippy::unwrap_used)]

use crate::golden::{HOME, collectors_of, compare, machines, page_of};
use std::fs::{copy, create_dir, create_dir_all, read_dir, read_link, read_to_string, remove_file, write};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a state's page is compared in; the rest is the machine's own.
const SHOWN: &[&str] =
    &["DCGM_", "jetson_", "node_energy_", "node_host_", "node_power_", "wholenode_read_errors_total"];

const DEBUGFS: &str = "sys/kernel/debug";

/// A machine's files, in a state.
pub(crate) struct Tree {
    /// `tx2`, or `tx2-busy` in a further state.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The folder, where it was made for this.
    _made: Option<tempfile::TempDir>,
}

impl Tree {
    /// A machine as it is in `tests/machines`.
    pub(crate) fn of(machine: &str) -> Self {
        let path = PathBuf::from(format!("{HOME}/tests/machines/{machine}"));
        Self { name: machine.to_owned(), path, _made: None }
    }

    fn in_state(machine: &str, state: &str) -> Self {
        let base = Self::of(machine).path;
        let changes = base.join("states").join(state);
        let tree = Self::copied(&base, format!("{machine}-{state}"));
        lay(&changes, &tree.path);
        for gone in read_to_string(changes.join("absent")).unwrap_or_default().lines() {
            // One that isn't there anyhow is a slip.
            remove_file(tree.path.join(gone)).unwrap();
        }
        tree
    }

    fn copied(base: &Path, name: String) -> Self {
        let made = tempfile::tempdir().unwrap();
        for entry in read_dir(base).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != "states") {
            lay(&entry.path(), &made.path().join(entry.file_name()));
        }
        Self { name, path: made.path().to_owned(), _made: Some(made) }
    }

    /// Whether there is something in its debugfs.
    pub(crate) fn has_debugfs(&self) -> bool {
        let Ok(entries) = read_dir(self.path.join(DEBUGFS)) else { return false };
        entries.map(Result::unwrap).any(|entry| entry.file_name() != ".keep")
    }

    /// The same to one who may read debugfs, or who may not.
    pub(crate) fn to_one_who_reads_debugfs(&self, may: bool) -> Self {
        let tree = Self::copied(&self.path, self.name.clone());
        let (path, refusal) = (tree.path.join("calls/errno"), format!("{DEBUGFS} EACCES"));
        let errors = read_to_string(&path).unwrap_or_default();
        let errors = errors.lines().filter(|line| *line != refusal).chain((!may).then_some(refusal.as_str()));
        let errors: String = errors.map(|line| format!("{line}\n")).collect();
        write(path, errors).unwrap();
        tree
    }
}

/// Copies a file, a link as a link, or all of a folder, over what is there.
fn lay(from: &Path, to: &Path) {
    let kind = from.symlink_metadata().unwrap().file_type();
    if kind.is_dir() {
        match create_dir(to) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.unwrap(),
        }
        read_dir(from).unwrap().map(Result::unwrap).for_each(|entry| lay(&entry.path(), &to.join(entry.file_name())));
    } else {
        // Else it would be written where a link leads.
        let _ = remove_file(to);
        if kind.is_symlink() {
            std::os::unix::fs::symlink(read_link(from).unwrap(), to).unwrap();
        } else {
            copy(from, to).unwrap();
        }
    }
}

/// The machines as they are, and in their further states.
pub(crate) fn trees() -> Vec<Tree> {
    machines().iter().flat_map(|machine| std::iter::once(Tree::of(machine)).chain(of_machine(machine))).collect()
}

/// The further states of a machine.
fn of_machine(machine: &str) -> Vec<Tree> {
    let Ok(entries) = read_dir(Tree::of(machine).path.join("states")) else { return Vec::new() };
    let mut states: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    states.sort();
    states.iter().map(|state| Tree::in_state(machine, state)).collect()
}

#[test]
fn every_further_state_has_the_page_that_it_had() {
    let shown: Vec<String> = ["jetson", "power"].iter().flat_map(|group| collectors_of(group)).collect();
    let mut count = 0;
    for tree in machines().iter().flat_map(|machine| of_machine(machine)) {
        let page = page_of(&tree.path, &shown, &["--collector.disable-defaults"]);
        let is_shown = |line: &&str| {
            let named = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
            SHOWN.iter().any(|prefix| named.starts_with(prefix))
        };
        let page: String = page.lines().filter(is_shown).map(|line| format!("{line}\n")).collect();
        compare(&format!("states/{}.prom", tree.name), &page);
        count += 1;
    }
    assert!(count >= 6, "only {count} states");
}

#[test]
fn a_state_is_laid_over_its_machine() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        create_dir_all(path.parent().unwrap()).unwrap();
        write(path, text).unwrap();
    };
    put("base/devices/x/load", "0\n");
    put("base/devices/x/name", "x\n");
    std::os::unix::fs::symlink("devices", folder.path().join("base/class")).unwrap();
    put("state/devices/x/load", "1\n");
    let to = folder.path().join("tree");
    lay(&folder.path().join("base"), &to);
    lay(&folder.path().join("state"), &to);
    assert_eq!(read_link(to.join("class")).unwrap(), Path::new("devices"));
    assert_eq!(read_to_string(to.join("class/x/load")).unwrap(), "1\n");
    assert_eq!(read_to_string(to.join("class/x/name")).unwrap(), "x\n");
    assert_eq!(read_to_string(folder.path().join("base/devices/x/load")).unwrap(), "0\n");
}
