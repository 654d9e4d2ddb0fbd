//! Real containers of containerd, of its CRI plugin, and of Podman: the page's labels and values beside the runtime's and
//! the kernel's.
//!
//! Everything is kept below a folder of the test's own; no registry is asked, no store of the machine is touched.

mod churn;
mod cri;
mod figures;
mod ground;
mod queries;
mod unified;

use crate::daemon::figure;
use crate::skipped;
use cri::{Field, field, text_field};
use ground::{Containerd, Ground};
use std::fs;
use std::process::Command;

/// An identity as runtimes make them.
fn id(of: &str) -> String {
    let seed: String = of.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{seed:0>40}", "0123456789abcdef01234567")
}

/// The figure of the family's only series with all these labels.
#[track_caller]
fn of(page: &str, family: &str, labels: &[&str]) -> f64 {
    let is_it = |line: &&str| {
        line.strip_prefix(family).is_some_and(|rest| rest.starts_with('{'))
            && labels.iter().all(|label| line.contains(label))
    };
    let found: Vec<&str> = page.lines().filter(is_it).collect();
    let [line] = found[..] else { panic!("{family} {labels:?} is there {} times in\n{page}", found.len()) };
    let (series, _) = line.rsplit_once(' ').unwrap();
    figure(page, series).unwrap()
}

/// A figure of the kernel.
#[track_caller]
fn kernel(path: &str) -> f64 {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().parse().unwrap()
}

/// When a process was started, by the kernel's own words.
fn started(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks: f64 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let boot = fs::read_to_string("/proc/stat").unwrap();
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime ")).unwrap().parse().unwrap();
    boot + ticks / 100.0
}

#[track_caller]
fn began_with(page: &str, labels: &[&str], pid: u32) {
    let told = of(page, "container_start_time_seconds", labels);
    // btime is a whole number, rounded down.
    assert!((told - started(pid)).abs() <= 1.5, "{told} beside {}", started(pid));
}

