//! The page of 50 to 1,000 containers, from real cgroups, against the bare reads of the same files.
//!
//! So is a sample of energy, which reads one file of each. It needs root and cgroups that can be made. `--memory N` tells what N containers
//! take, in a process of its own, after five rounds or as many as are named: to count the system calls and instructions of one.
//! `--busy N` is the comparison while somebody works in each of N containers.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod cgroups;
#[path = "../ratio/mod.rs"]
mod ratio;

use cgroups::{Cgroups, Meter};
use collectors::container::containers::SPEC;
use collectors::kit::{Child, Clock, Filter, Host, Machine, Options, Roots};
use collectors::model::{Batch, Snapshot};
use collectors::power::power;
use collectors::{Chosen, Spec};
use criterion::{Criterion, Throughput};
use ratio::Ratios;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wholenode::encode::{Format, Text};
use wholenode::engine::{Engine, Instruments};
use wholenode::page::Source;

const SIZES: [(usize, &str); 4] =
    [(50, "50 containers"), (200, "200 containers"), (500, "500 containers"), (1000, "1,000 containers")];

/// An engine in which nothing is ever new enough, so that each question is a round, and its page.
struct Pages {
    engine: Arc<Engine>,
    source: Source,
    selection: Arc<[usize]>,
    text: Text,
    page: Vec<u8>,
}

impl Pages {
    fn new() -> Self {
        let machine = Machine::new(Roots::default(), Clock::Real, None, Child::none());
        let specs: &[&'static Spec] = &[&SPEC];
        let engine = Arc::new(Engine::new(machine, specs, Duration::ZERO, Instruments::new("bench")));
        engine.configure(&[Chosen { spec: &SPEC, options: Options::new(SPEC.options, &[]).unwrap() }]);
        let selection = engine.select(None, &[], &[]).unwrap().into();
        let source = Source::new(Arc::clone(&engine), Filter::default());
        Self { engine, source, selection, text: Text::default(), page: Vec::new() }
    }

    fn snapshot(&self) -> Snapshot {
        self.engine.work(&self.engine.begin(Arc::clone(&self.selection), Duration::from_secs(10))).unwrap()
    }

    fn round(&mut self) {
        let snapshot = self.snapshot();
        self.page = self.text.page(&snapshot, Format::Text, std::mem::take(&mut self.page));
    }

    /// A page as the daemon makes it for Prometheus, and keeps none.
    fn give_out(&mut self) {
        self.source.encode(&self.snapshot(), Format::Text, true);
    }

    fn samples(&self) -> usize {
        self.page.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"container_")).count()
    }
}

fn reread(handles: &[File], buffer: &mut [u8]) {
    for file in handles {
        let _ = file.read_at(buffer, 0);
    }
}

fn reopen(paths: &[PathBuf], buffer: &mut [u8]) {
    for path in paths {
        if let Ok(mut file) = File::open(path) {
            let _ = file.read(buffer);
        }
    }
}

fn compare(criterion: &mut Criterion, count: usize, name: &'static str) {
    let Some(cgroups) = Cgroups::new(count) else {
        return eprintln!("skipped: no cgroups can be made here (this needs root)");
    };
    let paths = cgroups.files();
    let mut pages = Pages::new();
    pages.round();
    println!("{count} containers, {} files, {} samples, {} bytes", paths.len(), pages.samples(), pages.page.len());
    let mut ratios = Ratios::new(criterion, name, Throughput::Elements(count as u64));
    let mut buffer = vec![0; 16 << 10];
    {
        let handles: Vec<File> = paths.iter().filter_map(|path| File::open(path).ok()).collect();
        ratios.case("bare preads of kept handles", || reread(&handles, &mut buffer));
    }
    ratios.case("open, read, close", || reopen(&paths, &mut buffer));
    ratios.case("a round, and its page", || pages.round());
    ratios.case("a round, its page, and gzip", || pages.give_out());
    ratios.print();
}

