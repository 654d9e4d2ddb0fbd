//! The body of an answer: one piece, shared with every other client that gets the same page.

use super::State;
use super::conn::Conn;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Instant;

/// The body of an answer. When hyper drops it, everything is in hyper's buffer; the next flush ends the answer.
///
/// With HTTP/2, hyper may hold the bytes for as long as the client opens no window; then they tell it themselves.
pub(super) struct Answer {
    bytes: Bytes,
    conn: Option<Arc<Conn>>,
}

impl Answer {
    /// To be handed to hyper at once: the time to write starts here.
    pub(super) fn new(conn: &Arc<Conn>, bytes: Bytes) -> Self {
        let begun = conn.answering(&bytes);
        if conn.is_multiplexed() {
            let bytes = Bytes::from_owner(Sending { bytes, begun, conn: Arc::clone(conn) });
            return Answer { bytes, conn: None };
        }
        Answer { bytes, conn: Some(Arc::clone(conn)) }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(conn) = &self.conn {
            conn.buffered();
        }
    }
}

/// Bytes that are on their way until the last piece of them is dropped.
struct Sending {
    bytes: Bytes,
    begun: Instant,
    conn: Arc<Conn>,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.conn.sent(self.begun);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = mem::take(&mut self.get_mut().bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// A page's bytes, counted as long as anyone holds them.
struct Held {
    bytes: Vec<u8>,
    state: Arc<State>,
}

/// The page as something to share.
pub(super) fn hold(bytes: Vec<u8>, state: &Arc<State>) -> Bytes {
    state.page_bytes.fetch_add(bytes.len(), Relaxed);
    Bytes::from_owner(Held { bytes, state: Arc::clone(state) })
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.state.page_bytes.fetch_sub(self.bytes.len(), Relaxed);
    }
}
