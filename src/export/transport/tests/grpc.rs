use super::authority::Authority;
use super::receiver::Relay;
use super::tonic::{Receiver, Settings, start};
use super::{later, refused, request, send, taken, target};
use crate::export::transport::{Auth, Outcome, Protocol, Target, Transport};
use hyper::body::Bytes;
use hyper::http::Response;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use prost::Message;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tonic::{Code, Status};

fn grpc(receiver: &Receiver) -> Target {
    target(&format!("http://{}", receiver.address), Protocol::Grpc)
}

async fn saying_status(status: Status) -> Outcome {
    let receiver = start(Settings { say: Err(status), ..Settings::default() }).await;
    send(&mut Transport::new(grpc(&receiver)).unwrap()).await
}

#[tokio::test]
async fn calls_arrive_as_they_are_compressed_or_not() {
    let receiver = start(Settings::default()).await;
    for gzip in [true, false] {
        let headers = vec![("x-scope-orgid".to_owned(), "me".to_owned())];
        let mut transport = Transport::new(Target { gzip, headers, ..grpc(&receiver) }).unwrap();
        for points in [0, 1, 20_000] {
            let request = request(points);
            assert_eq!(transport.send(&request.encode_to_vec(), points).await, taken());
            let (metadata, got) = receiver.got.lock().unwrap().pop().unwrap();
            assert!(got == request, "{points} points");
            let text = |name: &str| metadata.get(name).map_or("", |value| value.to_str().unwrap());
            assert_eq!(text("x-scope-orgid"), "me");
            assert_eq!(text("user-agent"), concat!("wholenode/", env!("CARGO_PKG_VERSION")));
            let left: u32 = text("grpc-timeout").strip_suffix('m').unwrap().parse().unwrap();
            assert!((10_000..=20_000).contains(&left), "{left}");
        }
    }
}

#[tokio::test]
async fn what_is_taken_in_part_is_told() {
    let partial = ExportMetricsPartialSuccess { rejected_data_points: 2, error_message: "old".to_owned() };
    let say = Ok(ExportMetricsServiceResponse { partial_success: Some(partial) });
    let receiver = start(Settings { say, ..Settings::default() }).await;
    let outcome = send(&mut Transport::new(grpc(&receiver)).unwrap()).await;
    assert_eq!(outcome, Outcome::Taken { rejected: 2, message: Some("old".to_owned()) });
}

#[tokio::test]
async fn codes_mean_what_the_specification_says() {
    let why = later(saying_status(Status::unavailable("a moment, 100%\nplease")).await);
    assert_eq!(why, "gRPC status UNAVAILABLE: a moment, 100% please");
    for status in [Status::invalid_argument("x"), Status::unauthenticated("x"), Status::resource_exhausted("x")] {
        refused(saying_status(status).await);
    }
    // google.rpc.Status { details: [Any { RetryInfo { retry_delay: 5.5 s } }] }
    let mut info = b"\x0a\x07\x08\x05\x10\x80\xca\xb5\xee\x01".to_vec();
    info[1] = (info.len() - 2) as u8;
    let kind = b"type.googleapis.com/google.rpc.RetryInfo";
    let any = [&[0x0a, kind.len() as u8][..], kind, &[0x12, info.len() as u8], &info].concat();
    let details = [&[0x1a, any.len() as u8][..], &any].concat();
    let outcome = saying_status(Status::with_details(Code::ResourceExhausted, "busy", details.into())).await;
    let expected = Outcome::Later {
        after: Some(Duration::from_millis(5500)),
        why: "gRPC status RESOURCE_EXHAUSTED: busy".to_owned(),
    };
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn what_the_receiver_can_not_take_is_refused() {
    let receiver = start(Settings { longest: 1000, ..Settings::default() }).await;
    for gzip in [true, false] {
        let mut transport = Transport::new(Target { gzip, ..grpc(&receiver) }).unwrap();
        let why = refused(transport.send(&request(20_000).encode_to_vec(), 20_000).await);
        assert!(why.contains("too large"), "{why}");
        assert_eq!(send(&mut transport).await, taken(), "the next one is not concerned");
    }
    let receiver = start(Settings { takes_gzip: false, ..Settings::default() }).await;
    let why = refused(send(&mut Transport::new(grpc(&receiver)).unwrap()).await);
    assert!(why.contains("UNIMPLEMENTED"), "{why}");
}

#[tokio::test]
async fn tls_and_tokens_go_along() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let tls = Some((theirs.issue("127.0.0.1"), Some(ours.pem())));
    let receiver = start(Settings { tls, ..Settings::default() }).await;
    let mut target = target(&receiver.address.to_string(), Protocol::Grpc);
    target.tls = theirs.believed();
    later(send(&mut Transport::new(target.clone()).unwrap()).await);
    ours.identify(&mut target.tls, "edge-7");
    target.auth = Some(Auth::BearerFile(ours.file("token", "t0ken\n")));
    let mut transport = Transport::new(target).unwrap();
    assert_eq!(send(&mut transport).await, taken());
    ours.file("token", "another");
    assert_eq!(send(&mut transport).await, taken());
    let got = receiver.got.lock().unwrap();
    let tokens: Vec<_> =
        got.iter().map(|(metadata, _)| metadata.get("authorization").unwrap().to_str().unwrap()).collect();
    assert_eq!(tokens, ["Bearer t0ken", "Bearer another"]);
}

