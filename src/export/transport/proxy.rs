//! Proxies: which one is asked, by the rules of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` as Go's programs have them, and
//! how it is asked for a tunnel.

use super::credentials::basic;
use super::target::{Place, ProxyRule, split, without_password};
use super::words::{line, unescape};
use hyper::header::HeaderValue;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a proxy's answer may be.
const HEAD_MAX: usize = 16 << 10;

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy for a receiver, if there is one.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) fn choose(rule: &ProxyRule, place: &Place) -> Result<Option<Self>, String> {
        let url = if place.is_secure { &rule.https } else { &rule.http };
        if url.trim().is_empty() || is_exempt(place, &rule.none_for) {
            return Ok(None);
        }
        Self::parse(url.trim()).map(Some)
    }

    /// `http://user:password@host:port`, or without what comes before the host.
    fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("proxy \"{}\": expected http://[USER:PASSWORD@]HOST:PORT", without_password(url));
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(wrong()),
            None => url,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        if authority.contains(['/', '?', '#', ' ']) {
            return Err(wrong());
        }
        let (host, port) = split(authority).ok_or_else(wrong)?;
        let authorization = user.map(|user| {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            HeaderValue::from_str(&basic(&unescape(user), &unescape(password)))
        });
        let mut authorization = authorization.transpose().map_err(|_| wrong())?;
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(Self { host: host.to_owned(), port: port.unwrap_or(80), authorization })
    }

    /// Asks for a tunnel to the receiver; what comes behind the answer is the receiver's.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) async fn tunnel<S>(&self, stream: &mut S, place: &Place) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let to = place.with_port();
        let mut head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
        if let Some(value) = &self.authorization {
            head.extend_from_slice(b"Proxy-Authorization: ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let failed = |why: &str| format!("proxy {}:{}: {why}", self.host, self.port);
        stream.write_all(&head).await.map_err(|error| failed(&error.to_string()))?;
        let mut answer = Vec::new();
        // Byte by byte: what comes behind must stay where it is.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == HEAD_MAX {
                return Err(failed("an answer that is too long"));
            }
            answer.push(stream.read_u8().await.map_err(|error| failed(&error.to_string()))?);
        }
        let said = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let said = line(&String::from_utf8_lossy(said));
        match said.split(' ').nth(1).filter(|_| said.starts_with("HTTP/1.")) {
            Some(status) if status.starts_with('2') => Ok(()),
            Some("407") if self.authorization.is_none() => Err(failed("it wants a user and a password")),
            Some(_) => Err(failed(&format!("no tunnel to {to}: {said}"))),
            None => Err(failed("expected HTTP")),
        }
    }
}

/// Whether a receiver is reached without a proxy. This machine always is.
fn is_exempt(place: &Place, none_for: &str) -> bool {
    let host = place.host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback()) {
        return true;
    }
    none_for.split(',').any(|word| is_of(&host, address, place.port, &word.trim().to_ascii_lowercase()))
}

/// Whether a host is one of those that a word stands for: `*`, an address, `10.0.0.0/8`, `a.b` with all below it, `.a.b`
/// for those below it only; the words for one host may have a port behind.
fn is_of(host: &str, address: Option<IpAddr>, port: u16, word: &str) -> bool {
    if word == "*" {
        return true;
    }
    if let Some((network, bits)) = word.split_once('/') {
        let parts = network.parse().ok().zip(bits.parse().ok());
        return parts.zip(address).is_some_and(|((network, bits), address)| is_within(address, network, bits));
    }
    let (name, wanted) = match word.parse::<IpAddr>() {
        Ok(_) => (word, None),
        Err(_) => match split(word) {
            Some(parts) => parts,
            None => return false,
        },
    };
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let Ok(exempt) = name.parse::<IpAddr>() {
        return address.is_some_and(|address| address.to_canonical() == exempt.to_canonical());
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let within = |address: u128, network: u128, width: u32| {
        bits <= width && (bits == 0 || (address ^ network) >> (width - bits) == 0)
    };
    match (address.to_canonical(), network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => within(address.to_bits().into(), network.to_bits().into(), 32),
        (IpAddr::V6(address), IpAddr::V6(network)) => within(address.to_bits(), network.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::Protocol;
    use super::*;

    fn place(url: &str) -> Place {
        Place::parse(url, Protocol::HttpProtobuf).unwrap()
    }

    #[test]
    fn hosts_are_exempt_as_in_programs_in_go() {
        let exempt = |url: &str, none_for: &str| is_exempt(&place(url), none_for);
        for (url, words) in [
            ("http://a.example", "*"),
            ("http://a.example", "x, A.example"),
            ("http://b.a.example", "a.example"),
            ("http://b.a.example", ".a.example"),
            ("http://b.a.example", "*.a.example"),
            ("http://a.example:4318", "a.example:4318"),
            ("http://10.1.2.3", "10.0.0.0/8"),
            ("http://10.1.2.3", "10.1.2.3"),
            ("http://10.1.2.3:80", "10.1.2.3:80"),
            ("http://[2001:db8::1]", "2001:db8::/32"),
            ("http://[2001:db8::1]", "2001:db8::1"),
            ("http://[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("http://10.1.2.3", "0.0.0.0/0"),
            ("http://localhost:4318", ""),
            ("http://127.1.2.3:4318", ""),
            ("http://[::1]:4318", ""),
        ] {
            assert!(exempt(url, words), "{url} {words}");
        }
        for (url, words) in [
            ("http://a.example", ""),
            ("http://a.example", ".a.example"),
            ("http://ba.example", "a.example"),
            ("http://a.example:4318", "a.example:80"),
            ("http://11.1.2.3", "10.0.0.0/8"),
            ("http://10.1.2.3", "10.0.0.0/33"),
            ("http://10.1.2.3", "::/0"),
            ("http://a.example", "10.0.0.0/8,/,:,[,example.a"),
        ] {
            assert!(!exempt(url, words), "{url} {words}");
        }
    }

    #[test]
    fn the_proxy_is_that_of_the_scheme() {
        let rule =
            ProxyRule { http: "p:3128".to_owned(), https: "http://u:p%40ss@[::1]".to_owned(), ..Default::default() };
        let of = |url: &str| Proxy::choose(&rule, &place(url)).unwrap().unwrap();
        assert_eq!(of("http://a.example"), Proxy { host: "p".to_owned(), port: 3128, authorization: None });
        let secure = of("https://a.example");
        assert_eq!((&*secure.host, secure.port), ("::1", 80));
        assert_eq!(secure.authorization.unwrap(), basic(b"u", b"p@ss"));
        assert_eq!(Proxy::choose(&ProxyRule::default(), &place("http://a")), Ok(None));
    }

    #[test]
    fn what_is_no_proxy_is_told_without_its_password() {
        for url in ["socks5://a:1", "https://a:1", "http://", "http://a:b", "http://me:secret@a/x"] {
            let said = Proxy::parse(url).unwrap_err();
            assert!(said.contains("expected http://[USER") && !said.contains("secret"), "{said}");
        }
    }
}
