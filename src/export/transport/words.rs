//! What others say, made fit for a line of a log.

use std::error::Error;

/// How much of it is kept.
const LENGTH_MAX: usize = 200;

/// The beginning, with nothing in it that would spoil a line or turn its direction.
pub(super) fn line(said: &str) -> String {
    let is_odd = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let said: String = said.trim().chars().take(LENGTH_MAX).map(|c| if is_odd(c) { ' ' } else { c }).collect();
    said.trim_end().to_owned()
}

/// An error, and what caused it.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let cause_said = cause.to_string();
        // Some name their cause themselves.
        if !said.contains(&cause_said) {
            said.push_str(": ");
            said.push_str(&cause_said);
        }
        at = cause.source();
    }
    line(&said)
}

/// `100%25`: what is not plain is written as its number.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.first_chunk::<2>().filter(|_| byte == b'%');
        let is_hex = |digits: &&[u8; 2]| digits.iter().all(u8::is_ascii_hexdigit);
        let number = digits.filter(is_hex).and_then(|digits| str::from_utf8(digits).ok());
        let number = number.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(number.unwrap_or(byte));
        rest = if number.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_stays_one() {
        assert_eq!(line(" a\nb\tc\u{202e}d\u{1b}[31m \n"), "a b c d [31m");
        assert_eq!(line(&"é".repeat(500)).chars().count(), LENGTH_MAX);
    }

    #[test]
    fn what_is_written_as_numbers_is_read() {
        assert_eq!(unescape("100%25 %zz % %+1 caf%C3%A9%"), "100% %zz % %+1 café%".as_bytes());
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text: String) {
            prop_assert!(!line(&text).contains('\n'));
            let _ = unescape(&text);
        }
    }
}
