//! A receiver of OTLP/HTTP: it answers as it is told, and keeps what it was sent.

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::mpsc::{Receiver as Queue, Sender, channel};
use std::sync::{Arc, Mutex};

pub(super) struct Receiver {
    port: u16,
    status: Arc<AtomicU16>,
    queue: Mutex<Queue<Request>>,
}

pub(super) struct Request {
    pub(super) head: String,
    message: ExportMetricsServiceRequest,
}

impl Request {
    /// The attributes of its first resource.
    pub(super) fn attributes(&self) -> Vec<(String, String)> {
        let resource = self.message.resource_metrics[0].resource.as_ref().unwrap();
        let text = |value: Option<&Value>| match value {
            Some(Value::StringValue(text)) => text.clone(),
            other => format!("{other:?}"),
        };
        let pair = |pair: &opentelemetry_proto::tonic::common::v1::KeyValue| {
            (pair.key.clone(), text(pair.value.as_ref().and_then(|value| value.value.as_ref())))
        };
        resource.attributes.iter().map(pair).collect()
    }

    /// The names of its metrics.
    pub(super) fn names(&self) -> Vec<String> {
        let scopes = self.message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| &scope.metrics).map(|metric| metric.name.clone()).collect()
    }
}

impl Receiver {
    /// Listens, and answers with this status; 0: not at all.
    pub(super) fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let status = Arc::new(AtomicU16::new(status));
        let (tell, queue) = channel();
        let answers = Arc::clone(&status);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (tell, answers) = (tell.clone(), Arc::clone(&answers));
                std::thread::spawn(move || serve(stream, &tell, &answers));
            }
        });
        Self { port, status, queue: Mutex::new(queue) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn answer(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    /// The next request.
    #[track_caller]
    pub(super) fn next(&self) -> Request {
        self.queue.lock().unwrap().recv_timeout(crate::daemon::LONG).unwrap()
    }

    /// Forgets all requests: how many there were.
    pub(super) fn drain(&self) -> usize {
        self.queue.lock().unwrap().try_iter().count()
    }
}

/// Answers one request after the other.
fn serve(mut stream: TcpStream, tell: &Sender<Request>, answers: &AtomicU16) {
    while let Some(request) = read(&mut stream) {
        if tell.send(request).is_err() {
            return;
        }
        match answers.load(Relaxed) {
            0 => return std::thread::sleep(crate::daemon::LONG),
            status => {
                let answer =
                    format!("HTTP/1.1 {status} X\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).ok()?;
    let mut plain = Vec::new();
    match head.to_ascii_lowercase().contains("content-encoding: gzip") {
        true => drop(GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap()),
        false => plain = body,
    }
    Some(Request { head, message: ExportMetricsServiceRequest::decode(&plain[..]).unwrap() })
}
