//! A proxy of HTTP, and receivers behind it.

use super::authority::Authority;
use super::receiver::{End, listener, saying, script, secure};
use super::tonic;
use super::{later, send, taken, target};
use crate::export::transport::names::Names;
use crate::export::transport::target::ProxyRule;
use crate::export::transport::{Protocol, Target, Transport};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

/// A proxy that takes all tunnels and forwards all requests to one receiver; the heads that it saw.
async fn proxy(receiver: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let text = String::from_utf8(head.clone()).unwrap();
                let is_tunnel = text.starts_with("CONNECT ");
                let is_known = text.contains("roxy-Authorization: Basic bWU6c2VjcmV0")
                    || text.contains("roxy-authorization: Basic bWU6c2VjcmV0");
                seen.lock().unwrap().push(text);
                if !is_known {
                    let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
                    return;
                }
                let mut server = TcpStream::connect(receiver).await.unwrap();
                if is_tunnel {
                    client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await.unwrap();
                } else {
                    server.write_all(&head).await.unwrap();
                }
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, heads)
}

fn rule(url: &str) -> ProxyRule {
    ProxyRule { http: url.to_owned(), https: url.to_owned(), none_for: String::new() }
}

#[tokio::test]
async fn secret_requests_go_through_a_tunnel() {
    let authority = Authority::new();
    let receiver = secure(authority.issue("collector.example").server(None)).await;
    let (address, heads) = proxy(receiver.address).await;
    let base = |url: String| Target {
        tls: authority.believed(),
        proxy: rule(&url),
        ..target("https://collector.example/v1/metrics", Protocol::HttpProtobuf)
    };
    // The proxy knows the name of the receiver; nobody else is asked for it.
    let mut transport = Transport::new(base(format!("http://me:secret@{address}"))).unwrap();
    transport.names = Names { hosts: String::new(), resolv_conf: String::new(), port: 1 };
    for _ in 0..2 {
        assert_eq!(send(&mut transport).await, taken());
    }
    assert_eq!((receiver.requests(), receiver.connections()), (2, 1));
    let head = heads.lock().unwrap().clone();
    assert_eq!(head.len(), 1);
    assert!(
        head[0].starts_with("CONNECT collector.example:443 HTTP/1.1\r\nHost: collector.example:443\r\n"),
        "{head:?}"
    );
    let why = later(send(&mut Transport::new(base(format!("{address}"))).unwrap()).await);
    assert!(why.contains("it wants a user and a password"), "{why}");
    let why = later(send(&mut Transport::new(base(format!("http://me:wrong@{address}"))).unwrap()).await);
    assert!(why.contains("no tunnel to collector.example:443: HTTP/1.1 407") && !why.contains("wrong"), "{why}");
}

#[tokio::test]
async fn requests_in_the_clear_are_forwarded() {
    let receiver = saying(200, &[], b"").await;
    let (address, heads) = proxy(receiver.address).await;
    let mut target = target("http://collector.example:4318/v1/metrics", Protocol::HttpProtobuf);
    target.proxy = rule(&format!("http://me:secret@{address}/"));
    let mut transport = Transport::new(target.clone()).unwrap();
    for _ in 0..2 {
        assert_eq!(send(&mut transport).await, taken());
    }
    assert_eq!(receiver.last().target, "http://collector.example:4318/v1/metrics");
    assert_eq!(receiver.last().header("host"), "collector.example:4318");
    assert_eq!(heads.lock().unwrap().len(), 1, "one connection is kept");
    target.proxy.none_for = "collector.example".to_owned();
    let mut transport = Transport::new(target).unwrap();
    let (names, _folder) = super::names::fixed(&[("127.0.0.1", "collector.example")]);
    transport.names = names;
    let why = later(send(&mut transport).await);
    assert!(why.contains("no connection to collector.example: 127.0.0.1:4318"), "{why}");
}

#[tokio::test]
async fn this_machine_is_reached_without_a_proxy() {
    let receiver = saying(200, &[], b"").await;
    let mut target = target(&receiver.url(), Protocol::HttpProtobuf);
    target.proxy = rule("http://127.0.0.1:1");
    assert_eq!(send(&mut Transport::new(target).unwrap()).await, taken());
}

#[tokio::test]
async fn grpc_goes_through_a_tunnel_in_the_clear_too() {
    let receiver = tonic::start(Default::default()).await;
    let (address, heads) = proxy(receiver.address).await;
    let mut target = target("http://collector.example:4317", Protocol::Grpc);
    target.proxy = rule(&format!("http://me:secret@{address}"));
    assert_eq!(send(&mut Transport::new(target).unwrap()).await, taken());
    assert!(heads.lock().unwrap()[0].starts_with("CONNECT collector.example:4317 "));
}

#[tokio::test]
async fn a_proxy_that_hangs_or_talks_nonsense_costs_the_timeout_and_no_more() {
    for (say, end, expected) in [
        (&b""[..], End::Wait, "no answer within 0.5 s: while the proxy was asked for a tunnel"),
        (b"HTTP/1.1 200 OK\r\n", End::Wait, "no answer within 0.5 s: while the proxy was asked for a tunnel"),
        (b"", End::Close, "proxy 127.0.0.1:"),
        (b"hello\r\n\r\n", End::Wait, "expected HTTP"),
        (
            b"HTTP/1.1 502 Bad\x1bGateway\r\n\r\n",
            End::Wait,
            "no tunnel to collector.example:443: HTTP/1.1 502 Bad Gateway",
        ),
        (b"xxxxxxxxxxxxxxxx", End::Repeat, "an answer that is too long"),
    ] {
        let (address, _) = script(say, end).await;
        let mut target = target("https://collector.example/", Protocol::HttpProtobuf);
        target.tls.insecure_skip_verify = true;
        target.timeout = std::time::Duration::from_millis(500);
        target.proxy = rule(&address.to_string());
        let why = later(send(&mut Transport::new(target).unwrap()).await);
        assert!(why.contains(expected), "{why}");
    }
}