/// Runs a test once more, with this variable set, in a network namespace of its own: interfaces that come and go are no
/// business of other tests.
#[track_caller]
fn alone(test: &str, variable: &str) {
    let mut command = Command::new("unshare");
    let script = "ip link set lo up && exec \"$0\" \"$@\"";
    command.args(["--net", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(variable, "1").output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // No such program, or no such right: the test has not begun.
    if !output.status.success() && !told.contains("running 1 test") {
        return skipped(errors.trim());
    }
    errors.lines().filter_map(|line| line.split_once("skipped: ")).for_each(|(_, why)| skipped(why));
    print!("{told}");
    assert!(output.status.success(), "{told}\n{errors}");
}

#[test]
fn a_container_of_containerd() {
    let Some(ground) = Ground::with(&["containerd", "ctr", "runc", "buildah"]) else { return };
    let Some(containerd) = Containerd::start(&ground) else { return };
    let id = id("who-ctr");
    containerd.import("default");
    let limit = (64 << 20).to_string();
    let parent = format!("--cgroup=/wholenode-test/{id}");
    containerd.ctr(&[
        "-n",
        "default",
        "run",
        "-d",
        "--net-host",
        "--memory-limit",
        &limit,
        &parent,
        ground::IMAGE,
        &id,
    ]);
    let pid = containerd.pid("default", &id);
    let page = ground.page(&["--collector.containers.levels=containers", "--collector.containers.families=."]);
    let labels = [&*format!("id=\"/wholenode-test/{id}\""), &*format!("name=\"{id}\"")];
    assert_eq!(of(&page, "container_spec_memory_limit_bytes", &labels), f64::from(64 << 20));
    assert_eq!(
        of(&page, "container_threads", &labels),
        kernel(&ground.cgroup("pids", &format!("/wholenode-test/{id}/pids.current")))
    );
    began_with(&page, &labels, pid);
}

#[test]
fn a_pod_of_kubernetes() {
    let Some(ground) = Ground::with(&["containerd", "ctr", "runc", "buildah"]) else { return };
    let Some(containerd) = Containerd::start(&ground) else { return };
    containerd.import("k8s.io");
    let uid = format!("1b7e5f6a-0000-4000-8000-{:012x}", std::process::id());
    let parent = format!("/kubepods/burstable/pod{uid}");
    let pod = [
        field(1, &[text_field(1, "shop-0"), text_field(2, &uid), text_field(3, "test\"ing")].concat()),
        field(8, &[text_field(1, &parent), field(2, &field(1, &Field::number(1, 2)))].concat()),
    ]
    .concat();
    let sandbox = containerd.cri("RunPodSandbox", &field(1, &pod));
    let container = [
        field(1, &text_field(1, "web")),
        field(2, &text_field(1, ground::IMAGE)),
        field(6, &[text_field(1, "SECRET"), text_field(2, &"x".repeat(40_000))].concat()),
        field(
            15,
            &field(1, &[Field::number(1, 100_000), Field::number(2, 50_000), Field::number(4, 96 << 20)].concat()),
        ),
    ]
    .concat();
    let web =
        containerd.cri("CreateContainer", &[text_field(1, &sandbox), field(2, &container), field(3, &pod)].concat());
    containerd.cri("StartContainer", &text_field(1, &web));
    let pid = containerd.pid("k8s.io", &web);

    let page = ground.page(&["--collector.containers.levels=pods,sandboxes,containers"]);
    check_pod(&page, &parent, &sandbox, &web);
    let labels = [&*format!("name=\"{web}\"")];
    assert_eq!(of(&page, "container_spec_cpu_quota", &labels), 50_000.0);
    assert_eq!(
        of(&page, "container_spec_memory_limit_bytes", &labels),
        kernel(&ground.cgroup("memory", &format!("{parent}/{web}/memory.limit_in_bytes")))
    );
    began_with(&page, &labels, pid);

    let page =
        ground.page(&["--collector.containers.levels=containers", "--collector.containers.name-style=dockershim"]);
    assert!(page.contains(&format!("name=\"k8s_web_shop-0_test\\\"ing_{uid}_0\"")), "{page}");
    // As in a pod: a procfs, process numbers and cgroups of its own; what is the machine's is mounted elsewhere.
    match ground.page_from_within(&["--collector.containers.levels=pods,sandboxes,containers"]) {
        Ok(page) => {
            check_pod(&page, &parent, &sandbox, &web);
            began_with(&page, &labels, pid);
        }
        Err(why) => skipped(format!("namespaces: {why}")),
    }
    containerd.cri("StopPodSandbox", &text_field(1, &sandbox));
    containerd.cri("RemovePodSandbox", &text_field(1, &sandbox));
    assert!(!ground.page(&[]).contains(&web));
}

/// A pod, its sandbox and its container have the labels that the kubelet gives them.
#[track_caller]
fn check_pod(page: &str, parent: &str, sandbox: &str, web: &str) {
    let names = "namespace=\"test\\\"ing\",pod=\"shop-0\"";
    let cpu = "container_cpu_usage_seconds_total";
    let ofpod = format!("{cpu}{{id=\"{parent}\",{names},cpu=\"total\"}} ");
    let ofweb = format!(
        "{cpu}{{id=\"{parent}/{web}\",name=\"{web}\",image=\"{}\",{names},container=\"web\",cpu=\"total\"}} ",
        ground::IMAGE
    );
    for series in [ofpod, ofweb] {
        assert!(page.lines().any(|line| line.starts_with(&series)), "{series} in\n{page}");
    }
    assert!(!page.lines().any(|line| line.starts_with(cpu) && line.contains(sandbox)), "{page}");
}

#[test]
fn a_container_of_podman() {
    let Some(ground) = Ground::with(&["podman", "runc", "conmon", "buildah"]) else { return };
    let Some(id) = ground.podman(&["run", "-d", "--name", "wholenode-web", "--network", "host", "--memory", "64m"])
    else {
        return;
    };
    let inspected = ground.podman_says(&["inspect", "--format", "{{.State.Pid}} {{.Name}} {{.ImageName}}", &id]);
    let words: Vec<&str> = inspected.split_whitespace().collect();
    let [pid, name, image] = words[..] else { panic!("{inspected}") };
    let page =
        ground.page(&["--collector.containers.levels=containers", "--collector.containers.labels=^io.container"]);
    let labels = [
        &*format!("id=\"/libpod_parent/libpod-{id}\""),
        &*format!("name=\"{name}\",image=\"{image}\""),
        "container_label_io_container_manager=\"libpod\"",
    ];
    assert_eq!(of(&page, "container_spec_memory_limit_bytes", &labels), f64::from(64 << 20));
    began_with(&page, &labels, pid.parse().unwrap());
    ground.podman_says(&["rm", "-f", "-t", "0", &id]);
}
