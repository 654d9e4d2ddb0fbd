//! Running the server: accepting, one task per connection, stopping.

use super::bind::{Bound, Socket, SocketFile};
use super::conns::Place;
use super::guard::{Guarded, Stream, drive};
use super::routes::Server;
use super::{Pages, Settings, State};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

/// Header lines a request may have.
const HEADERS_MAX: usize = 64;

/// The runtime the server is made for: one thread.
///
/// # Errors
/// The kernel has no file descriptors left.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Serves `pages` until `stop` is ready, then ends within [`Limits::stop`](super::Limits::stop), whatever clients and
/// renders do. A render that hangs goes on on its own thread: leave the process without waiting for it.
///
/// # Errors
/// A socket could not be handed to the runtime, or there are no file descriptors left.
pub async fn run(
    settings: Settings,
    pages: Arc<dyn Pages>,
    bound: Vec<Bound>,
    state: Arc<State>,
    stop: impl Future,
) -> io::Result<()> {
    let mut listeners = bound.into_iter().map(Listener::new).collect::<io::Result<Vec<_>>>()?;
    let server = Arc::new(Server::new(settings, pages, state)?);
    let looking_after = tokio::spawn(Arc::clone(&server.share).look_after());
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let event = poll_fn(|cx| {
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            while let Poll::Ready(Some(_)) = tasks.poll_join_next(cx) {}
            poll_accept(&mut listeners, cx).map(Some)
        });
        match event.await {
            None => break,
            Some(Ok(stream)) => {
                if server.conns.full() {
                    // Those before it may have requests to read, and then they are not the ones to go.
                    yield_now().await;
                }
                spawn(&server, stream, &mut tasks);
            }
            Some(Err(error)) => exhausted(&server, &error).await,
        }
    }
    drop(listeners);
    server.conns.stop();
    // Running out of time here is what the next line is for.
    let _ = timeout(server.settings.limits.stop, drain(&mut tasks)).await;
    tasks.abort_all();
    drain(&mut tasks).await;
    looking_after.abort();
    Ok(())
}

async fn drain(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

fn spawn(server: &Arc<Server>, stream: Stream, tasks: &mut JoinSet<()>) {
    let limits = &server.settings.limits;
    if let Stream::Tcp(stream) = &stream {
        // Both only help; a client that is gone already is noticed soon enough.
        let _ = stream.set_nodelay(true);
        // What the kernel holds for a client that stopped reading must not outlive the answer's own limit by much.
        let _ = sockopt::set_tcp_user_timeout(stream, u32::try_from(limits.write.as_millis()).unwrap_or(u32::MAX));
    }
    let Some(place) = server.conns.admit() else { return };
    let conn = Arc::clone(&place.conn);
    conn.served_by(tasks.spawn(serve(Arc::clone(server), stream, place)));
}

async fn serve(server: Arc<Server>, stream: Stream, place: Place) {
    let (server, conn) = (&server, &place.conn);
    let service = service_fn(|request| async move { Ok::<_, Infallible>(server.answer(conn, request).await) });
    let connection = http1::Builder::new()
        // The clock in `drive` does this; hyper's would also end kept connections.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_buf_size(server.settings.limits.head_bytes.max(8192))
        .serve_connection(Guarded::new(stream, conn, &server.state), service);
    drive(connection, conn, &server.conns).await;
}

/// An error of accepting. Some belong to the connection that was to be accepted; the rest need a pause.
async fn exhausted(server: &Server, error: &io::Error) {
    const PAUSE: Duration = Duration::from_millis(50);
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            server.conns.spare();
            sleep(PAUSE).await;
        }
        Some(Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR | Errno::PROTO | Errno::PERM) => {}
        _ => sleep(PAUSE).await,
    }
}

enum Listener {
    Tcp(TcpListener),
    /// The file is only held: it is removed with the listener.
    Unix(UnixListener, #[allow(dead_code, reason = "held for its Drop")] SocketFile),
}

impl Listener {
    fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound.0 {
            Socket::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener, file) => Listener::Unix(UnixListener::from_std(listener)?, file),
        })
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let tcp = |(stream, _): (TcpStream, _)| Stream::Tcp(stream);
        match self {
            Listener::Tcp(listener) => listener.poll_accept(cx).map_ok(tcp),
            Listener::Unix(listener, _) => listener.poll_accept(cx).map_ok(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

fn poll_accept(listeners: &mut [Listener], cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
    for at in 0..listeners.len() {
        if let Some(Poll::Ready(accepted)) = listeners.get(at).map(|listener| listener.poll_accept(cx)) {
            // A flood at one address must not starve the others.
            listeners.rotate_left(at + 1);
            return Poll::Ready(accepted);
        }
    }
    Poll::Pending
}
