use super::super::metrics::Wanted;
use super::*;
use crate::kit::cgroup::{Life, Named};
use crate::kit::testing::Tree;
use proptest::prelude::*;
use std::sync::Arc;

mod live;

const POD: &str = "/kubepods/pod1b7e5f6a-11d0-4f6e-9c33-5b6f0e5f9a01";
const HEAD: &str = "Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop fifo\n";

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn dev(rows: &[(&str, u64)]) -> String {
    let row = |(name, bytes): &(&str, u64)| format!("{name:>6}: {bytes} 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n");
    format!("{HEAD}{}", rows.iter().map(row).collect::<String>())
}

/// A process of a cgroup, in a network namespace of its own.
fn process(tree: &Tree, pid: u32, path: &str, bytes: u64) {
    tree.write(&format!("proc/{pid}/net/dev"), &dev(&[("lo", 1), ("eth0", bytes)]));
    tree.write(&format!("proc/{pid}/cgroup"), &format!("0::{path}\n"));
    tree.write(&format!("cgroup{path}/cgroup.procs"), &format!("{pid}\n"));
}

fn machine() -> Tree {
    let tree = Tree::new(&[("calls/clock", "wall 1700000000\nboot 10\n"), ("cgroup/cgroup.controllers", "\n")]);
    tree.write("proc/1/net/dev", &dev(&[("eth0", 1000), ("cali12", 5), ("veth1", 6)]));
    tree.write("proc/net/dev", "-> ../1/net/dev");
    tree
}

/// A machine whose cgroups are shown to the networks round by round.
struct Scene {
    host: Host,
    forest: Forest<State>,
    networks: Networks,
    /// Who containers are.
    named: Vec<(char, Named)>,
    /// Which kinds are not told of.
    without: &'static str,
}

impl Scene {
    fn new(tree: &Tree) -> Self {
        let mut host = tree.host();
        let forest = Forest::open(&mut host).unwrap().unwrap();
        Self { host, forest, networks: Networks::new(), named: Vec::new(), without: "" }
    }

    /// One round: the id of who told, the interface, and how many bytes came.
    fn round(&mut self) -> String {
        let mut out = Batch::new(1_000);
        let Self { host, forest, networks, named, without } = self;
        let visit = &mut |_: &mut Host, _: &Trees, node: &mut Node<State>| {
            let name = named.iter().find(|(digit, _)| node.path.ends_with(&id(*digit)));
            node.own.named = name.map(|(_, named)| Arc::new(named.clone()));
            let wanted = Wanted::these(&[Metric::NetReceiveBytes]);
            let of = out.entity(&["id"], [&node.path.replace(POD, "POD")]);
            let is_left_out = match &node.kind {
                Kind::Container { .. } if is_sandbox(node) => *without == "sandboxes",
                Kind::Pod { .. } => *without == "pods",
                _ => false,
            };
            node.own.place = (!is_left_out).then_some(Place { of, wanted });
            Life::Alive
        };
        forest.round(host, visit).unwrap();
        networks.put(host, forest, &mut out);
        told(&out)
    }

    fn advance(&self, by: Duration) {
        if let crate::kit::Clock::Scripted(script) = &self.host.machine().clock {
            script.advance(by);
        }
    }
}

fn told(out: &Batch) -> String {
    let mut text = String::new();
    for sample in out.columns().iter().flat_map(|column| &column.samples) {
        let labels = out.labels().all(sample.of);
        let mut words: Vec<&str> = labels.iter().map(|(_, value)| *value).collect();
        words[0] = words[0].rsplit('/').next().unwrap().get(..3).unwrap();
        text += &format!("{} {}\n", words.join(" "), sample.value.as_f64().unwrap());
    }
    out.fault_counts().iter().for_each(|(reason, count)| text += &format!("! {reason} {count}\n"));
    text
}

#[test]
fn a_pod_has_one_network_and_its_sandbox_tells_of_it() {
    let (tree, sandbox) = (machine(), Named { is_sandbox: true, ..Named::default() });
    for (pid, digit) in [(10, 'a'), (11, 'b'), (12, 'c')] {
        process(&tree, pid, &format!("{POD}/{}", id(digit)), 7);
    }
    tree.remove("proc/10/net/dev");
    tree.remove("proc/11/net/dev");
    for pid in [10, 11] {
        tree.write(&format!("proc/{pid}/net/dev"), "-> ../../12/net/dev");
    }
    let mut scene = Scene::new(&tree);
    assert_eq!(scene.round(), "POD eth0 7\n");
    scene.named = vec![('b', sandbox)];
    assert_eq!(scene.round(), "bbb eth0 7\n");
    scene.without = "sandboxes";
    assert_eq!(scene.round(), "POD eth0 7\n");
    scene.named.clear();
    scene.without = "pods";
    assert_eq!(scene.round(), "");
}

#[test]
fn the_network_of_the_machine_is_not_a_container_s() {
    let tree = machine();
    process(&tree, 10, &format!("{POD}/{}", id('a')), 7);
    process(&tree, 11, &format!("/docker/{}", id('b')), 7);
    for pid in [10, 11] {
        tree.remove(&format!("proc/{pid}/net/dev"));
        tree.write(&format!("proc/{pid}/net/dev"), "-> ../../1/net/dev");
    }
    let mut scene = Scene::new(&tree);
    assert_eq!(scene.round(), "");
    // It is not asked again before long: what cannot be read any more is not missed.
    tree.remove("proc/11");
    process(&tree, 12, &format!("/docker/{}", id('b')), 8);
    assert_eq!(scene.round(), "");
    scene.advance(SELDOM);
    assert_eq!(scene.round(), "bbb eth0 8\n");
}

