//! Where the server listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// An address to listen on, as node_exporter's flag takes it, or a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Every address of the machine, IPv6 and IPv4.
    Any(u16),
    /// One address.
    Address(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    /// `:9100`, `localhost:9100`, `10.0.0.1:9100`, `[10.0.0.1]:9100`, `[::]:9100`, `unix:/run/wholenode.sock`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "\"{text}\": expected :PORT, localhost:PORT, ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH, for example :9100"
            )
        };
        if let Some(path) = text.strip_prefix("unix:").or(text.starts_with('/').then_some(text)) {
            let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
            return if path.starts_with('/') { Ok(Listen::Unix(PathBuf::from(path))) } else { Err(expected()) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let port: u16 = port.parse().map_err(|_| expected())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let address = match bare.unwrap_or(host) {
            "" if bare.is_none() => return Ok(Listen::Any(port)),
            "localhost" if bare.is_none() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            // Without brackets, an IPv6 address and its port can't be told apart.
            host if bare.is_some() || !host.contains(':') => host.parse().map_err(|_| expected())?,
            _ => return Err(expected()),
        };
        Ok(Listen::Address(SocketAddr::new(address, port)))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Any(port) => write!(f, ":{port}"),
            Listen::Address(address) => write!(f, "{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_node_exporter_is_taken() {
        let listen = |text: &str| text.parse::<Listen>();
        let address = |text: &str| Ok(Listen::Address(text.parse().unwrap()));
        assert_eq!(listen(":9100"), Ok(Listen::Any(9100)));
        assert_eq!(listen("localhost:9100"), address("127.0.0.1:9100"));
        assert_eq!(listen("10.0.0.1:9100"), address("10.0.0.1:9100"));
        assert_eq!(listen("[10.0.0.1]:9100"), address("10.0.0.1:9100"));
        assert_eq!(listen("[::]:9100"), address("[::]:9100"));
        assert_eq!(listen("[::1]:0"), address("[::1]:0"));
        assert_eq!(listen("unix:/run/w.sock"), Ok(Listen::Unix("/run/w.sock".into())));
        assert_eq!(listen("unix:///run/w.sock"), Ok(Listen::Unix("/run/w.sock".into())));
        assert_eq!(listen("/run/w.sock"), Ok(Listen::Unix("/run/w.sock".into())));
    }

    #[test]
    fn anything_else_is_told() {
        for bad in [
            "",
            "9100",
            ":",
            ":99999",
            "::1:9100",
            "[]:9100",
            "example.org:9100",
            "vsock://:9100",
            "unix:w",
            "[localhost]:1",
        ] {
            let error = bad.parse::<Listen>().unwrap_err();
            assert!(error.contains(bad) && error.contains("expected"), "{error}");
        }
    }
}
