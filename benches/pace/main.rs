//! What a round of each collector costs: on a tree of files as large as is expected, and on this machine.
//!
//! A tree costs less than a kernel that prints, and more than one whose files are kept open: it shows what the collector
//! itself does with so much text. `--write` renews the table in `benches/README.md`; `--only a,b` chooses collectors,
//! `--roots FOLDER` another tree, with the folders of `tests/machines`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod tree;
mod why;

use collectors::kit::{Child, Clock, Host, Machine, Options, Replay, Roots, child};
use collectors::model::Batch;
use collectors::{ALL, Collector, Group, Pace, Spec};
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a collector of the fast lane may take.
const LIMIT: Duration = Duration::from_millis(1);
/// How long a collector is measured, and in how many rounds at least and at most.
const SPAN: Duration = Duration::from_millis(300);
const ROUNDS: (usize, usize) = (5, 200);
/// What is written over between two rounds so that they find nothing in the caches.
const CACHES: usize = 48 << 20;
/// The machine that the collectors of Jetson boards are measured on.
const BOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/orinnano");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/README.md");

/// The processor time of a collector's rounds on this thread.
struct Cost {
    series: usize,
    faults: usize,
    first: Duration,
    /// The best of many rounds, one right after the other.
    steady: Duration,
    /// The best of some rounds with cold caches.
    cold: Duration,
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// One round, as the engine does it.
fn round(collector: &mut dyn Collector, host: &mut Host, batch: &mut Arc<Batch>, spec: &Spec) -> Duration {
    let mut fresh = Batch::renewed(Some(std::mem::replace(batch, Arc::new(Batch::new(0)))), spec.points_max);
    let begun = cpu_time();
    let _ = collector.collect(host, Arc::make_mut(&mut fresh));
    host.settle();
    let took = cpu_time() - begun;
    *batch = fresh;
    took
}

/// `None`: the machine has no such thing.
fn measure(spec: &Spec, machine: &Arc<Machine>, textfiles: &str, litter: &mut [u8]) -> Option<Cost> {
    let given = match spec.name {
        "textfile" => vec![("directory".to_owned(), vec![textfiles.to_owned()])],
        "sysctl" => vec![("include".to_owned(), vec!["fs.file-nr:total,current,max".to_owned()])],
        _ => Vec::new(),
    };
    let options = Options::new(spec.options, &given).unwrap();
    let (mut host, mut batch) = (Host::new(machine.clone()), Arc::new(Batch::new(spec.points_max)));
    let begun = cpu_time();
    let mut collector = (spec.open)(&mut host, &options).ok().flatten()?;
    let opened = cpu_time() - begun;
    let first = opened + round(&mut *collector, &mut host, &mut batch, spec);
    let (started, mut steady, mut rounds) = (Instant::now(), Duration::MAX, 0);
    while rounds < ROUNDS.0 || (rounds < ROUNDS.1 && started.elapsed() < SPAN) {
        steady = steady.min(round(&mut *collector, &mut host, &mut batch, spec));
        rounds += 1;
    }
    let mut cold = Duration::MAX;
    for turn in 0..ROUNDS.0 as u8 {
        black_box(&mut *litter).fill(turn);
        cold = cold.min(round(&mut *collector, &mut host, &mut batch, spec));
    }
    let (series, faults) = (batch.len(), batch.faults().len());
    Some(Cost { series, faults, first, steady, cold: cold.max(steady) })
}

fn machine(roots: Roots, replay: Option<Replay>) -> Arc<Machine> {
    let program = std::env::current_exe().unwrap();
    Machine::new(roots, Clock::Real, replay, Child::new(program.to_str().unwrap()))
}

/// The machine whose files are below a folder, laid out as those of `tests/machines`.
fn machine_of(home: &str) -> Arc<Machine> {
    let below = |name: &str| format!("{home}/{name}");
    let roots = Roots {
        proc: below("proc"),
        sys: below("sys"),
        rootfs: below("rootfs"),
        udev: below("udev"),
        cgroup: below("cgroup"),
        system_bus: Some(format!("unix:path={home}/no-bus")),
    };
    machine(roots, Some(Replay::load(&below("calls")).unwrap()))
}

fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 9.95 { format!("{micros:.1}") } else { format!("{micros:.0}") }
}

fn cells(cost: Option<&Cost>) -> String {
    let told = |cost: &Cost| {
        format!("{} | {} | {} | {}", cost.series, micros(cost.first), micros(cost.steady), micros(cost.cold))
    };
    cost.map_or_else(|| "– | – | – | –".to_owned(), told)
}

/// A row of the table. `tests/it/tidy/table.rs` looks for its beginning.
fn row(spec: &Spec, large: Option<&Cost>, here: Option<&Cost>) -> String {
    let default = if spec.default { "on" } else { "off" };
    let pace = match spec.pace {
        Pace::Round => "round",
        Pace::Apart { .. } => "apart",
        Pace::Every { .. } => "every",
    };
    let why = why::WHY.iter().find(|(name, _)| *name == spec.name).map_or("", |(_, why)| why);
    format!("| `{}` | {default} | {pace} | {} | {} | {why} |", spec.name, cells(large), cells(here))
}

/// Puts the rows in place of those that the page has.
fn renew(rows: &str) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let start = page.find("## Paces").unwrap();
    let first = start + page[start..].find("\n|---").unwrap() + 1;
    let first = first + page[first..].find('\n').unwrap() + 1;
    let end = first + page[first..].find("\n\n").map_or(page.len() - first, |end| end + 1);
    let end = if page[first..].starts_with('\n') { first } else { end };
    std::fs::write(PAGE, format!("{}{rows}{}", &page[..first], &page[end..])).unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if arguments.first().is_some_and(|word| word == child::ARGUMENT) {
        return child::serve();
    }
    let after = |name: &str| arguments.iter().skip_while(|word| *word != name).nth(1).map(String::as_str);
    let only = after("--only").map(|names| names.split(',').collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let home = after("--roots").unwrap_or_else(|| {
        tree::grow(folder.path().to_str().unwrap());
        folder.path().to_str().unwrap()
    });
    let textfiles = format!("{home}/textfile");
    let (large, here) = (machine_of(home), machine(Roots::default(), None));
    // No machine is both: those of boards are measured on one.
    let board = machine_of(BOARD);
    let (mut litter, mut rows, mut slow) = (vec![0; CACHES], String::new(), Vec::new());
    for spec in ALL.iter().filter(|spec| only.as_ref().is_none_or(|only| only.contains(&spec.name))) {
        let large = if spec.group == Group::Jetson { &board } else { &large };
        let [large, here] = [large, &here].map(|machine| measure(spec, machine, &textfiles, &mut litter));
        let row = row(spec, large.as_ref(), here.as_ref());
        println!("{row}");
        if !why::WHY.iter().any(|(name, _)| *name == spec.name) {
            eprintln!("{}: why.rs does not say why it has this pace", spec.name);
        }
        for cost in [&large, &here].into_iter().flatten() {
            if cost.faults > 0 {
                eprintln!("{}: {} faults", spec.name, cost.faults);
            }
            if spec.pace == Pace::Round && cost.steady > LIMIT {
                slow.push(format!("{}: {} µs", spec.name, micros(cost.steady)));
            }
        }
        writeln!(rows, "{row}").unwrap();
    }
    if arguments.iter().any(|word| word == "--write") && only.is_none() {
        renew(&rows);
    }
    if !slow.is_empty() {
        eprintln!("in the fast lane, and over {} ms:\n  {}", LIMIT.as_millis(), slow.join("\n  "));
        std::process::exit(1);
    }
}
