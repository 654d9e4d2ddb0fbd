//! Where the containers of a test are kept: a folder that looks like a machine's root to the daemon.

use super::cri;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The image of all containers: the daemon itself.
pub(super) const IMAGE: &str = "localhost/wholenode-test:0.1";

/// A folder with an image; containers below it are ended when it is dropped.
pub(super) struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    /// A ground for these programs; `None`, and a word why, where they are not.
    pub(super) fn with(programs: &[&str]) -> Option<Self> {
        let missing = programs.iter().find(|program| !is_there(program));
        let why = match missing {
            _ if !rustix::process::geteuid().is_root() => "not root".to_owned(),
            Some(program) => format!("no {program}"),
            None => {
                LazyLock::force(&PARENTS);
                let ground = Self { folder: tempfile::tempdir().unwrap() };
                match ground.build() {
                    Ok(()) => return Some(ground),
                    Err(why) => why,
                }
            }
        };
        crate::skipped(why);
        None
    }

    /// The image, from nothing.
    fn build(&self) -> Result<(), String> {
        let context = self.path("context");
        fs::create_dir(&context).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_wholenode"), format!("{context}/wholenode")).unwrap();
        let told = "FROM scratch\nCOPY wholenode /wholenode\nENTRYPOINT [\"/wholenode\", \"--web.listen-address=127.0.0.1:0\"]\n";
        fs::write(format!("{context}/Containerfile"), told).unwrap();
        // A machine may have no rules about whose images it takes.
        fs::write(self.path("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
        self.buildah("bud", &["--isolation", "chroot", "-t", IMAGE, &context])
    }

    fn buildah(&self, what: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new("buildah");
        command.args(self.store()).arg(what).arg(format!("--signature-policy={}", self.path("policy.json")));
        ran(command.args(arguments)).map(drop)
    }

    pub(super) fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.folder.path().display())
    }

    fn store(&self) -> [String; 4] {
        let at = |below| self.path(&format!("root/{below}/containers/storage"));
        [
            format!("--root={}", at("var/lib")),
            format!("--runroot={}", at("run")),
            "--storage-driver=vfs".into(),
            "--log-level=error".into(),
        ]
    }

    /// The page of this machine, whose root is the ground.
    pub(super) fn page(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wholenode"));
        command.args(["once", "--collector.disable-defaults", "--collector.containers"]);
        command.arg(format!("--path.rootfs={}", self.path("root"))).args(arguments);
        String::from_utf8(ran(&mut command).unwrap().stdout).unwrap()
    }

    /// The same page, asked for by a process in namespaces of its own.
    pub(super) fn page_from_within(&self, arguments: &[&str]) -> Result<String, String> {
        let machine = self.path("machine");
        fs::create_dir_all(&machine).unwrap();
        let script =
            "set -e; mkdir -p $1/proc; mount --rbind /proc $1/proc; mount -t proc proc /proc; shift; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args([
            "-p",
            "-C",
            "-m",
            "-u",
            "-i",
            "--fork",
            "--propagation=private",
            "sh",
            "-c",
            script,
            "sh",
            &machine,
        ]);
        command.arg(env!("CARGO_BIN_EXE_wholenode")).args([
            "once",
            "--collector.disable-defaults",
            "--collector.containers",
        ]);
        command.args([format!("--path.rootfs={}", self.path("root")), format!("--path.procfs={machine}/proc")]);
        Ok(String::from_utf8(ran(command.args(arguments))?.stdout).unwrap())
    }

    /// A file of a cgroup, on version 1 or 2.
    pub(super) fn cgroup(&self, controller: &str, below: &str) -> String {
        let is_unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let below = if is_unified { below.replace("memory.limit_in_bytes", "memory.max") } else { below.to_owned() };
        if is_unified { format!("/sys/fs/cgroup{below}") } else { format!("/sys/fs/cgroup/{controller}{below}") }
    }

    /// Starts a container of Podman; `None`, and a word why, where that is not possible.
    pub(super) fn podman(&self, run: &[&str]) -> Option<String> {
        // A machine may not let its users raise limits.
        let more = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", IMAGE];
        match ran(self.podman_command().args(run).args(more)) {
            Ok(output) => Some(String::from_utf8(output.stdout).unwrap().trim().to_owned()),
            Err(why) => {
                crate::skipped(why);
                None
            }
        }
    }

    pub(super) fn podman_says(&self, arguments: &[&str]) -> String {
        let output = ran(self.podman_command().args(arguments)).unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn podman_command(&self) -> Command {
        let mut command = Command::new("podman");
        command.args(self.store()).arg(format!("--tmpdir={}", self.path("root/run/libpod")));
        command.args(["--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file"]);
        command
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if is_there("podman") {
            let _ = ran(self.podman_command().args(["rm", "-a", "-f", "-t", "0"]));
        }
        sweep_cgroups();
    }
}

