//! `name=value` pairs: headers and attributes.

/// One pair, as flags and the file have it. The value may hold anything, equals signs too.
pub(super) fn pair(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

/// The pairs of a variable of OpenTelemetry, `name=value,name=value` with percent signs for bytes that are not plain, as
/// pairs of ours. Errors don't repeat what was given: it may be a secret.
pub(super) fn decoded(text: &str) -> Result<Vec<String>, String> {
    let one = |part: &str| {
        let (name, value) = part.split_once('=').filter(|(name, _)| !name.trim().is_empty())?;
        Some(format!("{}={}", plain(name.trim())?, plain(value.trim())?))
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let all: Option<Vec<String>> = parts.map(one).collect();
    all.ok_or_else(|| "expected NAME=VALUE,NAME=VALUE".to_owned())
}

/// `a%20b`: the bytes that it stands for, if they are UTF-8.
fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, more)) = rest.split_first() {
        match (byte, more) {
            (b'%', [high, low, more @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push((digit(*high)? << 4 | digit(*low)?) as u8);
                rest = more;
            }
            (b'%', _) => return None,
            _ => {
                bytes.push(byte);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_plain_are_written_with_percent_signs() {
        let decoded = |text: &str| decoded(text).ok();
        let is = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(decoded("Authorization=Basic%20YTpi, x = 1 ,"), is(&["Authorization=Basic YTpi", "x=1"]));
        assert_eq!(decoded("a=b=c,d="), is(&["a=b=c", "d="]));
        assert_eq!(decoded("a=%c3%A4"), is(&["a=ä"]));
        for wrong in ["a", "=b", "a=%", "a=%2", "a=%xy", "a=%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_pair_of_ours_is_taken_as_it_stands() {
        assert_eq!(pair("a = b%20=c "), Some(("a".to_owned(), "b%20=c".to_owned())));
        assert_eq!((pair("a"), pair("=b")), (None, None));
    }
}
