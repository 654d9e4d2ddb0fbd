//! OTLP over HTTP/1.1: one connection that is kept, one request after the other.

use super::answer::{Answer, BODY_MAX, Body};
use super::connect::Stream;
use super::words::chain;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use hyper::http::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// How long the head of an answer may be.
const HEAD_MAX: usize = 32 << 10;

/// The connection ended before an answer began.
#[derive(Debug)]
pub(super) struct Lost(pub(super) String);

/// What drives a connection, so that its end is seen and its questions are answered at any time. It ends with it.
#[derive(Debug)]
pub(super) struct Driven(pub(super) JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An open connection.
pub(super) struct Http {
    send: SendRequest<Whole>,
    _driven: Driven,
}

impl Http {
    pub(super) async fn open(stream: Stream) -> Result<Self, String> {
        let shaken = Builder::new().max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream)).await;
        let (send, connection) = shaken.map_err(|error| chain(&error))?;
        // How it ended is told to who asks for something.
        let driven = Driven(tokio::spawn(async move { drop(connection.await) }));
        Ok(Self { send, _driven: driven })
    }

    /// Whether another request may be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.send.is_closed()
    }

    pub(super) async fn post(&mut self, request: Request<Whole>) -> Result<Answer, Lost> {
        let lost = |error: hyper::Error| Lost(chain(&error));
        self.send.ready().await.map_err(lost)?;
        let (head, body) = self.send.send_request(request).await.map_err(lost)?.into_parts();
        Ok(answer(head.status.as_u16(), &head.headers, read(body).await))
    }
}

/// An answer from its parts.
pub(super) fn answer(status: u16, headers: &HeaderMap, body: Body) -> Answer {
    let text = |name: HeaderName| {
        let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        value.filter(|value| !value.is_empty())
    };
    Answer {
        status,
        content_type: text(CONTENT_TYPE).unwrap_or_default(),
        retry_after: text(RETRY_AFTER),
        location: text(LOCATION),
        body,
    }
}

async fn read(mut body: Incoming) -> Body {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame {
            Ok(frame) => {
                let piece = frame.into_data().unwrap_or_default();
                if bytes.len() + piece.len() > BODY_MAX {
                    return Body::Long;
                }
                bytes.extend_from_slice(&piece);
            }
            Err(error) => return Body::Cut(chain(&error)),
        }
    }
    Body::Whole(bytes)
}

/// A body that is there.
#[derive(Debug)]
pub(super) struct Whole(pub(super) Bytes);

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
