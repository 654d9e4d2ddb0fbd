//! How many series a page has: 40 for a container, 7,000 for a node.

use super::super::*;
use crate::kit::cgroup::{Health, Layer};
use crate::kit::testing::Tree;
use std::collections::HashMap;

const CPU: &str = "usage_usec 9000000\nuser_usec 7000000\nsystem_usec 2000000\nnr_periods 90\nnr_throttled 2\nthrottled_usec 77\nnr_bursts 0\nburst_usec 0\n";
const MEMORY: &str = "anon 300\nfile 600\nkernel 9\nshmem 1\nfile_mapped 5\nfile_dirty 4\nfile_writeback 0\ninactive_anon 1\nactive_anon 1\n\
    inactive_file 200\nactive_file 400\nworkingset_refault_anon 0\nworkingset_refault_file 7\npgscan 8\npgsteal 9\npgfault 5\npgmajfault 1\n";
const PRESSURE: &str =
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
const HEAD: &str = "Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop fifo\n";

fn disks(count: u32) -> String {
    (0..count).map(|disk| format!("8:{} rbytes=4096 wbytes=1 rios=1 wios=2 dbytes=0 dios=0\n", disk * 16)).collect()
}

fn dev(interfaces: u32) -> String {
    let row = |number| format!("  eth{number}: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n");
    format!("{HEAD}    lo: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n{}", (0..interfaces).map(row).collect::<String>())
}

/// Where a container is, who it is, and what it has.
struct Member<'a> {
    path: &'a str,
    pid: u32,
    /// Annotations of containerd, or of Docker its whole file.
    says: Result<String, String>,
    disks: u32,
    /// Whose network it has, as a process, if not its own.
    network: Option<u32>,
    interfaces: u32,
}

/// All that a container can have on version 2.
fn member(tree: &Tree, of: &Member<'_>) {
    let Member { path, pid, .. } = of;
    let file = |name: &str, text: &str| tree.write(&format!("cgroup{path}/{name}"), text);
    of_group(tree, path);
    file("cgroup.procs", &format!("{pid}\n"));
    file("io.stat", &disks(of.disks));
    file("cpu.max", "50000 100000\n");
    file("cpu.weight", "100\n");
    file("memory.max", "1048576\n");
    for name in ["memory.swap.current", "memory.peak", "memory.low", "memory.swap.max", "pids.current"] {
        file(name, "5\n");
    }
    for name in ["cpu.pressure", "io.pressure", "memory.pressure"] {
        file(name, PRESSURE);
    }
    file("pids.max", "max\n");
    tree.write(&format!("proc/{pid}/cgroup"), &format!("0::{path}\n"));
    tree.write(
        &format!("proc/{pid}/stat"),
        &format!("{pid} (a) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12 4096 1\n"),
    );
    match of.network {
        Some(other) => tree.write(&format!("proc/{pid}/net/dev"), &format!("-> ../../{other}/net/dev")),
        None => tree.write(&format!("proc/{pid}/net/dev"), &dev(of.interfaces)),
    }
    let id = path.rsplit(['/', '-']).next().unwrap().trim_end_matches(".scope");
    match &of.says {
        Ok(annotations) => {
            let bundle = format!("rootfs/run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}");
            tree.write(&format!("{bundle}/config.json"), &format!("{{\"annotations\":{{{annotations}}}}}"));
            tree.write(&format!("{bundle}/init.pid"), &pid.to_string());
        }
        Err(text) => tree.write(&format!("rootfs/var/lib/docker/containers/{id}/config.v2.json"), text),
    }
}

