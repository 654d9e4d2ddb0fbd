//! Version 2 with all of its controllers, busy: the page beside the kernel's own files, and what it costs.
//!
//! `.ci/cgroup2` runs these on a machine of their own; on others they need root and controllers that may be handed on.

use super::figures::Page;
use crate::daemon::{Daemon, LONG, eventually};
use crate::skipped;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const CONTROLLERS: &str = "+cpu +memory +io +pids";
/// Families, their further labels, the file and the word there, and how much of the family's unit one of it is.
type Row = (&'static str, &'static [&'static str], &'static str, &'static str, f64);
const ALL: &[Row] = &[
    ("container_cpu_usage_seconds_total", &["cpu=\"total\""], "cpu.stat", "usage_usec", 1e-6),
    ("container_cpu_user_seconds_total", &[], "cpu.stat", "user_usec", 1e-6),
    ("container_cpu_system_seconds_total", &[], "cpu.stat", "system_usec", 1e-6),
    ("container_memory_usage_bytes", &[], "memory.current", "", 1.0),
    ("container_memory_max_usage_bytes", &[], "memory.peak", "", 1.0),
    ("container_memory_cache", &[], "memory.stat", "file", 1.0),
    ("container_memory_rss", &[], "memory.stat", "anon", 1.0),
    ("container_memory_mapped_file", &[], "memory.stat", "file_mapped", 1.0),
    ("container_memory_kernel_usage", &[], "memory.stat", "kernel", 1.0),
    ("container_memory_total_active_file_bytes", &[], "memory.stat", "active_file", 1.0),
    ("container_memory_total_inactive_file_bytes", &[], "memory.stat", "inactive_file", 1.0),
    ("container_memory_file_dirty_bytes", &[], "memory.stat", "file_dirty", 1.0),
    ("container_memory_pgscan_total", &[], "memory.stat", "pgscan", 1.0),
    ("container_memory_pgsteal_total", &[], "memory.stat", "pgsteal", 1.0),
    ("container_memory_workingset_refault_file_total", &[], "memory.stat", "workingset_refault_file", 1.0),
    ("container_memory_failures_total", &["\"pgfault\""], "memory.stat", "pgfault", 1.0),
    ("container_memory_failures_total", &["\"pgmajfault\""], "memory.stat", "pgmajfault", 1.0),
    ("container_memory_swap", &[], "memory.swap.current", "", 1.0),
    ("container_memory_failcnt", &[], "memory.events", "max", 1.0),
    ("container_memory_events_high_total", &[], "memory.events", "high", 1.0),
    ("container_memory_events_max_total", &[], "memory.events", "max", 1.0),
    ("container_oom_events_total", &[], "memory.events", "oom_kill", 1.0),
    ("container_pressure_cpu_waiting_seconds_total", &[], "cpu.pressure", "some total", 1e-6),
    ("container_pressure_cpu_stalled_seconds_total", &[], "cpu.pressure", "full total", 1e-6),
    ("container_pressure_io_waiting_seconds_total", &[], "io.pressure", "some total", 1e-6),
    ("container_pressure_io_stalled_seconds_total", &[], "io.pressure", "full total", 1e-6),
    ("container_pressure_memory_waiting_seconds_total", &[], "memory.pressure", "some total", 1e-6),
    ("container_pressure_memory_stalled_seconds_total", &[], "memory.pressure", "full total", 1e-6),
    ("container_threads", &[], "pids.current", "", 1.0),
    ("container_threads_max", &[], "pids.max", "", 1.0),
    ("container_spec_memory_limit_bytes", &[], "memory.max", "", 1.0),
    ("container_spec_memory_reservation_limit_bytes", &[], "memory.low", "", 1.0),
    ("container_spec_memory_swap_limit_bytes", &[], "memory.swap.max", "", 1.0),
];
const QUOTA: &[Row] = &[
    ("container_cpu_cfs_periods_total", &[], "cpu.stat", "nr_periods", 1.0),
    ("container_cpu_cfs_throttled_periods_total", &[], "cpu.stat", "nr_throttled", 1.0),
    ("container_cpu_cfs_throttled_seconds_total", &[], "cpu.stat", "throttled_usec", 1e-6),
    ("container_spec_cpu_quota", &[], "cpu.max", "", 1.0),
];
const DISK: &[Row] = &[
    ("container_fs_reads_bytes_total", &[], "io.stat", "rbytes", 1.0),
    ("container_fs_writes_bytes_total", &[], "io.stat", "wbytes", 1.0),
    ("container_fs_reads_total", &[], "io.stat", "rios", 1.0),
    ("container_fs_writes_total", &[], "io.stat", "wios", 1.0),
];
/// What is read of each container by default.
const FILES: [&str; 9] = [
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

/// Only one at a time: what one does would cost the other.
static ALONE: Mutex<()> = Mutex::new(());

/// A pod with containers that do something.
struct Pod {
    folders: Vec<PathBuf>,
    processes: Vec<Child>,
    _alone: MutexGuard<'static, ()>,
}

impl Pod {
    /// `None`, and a word why, where none can be made.
    fn new() -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pod = Self { folders: Vec::new(), processes: Vec::new(), _alone: alone };
        let mut at = PathBuf::from("/sys/fs/cgroup");
        let handed_on = fs::read_to_string(at.join("cgroup.subtree_control")).unwrap_or_default();
        if !["cpu", "memory", "io", "pids"].iter().all(|one| handed_on.split_whitespace().any(|word| word == *one)) {
            skipped("the root does not hand on all controllers of version 2");
            return None;
        }
        let number = std::process::id();
        let names = [
            format!("wholenode-test-{number}.slice"),
            "kubepods.slice".to_owned(),
            "kubepods-burstable.slice".to_owned(),
            format!("kubepods-burstable-pod0a1b2c3d_0000_4000_8000_{number:012x}.slice"),
        ];
        for name in names {
            at.push(name);
            let made = fs::create_dir(&at).and_then(|()| fs::write(at.join("cgroup.subtree_control"), CONTROLLERS));
            if let Err(error) = made {
                skipped(format!("{}: {error}", at.display()));
                return None;
            }
            pod.folders.push(at.clone());
        }
        Some(pod)
    }

    fn folder(&self) -> &Path {
        &self.folders[3]
    }

    /// A container with these limits.
    fn container(&mut self, number: usize, limits: &[(&str, &str)]) -> PathBuf {
        let folder = self.folder().join(format!("cri-containerd-{number:064x}.scope"));
        fs::create_dir(&folder).unwrap();
        for (file, limit) in limits {
            fs::write(folder.join(file), limit).unwrap_or_else(|error| panic!("{file}: {limit}: {error}"));
        }
        self.folders.push(folder.clone());
        folder
    }

    /// Runs something in a container.
    fn run(&mut self, container: &Path, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo $$ >\"$0/cgroup.procs\"; {script}")]).arg(container);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.processes.push(command.spawn().unwrap());
    }

    /// Stops all that goes on, so that figures stay as they are.
    fn freeze(&self) {
        fs::write(self.folder().join("cgroup.freeze"), "1").unwrap();
        until(|| fs::read_to_string(self.folder().join("cgroup.events")).unwrap().contains("frozen 1"));
    }

    fn end(&mut self, container: &Path) {
        fs::write(self.folder().join("cgroup.freeze"), "0").unwrap();
        for pid in fs::read_to_string(container.join("cgroup.procs")).unwrap().lines() {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        until(|| {
            let _ = self.processes.iter_mut().filter_map(|process| process.try_wait().ok()).count();
            fs::remove_dir(container).is_ok()
        });
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
        }
        let _ = self.folders.get(3).map(|pod| fs::write(pod.join("cgroup.kill"), "1"));
        self.processes.iter_mut().for_each(|process| drop(process.wait()));
        for folder in self.folders.iter().rev() {
            let begun = Instant::now();
            while fs::remove_dir(folder).is_err() && folder.exists() && begun.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "it never came to that");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the kernel says; `None`: it has no such file or word. Without a limit: 0 for bytes, nothing else.
fn kernel(folder: &Path, (family, _, file, word, scale): Row) -> Option<f64> {
    let text = fs::read_to_string(folder.join(file)).ok()?;
    let is_limit = family.contains("_spec_memory");
    let words = word.split(' ').collect::<Vec<_>>();
    let found = match words[..] {
        [""] => text.split_whitespace().next(),
        [line, word] => {
            let line = text.lines().find(|found| found.starts_with(line))?;
            line.split(' ').find_map(|found| found.strip_prefix(word)?.strip_prefix('='))
        }
        _ if file == "io.stat" => text.split_whitespace().find_map(|found| found.strip_prefix(word)?.strip_prefix('=')),
        _ => text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')),
    };
    match found? {
        "max" => is_limit.then_some(0.0),
        number => Some(number.parse::<f64>().unwrap() * scale),
    }
}

fn id_of(folder: &Path) -> String {
    format!("{{id=\"{}\"", folder.display().to_string().strip_prefix("/sys/fs/cgroup").unwrap())
}

/// The page has what the kernel has, between a look before and one after. How many figures were compared.
#[track_caller]
fn compare(daemon: &Daemon, folder: &Path, rows: &[Row]) -> usize {
    std::thread::sleep(Duration::from_millis(150));
    let before: Vec<Option<f64>> = rows.iter().map(|row| kernel(folder, *row)).collect();
    let id = id_of(folder);
    // A slow machine may not have it at once.
    let page = Page::new(eventually(daemon, "/metrics/cadvisor", |page| page.contains(&id)));
    for (row, before) in rows.iter().zip(&before) {
        let labels: Vec<&str> = [id.as_str()].into_iter().chain(row.1.iter().copied()).collect();
        let (told, after) = (page.figure(row.0, &labels), kernel(folder, *row));
        let fits = match (*before, told, after) {
            (Some(before), Some(told), Some(after)) => {
                before.min(after) - 1e-7 <= told && told <= before.max(after) + 1e-7
            }
            (before, told, after) => before == told && told == after,
        };
        assert!(fits, "{row:?} of {id}: the kernel says {before:?}, the page {told:?}, the kernel then {after:?}");
    }
    let inactive = kernel(folder, ("", &[], "memory.stat", "inactive_file", 1.0)).unwrap();
    let usage = page.figure("container_memory_usage_bytes", &[&id]).unwrap();
    assert_eq!(page.figure("container_memory_working_set_bytes", &[&id]), Some((usage - inactive).max(0.0)));
    before.iter().flatten().count() + 1
}

#[test]
fn the_page_beside_the_kernels_files() {
    let Some(mut pod) = Pod::new() else { return };
    let disk = tempfile::tempdir().unwrap();
    let file = disk.path().join("file").display().to_string();
    let device = fs::metadata(disk.path()).unwrap().dev();
    let worker = pod.container(1, &[("cpu.max", "20000 100000"), ("cpu.weight", "50"), ("pids.max", "40")]);
    pod.run(&worker, "while :; do :; done & while :; do :; done");
    let writer = pod.container(2, &[("memory.low", "4194304"), ("memory.high", "50331648")]);
    let slow = format!("{}:{} wbps=4194304 rbps=4194304", rustix::fs::major(device), rustix::fs::minor(device));
    // A part of a disk has no limit of its own.
    let is_slow = fs::write(writer.join("io.max"), slow).is_ok();
    let copy = "bs=64k count=64";
    pod.run(&writer, &format!("while :; do dd if=/dev/zero of={file} {copy} conv=fsync; dd if={file} of=/dev/null {copy} iflag=direct; done"));
    let hog = pod.container(3, &[("memory.max", "25165824")]);
    let _ = fs::write(hog.join("memory.swap.max"), "0");
    pod.run(&hog, "tail /dev/zero; sleep 600");
    let daemon = Daemon::start(&[
        "--collector.disable-defaults",
        "--collector.containers",
        "--collector.containers.families=.*",
    ]);
    until(|| {
        let is_at_least = |folder, row: Row, least| kernel(folder, row).is_some_and(|value| value >= least);
        is_at_least(&hog, ALL[21], 1.0)
            && is_at_least(&worker, QUOTA[1], 5.0)
            && is_at_least(&writer, DISK[1], 8e6)
            && (!is_slow || is_at_least(&writer, ALL[24], 0.1))
    });
    pod.freeze();
    // Before the limits are read again, the page has those that it saw first.
    let folder = pod.folder().to_owned();
    let mut compared = compare(&daemon, &worker, &[ALL, QUOTA].concat());
    compared +=
        compare(&daemon, &writer, &[ALL, DISK].concat()) + compare(&daemon, &hog, ALL) + compare(&daemon, &folder, ALL);
    let page = Page::new(daemon.get("/metrics/cadvisor"));
    let figure = |family, folder: &Path| page.figure(family, &[&id_of(folder)]);
    assert_eq!(figure("container_spec_cpu_shares", &worker), Some(2.0 + (49 * 262_142 / 9_999) as f64));
    assert_eq!(figure("container_spec_cpu_period", &worker), Some(100_000.0));
    assert_eq!(figure("container_processes", &worker), Some(2.0));
    assert!(figure("container_cpu_cfs_throttled_seconds_total", &worker).unwrap() > 0.1);
    assert_eq!(figure("container_oom_events_total", &hog), Some(1.0));
    // Who was killed is still known when the container is no more.
    pod.end(&hog);
    std::thread::sleep(Duration::from_millis(150));
    let page = Page::new(daemon.get("/metrics/cadvisor"));
    assert_eq!(page.figure("container_oom_events_total", &[&id_of(&hog)]), None);
    assert_eq!(page.figure("container_oom_events_total", &[&id_of(&folder)]), Some(1.0));
    let number = hog.file_name().unwrap().to_str().unwrap();
    assert!(!page.ids().any(|id| id.ends_with(number)), "the page still tells of it");
    println!("{compared} figures are the kernel's");
}

/// Processor time of the daemon so far, in seconds.
fn used(daemon: &Daemon) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (words[11].parse::<f64>().unwrap() + words[12].parse::<f64>().unwrap()) / 100.0
}

