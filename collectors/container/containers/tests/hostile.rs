//! Names and files that were made to do harm: the page stays whole, and the round goes on.

use super::super::*;
use super::{ID, node};
use crate::kit::testing::Tree;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// What ends at all ends long before, on an emulated machine too.
const LONG: Duration = Duration::from_secs(180);
const SERVICE: &str = "container_cpu_usage_seconds_total{id=\"/system.slice/a.service\",cpu=\"total\"} 1\n";

fn with_service(files: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[
        ("cgroup/cgroup.controllers", "cpu memory\n"),
        ("cgroup/system.slice/a.service/cpu.stat", "usage_usec 1000000\n"),
    ]);
    files.iter().for_each(|(path, text)| tree.write(path, text));
    tree
}

#[test]
fn folders_with_hostile_names() {
    let tree = with_service(&[]);
    let long = "x".repeat(247);
    for name in ["q\"uo\\te.service", "li\nne.service", "\u{1b}[31m.service", &format!("{long}.service"), "é.service"]
    {
        tree.write(&format!("cgroup/system.slice/{name}/cpu.stat"), "usage_usec 1000000\n");
    }
    let bytes =
        std::path::Path::new(tree.path()).join("cgroup/system.slice").join(OsStr::from_bytes(b"\xff\xfe.service"));
    std::fs::create_dir(bytes).unwrap();
    let page = tree.open(&SPEC, &[("levels", "services")]).round();
    // What is not UTF-8 is left out.
    assert_eq!((page.lines().count(), page.contains('!')), (6, false), "{page}");
    for name in ["a", r#"q\"uo\\te"#, r"li\nne", r"\u{1b}[31m", &long, "é"] {
        assert!(page.contains(&format!("id=\"/system.slice/{name}.service\"")), "{name} in\n{page}");
    }
}

#[test]
fn paths_that_are_the_same_in_their_first_bytes_are_told_once() {
    let tree = with_service(&[]);
    let above = format!("{0}.slice/{0}.slice", "x".repeat(248));
    for name in ["b", "c"] {
        tree.write(&format!("cgroup/{above}/{}{name}.service/cpu.stat", "y".repeat(40)), "usage_usec 1000000\n");
    }
    let mut opened = tree.open(&SPEC, &[("levels", "services")]);
    let mut batch = Batch::new(100);
    let collector = &mut Reader::new(&opened.host, &Options::new(OPTIONS, &[]).unwrap(), true);
    let mut forest = Forest::open(&mut opened.host).unwrap().unwrap();
    let visit =
        &mut |host: &mut Host, trees: &Trees, node: &mut Node<State>| collector.put(host, trees, node, &mut batch);
    forest.round(&mut opened.host, visit).unwrap();
    let snapshot = crate::model::Snapshot::new(vec![Arc::new(batch)]);
    let lost: u64 = snapshot.losses().iter().map(|_| 1).sum();
    assert!(lost > 0 && snapshot.batches()[0].labels().entities() > 3);
}

