//! A page as its series, to be compared with another one.

use std::collections::BTreeMap;

/// What a page says, by `name{label="value",…}`: labels sorted, empty ones left out, values as they are escaped.
#[derive(Default)]
pub(super) struct Page {
    pub(super) series: BTreeMap<String, f64>,
    pub(super) kinds: BTreeMap<String, String>,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                page.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                let (series, value) = sample(line).unwrap_or_else(|| panic!("no sample: {line}"));
                page.series.insert(series, value);
            }
        }
        page
    }
}

/// `a_total{b="c",e=""} 5` → `a_total{b="c"}`, 5.
fn sample(line: &str) -> Option<(String, f64)> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
            let mut escaped = false;
            let end = after.find(|letter| {
                let ends = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                ends
            })?;
            if end > 0 {
                labels.insert(label, &after[..end]);
            }
            rest = &after[end + 1..];
        }
        rest = &rest[1..];
    }
    let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((format!("{name}{{{}}}", labels.join(",")), value))
}

/// Whether one series of the page has all labels of another one, and further ones that came since.
pub(super) fn has_more_labels(page: &Page, series: &str) -> bool {
    let Some((name, labels)) = series.trim_end_matches('}').split_once('{') else { return false };
    let candidates = page.series.keys().filter(|other| other.starts_with(&format!("{name}{{")));
    let pairs: Vec<&str> = labels.split_inclusive("\",").map(|pair| pair.trim_end_matches(',')).collect();
    candidates.into_iter().any(|other| pairs.iter().all(|pair| other.contains(pair)))
}

#[test]
fn samples_are_read_with_their_labels_in_order() {
    let read = |line| sample(line).map(|(series, value)| format!("{series} {value}"));
    assert_eq!(read(r#"a{c="}\"\\",b="",a="1, 2"} 1e+06"#).as_deref(), Some(r#"a{a="1, 2",c="}\"\\"} 1000000"#));
    assert_eq!(read("a_b +Inf").as_deref(), Some("a_b{} inf"));
    assert_eq!(read("a_b{"), None);
    let more = |series| has_more_labels(&Page::read("a{b=\"1\",c=\"2\"} 1\n"), series);
    assert!(more("a{c=\"2\"}") && !more("a{c=\"3\"}") && !more("b{c=\"2\"}"));
}