#[tokio::test]
async fn a_connection_that_was_cut_while_nothing_was_sent_is_no_failure() {
    let receiver = start(Settings::default()).await;
    let relay = Relay::to(receiver.address).await;
    let mut transport = Transport::new(target(&format!("http://{}", relay.address), Protocol::Grpc)).unwrap();
    for connections in 1..4 {
        assert_eq!(send(&mut transport).await, taken());
        assert_eq!(send(&mut transport).await, taken());
        assert_eq!(relay.connections.load(SeqCst), connections);
        relay.cut().await;
    }
}

/// A server of HTTP/2 that answers each stream by hand, and ends each connection after so many.
async fn by_hand(
    most: usize,
    say: impl Fn(h2::server::SendResponse<Bytes>) + Send + Sync + 'static,
) -> std::net::SocketAddr {
    let listener = super::receiver::listener().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut answered = 0;
            while let Some(Ok((_, respond))) = connection.accept().await {
                say(respond);
                answered += 1;
                if answered == most {
                    connection.graceful_shutdown();
                }
            }
        }
    });
    address
}

async fn against(say: impl Fn(h2::server::SendResponse<Bytes>) + Send + Sync + 'static) -> Outcome {
    let address = by_hand(usize::MAX, say).await;
    let target = target(&format!("http://{address}"), Protocol::Grpc);
    send(&mut Transport::new(target).unwrap()).await
}

fn head(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let builder = Response::builder().status(status);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn a_status_may_come_in_the_head() {
    for (code, message) in [("14", "gRPC status UNAVAILABLE: x y"), ("4", "gRPC status DEADLINE_EXCEEDED: x y")] {
        let say = move |mut respond: h2::server::SendResponse<Bytes>| {
            respond.send_response(head(200, &[GRPC, ("grpc-status", code), ("grpc-message", "x%20y")]), true).unwrap();
        };
        assert_eq!(later(against(say).await), message);
    }
}

#[tokio::test]
async fn statuses_of_http_count_where_there_is_no_grpc() {
    for (status, is_later) in [(401, false), (404, false), (429, true), (500, false), (502, true), (503, true)] {
        let outcome = against(move |mut respond| {
            respond.send_response(head(status, &[("content-type", "text/plain"), ("retry-after", "7")]), true).unwrap();
        });
        match outcome.await {
            Outcome::Later { after, .. } if is_later => assert_eq!(after, Some(Duration::from_secs(7))),
            outcome => assert!(refused(outcome).starts_with(&format!("HTTP status {status}"))),
        }
    }
    let outcome = against(|mut respond| drop(respond.send_response(head(200, &[]), true)));
    assert!(refused(outcome.await).contains("expected gRPC"));
}

#[tokio::test]
async fn answers_that_are_none_are_to_be_tried_again() {
    let why = later(against(|mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM)).await);
    assert!(why.contains("refused stream"), "{why}");
    let no_status = |mut respond: h2::server::SendResponse<Bytes>| {
        let mut body = respond.send_response(head(200, &[GRPC]), false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0\0\0"), true).unwrap();
    };
    assert_eq!(later(against(no_status).await), "the answer ended without a status");
    let half = |mut respond: h2::server::SendResponse<Bytes>| {
        let mut body = respond.send_response(head(200, &[GRPC]), false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0"), false).unwrap();
        body.send_reset(h2::Reason::INTERNAL_ERROR);
    };
    let why = later(against(half).await);
    assert!(why.starts_with("the connection ended"), "{why}");
    let endless = |mut respond: h2::server::SendResponse<Bytes>| {
        let mut body = respond.send_response(head(200, &[GRPC]), false).unwrap();
        body.send_data(vec![0; 1 << 20].into(), false).unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(body);
        });
    };
    let why = later(against(endless).await);
    assert!(why.contains("more than 65536 bytes"), "{why}");
}

#[tokio::test]
async fn connections_that_are_said_to_end_are_replaced() {
    let address = by_hand(2, |mut respond| {
        respond.send_response(head(200, &[GRPC, ("grpc-status", "0")]), true).unwrap();
    });
    let address = address.await;
    let mut transport = Transport::new(target(&format!("http://{address}"), Protocol::Grpc)).unwrap();
    for _ in 0..7 {
        assert_eq!(send(&mut transport).await, taken());
    }
}
