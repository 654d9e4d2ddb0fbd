//! Memory by memory node: `memory.numa_stat`, in pages; told where it is asked for. One read of three calls.
//!
//! Version 1 tells of the cgroup alone and, as `hierarchy`, with what is below; version 2, in bytes, only the latter.
//! cAdvisor tells nothing on version 2.

use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Controller, Handle, Node, Trees};
use crate::kit::{Error, Host, parse};

const TYPES: [&str; 3] = ["file", "anon", "unevictable"];
/// How many memory nodes are told of: no kernel is built for more.
const NODES_MAX: u64 = 1024;

/// Puts them.
pub(super) fn put(host: &mut Host, trees: &Trees, node: &mut Node<State>, page: &mut Page<'_>) -> Result<(), Error> {
    let Some(tree) = trees.of(Controller::Memory).filter(|_| page.wanted.any(&[Metric::NumaPages])) else {
        return Ok(());
    };
    let page_size = host.page_size();
    if let Some(text) = host.cgroup(tree, &node.path, "memory.numa_stat", &mut Handle::default())? {
        for (kind, scope, number, amount) in pages(text, trees.unified(), page_size) {
            let number = number.to_string();
            let of = page.out.part(page.of, &["type", "scope", "node"], [kind, scope, &number]);
            page.put_of(Metric::NumaPages, of, Some(amount));
        }
    }
    Ok(())
}

/// `file=3 N0=1 N1=2\nhierarchical_file=3 N0=1 N1=2\n…` of version 1, `file N0=4096 N1=8192\n…` of version 2: the type, the
/// scope, the node and how many pages.
fn pages(text: &[u8], unified: bool, page_size: u64) -> impl Iterator<Item = (&'static str, &'static str, u64, u64)> {
    let lines = parse::lines_of_record(text).filter_map(move |line| {
        let mut words = parse::words(line);
        let name = words.next()?;
        let (name, scope) = match (unified, name.strip_prefix(b"hierarchical_")) {
            (true, _) => (name, "hierarchy"),
            (false, Some(name)) => (name, "hierarchy"),
            (false, None) => (name, "container"),
        };
        let name = if unified { name } else { name.split(|byte| *byte == b'=').next()? };
        let kind = TYPES.into_iter().find(|kind| kind.as_bytes() == name)?;
        Some((kind, scope, words))
    });
    let divisor = if unified { page_size.max(1) } else { 1 };
    lines.flat_map(move |(kind, scope, words)| {
        words.filter_map(move |word| {
            let equals = word.iter().position(|byte| *byte == b'=')?;
            let node = parse::number(word.get(..equals)?.strip_prefix(b"N")?).filter(|node| *node < NODES_MAX)?;
            Some((kind, scope, node, parse::number(word.get(equals + 1..)?)? / divisor))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn of_both_versions() {
        let text = b"total=5 N0=2 N1=3\nfile=3 N0=1 N1=2\nanon=0 N0=0\nhierarchical_unevictable=9 N0=x N1=9 N1024=1\n";
        let told: Vec<_> = pages(text, false, 4096).collect();
        let file = ["container"].map(|scope| [("file", scope, 0, 1), ("file", scope, 1, 2)]).concat();
        let rest = [("anon", "container", 0, 0), ("unevictable", "hierarchy", 1, 9)];
        assert_eq!(told, [&file[..], &rest].concat());
        let told: Vec<_> = pages(b"anon N0=4096 N1=8192\nanon_thp N0=1\nfile N0=0\n", true, 4096).collect();
        assert_eq!(told, [("anon", "hierarchy", 0, 1), ("anon", "hierarchy", 1, 2), ("file", "hierarchy", 0, 0)]);
    }

    #[test]
    fn where_it_is_asked_for() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let tree = Tree::new(&[
            ("cgroup/cgroup.controllers", "memory\n"),
            (&format!("cgroup/docker/{id}/memory.numa_stat"), &format!("file N0={}\n", tree_page_size() * 3)),
        ]);
        let line = format!("{{id=\"/docker/{id}\",name=\"{id}\",type=\"file\",scope=\"hierarchy\",node=\"0\"}} 3\n");
        let asked = [("levels", "containers"), ("families", ".*numa.*")];
        let page = tree.open(&SPEC, &asked).round();
        assert!(page.contains(&format!("container_memory_numa_pages{line}")), "{page}");
        assert!(!tree.open(&SPEC, &asked[..1]).round().contains("numa"));
    }

    fn tree_page_size() -> u64 {
        Tree::new(&[]).host().page_size()
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, unified: bool, page_size: u64) {
            pages(&bytes, unified, page_size).count();
        }
    }
}