/// What a slice, a service or a pod has.
fn of_group(tree: &Tree, path: &str) {
    let file = |name: &str, text: &str| tree.write(&format!("cgroup{path}/{name}"), text);
    file("cpu.stat", CPU);
    file("memory.current", "1000\n");
    file("memory.stat", MEMORY);
    file("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
}

fn machine() -> Tree {
    let disks: String =
        (1..8).map(|n| format!("{} 22 8:{} / /mnt/{n} rw - xfs /dev/sd{n} rw\n", 30 + n, 16 * n)).collect();
    let sizes: String = (1..8).map(|n| format!("/mnt/{n} 4096 1000 500 400 64 32\n")).collect();
    Tree::new(&[
        ("calls/clock", "wall 1700000100\nboot 100\n"),
        ("calls/statfs", &format!("/ 4096 1000 500 400 64 32\n{sizes}")),
        ("cgroup/cgroup.controllers", "cpu io memory pids\n"),
        ("proc/1/net/dev", &dev(2)),
        ("proc/net/dev", "-> ../1/net/dev"),
        ("proc/1/mountinfo", &format!("22 1 8:0 / / rw,relatime - ext4 /dev/sda rw\n{disks}")),
        ("proc/stat", "cpu  10 20 30 400 50 6 7 8 0 0\n"),
        ("proc/vmstat", "oom_kill 0\n"),
        ("proc/meminfo", "MemTotal: 4000 kB\nBuffers: 1 kB\nCached: 1 kB\nInactive(file): 1 kB\nAnonPages: 1 kB\n"),
    ])
}

fn id(number: u32) -> String {
    format!("{number:064x}")
}

/// A node with 110 pods of one container or two, 150 in all; the paths of its containers.
fn node(disks: u32) -> (Tree, Vec<String>) {
    let tree = machine();
    let mut containers = Vec::new();
    for slice in ["/kubepods.slice", "/kubepods.slice/kubepods-burstable.slice", "/system.slice", "/user.slice"] {
        of_group(&tree, slice);
    }
    (0..60).for_each(|number| of_group(&tree, &format!("/system.slice/unit{number}.service")));
    for number in 0..110u32 {
        let uid = format!("1b7e5f6a_0000_4000_8000_{number:012}");
        let pod = format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice");
        of_group(&tree, &pod);
        let common = format!(
            r#""io.kubernetes.cri.sandbox-name":"shop-{number}","io.kubernetes.cri.sandbox-namespace":"default",
               "io.kubernetes.cri.sandbox-uid":"{}""#,
            uid.replace('_', "-")
        );
        let sandbox = 1_000 + number * 10;
        for place in 0..=1 + u32::from(number < 40) {
            let path = format!("{pod}/cri-containerd-{}.scope", id(sandbox + place));
            let more = match place {
                0 => r#""io.kubernetes.cri.container-type":"sandbox""#.to_owned(),
                _ => format!(
                    r#""io.kubernetes.cri.container-name":"c{place}","io.kubernetes.cri.image-name":"nginx:1",
                       "io.kubernetes.container.restartCount":"2""#
                ),
            };
            let (says, network) = (Ok(format!("{common},{more}")), (place > 0).then_some(sandbox));
            member(&tree, &Member { path: &path, pid: sandbox + place, says, disks, network, interfaces: 1 });
            containers.extend((place > 0).then_some(path));
        }
    }
    assert_eq!(containers.len(), 150);
    (tree, containers)
}

/// How full every layer is, as a runtime tells.
fn told(paths: &[String]) -> HashMap<String, Layer> {
    let id = |path: &String| path.rsplit(['/', '-']).next().unwrap().trim_end_matches(".scope").to_owned();
    let layer = Layer { bytes: 1, inodes: Some(1), folder: "/mnt/1/x".to_owned(), ..Default::default() };
    paths.iter().map(|path| (id(path), layer.clone())).collect()
}

/// How many series the page has, and how many are about the container that has most.
fn count(page: &str, paths: &[String]) -> (usize, usize) {
    assert!(!page.contains('!'), "{page}");
    let mut of: HashMap<&str, usize> = HashMap::new();
    for line in page.lines() {
        let id = line.split("{id=\"").nth(1).and_then(|rest| rest.split('"').next());
        *of.entry(id.unwrap()).or_default() += 1;
    }
    (page.lines().count(), paths.iter().filter_map(|path| of.get(path.as_str()).copied()).max().unwrap())
}

fn page_of(tree: &Tree, paths: &[String]) -> String {
    let mut opened = tree.open(&SPEC, &[]);
    opened.host.machine().written.tell(told(paths));
    opened.round();
    opened.round()
}

#[test]
fn a_node_of_kubernetes() {
    for (disks, each, all) in [(1, 33, 6_322), (2, 37, 6_922)] {
        let (tree, paths) = node(disks);
        assert_eq!(count(&page_of(&tree, &paths), &paths), (all, each), "{disks} disks");
        assert!(all <= 7_000 && each <= 40);
    }
}

#[test]
fn a_container_of_docker() {
    for (disks, interfaces, each) in [(1, 1, 40), (2, 1, 44), (1, 2, 48)] {
        let tree = machine();
        let path = format!("/system.slice/docker-{}.scope", id(1));
        let says = r#"{"Name":"/web","State":{"Pid":7},"Config":{"Image":"nginx:1"},"RestartCount":2}"#;
        member(&tree, &Member { path: &path, pid: 7, says: Err(says.to_owned()), disks, network: None, interfaces });
        let mut opened = tree.open(&SPEC, &[]);
        opened.host.machine().healths.tell("docker", [(id(1), Health::Healthy)]);
        opened.round();
        let (_, found) = count(&opened.round(), &[path]);
        assert_eq!(found, each, "{disks} disks, {interfaces} interfaces");
    }
}
