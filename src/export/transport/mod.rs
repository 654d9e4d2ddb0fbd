//! How requests reach a receiver: OTLP/HTTP and OTLP/gRPC, over one connection that is kept.
//!
//! One deadline holds for all of a request: files, names, proxy, TLS, the request, the answer. What others say is bounded
//! before it is read, and made fit for a line of a log.

mod answer;
mod connect;
mod credentials;
mod files;
mod grpc;
mod http;
mod names;
mod proxy;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod words;

pub(crate) use answer::Outcome;
pub(crate) use target::{Auth, Protocol, ProxyRule, Target, TlsFiles, metrics_url};

use crate::encode::Gzip;
use connect::{Stage, Way};
use credentials::Credentials;
use grpc::Grpc;
use http::{Http, Lost, Whole};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, TE, USER_AGENT,
};
use hyper::http::Request;
use hyper::http::request::Builder;
use names::Names;
use proxy::Proxy;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use target::Place;
use tls::Secrets;
use tokio::time::{Instant, timeout_at};

const AGENT: &str = concat!("wholenode/", env!("CARGO_PKG_VERSION"));

/// The way to a receiver.
pub(crate) struct Transport {
    target: Target,
    place: Place,
    proxy: Option<Proxy>,
    names: Names,
    credentials: Credentials,
    secrets: Option<Secrets>,
    gzip: Option<Gzip>,
    connection: Option<Connection>,
    bytes: u64,
}

enum Connection {
    Http(Http),
    Grpc(Grpc),
}

