//! Whatever collectors put, a page is exact to the grammar: each family once, each series once, every byte escaped.

use collectors::kit::exposition::{Dialect, Figure, parse};
use collectors::model::{Batch, Distribution, Family, Kind, Snapshot};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use wholenode::encode::{Format, Text};

/// One put: which family of a small table, of which kind, with which labels, and how much.
type Put = (usize, usize, Vec<(usize, String)>, f64);

const NAMES: [&str; 6] = ["a", "a_sum", "a_count", "a_bucket", "b_total", "c:d"];
const LABELS: [&str; 3] = ["device", "x", "y"];
const KINDS: [Kind; 5] = [Kind::Gauge, Kind::Counter, Kind::Untyped, Kind::Histogram, Kind::Summary];

fn puts() -> impl Strategy<Value = Vec<Vec<Put>>> {
    let labels = prop::collection::vec((0..LABELS.len(), any::<String>()), 0..3);
    let put = (0..NAMES.len(), 0..KINDS.len(), labels, 0.0..1e18f64);
    prop::collection::vec(prop::collection::vec(put, 0..12), 1..4)
}

fn snapshot(batches: &[Vec<Put>], help: &str) -> Snapshot {
    let fill = |puts: &Vec<Put>| {
        let mut batch = Batch::new(1000);
        for (name, kind, labels, figure) in puts {
            let family = Family::at_run_time(NAMES[*name].to_owned(), help.to_owned(), KINDS[*kind]);
            let labels: BTreeMap<&str, &str> =
                labels.iter().map(|(name, value)| (LABELS[*name], value.as_str())).collect();
            let of = batch.named(labels.iter().map(|(name, value)| (*name, *value)));
            match KINDS[*kind] {
                Kind::Histogram | Kind::Summary => {
                    let points = match KINDS[*kind] {
                        Kind::Histogram => vec![(1e6, 1.0), (f64::INFINITY, 2.0)],
                        _ => vec![(0.5, *figure)],
                    };
                    let distribution = Distribution { points, count: Some(2.0), sum: Some(*figure) };
                    batch.put_distribution(&family, of, distribution);
                }
                _ => batch.put(&family, of, *figure),
            }
        }
        Arc::new(batch)
    };
    Snapshot::new(batches.iter().map(fill).collect())
}

proptest! {
    #[test]
    fn every_page_reads_back(batches in puts(), help: String) {
        let snapshot = snapshot(&batches, &help);
        let mut text = Text::default();
        let mut page = || text.page(&snapshot, Format::Text, Vec::new());
        let [page, again, filled] = [(); 3].map(|()| page());
        prop_assert!(page == again && page == filled, "a writer that knows the page writes another one");
        let document = parse(&page, Dialect::Prometheus);
        prop_assert!(document.is_ok(), "{:?}\n{}", document, String::from_utf8_lossy(&page));
        let document = document.unwrap();

        // What was put first of a series is what the page says.
        let mut first: BTreeMap<(usize, BTreeMap<usize, &str>), f64> = BTreeMap::new();
        for (name, kind, labels, figure) in batches.iter().flatten() {
            if matches!(KINDS[*kind], Kind::Gauge | Kind::Counter | Kind::Untyped) {
                let mut labels: BTreeMap<usize, &str> = labels.iter().map(|(at, value)| (*at, value.as_str())).collect();
                labels.retain(|_, value| !value.is_empty());
                first.entry((*name, labels)).or_insert(*figure);
            }
        }
        let mut seen = HashSet::new();
        for parsed in &document.families {
            prop_assert!(seen.insert(parsed.family.name.clone()), "{} in two groups", parsed.family.name);
            // The grammar takes the blanks before a help text for its own.
            prop_assert_eq!(&*parsed.family.help, help.trim_start_matches([' ', '\t']));
            for series in &parsed.series {
                let Figure::Value(value) = &series.figure else { continue };
                let place = |known: &[&str], name: &str| known.iter().position(|known| *known == name).unwrap();
                let labels = series.labels.iter().map(|(name, value)| (place(&LABELS, name), value.as_str())).collect();
                let key = (place(&NAMES, &parsed.family.name), labels);
                prop_assert!(first.contains_key(&key), "{:?}", key);
                prop_assert!(value.as_f64().is_some_and(f64::is_finite));
            }
        }
    }
}
