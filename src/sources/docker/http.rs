//! HTTP/1 over a Unix socket: one question after the other, and answers of bounded length.

use super::super::Failure;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::http::Request;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::UnixStream;

/// How long a head may be.
const HEAD_MAX: usize = 32 << 10;

/// An open connection.
pub(super) struct Asking(SendRequest<Nothing>);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// What serves, in its own words.
    pub(super) server: String,
    /// Empty if there is no such thing.
    pub(super) body: Vec<u8>,
}

/// Whether there must be what is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is there, or something is wrong.
    Found,
    /// It may be gone.
    Perhaps,
}

/// Opens a connection, which has to be driven beside the questions.
pub(super) async fn open(stream: UnixStream) -> Result<(Asking, Connection<TokioIo<UnixStream>, Nothing>), Failure> {
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let (send, connection) = builder.handshake(TokioIo::new(stream)).await?;
    Ok((Asking(send), connection))
}

impl Asking {
    /// Gets what is there.
    pub(super) async fn get(&mut self, path: &str, most: usize, expected: Expected) -> Result<Answer, Failure> {
        self.0.ready().await?;
        let request = Request::get(path).header("host", "localhost").header("accept", "application/json");
        let request = request.body(Nothing).map_err(|_| Failure::Malformed("an identity without odd characters"))?;
        let (head, mut body) = self.0.send_request(request).await?.into_parts();
        let bytes = read(&mut body, most).await?;
        let server = head.headers.get("server").and_then(|server| server.to_str().ok()).unwrap_or_default();
        let server = server.chars().take(100).collect();
        match head.status.as_u16() {
            200 => Ok(Answer { server, body: bytes }),
            404 if expected == Expected::Perhaps => Ok(Answer { server, body: Vec::new() }),
            status => {
                let said = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
                Err(Failure::unable(&format!("HTTP status {status}: {}", said.trim())))
            }
        }
    }
}

async fn read(body: &mut Incoming, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        if let Some(piece) = frame?.data_ref() {
            if bytes.len() + piece.len() > most {
                return Err(Failure::TooLong);
            }
            bytes.extend_from_slice(piece);
        }
    }
    Ok(bytes)
}

/// The body of a question.
#[derive(Debug)]
pub(super) struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