impl Transport {
    /// Nothing is read or connected to yet.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(crate) fn new(target: Target) -> Result<Self, String> {
        let place = Place::parse(&target.url, target.protocol)?;
        let proxy = Proxy::choose(&target.proxy, &place)?;
        let credentials = Credentials::new(&target)?;
        let alpn: &[u8] = match target.protocol {
            Protocol::HttpProtobuf => b"http/1.1",
            Protocol::Grpc => b"h2",
        };
        let secrets = place.is_secure.then(|| Secrets::new(&target.tls, &place.host, alpn)).transpose()?;
        let gzip = target.gzip.then(Gzip::default);
        let names = Names::default();
        Ok(Self { target, place, proxy, names, credentials, secrets, gzip, connection: None, bytes: 0 })
    }

    /// How many bytes of requests it has sent, as they were sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Forgets what it knew of the receiver.
    pub(crate) fn renew(&mut self) {
        if let Ok(fresh) = Self::new(self.target.clone()) {
            *self = Self { bytes: self.bytes, ..fresh };
        }
    }

    /// Sends a request of so many points, which is protobuf and not compressed.
    pub(crate) async fn send(&mut self, request: &[u8], points: u32) -> Outcome {
        let now = Instant::now();
        // Longer than clocks go is a day.
        let deadline = now.checked_add(self.target.timeout).unwrap_or(now + Duration::from_secs(86_400));
        let mut stage = "while files were read";
        let attempt = self.attempt(request, deadline, &mut stage);
        match timeout_at(deadline, attempt).await {
            Ok(Ok(Outcome::Taken { rejected, message })) => {
                Outcome::Taken { rejected: rejected.min(points.into()), message }
            }
            Ok(Ok(outcome)) => outcome,
            Ok(Err(why)) => Outcome::later(why),
            Err(_) => Outcome::later(format!("no answer within {} s: {stage}", self.target.timeout.as_secs_f64())),
        }
    }

    /// One attempt, and a second one if the connection that was kept has ended meanwhile. What it leaves off while it is
    /// under way is lost: only a connection that is in good order is put back.
    async fn attempt(&mut self, request: &[u8], deadline: Instant, stage: &mut Stage) -> Result<Outcome, String> {
        let headers = self.credentials.headers().await?;
        let config = match &mut self.secrets {
            Some(secrets) => {
                let (config, is_new) = secrets.config().await?;
                if is_new {
                    self.connection = None;
                }
                Some(config)
            }
            None => None,
        };
        let body = self.body(request);
        self.bytes += body.len() as u64;
        if let Some(mut kept) = self.connection.take().filter(Connection::is_open) {
            *stage = "while the answer was awaited";
            if let Ok(outcome) = self.ask(&mut kept, &headers, &body, deadline).await? {
                self.keep(kept);
                return Ok(outcome);
            }
        }
        let mut fresh = self.open(config, stage).await?;
        *stage = "while the answer was awaited";
        match self.ask(&mut fresh, &headers, &body, deadline).await? {
            Ok(outcome) => {
                self.keep(fresh);
                Ok(outcome)
            }
            Err(Lost(why)) => Err(format!("the connection ended before there was an answer: {why}")),
        }
    }

    /// What is sent of a request. A compressor takes a few milliseconds for the longest one.
    fn body(&mut self, request: &[u8]) -> Bytes {
        let mut body = Vec::with_capacity(request.len() / if self.gzip.is_some() { 4 } else { 1 } + 64);
        let is_grpc = self.target.protocol == Protocol::Grpc;
        if is_grpc {
            body.extend_from_slice(&[self.gzip.is_some().into(), 0, 0, 0, 0]);
        }
        match &mut self.gzip {
            Some(gzip) => gzip.pack(request, &mut body),
            None => body.extend_from_slice(request),
        }
        if is_grpc {
            let length = u32::try_from(body.len() - grpc::PREFIX).unwrap_or(u32::MAX);
            body[1..grpc::PREFIX].copy_from_slice(&length.to_be_bytes());
        }
        body.into()
    }

    async fn open(&self, config: Option<Arc<ClientConfig>>, stage: &mut Stage) -> Result<Connection, String> {
        let way = Way {
            names: &self.names,
            place: &self.place,
            proxy: self.proxy.as_ref(),
            is_forwarded: self.is_forwarded(),
            tls: self.secrets.as_ref().zip(config),
        };
        let stream = way.open(stage).await?;
        Ok(match self.target.protocol {
            Protocol::HttpProtobuf => Connection::Http(Http::open(stream).await?),
            Protocol::Grpc => Connection::Grpc(Grpc::open(stream).await?),
        })
    }

    /// Whether a proxy gets the requests themselves: HTTP in the clear. All else goes through a tunnel.
    fn is_forwarded(&self) -> bool {
        self.proxy.is_some() && !self.place.is_secure && self.target.protocol == Protocol::HttpProtobuf
    }

    fn keep(&mut self, connection: Connection) {
        self.connection = Some(connection).filter(Connection::is_open);
    }

    /// Asks over a connection. The inner error: it ended before an answer began.
    async fn ask(
        &self,
        connection: &mut Connection,
        headers: &HeaderMap,
        body: &Bytes,
        deadline: Instant,
    ) -> Result<Result<Outcome, Lost>, String> {
        let built = |error: hyper::http::Error| format!("no request can be made: {error}");
        match connection {
            Connection::Http(http) => {
                let request = self.head(headers).body(Whole(body.clone())).map_err(built)?;
                let answer = http.post(request).await;
                Ok(answer.map(|answer| match (answer.outcome(SystemTime::now()), answer.status) {
                    // Somebody answers there, at other paths.
                    (Outcome::Refused { why }, 404 | 405) => {
                        Outcome::Refused { why: format!("{why}; asked for was {}", self.place.path) }
                    }
                    (outcome, _) => outcome,
                }))
            }
            Connection::Grpc(grpc) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let request = self.call(headers).header("grpc-timeout", grpc::timeout(left)).body(()).map_err(built)?;
                Ok(grpc.call(request, body.clone()).await)
            }
        }
    }

    /// The head of a request of OTLP/HTTP.
    fn head(&self, headers: &HeaderMap) -> Builder {
        let mut builder = match self.is_forwarded() {
            true => Request::post(format!("http://{}{}", self.place.authority(), self.place.path)),
            false => Request::post(self.place.path.as_str()),
        };
        if let Some(into) = builder.headers_mut() {
            if let Ok(host) = HeaderValue::from_str(&self.place.authority()) {
                into.insert(HOST, host);
            }
            into.insert(USER_AGENT, HeaderValue::from_static(AGENT));
            into.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
            if self.gzip.is_some() {
                into.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            let proxy = self.proxy.as_ref().filter(|_| self.is_forwarded());
            if let Some(value) = proxy.and_then(|proxy| proxy.authorization.clone()) {
                into.insert(PROXY_AUTHORIZATION, value);
            }
            into.extend(headers.clone());
        }
        builder
    }

    /// The head of a call of OTLP/gRPC.
    fn call(&self, headers: &HeaderMap) -> Builder {
        let uri =
            Uri::builder().scheme(self.place.scheme()).authority(self.place.authority()).path_and_query(grpc::METHOD);
        let mut builder = Request::post(uri.build().unwrap_or_default());
        if let Some(into) = builder.headers_mut() {
            into.insert(USER_AGENT, HeaderValue::from_static(AGENT));
            into.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            into.insert(TE, HeaderValue::from_static("trailers"));
            if self.gzip.is_some() {
                into.insert("grpc-encoding", HeaderValue::from_static("gzip"));
            }
            into.extend(headers.clone());
        }
        builder
    }
}

impl Connection {
    fn is_open(&self) -> bool {
        match self {
            Connection::Http(http) => http.is_open(),
            Connection::Grpc(grpc) => grpc.is_open(),
        }
    }
}
