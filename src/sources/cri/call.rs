//! gRPC, as far as calls of one message each need it: HTTP/2 with a message behind five bytes, and a status at the end.

use super::super::Failure;
use h2::RecvStream;
use h2::client::{Builder, Connection, SendRequest};
use hyper::body::Bytes;
use hyper::http::{HeaderMap, Request};
use std::future::poll_fn;
use tokio::net::UnixStream;

/// The longest message that is taken. A container is told of in about a kilobyte.
const MESSAGE_MAX: usize = 16 << 20;
/// What an answer may have on the way: a message of any usual node at once.
const WINDOW: u32 = 1 << 20;
const HEADERS_MAX: u32 = 16 << 10;
/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// An open connection.
pub(in super::super) struct Calls(SendRequest<Bytes>);

/// Opens a connection, which has to be driven beside the calls.
pub(in super::super) async fn open(stream: UnixStream) -> Result<(Calls, Connection<UnixStream>), Failure> {
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(HEADERS_MAX);
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (send, connection) = builder.handshake(stream).await?;
    Ok((Calls(send), connection))
}

impl Calls {
    /// Calls a method of the runtime.
    pub(in super::super) async fn call(&mut self, method: &str, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let request = Request::post(format!("http://localhost/runtime.v1.RuntimeService/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(|_| Failure::Malformed("a name of a method"))?;
        let (answer, mut out) = {
            let mut ready = self.0.clone().ready().await?;
            ready.send_request(request, false)?
        };
        let mut framed = Vec::with_capacity(PREFIX + message.len());
        framed.push(0);
        framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        framed.extend_from_slice(&message);
        out.send_data(framed.into(), true)?;
        let (head, mut body) = answer.await?.into_parts();
        if head.status != 200 {
            return Err(Failure::unable(&format!("HTTP status {}", head.status.as_u16())));
        }
        // A refusal may come without any message.
        accepted(&head.headers, true)?;
        let message = message_of(&mut body).await?;
        let trailers = poll_fn(|cx| body.poll_trailers(cx)).await?;
        accepted(&trailers.unwrap_or_default(), body_is_all(&head.headers))?;
        message.ok_or(Failure::Malformed("one message"))
    }
}

/// Whether the status came with the head already.
fn body_is_all(head: &HeaderMap) -> bool {
    head.contains_key("grpc-status")
}

/// The message of an answer, if it is one and whole.
async fn message_of(body: &mut RecvStream) -> Result<Option<Vec<u8>>, Failure> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        if bytes.len() + piece.len() > PREFIX + MESSAGE_MAX {
            return Err(Failure::TooLong);
        }
        bytes.extend_from_slice(&piece);
    }
    let Some((prefix, message)) = bytes.split_at_checked(PREFIX) else { return Ok(None) };
    let length = prefix.iter().skip(1).fold(0, |length, byte| length << 8 | usize::from(*byte));
    let is_whole = prefix.first() == Some(&0) && length == message.len();
    Ok(is_whole.then(|| bytes.split_off(PREFIX)))
}

/// Looks at the status; where there is none, `or_else` says whether that is well.
fn accepted(headers: &HeaderMap, or_else: bool) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        None if or_else => Ok(()),
        None => Err(Failure::Malformed("a status")),
        Some(status) => {
            let said = unescape(text("grpc-message").unwrap_or_default());
            Err(match status {
                "12" => Failure::unable(&format!(
                    "{said}; it does not speak CRI v1: in containerd older than 1.6, or with cri in disabled_plugins"
                )),
                _ => Failure::unable(&format!("{said} (status {status})")),
            })
        }
    }
}

/// `100%25`: what is not plain is written as its number.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| byte == b'%');
        let number = digits.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(number.unwrap_or(byte));
        rest = if number.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runtime_says_is_read_as_it_meant_it() {
        assert_eq!(unescape("100%25 %zz %"), "100% %zz %");
        assert_eq!(unescape("caf%C3%A9%"), "café%");
    }

    #[test]
    fn a_status_is_looked_for_where_it_has_to_be() {
        let mut headers = HeaderMap::new();
        assert_eq!(
            (accepted(&headers, true), accepted(&headers, false)),
            (Ok(()), Err(Failure::Malformed("a status")))
        );
        headers.insert("grpc-status", "0".parse().unwrap());
        assert_eq!(accepted(&headers, false), Ok(()));
        headers.insert("grpc-status", "5".parse().unwrap());
        headers.insert("grpc-message", "not%20found%0Ahere".parse().unwrap());
        assert_eq!(accepted(&headers, true), Err(Failure::Unable("not found here (status 5)".to_owned())));
    }
}
