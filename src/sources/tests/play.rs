//! Runtimes that are played.

use collectors::kit::protobuf::{put_bytes, put_number};
use h2::server::SendResponse;
use hyper::body::Bytes;
use hyper::http::{HeaderMap, Request, Response};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// How a CRI runtime behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    #[default]
    Well,
    /// The head of an answer comes, and then nothing.
    Hangs,
    /// The answer comes, a byte every tenth of a second.
    Slow,
    /// The message is one of these bytes, and of a status.
    Says(Vec<u8>, &'static str),
    /// It refuses, without a message.
    Refuses(&'static str, &'static str),
    /// The connection ends in the middle of the answer.
    Closes,
    /// More than anybody takes.
    Huge,
}

/// A node with one pod and two containers, one of them with an image that is a digest.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) manner: Manner,
    /// Only calls of this name are answered in that manner.
    pub(super) only: Option<&'static str>,
    pub(super) calls: Arc<Mutex<Vec<String>>>,
}

impl Node {
    pub(super) fn of(manner: Manner) -> Self {
        Self { manner, ..Self::default() }
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

pub(super) fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, number, bytes);
    out
}

pub(super) fn number(field: u64, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, field, number);
    out
}

fn label(field_number: u64, name: &str, value: &str) -> Vec<u8> {
    field(field_number, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat())
}

fn message(method: &str) -> Vec<u8> {
    let id = |digit: char| super::id(digit);
    match method {
        "Version" => [field(1, b"0.1"), field(2, b"played"), field(3, b"1.2")].concat(),
        "ListPodSandbox" => {
            let metadata = [field(1, b"web-0"), field(2, b"0a1b-2c"), field(3, b"shop"), number(4, 1)].concat();
            field(1, &[field(1, id('a').as_bytes()), field(2, &metadata), label(5, "app", "web")].concat())
        }
        "ListContainers" => {
            let container = |digit, name: &str, image: &[u8]| {
                let labels =
                    [label(8, "io.kubernetes.pod.name", "web-0"), label(8, "io.kubernetes.pod.uid", "0a1b-2c")];
                let metadata = [field(1, name.as_bytes()), number(2, 3)].concat();
                let start =
                    [field(1, id(digit).as_bytes()), field(2, id('a').as_bytes()), field(3, &metadata)].concat();
                field(1, &[start, field(4, &field(1, image)), labels.concat()].concat())
            };
            let digest = format!("sha256:{}", id('9'));
            [container('b', "nginx", b"nginx:1.27"), container('c', "sidecar", digest.as_bytes())].concat()
        }
        "PodSandboxStatus" => label(2, "info", r#"{"pid": 4242, "image": "pause:3.9", "runtimeSpec": {}}"#),
        "ContainerStatus" => field(1, &field(8, &field(1, b"envoy:2"))),
        other => panic!("nobody should call {other}"),
    }
}

/// Plays a runtime of CRI.
pub(super) fn cri(path: &Path, node: Node) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, node.clone()));
        }
    })
}

async fn serve(stream: UnixStream, node: Node) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        assert_eq!(request.uri().path(), format!("/runtime.v1.RuntimeService/{method}"));
        assert_eq!(
            (&request.headers()["content-type"], &request.headers()["te"]),
            (&"application/grpc".parse().unwrap(), &"trailers".parse().unwrap())
        );
        node.calls.lock().unwrap().push(method.clone());
        let is_odd = node.only.is_none_or(|only| only == method);
        let manner = if is_odd { node.manner.clone() } else { Manner::Well };
        if manner == Manner::Closes {
            let mut answer = answer;
            let mut body = answer.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"\0\0\0\0\x05ab"), false).unwrap();
            let _ = tokio::time::timeout(Duration::from_millis(50), connection.accept()).await;
            return;
        }
        tokio::spawn(answered(request, answer, manner, message(&method)));
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat()
}

async fn answered(request: Request<h2::RecvStream>, mut answer: SendResponse<Bytes>, manner: Manner, message: Vec<u8>) {
    let mut asked = request.into_body();
    while let Some(Ok(piece)) = asked.data().await {
        let _ = asked.flow_control().release_capacity(piece.len());
    }
    if let Manner::Refuses(status, said) = manner {
        let head = Response::builder().header("grpc-status", status).header("grpc-message", said);
        let _ = answer.send_response(head.body(()).unwrap(), true);
        return;
    }
    let mut body = answer.send_response(Response::new(()), false).unwrap();
    let (bytes, status) = match manner {
        Manner::Hangs => return tokio::time::sleep(Duration::from_secs(60)).await,
        Manner::Says(bytes, status) => (bytes, status),
        Manner::Huge => (framed(&vec![0; 17 << 20]), "0"),
        Manner::Slow => {
            for byte in framed(&message) {
                let _ = body.send_data(Bytes::from(vec![byte]), false);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            return;
        }
        _ => (framed(&message), "0"),
    };
    let _ = body.send_data(bytes.into(), false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    let _ = body.send_trailers(trailers);
}

/// Plays Docker: every request is answered with what `answer` makes of its path, and the rest is up to it.
pub(super) fn docker(path: &Path, answer: fn(&str) -> Vec<u8>) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, answer));
        }
    })
}

async fn converse(mut stream: UnixStream, answer: fn(&str) -> Vec<u8>) {
    let mut asked = Vec::new();
    loop {
        let mut piece = [0; 1024];
        match stream.read(&mut piece).await {
            Ok(length @ 1..) => asked.extend_from_slice(&piece[..length]),
            _ => return,
        }
        while let Some(end) = asked.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(asked.drain(..end + 4).collect()).unwrap();
            assert!(head.starts_with("GET /containers/") && head.contains("host: localhost\r\n"), "{head}");
            let bytes = answer(head.split(' ').nth(1).unwrap());
            if bytes.is_empty() {
                return tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let _ = stream.write_all(&bytes).await;
            if !bytes.starts_with(b"HTTP/1.1 ") || bytes.windows(17).any(|word| word == b"Connection: close") {
                return;
            }
        }
    }
}

/// An answer in two pieces, as Docker sends long ones.
pub(super) fn chunked(body: &str) -> Vec<u8> {
    let (one, two) = body.split_at(body.len() / 2);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: Docker/28.2.2 (linux)\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    format!("{head}{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len()).into_bytes()
}

/// Says something to whoever connects, and closes.
pub(super) fn talk(path: &Path, words: &'static [u8]) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(words).await;
        }
    })
}
