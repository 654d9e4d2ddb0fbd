use super::*;
use crate::kit::testing::Tree;

#[test]
fn time_used_by_all() {
    assert_eq!(used(b"cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1\n"), Some(Value::Scaled(73, 2)));
    assert_eq!(used(b"intr 1\n"), None);
}

#[test]
fn first() {
    let tree =
        Tree::new(&[("cgroup/cgroup.controllers", "\n"), ("cgroup/system.slice/a.service/cpu.stat", "usage_usec 5\n")]);
    let mut opened = tree.open(&SPEC, &[]);
    panic!("{}", opened.round());
}
