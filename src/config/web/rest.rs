//! Everything but TLS: HTTP/2, headers, users, rate.

use super::super::Error;
use super::duration;
use super::section::Section;
use super::tree::{Kind, Node};
use crate::serve::web::{Hash, Rate};
use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::collections::BTreeMap;
use std::time::Duration;

/// The headers that may be set, with their values where only some are sound.
const HEADERS: &[(&str, &[&str])] = &[
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

/// Whether HTTP/2 is offered, and the headers of every answer.
pub(super) fn http(path: &str, node: &Node) -> Result<(bool, Vec<(String, String)>), Error> {
    let section = Section::new(path, "http_server_config", node, &["http2", "headers"])?;
    let mut all = Vec::new();
    if let Some(node) = section.get("headers") {
        let names: Vec<&str> = HEADERS.iter().map(|(name, _)| *name).collect();
        let headers = Section::new(path, "http_server_config.headers", node, &names)?;
        for (name, values) in HEADERS {
            let Some(value) = headers.text(name)? else { continue };
            let fail = |what: &str| headers.fail(value.line, name, &format!("\"{}\": expected {what}", value.text));
            if !values.is_empty() && !values.contains(&value.text) {
                return Err(fail(&values.join(" or ")));
            }
            if !value.text.chars().all(|c| matches!(c, ' '..='~')) {
                return Err(fail("one line of ASCII"));
            }
            all.push(((*name).to_owned(), value.text.to_owned()));
        }
    }
    Ok((section.flag("http2", true)?, all))
}

/// The least that bcrypt does, and the most that a server should: some seconds for one password.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// The users and the hashes of their passwords. No error tells a hash.
pub(super) fn users(path: &str, node: &Node) -> Result<BTreeMap<String, Hash>, Error> {
    let section = Section::names(path, "basic_auth_users", node)?;
    let mut users = BTreeMap::new();
    for entry in section.entries() {
        let fail = |why: &str| section.fail(entry.value.line, &entry.key, why);
        if entry.key.contains(':') {
            return Err(fail("expected a name without a colon: nobody could log in with it"));
        }
        let hash = match &entry.value.kind {
            Kind::Text(text) => hash(text),
            _ => None,
        };
        let hash = hash.ok_or_else(|| fail("expected a bcrypt hash such as htpasswd -nBC 10 \"\" prints: $2y$10$…"))?;
        if !COSTS.contains(&hash.cost) {
            let (least, most) = (COSTS.start(), COSTS.end());
            return Err(fail(&format!("cost {}: expected a hash with a cost of {least} to {most}", hash.cost)));
        }
        users.insert(entry.key.clone(), hash);
    }
    Ok(users)
}

/// `$2y$10$` and 53 letters.
fn hash(text: &str) -> Option<Hash> {
    // Without padding, and what is left of the last letter is of no account.
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let letters = GeneralPurpose::new(&BCRYPT, CONFIG);
    let (version, rest) = text.strip_prefix("$2")?.split_once('$')?;
    let (cost, rest) = rest.split_once('$')?;
    let is_known = matches!(version, "" | "a" | "b" | "x" | "y");
    if !is_known || cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) || rest.len() != 53 {
        return None;
    }
    let (salt, digest) = rest.split_at_checked(22)?;
    Some(Hash {
        cost: cost.parse().ok()?,
        salt: letters.decode(salt).ok()?.try_into().ok()?,
        digest: letters.decode(digest).ok()?.try_into().ok()?,
    })
}

/// How often may be asked; none if there is no limit.
pub(super) fn rate(path: &str, node: &Node) -> Result<Option<Rate>, Error> {
    let section = Section::new(path, "rate_limit", node, &["interval", "burst"])?;
    let mut interval = Duration::ZERO;
    if let Some(text) = section.text("interval")? {
        let parsed = duration::parse(text.text);
        let why = || format!("\"{}\": expected a length of time such as 1s, or 0 for no limit", text.text);
        interval = parsed.ok_or_else(|| section.fail(text.line, "interval", &why()))?;
    }
    let mut burst = 0;
    if let Some(text) = section.text("burst")? {
        let why = || format!("\"{}\": expected a whole number", text.text);
        burst = text.text.parse().map_err(|_| section.fail(text.line, "burst", &why()))?;
    }
    if interval.is_zero() {
        return Ok(None);
    }
    if burst == 0 {
        let line = section.get("burst").map_or(node.line, |node| node.line);
        return Err(section.fail(line, "burst", "0: expected at least 1, or every request is refused"));
    }
    Ok(Some(Rate { interval, burst }))
}
