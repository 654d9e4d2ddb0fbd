//! The headers that say who we are, and those that were asked for.

use super::files::{Made, Text};
use super::target::{Auth, Target};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// Headers that belong to the transport.
const OURS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What goes along with each request.
pub(super) struct Credentials {
    fixed: HeaderMap,
    auth: Option<Auth>,
    made: Made<Option<HeaderValue>>,
}

impl Credentials {
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) fn new(target: &Target) -> Result<Self, String> {
        let mut fixed = HeaderMap::new();
        for (name, value) in &target.headers {
            let parsed = HeaderName::from_bytes(name.trim().as_bytes());
            let parsed = parsed.map_err(|_| format!("header \"{name}\": expected a name of a header"))?;
            if OURS.contains(&parsed.as_str()) || parsed.as_str().starts_with("grpc-") {
                return Err(format!("header \"{name}\": expected none that the protocol itself sets"));
            }
            // What is in it is nobody's business, so it is not told.
            let value = HeaderValue::from_str(value.trim());
            let mut value = value.map_err(|_| format!("header \"{name}\": expected a value of plain letters"))?;
            value.set_sensitive(true);
            fixed.append(parsed, value);
        }
        if target.auth.is_some() && fixed.contains_key(AUTHORIZATION) {
            return Err("header \"authorization\": expected either it, or a token or password by a file".to_owned());
        }
        if let Some(Auth::Basic { user, .. }) = &target.auth
            && user.contains(':')
        {
            return Err(format!("user \"{user}\": expected a name without a colon"));
        }
        let file = target.auth.as_ref().map(|auth| match auth {
            Auth::BearerFile(path) | Auth::Basic { password_file: path, .. } => vec![path.into()],
        });
        Ok(Self { fixed, auth: target.auth.clone(), made: Made::of(file.into_iter().collect()) })
    }

    /// The headers as they are now.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) async fn headers(&mut self) -> Result<HeaderMap, String> {
        let mut headers = self.fixed.clone();
        let auth = &self.auth;
        let (value, _) = self.made.get(|texts| authorization(auth.as_ref(), texts)).await?;
        if let Some(value) = value {
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }
}

fn authorization(auth: Option<&Auth>, texts: &[Text]) -> Result<Option<HeaderValue>, String> {
    let (Some(auth), Some(text)) = (auth, texts.first()) else { return Ok(None) };
    // Editors end a file with a new line.
    let secret = text.bytes.trim_ascii();
    if secret.is_empty() {
        return Err(format!("{}: expected a token or a password", text.name));
    }
    let value = match auth {
        Auth::BearerFile(_) => [b"Bearer ", secret].concat(),
        Auth::Basic { user, .. } => basic(user.as_bytes(), secret).into_bytes(),
    };
    let mut value =
        HeaderValue::from_bytes(&value).map_err(|_| format!("{}: expected a token of one line", text.name))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The value of a header for a name and a password.
pub(super) fn basic(user: &[u8], password: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode([user, b":", password].concat()))
}
