//! A thousand containers a minute, with processes, some with a network and a pod of their own, under a daemon that is asked
//! every second: what is left of them, and whether what is told of them hangs together.
//!
//! Ten seconds of it, or as many as `WHOLENODE_CHURN_SECONDS` says.

use super::figures::{self, Page};
use crate::daemon::{Daemon, LONG};
use crate::skipped;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/fs/cgroup";
/// A thousand a minute.
const STEP: Duration = Duration::from_millis(60);
const INTERVAL: Duration = Duration::from_secs(1);
/// How long containers live: some too short to be seen, others for two looks or more.
const LIVES: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(1200), Duration::from_millis(2600)];
/// Set for the test in a network namespace of its own: interfaces that come and go are no business of other tests.
const WITHIN: &str = "WHOLENODE_CHURN_WITHIN";
/// What a process of a container does: it goes there, works for some milliseconds, and stays.
const WORK: &str =
    "for procs; do echo $$ >\"$procs\"; done; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; exec sleep 600";
/// The same with a network, one end of which is the test's.
const NETWORK: &str = "ip link add eth0 type veth peer name \"$0\" netns \"$1\" && ip link set eth0 up; shift; ";

/// The cgroups of the test.
struct Ground {
    name: String,
    trees: Vec<PathBuf>,
}

/// A container.
struct Container {
    /// Its cgroup, and that of its pod if it has one of its own.
    folders: Vec<String>,
    process: Child,
    ends: Instant,
    /// Whether it lives long enough to be seen.
    is_seen: bool,
}

impl Ground {
    /// `None`: no cgroups can be made here.
    fn new() -> Option<Self> {
        let is_unified = Path::new(ROOT).join("cgroup.controllers").exists();
        let trees: Vec<PathBuf> = match is_unified {
            true => vec![ROOT.into()],
            false => ["cpu", "cpuacct", "memory", "blkio", "pids"]
                .into_iter()
                .filter_map(|tree| fs::canonicalize(format!("{ROOT}/{tree}")).ok())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        };
        let ground = Self { name: format!("wholenode-churn-{}", std::process::id()), trees };
        (!ground.trees.is_empty() && ground.make("/").is_ok()).then_some(ground)
    }

    fn at(&self, below: &str) -> impl Iterator<Item = PathBuf> {
        let below = format!("{}{below}", self.name);
        self.trees.iter().map(move |tree| tree.join(below.trim_end_matches('/')))
    }

    fn make(&self, below: &str) -> Result<(), std::io::Error> {
        self.at(below).try_for_each(|folder| {
            fs::create_dir_all(&folder)?;
            // Where a process is meant to be, nothing is handed on; where the root keeps all to itself, there is less to see.
            if self.trees.len() == 1 && !below.ends_with(is_hexadecimal) {
                let _ = fs::write(folder.join("cgroup.subtree_control"), "+cpu +memory +io +pids");
            }
            Ok(())
        })
    }

    /// Whether it is gone: the kernel may still be busy with the processes.
    fn remove(&self, below: &str) -> bool {
        self.at(below).filter(|folder| fs::remove_dir(folder).is_err() && folder.exists()).count() == 0
    }

    fn start(&self, number: u64) -> Container {
        let id = format!("{number:016x}").repeat(4);
        let pod = format!("/kubepods/burstable/pod{number:08x}-0000-4000-8000-000000000000");
        let folders = match number % 4 {
            0 => vec![format!("{pod}/{id}"), pod],
            _ => vec![format!("/libpod_parent/libpod-{id}")],
        };
        folders.iter().rev().for_each(|folder| self.make(folder).unwrap());
        let procs: Vec<PathBuf> = self.at(&folders[0]).map(|folder| folder.join("cgroup.procs")).collect();
        let mut command = Command::new(if number % 8 < 2 { "unshare" } else { "sh" });
        if number % 8 < 2 {
            let pid = std::process::id().to_string();
            command.args(["--net", "sh", "-c", &format!("{NETWORK}{WORK}"), &format!("veth{number}"), &pid]);
        } else {
            command.args(["-c", WORK, "sh"]);
        }
        let life = LIVES[usize::try_from(number).unwrap() % LIVES.len()];
        let process = command.args(procs).stdin(Stdio::null()).spawn().unwrap();
        Container { folders, process, ends: Instant::now() + life, is_seen: life > INTERVAL * 2 }
    }
}

