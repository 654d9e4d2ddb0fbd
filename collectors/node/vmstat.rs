//! `/proc/vmstat`: events of the memory management.
//!
//! The kernel names the families, and each release adds some; an option chooses among them. What it says of a name is
//! remembered with the name's family, so that a round asks for none and makes none.

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, Kind};
use crate::{Collector, Group, RunTime, Spec};
use std::collections::HashMap;
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
    fields: Filter,
    /// The families of the names that were chosen, and the names that were not.
    names: HashMap<Box<[u8]>, Option<Arc<Family>>>,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let fields = options.filter("fields", "");
    Ok(Some(Box::new(Vmstat { file: KeptFile::new(Root::Proc, "vmstat").lines(), fields, names: HashMap::new() })))
}

impl Collector for Vmstat {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        let machine = out.machine();
        for (line, number) in parse::lines(text).zip(1..) {
            let mut words = parse::words(line);
            let Some(name) = words.next() else { continue };
            if !self.knows(name) {
                out.fault(Error::malformed("/proc/vmstat", number, "a name of letters, digits and underscores"));
                continue;
            }
            let Some(Some(family)) = self.names.get(name) else { continue };
            match words.next().and_then(parse::number) {
                Some(count) => out.put(family, machine, count),
                None => out.fault(Error::malformed("/proc/vmstat", number, "a name and a count")),
            }
        }
        Ok(())
    }
}

impl Vmstat {
    /// Whether the name is known, be it chosen or not; a new one is asked for.
    fn knows(&mut self, name: &[u8]) -> bool {
        if self.names.contains_key(name) {
            return true;
        }
        if self.names.len() >= NAMES_MAX {
            return false;
        }
        let Some(text) = plain(name) else { return false };
        let family = self.fields.keeps(text).then(|| {
            let help = format!("{text} of /proc/vmstat.");
            Family::at_run_time(format!("node_vmstat_{text}"), help, Kind::Untyped)
        });
        self.names.insert(name.into(), family);
        true
    }
}

/// `pgfault`: a name that can be part of a family's; `None` for all else.
fn plain(name: &[u8]) -> Option<&str> {
    let is_plain = name.len() <= NAME_MAX && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    std::str::from_utf8(name).ok().filter(|_| is_plain)
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
        let text = "pgpgin x\n\npgpgout\npg-fault 1\npgfault 1\nnr_free -1\npgmajfault 12";
        let page = format!("node_vmstat_pgfault 1\n{}", "! malformed\n".repeat(3));
        Tree::new(&[("proc/vmstat", text)]).check(&SPEC, &[], &page);
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    #[test]
    fn names_are_bounded_and_made_once() {
        let text: String = (0..NAMES_MAX + 2).map(|n| format!("pgpg{n} 1\n")).collect();
        let tree = Tree::new(&[("proc/vmstat", &text)]);
        let mut opened = tree.open(&SPEC, &[]);
        let said = opened.round();
        assert_eq!((said.matches("node_vmstat_").count(), said.matches("! malformed").count()), (NAMES_MAX, 2));
        assert_eq!(opened.round(), said);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut vmstat = Vmstat {
                file: KeptFile::new(Root::Proc, "vmstat"),
                fields: Filter::default(),
                names: HashMap::new(),
            };
            prop_assert_eq!(vmstat.knows(&bytes), plain(&bytes).is_some());
        }
    }
}
