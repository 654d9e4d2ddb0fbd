//! The pages of Jetson boards, compared with the line that tegrastats prints for the same state.
//!
//! The line is in `tegrastats` beside the board's files, in the form of its release. Each is compared with the page of one who
//! may not read debugfs, and, where there is something in it, of one who may.
#![allow(clippy::unwrap_used)]

use crate::golden::{collectors_of, page_of};
use crate::states::{Tree, trees};
use std::collections::BTreeMap;

/// The series of a page and their figures.
struct Page {
    figures: BTreeMap<String, f64>,
    has_debugfs: bool,
}

impl Page {
    fn of(tree: &Tree, has_debugfs: bool) -> Self {
        let more = ["cpufreq", "meminfo"].map(str::to_owned);
        let collectors: Vec<String> = collectors_of("jetson").into_iter().chain(more).collect();
        let text = page_of(&tree.path, &collectors, &["--collector.disable-defaults"]);
        let is_told = |line: &&str| ["jetson_", "node_cpu_", "node_memory_"].iter().any(|own| line.starts_with(own));
        let series = text.lines().filter(is_told).map(|line| line.rsplit_once(' ').unwrap());
        let figures = series.map(|(series, figure)| (series.to_owned(), figure.parse().unwrap())).collect();
        Self { figures, has_debugfs }
    }

    /// The figures of a family whose labels hold this, in the page's order.
    fn all(&self, family: &str, label: &str) -> Vec<f64> {
        let is_it = |series: &&String| series.split('{').next() == Some(family) && series.contains(label);
        self.figures.keys().filter(is_it).map(|series| self.figures[series]).collect()
    }

    fn one(&self, family: &str, label: &str) -> f64 {
        let all = self.all(family, label);
        assert_eq!(all.len(), 1, "{family} {label}");
        all[0]
    }
}

