use super::*;
use crate::model::Kind;
use proptest::prelude::*;
use std::fmt::Write as _;

fn read(text: &str) -> Result<Document, Mismatch> {
    parse(text.as_bytes(), Dialect::Prometheus)
}

/// One line for each series, as the page would have it.
fn page(text: &str, dialect: Dialect) -> String {
    let document = parse(text.as_bytes(), dialect).unwrap();
    let mut page = String::new();
    for Parsed { family, series, .. } in &document.families {
        for Series { labels, figure, .. } in series {
            let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            writeln!(page, "{:?} {} {labels:?} {figure:?}", family.kind, family.name).unwrap();
        }
    }
    page
}

fn value(text: &str) -> Option<Value> {
    let document = read(&format!("a {text}\n")).ok()?;
    match document.families[0].series[0].figure {
        Figure::Value(value) => Some(value),
        Figure::Distribution(_) => None,
    }
}

#[track_caller]
fn refuses(text: &str, line: u32, expected: &str) {
    assert_eq!(read(text).map_err(|mismatch| (mismatch.line, mismatch.expected)), Err((line, expected)));
}

#[test]
fn names_help_types_labels_and_figures() {
    let text = concat!(
        "# a remark\n#\n\n \t\n# HELP a First\\\\ line\\nsecond \\\"line\\\".\n#TYPE a COUNTER\n# HELP b\n",
        "a{z=\"1\" , x = \"\\\\ \\\" \\n é\",} 7\n \ta {}\t8\na{empty=\"\"\t}9 \n"
    );
    // A blank behind the figure announces a timestamp.
    refuses(text, 10, "the end of the line, or a timestamp in milliseconds");
    let text = text.replace("empty=\"\"\t}9 ", "y=\"2\",empty=\"\"\t}9");
    let expected = "Counter a [] Value(Int(8))\n\
        Counter a [\"x=\\\"\\\\\\\\ \\\\\\\" \\\\n é\\\"\", \"z=\\\"1\\\"\"] Value(Int(7))\n\
        Counter a [\"y=\\\"2\\\"\"] Value(Int(9))\n";
    assert_eq!(page(&text, Dialect::Prometheus), expected);
    assert_eq!(read(&text).unwrap().families[0].family.help, "First\\ line\nsecond \"line\".");
    assert_eq!(page("a-1\n# TYPE b gauge\n", Dialect::Prometheus), "Untyped a [] Value(Int(-1))\n");
}

#[test]
fn numbers_are_those_of_go() {
    assert_eq!(value("9007199254740993"), Some(Value::Int(9_007_199_254_740_993)));
    assert_eq!(value("-.5E+1"), Some(Value::Float(-5.0)));
    assert_eq!(value("1e-999"), Some(Value::Float(0.0)));
    assert_eq!(value("18446744073709551615"), Some(Value::Float(18_446_744_073_709_551_615.0)));
    assert!(matches!(value("-0"), Some(Value::Float(zero)) if zero.is_sign_negative()));
    assert_eq!((value("+Inf"), value("-infinity")), (Some(f64::INFINITY.into()), Some(f64::NEG_INFINITY.into())));
    assert!(matches!(value("NaN"), Some(Value::Float(nan)) if nan.is_nan()));
    for bad in ["", "0x10", "0x1p4", "1_000", "1e999", "-1e999", "+NaN", "-nan", "1e", ".", "1,5", "one", "1 x"] {
        assert_eq!(value(bad), None, "{bad}");
    }
}

