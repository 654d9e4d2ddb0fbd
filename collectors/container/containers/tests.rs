use super::*;
use crate::kit::testing::Tree;

#[test]
fn time_used_by_all() {
    assert_eq!(used(b"cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1\n"), Some(Value::Scaled(73, 2)));
    assert_eq!(used(b"intr 1\n"), None);
}

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn a_container_of_version_2() {
    let path = format!("/system.slice/docker-{ID}.scope");
    let file = |name: &str| format!("cgroup{path}/{name}");
    let tree = Tree::new(&[
        ("calls/clock", "wall 1700000000.5\nboot 10\n"),
        ("cgroup/cgroup.controllers", "cpu memory\n"),
        (&file("cpu.stat"), "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\nnr_periods 9\nnr_throttled 2\nthrottled_usec 7\n"),
        (&file("cpu.max"), "50000 100000\n"),
        (&file("memory.current"), "1000\n"),
        (&file("memory.stat"), "anon 300\nfile 600\ninactive_file 200\npgfault 5\npgmajfault 1\n"),
        (&file("memory.max"), "max\n"),
        (&file("cpu.pressure"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=42\n"),
        (&file("io.stat"), "253:0 rbytes=4096 wbytes=0 rios=1 wios=0\n"),
        ("sys/dev/block/253:0", "-> ../../devices/virtual/block/dm-0"),
    ]);
    let page = tree.open(&SPEC, &[("levels", "containers")]).round();
    let of = format!("{{id={path:?},name={ID:?}");
    for line in [
        format!("container_cpu_usage_seconds_total{of},cpu=\"total\"}} 5\n"),
        format!("container_cpu_cfs_throttled_seconds_total{of}}} 0.000007\n"),
        format!("container_spec_cpu_quota{of}}} 50000\n"),
        format!("container_spec_memory_limit_bytes{of}}} 0\n"),
        format!("container_memory_working_set_bytes{of}}} 800\n"),
        format!("container_memory_failures_total{of},failure_type=\"pgmajfault\",scope=\"container\"}} 1\n"),
        format!("container_pressure_cpu_waiting_seconds_total{of}}} 0.000042\n"),
        format!("container_fs_reads_bytes_total{of},device=\"/dev/dm-0\"}} 4096\n"),
        format!("container_last_seen{of}}} 1700000000.5\n"),
    ] {
        assert!(page.contains(&line), "{line} in\n{page}");
    }
    assert!(!page.contains('!'), "{page}");
}

#[test]
fn levels_are_left_out() {
    let tree = Tree::new(&[
        ("cgroup/cgroup.controllers", "\n"),
        ("cgroup/system.slice/cpu.stat", "usage_usec 7\n"),
        ("cgroup/system.slice/a.service/cpu.stat", "usage_usec 5\n"),
    ]);
    let service = "container_cpu_usage_seconds_total{id=\"/system.slice/a.service\",cpu=\"total\"} 0.000005\n";
    tree.check(&SPEC, &[("levels", "services")], service);
    let page = service.replace("\",cpu", "\",systemd_service_name=\"a\",cpu");
    tree.check(&SPEC, &[("levels", "services"), ("legacy-labels", "true")], &page);
}
