//! What is spoken on a connection: HTTP/1 in the clear; or TLS, and below it what the client chose.

use super::conn::Conn;
use super::guard::{Guarded, Serving, Stream};
use super::http2;
use super::routes::Server;
use super::tls::{H2, Secure};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

/// Header lines a request may have.
const HEADERS_MAX: usize = 64;

/// What is to be done for a new connection; nothing if TLS can't begin.
pub(super) fn begin(server: &Arc<Server>, stream: Arc<Stream>, conn: &Arc<Conn>) -> Option<Serving> {
    let (mine, of) = (Arc::clone(server), Arc::clone(conn));
    let gate = server.door.as_ref().map(|door| &door.gate);
    let config = gate.and_then(|gate| {
        server.threads.relieved(server);
        gate.refresh();
        let rules = gate.rules();
        conn.begin(rules.generation);
        rules.tls.clone()
    });
    let Some(config) = config else {
        let wire = Wire::Plain(Guarded::new(&stream, conn, &server.state));
        return Some(Serving::new(stream, serve_http1(mine, wire, of)));
    };
    let secure = Secure::new(config, &stream, conn, &server.state).ok()?;
    Some(Serving::new(stream, serve_tls(mine, secure, of)))
}

async fn serve_tls(server: Arc<Server>, mut secure: Secure, conn: Arc<Conn>) {
    if let Err(error) = poll_fn(|cx| secure.poll_handshake(cx)).await {
        server.state.handshakes_failed.fetch_add(1, Relaxed);
        tracing::debug!(%error, "a TLS handshake failed");
        return secure.refuse();
    }
    let is_http2 = secure.protocol() == Some(H2);
    let wire = Wire::Tls(Box::new(secure));
    if is_http2 {
        http2::serve(server, wire, conn).await;
    } else {
        serve_http1(server, wire, conn).await;
    }
}

async fn serve_http1(server: Arc<Server>, wire: Wire, conn: Arc<Conn>) {
    let (server, conn) = (&server, &conn);
    let service = service_fn(|request| async move { Ok::<_, Infallible>(server.answer(conn, request).await) });
    let connection = http1::Builder::new()
        // `Server::drive` does this; hyper's would also end kept connections.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_buf_size(server.settings.limits.head_bytes.max(8192))
        .serve_connection(wire, service);
    // How it ended is the client's business; what it cost is counted elsewhere.
    let _ = connection.await;
}

/// What hyper reads from and writes to: one kind, so that there is one hyper.
pub(super) enum Wire {
    Plain(Guarded),
    Tls(Box<Secure>),
}

impl Read for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, out),
            Wire::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, out),
        }
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Wire::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        }
    }

    // Without this, hyper would copy each page into a buffer of the connection.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
