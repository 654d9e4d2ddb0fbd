//! Energy shared out among real cgroups: a script plays the counters of a server, cgroups with a quota burn processor time,
//! and the daemon keeps its own clock.

use crate::daemon::Daemon;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const CGROUPS: &str = "/sys/fs/cgroup";
/// Where the counters of Intel's packages, and of its servers' memory, start anew.
const RANGES: [u64; 2] = [262_143_328_850, 65_712_999_613];
/// What the machine draws, in microwatts.
const POWER: u64 = 60_000_000;

/// A cgroup that looks like a container, and what spins in it.
struct Burner {
    folders: Vec<PathBuf>,
    id: String,
    process: Child,
}

impl Burner {
    /// One that gets so many hundredths of a processor; `None`: no such cgroup can be made.
    fn start(number: u32, quota: u32) -> Option<Self> {
        let id = format!("{:060x}{number:04x}", std::process::id());
        let below = format!("wholenode-power-{}/{id}", std::process::id());
        let is_unified = Path::new(CGROUPS).join("cgroup.controllers").exists();
        let trees = if is_unified { vec![""] } else { vec!["cpu", "cpuacct", "memory"] };
        let folders: Vec<PathBuf> = trees.iter().map(|tree| Path::new(CGROUPS).join(tree).join(&below)).collect();
        if is_unified {
            let parent = folders[0].parent()?;
            fs::create_dir_all(parent).ok()?;
            for folder in [Path::new(CGROUPS), parent] {
                fs::write(folder.join("cgroup.subtree_control"), "+cpu").ok()?;
            }
        }
        folders.iter().try_for_each(fs::create_dir_all).ok()?;
        let process = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().ok()?;
        let burner = Self { folders, id, process };
        let pid = burner.process.id().to_string();
        burner.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), &pid)).ok()?;
        let (file, limit) = if is_unified {
            ("cpu.max", format!("{} 100000", quota * 1000))
        } else {
            ("cpu.cfs_quota_us", (quota * 1000).to_string())
        };
        fs::write(burner.folders[0].join(file), limit).ok()?;
        Some(burner)
    }

    /// Nanoseconds of processor time, by the kernel's own words.
    fn used(&self) -> u64 {
        let number = |text: &str| text.trim().parse::<u64>().unwrap();
        match fs::read_to_string(self.folders[0].join("cpu.stat")).unwrap().strip_prefix("usage_usec ") {
            Some(rest) => number(rest.lines().next().unwrap()) * 1000,
            None => number(&fs::read_to_string(self.folders[1].join("cpuacct.usage")).unwrap()),
        }
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for folder in &self.folders {
            // Until the kernel has buried the process.
            let begun = Instant::now();
            while fs::remove_dir(folder).is_err() && folder.exists() && begun.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(10));
            }
            folder.parent().map(fs::remove_dir);
        }
    }
}

/// The counters of a machine that draws the same all the time.
struct Counters {
    sys: PathBuf,
    /// What is taken away from the first one: where it was set back.
    less: AtomicU64,
    has_second: AtomicBool,
    ends: AtomicBool,
}

impl Counters {
    fn start(sys: &Path) -> Arc<Self> {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
        fs::create_dir_all(sys.join("devices/system/cpu")).unwrap();
        fs::write(sys.join("devices/system/cpu/online"), online).unwrap();
        let (less, has_second, ends) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let counters = Arc::new(Self { sys: sys.to_owned(), less, has_second, ends });
        counters.zone("intel-rapl:0", "package-0", RANGES[0]);
        counters.zone("intel-rapl:0:0", "dram", RANGES[1]);
        counters.tick(Instant::now());
        let (clock, begun) = (Arc::clone(&counters), Instant::now());
        std::thread::spawn(move || {
            while !clock.ends.load(Relaxed) {
                clock.tick(begun);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        counters
    }

    fn zone(&self, folder: &str, name: &str, range: u64) {
        let folder = self.sys.join("class/powercap").join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("name"), name).unwrap();
        fs::write(folder.join("max_energy_range_uj"), range.to_string()).unwrap();
    }

    fn tick(&self, begun: Instant) {
        let used = u64::try_from(begun.elapsed().as_micros()).unwrap() * (POWER / 1_000_000);
        let set = |folder: &str, energy: u64| {
            let folder = self.sys.join("class/powercap").join(folder);
            // In one step: nobody sees half a number.
            if fs::write(folder.join("new"), energy.to_string()).is_ok() {
                let _ = fs::rename(folder.join("new"), folder.join("energy_uj"));
            }
        };
        // Both go over their ends after some seconds.
        let of = |range: u64, used: u64| (range - 400_000_000 + used) % range;
        match self.less.load(Relaxed) {
            0 => set("intel-rapl:0", of(RANGES[0], used)),
            less => set("intel-rapl:0", used.saturating_sub(less)),
        }
        set("intel-rapl:0:0", of(RANGES[1], used));
        if self.has_second.load(Relaxed) {
            set("intel-rapl:1", used);
        }
    }
}

/// The counters on a page, in microjoules and whole numbers.
fn counters(page: &str) -> BTreeMap<String, i64> {
    let is_counter = |line: &&str| !line.starts_with('#') && line.contains("_total");
    let figure = |line: &str| {
        let (series, figure) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), (figure.parse::<f64>().unwrap() * 1e6).round() as i64)
    };
    page.lines().filter(is_counter).map(figure).collect()
}

