//! The pages of Jetson boards, compared with the line that tegrastats prints for the same state.
//!
//! The line is in `tegrastats` beside the board's files, in the form of its release. What only root can read is compared
//! where the board's debugfs may be read.
#![allow(clippy::unwrap_used)]

use crate::golden::{HOME, machines};
use std::collections::BTreeMap;

/// The series of a page and their figures.
struct Page {
    figures: BTreeMap<String, f64>,
    has_debugfs: bool,
}

impl Page {
    fn of(machine: &str) -> Self {
        let text = std::fs::read_to_string(format!("{HOME}/tests/golden/{machine}.prom")).unwrap();
        let series = text.lines().filter(|line| line.starts_with("jetson_")).map(|line| line.rsplit_once(' ').unwrap());
        let figures = series.map(|(series, figure)| (series.to_owned(), figure.parse().unwrap())).collect();
        let refused = std::fs::read_to_string(format!("{HOME}/tests/machines/{machine}/calls/errno"));
        let has_debugfs = !refused.unwrap_or_default().contains("sys/kernel/debug ");
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

/// Compares one thing; whether there was something to compare.
fn compare(page: &Page, said: &Said<'_>) -> bool {
    let megahertz = |rates: Vec<f64>| rates.iter().map(|rate| (rate / 1e6).floor()).collect::<Vec<_>>();
    let percent = |ratios: Vec<f64>| ratios.iter().map(|ratio| (ratio * 100.0 + 1e-9).floor()).collect::<Vec<_>>();
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
            let actual = page.all("jetson_gpu_actual_hertz", "");
            let rates = if actual.is_empty() { page.all("jetson_gpu_frequency_hertz", "") } else { actual };
            assert_eq!(&megahertz(rates), clocks);
            let load = percent(page.all("jetson_gpu_utilization_ratio", ""));
            assert_eq!(load, busy.iter().copied().collect::<Vec<_>>());
        }
        Said::Clock("EMC", busy, clocks) => {
            let rates = megahertz(page.all("jetson_emc_frequency_hertz", ""));
            if rates.is_empty() {
                assert!(!page.has_debugfs);
                return false;
            }
            assert_eq!(&rates, clocks);
            assert_eq!(percent(page.all("jetson_emc_utilization_ratio", "")), busy.iter().copied().collect::<Vec<_>>());
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
            assert_eq!(load, busy.iter().copied().collect::<Vec<_>>(), "{name}");
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

#[test]
fn pages_say_what_tegrastats_prints() {
    let mut boards = 0;
    for machine in machines() {
        let Ok(line) = std::fs::read_to_string(format!("{HOME}/tests/machines/{machine}/tegrastats")) else { continue };
        let (line, page) = (line.trim_end(), Page::of(&machine));
        boards += 1;
        let (_, block) = line.split_once("(lfb ").unwrap();
        let (blocks, size) = block.split_once("MB)").unwrap().0.split_once('x').unwrap();
        assert_eq!(page.one("jetson_largest_free_blocks", ""), blocks.parse::<f64>().unwrap(), "{machine}");
        let bytes = size.parse::<f64>().unwrap() * f64::from(1 << 20);
        assert_eq!(page.one("jetson_largest_free_block_bytes", ""), bytes, "{machine}");
        let cpus = line.split_once("CPU [").unwrap().1.split_once(']').unwrap().0;
        let online = cpus.split(',').filter(|cpu| *cpu != "off").count();
        assert_eq!(page.one("jetson_cpus_online", ""), online as f64, "{machine}");
        let said = said(line);
        let compared = said.iter().filter(|said| compare(&page, said)).count();
        assert!(compared >= 8, "{machine}: only {compared} of {} compared", said.len());
        assert!(compared == said.len() || !page.has_debugfs, "{machine}: {compared} of {}", said.len());
    }
    assert!(boards >= 8, "only {boards} boards have a line");
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