/// A user may give a cgroup of his the name of another's container, which has files of its name.
#[test]
fn nobody_poses_as_the_container_of_another() {
    let users = format!("/user.slice/user-1000.slice/user@1000.service/docker-{ID}.scope");
    let file = format!("rootfs/var/lib/docker/containers/{ID}/config.v2.json");
    let tree = with_service(&[
        (&file, r#"{"Name": "/bank", "Config": {"Image": "vault"}, "State": {"Pid": 0}}"#),
        (&format!("cgroup/system.slice/docker-{ID}.scope/cpu.stat"), "usage_usec 2000000\n"),
        (&format!("cgroup{users}/cpu.stat"), "usage_usec 3000000\n"),
    ]);
    let page = tree.open(&SPEC, &[("levels", "containers")]).round();
    assert!(
        page.contains(&format!(
            "{{id=\"/system.slice/docker-{ID}.scope\",name=\"bank\",image=\"vault\",cpu=\"total\"}} 2\n"
        )),
        "{page}"
    );
    assert!(page.contains(&format!("{{id=\"{users}\",name=\"{ID}\",cpu=\"total\"}} 3\n")), "{page}");
}

#[test]
fn runtimes_with_hostile_files() {
    let (tree, [_, _, path]) = node();
    let bundle = format!("{}/rootfs/run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}", tree.path());
    let common = r#""io.kubernetes.cri.sandbox-name":"p","io.kubernetes.cri.sandbox-uid":"1b7e5f6a-0000""#;
    let image = |text: &[u8]| {
        let head = format!("{{\"annotations\":{{{common},\"io.kubernetes.cri.image-name\":\"");
        [head.as_bytes(), text, b"\"}}"].concat()
    };
    let deep = [b"{\"annotations\":".to_vec(), b"[".repeat(100_000)].concat();
    for (text, expected) in [
        (image(b"a\xff\\ud800b\\u0000\\n"), None),
        (image(b"a\xffb\\u0000\\n\\\""), Some("a?b\\0\\n\\\"".to_owned())),
        (image(&b"i".repeat(4096)), Some("i".repeat(512))),
        (image(&b"i".repeat(5 << 20)), None),
        (deep, None),
        (b"{}".to_vec(), Some(String::new())),
        (Vec::new(), None),
    ] {
        std::fs::write(format!("{bundle}/config.json"), &text).unwrap();
        let page = tree.open(&SPEC, &[("levels", "containers")]).round();
        let usage = page.lines().find(|line| line.starts_with("container_cpu_usage")).unwrap();
        let start = format!("container_cpu_usage_seconds_total{{id={path:?},name={ID:?}");
        assert!(usage.starts_with(&start) && usage.ends_with("cpu=\"total\"} 1"), "{usage}");
        let image = usage.split("image=\"").nth(1).and_then(|rest| rest.split("\",").next());
        assert_eq!(image.unwrap_or_default(), expected.as_deref().unwrap_or_default(), "{usage}");
        assert_eq!(page.contains('!'), expected.is_none(), "a file that can't be read is told of");
    }
}

#[test]
fn files_that_lie() {
    let container = format!("cgroup/docker/{ID}");
    let tree = with_service(&[(
        &format!("{container}/cpu.stat"),
        "usage_usec -1\nuser_usec 99999999999999999999\nsystem_usec\n",
    )]);
    let long: String = (0..600_000).map(|number| format!("key{number} {number}\n")).collect();
    let disks: String = (0..200_000).map(|number| format!("{number}:0 rbytes=1 wbytes=1 rios=1 wios=1\n")).collect();
    for (name, text) in [
        ("memory.stat", &*long),
        ("memory.current", "-5\n"),
        ("memory.events", "oom_kill -1\nhigh x\n"),
        ("memory.max", "maximum\n"),
        ("cpu.max", "-1 -1 -1\n"),
        ("cpu.weight", "18446744073709551615\n"),
        ("io.stat", &*format!("{disks}{disks}")),
        ("cpu.pressure", "some total=-1\nfull avg10=0.00 total=\u{0}\n"),
        ("cgroup.procs", "no\n-1\n\n99999999999\n"),
        ("pids.current", ""),
        ("pids.max", "-1"),
    ] {
        tree.write(&format!("{container}/{name}"), text);
    }
    let began = Instant::now();
    let page = tree.open(&SPEC, &[("families", ".*")]).round();
    assert!(page.contains(SERVICE) && began.elapsed() < LONG, "{:?}", began.elapsed());
    let of: Vec<&str> = page.lines().filter(|line| line.contains(ID)).collect();
    assert!(of.iter().all(|line| !line.contains("} -")), "{of:?}");
    assert_eq!(of.iter().filter(|line| line.starts_with("container_fs_reads_total")).count(), 64);
    let names = ["cpu_usage", "cpu_user", "memory", "oom", "pressure", "spec_cpu_quota", "spec_memory", "threads"];
    let told: Vec<&&str> =
        of.iter().filter(|line| names.iter().any(|name| line.starts_with(&format!("container_{name}")))).collect();
    assert_eq!(told, Vec::<&&str>::new(), "absent, not zero");
    assert!(page.contains("container_processes") && page.contains("container_spec_cpu_shares"), "{of:?}");
}

#[test]
fn files_that_cannot_be_read_cost_only_themselves() {
    let container = format!("cgroup/docker/{ID}");
    let tree =
        with_service(&[(&format!("{container}/cpu.stat"), "usage_usec 1\n"), (&format!("{container}/io.stat"), "")]);
    tree.write("calls/errno", &format!("{container}/memory.current EIO\n{container}/cpu.pressure EACCES\n"));
    let page = tree.open(&SPEC, &[("levels", "services,containers")]).round();
    assert!(page.contains(SERVICE) && page.contains("container_last_seen"), "{page}");
    assert!(page.contains("! io") || page.contains("! denied"), "{page}");
}

#[test]
fn as_deep_as_somebody_likes() {
    let tree = with_service(&[]);
    let deep = "d/".repeat(100);
    tree.write(&format!("cgroup/{deep}cpu.stat"), "usage_usec 1\n");
    tree.write(&format!("cgroup/docker/{ID}/{deep}cgroup.procs"), "7\n");
    let page = tree.open(&SPEC, &[("levels", "slices,services,containers"), ("families", "processes")]).round();
    assert!(page.contains(SERVICE) && page.contains("container_processes"), "{page}");
    assert!(!page.contains(&"d/".repeat(25)), "{page}");
}

#[test]
fn more_cgroups_than_are_looked_at() {
    // In memory, where there is such a place: disks take a minute for so many folders.
    let memory = std::path::Path::new("/dev/shm");
    let folder =
        tempfile::tempdir_in(Some(memory).filter(|path| path.is_dir()).unwrap_or(&std::env::temp_dir())).unwrap();
    let slice = folder.path().join("system.slice");
    std::fs::create_dir_all(slice.join("a.service")).unwrap();
    std::fs::write(slice.join("a.service/cpu.stat"), "usage_usec 1000000\n").unwrap();
    std::fs::write(folder.path().join("cgroup.controllers"), "cpu\n").unwrap();
    (0..99_990).for_each(|number| std::fs::create_dir(slice.join(format!("z{number}.service"))).unwrap());
    let tree = Tree::new(&[]);
    tree.write("cgroup", &format!("-> {}", folder.path().display()));
    let mut opened = tree.open(&SPEC, &[("levels", "services")]);
    for _ in 0..2 {
        let (began, page) = (Instant::now(), opened.round());
        assert!(page.contains(SERVICE) && page.ends_with("! other\n") && page.lines().count() < 20_002);
        assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    }
}
