//! What was said about pushing → where to push, how, and as whom.

mod named;
mod pairs;
mod rows;
mod variables;

pub(super) use named::tabled;
pub(super) use rows::rows;
pub(super) use variables::{Environment, is_ours, read, rows as variables};

use super::Error;
use super::checked::{error, options};
use super::keys::{Layer, Source};
use crate::export::endpoint::{
    Auth, Endpoint, Export, Identity, Protocol, ProxyRule, SpoolSettings, Target, TlsFiles, check, metrics_url,
};
use collectors::kit::Options;
use rows::{ENDPOINT, PREFIX, SHARED};
use std::time::Duration;

/// How much waits at most, if nothing is said: on disk, and in memory.
const ON_DISK: u64 = 64 << 20;
const IN_MEMORY: u64 = 8 << 20;
/// No receiver is asked more often.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Everything about pushing; no endpoints if nothing is to be pushed.
pub(super) fn export(given: &Layer, environment: &Environment, rootfs: &str) -> Result<Export, Error> {
    let shared = options(PREFIX, SHARED, given)?;
    let of = |key: &str| given.contains_key(&format!("{PREFIX}{key}"));
    let own = |key: &str| shared.text(key).filter(|text| of(key) && !text.is_empty()).map(str::to_owned);
    let identity = Identity {
        service: own("service-name"),
        instance: own("instance-id"),
        cluster: own("cluster-name"),
        node: environment.node.clone(),
        attributes: all_pairs(given, PREFIX, &shared, "resource-attributes")?,
    };
    let mut endpoints = Vec::new();
    for name in std::iter::once(named::FIRST).chain(named::named(given)) {
        let prefix = named::prefix(name);
        let said = Said { given, options: options(&prefix, ENDPOINT, given)?, prefix };
        endpoints.extend(said.endpoint(name, environment, rootfs)?);
    }
    if environment.disabled.is_some() {
        endpoints.clear();
    }
    let clock_wait = shared.span("clock-wait").unwrap_or_default();
    Ok(Export { endpoints, identity, clock_wait })
}

/// What is worth a warning.
pub(super) fn warnings(environment: &Environment, given: &Layer) -> Vec<String> {
    let is_wanted = given.contains_key("otlp.endpoint") || named::named(given).iter().next().is_some();
    let mut told = if is_wanted { environment.warnings.clone() } else { Vec::new() };
    if let Some(variable) = environment.disabled.filter(|_| is_wanted) {
        told.push(format!("{variable} is set: nothing is pushed"));
    }
    told
}

fn all_pairs(given: &Layer, prefix: &str, options: &Options, name: &str) -> Result<Vec<(String, String)>, Error> {
    let one = |word: &String| {
        // Not what was given: it may be a secret.
        pairs::pair(word).ok_or_else(|| error(given, &format!("{prefix}{name}"), "expected NAME=VALUE"))
    };
    options.list(name).iter().map(one).collect()
}

/// What was said of one endpoint.
struct Said<'a> {
    given: &'a Layer,
    options: Options,
    prefix: String,
}