#[test]
fn who_shares_a_network_does_not_tell_it_again_and_who_told_goes_on() {
    let tree = machine();
    process(&tree, 10, &format!("/docker/{}", id('b')), 7);
    let mut scene = Scene::new(&tree);
    assert_eq!(scene.round(), "bbb eth0 7\n");
    process(&tree, 11, &format!("/docker/{}", id('a')), 0);
    tree.remove("proc/11/net/dev");
    tree.write("proc/11/net/dev", "-> ../../10/net/dev");
    assert_eq!(scene.round(), "bbb eth0 7\n");
    tree.remove(&format!("cgroup/docker/{}", id('b')));
    assert_eq!(scene.round(), "aaa eth0 7\n");
    assert_eq!(scene.round(), "aaa eth0 7\n");
}

#[test]
fn the_runtime_s_process_counts_unless_it_is_another_by_now() {
    let tree = machine();
    let path = format!("/docker/{}", id('a'));
    process(&tree, 10, &path, 7);
    process(&tree, 20, "/docker", 9);
    tree.write("proc/10/cgroup", "12:memory:/..\n0::/../docker/other\n");
    let mut scene = Scene::new(&tree);
    scene.named = vec![('a', Named { pid: Some(20), ..Named::default() })];
    assert_eq!(scene.round(), "");
    scene.advance(SELDOM);
    tree.write("proc/20/cgroup", &format!("0::/..{path}/init.scope\n"));
    assert_eq!(scene.round(), "aaa eth0 9\n");
    // The same number, another process, another network.
    tree.write("proc/20/cgroup", "0::/system.slice/cron.service\n");
    tree.write("proc/20/net/other", &dev(&[("eth0", 99)]));
    std::fs::rename(format!("{}/proc/20/net/other", tree.path()), format!("{}/proc/20/net/dev", tree.path())).unwrap();
    tree.write("proc/10/cgroup", &format!("0::{path}\n"));
    assert_eq!(scene.round(), "aaa eth0 7\n");
    tree.remove("proc/10");
    process(&tree, 30, &path, 5);
    assert_eq!(scene.round(), "aaa eth0 5\n");
}

#[test]
fn processes_that_cannot_be_seen_are_not_looked_for_all_the_time() {
    let tree = machine();
    let procs = format!("cgroup/docker/{}/cgroup.procs", id('a'));
    tree.write(&procs, "");
    let mut scene = Scene::new(&tree);
    assert_eq!(scene.round(), "");
    tree.write(&procs, "0\n0\n");
    assert_eq!(scene.round(), "");
    process(&tree, 10, &format!("/docker/{}", id('a')), 7);
    assert_eq!(scene.round(), "");
    scene.advance(SELDOM);
    assert_eq!(scene.round(), "aaa eth0 7\n");
}

#[test]
fn processes_below_a_container_are_its_own_on_version_1_too() {
    let tree = Tree::new(&[("proc/1/net/dev", &dev(&[])), ("proc/net/dev", "-> ../1/net/dev")]);
    let path = format!("/libpod_parent/libpod-{}", id('a'));
    tree.write(&format!("cgroup/memory{path}/cgroup.procs"), "");
    tree.write(&format!("cgroup/memory{path}/container/cgroup.procs"), "10\n");
    process(&tree, 10, &format!("{path}/container"), 7);
    assert_eq!(Scene::new(&tree).round(), "lib eth0 7\n");
}

#[test]
fn many_interfaces_and_hostile_ones() {
    let tree = machine();
    process(&tree, 10, &format!("/docker/{}", id('a')), 7);
    let names: Vec<String> = (0..2_000).map(|n| format!("e\"{n}")).collect();
    let rows: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    tree.write("proc/10/net/dev", &dev(&rows));
    let told = Scene::new(&tree).round();
    assert_eq!((told.lines().count(), told.lines().next()), (INTERFACES_MAX, Some("aaa e\"0 1")));
    tree.write("calls/errno", "proc/10/net/dev EIO\n");
    assert_eq!(Scene::new(&tree).round(), "! io 1\n");
}

#[test]
fn columns_and_the_machine_s_own_interfaces() {
    let tree = machine();
    let page = tree.open(&super::super::SPEC, &[("levels", "root")]).round();
    let network: Vec<_> = page.lines().filter(|line| line.contains("network")).collect();
    let line = |name: &str, figure| format!("container_network_{name}_total{{id=\"/\",interface=\"eth0\"}} {figure}");
    let names = ["bytes", "packets", "errors", "packets_dropped"];
    let mut expected: Vec<String> = [("receive", [1000, 2, 3, 4]), ("transmit", [5, 6, 7, 8])]
        .into_iter()
        .flat_map(|(way, figures)| {
            names.into_iter().zip(figures).map(move |(name, n)| line(&format!("{way}_{name}"), n))
        })
        .collect();
    let mut network: Vec<String> = network.into_iter().map(str::to_owned).collect();
    network.sort_unstable();
    expected.sort_unstable();
    assert_eq!(network, expected);
}

#[test]
fn idle_tunnels_and_broken_lines_are_left_out() {
    let text = "tunl0: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\nsit0: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\nwg0: 0 0 0 0 0 0 0 0 0 0 0 0\n\
                eth0: 1 2 3\nnone\n: 0 0 0 0 0 0 0 0 0 0 0 0\neth1: 1 1 1 1 0 0 0 0 1 1 1 1";
    let names: Vec<_> = rows(text.as_bytes()).map(|(name, _)| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, ["sit0", "wg0"]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "( {0,2}[a-z:]{0,9}:( [0-9]{0,3}){0,18}\n){0,9}") {
        for text in [&bytes[..], text.as_bytes()] {
            rows(text).count();
        }
    }
}
