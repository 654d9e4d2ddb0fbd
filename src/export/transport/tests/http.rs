use super::receiver::{self, Receiver, Relay, answer, listener, saying, start};
use super::{later, refused, request, send, taken, target};
use crate::export::transport::{Auth, Outcome, Protocol, Target, Transport};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use prost::Message;
use std::fs::write;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, SystemTime};

fn http(receiver: &Receiver) -> Target {
    target(&receiver.url(), Protocol::HttpProtobuf)
}

async fn outcome(receiver: &Receiver) -> Outcome {
    send(&mut Transport::new(http(receiver)).unwrap()).await
}

#[tokio::test]
async fn requests_arrive_as_they_are_compressed_or_not_over_one_connection() {
    let receiver = saying(200, &[("content-type", "application/x-protobuf")], b"").await;
    for gzip in [true, false] {
        let mut transport = Transport::new(Target { gzip, ..http(&receiver) }).unwrap();
        for points in [0, 1, 20_000] {
            let request = request(points);
            assert_eq!(transport.send(&request.encode_to_vec(), points).await, taken());
            let got = receiver.last();
            assert!(got.request == request, "{points} points");
            assert_eq!(got.target, "/v1/metrics");
            assert_eq!(got.header("host"), receiver.address.to_string());
            assert_eq!(got.header("content-type"), "application/x-protobuf");
            assert_eq!(got.header("content-encoding"), if gzip { "gzip" } else { "" });
            assert_eq!(got.header("user-agent"), concat!("wholenode/", env!("CARGO_PKG_VERSION")));
        }
    }
    assert_eq!((receiver.requests(), receiver.connections()), (6, 2));
}

#[tokio::test]
async fn headers_and_the_path_are_those_of_the_target() {
    let receiver = saying(204, &[], b"").await;
    let mut target = http(&receiver);
    target.url = format!("http://{}/otlp/v1/metrics?db=a", receiver.address);
    target.headers = vec![("X-Scope-OrgID".to_owned(), "me".to_owned()), ("b".to_owned(), " c d ".to_owned())];
    assert_eq!(send(&mut Transport::new(target).unwrap()).await, taken());
    let got = receiver.last();
    assert_eq!((&*got.target, got.header("x-scope-orgid"), got.header("b")), ("/otlp/v1/metrics?db=a", "me", "c d"));
}

#[tokio::test]
async fn what_can_not_be_sent_is_told_before() {
    let base = || target("http://a/v1/metrics", Protocol::HttpProtobuf);
    let said = |target: Target| Transport::new(target).err().unwrap();
    for name in ["content-type", "Host", "grpc-timeout", "a b", ""] {
        let said = said(Target { headers: vec![(name.to_owned(), "x".to_owned())], ..base() });
        assert!(said.starts_with(&format!("header \"{name}\": expected")), "{said}");
    }
    let told = said(Target { headers: vec![("a".to_owned(), "secret\n1".to_owned())], ..base() });
    assert!(told.contains("expected a value") && !told.contains("secret"), "{told}");
    let auth = Some(Auth::BearerFile("x".to_owned()));
    let told = said(Target { headers: vec![("Authorization".to_owned(), "x".to_owned())], auth, ..base() });
    assert!(told.contains("expected either it"), "{told}");
    let auth = Some(Auth::Basic { user: "a:b".to_owned(), password_file: "x".to_owned() });
    assert!(said(Target { auth, ..base() }).contains("without a colon"));
}

#[tokio::test]
async fn tokens_and_passwords_are_read_again_when_their_file_changes() {
    let receiver = saying(200, &[], b"").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let name = path.to_str().unwrap().to_owned();
    let basic = Auth::Basic { user: "ann".to_owned(), password_file: name.clone() };
    for (auth, first, second) in [
        (Auth::BearerFile(name), "Bearer one", "Bearer three"),
        // ann:one, ann:three
        (basic, "Basic YW5uOm9uZQ==", "Basic YW5uOnRocmVl"),
    ] {
        let _ = std::fs::remove_file(&path);
        let mut transport = Transport::new(Target { auth: Some(auth), ..http(&receiver) }).unwrap();
        let why = later(send(&mut transport).await);
        assert!(why.contains("secret: No such file"), "{why}");
        for (text, expected) in [("one\n", first), (" \n", first), ("three", second)] {
            write(&path, text).unwrap();
            assert_eq!(send(&mut transport).await, taken());
            assert_eq!(receiver.last().header("authorization"), expected);
        }
    }
    assert_eq!(receiver.connections(), 2, "another token needs no other connection");
}

