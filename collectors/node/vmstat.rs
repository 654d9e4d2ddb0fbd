//! `/proc/vmstat`: events of the memory management.
//!
//! The kernel names the families, some 190 of them, and each release adds some; an option chooses among them. What is
//! said of a name is remembered for its line, so that a round only compares; to look all of them up would take 20 µs more.

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, Kind};
use crate::{Collector, Group, RunTime, Spec};
use std::sync::Arc;

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[RunTime {
        pattern: "node_vmstat_<name>",
        kind: "untyped",
        help: "A line of /proc/vmstat, a count of events or pages.",
        labels: &[],
    }],
    options: &[Opt {
        name: "fields",
        kind: OptKind::Regex,
        default: "^(oom_kill|pgpg|pswp|pg.*fault).*",
        help: "Lines of /proc/vmstat to report, by their name.",
    }],
    ..Spec::new(Group::Node, "vmstat", "Events of the memory management, from /proc/vmstat.", &[], open)
};

/// How many names are taken; Linux 6.18 has up to 250.
const NAMES_MAX: usize = 1024;
/// How long a name may be.
const NAME_MAX: usize = 64;

struct Vmstat {
    file: KeptFile,
    filter: Filter,
    fields: Vec<Field>,
}

/// The name in a line; no family if it was not chosen.
struct Field {
    name: Box<[u8]>,
    family: Option<Arc<Family>>,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let file = KeptFile::new(Root::Proc, "vmstat").lines();
    Ok(Some(Box::new(Vmstat { file, filter: options.filter("fields", ""), fields: Vec::new() })))
}

impl Collector for Vmstat {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        put_all(host.read_kept(&mut self.file)?, &self.filter, &mut self.fields, out);
        Ok(())
    }
}

fn put_all(text: &[u8], filter: &Filter, fields: &mut Vec<Field>, out: &mut Batch) {
    let machine = out.machine();
    for (line, at) in parse::lines(text).zip(0..NAMES_MAX) {
        if fields.get(at).is_none_or(|field| field.value(line).is_none()) {
            // Another order than in the round before: the kernel keeps it, or has been replaced.
            fields.truncate(at);
            let field = Field::new(line, filter, fields);
            fields.push(field);
        }
        let Some(field) = fields.get(at) else { continue };
        let (Some(family), Some(value)) = (&field.family, field.value(line)) else { continue };
        match parse::words(value).next().and_then(parse::number) {
            Some(count) => out.put(family, machine, count),
            None => {
                let number = u32::try_from(at + 1).unwrap_or(0);
                out.fault(Error::malformed("/proc/vmstat", number, "a name and a count"));
            }
        }
    }
}

impl Field {
    /// `pgmajfault 1234`: the line's name, which is given a family if it is chosen, can be part of one, and is new.
    fn new(line: &[u8], filter: &Filter, before: &[Field]) -> Self {
        let name = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let is_plain = (1..=NAME_MAX).contains(&name.len())
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && before.iter().all(|field| *field.name != *name);
        let chosen = std::str::from_utf8(name).ok().filter(|name| is_plain && filter.keeps(name));
        let family = chosen.map(|name| {
            let help = format!("{name} of /proc/vmstat.");
            Family::at_run_time(format!("node_vmstat_{name}"), help, Kind::Untyped)
        });
        Self { name: name.into(), family }
    }

    /// What stands behind the name, if this is its line.
    fn value<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        line.strip_prefix(&*self.name).filter(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const TEXT: &str = "nr_free_pages 977769\npgpgin 7344136\npswpout 0\npgfault 18446744073709551615\n\
                        pgmajfault 2321\npgrefill 5\noom_kill 2\noom_kill_new 3\nunevictable_pgs_scanned 1\n";

    #[test]
    fn the_option_chooses() {
        let page = "node_vmstat_oom_kill 2\nnode_vmstat_oom_kill_new 3\nnode_vmstat_pgfault 18446744073709552000\n\
                    node_vmstat_pgmajfault 2321\nnode_vmstat_pgpgin 7344136\nnode_vmstat_pswpout 0\n";
        let tree = Tree::new(&[("proc/vmstat", TEXT)]);
        tree.check(&SPEC, &[], page);
        tree.check(&SPEC, &[("fields", "free")], "node_vmstat_nr_free_pages 977769\n");
        assert_eq!(tree.open(&SPEC, &[("fields", "")]).round().lines().count(), 9);
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let text = "pgpgin x\n\npgpgout\npg-fault 1\npgfault 1\npgfault 2\n oom_kill 1\nnr_free -1\npgmajfault 12";
        let tree = Tree::new(&[("proc/vmstat", text)]);
        let page = format!("node_vmstat_pgfault 1\n{}", "! malformed\n".repeat(2));
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), page);
        assert_eq!(opened.round(), page);
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    #[test]
    fn lines_may_be_others_in_the_next_round() {
        let tree = Tree::new(&[("proc/vmstat", TEXT)]);
        let mut opened = tree.open(&SPEC, &[]);
        opened.round();
        tree.write("proc/vmstat", "nr_free_pages 1\npgpgin_new 2\npgpgin 3\n");
        assert_eq!(opened.round(), "node_vmstat_pgpgin 3\nnode_vmstat_pgpgin_new 2\n");
        tree.write("proc/vmstat", "pgpgin 4\n");
        assert_eq!(opened.round(), "node_vmstat_pgpgin 4\n");
    }

    #[test]
    fn names_are_bounded_and_made_once() {
        let text: String = (0..NAMES_MAX + 2).map(|n| format!("pgpg{n} 1\n")).collect();
        let (mut fields, mut out) = (Vec::new(), Batch::new(2 * NAMES_MAX + 4));
        let mut round = || {
            put_all(text.as_bytes(), &Filter::default(), &mut fields, &mut out);
            fields.iter().map(|field| field.name.as_ptr()).collect::<Vec<_>>()
        };
        let first = round();
        assert_eq!(first.len(), NAMES_MAX);
        assert_eq!(round(), first);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "([a-z_]{0,3} ?[0-9-]{0,3}\n){0,9}") {
            let mut fields = Vec::new();
            for text in [&bytes[..], text.as_bytes()] {
                put_all(text, &Filter::default(), &mut fields, &mut Batch::new(100));
            }
        }
    }
}
