//! A Prometheus with the configurations that are shipped asks all queries of the platform, of a real pod, a real container of
//! Podman and a cgroup that looks like a service.
//!
//! It is in a network of its own, where the pod's bridge is made. `manifests/prometheus/tests/run.py` is who asks; the
//! interpreter for it is `WHOLENODE_PYTHON`, else `python3`, with PyYAML.

use super::ground::{self, Containerd, Ground};
use super::{Field, field, text_field};
use crate::daemon::Daemon;
use crate::skipped;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const WITHIN: &str = "WHOLENODE_QUERIES_WITHIN";
const PODMAN: &str = "wholenode-registry";
const SERVICE: &str = "wholenode-test";
/// A network for pods: a bridge, which reaches nobody.
const BRIDGE: &str = r#"{"cniVersion":"0.4.0","name":"pods","plugins":[{"type":"bridge","bridge":"wholenode0","ipam":
    {"type":"host-local","dataDir":"DATA","subnet":"10.88.99.0/24"}}]}"#;

/// A disk for the test, in a file.
struct Disk(String);

impl Disk {
    /// `None`: no disk can be made here.
    fn new(ground: &Ground) -> Option<Self> {
        let file = ground.path("disk");
        fs::write(&file, vec![0; 1 << 20]).unwrap();
        let output = Command::new("losetup").args(["--find", "--show", &file]).output().ok()?;
        output.status.success().then(|| Self(String::from_utf8(output.stdout).unwrap().trim().to_owned()))
    }

    fn number(&self) -> String {
        let number = fs::metadata(&self.0).unwrap().rdev();
        format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

/// A process that reads, writes and works, until it is dropped.
struct Busy(Child, Vec<PathBuf>);

impl Busy {
    /// In this cgroup of every tree; it is made where it is not there, and removed then.
    fn new(ground: &Ground, disk: &Disk, name: &str) -> Self {
        let trees = ["cpu", "cpuacct", "memory", "blkio", "pids"];
        let folders: Vec<PathBuf> = trees.iter().map(|tree| ground.cgroup(tree, name).into()).collect();
        let mut made: Vec<PathBuf> = Vec::new();
        for folder in &folders {
            let mut above: Vec<PathBuf> =
                folder.ancestors().take_while(|above| !above.exists()).map(PathBuf::from).collect();
            fs::create_dir_all(folder).unwrap();
            made.append(&mut above);
        }
        // Version 1 counts what passes a throttle, since Linux 6.10 not before there is one.
        let throttle = ground.cgroup("blkio", &format!("{name}/blkio.throttle.write_bps_device"));
        let _ = fs::write(throttle, format!("{} 1000000000", disk.number()));
        let disk = &disk.0;
        let script = format!(
            "for procs; do echo $$ >\"$procs\"; done; while :; do dd if=/dev/zero of={disk} bs=4k count=8 oflag=direct; \
             dd if={disk} of=/dev/null bs=4k count=8 iflag=direct; sleep 0.3; done"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).args(folders.iter().map(|folder| folder.join("cgroup.procs")));
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), made)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        for folder in &self.1 {
            // What it started may have to end yet.
            for _ in 0..100 {
                if fs::remove_dir(folder).is_ok() || !folder.exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}

/// A pod with a network of its own, and its container's cgroup.
fn pod(containerd: &Containerd<'_>) -> (String, String) {
    let uid = format!("1b7e5f6a-0000-4000-8001-{:012x}", std::process::id());
    let parent = format!("/kubepods/burstable/pod{uid}");
    let pod = [
        field(1, &[text_field(1, "web-5d9f"), text_field(2, &uid), text_field(3, "shop")].concat()),
        field(8, &[text_field(1, &parent), field(2, &field(1, &Field::number(1, 0)))].concat()),
    ]
    .concat();
    let sandbox = containerd.cri("RunPodSandbox", &field(1, &pod));
    let container = [field(1, &text_field(1, "nginx")), field(2, &text_field(1, ground::IMAGE))].concat();
    let request = [text_field(1, &sandbox), field(2, &container), field(3, &pod)].concat();
    let web = containerd.cri("CreateContainer", &request);
    containerd.cri("StartContainer", &text_field(1, &web));
    (sandbox, format!("{parent}/{web}"))
}

fn within() {
    let Some(ground) =
        Ground::with(&["containerd", "ctr", "runc", "buildah", "podman", "conmon", "prometheus", "nsenter"])
    else {
        return;
    };
    fs::create_dir_all(ground.path("containerd/cni")).unwrap();
    fs::write(ground.path("containerd/cni/pods.conflist"), BRIDGE.replace("DATA", &ground.path("leases"))).unwrap();
    let Some(containerd) = Containerd::start(&ground) else { return };
    containerd.import("k8s.io");
    let (sandbox, cgroup) = pod(&containerd);
    let Some(id) = ground.podman(&["run", "-d", "--name", PODMAN, "--network", "none"]) else { return };
    let pid = ground.podman_says(&["inspect", "--format", "{{.State.Pid}}", &id]);
    // A cable with both ends in the container.
    let cable = "ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up";
    let made = Command::new("nsenter").args(["--net", "-t", pid.trim(), "sh", "-c", cable]).status().unwrap();
    assert!(made.success(), "an interface for {PODMAN}");
    let Some(disk) = Disk::new(&ground) else { return skipped("no disk can be made (losetup)") };
    let busy = [
        Busy::new(&ground, &disk, &cgroup),
        Busy::new(&ground, &disk, &format!("/libpod_parent/libpod-{id}")),
        Busy::new(&ground, &disk, &format!("/system.slice/{SERVICE}.service")),
    ];
    let daemon = Daemon::start(&[&format!("--path.rootfs={}", ground.path("root"))]);
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/prometheus/tests/run.py");
    let python = std::env::var("WHOLENODE_PYTHON").unwrap_or("python3".into());
    let mut command = Command::new(python);
    command.args(["-B", run, &format!("--real={}", daemon.address()), &format!("--container={PODMAN}")]);
    command.args([&format!("--image={}", ground::IMAGE), &format!("--service={SERVICE}")]);
    let output = command.output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    drop(busy);
    containerd.cri("StopPodSandbox", &text_field(1, &sandbox));
    containerd.cri("RemovePodSandbox", &text_field(1, &sandbox));
    ground.podman_says(&["rm", "-f", "-t", "0", &id]);
    print!("{told}");
    assert!(output.status.success(), "{errors}");
}

#[test]
fn queries_of_the_platform() {
    if !rustix::process::geteuid().is_root() {
        return skipped("not root");
    }
    let python = std::env::var("WHOLENODE_PYTHON").unwrap_or("python3".into());
    if !Command::new(python).args(["-c", "import yaml"]).output().is_ok_and(|output| output.status.success()) {
        return skipped("no Python with PyYAML");
    }
    if std::env::var_os(WITHIN).is_some() {
        return within();
    }
    super::alone("containers::queries::queries_of_the_platform", WITHIN);
}
