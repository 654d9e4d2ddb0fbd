//! A length of time as Go writes it.

use std::time::Duration;

/// `1s`, `250ms`, `1h2m3.5s`; only `0` needs no unit. None for anything else, and for what is below nothing.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" || text == "-0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut all) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        all += number.parse::<f64>().ok()? * seconds;
        rest = behind;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(all).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_go_are_read() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("1s", 1000),
            ("+1.5s", 1500),
            (".5s", 500),
            ("1h1m1s1ms", 3_661_001),
            ("250ms", 250),
            ("2000\u{b5}s", 2),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "1", "s", "-1s", "1 s", "1d", "1s1", "1..5s", "ns", "1e3s", "99999999999999999999h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
