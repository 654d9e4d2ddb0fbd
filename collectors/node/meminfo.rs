//! `/proc/meminfo`: how the memory is used.
//!
//! The kernel names the families; each release adds some. Names in the file's order are remembered with their families,
//! so that a round looks for none and makes none.

use crate::kit::{Error, Host, KeptFile, Options, parse};
use crate::model::{Batch, Family, Kind};
use crate::{Collector, Group, RunTime, Spec};
use std::sync::Arc;

/// Its row in the table.
pub static SPEC: Spec = Spec {
    run_time: &[
        RunTime {
            pattern: "node_memory_<Name>_bytes",
            kind: "gauge",
            help: "A line of /proc/meminfo that the kernel gives in kB, in bytes; Active(anon) becomes Active_anon.",
            labels: &[],
        },
        RunTime {
            pattern: "node_memory_<Name>",
            kind: "gauge",
            help: "A line of /proc/meminfo without a unit, such as HugePages_Free.",
            labels: &[],
        },
    ],
    ..Spec::new(Group::Node, "meminfo", "How the memory is used, from /proc/meminfo.", &[], open)
};

/// How many names are taken; Linux 6.18 has 59.
const NAMES_MAX: usize = 256;
/// How long a name may be.
const NAME_MAX: usize = 64;

struct Meminfo {
    file: KeptFile,
    fields: Vec<Field>,
}

struct Field {
    name: Box<[u8]>,
    is_kib: bool,
    family: Arc<Family>,
}

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Meminfo { file: KeptFile::single("meminfo"), fields: Vec::new() })))
}

impl Collector for Meminfo {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        let machine = out.machine();
        let mut next = 0;
        for (line, number) in parse::lines_of_record(text).zip(1..) {
            let at = field(line).and_then(|figure| Some((self.position(&figure, next)?, figure.value)));
            match at.and_then(|(at, value)| Some((at, self.fields.get(at)?, value))) {
                Some((at, field, value)) => {
                    out.put(&field.family, machine, value);
                    next = at + 1;
                }
                None => out.fault(Error::malformed("/proc/meminfo", number, "a name and a number, plain or of kB")),
            }
        }
        if out.is_empty() { Err(Error::malformed("/proc/meminfo", 0, "figures of memory")) } else { Ok(()) }
    }
}

impl Meminfo {
    /// Where the field is kept: mostly where it is expected. A new one is added if its name makes a family of its own.
    fn position(&mut self, figure: &Figure<'_>, expected: usize) -> Option<usize> {
        let is_same = |field: &Field| &*field.name == figure.name && field.is_kib == figure.is_kib;
        if self.fields.get(expected).is_some_and(is_same) {
            return Some(expected);
        }
        if let Some(at) = self.fields.iter().position(is_same) {
            return Some(at);
        }
        let family = family(figure)?;
        if self.fields.len() >= NAMES_MAX || self.fields.iter().any(|field| field.family.name == family.name) {
            return None;
        }
        self.fields.push(Field { name: figure.name.into(), is_kib: figure.is_kib, family });
        Some(self.fields.len() - 1)
    }
}

fn family(figure: &Figure<'_>) -> Option<Arc<Family>> {
    let name = metric_name(figure.name)?;
    let kernel = parse::text(figure.name);
    Some(if figure.is_kib {
        let help = format!("{kernel} of /proc/meminfo, in bytes.");
        Family::at_run_time(format!("node_memory_{name}_bytes"), help, Kind::Gauge)
    } else {
        Family::at_run_time(format!("node_memory_{name}"), format!("{kernel} of /proc/meminfo."), Kind::Gauge)
    })
}

/// A line of the file.
struct Figure<'a> {
    name: &'a [u8],
    is_kib: bool,
    value: u64,
}