/// A sample of energy that is shared out among so many containers.
fn share(criterion: &mut Criterion, count: usize, name: &'static str) {
    let Some(cgroups) = Cgroups::new(count) else {
        return eprintln!("skipped: no cgroups can be made here (this needs root)");
    };
    let folder = tempfile::tempdir().unwrap();
    let zone = folder.path().join("class/powercap/intel-rapl:0");
    std::fs::create_dir_all(&zone).unwrap();
    std::fs::write(zone.join("name"), "package-0").unwrap();
    std::fs::write(zone.join("energy_uj"), "0").unwrap();
    let roots = Roots { sys: folder.path().to_str().unwrap().to_owned(), ..Roots::default() };
    let mut host = Host::new(Machine::new(roots, Clock::Real, None, Child::none()));
    let options = Options::new(power::SPEC.options, &[]).unwrap();
    let mut collector = (power::SPEC.open)(&mut host, &options).unwrap().unwrap();
    let mut batch = Arc::new(Batch::new(power::SPEC.points_max));
    let mut energy = 0u64;
    let mut sample = || {
        energy += 1_234_567;
        std::fs::write(zone.join("energy_uj"), energy.to_string()).unwrap();
        let mut fresh =
            Batch::renewed(Some(std::mem::replace(&mut batch, Arc::new(Batch::new(0)))), power::SPEC.points_max);
        collector.collect(&mut host, Arc::make_mut(&mut fresh)).unwrap();
        host.settle();
        batch = fresh;
    };
    (0..3).for_each(|_| sample());
    let is_time = |path: &&PathBuf| path.ends_with("cpu.stat") || path.ends_with("cpuacct.usage");
    let handles: Vec<File> = cgroups.files().iter().filter(is_time).filter_map(|path| File::open(path).ok()).collect();
    let mut ratios = Ratios::new(criterion, name, Throughput::Elements(count as u64));
    let mut buffer = vec![0; 16 << 10];
    ratios.case("bare preads of kept handles", || reread(&handles, &mut buffer));
    ratios.case("a sample of energy", sample);
    ratios.print();
}

/// What `count` containers take, after rounds that are like those of a daemon: the page is made anew each time.
fn memory(count: usize, rounds: usize) {
    let (Some(_cgroups), Some(meter)) = (Cgroups::new(count), Meter::new()) else {
        return eprintln!("skipped: no cgroups can be made here (this needs root)");
    };
    let before = meter.used();
    let mut pages = Pages::new();
    for _ in 0..rounds {
        pages.give_out();
    }
    let after = meter.used();
    let [used, kernel, looked_at, kept] =
        std::array::from_fn(|at| after[at].saturating_sub(before[at]) as f64 / 1024.0 / count as f64);
    let all = used * count as f64;
    println!("{count} containers: {all:.0} KiB, {used:.1} KiB each, {kernel:.1} of it the kernel's");
    if kept > 0.0 {
        println!("  {looked_at:.1} KiB each for what was looked at, {kept:.1} for what is kept");
    }
}

/// What a round and its page cost while somebody works in each container, beside bare preads: the median of the processor
/// times of this process, since others have the processors too. After each pause, the kernel has something to sum up.
fn busy(count: usize, rounds: usize) {
    let Some(mut cgroups) = Cgroups::new(count) else {
        return eprintln!("skipped: no cgroups can be made here (this needs root)");
    };
    cgroups.employ();
    let paths = cgroups.files();
    let mut pages = Pages::new();
    // The workers are to be at work. The first rounds open what is kept, and look at what may turn out to stand still, as
    // pressure does after four seconds.
    let _: Vec<f64> = (0..12).map(|_| after_a_pause(|| pages.round())).collect();
    // Closed again before the rounds, which count the files that this process has open.
    let bare = || {
        let handles: Vec<File> = paths.iter().filter_map(|path| File::open(path).ok()).collect();
        let mut buffer = vec![0; 16 << 10];
        reread(&handles, &mut buffer);
        (0..rounds).map(|_| after_a_pause(|| reread(&handles, &mut buffer))).collect::<Vec<f64>>()
    };
    let before = bare();
    let ours = (0..rounds).map(|_| after_a_pause(|| pages.round())).collect();
    let (bare, ours) = (median([before, bare()].concat()), median(ours));
    println!("{count} containers: busy, bare preads of {} files {bare:.2} ms", paths.len());
    println!("  a round and its page {ours:.2} ms: {:.2} times as much", ours / bare);
}

/// The processor time that it takes this process, in milliseconds, when the others have worked for a while.
fn after_a_pause(mut work: impl FnMut()) -> f64 {
    std::thread::sleep(Duration::from_millis(500));
    let begun = processor_time();
    work();
    (processor_time() - begun).as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() {
    // As the daemon does.
    collectors::kit::share_heap();
    collectors::kit::raise_open_files();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, count, rest @ ..] = arguments.as_slice()
        && let "--memory" | "--busy" = word.as_str()
    {
        let (count, rounds) = (count.parse().unwrap(), rest.first().and_then(|rounds| rounds.parse().ok()));
        return if word == "--memory" { memory(count, rounds.unwrap_or(5)) } else { busy(count, rounds.unwrap_or(12)) };
    }
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    SIZES.into_iter().for_each(|(count, name)| compare(&mut criterion, count, name));
    share(&mut criterion, 1000, "energy of 1,000 containers");
    criterion.final_summary();
}
