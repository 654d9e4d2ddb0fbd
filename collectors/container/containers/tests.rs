use super::*;
use crate::kit::testing::Tree;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn a_container_of_version_2() {
    let path = format!("/system.slice/docker-{ID}.scope");
    let file = |name: &str| format!("cgroup{path}/{name}");
    let tree = Tree::new(&[
        ("calls/clock", "wall 1700000000.5\nboot 10\n"),
        ("cgroup/cgroup.controllers", "cpu memory\n"),
        (
            &file("cpu.stat"),
            "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\nnr_periods 9\nnr_throttled 2\nthrottled_usec 7\n",
        ),
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

/// A node of Kubernetes: a pod with its sandbox and a container, whose names are hostile.
fn node() -> (Tree, [String; 3]) {
    let sandbox = ID.replace('0', "a");
    let pod = "/kubepods.slice/kubepods-pod1b7e5f6a_0000.slice";
    let paths =
        [pod.to_owned(), format!("{pod}/cri-containerd-{sandbox}.scope"), format!("{pod}/cri-containerd-{ID}.scope")];
    let tree = Tree::new(&[
        ("calls/clock", "wall 1700000100\nboot 100\n"),
        ("cgroup/cgroup.controllers", "cpu memory\n"),
        ("proc/7/cgroup", &format!("0::{}\n", paths[2])),
        ("proc/7/stat", "7 (a) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 4096 1\n"),
    ]);
    let common = r#""io.kubernetes.cri.sandbox-name":"shop-0","io.kubernetes.cri.sandbox-namespace":"default",
        "io.kubernetes.cri.sandbox-uid":"1b7e5f6a-0000""#;
    let label = "é".repeat(2048);
    for (path, more) in [
        (&paths[1], r#""io.kubernetes.cri.container-type":"sandbox""#.to_owned()),
        (
            &paths[2],
            format!(
                r#""io.kubernetes.cri.container-name":"we\"\\b\n","io.kubernetes.cri.image-name":"nginx:1","a.b":"1","a/b":"2","long":"{label}""#
            ),
        ),
    ] {
        tree.write(&format!("cgroup{path}/cpu.stat"), "usage_usec 1000000\n");
        let id = path.rsplit_once('-').unwrap().1.trim_end_matches(".scope");
        let bundle = format!("rootfs/run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}");
        tree.write(&format!("{bundle}/config.json"), &format!("{{\"annotations\":{{{common},{more}}}}}"));
        tree.write(&format!("{bundle}/init.pid"), "7");
    }
    tree.write(&format!("cgroup{pod}/cpu.stat"), "usage_usec 2000000\n");
    (tree, paths)
}

#[test]
fn names_of_kubernetes() {
    let (tree, [pod, sandbox, container]) = node();
    let page =
        tree.open(&SPEC, &[("levels", "pods,sandboxes,containers"), ("families", "cpu_usage|start_time")]).round();
    let shop = "namespace=\"default\",pod=\"shop-0\"";
    let id = sandbox.rsplit_once('-').unwrap().1.trim_end_matches(".scope");
    for line in [
        format!("container_cpu_usage_seconds_total{{id={pod:?},{shop},cpu=\"total\"}} 2\n"),
        format!("container_cpu_usage_seconds_total{{id={sandbox:?},name={id:?},{shop},cpu=\"total\"}} 1\n"),
        format!(
            "container_cpu_usage_seconds_total{{id={container:?},name={ID:?},image=\"nginx:1\",{shop},container=\"we\\\"\\\\b\\n\",cpu=\"total\"}} 1\n"
        ),
        format!(
            "container_start_time_seconds{{id={container:?},name={ID:?},image=\"nginx:1\",{shop},container=\"we\\\"\\\\b\\n\"}} 1700000012.34\n"
        ),
    ] {
        assert!(page.contains(&line), "{line} in\n{page}");
    }
    // What is told of containers alone is not told of a sandbox, from the first round on.
    assert!(!page.lines().any(|line| line.starts_with("container_memory") && line.contains(id)), "{page}");
    let page =
        tree.open(&SPEC, &[("levels", "sandboxes"), ("families", "cpu_usage"), ("name-style", "dockershim")]).round();
    assert!(page.contains("name=\"k8s_POD_shop-0_default_1b7e5f6a-0000_0\""), "{page}");
}

#[test]
fn labels_by_choice() {
    let (tree, _) = node();
    let page = tree.open(&SPEC, &[("levels", "containers"), ("omit", "id,name"), ("labels", "^(a.b|long)$")]).round();
    let value = "é".repeat(256);
    assert!(page.contains(&format!("container_label_a_b=\"1\",container_label_long={value:?}")), "{page}");
    assert!(!page.contains("container_label_io"), "{page}");
}

/// What only version 1 tells, or somebody asks for.
#[test]
fn families_by_choice() {
    let tree = Tree::new(&[("calls/clock", "wall 1700001000\nboot 900\n")]);
    let file = |tree_of: &str, name: &str, text: &str| {
        tree.write(&format!("cgroup/{tree_of}/docker/{ID}/{name}"), text);
    };
    file("memory", "memory.usage_in_bytes", "1\n");
    file("cpuset", "cpuset.memory_migrate", "1\n");
    file("cpu,cpuacct", "cpuacct.usage", "3500000000\n");
    file("cpu,cpuacct", "cpuacct.usage_percpu", "2000000000 0 1500000000 \n");
    let of = format!("{{id=\"/docker/{ID}\",name=\"{ID}\"");
    let usage = |page: &str| -> Vec<String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("container_cpu_usage_seconds_total"));
        lines.map(|line| line.replace(&of, "{")).collect()
    };
    let levels = ("levels", "containers");
    let page = tree.open(&SPEC, &[levels]).round();
    assert_eq!(usage(&page), ["{,cpu=\"total\"} 3.5"]);
    assert!(!page.contains("creation") && !page.contains("migrate"), "{page}");
    let says = r#"{"Name":"/web","Created":"2023-11-14T22:13:20.5Z","State":{"Pid":0},"Config":{"Image":"nginx"}}"#;
    let asked = ("families", "container_(creation_time|memory_migrate)");
    let page = tree.open(&SPEC, &[levels, ("per-cpu", "true"), asked]).round();
    assert_eq!(usage(&page), ["{,cpu=\"cpu00\"} 2", "{,cpu=\"cpu02\"} 1.5"]);
    assert!(page.contains(&format!("container_memory_migrate{of}}} 1\n")), "{page}");
    assert!(page.contains("container_creation_time_seconds{"), "{page}");
    tree.write(&format!("rootfs/var/lib/docker/containers/{ID}/config.v2.json"), says);
    let page = tree.open(&SPEC, &[levels, asked]).round();
    let line =
        format!("container_creation_time_seconds{{id=\"/docker/{ID}\",name=\"web\",image=\"nginx\"}} 1700000000.5\n");
    assert!(page.contains(&line), "{line} in\n{page}");
    // Where the kernel does not tell by processor, all is told in one.
    tree.remove(&format!("cgroup/cpu,cpuacct/docker/{ID}/cpuacct.usage_percpu"));
    assert_eq!(usage(&tree.open(&SPEC, &[levels, ("per-cpu", "true")]).round()).len(), 1);
}

mod budget;
mod hostile;
mod rounds;
mod spared;
