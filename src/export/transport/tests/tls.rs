use super::authority::Authority;
use super::receiver::{Receiver, saying, secure};
use super::{later, send, taken, target};
use crate::export::transport::target::TlsFiles;
use crate::export::transport::{Protocol, Target, Transport};
use std::fs::{remove_file, write};

fn https(receiver: &Receiver, tls: TlsFiles) -> Target {
    let url = format!("https://{}/v1/metrics", receiver.address);
    Target { tls, ..target(&url, Protocol::HttpProtobuf) }
}

#[tokio::test]
async fn an_authority_of_our_own_is_believed_and_no_other() {
    let (ours, other) = (Authority::new(), Authority::new());
    let receiver = secure(ours.issue("127.0.0.1").server(None)).await;
    let mut transport = Transport::new(https(&receiver, ours.believed())).unwrap();
    assert_eq!(send(&mut transport).await, taken());
    assert_eq!(send(&mut transport).await, taken());
    assert_eq!((receiver.requests(), receiver.connections()), (2, 1));
    let why = later(send(&mut Transport::new(https(&receiver, other.believed())).unwrap()).await);
    assert!(why.contains("its authority is not in") && why.contains("ca.pem"), "{why}");
    let anybody = TlsFiles { insecure_skip_verify: true, ..TlsFiles::default() };
    assert_eq!(send(&mut Transport::new(https(&receiver, anybody)).unwrap()).await, taken());
}

#[tokio::test]
async fn the_name_and_the_time_must_be_right() {
    let ours = Authority::new();
    let receiver = secure(ours.issue("collector.example").server(None)).await;
    let why = later(send(&mut Transport::new(https(&receiver, ours.believed())).unwrap()).await);
    assert!(why.contains("not valid for"), "{why}");
    let named = TlsFiles { server_name: Some("collector.example".to_owned()), ..ours.believed() };
    assert_eq!(send(&mut Transport::new(https(&receiver, named)).unwrap()).await, taken());
    let receiver = secure(ours.issue_until("127.0.0.1", 2020).server(None)).await;
    let why = later(send(&mut Transport::new(https(&receiver, ours.believed())).unwrap()).await);
    assert!(why.to_lowercase().contains("expired"), "{why}");
}

#[tokio::test]
async fn clients_show_their_certificate() {
    let (ours, theirs, other) = (Authority::new(), Authority::new(), Authority::new());
    let receiver = secure(theirs.issue("127.0.0.1").server(Some(&ours))).await;
    let mut known = theirs.believed();
    ours.identify(&mut known, "edge-7");
    assert_eq!(send(&mut Transport::new(https(&receiver, known.clone())).unwrap()).await, taken());
    // Without one, and with a wrong one.
    later(send(&mut Transport::new(https(&receiver, theirs.believed())).unwrap()).await);
    let mut unknown = theirs.believed();
    other.identify(&mut unknown, "edge-7");
    let why = later(send(&mut Transport::new(https(&receiver, unknown)).unwrap()).await);
    assert!(why.to_lowercase().contains("certificate") || why.contains("alert") || why.contains("ended"), "{why}");
    assert_eq!(receiver.requests(), 1);
}

#[tokio::test]
async fn files_that_are_replaced_count_from_the_next_request_on() {
    let (ours, theirs, later_ones) = (Authority::new(), Authority::new(), Authority::new());
    let receiver = secure(theirs.issue("127.0.0.1").server(Some(&ours))).await;
    let mut files = theirs.believed();
    ours.identify(&mut files, "one");
    let mut transport = Transport::new(https(&receiver, files.clone())).unwrap();
    assert_eq!(send(&mut transport).await, taken());
    // Half of it is replaced, or broken, or gone: what was there goes on.
    let (certificate, key) = (files.certificate.clone().unwrap(), files.key.clone().unwrap());
    let second = ours.issue("two");
    write(&certificate, &second.certificate).unwrap();
    assert_eq!(send(&mut transport).await, taken());
    remove_file(&key).unwrap();
    assert_eq!(send(&mut transport).await, taken());
    assert_eq!(receiver.connections(), 1);
    write(&key, &second.key).unwrap();
    assert_eq!(send(&mut transport).await, taken());
    assert_eq!(receiver.connections(), 2, "the new certificate is shown");
    // Whom we believe changes: the receiver is none of them.
    write(files.ca.as_ref().unwrap(), later_ones.pem()).unwrap();
    let why = later(send(&mut transport).await);
    assert!(why.contains("its authority is not in"), "{why}");
    write(files.ca.as_ref().unwrap(), theirs.pem() + &later_ones.pem()).unwrap();
    assert_eq!(send(&mut transport).await, taken());
}

#[tokio::test]
async fn what_is_wrong_with_files_is_told() {
    let ours = Authority::new();
    let receiver = secure(ours.issue("127.0.0.1").server(None)).await;
    let told = |tls: TlsFiles| {
        let target = https(&receiver, tls);
        async move { later(send(&mut Transport::new(target).unwrap()).await) }
    };
    let gone = TlsFiles { ca: Some("/nowhere/ca.pem".to_owned()), ..TlsFiles::default() };
    assert_eq!(told(gone).await, "/nowhere/ca.pem: No such file or directory (os error 2)");
    let empty = TlsFiles { ca: Some(ours.file("empty", "x")), ..TlsFiles::default() };
    assert!(told(empty).await.contains("empty: expected certificates of authorities in PEM"));
    let mut mixed = ours.believed();
    ours.identify(&mut mixed, "a");
    mixed.key = Some(ours.file("other.key", &ours.issue("b").key));
    assert!(told(mixed).await.contains("other.key: expected the key of the certificate in"));
    let alone = TlsFiles { key: Some("k".to_owned()), ..TlsFiles::default() };
    assert!(Transport::new(https(&receiver, alone)).err().unwrap().contains("expected a certificate beside it"));
    assert_eq!(receiver.requests(), 0);
}

#[tokio::test]
async fn the_systems_authorities_are_found_below_the_machines_root() {
    let ours = Authority::new();
    let receiver = secure(ours.issue("127.0.0.1").server(None)).await;
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc/ssl")).unwrap();
    write(root.path().join("etc/ssl/cert.pem"), ours.pem()).unwrap();
    let tls = TlsFiles { rootfs: root.path().to_str().unwrap().to_owned(), ..TlsFiles::default() };
    let outcome = send(&mut Transport::new(https(&receiver, tls)).unwrap()).await;
    // A machine that has authorities itself believes those.
    match super::super::tls::BUNDLES.iter().any(|path| std::path::Path::new(path).exists()) {
        true => assert!(later(outcome).contains("none of the system's")),
        false => assert_eq!(outcome, taken()),
    }
}

#[tokio::test]
async fn a_port_without_tls_is_told() {
    let receiver = saying(200, &[], b"").await;
    let anybody = TlsFiles { insecure_skip_verify: true, ..TlsFiles::default() };
    let why = later(send(&mut Transport::new(https(&receiver, anybody)).unwrap()).await);
    assert!(why.contains("is this a port without TLS?"), "{why}");
}
