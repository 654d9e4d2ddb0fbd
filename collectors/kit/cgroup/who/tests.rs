use super::*;
use crate::kit::cgroup::Trees;
use crate::kit::testing::Tree;
use std::sync::atomic::{AtomicUsize, Ordering};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const CGROUP: &str = "0::/kubepods/pod1b7e/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";

fn advance(host: &Host, seconds: u64) {
    let Clock::Scripted(script) = &host.machine().clock else { panic!("not scripted") };
    script.advance(Duration::from_secs(seconds));
}

fn bundle(namespace: &str) -> String {
    format!("rootfs/run/containerd/io.containerd.runtime.v2.task/{namespace}/{ID}")
}

fn shop(tree: &Tree, bundle: &str) {
    let text = r#"{"annotations":{"io.kubernetes.cri.sandbox-name":"shop-0","io.kubernetes.cri.sandbox-namespace":"default",
        "io.kubernetes.cri.sandbox-uid":"1b7e","team":"blue"}}"#;
    tree.write(&format!("{bundle}/config.json"), text);
}

#[test]
fn wherever_a_runtime_keeps_its_files() {
    let docker = r#"{"Name":"/web","State":{"Pid":7}}"#;
    let list = format!(r#"[{{"id":"{ID}","names":["web"]}}]"#);
    let named = r#"{"annotations":{"nerdctl/name":"web"}}"#;
    let crio = r#"{"annotations":{"io.kubernetes.cri-o.Name":"web"}}"#;
    let tasks = |root: &str, namespace: &str| format!("rootfs/{root}/io.containerd.runtime.v2.task/{namespace}/{ID}");
    let stored = |root: &str, driver: &str| format!("rootfs/{root}/containers/storage/{driver}-containers");
    let in_containerd = |folder: String| {
        vec![(format!("{folder}/config.json"), named.to_owned()), (format!("{folder}/init.pid"), "7".to_owned())]
    };
    let podman = vec![
        (format!("{}/{ID}/userdata/config.json", stored("var/lib", "vfs")), "{}".to_owned()),
        (format!("{}/{ID}/userdata/pidfile", stored("run", "vfs")), "7\n".to_owned()),
        (format!("{}/containers.json", stored("var/lib", "vfs")), list),
    ];
    let crio = vec![
        (format!("{}/{ID}/userdata/config.json", stored("run", "overlay")), crio.to_owned()),
        (format!("{}/{ID}/userdata/pidfile", stored("run", "overlay")), "7".to_owned()),
    ];
    let in_docker = |root: &str| vec![(format!("rootfs/{root}/containers/{ID}/config.v2.json"), docker.to_owned())];
    for (runtime, files) in [
        (Runtime::Containerd, in_containerd(tasks("run/containerd", "k8s.io"))),
        (Runtime::Containerd, in_containerd(tasks("run/k3s/containerd", "k8s.io"))),
        (Runtime::Containerd, in_containerd(tasks("run/k0s/containerd", "k8s.io"))),
        (Runtime::Containerd, in_containerd(tasks("var/snap/microk8s/common/run/containerd", "k8s.io"))),
        (Runtime::Nerdctl, in_containerd(tasks("run/containerd", "somewhere"))),
        (Runtime::Docker, in_docker("var/lib/docker")),
        (Runtime::Docker, in_docker("var/snap/docker/common/var-lib-docker")),
        (Runtime::Podman, podman.clone()),
        (Runtime::Crio, crio),
        (Runtime::Unknown, podman),
        (Runtime::Unknown, in_docker("var/lib/docker")),
    ] {
        let tree = Tree::new(&[("proc/7/cgroup", CGROUP)]);
        files.iter().for_each(|(path, text)| tree.write(path, text));
        let named = tree.host().who(runtime, ID).unwrap_or_else(|| panic!("{runtime:?} {files:?}"));
        assert_eq!((&*named.name, named.pid), ("web", Some(7)), "{runtime:?}");
    }
}

#[test]
fn a_process_of_somebody_else_is_not_its() {
    let tree = Tree::new(&[("proc/7/cgroup", "0::/init.scope\n"), (&format!("{}/init.pid", bundle("k8s.io")), "7")]);
    shop(&tree, &bundle("k8s.io"));
    let mut host = tree.host();
    assert_eq!(host.who(Runtime::Containerd, ID).unwrap().pid, None);
    // The runtime writes 0, or nothing yet, while it is made.
    for (text, expected) in [("0", None), ("", None), ("-1", None), ("4294967303", None), ("7", Some(7))] {
        tree.write(&format!("{}/init.pid", bundle("k8s.io")), text);
        tree.write("proc/7/cgroup", CGROUP);
        tree.write("proc/0/cgroup", CGROUP);
        advance(&host, 700);
        assert_eq!(host.who(Runtime::Containerd, ID).unwrap().pid, expected, "{text}");
    }
}

#[test]
fn who_is_not_named_is_wanted_and_looked_for_again() {
    let tree = Tree::new(&[]);
    let mut host = tree.host();
    let machine = Arc::clone(host.machine());
    let calls = Arc::new(AtomicUsize::new(0));
    let (heard, again) = (Arc::clone(&calls), Arc::clone(&machine));
    machine.names.on_want(Box::new(move || {
        heard.fetch_add(again.names.wanted().len(), Ordering::Relaxed);
    }));
    assert_eq!(host.who(Runtime::Containerd, ID), None);
    assert_eq!(host.who(Runtime::Lxc, "web"), None);
    assert_eq!(host.who(Runtime::Containerd, "../../../etc"), None);
    assert_eq!(
        (calls.load(Ordering::Relaxed), machine.names.wanted()),
        (1, vec![(Runtime::Containerd, ID.to_owned())])
    );
    // The files come late.
    shop(&tree, &bundle("k8s.io"));
    assert_eq!(host.who(Runtime::Containerd, ID), None);
    advance(&host, 1);
    assert_eq!(host.who(Runtime::Containerd, ID).unwrap().pod, "shop-0");
    assert_eq!((machine.names.wanted(), calls.load(Ordering::Relaxed)), (vec![], 1));
}

#[test]
fn what_a_runtime_tells() {
    let tree = Tree::new(&[("proc/7/cgroup", CGROUP), ("proc/8/cgroup", "0::/\n")]);
    let mut host = tree.host();
    let machine = Arc::clone(host.machine());
    machine.names.keep(Some(Regex::new("^team$").unwrap()));
    let label = |name: &str| (name.to_owned(), "x".repeat(4096));
    for (pid, expected) in [(8, None), (7, Some(7)), (0, Some(7))] {
        let labels = vec![label("team"), label("other")];
        let named = Named { pod: "shop-0".to_owned(), pid: Some(pid), labels, ..Named::default() };
        machine.names.tell(Runtime::Containerd, ID, named);
        let known = host.who(Runtime::Containerd, ID).unwrap();
        assert_eq!(
            (known.pid, &*known.pod, known.labels.len(), known.labels[0].1.len()),
            (expected, "shop-0", 1, json::TEXT_MAX)
        );
    }
    assert_eq!(machine.names.wanted(), []);
}

#[test]
fn a_pod_is_known_by_its_containers() {
    let tree = Tree::new(&[("cgroup/cgroup.controllers", "cpu\n"), (&format!("cgroup/kubepods/pod1b7e/{ID}/"), "")]);
    let mut host = tree.host();
    let machine = Arc::clone(host.machine());
    let trees = Trees::find(&mut host).unwrap().unwrap();
    assert_eq!((host.who_pod(&trees, "/kubepods/pod1b7e", "1b7e"), machine.names.pod("1b7e")), (None, None));
    shop(&tree, &bundle("k8s.io"));
    advance(&host, 1);
    let (namespace, pod) = host.who_pod(&trees, "/kubepods/pod1b7e", "1b7e").unwrap();
    assert_eq!((&*namespace, &*pod, machine.names.pod("nobody")), ("default", "shop-0", None));
}

#[test]
fn docker_on_another_disk() {
    let docker = r#"{"Name":"/web","State":{"Pid":7}}"#;
    let files = |folder: &str| vec![(format!("rootfs/{folder}/containers/{ID}/config.v2.json"), docker.to_owned())];
    let said =
        ("rootfs/etc/docker/daemon.json".to_owned(), r#"{"log-level":"warn","data-root":"/data/docker/"}"#.to_owned());
    let broken = (said.0.clone(), r#"{"data-root":"/../../etc","#.to_owned());
    let linked = |link: &'static str, to: &'static str| {
        move |tree: &Tree| {
            let link = std::path::Path::new(tree.path()).join("rootfs").join(link);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(to, link).unwrap();
        }
    };
    let none = |_: &Tree| ();
    type Case<'a> = (Vec<(String, String)>, &'a dyn Fn(&Tree));
    let cases: [Case<'_>; 4] = [
        (files("data/docker"), &linked("var/lib/docker", "/data/docker")),
        ([files("data/docker"), vec![said.clone()]].concat(), &none),
        ([files("disk/7"), vec![said]].concat(), &linked("data/docker", "../disk/7")),
        ([files("var/lib/docker"), vec![broken]].concat(), &none),
    ];
    for (files, link) in cases {
        let tree = Tree::new(&[("proc/7/cgroup", &format!("0::/docker/{ID}\n"))]);
        files.iter().for_each(|(path, text)| tree.write(path, text));
        link(&tree);
        let named = tree.host().who(Runtime::Docker, ID).unwrap_or_else(|| panic!("{files:?}"));
        assert_eq!((&*named.name, named.pid), ("web", Some(7)));
    }
}

#[test]
fn a_container_that_was_started_anew() {
    let path = format!("rootfs/var/lib/docker/containers/{ID}/config.v2.json");
    let tree = Tree::new(&[(&path, r#"{"Name":"/web","State":{"Pid":7}}"#)]);
    ["7", "8"].iter().for_each(|pid| tree.write(&format!("proc/{pid}/cgroup"), &format!("0::/docker/{ID}\n")));
    let mut host = tree.host();
    assert_eq!(host.who(Runtime::Docker, ID).unwrap().pid, Some(7));
    tree.write(&path, r#"{"Name":"/shop","State":{"Pid":8}}"#);
    advance(&host, 2);
    assert_eq!(host.who(Runtime::Docker, ID).unwrap().pid, Some(7));
    host.machine().names.renew(ID);
    let named = host.who(Runtime::Docker, ID).unwrap();
    assert_eq!((&*named.name, named.pid), ("shop", Some(8)));
    // It is gone from disk and keeps its name, and its process only while that lives.
    tree.remove(&path);
    for (gone, pid) in [("proc/7", Some(8)), ("proc/8", None)] {
        tree.remove(gone);
        // Those who are interested ask often.
        for _ in 0..10 {
            advance(&host, 60);
            host.who(Runtime::Docker, ID);
        }
        advance(&host, 1);
        let named = host.who(Runtime::Docker, ID).unwrap();
        assert_eq!((&*named.name, named.pid), ("shop", pid));
    }
}

#[test]
fn who_is_not_asked_for_is_forgotten() {
    let mut host = Tree::new(&[]).host();
    let machine = Arc::clone(host.machine());
    for number in 0..ENTRIES_MAX + 5 {
        host.who(Runtime::Containerd, &format!("{number:064x}"));
    }
    assert_eq!(machine.names.wanted().len(), ENTRIES_MAX);
    advance(&host, 121);
    host.who(Runtime::Containerd, ID);
    assert_eq!((machine.names.wanted().len(), lock(&machine.names.book).entries.len()), (1, 1));
}

#[test]
fn why_somebody_is_not_named() {
    let tree = Tree::new(&[(&format!("{}/config.json", bundle("k8s.io")), "{")]);
    let mut host = tree.host();
    assert_eq!(host.machine().names.trouble(), None);
    host.who(Runtime::Containerd, ID);
    assert!(host.machine().names.trouble().unwrap().to_string().contains("/config.json: expected JSON"));
    shop(&tree, &bundle("k8s.io"));
    advance(&host, 1);
    host.who(Runtime::Containerd, ID);
    assert_eq!(host.machine().names.trouble(), None);
}

#[test]
fn labels_are_kept_by_choice() {
    let tree = Tree::new(&[]);
    shop(&tree, &bundle("k8s.io"));
    let mut host = tree.host();
    assert_eq!(host.who(Runtime::Containerd, ID).unwrap().labels, []);
    host.machine().names.keep(Some(Regex::new("^te").unwrap()));
    assert_eq!(host.who(Runtime::Containerd, ID).unwrap().labels, [("team".to_owned(), "blue".to_owned())]);
}

#[test]
fn when_a_process_was_started() {
    let stat = "7 (a b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 4096 1\n";
    let tree = Tree::new(&[("calls/clock", "wall 1700000100\nboot 100\n"), ("proc/7/stat", stat)]);
    assert_eq!(tree.host().started(7), Some(Duration::from_millis(1_700_000_012_340)));
    assert_eq!(tree.host().started(8), None);
}