/// What one thing is said to have in a line of tegrastats.
#[derive(Debug, PartialEq)]
enum Said<'a> {
    /// `GR3D_FREQ 84%@[713,713]`: how busy it is in percent, if that is told, and its clocks in MHz.
    Clock(&'a str, Option<f64>, Vec<f64>),
    /// `NVJPG off`.
    Off(&'a str),
    /// `cpu@47.5C`, in degrees.
    Temperature(&'a str, f64),
    /// `VDD_IN 1383/1400` or `VDD_IN 1383mW/1400mW`, in milliwatts: now and on average.
    Rail(&'a str, f64),
}

/// What the line says of things with a name.
fn said(line: &str) -> Vec<Said<'_>> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut found: Vec<Said<'_>> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if let Some((name, degrees)) = word.strip_suffix('C').and_then(|word| word.split_once('@')) {
            found.push(Said::Temperature(name, degrees.parse().unwrap()));
            continue;
        }
        let Some(next) = words.get(at + 1) else { continue };
        let name = word.strip_suffix("_FREQ").unwrap_or(word);
        if !name.starts_with(|c: char| c.is_ascii_uppercase())
            || matches!(name, "RAM" | "SWAP" | "IRAM" | "MTS")
            // The processors, and not the rail that feeds them.
            || next.starts_with('[') && name == "CPU"
        {
            continue;
        }
        if *next == "off" {
            found.push(Said::Off(name));
        } else if let Some((busy, clocks)) = next.split_once('@').filter(|_| !next.ends_with('C')) {
            let busy = busy.strip_suffix('%').map(|busy| busy.parse().unwrap());
            let clocks = clocks.trim_matches(['[', ']']).split(',').map(|clock| clock.parse().unwrap()).collect();
            found.push(Said::Clock(name, busy, clocks));
        } else if let Some((now, _)) = next.split_once('/') {
            found.push(Said::Rail(name, now.trim_end_matches("mW").parse().unwrap()));
        } else if let Ok(clock) = next.parse() {
            found.push(Said::Clock(name, None, vec![clock]));
        }
    }
    found
}

fn megahertz(rates: Vec<f64>) -> Vec<f64> {
    rates.iter().map(|rate| (rate / 1e6).floor()).collect()
}

fn percent(ratios: Vec<f64>) -> Vec<f64> {
    ratios.iter().map(|ratio| (ratio * 100.0 + 1e-9).floor()).collect()
}

fn compare_gpu(page: &Page, busy: Option<f64>, clocks: &[f64]) {
    let actual = page.all("jetson_gpu_actual_hertz", "");
    if !actual.is_empty() {
        assert_eq!(megahertz(actual), clocks);
    } else if page.all("jetson_gpu_railgated", "") != [1.0] {
        // What is set is not quite what is had, and is told once where the clusters have clocks of their own.
        let set = megahertz(page.all("jetson_gpu_frequency_hertz", ""));
        let is_one = set.len() == 1 || set.len() == clocks.len();
        assert!(is_one && set.iter().zip(clocks).all(|(set, had)| (set - had).abs() <= 1.0), "{set:?} {clocks:?}");
    }
    let load = percent(page.all("jetson_gpu_utilization_ratio", ""));
    assert_eq!(load, busy.into_iter().collect::<Vec<_>>());
}

/// Compares one thing; whether there was something to compare.
fn compare(page: &Page, said: &Said<'_>) -> bool {
    match said {
        Said::Temperature(name, degrees) => {
            let is_prefix = |series: &&String| {
                let sensor = series.strip_prefix("jetson_temperature_celsius{sensor=\"").unwrap_or_default();
                let rest = sensor.to_lowercase().strip_prefix(&name.to_lowercase()).map(str::to_owned);
                rest.is_some_and(|rest| rest.starts_with(['-', '_']) || rest.starts_with('"'))
            };
            let found: Vec<f64> = page.figures.keys().filter(is_prefix).map(|series| page.figures[series]).collect();
            // A constant, and what has no power.
            let expected = if *name == "PMIC" || *degrees == -256.0 { vec![] } else { vec![*degrees] };
            assert_eq!(found, expected, "{name}");
        }
        Said::Rail(name, milliwatts) => {
            let found = page.all("jetson_rail_watts", &format!("rail=\"{name}\""));
            let found: Vec<f64> = found.iter().map(|watts| (watts * 1000.0 + 1e-6).floor()).collect();
            assert_eq!(found, if *name == "NC" { vec![] } else { vec![*milliwatts] }, "{name}");
        }
        Said::Clock("GR3D", busy, clocks) => {
            compare_gpu(page, *busy, clocks);
        }
        Said::Clock("EMC", busy, clocks) => {
            let rates = megahertz(page.all("jetson_emc_frequency_hertz", ""));
            if rates.is_empty() {
                assert!(!page.has_debugfs);
                return false;
            }
            assert_eq!(&rates, clocks);
            let load = percent(page.all("jetson_emc_utilization_ratio", ""));
            if page.has_debugfs || !load.is_empty() {
                assert_eq!(load, busy.iter().copied().collect::<Vec<_>>());
            }
        }
        Said::Clock(name, busy, clocks) => {
            let is_thors = ["NVENC0", "NVENC1", "NVDEC0", "NVDEC1", "NVJPG0"].contains(name);
            let engine = if is_thors { "nvd0".to_owned() } else { name.to_lowercase() };
            let label = format!("engine=\"{engine}\"");
            let rates = megahertz(page.all("jetson_engine_frequency_hertz", &label));
            if rates.is_empty() {
                assert!(!page.has_debugfs, "{name}");
                return false;
            }
            assert_eq!(&rates, clocks, "{name}");
            let load = percent(page.all("jetson_engine_utilization_ratio", &label));
            if page.has_debugfs || !load.is_empty() {
                assert_eq!(load, busy.iter().copied().collect::<Vec<_>>(), "{name}");
            }
        }
        Said::Off(name) => {
            let label = format!("engine=\"{}\"", name.to_lowercase());
            let active = page.all("jetson_engine_active", &label);
            if active.is_empty() {
                assert!(!page.has_debugfs, "{name}");
                return false;
            }
            assert_eq!(active, [0.0], "{name}");
            assert_eq!(page.all("jetson_engine_frequency_hertz", &label), [0.0; 0], "{name}");
        }
    }
    true
}

/// The figure before and the one after a slash, as in `RAM 1923/3964MB` or `lfb 2x4MB`.
fn pair(line: &str, before: &str, between: char) -> Option<(f64, f64)> {
    let (first, second) = line.split_once(before)?.1.split_once("MB").unwrap().0.split_once(between).unwrap();
    Some((first.parse().unwrap(), second.parse().unwrap()))
}

/// Compares the memory and the processors.
fn compare_the_rest(page: &Page, line: &str) {
    const MEBIBYTE: f64 = (1u64 << 20) as f64;
    let memory = |name: &str| page.one(&format!("node_memory_{name}_bytes"), "") / MEBIBYTE;
    // What counts as used differs from release to release, and so does how it is rounded.
    let (_, all) = pair(line, "RAM ", '/').unwrap();
    assert!((memory("MemTotal") - all).abs() < 1.0, "{} {all}", memory("MemTotal"));
    if let Some((used, all)) = pair(line, "SWAP ", '/') {
        let swap = memory("SwapTotal");
        assert!((swap - all).abs() < 1.0 && (swap - memory("SwapFree") - used).abs() < 1.0, "{swap} {used}/{all}");
    }
    let (blocks, size) = pair(line, "(lfb ", 'x').unwrap();
    assert_eq!(page.one("jetson_largest_free_blocks", ""), blocks);
    assert_eq!(page.one("jetson_largest_free_block_bytes", ""), size * MEBIBYTE);
    let cpus = line.split_once("CPU [").unwrap().1.split_once(']').unwrap().0;
    assert_eq!(page.one("jetson_cpus_online", ""), cpus.split(',').filter(|cpu| *cpu != "off").count() as f64);
    for (number, cpu) in cpus.split(',').enumerate() {
        let rates = megahertz(page.all("node_cpu_scaling_frequency_hertz", &format!("cpu=\"{number}\"")));
        let expected: Vec<f64> = cpu.split_once('@').map(|(_, clock)| clock.parse().unwrap()).into_iter().collect();
        assert_eq!(rates, expected, "cpu {number}");
    }
}

/// The page of one who may read debugfs, or who may not, after it was compared.
fn compared(tree: &Tree, line: &str, has_debugfs: bool) -> Page {
    println!("{}, debugfs {}", tree.name, if has_debugfs { "readable" } else { "refused" });
    let page = Page::of(&tree.to_one_who_reads_debugfs(has_debugfs), has_debugfs);
    compare_the_rest(&page, line);
    let said = said(line);
    let count = said.iter().filter(|said| compare(&page, said)).count();
    assert!(count >= 8, "only {count} of {} compared", said.len());
    assert!(count == said.len() || !has_debugfs, "{count} of {}", said.len());
    page
}

#[test]
fn pages_say_what_tegrastats_prints() {
    let mut pages = 0;
    for tree in trees() {
        let Ok(line) = std::fs::read_to_string(tree.path.join("tegrastats")) else { continue };
        let refused = compared(&tree, line.trim_end(), false);
        pages += 1;
        if tree.has_debugfs() {
            let page = compared(&tree, line.trim_end(), true);
            pages += 1;
            // What debugfs tells is told beside the rest, and in place of none of it.
            for (series, figure) in &refused.figures {
                assert_eq!(page.figures.get(series), Some(figure), "{} {series}", tree.name);
            }
            assert!(page.figures.len() > refused.figures.len(), "{}", tree.name);
        }
    }
    assert!(pages >= 24, "only {pages} pages of boards");
}

#[test]
fn lines_are_taken_apart() {
    let line = "RAM 1/2MB (lfb 2x2MB) CPU [5%@1224,off] EMC_FREQ 0%@1600 GR3D_FREQ @[1,2] NVJPG off VIC_FREQ 115 APE 25 PLL@37C \
                VDD_IN 5mW/6mW NC 0/0";
    let expected = [
        Said::Clock("EMC", Some(0.0), vec![1600.0]),
        Said::Clock("GR3D", None, vec![1.0, 2.0]),
        Said::Off("NVJPG"),
        Said::Clock("VIC", None, vec![115.0]),
        Said::Clock("APE", None, vec![25.0]),
        Said::Temperature("PLL", 37.0),
        Said::Rail("VDD_IN", 5.0),
        Said::Rail("NC", 0.0),
    ];
    assert_eq!(said(line), expected);
}
