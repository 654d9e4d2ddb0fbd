//! A page, taken apart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A page.
pub(super) struct Page(String);

impl Page {
    /// It, if each series is on it once.
    #[track_caller]
    pub(super) fn new(text: String) -> Self {
        let mut known = BTreeSet::new();
        for (series, _) in samples(&text) {
            assert!(known.insert(series), "{series} is there twice");
        }
        Self(text)
    }

    /// The figure of the family's only series with all these labels.
    #[track_caller]
    pub(super) fn figure(&self, family: &str, labels: &[&str]) -> Option<f64> {
        let of = |series: &str| {
            let rest = series.strip_prefix(family)?;
            (rest.is_empty() || rest.starts_with('{')).then(|| labels.iter().all(|label| rest.contains(label)))
        };
        let found: Vec<(&str, f64)> = samples(&self.0).filter(|(series, _)| of(series) == Some(true)).collect();
        assert!(found.len() < 2, "{family} {labels:?} is there more than once: {found:?}");
        found.first().map(|(_, value)| *value)
    }

    /// Counters, and where they are.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&str, f64)> {
        let declared = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"));
        let counters: BTreeSet<&str> = declared.collect();
        samples(&self.0).filter(move |(series, _)| counters.contains(series.split('{').next().unwrap_or_default()))
    }

    /// The cgroups that are told of.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        samples(&self.0).filter_map(|(series, _)| series.split_once("{id=\"")?.1.split('"').next())
    }
}

fn samples(text: &str) -> impl Iterator<Item = (&str, f64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, value)| (series, value.parse().unwrap()))
}

/// What a cgroup has used of processors, as the kernel says.
pub(super) fn cpu_seconds(trees: &[PathBuf], name: &str) -> f64 {
    let read = |tree: &Path, file: &str| std::fs::read_to_string(tree.join(name).join(file)).ok();
    let of_separate = trees.iter().find_map(|tree| read(tree, "cpuacct.usage"));
    if let Some(nanoseconds) = of_separate {
        return nanoseconds.trim().parse::<f64>().unwrap() / 1e9;
    }
    let stat = read(&trees[0], "cpu.stat").unwrap();
    let microseconds = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
    microseconds.parse::<f64>().unwrap() / 1e6
}
