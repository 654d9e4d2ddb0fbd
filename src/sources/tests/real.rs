//! Sources against the real containerd, Podman and Docker, where they are installed and may be started.

use super::super::cri::{Calls, open};
use super::play::{field, number};
use super::*;
use std::process::{Child as Process, Command, Stdio};

/// They share the machine's cgroups: one after the other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Says why a test can't be run on this machine, past the capture of what tests print.
fn skipped(why: &str) {
    use std::io::Write;
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "test {test} skipped: {why}");
}

/// What there has to be for a test; nothing if it is all there.
fn lacking(programs: &[&str]) -> Option<String> {
    let runs = |program: &str| Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let is_there = |program: &&&str| runs(program).is_ok_and(|output| output.status.success());
    if !rustix::process::geteuid().is_root() {
        return Some("only root may start containers".to_owned());
    }
    programs.iter().find(|program| !is_there(program)).map(|program| format!("{program} is not installed"))
}

fn shell(script: &str) -> Result<String, String> {
    let done = Command::new("sh").args(["-euc", script]).stdin(Stdio::null()).output().unwrap();
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match done.status.success() {
        true => Ok(told(&done.stdout)),
        false => Err(format!("{script}\n{}\n{}", told(&done.stdout), told(&done.stderr))),
    }
}

