//! Where requests go and how, as plain data, and what of a URL the transports need.

use hyper::Uri;
use hyper::http::uri::Scheme;
use std::fmt;
use std::time::Duration;

/// How requests are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OTLP/HTTP with protobuf.
    HttpProtobuf,
    /// OTLP/gRPC.
    Grpc,
}

/// The files of TLS; each is read again when it has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The authorities that are believed, in PEM. None: those of the system.
    pub(crate) ca: Option<String>,
    /// Where the machine's `/` is, if not here: its authorities are believed where this filesystem has none.
    pub(crate) rootfs: String,
    /// Our own certificate and those above it, in PEM.
    pub(crate) certificate: Option<String>,
    /// Its key.
    pub(crate) key: Option<String>,
    /// The name that the receiver's certificate must have, if it is not that of the URL.
    pub(crate) server_name: Option<String>,
    /// Believe whatever certificate the receiver has.
    pub(crate) insecure_skip_verify: bool,
}

/// Who we are, by a file that is read again when it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `Authorization: Bearer …`; the file holds the token.
    BearerFile(String),
    /// `Authorization: Basic …`; the file holds the password.
    Basic {
        /// The name.
        user: String,
        /// The file.
        password_file: String,
    },
}

/// The proxies, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say it; empty: none.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct ProxyRule {
    /// For receivers whose URL begins with `http:`.
    pub(crate) http: String,
    /// For those whose URL begins with `https:`.
    pub(crate) https: String,
    /// The hosts that are reached without one.
    pub(crate) none_for: String,
}

/// A receiver.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The URL. Over HTTP that of the metrics, to which nothing is added (see [`metrics_url`]); of gRPC without a path.
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    pub(crate) gzip: bool,
    /// For everything from the name of the receiver to the end of its answer.
    pub(crate) timeout: Duration,
    /// Further headers, their values as they are sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) tls: TlsFiles,
    pub(crate) auth: Option<Auth>,
    pub(crate) proxy: ProxyRule,
}

// What is in headers and proxies may be secret, and what is shown ends up in logs.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Target");
        shown.field("url", &without_password(&self.url)).field("protocol", &self.protocol);
        shown.field("auth", &self.auth).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl fmt::Debug for ProxyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ProxyRule");
        shown.field("http", &without_password(&self.http)).field("https", &without_password(&self.https));
        shown.field("none_for", &self.none_for).finish()
    }
}

/// The URL of metrics below an endpoint for all signals: `http://a:4318` has them at `http://a:4318/v1/metrics`.
pub(crate) fn metrics_url(endpoint: &str) -> String {
    let (path, query) = endpoint.split_once('?').map_or((endpoint, None), |(path, query)| (path, Some(query)));
    let path = path.strip_suffix('/').unwrap_or(path);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{path}/v1/metrics{query}")
}

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) is_secure: bool,
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The path, and what is asked of it.
    pub(super) path: String,
}

impl Place {
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) fn parse(url: &str, protocol: Protocol) -> Result<Self, String> {
        let expected = match protocol {
            Protocol::HttpProtobuf => "expected http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH",
            Protocol::Grpc => "expected http://HOST:PORT or https://HOST:PORT",
        };
        let wrong = |what: &str| format!("\"{}\": {what}{expected}", without_password(url));
        // For gRPC, a bare authority is the convention; what says nothing of TLS has it.
        let is_bare = protocol == Protocol::Grpc && !url.contains("://");
        let whole = if is_bare { format!("https://{url}") } else { url.to_owned() };
        let uri: Uri = whole.parse().map_err(|_| wrong(""))?;
        let is_secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong("")),
        };
        let authority = uri.authority().ok_or_else(|| wrong(""))?.as_str();
        if authority.contains('@') {
            return Err(wrong("a user in the URL would be seen in logs; give the password by a file; "));
        }
        if whole.contains('#') {
            return Err(wrong("no # can be sent; "));
        }
        let (host, port) = split(authority).ok_or_else(|| wrong(""))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if protocol == Protocol::Grpc && path != "/" {
            return Err(wrong("gRPC has no path; "));
        }
        let port = port.unwrap_or(if is_secure { 443 } else { 80 });
        Ok(Self { is_secure, host: host.to_owned(), port, path: path.to_owned() })
    }

    /// `host:port` as it stands in URLs, without the port that everybody knows.
    pub(super) fn authority(&self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        if self.port == usual { bracketed(&self.host) } else { self.with_port() }
    }

    /// `host:port`.
    pub(super) fn with_port(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }
}

/// `host:port`, `[address]:port`; both may lack the port.
pub(super) fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            match port {
                "" => (address, None),
                port => (address, Some(port.strip_prefix(':')?)),
            }
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    (!host.is_empty()).then_some((host, port))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A URL that may be shown.
pub(super) fn without_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at_checked(start).unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Result<Place, String> {
        Place::parse(url, Protocol::HttpProtobuf)
    }

    #[test]
    fn a_url_is_taken_apart_and_together() {
        let place = http("https://a.example/x/v1/metrics?y=z").unwrap();
        assert_eq!(
            (place.is_secure, &*place.host, place.port, &*place.path),
            (true, "a.example", 443, "/x/v1/metrics?y=z")
        );
        assert_eq!((place.authority(), place.with_port()), ("a.example".to_owned(), "a.example:443".to_owned()));
        let place = http("HTTP://[::1]:4318").unwrap();
        assert_eq!((place.is_secure, &*place.host, place.port, &*place.path), (false, "::1", 4318, "/"));
        assert_eq!(place.authority(), "[::1]:4318");
        let place = Place::parse("a:4317", Protocol::Grpc).unwrap();
        assert_eq!((place.is_secure, &*place.host, place.port), (true, "a", 4317));
        assert!(!Place::parse("http://a:4317", Protocol::Grpc).unwrap().is_secure);
    }

    #[test]
    fn what_is_no_url_is_told_in_one_line_without_its_password() {
        for url in
            ["", "a:4318", "ftp://a", "http://", "http://a:0", "http://a:b", "http://[a]", "http://a b", "http://a/#x"]
        {
            let said = http(url).unwrap_err();
            assert!(said.contains("expected http://HOST") && !said.contains('\n'), "{url}: {said}");
        }
        let said = http("http://me:secret@a/v1/metrics").unwrap_err();
        assert!(said.contains("…@a/v1/metrics") && !said.contains("secret"), "{said}");
        assert!(Place::parse("http://a/b", Protocol::Grpc).unwrap_err().contains("gRPC has no path"));
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let proxy = ProxyRule {
            http: "http://me:secret@p:1".to_owned(),
            https: "me:secret@p".to_owned(),
            ..Default::default()
        };
        let target = Target {
            url: "http://a/".to_owned(),
            protocol: Protocol::Grpc,
            gzip: true,
            timeout: Duration::ZERO,
            headers: vec![("authorization".to_owned(), "secret".to_owned())],
            tls: TlsFiles::default(),
            auth: None,
            proxy: proxy.clone(),
        };
        let shown = format!("{target:?} {proxy:?}");
        assert!(shown.contains("http://a/") && shown.contains("…@p:1") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn metrics_are_below_the_endpoint() {
        for (endpoint, url) in [
            ("http://a:4318", "http://a:4318/v1/metrics"),
            ("http://a:4318/", "http://a:4318/v1/metrics"),
            ("https://a/otlp", "https://a/otlp/v1/metrics"),
            ("https://a/otlp/?k=v", "https://a/otlp/v1/metrics?k=v"),
        ] {
            assert_eq!(metrics_url(endpoint), url);
        }
    }
}
