//! Files below `/proc/sys/` that options name: settings and figures of the kernel.
//!
//! A name such as `fs.file-nr` is a path whose dots are slashes, so none leads out of that folder. Numbers become values;
//! words, if asked for, become labels. Figures of the network are those of the network that the daemon runs in.

use crate::kit::{Error, Host, KeptFile, Opt, OptKind, Options, parse};
use crate::model::{Batch, Family, Kind, Value, gauge};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

static INFO: Family =
    gauge("node_sysctl_info", "A word of a file below /proc/sys; always 1.", &["index", "name", "value"]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    run_time: &[
        RunTime {
            pattern: "node_sysctl_<name>",
            kind: "untyped",
            help: "The number in a file below /proc/sys, or the numbers, by their place.",
            labels: &["index"],
        },
        RunTime {
            pattern: "node_sysctl_<name>_<key>",
            kind: "untyped",
            help: "One of the numbers in a file below /proc/sys whose places were given names.",
            labels: &[],
        },
    ],
    options: &[
        Opt {
            name: "include",
            kind: OptKind::List,
            default: "",
            help: "A file of numbers to report, such as fs.file-nr, or fs.file-nr:total,current,max with a name for each.",
        },
        Opt {
            name: "include-info",
            kind: OptKind::List,
            default: "",
            help: "A file of words to report as labels of node_sysctl_info, such as kernel.seccomp.actions_avail.",
        },
    ],
    ..Spec::new(Group::Node, "sysctl", "Chosen files below /proc/sys.", &[&INFO], open)
};

struct Sysctl {
    settings: Vec<Setting>,
    label: String,
}

/// A file that was chosen.
struct Setting {
    name: String,
    path: String,
    file: KeptFile,
    form: Form,
}

enum Form {
    /// A number, or numbers by their place.
    Numbers(Arc<Family>),
    /// A family for each number.
    Named(Vec<Arc<Family>>),
    Words,
    /// Names were given to words.
    NamedWords,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let numbers = options.list("include").iter().map(|text| Setting::new(text, true));
    let words = options.list("include-info").iter().map(|text| Setting::new(text, false));
    Ok(Some(Box::new(Sysctl { settings: numbers.chain(words).collect(), label: String::new() })))
}

impl Collector for Sysctl {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for setting in &mut self.settings {
            let Some(text) = out.ok(host.read_kept(&mut setting.file)) else { continue };
            let expected = match &setting.form {
                Form::Numbers(family) => numbers(family, text, &mut self.label, out),
                Form::Named(families) => named(families, text, out),
                Form::Words => words(&setting.name, text, &mut self.label, out),
                Form::NamedWords => Err("no names for its words, in the option include-info"),
            };
            if let Err(expected) = expected {
                out.fault(Error::malformed(&setting.path, 0, expected));
            }
        }
        Ok(())
    }
}

impl Setting {
    /// `fs.file-nr`, or `fs.file-nr:total,current,max`.
    fn new(text: &str, is_numeric: bool) -> Self {
        let (name, keys) = text.split_once(':').map_or((text, None), |(name, keys)| (name, Some(keys)));
        let path = format!("sys/{}", name.replace('.', "/"));
        let family = |key: Option<&str>| {
            let words = [Some(name), key].into_iter().flatten().map(metric_name).collect::<Vec<_>>().join("_");
            let help = format!("Number in /proc/{path}.");
            Family::at_run_time(format!("node_sysctl_{words}"), help, Kind::Untyped)
        };
        let form = match (is_numeric, keys) {
            (true, None) => Form::Numbers(family(None)),
            (true, Some(keys)) => Form::Named(keys.split(',').map(|key| family(Some(key))).collect()),
            (false, None) => Form::Words,
            (false, Some(_)) => Form::NamedWords,
        };
        Self { name: name.to_owned(), file: KeptFile::single(path.clone()), path: format!("/proc/{path}"), form }
    }
}

/// Puts a number, or numbers by their place; on failure, what was expected.
fn numbers(family: &Arc<Family>, text: &[u8], label: &mut String, out: &mut Batch) -> Result<(), &'static str> {
    let count = parse::words(text).count();
    for (index, word) in parse::words(text).enumerate() {
        let value = number(word).ok_or("whole numbers")?;
        let of = if count == 1 {
            out.machine()
        } else {
            label.clear();
            // Writing to a string can't fail.
            let _ = write!(label, "{index}");
            out.entity(&["index"], [label])
        };
        out.put(family, of, value);
    }
    if count == 0 { Err("a whole number") } else { Ok(()) }
}

/// Puts numbers under their names; on failure, what was expected.
fn named(families: &[Arc<Family>], text: &[u8], out: &mut Batch) -> Result<(), &'static str> {
    if families.len() == 1 || parse::words(text).count() != families.len() {
        return Err("as many numbers as names for them, and more than one");
    }
    for (family, word) in families.iter().zip(parse::words(text)) {
        out.put(family, out.machine(), number(word).ok_or("whole numbers")?);
    }
    Ok(())
}

