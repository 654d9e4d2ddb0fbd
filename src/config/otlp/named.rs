//! Further endpoints, in the file only: `otlp.endpoints.WHICH.NAME` says of one what `otlp.NAME` says of the first.
//!
//! They take nothing from each other, so that no secret of one is sent to another.

use super::super::keys::Layer;
use super::rows::{ENDPOINT, PREFIX};
use std::collections::BTreeSet;

const ENDPOINTS: &str = "otlp.endpoints";
/// The name of the endpoint that flags and variables tell of.
pub(super) const FIRST: &str = "default";
const NAME_MAX: usize = 63;

/// The name in the tables of what is said at `name` in the file: `otlp.interval` for `otlp.endpoints.cloud.interval`, `otlp`
/// for `otlp.endpoints` and `otlp.endpoints.cloud`, and nothing for what can't be said of an endpoint.
///
/// # Errors
/// What is expected of an endpoint's name.
pub(in crate::config) fn tabled(name: &str) -> Result<Option<String>, String> {
    let Some(below) = name.strip_prefix(ENDPOINTS).filter(|below| below.is_empty() || below.starts_with('.')) else {
        return Ok(Some(name.to_owned()));
    };
    let Some(below) = below.strip_prefix('.') else { return Ok(Some("otlp".to_owned())) };
    let (which, rest) = below.split_once('.').unwrap_or((below, ""));
    check(which)?;
    let is_below = |row: &str| row.strip_prefix(rest).is_some_and(|more| more.is_empty() || more.starts_with('.'));
    Ok(match rest {
        "" => Some("otlp".to_owned()),
        rest => ENDPOINT.iter().any(|row| is_below(row.name)).then(|| format!("{PREFIX}{rest}")),
    })
}

fn check(which: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if which == FIRST {
        return Err(format!("expected another name: {FIRST} is the endpoint of otlp.endpoint"));
    }
    if which.is_empty() || which.len() > NAME_MAX || which.starts_with('-') || !which.bytes().all(fits) {
        return Err(format!("\"{which}\": expected a name of lower-case letters, digits, - and _"));
    }
    Ok(())
}

/// The endpoints of which something was said.
pub(super) fn named(given: &Layer) -> BTreeSet<&str> {
    let names = given.keys().filter_map(|key| key.strip_prefix(ENDPOINTS)?.strip_prefix('.')?.split('.').next());
    names.collect()
}

/// What stands before the names of an endpoint's settings.
pub(super) fn prefix(which: &str) -> String {
    if which == FIRST { PREFIX.to_owned() } else { format!("{ENDPOINTS}.{which}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_in_the_file_has_the_settings_of_the_first() {
        let of = |name: &str| tabled(name).unwrap();
        assert_eq!(of("otlp.interval").as_deref(), Some("otlp.interval"));
        assert_eq!(of("otlp.endpoints").as_deref(), Some("otlp"));
        assert_eq!(of("otlp.endpoints.cloud").as_deref(), Some("otlp"));
        assert_eq!(of("otlp.endpoints.cloud.interval").as_deref(), Some("otlp.interval"));
        assert_eq!(of("otlp.endpoints.cloud.spool").as_deref(), Some("otlp.spool"));
        assert_eq!(of("otlp.endpoints.cloud.spool.directory").as_deref(), Some("otlp.spool.directory"));
        assert_eq!((of("otlp.endpoints.cloud.service-name"), of("otlp.endpoints.cloud.endpoints")), (None, None));
        assert_eq!(of("otlp.endpointsx").as_deref(), Some("otlp.endpointsx"));
        for wrong in
            ["otlp.endpoints.default", "otlp.endpoints.Cloud", "otlp.endpoints..endpoint", "otlp.endpoints.a/b"]
        {
            assert!(tabled(wrong).is_err(), "{wrong}");
        }
    }
}
