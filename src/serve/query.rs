//! `collect[]=` and `exclude[]=`.

/// The names a request filters by.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) collect: Vec<String>,
    pub(super) exclude: Vec<String>,
}

impl Filter {
    /// `collect[]=cpu&collect%5B%5D=stat`; parameters of other names are ignored.
    pub(super) fn parse(query: &str) -> Result<Filter, String> {
        let mut filter = Filter::default();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let names = match decode(key).as_deref() {
                Some("collect[]") => &mut filter.collect,
                Some("exclude[]") => &mut filter.exclude,
                _ => continue,
            };
            // A filter that can't be read must not give the page of everything.
            names.push(decode(value).ok_or_else(|| format!("The name \"{value}\" can't be decoded."))?);
        }
        if !filter.collect.is_empty() && !filter.exclude.is_empty() {
            return Err("Combined collect and exclude queries are not allowed.".into());
        }
        Ok(filter)
    }
}

/// `a%20b+c` → `a b c`; none if it is no text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_decoded() {
        let filter = Filter::parse("collect[]=cpu&collect%5B%5d=a%2Bb+c&collect=no&x&&=&collect[]=").unwrap();
        assert_eq!(filter.collect, ["cpu", "a+b c", ""]);
        assert_eq!(Filter::parse("exclude[]=%C3%A4").unwrap().exclude, ["ä"]);
        assert_eq!(Filter::parse("").unwrap(), Filter::default());
    }

    #[test]
    fn what_can_not_be_meant_is_told() {
        let error = Filter::parse("collect[]=a&exclude[]=b").unwrap_err();
        assert_eq!(error, "Combined collect and exclude queries are not allowed.");
        for bad in ["%", "%4", "%zz", "%ff", "%+1"] {
            let error = Filter::parse(&format!("collect[]={bad}")).unwrap_err();
            assert_eq!(error, format!("The name \"{bad}\" can't be decoded."));
        }
        assert_eq!(Filter::parse("%ff=1").unwrap(), Filter::default());
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(query in "\\PC*|([ce%5B\\[\\]=&+]|collect\\[\\]=)*") {
            let _ = Filter::parse(&query);
        }
    }
}