/// A containerd of the test's own.
pub(super) struct Containerd<'a> {
    ground: &'a Ground,
    process: Child,
    socket: String,
}

impl<'a> Containerd<'a> {
    /// Starts it; `None`, and a word why, where that is not possible.
    pub(super) fn start(ground: &'a Ground) -> Option<Self> {
        let at = |below: &str| ground.path(&format!("containerd/{below}"));
        let (socket, state) = (at("sock"), ground.path("root/run/containerd"));
        for folder in [at("root"), at("cni"), at("opt"), state.clone()] {
            fs::create_dir_all(folder).unwrap();
        }
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{state}\"\noom_score = 0\n[grpc]\n  address = \"{socket}\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"{IMAGE}\"\n  restrict_oom_score_adj = true\n  disable_tcp_service = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  snapshotter = \"native\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\n  bin_dir = \"/usr/lib/cni\"\n  conf_dir = \"{}\"\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"{}\"\n",
            at("root"),
            at("cni"),
            at("opt")
        );
        fs::write(at("config.toml"), config).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let mut command = Command::new("containerd");
        command.args(["-c", &at("config.toml")]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut containerd = Self { ground, process: command.spawn().unwrap(), socket };
        let until = Instant::now() + crate::daemon::LONG;
        while ran(&mut containerd.command(&["version"])).is_err() {
            if Instant::now() > until || containerd.process.try_wait().unwrap().is_some() {
                let log = fs::read_to_string(at("log")).unwrap_or_default();
                crate::skipped(format!("containerd does not start: {}", log.lines().last().unwrap_or_default()));
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(containerd)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.args(["-a", &self.socket]).args(arguments);
        command
    }

    pub(super) fn ctr(&self, arguments: &[&str]) -> String {
        String::from_utf8(ran(&mut self.command(arguments)).unwrap().stdout).unwrap()
    }

    /// Takes the image into a namespace.
    pub(super) fn import(&self, namespace: &str) {
        let archive = self.ground.path("image.tar");
        self.ground.buildah("push", &[IMAGE, &format!("oci-archive:{archive}:{IMAGE}")]).unwrap();
        self.ctr(&["-n", namespace, "images", "import", "--snapshotter", "native", &archive]);
    }

    /// The process of a container, as containerd says.
    pub(super) fn pid(&self, namespace: &str, id: &str) -> u32 {
        let tasks = self.ctr(&["-n", namespace, "tasks", "ls"]);
        let row = tasks.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{id} in {tasks}"));
        row.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Calls the runtime service: the text in the answer's first field.
    #[track_caller]
    pub(super) fn cri(&self, method: &str, request: &[u8]) -> String {
        let answer = cri::call(&self.socket, &format!("/runtime.v1.RuntimeService/{method}"), request);
        let answer = answer.unwrap_or_else(|why| {
            let log = fs::read_to_string(self.ground.path("containerd/log")).unwrap_or_default();
            panic!("{method}: {why}\n{log}")
        });
        cri::first_text(&answer)
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        for namespace in ["default", "k8s.io"] {
            let Ok(listed) = ran(&mut self.command(&["-n", namespace, "tasks", "ls", "-q"])) else { continue };
            for id in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
                let _ = ran(&mut self.command(&["-n", namespace, "tasks", "rm", "-f", id]));
            }
        }
        let pid = rustix::process::Pid::from_raw(self.process.id() as i32).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
        unmount(&self.ground.path("root"));
        unmount(&self.ground.path("containerd"));
    }
}

/// Unmounts what is mounted below a folder.
fn unmount(folder: &str) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(folder));
    for path in below.collect::<Vec<_>>().into_iter().rev() {
        let _ = Command::new("umount").args(["-l", path]).output();
    }
}

/// The parents of containers' cgroups that there may be, but not those that were there before: they are somebody else's.
static PARENTS: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let names = ["wholenode-test", "libpod_parent", "kubepods/burstable", "kubepods"];
    let all = trees.chain(["/sys/fs/cgroup".into()]).flat_map(|tree| names.map(|name| tree.join(name)));
    all.filter(|parent| !parent.exists()).collect()
});

/// Removes the parents of containers' cgroups, as far as they are empty.
fn sweep_cgroups() {
    for parent in PARENTS.iter() {
        let below = fs::read_dir(parent).into_iter().flatten().flatten();
        below.for_each(|entry| drop(fs::remove_dir(entry.path())));
        let _ = fs::remove_dir(parent);
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin".into(), "/sbin".into()];
    std::env::split_paths(&path).chain(sbin).any(|folder| folder.join(program).exists())
}

/// Runs it to its end, which must be good.
fn ran(command: &mut Command) -> Result<Output, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim())),
    }
}