fn sum(counters: &BTreeMap<String, i64>, family: &str, label: &str) -> i64 {
    let meant = counters.iter().filter(|(series, _)| series.starts_with(family) && series.contains(label));
    meant.map(|(_, figure)| figure).sum()
}

/// The page after the next sample, which must go on where the last one was, and lose nothing.
fn next(daemon: &Daemon, last: &mut BTreeMap<String, i64>) {
    let begun = Instant::now();
    let now = loop {
        let now = counters(&daemon.get("/metrics/power?collect[]=power"));
        let of = |page| sum(page, "node_energy_joules_total", "") + sum(page, "node_power_counter_events_total", "");
        if of(&now) != of(last) {
            break now;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no sample in {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    };
    for (series, figure) in &now {
        let before = last.get(series).copied().unwrap_or(0);
        assert!(*figure >= before, "{series} ran backwards: {before} to {figure}");
    }
    let shares = "container_energy_joules_total";
    let are_the_same = last.keys().chain(now.keys()).filter(|series| series.starts_with(shares));
    let are_the_same = are_the_same.into_iter().all(|series| last.contains_key(series) && now.contains_key(series));
    let grown = |family: &str, label: &str| sum(&now, family, label) - sum(last, family, label);
    let is_package = "component=\"package\"";
    if are_the_same {
        let given = grown(shares, is_package) + grown("node_energy_unattributed_joules_total", is_package);
        assert_eq!(given, grown("node_energy_joules_total", is_package), "what was shared out is what was measured");
    }
    *last = now;
}

/// By how much the shares of three samples are too large, as a part of what they should be: the packages' energy, times the
/// processor time that the kernel says the cgroups had, by that of all processors.
fn shares_of(daemon: &Daemon, last: &mut BTreeMap<String, i64>, burners: [&Burner; 2]) -> [f64; 2] {
    let figures = |page: &BTreeMap<String, i64>| {
        let packages = sum(page, "node_energy_joules_total", "component=\"package\"");
        (packages as f64, burners.map(|burner| sum(page, "container_energy", &burner.id) as f64))
    };
    let (begun, used, (packages, had)) = (Instant::now(), burners.map(Burner::used), figures(last));
    (0..3).for_each(|_| next(daemon, last));
    let all = begun.elapsed().as_secs_f64() * std::thread::available_parallelism().unwrap().get() as f64;
    let (packages_now, has) = figures(last);
    [0, 1].map(|at| {
        let time = (burners[at].used() - used[at]) as f64 / 1e9;
        let (got, expected) = (has[at] - had[at], (packages_now - packages) * time / all);
        println!("{time:.3} s of {all:.3} s: {got} µJ, expected {expected:.0} µJ");
        got / expected - 1.0
    })
}

#[test]
fn a_cgroup_at_a_quota_gets_its_share_while_counters_wrap() {
    let burners = [Burner::start(1, 40), Burner::start(2, 20)];
    let [Some(one), Some(other)] = &burners else {
        return crate::skipped("no cgroups with a quota can be made here (this needs root)");
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Counters::start(folder.path());
    let sys = format!("--path.sysfs={}", folder.path().display());
    let cgroups = format!("--path.cgroupfs={CGROUPS}");
    let daemon = Daemon::start(&["--collector.disable-defaults", "--collector.power", &sys, &cgroups]);
    let mut last = BTreeMap::new();
    next(&daemon, &mut last);
    next(&daemon, &mut last);
    let begun = Instant::now();
    // A machine that does other things gives them now more and now less: the windows of both sides differ a little.
    let are_near = (0..4).any(|_| shares_of(&daemon, &mut last, [one, other]).iter().all(|error| error.abs() < 0.02));
    assert!(are_near, "no share within 2 %");
    let wraps =
        |page: &BTreeMap<String, i64>| sum(page, "node_power_counter_events_total", "event=\"wrap\"") / 1_000_000;
    assert_eq!(wraps(&last), 2, "both went over their ends");
    // One is set back, the memory's is lost, and another package is found.
    script.less.store(u64::try_from(begun.elapsed().as_micros()).unwrap() * (POWER / 1_000_000), Relaxed);
    // In one step, while the script writes to it.
    fs::rename(folder.path().join("class/powercap/intel-rapl:0:0"), folder.path().join("lost")).unwrap();
    script.zone("intel-rapl:1", "package-1", RANGES[0]);
    script.has_second.store(true, Relaxed);
    (0..4).for_each(|_| next(&daemon, &mut last));
    assert_eq!(sum(&last, "node_power_counter_events_total", "event=\"reset\""), 1_000_000);
    assert!(sum(&last, "node_energy_joules_total", "id=\"package-1\"") > 0, "{last:?}");
    assert_eq!(sum(&last, "node_energy_joules_total", "component=\"dram\""), 0);
    script.ends.store(true, Relaxed);
}