/// `Active(anon):       1564 kB`, or `HugePages_Total:       0`: name, unit and value.
fn field(line: &[u8]) -> Option<Figure<'_>> {
    let (name, rest) = parse::field(line)?;
    let mut words = parse::words(rest);
    let value = parse::number(words.next()?)?;
    match (words.next(), words.next()) {
        (None, _) => Some(Figure { name, is_kib: false, value }),
        (Some(b"kB"), None) => Some(Figure { name, is_kib: true, value: value.checked_mul(1024)? }),
        _ => None,
    }
}

/// `Active(anon)`: `Active_anon`; `None` if it can't be part of a family's name.
fn metric_name(name: &[u8]) -> Option<String> {
    let is_short = !name.is_empty() && name.len() <= NAME_MAX;
    let letter = |byte: &u8| match byte {
        b'(' => Some('_'),
        byte if byte.is_ascii_alphanumeric() || *byte == b'_' => Some(char::from(*byte)),
        _ => None,
    };
    name.strip_suffix(b")").unwrap_or(name).iter().map(letter).collect::<Option<String>>().filter(|_| is_short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn the_kernel_names_the_families() {
        let text = "MemTotal:       24684092 kB\nActive(anon):  2 kB\nHugePages_Total:       7\n";
        let page = "node_memory_Active_anon_bytes 2048\nnode_memory_HugePages_Total 7\n\
                    node_memory_MemTotal_bytes 25276510208\n";
        Tree::new(&[("proc/meminfo", text)]).check(&SPEC, &[], page);
    }

    #[test]
    fn lines_may_come_and_go() {
        let tree = Tree::new(&[("proc/meminfo", "A: 1\nB: 2\nC: 3\n")]);
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), "node_memory_A 1\nnode_memory_B 2\nnode_memory_C 3\n");
        tree.write("proc/meminfo", "X: 9\nA: 1\nC: 3\nB: 2 kB\n");
        let page = "node_memory_A 1\nnode_memory_B_bytes 2048\nnode_memory_C 3\nnode_memory_X 9\n";
        assert_eq!(opened.round(), page);
        assert_eq!(opened.round(), page);
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let text = "A: 1\nno colon\nB: x kB\nC: 1 MB\nD: 18446744073709551615 kB\nE-F: 1\n(: 1\nA(b): 1\nA_b: 2";
        let page = "node_memory_A 1\nnode_memory_A_b 1\nnode_memory__ 1\n! malformed\n";
        Tree::new(&[("proc/meminfo", text)]).check(&SPEC, &[], &format!("{page}{}", "! malformed\n".repeat(5)));
        Tree::new(&[("proc/meminfo", "")]).check(&SPEC, &[], "! malformed\n");
    }

    #[test]
    fn names_are_bounded() {
        let text: String = (0..NAMES_MAX + 2).map(|n| format!("N{n}: 1\n")).collect();
        let said = Tree::new(&[("proc/meminfo", &text)]).open(&SPEC, &[]).round();
        assert_eq!(said.matches("node_memory_N").count(), NAMES_MAX);
        assert_eq!(said.matches("! malformed").count(), 2);
        assert_eq!(metric_name(&[b'a'; NAME_MAX + 1]), None);
    }

    #[test]
    fn a_round_like_the_last_makes_no_families() {
        let tree = Tree::new(&[("proc/meminfo", "A: 1\nB: 2\n")]);
        let mut host = tree.host();
        let mut meminfo = Meminfo { file: KeptFile::single("meminfo"), fields: Vec::new() };
        let mut out = Batch::new(10);
        meminfo.collect(&mut host, &mut out).unwrap();
        let first: Vec<_> = meminfo.fields.iter().map(|field| Arc::as_ptr(&field.family)).collect();
        out.clear();
        meminfo.collect(&mut host, &mut out).unwrap();
        assert_eq!(meminfo.fields.iter().map(|field| Arc::as_ptr(&field.family)).collect::<Vec<_>>(), first);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            field(&bytes);
            if let Some(name) = metric_name(&bytes) {
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
            }
        }
    }
}
