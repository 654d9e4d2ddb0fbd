use super::*;
use crate::kit::testing::Tree;
use crate::kit::{Child, Clock, Machine, Roots};
use std::io::Write as _;

const POD: &str = "kubepods/pod1b7e5f6a-11d0-4f6e-9c33-5b6f0e5f9a01";

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// The paths that a round shows, each with how often its owner has seen it.
fn round(forest: &mut Forest<u32>, host: &mut Host) -> Vec<(String, u32)> {
    let mut seen = Vec::new();
    let visit = &mut |_: &mut Host, _: &Trees, node: &mut Node<u32>| {
        node.own += 1;
        seen.push((node.path.clone(), node.own));
        Life::Alive
    };
    forest.round(host, visit).unwrap();
    seen
}

fn names(seen: &[(String, u32)]) -> Vec<&str> {
    seen.iter().map(|(path, _)| path.as_str()).collect()
}

#[test]
fn parents_come_first_and_what_comes_and_goes_is_seen() {
    let (a, b) = (format!("/{POD}/{}", id('a')), format!("/{POD}/{}", id('b')));
    let tree = Tree::new(&[
        ("cgroup/cgroup.controllers", "\n"),
        ("cgroup/system.slice/a.service/cpu.stat", ""),
        ("cgroup/system.slice/x.mount/cpu.stat", ""),
        (&format!("cgroup{a}/kubepods/cpu.stat"), ""),
    ]);
    let mut host = tree.host();
    let mut forest = Forest::open(&mut host).unwrap().unwrap();
    let seen = round(&mut forest, &mut host);
    let pod = format!("/{POD}");
    assert_eq!(names(&seen), ["/", "/kubepods", &pod, &a, "/system.slice", "/system.slice/a.service"]);
    assert_eq!(forest.len(), 6);
    tree.write(&format!("cgroup{b}/cpu.stat"), "");
    let seen = round(&mut forest, &mut host);
    assert_eq!(seen[3..5], [(a.clone(), 2), (b.clone(), 1)]);
    tree.remove(&format!("cgroup{a}"));
    let seen = round(&mut forest, &mut host);
    assert_eq!(seen[2..4], [(pod, 3), (b, 2)]);
}

#[test]
fn one_made_anew_under_the_same_name_is_another() {
    let tree = Tree::new(&[("cgroup/memory/system.slice/a.service/tasks", ""), ("cgroup/memory/keep", "")]);
    let mut host = tree.host();
    let mut forest = Forest::open(&mut host).unwrap().unwrap();
    round(&mut forest, &mut host);
    assert_eq!(round(&mut forest, &mut host)[2].1, 2);
    let old = format!("{}/cgroup/memory/system.slice/a.service", tree.path());
    // The folder moves away instead of being removed: its number is not given out again then.
    std::fs::rename(&old, format!("{}/elsewhere", tree.path())).unwrap();
    tree.write("cgroup/memory/system.slice/a.service/tasks", "");
    let seen = round(&mut forest, &mut host);
    let shown: Vec<_> = seen.into_iter().filter(|(path, _)| path == "/system.slice/a.service").collect();
    assert_eq!(shown, [("/system.slice/a.service".to_owned(), 1)], "the old one's owner sees nothing of it");
}

#[test]
fn the_tree_itself_may_go() {
    let tree = Tree::new(&[("cgroup/cgroup.controllers", "\n")]);
    let mut host = tree.host();
    let mut forest = Forest::<u32>::open(&mut host).unwrap().unwrap();
    tree.remove("cgroup");
    assert!(forest.round(&mut host, &mut |_, _, _| Life::Alive).unwrap_err().is_absent());
    assert!(Forest::<u32>::open(&mut host).unwrap().is_none());
}

/// Real cgroups of version 2, which needs root.
#[test]
fn a_kept_folder_is_no_longer_that_of_its_path_when_the_cgroup_is_made_anew() {
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let mount = mounts.into_iter().find(|mount| std::fs::exists(format!("{mount}/cgroup.controllers")).unwrap());
    let path = format!("/wholenode-folder-{}.service", std::process::id());
    let folder = format!("{}{path}", mount.unwrap_or_default());
    if mount.is_none() || std::fs::create_dir(&folder).is_err() {
        return writeln!(std::io::stderr(), "skipped: no cgroup of version 2 can be made here").unwrap();
    }
    let roots = Roots { cgroup: mount.unwrap().to_owned(), ..Roots::default() };
    let mut host = Host::new(Machine::new(roots, Clock::Real, None, Child::none()));
    let mut forest = Forest::<u32>::open(&mut host).unwrap().unwrap().keeping_folders();
    // Files of it that were found in a round, and in how many rounds it was seen.
    let mut look = |host: &mut Host| {
        let mut seen = None;
        let visit = &mut |host: &mut Host, _: &Trees, node: &mut Node<u32>| {
            if node.path == path {
                node.own += 1;
                let mut read = |file| host.cgroup("", &path, file, &mut Handle::default()).unwrap().is_some();
                let found = ["cgroup.procs", "cgroup.events", "none"].into_iter().filter(|file| read(file));
                seen = Some((found.count(), node.own));
            }
            Life::Alive
        };
        forest.round(host, visit).unwrap();
        (seen, host.machine().handles())
    };
    assert_eq!(look(&mut host), (Some((2, 1)), 1));
    assert_eq!(look(&mut host), (Some((2, 2)), 1));
    std::fs::remove_dir(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(look(&mut host), (Some((2, 1)), 1), "the old one's folder has no files any more");
    std::fs::remove_dir(&folder).unwrap();
    assert_eq!(look(&mut host), (None, 0));
}
