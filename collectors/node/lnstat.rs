//! `/proc/net/stat/`: what the caches of the network count, on each CPU.
//!
//! A file per cache: a line of names, and below it a line of hexadecimal numbers for each CPU that the machine may have.
//! Which CPU a line is of is told by its place only. The kernel names the families; caches share them.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, Kind};
use crate::{Collector, Group, Pace, RunTime, Spec};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = "stat";
const LABELS: &[&str; 2] = &["cpu", "subsystem"];
/// How many names are taken; Linux 6.18 has about 50.
const NAMES_MAX: usize = 512;

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[RunTime {
        pattern: "node_lnstat_<name>_total",
        kind: "counter",
        help: "A column of a file in /proc/net/stat; the label subsystem is the file's name.",
        labels: LABELS,
    }],
    default: false,
    // Some twenty series per CPU.
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "lnstat", "What caches of the network count on each CPU, from /proc/net/stat.", &[], open)
};

struct Lnstat {
    caches: Vec<Cache>,
    families: HashMap<String, Arc<Family>>,
    cpu: String,
}

struct Cache {
    name: String,
    file: KeptFile,
    header: Vec<u8>,
    /// `None` for a column whose name can be no family's.
    columns: Vec<Option<Arc<Family>>>,
}

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let lnstat = Lnstat { caches: Vec::new(), families: HashMap::new(), cpu: String::new() };
    Ok(Some(Box::new(lnstat)))
}

impl Collector for Lnstat {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        self.list(host)?;
        for cache in &mut self.caches {
            let text = match host.read_kept(&mut cache.file) {
                // Its module was unloaded meanwhile.
                Err(Error::Absent { .. } | Error::Gone { .. }) => continue,
                result => out.ok(result),
            };
            if let Some(text) = text {
                cache.put(text, &mut self.families, &mut self.cpu, out);
            }
        }
        Ok(())
    }
}

impl Lnstat {
    fn list(&mut self, host: &mut Host) -> Result<(), Error> {
        let names = match host.names(Root::Net, FOLDER) {
            Err(error) if error.is_absent() => Vec::new(),
            names => names?,
        };
        if names.iter().eq(self.caches.iter().map(|cache| &cache.name)) {
            return Ok(());
        }
        let cache = |name: String| {
            let file = KeptFile::new(Root::Net, format!("{FOLDER}/{name}")).lines();
            Cache { name, file, header: Vec::new(), columns: Vec::new() }
        };
        self.caches = names.into_iter().map(cache).collect();
        Ok(())
    }
}

impl Cache {
    fn put(
        &mut self,
        text: &[u8],
        families: &mut HashMap<String, Arc<Family>>,
        cpu_label: &mut String,
        out: &mut Batch,
    ) {
        let mut lines = parse::lines(text);
        let Some(header) = lines.next() else { return };
        if self.header != header {
            self.header = header.to_vec();
            self.columns.clear();
            for name in parse::words(header) {
                let family = family(name, families);
                // A name that comes twice would make the same series twice.
                let is_new =
                    family.as_ref().is_none_or(|new| !self.columns.iter().flatten().any(|old| Arc::ptr_eq(old, new)));
                self.columns.push(family.filter(|_| is_new));
            }
        }
        for (line, cpu) in lines.zip(0u32..) {
            cpu_label.clear();
            // Writing to a string can't fail.
            let _ = write!(cpu_label, "{cpu}");
            let of = out.entity(LABELS, [cpu_label, &self.name]);
            for (family, word) in self.columns.iter().zip(parse::words(line)) {
                let Some(family) = family else { continue };
                match parse::hex(word) {
                    Some(count) => out.put(family, of, count),
                    None => {
                        let path = format!("/proc/net/{FOLDER}/{}", self.name);
                        out.fault(Error::malformed(&path, cpu + 2, "hexadecimal numbers"));
                        break;
                    }
                }
            }
        }
    }
}

/// The family of a column, if its name can be one's.
fn family(name: &[u8], families: &mut HashMap<String, Arc<Family>>) -> Option<Arc<Family>> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some(family) = families.get(name) {
        return Some(Arc::clone(family));
    }
    let is_good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.is_empty() || !is_good || families.len() >= NAMES_MAX {
        return None;
    }
    let help = format!("Column {name} of the files in /proc/net/stat, as counted on the CPU.");
    let family = Family::at_run_time(format!("node_lnstat_{name}_total"), help, Kind::Counter);
    families.insert(name.to_owned(), Arc::clone(&family));
    Some(family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const ARP: &str = "entries  allocs destroys\n00000003  00000010 0000000d\n00000003  00000002 0000000a 000000ff\n";

    fn series(name: &str, subsystem: &str, counts: &[u64]) -> String {
        let line =
            |(cpu, count)| format!("node_lnstat_{name}_total{{cpu=\"{cpu}\",subsystem=\"{subsystem}\"}} {count}\n");
        counts.iter().enumerate().map(line).collect()
    }

    #[test]
    fn caches_on_each_cpu() {
        let conntrack = "entries  searched clashres\n00000021  00000000 00000001\n";
        let tree = Tree::new(&[("proc/net/stat/arp_cache", ARP), ("proc/net/stat/nf_conntrack", conntrack)]);
        let page = [
            series("allocs", "arp_cache", &[16, 2]),
            series("clashres", "nf_conntrack", &[1]),
            series("destroys", "arp_cache", &[13, 10]),
            series("entries", "arp_cache", &[3, 3]),
            series("entries", "nf_conntrack", &[33]),
            series("searched", "nf_conntrack", &[0]),
        ];
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), page.concat());
        assert_eq!(opened.round(), page.concat());
        tree.remove("proc/net/stat/nf_conntrack");
        tree.write("proc/net/stat/arp_cache", "entries lookups\n1 2\n");
        assert_eq!(opened.round(), series("entries", "arp_cache", &[1]) + &series("lookups", "arp_cache", &[2]));
    }

    #[test]
    fn a_bad_line_costs_only_its_rest() {
        let text = "a b-c a b\n1 2 3 4\n5 x y z\n6 7\n8";
        let tree = Tree::new(&[("proc/net/stat/x", text), ("proc/net/stat/y", ""), ("proc/net/stat/z", "a\n1\n")]);
        tree.write("calls/errno", "proc/net/stat/z EIO\n");
        let b = "node_lnstat_b_total{cpu=\"0\",subsystem=\"x\"} 4\n";
        let expected = format!("{}{b}! io\n! malformed\n", series("a", "x", &[1, 5, 6]));
        tree.check(&SPEC, &[], &expected);
        Tree::new(&[]).check(&SPEC, &[], "");
        Tree::new(&[("proc/net/stat/", "")]).check(&SPEC, &[], "");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "([a-g ]{0,9}\n){0,4}") {
            for text in [&bytes[..], text.as_bytes()] {
                let file = KeptFile::new(Root::Net, "stat/x");
                let mut cache = Cache { name: "x".to_owned(), file, header: Vec::new(), columns: Vec::new() };
                cache.put(text, &mut HashMap::new(), &mut String::new(), &mut Batch::new(100));
            }
        }
    }
}