fn is_hexadecimal(last: char) -> bool {
    last.is_ascii_hexdigit()
}

impl Drop for Ground {
    fn drop(&mut self) {
        for folder in self.at("/") {
            let mut find = Command::new("find");
            let _ = find.arg(folder).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]).output();
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the daemon has of the machine's.
struct Held {
    files: Vec<String>,
    /// Anonymous memory, in kibibytes.
    resident: u64,
    /// The kernel's, in kibibytes.
    kernel: u64,
}

/// A cgroup for the daemon, which tells how much of the kernel's memory it takes.
struct Meter(PathBuf);

impl Meter {
    fn new(daemon: &Daemon) -> Self {
        let tree =
            if Path::new(ROOT).join("cgroup.controllers").exists() { ROOT.into() } else { format!("{ROOT}/memory") };
        let folder = PathBuf::from(format!("{tree}/wholenode-churned-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("cgroup.procs"), daemon.pid().to_string()).unwrap();
        Self(folder)
    }

    /// Without what the kernel remembers of folders and files that are no more, until it wants the memory back.
    fn kernel(&self) -> u64 {
        let read = |file: &str| fs::read_to_string(self.0.join(file)).unwrap_or_default();
        let stat = read("memory.stat");
        let line = |word: &str| stat.lines().find_map(|line| line.strip_prefix(word)?.parse::<u64>().ok());
        if let (Some(all), Some(remembered)) = (line("kernel "), line("slab_reclaimable ")) {
            return all.saturating_sub(remembered);
        }
        // Version 1 does not tell them apart. This takes nothing away but what was looked up once.
        let _ = fs::write("/proc/sys/vm/drop_caches", "2");
        std::thread::sleep(Duration::from_secs(2));
        read("memory.kmem.usage_in_bytes").trim().parse().unwrap_or_default()
    }

    /// After a further round, whose own files are closed by now.
    fn held(&self, ground: &Ground, daemon: &Daemon) -> Held {
        // What is younger than a tenth of a second would be told again.
        std::thread::sleep(Duration::from_millis(200));
        daemon.get("/metrics/cadvisor");
        std::thread::sleep(Duration::from_millis(200));
        let pid = daemon.pid();
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let links = open.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string()));
        // Cgroups of others come and go too.
        let is_own = |file: &String| !file.starts_with(ROOT) || file.contains(&ground.name);
        let mut files: Vec<String> = links.filter(is_own).collect();
        files.iter_mut().filter(|file| file.contains(":[")).for_each(|file| file.truncate(file.find('[').unwrap()));
        files.sort();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident =
            status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok());
        Held { files, resident: resident.unwrap(), kernel: self.kernel() >> 10 }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Whoever is still there goes where all are.
        for pid in fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(self.0.with_file_name("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// What was seen on the pages.
#[derive(Default)]
struct Seen {
    name: String,
    counters: BTreeMap<String, f64>,
    pages: usize,
    ids: BTreeSet<String>,
}

impl Seen {
    /// A page: whole, each series once, no counter below what it was.
    fn look(&mut self, daemon: &Daemon) -> Page {
        let page = Page::new(daemon.get("/metrics/cadvisor"));
        assert_eq!(page.figure("container_scrape_error", &[]), Some(0.0));
        // Others may make theirs anew under an old name.
        let is_own = |series: &str| series.contains(&self.name) || series.contains("id=\"/\"");
        for (series, value) in page.counters().filter(|(series, _)| is_own(series)) {
            let before = self.counters.insert(series.to_owned(), value).unwrap_or_default();
            assert!(value >= before, "{series} went from {before} to {value}");
        }
        self.ids.extend(page.ids().map(str::to_owned));
        self.pages += 1;
        page
    }
}

/// Containers for as long as that, one after the other, and until the last of them is gone: how many there were.
fn churn(ground: &Ground, daemon: &Daemon, seen: &mut Seen, first: u64, lasts: Duration) -> u64 {
    let begun = Instant::now();
    let (mut number, mut next_look) = (first, begun);
    let mut live: Vec<Container> = Vec::new();
    let mut remains: Vec<String> = Vec::new();
    while begun.elapsed() < lasts || !live.is_empty() || !remains.is_empty() {
        assert!(begun.elapsed() < lasts + LONG, "cgroups that can't be removed: {remains:?}");
        if begun.elapsed() < lasts && begun.elapsed() >= STEP * u32::try_from(number - first).unwrap() {
            live.push(ground.start(number));
            number += 1;
        }
        let now = Instant::now();
        for over in live.extract_if(.., |container| container.ends <= now) {
            if over.is_seen {
                let id = format!("/{}{}", ground.name, over.folders[0]);
                assert!(seen.ids.contains(&id), "{id} lived for two intervals, and was on no page");
            }
            remains.extend(over.folders.iter().cloned());
        }
        remains.retain(|folder| !ground.remove(folder));
        if now >= next_look {
            seen.look(daemon);
            next_look += INTERVAL;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    number - first
}

/// What is over is nowhere any more, and the parents have it.
fn check_remains(ground: &Ground, daemon: &Daemon, seen: &mut Seen, count: u64) {
    let until = Instant::now() + LONG;
    // A network whose last process has ended goes, and its interfaces with it, unless somebody holds it.
    while fs::read_to_string("/proc/self/net/dev").unwrap().contains("veth") {
        assert!(Instant::now() < until, "a network is held by somebody");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(200));
    let page = seen.look(daemon);
    let own = format!("/{}", ground.name);
    let folders = ["", "/kubepods", "/kubepods/burstable", "/libpod_parent"].map(|below| format!("{own}{below}"));
    let left: Vec<&str> = page.ids().filter(|id| id.starts_with(&own) && !folders.iter().any(|f| f == id)).collect();
    assert!(left.is_empty(), "still on the page: {left:?}");
    let is_of = |series: &str, id: &str| series.contains(&format!("id=\"{id}"));
    let told: f64 = seen
        .counters
        .iter()
        .filter(|(series, _)| {
            series.starts_with("container_cpu_usage_seconds_total") && series.contains("name=") && is_of(series, &own)
        })
        .map(|(_, value)| value)
        .sum();
    let whole = page.figure("container_cpu_usage_seconds_total", &[&format!("id=\"{own}\"")]).unwrap();
    assert!((whole - figures::cpu_seconds(&ground.trees, &ground.name)).abs() < 1e-6, "the kernel says otherwise");
    let containers = seen.ids.iter().filter(|id| id.starts_with(&own) && id.contains("000000")).count();
    println!(
        "{count} containers, {containers} cgroups of them seen on {} pages; {told:.3} s told of them, {whole:.3} s of their parent",
        seen.pages
    );
    assert!(whole >= told, "a parent has what its children had");
}

/// In a network of its own.
fn within() {
    let Some(ground) = Ground::new() else { return skipped("no cgroups can be made here") };
    let seconds = std::env::var("WHOLENODE_CHURN_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(10);
    let daemon = Daemon::start(&["--collector.disable-defaults", "--collector.containers"]);
    let meter = Meter::new(&daemon);
    let mut seen = Seen { name: format!("\"/{}", ground.name), ..Seen::default() };
    // What is allocated once is allocated now.
    let warm = churn(&ground, &daemon, &mut seen, 0, Duration::from_secs(3));
    let before = meter.held(&ground, &daemon);
    let count = churn(&ground, &daemon, &mut seen, warm, Duration::from_secs(seconds));
    check_remains(&ground, &daemon, &mut seen, warm + count);
    let after = meter.held(&ground, &daemon);
    for Held { files, resident, kernel } in [&before, &after] {
        println!("{} files, {resident} KiB resident, {kernel} KiB of the kernel's", files.len());
    }
    let left: Vec<&String> = after.files.iter().filter(|file| !before.files.contains(file)).collect();
    assert!(
        left.is_empty() && after.files.len() <= before.files.len(),
        "handles are left behind: {left:?} of {:?}",
        after.files
    );
    // Names are remembered for two minutes.
    assert!(after.resident <= before.resident + 2048, "memory is left behind");
    assert!(after.kernel <= before.kernel + 512, "the kernel's memory is left behind");
    if count * 60 / seconds < 900 {
        skipped(format!("a thousand a minute: this machine made {count} in {seconds} s"));
    }
    drop(daemon);
}

#[test]
fn a_thousand_containers_a_minute() {
    if !rustix::process::geteuid().is_root() {
        return skipped("not root");
    }
    if std::env::var_os(WITHIN).is_some() {
        return within();
    }
    super::alone("containers::churn::a_thousand_containers_a_minute", WITHIN);
}
