use super::receiver::{End, script};
use super::{PATIENCE, later, refused, send, target};
use crate::export::transport::{Outcome, Protocol, Target, Transport};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_millis(600);
const BOTH: [Protocol; 2] = [Protocol::HttpProtobuf, Protocol::Grpc];

/// What becomes of a request to a server that follows a script.
async fn against(say: &'static [u8], end: End, protocol: Protocol) -> Outcome {
    within(PATIENCE, say, end, protocol).await
}

async fn within(timeout: Duration, say: &'static [u8], end: End, protocol: Protocol) -> Outcome {
    let (address, connections) = script(say, end).await;
    let target = Target { timeout, ..target(&format!("http://{address}"), protocol) };
    let begun = Instant::now();
    let outcome = send(&mut Transport::new(target).unwrap()).await;
    assert_eq!(connections.load(SeqCst), 1, "a fresh connection that fails is not tried again");
    assert!(begun.elapsed() < timeout * 8, "{:?}", begun.elapsed());
    outcome
}

#[tokio::test]
async fn silence_costs_the_timeout_and_no_more() {
    for protocol in BOTH {
        let why = later(within(TIMEOUT, b"", End::Wait, protocol).await);
        assert_eq!(why, "no answer within 0.6 s: while the answer was awaited");
    }
    for say in [&b"HTTP/1.1 200 OK\r\nA: "[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"] {
        let why = later(within(TIMEOUT, say, End::Wait, Protocol::HttpProtobuf).await);
        assert!(why.starts_with("no answer within"), "{why}");
    }
}

#[tokio::test]
async fn a_tls_peer_that_hangs_costs_the_timeout_and_no_more() {
    let (address, _) = script(b"", End::Wait).await;
    for protocol in BOTH {
        let mut target = Target { timeout: TIMEOUT, ..target(&format!("https://{address}"), protocol) };
        target.tls.insecure_skip_verify = true;
        let why = later(send(&mut Transport::new(target).unwrap()).await);
        assert_eq!(why, "no answer within 0.6 s: during the handshake of TLS");
    }
}

#[tokio::test]
async fn connections_that_end_are_to_be_tried_again() {
    for say in [
        &b""[..],
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
    ] {
        let outcome = against(say, End::Close, Protocol::HttpProtobuf).await;
        let why = later(outcome);
        assert!(why.starts_with("the connection ended"), "{why}");
    }
    let outcome = against(b"", End::Close, Protocol::Grpc).await;
    later(outcome);
}

#[tokio::test]
async fn what_is_no_protocol_is_to_be_tried_again() {
    for protocol in BOTH {
        for say in [&b"\x15\x03\x01\0\x02\x02\x50"[..], b"SSH-2.0-x\r\n", b"\0\0\0\0\0\0\0\0\0"] {
            let outcome = within(TIMEOUT, say, End::Wait, protocol).await;
            later(outcome);
        }
    }
    // gRPC to a server that speaks HTTP/1 only.
    let outcome = against(b"HTTP/1.1 400 Bad Request\r\n\r\n", End::Wait, Protocol::Grpc).await;
    let why = later(outcome);
    assert!(why.contains("is this a port of gRPC?"), "{why}");
}

#[tokio::test]
async fn nothing_is_read_without_end() {
    let body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    static ENDLESS: [u8; 8192 + 8] = {
        let mut piece = [b'x'; 8192 + 8];
        let head = *b"2000\r\n";
        let mut at = 0;
        while at < head.len() {
            piece[at] = head[at];
            at += 1;
        }
        piece[8192 + 6] = b'\r';
        piece[8192 + 7] = b'\n';
        piece
    };
    let whole: &'static [u8] = Box::leak([&body[..], &ENDLESS.repeat(20)].concat().into_boxed_slice());
    let outcome = against(whole, End::Wait, Protocol::HttpProtobuf).await;
    assert!(
        matches!(&outcome, Outcome::Taken { rejected: 0, message: Some(said) } if said.contains("65536")),
        "{outcome:?}"
    );
    let refusal: &'static [u8] = Box::leak(
        [b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n", &ENDLESS.repeat(20)[..]].concat().into_boxed_slice(),
    );
    let outcome = against(refusal, End::Wait, Protocol::HttpProtobuf).await;
    assert_eq!(refused(outcome), "HTTP status 400");
    // A head without end.
    let head: &'static [u8] =
        Box::leak([b"HTTP/1.1 200 OK\r\n", &b"a: b\r\n".repeat(10_000)[..]].concat().into_boxed_slice());
    for say in [head, b"HTTP/1.1 100 Continue\r\n\r\n"] {
        let outcome = within(TIMEOUT, say, End::Repeat, Protocol::HttpProtobuf).await;
        later(outcome);
    }
}

#[tokio::test]
async fn a_send_that_is_given_up_leaves_nothing_half_sent() {
    let receiver = super::receiver::saying(200, &[], b"").await;
    let mut transport = Transport::new(target(&receiver.url(), Protocol::HttpProtobuf)).unwrap();
    for _ in 0..20 {
        for turns in 0..8 {
            let mut sending = Box::pin(send(&mut transport));
            for _ in 0..turns {
                let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(sending.as_mut().poll(cx))).await;
                tokio::task::yield_now().await;
            }
            drop(sending);
        }
        assert_eq!(send(&mut transport).await, super::taken());
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_all_was_sent_counts() {
    let (address, _) = script(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nlong", End::Wait).await;
    let mut target = target(&format!("http://{address}"), Protocol::HttpProtobuf);
    (target.gzip, target.timeout) = (false, Duration::from_secs(5));
    let mut transport = Transport::new(target).unwrap();
    let outcome = transport.send(&vec![0; 32 << 20], 1).await;
    assert_eq!(refused(outcome), "HTTP status 413: long");
}

#[tokio::test]
async fn a_timeout_may_be_longer_than_clocks_go() {
    let receiver = super::receiver::saying(200, &[], b"").await;
    let base = target(&receiver.url(), Protocol::HttpProtobuf);
    let mut transport = Transport::new(Target { timeout: Duration::MAX, ..base }).unwrap();
    assert_eq!(send(&mut transport).await, super::taken());
}
