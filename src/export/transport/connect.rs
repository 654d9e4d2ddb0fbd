//! A connection to the receiver: by itself or through a proxy, in the clear or secret.

use super::names::Names;
use super::proxy::Proxy;
use super::target::Place;
use super::tls::Secrets;
use super::words::line;
use rustix::net::sockopt;
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long an address may keep those behind it waiting.
const STAGGER: Duration = Duration::from_millis(300);
/// After how long without a word the other side is asked whether it is there, how often, and how many times.
const IDLE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;
/// How long something may be on its way before a connection is given up.
const UNACKNOWLEDGED_MS: u32 = 30_000;

/// Bytes to and from the other side.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}
pub(super) type Stream = Box<dyn Duplex>;

/// How far a request has come, for who wants to know why there is no answer.
pub(super) type Stage = &'static str;

/// What a connection is made of.
pub(super) struct Way<'a> {
    pub(super) names: &'a Names,
    pub(super) place: &'a Place,
    pub(super) proxy: Option<&'a Proxy>,
    /// The proxy forwards each request, and makes no tunnel.
    pub(super) is_forwarded: bool,
    pub(super) tls: Option<(&'a Secrets, Arc<ClientConfig>)>,
}

impl Way<'_> {
    /// Opens a connection.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) async fn open(self, stage: &mut Stage) -> Result<Stream, String> {
        let (host, port) = match self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.place.host, self.place.port),
        };
        *stage = "while its name was looked up";
        let addresses = self.names.addresses(host).await?;
        let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        *stage = "while it was connected to";
        let mut stream = connect(&addresses).await.map_err(|why| format!("no connection to {host}: {why}"))?;
        if let Some(proxy) = self.proxy.filter(|_| !self.is_forwarded) {
            *stage = "while the proxy was asked for a tunnel";
            proxy.tunnel(&mut stream, self.place).await?;
        }
        let Some((secrets, config)) = self.tls else { return Ok(Box::new(stream)) };
        *stage = "during the handshake of TLS";
        Ok(Box::new(secrets.wrap(config, stream).await?))
    }
}

/// Connects to the first address that answers. The next one is tried when one has failed, or takes long.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut attempts = JoinSet::new();
    let mut rest = addresses.iter().copied();
    let mut why = "no address".to_owned();
    loop {
        let next = rest.next();
        let ended = match next {
            Some(address) => {
                attempts.spawn(tcp(address));
                timeout(STAGGER, attempts.join_next()).await.ok().flatten()
            }
            None if attempts.is_empty() => return Err(why),
            None => attempts.join_next().await,
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(failure))) => why = failure,
            // None has ended yet; none panics.
            Some(Err(_)) | None => {}
        }
    }
}

async fn tcp(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| format!("{address}: {}", line(&error.to_string())))?;
    // Without them it works too, only a connection that died is noticed late.
    let _ = sockopt::set_tcp_nodelay(&stream, true);
    let _ = sockopt::set_socket_keepalive(&stream, true);
    let _ = sockopt::set_tcp_keepidle(&stream, IDLE);
    let _ = sockopt::set_tcp_keepintvl(&stream, INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(&stream, PROBES);
    let _ = sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MS);
    Ok(stream)
}
