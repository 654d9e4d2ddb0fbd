//! A whole round of the engine over this machine, with all default collectors, against the bare reads of the same files.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod ratio;

use collectors::kit::{Child, Clock, Machine, Options, Roots, child};
use collectors::{ALL, Chosen, Spec};
use criterion::{Criterion, Throughput};
use ratio::Ratios;
use rustix::time::{ClockId, clock_gettime};
use std::fs::{File, read_dir};
use std::hint::black_box;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;
use wholenode::encode::{Format, Text};
use wholenode::engine::{Engine, Instruments};

/// What each collector reads in a round, as patterns with a star for any name. A collector without a row is named in the
/// output: its reads are missing from the floor.
const FILES: &[(&str, &[&str])] = &[
    ("cpu", &["/proc/stat", "/sys/devices/system/cpu/present", "/sys/devices/system/cpu/online"]),
    ("filesystem", &["/proc/1/mountinfo"]),
    ("hwmon", &["/sys/class/hwmon/*/name", "/sys/class/hwmon/*/*_input"]),
    ("loadavg", &["/proc/loadavg"]),
    ("mdadm", &["/proc/mdstat", "/sys/block/*/md/raid_disks", "/sys/block/*/md/degraded"]),
    ("meminfo", &["/proc/meminfo"]),
    ("netdev", &["/proc/net/dev"]),
    ("pressure", &["/proc/pressure/cpu", "/proc/pressure/io", "/proc/pressure/memory", "/proc/pressure/irq"]),
    ("softnet", &["/proc/net/softnet_stat"]),
    ("stat", &["/proc/stat"]),
    ("textfile", &[]),
    ("time", &["/sys/devices/system/clocksource/*/current_clocksource"]),
    ("uname", &[]),
];

/// The existing files that a pattern means.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for word in pattern.split('/').skip(1) {
        let Some((start, end)) = word.split_once('*') else {
            found.iter_mut().for_each(|path| path.push(word));
            continue;
        };
        let fits = |name: &str| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
        let entries = found.iter().flat_map(|folder| read_dir(folder).into_iter().flatten().flatten());
        found =
            entries.filter(|entry| entry.file_name().to_str().is_some_and(fits)).map(|entry| entry.path()).collect();
    }
    found.retain(|path| File::open(path).is_ok_and(|mut file| file.read(&mut [0; 64]).is_ok()));
    found
}

/// Reads kept handles to their end; an attribute of sysfs comes whole.
fn reread(handles: &[(bool, File)], buffer: &mut [u8]) {
    for (is_attribute, file) in handles {
        let mut length = 0;
        while let Ok(more @ 1..) = file.read_at(buffer, length) {
            length += more as u64;
            if *is_attribute {
                break;
            }
        }
    }
}

/// Opens each file, reads it to its end, closes it.
fn reopen(paths: &[PathBuf], buffer: &mut [u8]) {
    for path in paths {
        if let Ok(mut file) = File::open(path) {
            while let Ok(1..) = file.read(buffer) {}
        }
    }
}

/// An engine in which nothing is ever new enough, so that each question is a round.
fn engine(specs: &[&'static Spec]) -> Engine {
    let program = std::env::current_exe().unwrap();
    let machine = Machine::new(Roots::default(), Clock::Real, None, Child::new(program.to_str().unwrap()));
    let engine = Engine::new(machine, specs, Duration::ZERO, Instruments::new("bench"));
    let chosen = |spec: &&'static Spec| Chosen { spec, options: Options::new(spec.options, &[]).unwrap() };
    engine.configure(&specs.iter().map(chosen).collect::<Vec<_>>());
    engine
}

/// The files of these collectors.
fn files(names: &[&str]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for name in names {
        match FILES.iter().find(|(known, _)| known == name) {
            Some((_, patterns)) => paths.extend(patterns.iter().flat_map(|pattern| matching(pattern))),
            None => eprintln!("{name}: its files are not listed in this bench; the floor is too low"),
        }
    }
    paths
}

fn open_all(paths: &[PathBuf]) -> Vec<(bool, File)> {
    paths.iter().map(|path| (path.starts_with("/sys"), File::open(path).unwrap())).collect()
}

/// `--bare SECONDS NAMES`, for peer.py: once a second, between which caches grow cold as they do between scrapes, the CPU
/// time that the bare reads take. Prints the means in microseconds: preads of kept handles; open, read, close.
fn bare(seconds: u32, names: &[&str]) {
    let paths = files(names);
    let (handles, mut buffer) = (open_all(&paths), vec![0; 1 << 20]);
    let cpu_time = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let mut sums = [Duration::ZERO; 2];
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_millis(500));
        let begun = cpu_time();
        reread(&handles, &mut buffer);
        sums[0] += cpu_time() - begun;
        std::thread::sleep(Duration::from_millis(500));
        let begun = cpu_time();
        reopen(&paths, &mut buffer);
        sums[1] += cpu_time() - begun;
    }
    let [preads, reopened] = sums.map(|sum| sum.as_secs_f64() * 1e6 / f64::from(seconds));
    println!("{preads:.1} {reopened:.1} {}", paths.len());
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [child::ARGUMENT, ..] => child::serve(),
        ["--bare", seconds, "default", ..] => bare(seconds.parse().unwrap(), &names(&default_specs())),
        ["--bare", seconds, names, ..] => bare(seconds.parse().unwrap(), &names.split(',').collect::<Vec<_>>()),
        _ => compare(),
    }
}

fn default_specs() -> Vec<&'static Spec> {
    ALL.iter().copied().filter(|spec| spec.default).collect()
}

fn names(specs: &[&'static Spec]) -> Vec<&'static str> {
    specs.iter().map(|spec| spec.name).collect()
}

fn compare() {
    let specs = default_specs();
    let paths = files(&names(&specs));
    println!("{} collectors, {} files", specs.len(), paths.len());

    let engine = engine(&specs);
    let selection = engine.select(None, &[], &[]).unwrap();
    let (mut text, mut page) = (Text::default(), Vec::new());
    let selection: std::sync::Arc<[usize]> = selection.into();
    let ask = |wait| engine.work(&engine.begin(selection.clone(), wait)).unwrap();
    text.encode(&ask(Duration::from_secs(10)), Format::Text, |_| true, &mut page);
    println!(
        "{} samples, {} bytes",
        page.split(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"#")).count() - 1,
        page.len()
    );

    let (handles, mut buffer) = (open_all(&paths), vec![0; 1 << 20]);
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let mut ratios = Ratios::new(&mut criterion, "round", Throughput::Elements(paths.len() as u64));
    ratios.case("bare preads of kept handles", || reread(&handles, &mut buffer));
    ratios.case("open, read, close", || reopen(&paths, &mut buffer));
    ratios.case("a round of the engine", || _ = black_box(ask(Duration::from_secs(1))));
    ratios.case("a round of the engine, and its page", || {
        page.clear();
        text.encode(&ask(Duration::from_secs(1)), Format::Text, |_| true, &mut page);
    });
    ratios.print();
    criterion.final_summary();
}