#[test]
fn what_does_not_read_is_told_with_its_line() {
    refuses("a 1\nb 2", 2, "a line feed at the end of the file");
    assert!(read("a 1\n \t").is_ok() && read("").unwrap().is_empty());
    refuses("a 1\r\n", 1, "lines that end in LF, not in CR LF");
    refuses("\n9a 1\n", 2, "a metric name");
    refuses("{a=\"b\"} 1\n", 1, "a metric name");
    refuses("# TYPE 9a gauge\n", 1, "a metric name");
    refuses("a{9=\"b\"} 1\n", 1, "a label name, or }");
    refuses("a{,} 1\n", 1, "a label name, or }");
    refuses("a{__name__=\"b\"} 1\n", 1, "a label name that does not begin with __");
    refuses("a{b:c=\"d\"} 1\n", 1, "= behind the label name");
    refuses("a{b=c} 1\n", 1, "a label value in quotes");
    refuses("a{b=\"c\n\"} 1\n", 1, "a quote at the end of the label value");
    refuses("a{b=\"c\" d=\"e\"} 1\n", 1, ", or } behind the label value");
    refuses("a{b=\"\\t\"} 1\n", 1, "\\\\, \\\" or \\n, where a backslash is");
    refuses("# HELP a \\t\n", 1, "\\\\, \\\" or \\n, where a backslash is");
    refuses("a{b=\"c\",b=\"d\"} 1\n", 1, "each label name once");
    refuses("a 1 1.5\n", 1, "the end of the line, or a timestamp in milliseconds");
    refuses("# TYPE a info\n", 1, "counter, gauge, histogram, summary or untyped");
    refuses("# TYPE a gauge \n", 1, "counter, gauge, histogram, summary or untyped");
    refuses("a 1\n# TYPE a gauge\n", 2, "one TYPE line for each metric, before its first sample");
    refuses("# TYPE a gauge\n# TYPE a gauge\n", 2, "one TYPE line for each metric, before its first sample");
    refuses("# HELP a b\n# HELP a b\n", 2, "one HELP line for each metric");
    refuses("a{b=\"c\"} 1\na 1\na{b=\"c\",d=\"\"} 1\n", 3, "each series once");
    let mismatch = parse(b"a 1\na{b=\"\xff\"} 1\n", Dialect::Prometheus).unwrap_err();
    assert_eq!((mismatch.line, mismatch.expected), (2, "a label value in UTF-8"));
}

#[test]
fn a_timestamp_is_told_with_its_line() {
    assert_eq!(read("a 1\nb 2\t -3\nc 3 4\n").unwrap().timestamp, Some(2));
    assert_eq!(read("a 1\n").unwrap().timestamp, None);
}

#[test]
fn buckets_and_quantiles_become_distributions() {
    let text = concat!(
        "# TYPE h histogram\nh_count{x=\"2\"} 4\nh_bucket{le=\"+Inf\",x=\"1\"} 3\nh_bucket{x=\"1\",le=\"0.5\"} 2\n",
        "h_sum{x=\"1\"} 1.5\nh_bucket{x=\"2\",le=\"1\"} 3\n",
        "# TYPE s summary\ns{quantile=\"0.9\"} NaN\ns{quantile=\"0.5\"} 2\ns_sum 8\n",
    );
    let expected = concat!(
        "Histogram h [\"x=\\\"1\\\"\"] Distribution(Distribution ",
        "{ points: [(0.5, 2.0), (inf, 3.0)], count: Some(3.0), sum: Some(1.5) })\n",
        "Histogram h [\"x=\\\"2\\\"\"] Distribution(Distribution ",
        "{ points: [(1.0, 3.0), (inf, 4.0)], count: Some(4.0), sum: None })\n",
        "Summary s [] Distribution(Distribution { points: [(0.5, 2.0), (0.9, NaN)], count: None, sum: Some(8.0) })\n",
    );
    assert_eq!(page(text, Dialect::Prometheus), expected);
}

