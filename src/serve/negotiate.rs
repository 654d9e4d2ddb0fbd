//! What the client would like: the form, the compression, the time it waits.

use super::{Format, Limits};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AsHeaderName, HeaderMap};
use std::time::Duration;

/// The form of the page. Text unless the client prefers OpenMetrics.
///
/// Prometheus 2.49 sends `*/*;q=2`, 3.0 sends a parameter twice, all 3.x send `escaping`: none of it is an error, and
/// the name of a form outweighs a wildcard however it is weighted.
pub(super) fn format(headers: &HeaderMap, openmetrics: bool) -> Format {
    if !openmetrics {
        return Format::Text;
    }
    let (mut text, mut open, mut any) = (None, None, None);
    for (place, range) in elements(headers, ACCEPT).enumerate() {
        let (media, parameters) = range.split_once(';').unwrap_or((range, ""));
        let version = parameter(parameters, "version");
        let slot = match media.trim().to_ascii_lowercase().as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => &mut open,
            "text/plain" if matches!(version, None | Some("0.0.4")) => &mut text,
            "*/*" | "text/*" => &mut any,
            _ => continue,
        };
        // Of two equal weights the earlier wins, as the order is all that is left to go by.
        let rank = (weight(parameters), usize::MAX - place);
        *slot = (*slot).max(Some(rank));
    }
    match open {
        Some(rank) if rank.0 > 0 && Some(rank) > text.or(any.map(|(weight, _)| (weight, 0))) => Format::OpenMetrics,
        _ => Format::Text,
    }
}

/// Whether the page is to be compressed.
pub(super) fn gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for element in elements(headers, ACCEPT_ENCODING) {
        let (coding, parameters) = element.split_once(';').unwrap_or((element, ""));
        let coding = coding.trim();
        let slot = if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            &mut gzip
        } else if coding.eq_ignore_ascii_case("identity") {
            &mut identity
        } else if coding == "*" {
            &mut any
        } else {
            continue;
        };
        *slot = (*slot).max(Some(weight(parameters)));
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// How long the collectors may take: Prometheus' own timeout, less what the way back takes.
pub(super) fn patience(headers: &HeaderMap, limits: &Limits) -> Duration {
    const LEAST: Duration = Duration::from_millis(100);
    headers
        .get("x-prometheus-scrape-timeout-seconds")
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .filter(|seconds: &f64| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or(limits.patience, |asked| asked.saturating_sub((asked / 10).max(LEAST)))
        .clamp(LEAST, limits.patience_max.max(LEAST))
}

/// The elements of a list that may be spread over several header lines.
fn elements(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|element| !element.is_empty())
}

fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// A `q` in thousandths. Above 1 counts as 1, and so does what can't be read.
fn weight(parameters: &str) -> u16 {
    let q: f32 = parameter(parameters, "q").and_then(|q| q.parse().ok()).unwrap_or(1.0);
    // The cast is exact: 0 to 1000; NaN becomes 0.
    (q.clamp(0.0, 1.0) * 1000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    fn accepted(lines: &[&str]) -> Format {
        let headers = headers("accept", lines);
        assert_eq!(format(&headers, false), Format::Text, "not offered unless the operator wants it");
        format(&headers, true)
    }

    #[test]
    fn every_prometheus_gets_openmetrics_where_it_is_offered() {
        const PROTOBUF: &str =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for line in [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=2",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ] {
            assert_eq!(accepted(&[line]), Format::OpenMetrics, "{line}");
            assert_eq!(accepted(&[&format!("{PROTOBUF},{line}")]), Format::OpenMetrics, "{line}");
        }
        assert_eq!(accepted(&[PROTOBUF]), Format::Text);
    }

    #[test]
    fn text_for_everyone_else() {
        const OPEN: &str = "application/openmetrics-text";
        assert_eq!(accepted(&[]), Format::Text);
        assert_eq!(accepted(&["*/*"]), Format::Text);
        assert_eq!(accepted(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"]), Format::Text);
        assert_eq!(accepted(&["text/plain;version=0.0.4;q=1,*/*;q=0.1"]), Format::Text);
        assert_eq!(accepted(&[&format!("{OPEN};version=0.0.1")]), Format::Text);
        assert_eq!(accepted(&[&format!("{OPEN};q=0")]), Format::Text);
        assert_eq!(accepted(&[&format!("{OPEN};q=0.2, text/plain;q=0.3")]), Format::Text);
        assert_eq!(accepted(&[&format!("text/plain, {OPEN}")]), Format::Text);
        assert_eq!(accepted(&["", ";;;", "=,=;q="]), Format::Text);
        assert_eq!(accepted(&[&format!("{OPEN}, text/plain")]), Format::OpenMetrics);
        assert_eq!(accepted(&["text/plain;q=0.3", &format!("{OPEN}; Version=\"1.0.0\"; Q=0.4")]), Format::OpenMetrics);
    }

    #[test]
    fn gzip_when_allowed() {
        for (line, expected) in [
            ("gzip", true),
            ("GZIP;q=0.001", true),
            ("deflate, gzip;q=1.0, *;q=0.5", true),
            ("*", true),
            ("br;q=1.0, *;q=0.1", true),
            ("", false),
            ("identity", false),
            ("br, zstd", false),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity, gzip;q=0.5", false),
            ("gzip;q=0.5, identity;q=0.5", true),
        ] {
            assert_eq!(gzip(&headers("accept-encoding", &[line])), expected, "{line}");
        }
        assert!(!gzip(&HeaderMap::new()));
        assert!(gzip(&headers("accept-encoding", &["br", "gzip"])));
    }

    #[test]
    fn patience_leaves_a_margin() {
        let limits = Limits::default();
        for (line, seconds) in [
            ("10", 9.0),
            ("0.5", 0.4),
            ("0.15", 0.1),
            ("0.01", 0.1),
            ("600", 60.0),
            ("1e300", 10.0),
            ("NaN", 10.0),
            ("-3", 10.0),
            ("0", 10.0),
            ("soon", 10.0),
        ] {
            let asked = patience(&headers("x-prometheus-scrape-timeout-seconds", &[line]), &limits);
            assert_eq!(asked, Duration::from_secs_f64(seconds), "{line}");
        }
        assert_eq!(patience(&HeaderMap::new(), &limits), limits.patience);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(line in "[ -~\\x80-\\xff]*|([a-z*/;,=q.0-9\"-]|gzip|;q=|nan|inf|1e9)*") {
            for name in ["accept", "accept-encoding", "x-prometheus-scrape-timeout-seconds"] {
                let mut headers = HeaderMap::new();
                headers.insert(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
                let limits = Limits::default();
                let (_, _, patience) = (format(&headers, true), gzip(&headers), patience(&headers, &limits));
                prop_assert!(patience >= Duration::from_millis(100) && patience <= limits.patience_max);
            }
        }
    }
}
