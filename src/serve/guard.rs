//! The stream below hyper, and the clock beside it.
//!
//! hyper has no limit for writing, and its limit for heads also ends kept connections. So the stream notes when bytes
//! come in and when all of an answer is with the kernel, and each connection has one time for all limits.

use super::State;
use super::conn::{Conn, Phase};
use super::hub::Hub;
use super::routes::Server;
use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::event::epoll::EventFlags;
use rustix::io::{Errno, read, writev};
use rustix::net::{Shutdown, shutdown};
use std::future::Future;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A request's head is read in pieces of this size; most are a single one.
const PIECE: usize = 2048;
/// How often in a row one connection reads from its socket, below TLS, before others have their turn.
const TURNS: usize = 32;

/// A socket, and what hyper waits for at it. Only who drives the connection changes it.
pub(super) struct Stream {
    socket: OwnedFd,
    /// There may be something to read. Unknown after an event, and until a read brings less than it could.
    readable: AtomicBool,
    wants_in: AtomicBool,
    wants_out: AtomicBool,
    turns: AtomicUsize,
}

impl Stream {
    pub(super) fn new(socket: OwnedFd) -> Self {
        let no = || AtomicBool::new(false);
        // The request may have come with the connection.
        let readable = AtomicBool::new(true);
        Stream { socket, readable, wants_in: no(), wants_out: no(), turns: AtomicUsize::new(0) }
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Whether this connection may read once more before others have their turn.
    pub(super) fn may_go_on(&self) -> bool {
        self.turns.fetch_add(1, Relaxed) < TURNS
    }

    fn wants(&self) -> EventFlags {
        let wants = |is: &AtomicBool, flag| if is.load(Relaxed) { flag } else { EventFlags::empty() };
        wants(&self.wants_in, EventFlags::IN) | wants(&self.wants_out, EventFlags::OUT)
    }
}

/// The stream as what lies between it and hyper sees it: what can't be done at once would block.
pub(super) struct Raw<'a>(pub(super) &'a Stream);

impl io::Read for Raw<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let (stream, most) = (self.0, room.len());
        while stream.readable.load(Relaxed) {
            match read(&stream.socket, &mut *room) {
                Ok(count) => {
                    // The end is told again and again.
                    stream.readable.store(count == most || count == 0, Relaxed);
                    return Ok(count);
                }
                Err(Errno::AGAIN) => stream.readable.store(false, Relaxed),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        stream.wants_in.store(true, Relaxed);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl io::Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match writev(&self.0.socket, slices) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => {
                    self.0.wants_out.store(true, Relaxed);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The stream as hyper sees it, without TLS.
pub(super) struct Guarded {
    stream: Arc<Stream>,
    conn: Arc<Conn>,
    state: Arc<State>,
}

impl Guarded {
    pub(super) fn new(stream: &Arc<Stream>, conn: &Arc<Conn>, state: &Arc<State>) -> Self {
        Guarded { stream: Arc::clone(stream), conn: Arc::clone(conn), state: Arc::clone(state) }
    }
}

impl Read for Guarded {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut piece = [const { MaybeUninit::<u8>::uninit() }; PIECE];
        let Some(room) = piece.get_mut(..out.remaining().min(PIECE)) else { return Poll::Ready(Ok(())) };
        let (stream, most) = (&self.stream, room.len());
        while stream.readable.load(Relaxed) {
            match read(&stream.socket, &mut *room) {
                Ok((bytes, _)) => {
                    // The end is told again and again.
                    stream.readable.store(bytes.len() == most || bytes.is_empty(), Relaxed);
                    if !bytes.is_empty() {
                        self.conn.read(bytes);
                        out.put_slice(bytes);
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => stream.readable.store(false, Relaxed),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        stream.wants_in.store(true, Relaxed);
        Poll::Pending
    }
}

impl Write for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Raw(&self.stream).write_vectored(slices) {
            Ok(bytes) => {
                self.state.sent_bytes.fetch_add(bytes as u64, Relaxed);
                Poll::Ready(Ok(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    // Without this, hyper would copy each page into a buffer of the connection.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes only when its own buffer is empty.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(&self.stream.socket, Shutdown::Write).map_err(io::Error::from))
    }
}

/// hyper at work for a connection. Dropping it closes the connection.
pub(super) struct Serving {
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    stream: Arc<Stream>,
    /// The hub knows it.
    known: bool,
    /// The events that are told, once.
    armed: EventFlags,
}

impl Serving {
    pub(super) fn new(stream: Arc<Stream>, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Serving { work: Box::pin(work), stream, known: false, armed: EventFlags::empty() }
    }

    /// Goes on as far as it can; whether that is the end.
    fn drive(&mut self, conn: &Arc<Conn>, event: bool) -> bool {
        if event {
            self.armed = EventFlags::empty();
            self.stream.readable.store(true, Relaxed);
        }
        self.stream.wants_in.store(false, Relaxed);
        self.stream.wants_out.store(false, Relaxed);
        self.stream.turns.store(0, Relaxed);
        let waker = Waker::from(Arc::clone(conn));
        let work = self.work.as_mut();
        // How it ended is the client's business; what it cost is counted elsewhere.
        catch_unwind(AssertUnwindSafe(|| work.poll(&mut Context::from_waker(&waker)).is_ready())).unwrap_or(true)
    }

    /// Has the events told that hyper waits for.
    fn arm(&mut self, hub: &Hub, conn: &Conn) -> io::Result<()> {
        let wants = self.stream.wants();
        if self.armed.contains(wants) {
            return Ok(());
        }
        // Not known before there is something to wait for: the first request would wake another thread.
        if self.known {
            hub.arm(&self.stream.socket, conn.id, wants)?;
        } else {
            hub.add(&self.stream.socket, conn.id, wants | EventFlags::ONESHOT)?;
            self.known = true;
        }
        self.armed = wants;
        Ok(())
    }
}

impl Server {
    /// Drives a connection as far as it goes, and closes it if that is the end, if it ran out of time, or if it has
    /// nothing left to do while the server stops.
    pub(super) fn drive(&self, conn: &Arc<Conn>, event: bool) {
        let mut slot = conn.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(serving) = slot.as_mut() else { return };
        if !serving.drive(conn, event) {
            let (phase, due) = conn.due();
            let late = due.is_some_and(|due| due <= Instant::now());
            if late {
                self.conns.late(phase);
            } else if !((self.conns.stopping() || conn.leaves()) && phase <= Phase::Idle)
                && serving.arm(&self.hub, conn).is_ok()
            {
                if let Some(due) = due {
                    self.clock.by(due);
                }
                return;
            }
        }
        let ended = slot.take();
        drop(slot);
        drop(ended);
        self.conns.gone(conn);
    }
}
