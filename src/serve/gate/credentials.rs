//! `Authorization: Basic …`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};

/// Longer ones are nobody's.
const LENGTH_MAX: usize = 4096;

/// A user's name and password.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Vec<u8>,
}

/// What the client says about itself; none if it is nothing that can be read.
pub(super) fn read(headers: &HeaderMap) -> Option<Credentials> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok().filter(|value| value.len() <= LENGTH_MAX)?;
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at_checked(colon)?;
    Some(Credentials { user: String::from_utf8(user.to_vec()).ok()?, password: password.get(1..)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    fn of(value: &str) -> Option<(String, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        read(&headers).map(|credentials| (credentials.user, credentials.password))
    }

    #[test]
    fn name_and_password_are_read() {
        let of_text = |text: &str| of(&format!("Basic {}", STANDARD.encode(text)));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.as_bytes().to_vec()));
        assert_eq!(of_text("alice:a:b"), pair("alice", "a:b"));
        assert_eq!(of_text(":"), pair("", ""));
        assert_eq!(of("bAsIc YTpi"), pair("a", "b"));
        assert_eq!(of_text("alice"), None);
        assert_eq!(of("Bearer YTpi"), None);
        assert_eq!(of("Basic"), None);
        assert_eq!(of("Basic YTp"), None);
        assert_eq!(of("Basic ===="), None);
        assert_eq!(read(&HeaderMap::new()).map(|one| one.user), None);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(value in "(Basic )?[ -~]*") {
            let _ = of(&value);
        }
    }
}
