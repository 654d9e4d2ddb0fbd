//! The stream below hyper, and the clock beside it.
//!
//! hyper has no limit for writing, and its limit for heads also ends kept connections. So the stream notes when bytes
//! come in and when all of an answer is with the kernel, and the connection's task keeps one clock for all limits.

use super::State;
use super::conns::{Conn, Conns, Phase};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep_until};

/// A request's head is read in pieces of this size; most are a single one.
const PIECE: usize = 2048;

/// A stream of either kind: one type, so that hyper is in the binary once.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! delegate {
    ($guarded:expr, $method:ident, $($argument:expr),*) => {
        match &mut $guarded.stream {
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

/// The stream as hyper sees it.
pub(super) struct Guarded {
    stream: Stream,
    conn: Arc<Conn>,
    state: Arc<State>,
}

impl Guarded {
    pub(super) fn new(stream: Stream, conn: &Arc<Conn>, state: &Arc<State>) -> Self {
        Guarded { stream, conn: Arc::clone(conn), state: Arc::clone(state) }
    }

    fn sent(&self, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &sent {
            self.state.sent_bytes.fetch_add(*bytes as u64, Relaxed);
        }
        sent
    }
}

impl Read for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut piece = [const { MaybeUninit::<u8>::uninit() }; PIECE];
        let Some(room) = piece.get_mut(..out.remaining().min(PIECE)) else { return Poll::Ready(Ok(())) };
        let mut piece = ReadBuf::uninit(room);
        ready!(delegate!(self, poll_read, cx, &mut piece))?;
        if !piece.filled().is_empty() {
            self.conn.read(piece.filled());
            out.put_slice(piece.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = delegate!(self, poll_write, cx, bytes);
        self.sent(sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = delegate!(self, poll_write_vectored, cx, slices);
        self.sent(sent)
    }

    // Without this, hyper would copy each page into a buffer of the connection.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes only when its own buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(delegate!(self, poll_flush, cx))?;
        self.conn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown, cx)
    }
}

/// Drives a connection until it ends, runs out of time, or has nothing left to do while the server stops.
pub(super) async fn drive(connection: impl Future, conn: &Conn, conns: &Conns) {
    let mut connection = pin!(connection);
    // Set when there is something to wait for; with a request that comes whole, that is the next one.
    let mut clock = pin!(None::<Sleep>);
    poll_fn(|cx| {
        // How it ended is the client's business; what it cost is counted elsewhere.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let (phase, due) = conn.due();
        if conns.stopping() && phase <= Phase::Idle {
            return Poll::Ready(());
        }
        let Some(due) = due else { return Poll::Pending };
        ready!(poll_clock(clock.as_mut(), due, cx));
        conns.late(phase);
        Poll::Ready(())
    })
    .await;
}

/// Whether it is as late as that. The clock may ring too early, and is moved on only then: most of what it is set for
/// comes in time, and moving it would take the runtime's timers every time.
fn poll_clock(mut clock: Pin<&mut Option<Sleep>>, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        match clock.as_mut().as_pin_mut() {
            Some(set) if set.deadline() <= due => {
                ready!(set.poll(cx));
                if due <= Instant::now() {
                    return Poll::Ready(());
                }
            }
            _ => {}
        }
        clock.set(Some(sleep_until(due)));
    }
}
