//! Pure scanning of what the kernel prints. Bytes in, values out; nothing panics, whatever the bytes.

/// The lines, without their ends.
///
/// A last line without an end is not given: the file was cut short, and half a number is a wrong number.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', text).map(move |end| {
        let line = &text[start..end];
        start = end + 1;
        line
    })
}

/// The lines of a file that the kernel gives as one record, see [`super::KeptFile::single`], or that was read until it
/// had no more. It can't be cut short, so the last line needs no end.
pub fn lines_of_record(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').take(if text.is_empty() {
        0
    } else {
        usize::MAX
    })
}

/// The words between blanks and tabs.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let end = rest[start..].iter().position(u8::is_ascii_whitespace).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        rest = &rest[end..];
        Some(word)
    })
}

/// A whole number without sign: digits and nothing else.
pub fn number(word: &[u8]) -> Option<u64> {
    /// So many digits always fit.
    const SHORT: usize = 19;
    let (short, rest) = word.split_at(word.len().min(SHORT));
    let digit = |byte: u8| Some(u64::from(byte.wrapping_sub(b'0'))).filter(|&digit| digit <= 9);
    let start = short.iter().try_fold(0, |sum: u64, &byte| Some(sum * 10 + digit(byte)?)).filter(|_| !short.is_empty());
    rest.iter().try_fold(start?, |sum, &byte| sum.checked_mul(10)?.checked_add(digit(byte)?))
}

/// A whole number that may be negative.
pub fn signed(word: &[u8]) -> Option<i64> {
    match word.split_first() {
        Some((b'-', digits)) => 0i64.checked_sub_unsigned(number(digits)?),
        _ => i64::try_from(number(word)?).ok(),
    }
}

/// A hexadecimal number, with or without `0x`.
pub fn hex(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"0x").unwrap_or(word);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, &byte| Some(sum << 4 | u64::from((byte as char).to_digit(16)?)))
}

/// A number with a point, as the kernel prints load averages and percentages.
pub fn float(word: &[u8]) -> Option<f64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The bytes without blanks and line ends around them.
pub fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Text for a label: what is not UTF-8 is replaced, blanks and line ends around it are dropped.
pub fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(trim(bytes))
}

/// `Name:   value…`: the name and the rest.
pub fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((trim(&line[..colon]), trim(&line[colon + 1..])))
}

/// `nr_periods 42`: a word and its number.
pub fn entry(line: &[u8]) -> Option<(&[u8], u64)> {
    let blank = line.iter().position(|&byte| byte == b' ')?;
    Some((&line[..blank], number(trim(&line[blank + 1..]))?))
}

/// The highest number of a CPU: no kernel is built for more.
const CPU_MAX: u32 = 8191;

/// `0-3,5`: the first and the last CPU of each range; `None` for what is no range of CPUs.
pub fn ranges(text: &[u8]) -> impl Iterator<Item = Option<(u32, u32)>> {
    let number = |word| u32::try_from(number(word)?).ok().filter(|cpu| *cpu <= CPU_MAX);
    trim(text).split(|byte| *byte == b',').filter(|range| !range.is_empty()).map(move |range| {
        let mut ends = range.splitn(2, |byte| *byte == b'-');
        let first = number(ends.next()?)?;
        Some((first, ends.next().map_or(Some(first), number)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_that_was_cut_short_is_not_a_line() {
        assert_eq!(lines(b"a 1\nb 2\nc 12").collect::<Vec<_>>(), [b"a 1", b"b 2"]);
        assert_eq!(lines(b"12").count(), 0);
        assert_eq!(lines(b"a\n\nb\n").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }

    #[test]
    fn a_record_is_whole_with_or_without_an_end() {
        for text in [&b"a 1\n\nb 2\n"[..], b"a 1\n\nb 2"] {
            assert_eq!(lines_of_record(text).collect::<Vec<_>>(), [&b"a 1"[..], b"", b"b 2"]);
        }
        assert_eq!((lines_of_record(b"").count(), lines_of_record(b"\n").count()), (0, 1));
    }

    #[test]
    fn lists_of_cpus() {
        assert_eq!(ranges(b"0-3,5\n").collect::<Vec<_>>(), [Some((0, 3)), Some((5, 5))]);
        assert_eq!(ranges(b"0-x,8192\n").collect::<Vec<_>>(), [None, None]);
        assert_eq!(ranges(b"\n").count(), 0);
    }

    #[test]
    fn numbers_are_digits_within_range() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"-1", b"+1", b"1.5", b"18446744073709551616", b"1e3", b" 1"] {
            assert_eq!(number(bad), None, "{}", text(bad));
        }
        assert_eq!(signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed(b"--1"), None);
        assert_eq!(hex(b"0x1f"), Some(31));
        assert_eq!(hex(b"ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(hex(b"0x"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            for line in lines(&bytes) {
                field(line);
                words(line).for_each(|word| {
                    let _ = (number(word), signed(word), hex(word), float(word), text(word));
                });
            }
        }

        #[test]
        fn numbers_come_back(n: u64, i: i64) {
            prop_assert_eq!(number(n.to_string().as_bytes()), Some(n));
            prop_assert_eq!(signed(i.to_string().as_bytes()), Some(i));
            prop_assert_eq!(hex(format!("{n:x}").as_bytes()), Some(n));
        }
    }
}