#[test]
fn a_histogram_that_does_not_add_up_is_refused() {
    let refuses_lines = |lines: &str, line, expected| refuses(&format!("# TYPE h histogram\n{lines}"), line, expected);
    refuses_lines("h_sum 1\n", 2, "a histogram with its count or its bucket +Inf");
    refuses_lines("h_bucket 1\n", 2, "a bucket with the label le");
    refuses_lines("h{le=\"1\"} 1\n", 2, "_bucket, _sum or _count behind the name of a histogram");
    refuses_lines("h_bucket{le=\"one\"} 1\n", 2, "a number in the label le or quantile");
    refuses_lines("h_bucket{le=\"NaN\"} 1\n", 2, "a number in the label le or quantile");
    refuses_lines("h_bucket{le=\"+Inf\"} -1\n", 2, "a count");
    refuses_lines("h_count NaN\n", 2, "a count");
    refuses_lines("h_count 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\n", 4, "each series once");
    refuses_lines("h_count 1\nh_count 1\n", 3, "each series once");
    refuses("# TYPE s summary\ns 1\n", 2, "a summary's label quantile, or _sum or _count behind its name");
    let owned = "a metric name that no other metric has on its lines";
    refuses("h_sum 1\n# TYPE h histogram\nh_count 1\n", 2, owned);
}

#[test]
fn what_is_too_large_is_refused() {
    refuses(&format!("{} 1\n", "a".repeat(NAME_MAX + 1)), 1, "a name of at most 1024 bytes");
    refuses(&format!("a{{b=\"{}\"}} 1\n", "c".repeat(TEXT_MAX + 1)), 1, "a text of at most 64 KiB");
    let labels = |n: usize| (0..n).fold(String::new(), |all, at| all + &format!("l{at}=\"1\","));
    assert!(read(&format!("a{{{}}} 1\n", labels(LABELS_OF_LINE_MAX))).is_ok());
    refuses(&format!("a{{{}}} 1\n", labels(LABELS_OF_LINE_MAX + 1)), 1, "at most 64 labels");
    let families: String = (0..=FAMILIES_MAX).map(|at| format!("a{at} 1\n")).collect();
    refuses(&families, FAMILIES_MAX as u32 + 1, "at most 10000 metrics");
    let samples: String = (0..=SAMPLES_MAX).map(|at| format!("a{{b=\"{at}\"}} 1\n")).collect();
    refuses(&samples, SAMPLES_MAX as u32 + 1, "at most 200000 samples with 1000000 labels");
}

#[test]
fn open_metrics_is_read_as_the_other_format_would_say_it() {
    let text = concat!(
        "# HELP wholenode_rounds Rounds.\n# TYPE wholenode_rounds counter\n",
        "wholenode_rounds_total{lane=\"fast\"} 5 # {trace_id=\"a\"} 1 2.5\nwholenode_rounds_created{lane=\"fast\"} 1.5\n",
        "# HELP t_seconds T.\n# TYPE t_seconds gauge\n# UNIT t_seconds seconds\nt_seconds inf\n",
        "# TYPE build info\nbuild_info{v=\"1\"} 1\n# TYPE u unknown\nu 1.0 \n# EOF\n",
    );
    let expected = concat!(
        "Counter wholenode_rounds_total [\"lane=\\\"fast\\\"\"] Value(Int(5))\nGauge t_seconds [] Value(Float(inf))\n",
        "Gauge build_info [\"v=\\\"1\\\"\"] Value(Int(1))\nUntyped u [] Value(Float(1.0))\n",
    );
    assert_eq!(page(text, Dialect::OpenMetrics), expected);
    let bare = parse(b"# TYPE x counter\nx 1\n", Dialect::OpenMetrics).unwrap_err();
    assert_eq!((bare.line, bare.expected), (2, "the suffix that belongs to the metric's type"));
    assert_eq!(parse(b"x 1 2.5\n", Dialect::OpenMetrics).unwrap().timestamp, Some(1));
}

/// A document as it may be written: families by name, each with its kind, help and series by label set.
type Model = std::collections::BTreeMap<String, (u8, String, std::collections::BTreeMap<Vec<(String, String)>, f64>)>;