/// Puts words as labels; on failure, what was expected.
fn words(name: &str, text: &[u8], label: &mut String, out: &mut Batch) -> Result<(), &'static str> {
    for (index, word) in parse::words(text).enumerate() {
        label.clear();
        // Writing to a string can't fail.
        let _ = write!(label, "{index}");
        let of = out.entity(&["index", "name", "value"], [&**label, name, &parse::text(word)]);
        out.put(&INFO, of, 1u64);
    }
    if parse::words(text).next().is_none() { Err("a word") } else { Ok(()) }
}

/// `-1`, `0x1f`, or `18446744073692774399` (`kernel.shmmax`).
fn number(word: &[u8]) -> Option<Value> {
    if word.starts_with(b"0x") {
        return parse::hex(word).map(Value::from);
    }
    parse::signed(word).map(Value::from).or_else(|| parse::number(word).map(Value::from))
}

/// `kernel.threads-max`: `kernel_threads_max`; underscores that are there stay.
fn metric_name(name: &str) -> String {
    let mut plain = String::new();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric();
    let mut rest = name;
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.find(|letter| !is_plain(letter)).unwrap_or(rest.len()));
        let (gap, behind) = behind.split_at(behind.find(is_plain).unwrap_or(behind.len()));
        plain.push_str(word);
        plain.push_str(if gap.bytes().all(|byte| byte == b'_') { gap } else { "_" });
        rest = behind;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn tree() -> Tree {
        Tree::new(&[
            ("proc/sys/fs/file-nr", "1024\t0\t1631329\n"),
            ("proc/sys/kernel/threads-max", "7801\n"),
            ("proc/sys/kernel/shmmax", "18446744073692774399\n"),
            ("proc/sys/kernel/seccomp/actions_avail", "kill_process trap\n"),
            ("proc/sys/kernel/domainname", "\n"),
        ])
    }

    #[test]
    fn numbers_by_place_and_by_name() {
        let page = "node_sysctl_fs_file_nr{index=\"0\"} 1024\nnode_sysctl_fs_file_nr{index=\"1\"} 0\n\
                    node_sysctl_fs_file_nr{index=\"2\"} 1631329\n";
        tree().check(&SPEC, &[("include", "fs.file-nr")], page);
        let page =
            "node_sysctl_fs_file_nr_current 0\nnode_sysctl_fs_file_nr_max 1631329\nnode_sysctl_fs_file_nr_total 1024\n";
        tree().check(&SPEC, &[("include", "fs.file-nr:total,current,max")], page);
        tree().check(&SPEC, &[("include", "kernel.threads-max")], "node_sysctl_kernel_threads_max 7801\n");
        tree().check(&SPEC, &[("include", "kernel/shmmax")], "node_sysctl_kernel_shmmax 18446744073692774000\n");
        tree().check(&SPEC, &[], "");
    }

    #[test]
    fn words_are_labels() {
        let label = "name=\"kernel.seccomp.actions_avail\"";
        let page = format!(
            "node_sysctl_info{{index=\"0\",{label},value=\"kill_process\"}} 1\n\
             node_sysctl_info{{index=\"1\",{label},value=\"trap\"}} 1\n"
        );
        tree().check(&SPEC, &[("include-info", "kernel.seccomp.actions_avail")], &page);
    }

    #[test]
    fn what_does_not_fit_is_a_fault() {
        for name in ["kernel.seccomp.actions_avail", "kernel.threads-max:a", "fs.file-nr:a,b", "kernel.domainname"] {
            tree().check(&SPEC, &[("include", name)], "! malformed\n");
        }
        for name in ["kernel.domainname", "fs.file-nr:a,b,c"] {
            tree().check(&SPEC, &[("include-info", name)], "! malformed\n");
        }
        tree().check(&SPEC, &[("include", "net.none")], "! absent\n");
    }

    #[test]
    fn nothing_outside_is_read() {
        let tree = tree();
        tree.write("proc/secret", "1\n");
        for name in ["../secret", "..secret", "/../secret", "fs.../../secret"] {
            assert!(!Setting::new(name, true).path.contains(".."));
            tree.check(&SPEC, &[("include", name)], "! absent\n");
        }
    }

    #[test]
    fn names_become_names_of_families() {
        let names = ["net.ipv4.tcp_rmem", "a__b", "a-.-b", "é", "a_"].map(metric_name);
        assert_eq!(names, ["net_ipv4_tcp_rmem", "a__b", "a_b", "_", "a_"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text: String) {
            number(&bytes);
            let name = metric_name(&text);
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
            let setting = Setting::new(&text, true);
            prop_assert!(setting.path.starts_with("/proc/sys/") && !setting.path.contains('.'));
        }
    }
}