fn used_here() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How many system calls a scrape takes, if somebody is here who counts them.
fn calls(daemon: &Daemon, pause: Duration) -> Option<f64> {
    const SCRAPES: u32 = 3;
    let counted = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-U", "name,calls", "-p", &daemon.pid().to_string(), "-o"]).arg(counted.path());
    let mut strace = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    std::thread::sleep(Duration::from_secs(1));
    for _ in 0..SCRAPES {
        daemon.get("/metrics/cadvisor");
        std::thread::sleep(pause);
    }
    let pid = rustix::process::Pid::from_raw(strace.id() as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
    let _ = strace.wait();
    let text = fs::read_to_string(counted.path()).unwrap();
    print!("{text}");
    let total = text.lines().find(|line| line.contains("total"))?;
    Some(total.split_whitespace().find_map(|word| word.parse::<f64>().ok())? / f64::from(SCRAPES))
}

#[test]
fn costs_of_busy_cgroups() {
    const ROUNDS: u32 = 12;
    // The kernel sums up what was done since the last look: there must be something.
    const PAUSE: Duration = Duration::from_millis(500);
    for count in [50, 200] {
        let Some(mut pod) = Pod::new() else { return };
        let folders: Vec<PathBuf> = (0..count).map(|number| pod.container(number, &[])).collect();
        let busy = "while :; do i=0; while [ $i -lt 100 ]; do i=$((i+1)); done; sleep 1; done";
        folders.iter().for_each(|folder| pod.run(folder, busy));
        let paths = folders.iter().flat_map(|folder| FILES.map(|file| folder.join(file)));
        let files: Vec<fs::File> = paths.filter_map(|path| fs::File::open(path).ok()).collect();
        let daemon = Daemon::start(&["--collector.disable-defaults", "--collector.containers"]);
        let mut buffer = vec![0; 16 << 10];
        let last = id_of(&folders[count - 1]);
        // The first rounds open what is kept.
        eventually(&daemon, "/metrics/cadvisor", |page| page.contains(&last));
        std::thread::sleep(PAUSE);
        let (mut bare, begun) = (0.0, used(&daemon));
        for _ in 0..ROUNDS {
            let before = used_here();
            for file in &files {
                std::os::unix::fs::FileExt::read_at(file, &mut buffer, 0).unwrap();
            }
            bare += used_here() - before;
            std::thread::sleep(PAUSE);
            assert!(daemon.get("/metrics/cadvisor").contains(&last));
            std::thread::sleep(PAUSE);
        }
        let ours = used(&daemon) - begun;
        let each = |seconds: f64| seconds * 1e3 / f64::from(ROUNDS);
        let told = calls(&daemon, PAUSE * 8)
            .map(|calls| format!("{calls} system calls"))
            .unwrap_or("nobody counts calls".into());
        println!(
            "{count} busy cgroups, {} files: bare preads {:.2} ms, a scrape {:.2} ms of processor time, {:.2} times as much; {told}",
            files.len(),
            each(bare),
            each(ours),
            ours / bare
        );
    }
}
