//! `/etc/os-release`, or `/usr/lib/os-release`: what the distribution calls itself.
//!
//! The files are below the machine's root, and the first is mostly a link to the second. They are text for a shell, see
//! os-release(5); a line that is none is skipped.

use super::{Error, Host, Root, parse};

const FILES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// How large the file may be.
const BYTES_MAX: usize = 64 << 10;

impl Host {
    /// The names and values in the first of the files that is there.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn os_release(&mut self) -> Result<Vec<(String, String)>, Error> {
        let mut answer = Err(Error::Absent { path: FILES[0].to_owned() });
        for file in FILES {
            let path = self.follow(Root::Rootfs, file)?;
            let path = format!("{}/{path}", self.root(Root::Rootfs));
            answer = self.read_regular(&path, BYTES_MAX).map(|(text, _)| assignments(text));
            if !answer.as_ref().is_err_and(Error::is_absent) {
                break;
            }
        }
        answer
    }
}

fn assignments(text: &[u8]) -> Vec<(String, String)> {
    let pairs = text.split(|byte| *byte == b'\n').filter_map(assignment);
    pairs.map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value)).collect()
}

/// `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"`: the name and the value; `None` for a comment, a quote that is not
/// closed, and all else.
fn assignment(line: &[u8]) -> Option<(&[u8], String)> {
    let line = parse::trim(line);
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (parse::trim(&line[..equals]), parse::trim(&line[equals + 1..]));
    let key = key.strip_prefix(b"export ").unwrap_or(key);
    let is_name =
        !key.is_empty() && key.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_');
    if is_name { Some((key, unquote(value)?)) } else { None }
}

/// `"Say \"hi\""`: what a shell makes of it; blanks need no quotes.
fn unquote(value: &[u8]) -> Option<String> {
    let mut plain = Vec::with_capacity(value.len());
    // What is needed to close the quote; how much of the text does not depend on what follows.
    let (mut quote, mut settled) = (None, 0);
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (None, b'#') if plain.last().is_none_or(|last| *last == b' ' || *last == b'\t') => {
                plain.truncate(settled);
                break;
            }
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            (None, b'\\') => plain.extend(bytes.next()),
            (Some(b'"'), b'\\') if bytes.peek().is_some_and(|next| b"\"\\$`".contains(next)) => {
                plain.extend(bytes.next())
            }
            (_, byte) => plain.push(byte),
        }
        if quote.is_some() || !matches!(byte, b' ' | b'\t') {
            settled = plain.len();
        }
    }
    quote.is_none().then(|| String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_quoted_as_in_a_shell() {
        let plain = |value: &str| unquote(value.as_bytes());
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(plain(r#""Say \"hi\" \$5 \n""#), is(r#"Say "hi" $5 \n"#));
        assert_eq!(plain("'a\\b'"), is("a\\b"));
        assert_eq!(plain("A\"b c\"d # comment"), is("Ab cd"));
        assert_eq!(plain("a#b"), is("a#b"));
        assert_eq!(plain("\"a # b \" # c"), is("a # b "));
        assert_eq!(plain("Debian GNU/Linux"), is("Debian GNU/Linux"));
        assert_eq!((plain(""), plain("\"\"")), (is(""), is("")));
        assert_eq!((plain("\"a"), plain("'")), (None, None));
        assert_eq!(assignment(b"export ID = x").unwrap(), (&b"ID"[..], "x".to_owned()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            assignments(&bytes);
            unquote(&bytes);
        }
    }
}
