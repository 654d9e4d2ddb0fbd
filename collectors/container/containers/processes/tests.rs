use super::super::SPEC;
use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ASKED: &[(&str, &str)] =
    &[("levels", "slices,services,containers"), ("families", "container_(processes|file_desc|sockets|ulimits).*")];
const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             9                    9                    processes \n\
                      Max open files            1024                 4096                 files     \n";

fn process(tree: &Tree, pid: u32, path: &str, sockets: usize, files: usize) {
    tree.write(&format!("proc/{pid}/cgroup"), &format!("0::{path}\n"));
    tree.write(&format!("proc/{pid}/limits"), LIMITS);
    tree.write(&format!("proc/{pid}/fd/"), "");
    (0..sockets).for_each(|fd| tree.write(&format!("proc/{pid}/fd/{fd}"), "-> socket:[1234]"));
    (0..files).for_each(|fd| tree.write(&format!("proc/{pid}/fd/{}", sockets + fd), "-> /dev/null"));
}

fn told(tree: &Tree) -> Vec<String> {
    let page = tree.open(&SPEC, ASKED).round();
    let is_ours = |line: &&str| !line.contains("_seen") && !line.contains("network") && !line.contains("start_time");
    page.lines().filter(is_ours).map(|line| line.replace(ID, "ID")).collect()
}

#[test]
fn processes_within_a_container_and_of_a_service() {
    let path = format!("/docker/{ID}");
    let tree = Tree::new(&[
        ("cgroup/cgroup.controllers", "\n"),
        ("cgroup/docker/cgroup.procs", "7\n"),
        (&format!("cgroup{path}/cgroup.procs"), ""),
        (&format!("cgroup{path}/container/cgroup.procs"), "10\n11\n12\n"),
        ("cgroup/system.slice/a.service/cgroup.procs", "20\n"),
        ("cgroup/system.slice/a.service/inner/cgroup.procs", "21\n"),
        ("proc/1/net/dev", ""),
    ]);
    process(&tree, 10, &format!("{path}/container"), 2, 3);
    process(&tree, 11, &format!("{path}/container"), 1, 0);
    process(&tree, 20, "/system.slice/a.service", 0, 1);
    let (container, service) = ("id=\"/docker/ID\",name=\"ID\"", "id=\"/system.slice/a.service\"");
    let expected = [
        format!("container_file_descriptors{{{container}}} 6"),
        format!("container_file_descriptors{{{service}}} 1"),
        format!("container_processes{{{container}}} 3"),
        format!("container_processes{{{service}}} 1"),
        format!("container_sockets{{{container}}} 3"),
        format!("container_sockets{{{service}}} 0"),
        format!("container_ulimits_soft{{{container},ulimit=\"max_open_files\"}} 1024"),
        format!("container_ulimits_soft{{{service},ulimit=\"max_open_files\"}} 1024"),
    ];
    let mut page = told(&tree);
    page.sort_unstable();
    assert_eq!(page, expected);
    assert_eq!(tree.open(&SPEC, &ASKED[..1]).round().matches("container_processes").count(), 0);
    // Of some processes nothing can be seen from here: there is no sum of the others.
    tree.write(&format!("cgroup{path}/cgroup.procs"), "0\n");
    let page = told(&tree).join("\n");
    assert!(page.contains(&format!("container_processes{{{container}}} 4")), "{page}");
    assert!(!page.contains(&format!("container_file_descriptors{{{container}}}")), "{page}");
    // The same numbers, in another procfs.
    tree.write("proc/20/cgroup", "0::/other\n");
    assert!(!told(&tree).join("\n").contains(&format!("container_sockets{{{service}}}")));
}

#[test]
fn no_process_at_all_on_version_1() {
    let tree = Tree::new(&[(&format!("cgroup/memory/docker/{ID}/cgroup.procs"), ""), ("proc/1/net/dev", "")]);
    let of = |name: &str| format!("container_{name}{{id=\"/docker/ID\",name=\"ID\"}} 0");
    let mut page = told(&tree);
    page.sort_unstable();
    assert_eq!(page, ["file_descriptors", "processes", "sockets"].map(of));
}

#[test]
fn when_the_time_is_up_there_is_no_sum() {
    let tree = Tree::new(&[]);
    process(&tree, 10, "/x", 0, 1);
    let mut host = tree.host();
    let now = host.monotonic();
    let later = now + Duration::from_secs(1);
    assert_eq!(sum(&mut host, &[10, 11], later, Host::open_files), Ok(1));
    assert_eq!(sum(&mut host, &[10], now, Host::open_files).unwrap_err().reason(), "stuck");
}

#[test]
fn cgroups_of_processes_and_limits() {
    assert!(is_within(b"12:memory:/docker/ab\n0::/\n", "/docker/ab"));
    assert!(is_within(b"0::/../ab/init.scope\n", "/x/y/ab"));
    assert!(is_within(b"1:name=systemd:/a:b\n", "/a:b"));
    assert!(is_within(b"12:memory:/\n0::/\n", "/docker/ab"));
    for other in [&b"0::/docker/abc\n"[..], b"0::/..\n", b"0::/ab (deleted)\n", b"", b"x\n"] {
        assert!(!is_within(other, "/docker/ab"), "{}", String::from_utf8_lossy(other));
    }
    assert_eq!(open_files_limit(LIMITS.as_bytes()), Some(1024));
    assert_eq!(
        open_files_limit(b"Max open files            unlimited            unlimited            files\n"),
        Some(-1)
    );
    assert_eq!(open_files_limit(b"Max open files            -5\n"), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, path: String) {
        is_within(&bytes, &path);
        open_files_limit(&bytes);
        open_files_limit(&[b"Max open files ", &bytes[..]].concat());
    }
}