impl Said<'_> {
    fn endpoint(&self, name: &str, environment: &Environment, rootfs: &str) -> Result<Option<Endpoint>, Error> {
        let protocol = match self.options.text("protocol") {
            Some("http/protobuf") => Protocol::HttpProtobuf,
            Some("grpc") => Protocol::Grpc,
            _ => return Err(self.fail("protocol", "http/protobuf or grpc")),
        };
        let gzip = match self.options.text("compression") {
            Some("gzip") => true,
            Some("none") => false,
            _ => return Err(self.fail("compression", "gzip or none")),
        };
        let interval = self.span("interval", INTERVAL_MIN, "1s or more")?;
        let timeout = self.span("timeout", Duration::from_millis(1), "more than nothing")?;
        let spool = self.spool(name)?;
        let (auth, tls) = (self.auth()?, self.tls(rootfs)?);
        let proxy = self.proxy(environment)?;
        let headers = all_pairs(self.given, &self.prefix, &self.options, "headers")?;
        let Some(url) = self.url(protocol) else {
            // Flags may come from a place that knows no endpoint; an endpoint in the file that has none is a mistake.
            if name == named::FIRST {
                return Ok(None);
            }
            let first = self.given.keys().find(|key| key.starts_with(&self.prefix)).cloned().unwrap_or_default();
            let what = format!("{}endpoint is missing", self.prefix);
            return Err(error(self.given, &first, &what));
        };
        let target = Target { url, protocol, gzip, timeout, headers, tls, auth, proxy };
        check(&target).map_err(|why| error(self.given, &self.key("endpoint"), &why))?;
        Ok(Some(Endpoint {
            name: name.to_owned(),
            target,
            interval,
            families: self.options.filter("metrics-include", "metrics-exclude"),
            per_container: self.options.flag("resource-per-container"),
            replay_first: self.options.flag("replay-first"),
            spool,
        }))
    }

    /// Where to push. Of what has no path, the path is the convention's; what the variable of metrics says is all of it.
    fn url(&self, protocol: Protocol) -> Option<String> {
        let text = self.text("endpoint")?;
        let from = self.given.get(&self.key("endpoint")).map(|given| &given.from);
        let is_from = |name: &str| matches!(from, Some(Source::Variable(variable)) if variable == name);
        Some(match protocol {
            Protocol::Grpc if text.contains("://") => text,
            Protocol::Grpc if self.options.flag("insecure") => format!("http://{text}"),
            Protocol::Grpc => format!("https://{text}"),
            Protocol::HttpProtobuf if is_from(variables::ADDRESS) => text,
            Protocol::HttpProtobuf if is_from(variables::BASE) || !has_path(&text) => metrics_url(&text),
            Protocol::HttpProtobuf => text,
        })
    }

    fn spool(&self, name: &str) -> Result<SpoolSettings, Error> {
        let directory = self.text("spool.directory").map(|folder| format!("{}/{name}", folder.trim_end_matches('/')));
        let most = if directory.is_some() { ON_DISK } else { IN_MEMORY };
        let max_bytes = self.options.size("spool.max-bytes").unwrap_or(most);
        let max_age = self.span("spool.max-age", Duration::from_secs(1), "1s or more")?;
        Ok(SpoolSettings { directory, max_bytes, max_age })
    }

    fn auth(&self) -> Result<Option<Auth>, Error> {
        let (token, user) = (self.text("bearer-token-file"), self.text("basic-user"));
        match (token, user, self.text("basic-password-file")) {
            (None, None, None) => Ok(None),
            (Some(file), None, None) => Ok(Some(Auth::BearerFile(file))),
            (None, Some(user), Some(password_file)) => Ok(Some(Auth::Basic { user, password_file })),
            (Some(_), ..) => Err(self.wrong("bearer-token-file", "expected either this or basic-user, not both")),
            (None, Some(_), None) => Err(self.wrong("basic-user", "expected basic-password-file beside it")),
            (None, None, Some(_)) => Err(self.wrong("basic-password-file", "expected basic-user beside it")),
        }
    }

    fn tls(&self, rootfs: &str) -> Result<TlsFiles, Error> {
        let (certificate, key) = (self.text("cert-file"), self.text("key-file"));
        if certificate.is_some() != key.is_some() {
            let (has, lacks) =
                if certificate.is_some() { ("cert-file", "key-file") } else { ("key-file", "cert-file") };
            return Err(self.wrong(has, &format!("expected {lacks} beside it")));
        }
        Ok(TlsFiles {
            ca: self.text("ca-file"),
            rootfs: rootfs.to_owned(),
            certificate,
            key,
            server_name: self.text("server-name"),
            insecure_skip_verify: self.options.flag("insecure-skip-verify"),
        })
    }

    fn proxy(&self, environment: &Environment) -> Result<ProxyRule, Error> {
        let variable = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| environment.proxies.iter().find(|(found, _)| found == name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let or = |first: String, second: String| if first.is_empty() { second } else { first };
        let all = variable(["ALL_PROXY", "all_proxy"]);
        Ok(match self.text("proxy").as_deref() {
            Some("none") => ProxyRule::default(),
            Some(proxy) => ProxyRule { http: proxy.to_owned(), https: proxy.to_owned(), none_for: String::new() },
            None => ProxyRule {
                http: or(variable(["http_proxy", "HTTP_PROXY"]), all.clone()),
                https: or(variable(["https_proxy", "HTTPS_PROXY"]), all),
                none_for: variable(["no_proxy", "NO_PROXY"]),
            },
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.options.text(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn span(&self, name: &str, least: Duration, expected: &str) -> Result<Duration, Error> {
        self.options.span(name).filter(|span| *span >= least).ok_or_else(|| self.fail(name, expected))
    }

    fn fail(&self, name: &str, expected: &str) -> Error {
        let word = self.options.text(name).unwrap_or_default();
        self.wrong(name, &format!("\"{word}\": expected {expected}"))
    }

    fn wrong(&self, name: &str, why: &str) -> Error {
        error(self.given, &self.key(name), why)
    }
}

/// Whether an address says more than a host and a port.
fn has_path(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once(['/', '?']).is_some_and(|(_, path)| !path.is_empty())
}

#[cfg(test)]
mod tests;