#[tokio::test]
async fn answers_mean_what_the_specification_says() {
    let receiver = saying(429, &[("retry-after", "17")], b"slow down").await;
    let why = "HTTP status 429: slow down".to_owned();
    assert_eq!(outcome(&receiver).await, Outcome::Later { after: Some(Duration::from_secs(17)), why });

    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1000));
    let receiver = saying(503, &[("retry-after", &date)], b"").await;
    let Outcome::Later { after: Some(after), .. } = outcome(&receiver).await else { panic!() };
    assert!((980..=1000).contains(&after.as_secs()), "{after:?}");

    let receiver = saying(503, &[], b"").await;
    assert_eq!(later(outcome(&receiver).await), "HTTP status 503");

    for status in [400, 401, 404, 413, 500] {
        let receiver = saying(status, &[("content-type", "text/plain")], b"no\x1b[1m\nnever").await;
        let place = if status == 404 { "; asked for was /v1/metrics" } else { "" };
        assert_eq!(refused(outcome(&receiver).await), format!("HTTP status {status}: no [1m never{place}"));
        assert_eq!(receiver.requests(), 1);
    }
}

#[tokio::test]
async fn what_is_taken_in_part_is_told() {
    let partial = ExportMetricsPartialSuccess { rejected_data_points: 2, error_message: "too\nold".to_owned() };
    let body = ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let receiver = saying(200, &[("content-type", "application/x-protobuf")], &body).await;
    let expected = Outcome::Taken { rejected: 2, message: Some("too old".to_owned()) };
    assert_eq!(outcome(&receiver).await, expected);
    // More than there were is no number that anybody can add up.
    let mut transport = Transport::new(http(&receiver)).unwrap();
    let outcome = transport.send(&request(1).encode_to_vec(), 1).await;
    assert!(matches!(outcome, Outcome::Taken { rejected: 1, .. }));
}

#[tokio::test]
async fn a_connection_that_ended_while_nothing_was_sent_is_no_failure() {
    let socket = listener().await;
    let closing = |_: &receiver::Got| answer(200, &[("connection", "close")], b"");
    let receiver = start(socket, None, closing).await;
    let mut transport = Transport::new(http(&receiver)).unwrap();
    for _ in 0..3 {
        assert_eq!(send(&mut transport).await, taken());
    }
    assert_eq!((receiver.requests(), receiver.connections()), (3, 3));
    drop(receiver);

    // Without a word: from outside it looks as if it were open.
    let receiver = saying(200, &[], b"").await;
    let relay = Relay::to(receiver.address).await;
    let url = format!("http://{}/", relay.address);
    let mut transport = Transport::new(target(&url, Protocol::HttpProtobuf)).unwrap();
    for connections in 1..4 {
        assert_eq!(send(&mut transport).await, taken());
        assert_eq!(send(&mut transport).await, taken());
        assert_eq!(relay.connections.load(SeqCst), connections);
        relay.cut().await;
    }
    assert_eq!(receiver.requests(), 6);
}

#[tokio::test]
async fn nobody_there_is_told() {
    let address = listener().await.local_addr().unwrap();
    let target = target(&format!("http://{address}/"), Protocol::HttpProtobuf);
    let why = later(send(&mut Transport::new(target).unwrap()).await);
    assert!(why.starts_with(&format!("no connection to 127.0.0.1: {address}: Connection refused")), "{why}");
}

#[tokio::test]
async fn an_ipv6_address_is_reached() {
    let Ok(socket) = tokio::net::TcpListener::bind("[::1]:0").await else {
        println!("skipped: no IPv6 here");
        return;
    };
    let receiver = start(socket, None, |_| answer(200, &[], b"")).await;
    assert_eq!(outcome(&receiver).await, taken());
    assert_eq!(receiver.last().header("host"), receiver.address.to_string());
}
