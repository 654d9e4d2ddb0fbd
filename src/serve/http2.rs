//! HTTP/2: several requests on one connection, all driven by whoever drives the connection.
//!
//! Its limits are those of HTTP/1 where there is a like of them; [`Conn`] knows which answers are on their way. What only
//! HTTP/2 has is bounded here: streams, what is kept for each of them, and streams that are given up.

use super::conn::Conn;
use super::lock;
use super::routes::Server;
use super::speak::Wire;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

/// Requests of one connection at a time; a Prometheus has one.
const STREAMS: u32 = 32;
/// Streams that were reset and not yet looked at, before the client has to go.
const RESETS: usize = 16;
/// Streams that were refused, before the client has to go: Go's begins with 100 before it is told how many it may.
const REFUSALS: usize = 256;
/// What a client may send without being asked to go on. Nobody reads the bodies of requests.
const WINDOW: u32 = 65_535;

/// Serves a connection to its end.
pub(super) async fn serve(server: Arc<Server>, wire: Wire, conn: Arc<Conn>) {
    conn.multiplex();
    let tasks = Tasks::default();
    let head_bytes = u32::try_from(server.settings.limits.head_bytes).unwrap_or(u32::MAX);
    let service = service_fn(move |request| {
        let (server, conn) = (Arc::clone(&server), Arc::clone(&conn));
        async move { Ok::<_, Infallible>(server.answer(&conn, request).await) }
    });
    let connection = Builder::new(Taker(Arc::downgrade(&tasks.0)))
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(REFUSALS)
        .max_header_list_size(head_bytes)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .serve_connection(wire, service);
    let mut connection = pin!(connection);
    // How it ended is the client's business; what it cost is counted elsewhere.
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // An answer that is ready goes out at once.
            if !tasks.poll(cx) {
                return Poll::Pending;
            }
        }
    })
    .await;
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What hyper wants done beside the connection itself: one task for each stream. They end with it.
#[derive(Default)]
struct Tasks(Arc<Mutex<Vec<Task>>>);

/// Takes tasks. Each of them has one, so it must not keep them alive.
#[derive(Clone)]
struct Taker(Weak<Mutex<Vec<Task>>>);

impl Tasks {
    /// Goes on with all of them; whether one has ended.
    fn poll(&self, cx: &mut Context<'_>) -> bool {
        let mut tasks = mem::take(&mut *lock(&self.0));
        let all = tasks.len();
        tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
        let has_ended = tasks.len() < all;
        lock(&self.0).append(&mut tasks);
        has_ended
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Taker {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            lock(&tasks).push(Box::pin(task));
        }
    }
}
