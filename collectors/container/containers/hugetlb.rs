//! Huge pages: the files `hugetlb.SIZE.…` of each size that the machine has; told where they are asked for.
//!
//! Reservations are counted where the kernel does that (since 5.7), pages in use elsewhere. Version 2 does not tell the most
//! that ever were in use. The sizes are found once; then it takes nine calls for each of them in version 1, six in 2.

use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Controller, Handle, Node, Trees};
use crate::kit::{Error, Host, Root, parse};

const NAMES: [Metric; 3] = [Metric::HugetlbUsage, Metric::HugetlbMaxUsage, Metric::HugetlbFailcnt];
/// How many sizes a machine may have; arm64 has four.
const SIZES_MAX: usize = 16;

/// The sizes of huge pages that the machine has, as names of files have them; `None`: not looked yet.
#[derive(Debug, Default)]
pub(super) struct Sizes(Option<Vec<String>>);

/// Puts them.
pub(super) fn put(
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    Sizes(sizes): &mut Sizes,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    let Some(tree) = trees.of(Controller::Hugetlb).filter(|_| page.wanted.any(&NAMES)) else { return Ok(()) };
    let sizes = sizes.get_or_insert_with(|| {
        let folders = host.names(Root::Sys, "kernel/mm/hugepages").unwrap_or_default();
        folders.iter().filter_map(|folder| size(folder)).take(SIZES_MAX).collect()
    });
    let (current, max) =
        if trees.unified() { ("current", None) } else { ("usage_in_bytes", Some("max_usage_in_bytes")) };
    for size in sizes {
        let mut read = |file: &str| {
            let text = host.cgroup(tree, &node.path, &format!("hugetlb.{size}.{file}"), &mut Handle::default())?;
            Ok::<_, Error>(text.map(|text| (parse::number(parse::trim(text)), events_max(text))))
        };
        let reserved = read(&format!("rsvd.{current}"))?;
        let (prefix, usage) = match reserved {
            Some(usage) => ("rsvd.", Some(usage)),
            None => ("", read(current)?),
        };
        // The controller is not on here.
        let Some((usage, _)) = usage else { break };
        let max = match max {
            Some(file) => read(&format!("{prefix}{file}"))?.and_then(|(number, _)| number),
            None => None,
        };
        let failures = match trees.unified() {
            true => read("events")?.and_then(|(_, max)| max),
            false => read(&format!("{prefix}failcnt"))?.and_then(|(number, _)| number),
        };
        let of = page.out.part(page.of, &["pagesize"], [size.as_str()]);
        page.put_of(Metric::HugetlbUsage, of, usage);
        page.put_of(Metric::HugetlbMaxUsage, of, max);
        page.put_of(Metric::HugetlbFailcnt, of, failures);
    }
    Ok(())
}

/// `hugepages-2048kB`: `2MB`, as the kernel names files of cgroups.
fn size(folder: &str) -> Option<String> {
    let kibibytes = parse::number(folder.strip_prefix("hugepages-")?.strip_suffix("kB")?.as_bytes())?;
    Some(match kibibytes {
        0 => return None,
        1..1_024 => format!("{kibibytes}KB"),
        1_024..1_048_576 => format!("{}MB", kibibytes / 1_024),
        _ => format!("{}GB", kibibytes / 1_048_576),
    })
}

/// `max 3`: how often the limit was hit.
fn events_max(text: &[u8]) -> Option<u64> {
    let entry = parse::lines_of_record(text).filter_map(parse::entry).find(|(key, _)| *key == b"max");
    entry.map(|(_, count)| count)
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const OPTIONS: &[(&str, &str)] = &[("levels", "containers"), ("families", "container_hugetlb_.*")];

    fn lines(page: &str) -> Vec<String> {
        let lines = page.lines().filter(|line| line.contains("hugetlb") || line.starts_with('!'));
        let mut lines: Vec<_> =
            lines.map(|line| line.replace(ID, "ID").replace("{id=\"/docker/ID\",name=\"ID\",", "{")).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn of_version_1() {
        let file = |name: &str| format!("cgroup/hugetlb/docker/{ID}/hugetlb.{name}");
        let tree = Tree::new(&[
            ("sys/kernel/mm/hugepages/hugepages-2048kB/", ""),
            ("sys/kernel/mm/hugepages/hugepages-1048576kB/", ""),
            (&format!("cgroup/memory/docker/{ID}/"), ""),
            (&file("2MB.rsvd.usage_in_bytes"), "2097152\n"),
            (&file("2MB.rsvd.max_usage_in_bytes"), "4194304\n"),
            (&file("2MB.rsvd.failcnt"), "3\n"),
            (&file("2MB.usage_in_bytes"), "7\n"),
            (&file("1GB.usage_in_bytes"), "0\n"),
            (&file("1GB.failcnt"), "0\n"),
        ]);
        let expected = [
            "container_hugetlb_failcnt{pagesize=\"1GB\"} 0",
            "container_hugetlb_failcnt{pagesize=\"2MB\"} 3",
            "container_hugetlb_max_usage_bytes{pagesize=\"2MB\"} 4194304",
            "container_hugetlb_usage_bytes{pagesize=\"1GB\"} 0",
            "container_hugetlb_usage_bytes{pagesize=\"2MB\"} 2097152",
        ];
        assert_eq!(lines(&tree.open(&SPEC, OPTIONS).round()), expected);
        assert_eq!(lines(&tree.open(&SPEC, &OPTIONS[..1]).round()), Vec::<String>::new());
    }

    #[test]
    fn of_version_2() {
        let file = |name: &str| format!("cgroup/docker/{ID}/hugetlb.{name}");
        let tree = Tree::new(&[
            ("cgroup/cgroup.controllers", "hugetlb\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/", ""),
            ("cgroup/docker/cgroup.procs", ""),
            (&file("2MB.current"), "2097152\n"),
            (&file("2MB.events"), "max 5\n"),
        ]);
        let usage = "container_hugetlb_usage_bytes{pagesize=\"2MB\"}";
        let failures = "container_hugetlb_failcnt{pagesize=\"2MB\"} 5";
        assert_eq!(lines(&tree.open(&SPEC, OPTIONS).round()), [failures, &format!("{usage} 2097152")]);
        tree.write(&file("2MB.rsvd.current"), "4194304\n");
        assert_eq!(lines(&tree.open(&SPEC, OPTIONS).round()), [failures, &format!("{usage} 4194304")]);
        tree.remove(&format!("cgroup/docker/{ID}"));
        tree.write(&format!("cgroup/docker/{ID}/cpu.stat"), "usage_usec 1\n");
        assert_eq!(lines(&tree.open(&SPEC, OPTIONS).round()), Vec::<String>::new());
    }

    #[test]
    fn sizes_are_named_as_files_are() {
        let names = ["64", "2048", "32768", "1048576", "16777216"].map(|size| format!("hugepages-{size}kB"));
        let sizes: Vec<_> = names.iter().filter_map(|name| size(name)).collect();
        assert_eq!(sizes, ["64KB", "2MB", "32MB", "1GB", "16GB"]);
        assert_eq!((size("hugepages-0kB"), size("hugepages-xkB"), size("other")), (None, None, None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, name: String) {
            events_max(&bytes);
            size(&name);
            size(&format!("hugepages-{name}kB"));
        }
    }
}
