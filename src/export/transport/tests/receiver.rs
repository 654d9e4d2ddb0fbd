//! A receiver of OTLP/HTTP, made of hyper's server, and one that follows a script.

use crate::export::transport::http::Whole;
use flate2::read::GzDecoder;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Clone)]
pub(super) struct Got {
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    /// What it says, once it is decompressed.
    pub(super) request: ExportMetricsServiceRequest,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What is known of the receiver while it runs; it ends with it.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) got: Arc<Mutex<Vec<Got>>>,
    pub(super) connections: Arc<AtomicUsize>,
    running: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Receiver {
    pub(super) fn url(&self) -> String {
        format!("http://{}/v1/metrics", self.address)
    }

    pub(super) fn last(&self) -> Got {
        self.got.lock().unwrap().last().unwrap().clone()
    }

    pub(super) fn requests(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

pub(super) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

type Answer = Response<Whole>;

pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Whole(Bytes::copy_from_slice(body))).unwrap()
}

/// A receiver that says this to everything.
pub(super) async fn saying(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Receiver {
    let said = answer(status, headers, body);
    let (head, body) = said.into_parts();
    start(listener().await, None, move |_| Response::from_parts(head.clone(), Whole(body.0.clone()))).await
}

/// A receiver with TLS that takes everything.
pub(super) async fn secure(config: Arc<ServerConfig>) -> Receiver {
    start(listener().await, Some(config), |_| answer(200, &[], b"")).await
}

pub(super) async fn start(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    say: impl Fn(&Got) -> Answer + Send + Sync + 'static,
) -> Receiver {
    let address = listener.local_addr().unwrap();
    let (got, connections): (Arc<Mutex<Vec<Got>>>, Arc<AtomicUsize>) = Default::default();
    let (into, counted, say) = (Arc::clone(&got), Arc::clone(&connections), Arc::new(say));
    let running = tokio::spawn(async move {
        let mut all = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, SeqCst);
            let (into, say, tls) = (Arc::clone(&into), Arc::clone(&say), tls.clone());
            all.spawn(async move {
                let serve = service_fn(move |request| {
                    let (into, say) = (Arc::clone(&into), Arc::clone(&say));
                    async move {
                        let got = read(request).await;
                        let said = say(&got);
                        into.lock().unwrap().push(got);
                        Ok::<_, Infallible>(said)
                    }
                });
                let builder = Builder::new();
                match tls {
                    None => drop(builder.serve_connection(TokioIo::new(stream), serve).await),
                    Some(config) => {
                        if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                            drop(builder.serve_connection(TokioIo::new(stream), serve).await);
                        }
                    }
                }
            });
        }
    });
    Receiver { address, got, connections, running }
}

async fn read(request: Request<Incoming>) -> Got {
    let (head, body) = request.into_parts();
    let mut bytes = Vec::new();
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|value| value == "gzip") {
        let packed = std::mem::take(&mut bytes);
        GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    }
    let request = ExportMetricsServiceRequest::decode(&bytes[..]).unwrap();
    Got { target: head.uri.to_string(), headers: head.headers, request }
}

/// What a script does once a connection has brought something.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The connection ends.
    Close,
    /// Nothing more happens.
    Wait,
    /// The same again and again.
    Repeat,
}

/// A server that reads a little, writes this and then ends; how often it was connected to.
pub(super) async fn script(say: &'static [u8], end: End) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, SeqCst);
            tokio::spawn(play(stream, say, end));
        }
    });
    (address, connections)
}

async fn play(mut stream: TcpStream, say: &'static [u8], end: End) {
    let _ = stream.read(&mut [0; 1 << 16]).await;
    let _ = stream.write_all(say).await;
    match end {
        End::Close => {}
        End::Wait => std::future::pending().await,
        End::Repeat => while stream.write_all(say).await.is_ok() {},
    }
}

/// What stands between a client and a receiver, and can cut all connections.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
    open: Arc<Mutex<JoinSet<()>>>,
}

impl Relay {
    pub(super) async fn to(receiver: SocketAddr) -> Self {
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let (connections, open): (Arc<AtomicUsize>, Arc<Mutex<JoinSet<()>>>) = Default::default();
        let (counted, all) = (Arc::clone(&connections), Arc::clone(&open));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                all.lock().unwrap().spawn(async move {
                    let mut server = TcpStream::connect(receiver).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Relay { address, connections, open }
    }

    /// Ends all connections, and waits until they are closed; the client has not heard of it then.
    pub(super) async fn cut(&self) {
        let mut open = std::mem::take(&mut *self.open.lock().unwrap());
        open.shutdown().await;
    }
}
