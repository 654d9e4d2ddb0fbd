//! Numbers and escapes, as bytes.

use super::Format;
use collectors::model::Value;

/// Writes a whole number.
pub(super) fn int(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Writes a float in the shortest form that reads back as the same float.
pub(super) fn float(out: &mut Vec<u8>, x: f64) {
    /// Up to here every whole number is a float, and shorter without a point.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    let whole = x as i64;
    if whole as f64 == x && x.abs() < WHOLE && !(whole == 0 && x.is_sign_negative()) {
        int(out, whole);
    } else if x.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if x.is_infinite() {
        out.extend_from_slice(if x > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        out.extend_from_slice(ryu::Buffer::new().format_finite(x).as_bytes());
    }
}

/// Writes a bucket's bound or a quantile. It is a label, part of the series' identity: it must look as Go prints it, with
/// an exponent from 1e+06 on, and in OpenMetrics with a point where there is none.
pub(super) fn bound(out: &mut Vec<u8>, x: f64, format: Format) {
    let start = out.len();
    let text = format!("{x:e}");
    match text.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            out.extend_from_slice(format!("{digits}e{sign}{:02}", exponent.abs()).as_bytes());
        }
        Some(_) => out.extend_from_slice(x.to_string().as_bytes()),
        None => float(out, x),
    }
    if format == Format::OpenMetrics && x.is_finite() && !out[start..].iter().any(|byte| b".e".contains(byte)) {
        out.extend_from_slice(b".0");
    }
}

/// Writes `n` divided by 10^`decimals`, exactly.
pub(super) fn scaled(out: &mut Vec<u8>, n: i64, decimals: u8) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(n.unsigned_abs()).as_bytes();
    if n < 0 {
        out.push(b'-');
    }
    let decimals = usize::from(decimals);
    let whole = digits.len().saturating_sub(decimals);
    if whole == 0 {
        out.push(b'0');
    }
    out.extend_from_slice(&digits[..whole]);
    let kept = digits[whole..].iter().rposition(|&digit| digit != b'0').map_or(0, |at| at + 1);
    if kept > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', decimals.saturating_sub(digits.len())));
        out.extend_from_slice(&digits[whole..whole + kept]);
    }
}

/// Writes a single figure; a distribution is written line by line elsewhere.
pub(super) fn value(out: &mut Vec<u8>, value: Value) {
    match value {
        Value::Int(n) => int(out, n),
        Value::Float(x) => float(out, x),
        Value::Scaled(n, decimals) => scaled(out, n, decimals),
        Value::Distribution(_) => out.extend_from_slice(b"NaN"),
    }
}

/// Writes a label value: backslash, quote and line feed are escaped.
pub(super) fn label_value(out: &mut Vec<u8>, text: &str) {
    escaped(out, text, true);
}

/// Writes a help text: backslash and line feed are escaped, in OpenMetrics quotes too.
pub(super) fn help(out: &mut Vec<u8>, text: &str, quotes: bool) {
    escaped(out, text, quotes);
}

fn escaped(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let is_special = |byte: u8| (byte == b'\\') | (byte == b'\n') | (quotes & (byte == b'"'));
    let mut rest = text.as_bytes();
    // Almost always there is nothing to escape, and to look at all bytes without stopping goes many at a time.
    if !rest.iter().fold(false, |found, &byte| found | is_special(byte)) {
        return out.extend_from_slice(rest);
    }
    while let Some(at) = rest.iter().position(|&byte| is_special(byte)) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn scaled_numbers_are_exact() {
        for (n, decimals, expected) in [
            (123_456, 2, "1234.56"),
            (123_400, 2, "1234"),
            (5, 2, "0.05"),
            (50, 2, "0.5"),
            (0, 6, "0"),
            (-7, 3, "-0.007"),
            (i64::MAX, 9, "9223372036.854775807"),
            (i64::MIN, 0, "-9223372036854775808"),
            (1, 200, &format!("0.{}1", "0".repeat(199))),
        ] {
            assert_eq!(written(|out| scaled(out, n, decimals)), expected);
        }
    }

    #[test]
    fn floats_read_back_as_themselves() {
        for x in [0.1, 1e300, -1.5e-7, 0.0, -0.0, 1e15, 1e16, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
            let text = written(|out| float(out, x));
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), x.to_bits(), "{text}");
        }
        assert_eq!(written(|out| float(out, 3.0)), "3");
        assert_eq!(written(|out| float(out, f64::INFINITY)), "+Inf");
        assert_eq!(written(|out| float(out, f64::NEG_INFINITY)), "-Inf");
        assert_eq!(written(|out| float(out, f64::NAN)), "NaN");
    }

    #[test]
    fn bounds_look_as_go_prints_them() {
        for (x, text, openmetrics) in [
            (0.5, "0.5", "0.5"),
            (10.0, "10", "10.0"),
            (100_000.0, "100000", "100000.0"),
            (1_000_000.0, "1e+06", "1e+06"),
            (123_456_789.0, "1.23456789e+08", "1.23456789e+08"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "1e-05"),
            (-2.5e100, "-2.5e+100", "-2.5e+100"),
            (f64::INFINITY, "+Inf", "+Inf"),
        ] {
            assert_eq!(written(|out| bound(out, x, Format::Text)), text);
            assert_eq!(written(|out| bound(out, x, Format::OpenMetrics)), openmetrics);
        }
    }

    #[test]
    fn what_would_break_a_line_is_escaped() {
        assert_eq!(written(|out| label_value(out, "a\\b\"c\nd")), "a\\\\b\\\"c\\nd");
        assert_eq!(written(|out| help(out, "a\\b\"c\nd", false)), "a\\\\b\"c\\nd");
    }
}
