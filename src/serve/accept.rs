//! Running the server: accepting, stopping.

use super::bind::{Bound, Socket};
use super::conn::Conn;
use super::guard::Stream;
use super::hub::LISTENERS;
use super::routes::Server;
use super::{Pages, Settings, State, lock, speak, threads};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Connections that are accepted at a time.
const AT_A_TIME: usize = 64;
/// How long nothing is accepted after an error that is nobody's fault.
const PAUSE: Duration = Duration::from_millis(50);

/// A server at work.
pub struct Running(Arc<Server>);

/// Serves `pages` from now on, on threads of its own.
///
/// # Errors
/// There are no file descriptors or threads left.
pub fn start(settings: Settings, pages: Arc<dyn Pages>, bound: Vec<Bound>, state: Arc<State>) -> io::Result<Running> {
    let listeners = bound.into_iter().map(Listener::new).collect();
    let server = Arc::new(Server::new(settings, pages, state, listeners)?);
    for (listener, key) in server.listeners.iter().zip(LISTENERS..) {
        if let Some(bound) = &*lock(&listener.bound) {
            server.hub.add(socket(bound), key, EventFlags::IN | EventFlags::ONESHOT)?;
        }
    }
    threads::start(&server)?;
    Ok(Running(server))
}

impl Running {
    /// Ends within [`Limits::stop`](super::Limits::stop), whatever clients and renders do. A render that hangs goes on
    /// on its own thread: leave the process without waiting for it.
    pub fn stop(&self) {
        let server = &self.0;
        for listener in &server.listeners {
            let bound = lock(&listener.bound).take();
            drop(bound);
        }
        server.conns.stop(server.settings.limits.stop);
        server.hub.end();
    }
}

/// An address that is listened at, until the server stops.
pub(super) struct Listener {
    bound: Mutex<Option<Bound>>,
    /// Nothing is accepted until the clock rings.
    paused: AtomicBool,
    /// The others had their turn since it was full.
    waited: AtomicBool,
}

impl Listener {
    fn new(bound: Bound) -> Self {
        let no = || AtomicBool::new(false);
        Listener { bound: Mutex::new(Some(bound)), paused: no(), waited: no() }
    }
}

fn socket(bound: &Bound) -> BorrowedFd<'_> {
    match &bound.0 {
        Socket::Tcp(listener) => listener.as_fd(),
        Socket::Unix(listener, _) => listener.as_fd(),
    }
}

impl Server {
    /// Accepts whom there is, at the address with this key.
    pub(super) fn accept(self: &Arc<Self>, key: u64) {
        let at = usize::try_from(key - LISTENERS).unwrap_or(usize::MAX);
        let Some(listener) = self.listeners.get(at) else { return };
        let (new, is_tcp) = {
            let bound = lock(&listener.bound);
            let Some(bound) = &*bound else { return };
            (self.take_in(listener, bound, key), matches!(bound.0, Socket::Tcp(_)))
        };
        // Others may go on accepting meanwhile.
        for (stream, conn) in new {
            self.begin(stream, &conn, is_tcp);
        }
    }

    /// The connections that wait and for which there is a place.
    fn take_in(&self, listener: &Listener, bound: &Bound, key: u64) -> Vec<(OwnedFd, Arc<Conn>)> {
        let mut new = Vec::new();
        let most = match self.conns.full() {
            // The first one may be held up by the files of the gate, and the others with it.
            false if self.door.is_some() => 1,
            false => AT_A_TIME,
            true if listener.waited.swap(false, Relaxed) => 1,
            true => {
                // Those before it may have requests to read, and then they are not the ones to go: what happened to
                // them is told before this is told again.
                listener.waited.store(true, Relaxed);
                0
            }
        };
        for _ in 0..most {
            match accept_with(socket(bound), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(stream) => new.extend(self.conns.admit().map(|conn| (stream, conn))),
                Err(Errno::AGAIN) => break,
                // These belong to the connection that was to be accepted.
                Err(Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR | Errno::PROTO | Errno::PERM) => {}
                Err(error) => {
                    if matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) {
                        self.conns.spare();
                    }
                    listener.paused.store(true, Relaxed);
                    self.clock.by(Instant::now() + PAUSE);
                    return new;
                }
            }
            if self.conns.full() {
                break;
            }
        }
        self.listen(bound, key);
        new
    }

    fn listen(&self, bound: &Bound, key: u64) {
        if let Err(error) = self.hub.arm(socket(bound), key, EventFlags::IN) {
            tracing::error!(%error, "an address is no longer listened at");
        }
    }

    fn begin(self: &Arc<Self>, stream: OwnedFd, conn: &Arc<Conn>, is_tcp: bool) {
        if is_tcp {
            let limit = u32::try_from(self.settings.limits.write.as_millis()).unwrap_or(u32::MAX);
            // Both only help; a client that is gone already is noticed soon enough.
            let _ = sockopt::set_tcp_nodelay(&stream, true);
            // What the kernel holds for a client that stopped reading must not outlive the answer's own limit by much.
            let _ = sockopt::set_tcp_user_timeout(&stream, limit);
        }
        let stream = Arc::new(Stream::new(stream));
        let serving = speak::begin(self, stream, conn);
        *lock(&conn.serving) = serving;
        if self.conns.find(conn.id).is_none() {
            // It had to go before there was anything to close.
            return conn.cut();
        }
        self.drive(conn, false);
    }

    /// The clock rang: somebody may be out of time.
    pub(super) fn rung(self: &Arc<Self>) {
        self.clock.heard();
        for (listener, key) in self.listeners.iter().zip(LISTENERS..) {
            if let Some(bound) = &*lock(&listener.bound)
                && listener.paused.swap(false, Relaxed)
            {
                self.listen(bound, key);
            }
        }
        self.share.expire();
        let (late, next) = self.conns.due();
        if let Some(next) = next {
            self.clock.by(next);
        }
        for conn in late {
            self.drive(&conn, false);
        }
    }
}