fn models() -> impl Strategy<Value = Model> {
    let labels = prop::collection::btree_map("[a-zA-Z][a-zA-Z0-9_]{0,6}", "[a-c\\\\\"\né ,}]{1,6}", 0..3)
        .prop_map(|labels| labels.into_iter().filter(|(name, _)| name != "le" && name != "quantile").collect());
    let figure = prop_oneof![any::<f64>().prop_filter("a number", |x| !x.is_nan()), (0u32..9).prop_map(f64::from)];
    let family = (0u8..5, "[a-c\\\\\"\n é]{0,9}", prop::collection::btree_map(labels, figure, 1..4));
    // Without _, so that no name is on the lines of another one.
    prop::collection::btree_map("[a-zA-Z:][a-zA-Z0-9:]{0,6}", family, 0..5)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// The text of a document. A distribution is `|figure|` observations, half of them at most 1.
fn write(model: &Model) -> String {
    let mut text = String::new();
    for (name, (kind, help, series)) in model {
        let word = ["untyped", "counter", "gauge", "histogram", "summary"][usize::from(*kind)];
        writeln!(text, "# HELP {name} {}\n# TYPE {name} {word}", escape(help)).unwrap();
        for (labels, figure) in series {
            let mut line = |suffix: &str, more: &str, figure: f64| {
                let pairs = labels.iter().map(|(n, v)| format!("{n}=\"{}\",", escape(v).replace('"', "\\\"")));
                writeln!(text, "{name}{suffix}{{{}{more}}} {figure}", pairs.collect::<String>()).unwrap();
            };
            match kind {
                3 => {
                    line("_bucket", "le=\"+Inf\"", figure.abs().min(1e300));
                    line("_bucket", "le=\"1\"", figure.abs().min(1e300) / 2.0);
                    line("_sum", "", *figure);
                }
                4 => {
                    line("", "quantile=\"0.5\"", *figure);
                    line("_count", "", figure.abs().min(1e300));
                }
                _ => line("", "", *figure),
            }
        }
    }
    text
}

/// Lines that nearly are what they should be.
const LINES: &str = concat!(
    "((# (TYPE|HELP) )?[ab](_sum|_count|_bucket|_total)?(\\{(le=\"1\",?)?\\})?",
    "( ([0-9]|counter|histogram|summary))?\n){0,12}"
);

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        for dialect in [Dialect::Prometheus, Dialect::OpenMetrics] {
            let _ = parse(&bytes, dialect);
        }
    }

    #[test]
    fn no_lines_make_it_panic(text in LINES) {
        for dialect in [Dialect::Prometheus, Dialect::OpenMetrics] {
            let _ = parse(text.as_bytes(), dialect);
        }
    }

    #[test]
    fn a_document_comes_back(model in models()) {
        let text = write(&model);
        let document = read(&text).unwrap();
        prop_assert_eq!(document.families.len(), model.len());
        for (parsed, (name, (kind, help, series))) in document.families.iter().zip(&model) {
            let kinds = [Kind::Untyped, Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary];
            prop_assert_eq!(parsed.family.name.as_ref(), name);
            prop_assert_eq!(parsed.family.kind, kinds[usize::from(*kind)]);
            prop_assert_eq!(parsed.family.help.as_ref(), help.trim_start_matches(' '));
            prop_assert_eq!(parsed.series.len(), series.len());
            for (read, (labels, figure)) in parsed.series.iter().zip(series) {
                prop_assert_eq!(&read.labels, labels);
                let all = figure.abs().min(1e300);
                let (points, sum) = match kind {
                    3 => (vec![(1.0, all / 2.0), (f64::INFINITY, all)], Some(*figure)),
                    _ => (vec![(0.5, *figure)], None),
                };
                let expected = Distribution { points, count: Some(all), sum };
                match &read.figure {
                    Figure::Value(value) => prop_assert_eq!(value.as_f64(), Some(*figure)),
                    Figure::Distribution(distribution) => prop_assert_eq!(distribution, &expected),
                }
            }
        }
    }
}
