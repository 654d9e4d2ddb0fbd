//! TLS between the socket and hyper.
//!
//! Nothing here waits: what can't be read or written now is asked for at the [`Stream`], like without TLS. What is kept
//! is bounded: rustls takes no more of a page than it may hold, and the rest of it stays shared.

use super::super::conn::Conn;
use super::super::guard::{Raw, Stream};
use super::super::state::State;
use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::net::{Shutdown, shutdown};
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, BufRead, ErrorKind, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

/// How much may wait for the socket, encrypted.
const WAITING_MAX: usize = 64 * 1024;
/// What Go answers to who speaks HTTP where TLS is spoken.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// A stream that is encrypted.
pub(in crate::serve) struct Secure {
    session: ServerConnection,
    stream: Arc<Stream>,
    conn: Arc<Conn>,
    state: Arc<State>,
    /// The first bytes of the client.
    first: Vec<u8>,
    /// The end was told to the client.
    ended: bool,
}

impl Secure {
    /// # Errors
    /// rustls has no random numbers.
    pub(in crate::serve) fn new(
        config: Arc<ServerConfig>,
        stream: &Arc<Stream>,
        conn: &Arc<Conn>,
        state: &Arc<State>,
    ) -> Result<Self, rustls::Error> {
        let mut session = ServerConnection::new(config)?;
        session.set_buffer_limit(Some(WAITING_MAX));
        let (stream, conn, state) = (Arc::clone(stream), Arc::clone(conn), Arc::clone(state));
        Ok(Secure { session, stream, conn, state, first: Vec::new(), ended: false })
    }

    /// The protocol that both sides chose.
    pub(in crate::serve) fn protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// Goes on with the handshake. A client that stalls is cut off like one that stalls in a head.
    pub(in crate::serve) fn poll_handshake(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.push())?;
            if self.session.is_handshaking() && ready!(self.pull(cx))? == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
        self.first = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// The handshake failed: the client is told why, if it takes that at once.
    pub(in crate::serve) fn refuse(&mut self) {
        let methods: [&[u8]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];
        let raw = &mut Raw(&self.stream);
        // It is lost if the socket does not take it; there is nobody to wait for that.
        let _ = if methods.contains(&self.first.get(..5).unwrap_or_default()) {
            raw.write(NOT_TLS)
        } else {
            self.session.write_tls(raw)
        };
        let _ = shutdown(self.stream.socket(), Shutdown::Write);
    }

    /// Reads from the socket; 0 at its end.
    fn pull(&mut self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        if !self.stream.may_go_on() {
            // Others have their turn first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut raw =
            Noting { raw: Raw(&self.stream), first: self.session.is_handshaking().then_some(&mut self.first) };
        let read = match self.session.read_tls(&mut raw) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let processed = self.session.process_new_packets();
        Poll::Ready(processed.map(|_| read).map_err(|error| io::Error::new(ErrorKind::InvalidData, error)))
    }

    /// Writes to the socket all that waits for it.
    fn push(&mut self) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Raw(&self.stream)) {
                Ok(bytes) => {
                    self.state.sent_bytes.fetch_add(bytes as u64, Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for Secure {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.session.reader().fill_buf() {
                // The end, which the client announced.
                Ok([]) => return Poll::Ready(Ok(())),
                Ok(there) => {
                    let bytes = there.get(..there.len().min(out.remaining())).unwrap_or_default();
                    this.conn.read(bytes);
                    out.put_slice(bytes);
                    let taken = bytes.len();
                    this.session.reader().consume(taken);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end, unannounced: an answer is whole or not by its own length.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
            // What the handshake left, and new keys; if it has to wait, it is asked for already.
            if let Poll::Ready(Err(error)) = this.push() {
                return Poll::Ready(Err(error));
            }
            match ready!(this.pull(cx)) {
                Ok(_) => {}
                Err(error) => {
                    // The client is told what was wrong.
                    let _ = this.push();
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl Write for Secure {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.push())?;
        let taken = this.session.writer().write_vectored(slices)?;
        this.conn.written();
        match this.push() {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.push())?;
        this.conn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ended {
            this.ended = true;
            this.session.send_close_notify();
        }
        ready!(this.push())?;
        Poll::Ready(shutdown(this.stream.socket(), Shutdown::Write).map_err(io::Error::from))
    }
}

/// Reads, and notes how it begins.
struct Noting<'a> {
    raw: Raw<'a>,
    first: Option<&'a mut Vec<u8>>,
}

impl io::Read for Noting<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.raw.read(room)?;
        if let Some(first) = &mut self.first {
            let more = 5_usize.saturating_sub(first.len()).min(read);
            first.extend_from_slice(room.get(..more).unwrap_or_default());
        }
        Ok(read)
    }
}