/// An image with one program, which waits to be ended, as an archive that all of them load.
const IMAGE: &str = r#"
cd "$W"
cat >pause.c <<END
#include <signal.h>
#include <unistd.h>
static void end(int signal) { _exit(0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }
END
gcc -static -Os -s -o pause pause.c
tar --owner=0 --group=0 -cf layer.tar pause
sum=$(sha256sum layer.tar | cut -d' ' -f1)
arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
echo '{"architecture":"'$arch'","os":"linux","config":{"Entrypoint":["/pause"]},"rootfs":{"type":"layers","diff_ids":["sha256:'$sum'"]}}' >config.json
echo '[{"Config":"config.json","RepoTags":["localhost/pause:0.1"],"Layers":["layer.tar"]}]' >manifest.json
tar -cf image.tar manifest.json config.json layer.tar
"#;

/// A daemon in a folder of its own; ended, and tidied up after, when dropped.
struct Daemon {
    process: Process,
    folder: tempfile::TempDir,
    after: String,
}

impl Daemon {
    /// Starts it with `W` as its folder, and waits for its socket.
    fn start(command: &str, after: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let of = |script: &str| format!("W={}; {script}", folder.path().display());
        shell(&of(IMAGE)).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new("sh")
            .args(["-euc", &of(command)])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let after = of(after);
        let mut daemon = Self { process, folder, after };
        for _ in 0..300 {
            if std::os::unix::net::UnixStream::connect(daemon.socket()).is_ok() {
                return Some(daemon);
            }
            if daemon.process.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(daemon.folder.path().join("log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(3).collect();
        skipped(&format!("it does not start here: {last:?}"));
        None
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("x.sock")
    }

    fn shell(&self, script: &str) -> Result<String, String> {
        shell(&format!("W={}; {script}", self.folder.path().display()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = shell(&format!("kill {} || true", self.process.id()));
        let _ = self.process.wait();
        if let Err(error) = shell(&self.after) {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), error.as_bytes());
        }
    }
}

/// The cgroup folders that a test's runtime made are removed, deepest first; those that are in use stay.
const NO_CGROUPS: &str =
    r#"find /sys/fs/cgroup -depth -type d -path "*/$PARENT*" -exec rmdir {} \; >/dev/null 2>&1 || true"#;

/// This machine.
fn live() -> Arc<Machine> {
    with_all_labels(Machine::new(Roots::default(), Clock::Real, None, Child::none()))
}

/// Removes what the daemons of containers make outside of the folders that they are given. What is in use stays, and so does
/// what is there by now.
fn no_folders() -> String {
    let made = ["/run/docker/plugins", "/run/docker", "/opt/containerd/lib", "/opt/containerd/bin", "/opt/containerd"];
    let runs = [
        "/run/containerd/fifo",
        "/run/containerd/s",
        "/run/containerd/runc/*",
        "/run/containerd/runc",
        "/run/containerd",
    ];
    let is_new = |path: &&str| !std::path::Path::new(path.trim_end_matches("/*")).exists();
    let new: Vec<&str> = made.into_iter().chain(runs).filter(is_new).collect();
    format!("rmdir {} >/dev/null 2>&1 || true", new.join(" "))
}

/// Waits until its runtime has told who that is.
async fn told(machine: &Arc<Machine>, runtime: Runtime, id: &str) -> Named {
    soon(|| named(machine, runtime, id).is_some()).await;
    named(machine, runtime, id).unwrap()
}

const CONTAINERD: &str = r#"
cat >"$W/config.toml" <<END
version = 2
root = "$W/root"
state = "$W/state"
oom_score = 0
[grpc]
  address = "$W/x.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:0.1"
  restrict_oom_score_adj = true
[plugins."io.containerd.internal.v1.opt"]
  path = "$W/opt"
END
exec containerd -c "$W/config.toml"
"#;

fn parts(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// A pod in the network of the node, with one container: their identities.
async fn run_pod(calls: &mut Calls, parent: &str) -> Result<(String, String), Failure> {
    let one = |bytes: Vec<u8>| String::from_utf8(bytes[2..].to_vec()).unwrap();
    let metadata = parts(&[field(1, b"web-0"), field(2, b"0a1b2c3d"), field(3, b"shop"), number(4, 2)]);
    let security = field(2, &field(1, &number(1, 2)));
    let linux = parts(&[field(1, parent.as_bytes()), security]);
    let labels = field(6, &parts(&[field(1, b"app"), field(2, b"web")]));
    let config = parts(&[field(1, &metadata), labels, field(8, &linux)]);
    let sandbox = one(calls.call("RunPodSandbox", field(1, &config)).await?);
    let metadata = parts(&[field(1, b"nginx"), number(2, 5)]);
    let container = parts(&[field(1, &metadata), field(2, &field(1, b"localhost/pause:0.1"))]);
    let request = parts(&[field(1, sandbox.as_bytes()), field(2, &container), field(3, &config)]);
    let container = one(calls.call("CreateContainer", request).await?);
    calls.call("StartContainer", field(1, container.as_bytes())).await?;
    Ok((sandbox, container))
}

#[tokio::test]
async fn containerd_tells_of_a_pod_and_its_container() {
    if let Some(why) = lacking(&["containerd", "ctr", "runc", "gcc"]) {
        return skipped(&why);
    }
    let _alone = ALONE.lock().await;
    let parent = format!("wholenode-test-{}", std::process::id());
    let after = format!(
        r#"for at in $(cat /proc/mounts | cut -d' ' -f2 | grep "^$W/" | sort -r); do umount "$at"; done; PARENT={parent}; {NO_CGROUPS}; {no_folders}"#,
        no_folders = no_folders()
    );
    let Some(daemon) = Daemon::start(CONTAINERD, &after) else { return };
    daemon.shell(r#"ctr -a "$W/x.sock" -n k8s.io images import "$W/image.tar""#).unwrap();
    let stream = UnixStream::connect(daemon.socket()).await.unwrap();
    let (mut calls, connection) = open(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let (sandbox, container) = run_pod(&mut calls, &format!("/{parent}")).await.unwrap();

    let (machine, source) = (live(), source(Api::Cri, &daemon.socket()));
    start(&[Arc::clone(&source)], &machine);
    let of_container = told(&machine, Runtime::Containerd, &container).await;
    let of_sandbox = told(&machine, Runtime::Containerd, &sandbox).await;

    let pid = daemon
        .shell(&format!(r#"ctr -a "$W/x.sock" -n k8s.io task ls | grep "^{sandbox} " | tr -s ' ' | cut -d' ' -f2"#));
    assert_eq!(of_sandbox.pid.unwrap().to_string(), pid.unwrap());
    let sockets = Sockets { cri: vec![Socket::At(source.path().to_owned())], docker: vec![] };
    let probed = probe(&sockets, "").await;
    assert!(
        probed[0].told.starts_with("containerd ") && probed[0].told.ends_with(": 1 pods, 1 containers"),
        "{probed:?}"
    );
    calls.call("StopPodSandbox", field(1, sandbox.as_bytes())).await.unwrap();
    calls.call("RemovePodSandbox", field(1, sandbox.as_bytes())).await.unwrap();
    driver.abort();

    assert!(of_sandbox.is_sandbox && of_sandbox.container.is_empty());
    assert_eq!((of_sandbox.pod.as_str(), of_sandbox.namespace.as_str()), ("web-0", "shop"));
    assert_eq!((of_sandbox.image.as_str(), of_sandbox.attempt), ("localhost/pause:0.1", Some(2)));
    assert_eq!(of_sandbox.labels, [("app".to_owned(), "web".to_owned())]);
    assert!(!of_container.is_sandbox);
    assert_eq!((of_container.name, of_container.container.as_str()), (container, "nginx"));
    assert_eq!((of_container.pod.as_str(), of_container.pod_uid.as_str()), ("web-0", "0a1b2c3d"));
    assert_eq!((of_container.image.as_str(), of_container.attempt), ("localhost/pause:0.1", Some(5)));
    assert_eq!(source.figures().unwrap().failures, 0);
}

/// Asks who a container is that runs behind a socket of Docker's API, and compares with what its own tool says.
async fn docker_tells(daemon: &Daemon, runtime: Runtime, tool: &str, flags: &str) -> (Arc<Machine>, String) {
    let tool = |words: &str| daemon.shell(&format!("{tool} {words}")).unwrap();
    tool(r#"load -i "$W/image.tar""#);
    let id = tool(&format!("run -d --name web --network none --label team=shop {flags} localhost/pause:0.1"));
    let id = id.lines().last().unwrap().to_owned();
    let (machine, source) = (live(), source(Api::Docker, &daemon.socket()));
    start(&[Arc::clone(&source)], &machine);
    let named = told(&machine, runtime, &id).await;
    assert_eq!(named.pid.unwrap().to_string(), tool("inspect -f '{{.State.Pid}}' web"));
    assert_eq!((named.name.as_str(), named.image.as_str()), ("web", "localhost/pause:0.1"));
    assert_eq!((named.labels, named.attempt), (vec![("team".to_owned(), "shop".to_owned())], Some(0)));
    assert_eq!(source.figures(), Some(Figures { is_up: true, requests: 2, failures: 0 }));
    let sockets = Sockets { cri: vec![], docker: vec![Socket::At(source.path().to_owned())] };
    let probed = probe(&sockets, "").await;
    assert!(probed[0].state == "ok" && probed[0].told.ends_with(": 1 containers"), "{probed:?}");
    (machine, id)
}

#[tokio::test]
async fn podman_tells_of_a_container() {
    if let Some(why) = lacking(&["podman", "runc", "gcc"]) {
        return skipped(&why);
    }
    let _alone = ALONE.lock().await;
    const PODMAN: &str = r#"podman --root "$W/root" --runroot "$W/run" --storage-driver vfs --runtime runc --cgroup-manager cgroupfs --events-backend file"#;
    let service = format!(r#"exec {PODMAN} system service --time=0 "unix://$W/x.sock""#);
    // Its folder of watchers is everybody's who runs Podman.
    let no_cgroups = r#"for again in 1 2 3 4 5 6 7 8 9 10; do for at in $(find /sys/fs/cgroup -name libpod_parent); do
        ls -d "$at"/libpod-* >/dev/null 2>&1 || rmdir "$at"/conmon "$at" >/dev/null 2>&1 || true; done
        [ "$(find /sys/fs/cgroup -name libpod_parent)" ] || break; sleep 0.2; done"#;
    let after = format!("{PODMAN} rm -fa >/dev/null; {no_cgroups}");
    let Some(daemon) = Daemon::start(&service, &after) else { return };
    let limits = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024";
    docker_tells(&daemon, Runtime::Podman, PODMAN, limits).await;
}

#[tokio::test]
async fn docker_tells_of_a_container_and_how_it_is() {
    if let Some(why) = lacking(&["dockerd", "docker", "containerd", "runc", "gcc"]) {
        return skipped(&why);
    }
    let _alone = ALONE.lock().await;
    let parent = format!("wholenode-test-{}", std::process::id());
    let service = format!(
        r#"exec dockerd -H "unix://$W/x.sock" --data-root "$W/root" --exec-root "$W/run" -p "$W/pid" \
            --storage-driver vfs --iptables=false --ip6tables=false --ip-forward=false --bridge=none --cgroup-parent {parent}"#
    );
    let after = format!("PARENT={parent}; {NO_CGROUPS}; {}", no_folders());
    let Some(daemon) = Daemon::start(&service, &after) else { return };
    const DOCKER: &str = r#"docker -H "unix://$W/x.sock""#;
    let probe = "--health-cmd /pause --health-interval 1h --health-timeout 1h";
    let (machine, id) = docker_tells(&daemon, Runtime::Docker, DOCKER, probe).await;
    let health = machine.healths.of(&id);
    daemon.shell(&format!("{DOCKER} rm -f web")).unwrap();
    assert_eq!(health, Some(collectors::kit::cgroup::Health::Starting));
}
