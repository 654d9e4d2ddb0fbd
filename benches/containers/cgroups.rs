//! Real cgroups, made for the bench and removed behind it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/fs/cgroup";
/// What is read of each container by default: version 1, with the tree of each file, and version 2.
const SEPARATE: [(&str, &str); 7] = [
    ("cpuacct", "cpuacct.usage"),
    ("cpuacct", "cpuacct.stat"),
    ("memory", "memory.usage_in_bytes"),
    ("memory", "memory.stat"),
    ("memory", "memory.oom_control"),
    ("blkio", "blkio.throttle.io_service_bytes_recursive"),
    ("blkio", "blkio.throttle.io_serviced_recursive"),
];
const UNIFIED: [&str; 9] = [
    "cpu.stat",
    "memory.current",
    "memory.stat",
    "memory.swap.current",
    "memory.events",
    "io.stat",
    "cpu.pressure",
    "io.pressure",
    "memory.pressure",
];

/// What a runtime writes, and has looked up by the time that anybody else comes.
const WRITTEN: [(&str, &str); 5] = [
    ("cpu", "cpu.shares"),
    ("cpu", "cpu.cfs_quota_us"),
    ("cpu", "cpu.cfs_period_us"),
    ("memory", "memory.limit_in_bytes"),
    ("memory", "memory.oom_control"),
];
const WRITTEN_UNIFIED: [&str; 4] = ["cpu.max", "cpu.weight", "memory.max", "cgroup.procs"];

/// Goes into the cgroups that it is told, and works there a little, again and again.
const WORK: &str = "for folder; do echo $$ >\"$folder/cgroup.procs\"; done
    while :; do i=0; while [ $i -lt 100 ]; do i=$((i+1)); done; sleep 1; done";

/// Cgroups that look like containers.
pub(crate) struct Cgroups {
    /// The parents, one in each tree.
    parents: Vec<PathBuf>,
    containers: Vec<String>,
    workers: Vec<Child>,
}

impl Cgroups {
    /// So many of them; `None`: none can be made here.
    pub(crate) fn new(count: usize) -> Option<Self> {
        let name = format!("wholenode-bench-{}", std::process::id());
        let trees: Vec<PathBuf> = if is_unified() {
            vec![PathBuf::from(ROOT)]
        } else {
            ["cpu", "cpuacct", "memory", "blkio", "pids"].map(|tree| Path::new(ROOT).join(tree)).into()
        };
        let parents: Vec<PathBuf> = trees.iter().map(|tree| tree.join(&name)).collect();
        let containers = (0..count).map(|number| format!("{number:064x}")).collect();
        let cgroups = Self { parents, containers, workers: Vec::new() };
        // By others, who are charged for their memory.
        let folders = cgroups.all();
        let made = folders
            .chunks(500)
            .all(|some| Command::new("mkdir").arg("-p").args(some).status().is_ok_and(|s| s.success()));
        if is_unified() {
            let enable = |path: &Path| fs::write(path.join("cgroup.subtree_control"), "+cpu +io +memory +pids");
            // Without this the files are missing, and the bench reads less.
            let _: [io::Result<()>; 2] = [enable(Path::new(ROOT)), enable(&cgroups.parents[0])];
        }
        for some in cgroups.written().chunks(500) {
            let _ = Command::new("stat").args(some).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        made.then_some(cgroups)
    }

    /// The files that a runtime writes.
    fn written(&self) -> Vec<PathBuf> {
        let (root, parent) = (Path::new(ROOT), self.parents[0].file_name().unwrap());
        let of = |name: &String| -> Vec<PathBuf> {
            if is_unified() {
                WRITTEN_UNIFIED.iter().map(|file| root.join(parent).join(name).join(file)).collect()
            } else {
                WRITTEN.iter().map(|(tree, file)| root.join(tree).join(parent).join(name).join(file)).collect()
            }
        };
        self.containers.iter().flat_map(of).collect()
    }

    /// Lets somebody work in each of them.
    pub(crate) fn employ(&mut self) {
        let of = |name: &String| {
            let folders = self.parents.iter().map(|parent| parent.join(name));
            let mut command = Command::new("sh");
            command.args(["-c", WORK, "sh"]).args(folders);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        self.workers = self.containers.iter().map(of).collect();
    }

    fn all(&self) -> Vec<PathBuf> {
        self.parents.iter().flat_map(|parent| self.containers.iter().map(|name| parent.join(name))).collect()
    }

    /// The files of all containers that are read in each round.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let parent = self.parents[0].file_name().unwrap();
        let of = |name: &String| -> Vec<PathBuf> {
            let root = Path::new(ROOT);
            if is_unified() {
                UNIFIED.iter().map(|file| root.join(parent).join(name).join(file)).collect()
            } else {
                SEPARATE.iter().map(|(tree, file)| root.join(tree).join(parent).join(name).join(file)).collect()
            }
        };
        self.containers.iter().flat_map(of).filter(|path| path.exists()).collect()
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill().and_then(|()| worker.wait());
        }
        let begun = Instant::now();
        for folder in self.all().iter().chain(&self.parents) {
            // What a worker has started ends by itself.
            while fs::remove_dir(folder).is_err() && folder.exists() && begun.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// Moves this process into a memory cgroup of its own, and tells what that has used so far: anonymous memory and the
/// kernel's, in bytes.
pub(crate) struct Meter(PathBuf);

impl Meter {
    /// `None`: no such cgroup can be made.
    pub(crate) fn new() -> Option<Self> {
        let tree = if is_unified() { ROOT.to_owned() } else { format!("{ROOT}/memory") };
        let folder = Path::new(&tree).join(format!("wholenode-meter-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        fs::write(folder.join("cgroup.procs"), std::process::id().to_string()).ok()?;
        Some(Self(folder))
    }

    /// What it has used so far; what of it is the kernel's; and what of that is for files that were looked at and for handles
    /// that are kept, as far as the kernel tells the one from the other (version 2).
    pub(crate) fn used(&self) -> [u64; 4] {
        let read = |file: &str| fs::read_to_string(self.0.join(file)).unwrap_or_default();
        let stat = read("memory.stat");
        let line = |word: &str| stat.lines().find_map(|line| line.strip_prefix(word)?.trim().parse::<u64>().ok());
        let kernel = read("memory.kmem.usage_in_bytes").trim().parse().ok().or(line("kernel "));
        let kernel = kernel.unwrap_or(0);
        let [looked_at, kept] = ["slab_reclaimable ", "slab_unreclaimable "].map(|word| line(word).unwrap_or(0));
        [line("rss ").or(line("anon ")).unwrap_or(0) + kernel, kernel, looked_at, kept]
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(parent) = self.0.parent() {
            let _ = fs::write(parent.join("cgroup.procs"), std::process::id().to_string());
        }
        let _ = fs::remove_dir(&self.0);
    }
}
