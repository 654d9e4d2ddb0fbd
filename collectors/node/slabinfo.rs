//! `/proc/slabinfo`: what the kernel keeps its objects in. Only root may read it.

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::HashMap;
use std::time::Duration;

static ACTIVE_OBJECTS: Family = gauge("node_slabinfo_active_objects", "Objects that are in use.", &["slab"]);
static OBJECTS: Family = gauge("node_slabinfo_objects", "Objects that there is room for, in use or not.", &["slab"]);
static OBJECT_SIZE: Family = gauge("node_slabinfo_object_size_bytes", "Size of an object, in bytes.", &["slab"]);
static OBJECTS_PER_SLAB: Family =
    gauge("node_slabinfo_objects_per_slab", "How many objects a slab has room for.", &["slab"]);
static PAGES_PER_SLAB: Family = gauge("node_slabinfo_pages_per_slab", "How many pages a slab takes.", &["slab"]);

/// In the order of the file's columns.
static COLUMNS: [&Family; 5] = [&ACTIVE_OBJECTS, &OBJECTS, &OBJECT_SIZE, &OBJECTS_PER_SLAB, &PAGES_PER_SLAB];

/// Its row in the table. The kernel holds the lock of all slabs while it prints, and walks lists to count.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    options: &[
        Opt { name: "slabs-include", kind: OptKind::Regex, default: ".*", help: "Slabs to report." },
        Opt { name: "slabs-exclude", kind: OptKind::Regex, default: "", help: "Slabs to leave out of these." },
    ],
    ..Spec::new(Group::Node, "slabinfo", "Objects of the kernel, from /proc/slabinfo.", &COLUMNS, open)
};

/// How many names may be remembered; there are a few hundred slabs.
const NAMES_MAX: usize = 8192;

struct Slabinfo {
    file: KeptFile,
    filter: Filter,
    /// What the filter said of each name.
    chosen: HashMap<Box<[u8]>, bool>,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if host.read(Root::Proc, "slabinfo").is_err_and(|error| error.is_absent()) {
        return Ok(None);
    }
    let filter = options.filter("slabs-include", "slabs-exclude");
    let file = KeptFile::new(Root::Proc, "slabinfo").lines();
    Ok(Some(Box::new(Slabinfo { file, filter, chosen: HashMap::new() })))
}

impl Collector for Slabinfo {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        for (line, number) in parse::lines_of_record(text).zip(1..) {
            if line.starts_with(b"slabinfo - ") || line.starts_with(b"# name") {
                continue;
            }
            let Some((name, figures)) = slab(line) else {
                out.fault(Error::malformed("/proc/slabinfo", number, "a name and five numbers"));
                continue;
            };
            if !self.keeps(name) {
                continue;
            }
            let of = out.entity(&["slab"], [&*parse::text(name)]);
            for (family, figure) in COLUMNS.into_iter().zip(figures) {
                out.put(family, of, figure);
            }
        }
        Ok(())
    }
}

impl Slabinfo {
    fn keeps(&mut self, name: &[u8]) -> bool {
        if let Some(&known) = self.chosen.get(name) {
            return known;
        }
        if self.chosen.len() >= NAMES_MAX {
            self.chosen.clear();
        }
        let keeps = self.filter.keeps(&parse::text(name));
        self.chosen.insert(name.into(), keeps);
        keeps
    }
}

/// `kmalloc-8192  132  148  8192  4  8 : tunables …`: the name and the first five numbers.
fn slab(line: &[u8]) -> Option<(&[u8], [u64; 5])> {
    let mut words = parse::words(line);
    let name = words.next()?;
    let mut figures = [0; 5];
    for figure in &mut figures {
        *figure = parse::number(words.next()?)?;
    }
    Some((name, figures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const TEXT: &str = "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize>\n\
        kmalloc-96  10 42 96 42 1 : tunables    0    0    0 : slabdata      1      1      0\n\
        dentry  5 21 192 21 1 : tunables    0    0    0 : slabdata      1      1      0\nbroken 1 2 3\n";

    fn page(slabs: &[(&str, [u64; 5])]) -> String {
        let names = ["active_objects", "object_size_bytes", "objects", "objects_per_slab", "pages_per_slab"];
        let line = |(at, name), slab: &(&str, [u64; 5])| {
            let figure = slab.1[[0, 2, 1, 3, 4][at]];
            format!("node_slabinfo_{name}{{slab=\"{}\"}} {figure}\n", slab.0)
        };
        names.iter().enumerate().flat_map(|name| slabs.iter().map(move |slab| line(name, slab))).collect()
    }

    #[test]
    fn five_figures_of_each_slab() {
        let all = page(&[("kmalloc-96", [10, 42, 96, 42, 1]), ("dentry", [5, 21, 192, 21, 1])]);
        Tree::new(&[("proc/slabinfo", TEXT)]).check(&SPEC, &[], &format!("{all}! malformed\n"));
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn both_options_hold() {
        let dentry = format!("{}! malformed\n", page(&[("dentry", [5, 21, 192, 21, 1])]));
        let tree = Tree::new(&[("proc/slabinfo", TEXT)]);
        tree.check(&SPEC, &[("slabs-exclude", "^kmalloc")], &dentry);
        tree.check(&SPEC, &[("slabs-include", "^d|k"), ("slabs-exclude", "96")], &dentry);
    }

    #[test]
    fn without_the_right_to_read_it_the_round_fails() {
        let tree = Tree::new(&[("proc/slabinfo", TEXT), ("calls/errno", "proc/slabinfo EACCES\n")]);
        tree.check(&SPEC, &[], "! denied\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            slab(&bytes);
        }
    }
}
