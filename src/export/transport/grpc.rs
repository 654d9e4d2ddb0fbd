//! OTLP over gRPC: calls of one message each, over HTTP/2 and without a framework.

use super::answer::{BODY_MAX, Body, Outcome, refused, taken};
use super::connect::Stream;
use super::http::{Driven, Lost, answer};
use super::words::chain;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::http::{HeaderMap, Request};
use std::future::poll_fn;
use std::time::{Duration, SystemTime};

/// The method of the service for metrics.
pub(super) const METHOD: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
/// What an answer may have on the way.
const WINDOW: u32 = BODY_MAX as u32;
const HEADERS_MAX: u32 = 32 << 10;
/// Before each message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// An open connection.
pub(super) struct Grpc {
    send: SendRequest<Bytes>,
    driven: Driven,
}

impl Grpc {
    pub(super) async fn open(stream: Stream) -> Result<Self, String> {
        let mut builder = Builder::new();
        builder.enable_push(false).max_header_list_size(HEADERS_MAX);
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (send, connection) = builder.handshake(stream).await.map_err(|error| chain(&error))?;
        // How it ended is told to who asks for something.
        let driven = Driven(tokio::spawn(async move { drop(connection.await) }));
        Ok(Self { send, driven })
    }

    /// Whether another call may be made.
    pub(super) fn is_open(&self) -> bool {
        !self.driven.0.is_finished()
    }

    /// Makes a call with a message behind its prefix.
    pub(super) async fn call(&mut self, request: Request<()>, message: Bytes) -> Result<Outcome, Lost> {
        let lost = |error: h2::Error| {
            // So an answer of HTTP/1 reads as a frame.
            let is_other = error.reason() == Some(h2::Reason::FRAME_SIZE_ERROR);
            Lost(chain(&error) + if is_other { ": is this a port of gRPC?" } else { "" })
        };
        let mut ready = self.send.clone().ready().await.map_err(lost)?;
        let (answer, mut out) = ready.send_request(request, false).map_err(lost)?;
        out.send_data(message, true).map_err(lost)?;
        let (head, mut body) = answer.await.map_err(lost)?.into_parts();
        let is_grpc =
            head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if head.status != 200 || !is_grpc {
            let body = read(&mut body).await;
            return Ok(self::answer(head.status.as_u16(), &head.headers, body).outcome_of_grpc(SystemTime::now()));
        }
        // A refusal may come without any message.
        if let Some(outcome) = outcome(&head.headers, &[]) {
            return Ok(outcome);
        }
        let read = match read(&mut body).await {
            Body::Whole(bytes) => bytes,
            Body::Long => return Ok(Outcome::later(format!("an answer of more than {BODY_MAX} bytes"))),
            Body::Cut(why) => return Ok(ended(&why)),
        };
        Ok(match poll_fn(|cx| body.poll_trailers(cx)).await {
            Ok(trailers) => outcome(&trailers.unwrap_or_default(), &read)
                .unwrap_or_else(|| Outcome::later("the answer ended without a status")),
            Err(error) => ended(&chain(&error)),
        })
    }
}

fn ended(why: &str) -> Outcome {
    Outcome::later(format!("the connection ended inside the answer: {why}"))
}

/// What a status means; none if there is none.
fn outcome(headers: &HeaderMap, body: &[u8]) -> Option<Outcome> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let status = text("grpc-status")?;
    Some(match &*status {
        // A message that is compressed was not asked for; whatever it says, the request was taken.
        "0" => taken(
            body.split_at_checked(PREFIX).filter(|(prefix, _)| prefix.first() == Some(&0)).map_or(&[], |(_, m)| m),
        ),
        code => refused(code, &text("grpc-message").unwrap_or_default(), text("grpc-status-details-bin").as_deref()),
    })
}

async fn read(body: &mut RecvStream) -> Body {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => return Body::Cut(chain(&error)),
        };
        // It fails when the stream has ended, which is seen above.
        let _ = body.flow_control().release_capacity(piece.len());
        if bytes.len() + piece.len() > BODY_MAX {
            return Body::Long;
        }
        bytes.extend_from_slice(&piece);
    }
    Body::Whole(bytes)
}

/// `grpc-timeout`: at most eight digits, and a unit.
pub(super) fn timeout(left: Duration) -> String {
    format!("{}m", left.as_millis().clamp(1, 99_999_999))
}
