//! A small server of DNS, and the files beside it.

use super::authority::Authority;
use super::receiver::{answer, listener, saying, secure, start};
use super::{later, send, taken, target};
use crate::export::transport::names::Names;
use crate::export::transport::{Protocol, Target, Transport};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::UdpSocket;

/// Names that are in the file of hosts only.
pub(super) fn fixed(rows: &[(&str, &str)]) -> (Names, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (hosts, resolv_conf) = (folder.path().join("hosts"), folder.path().join("resolv.conf"));
    let text: String = rows.iter().map(|(address, name)| format!("{address} {name}\n")).collect();
    std::fs::write(&hosts, text).unwrap();
    std::fs::write(&resolv_conf, "search example\nnameserver 127.0.0.1\n").unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    (Names { hosts: path(&hosts), resolv_conf: path(&resolv_conf), port: 1 }, folder)
}

/// What a server does with questions of one kind.
#[derive(Clone)]
enum Says {
    Addresses(Vec<&'static str>),
    Nothing,
    NoSuchName,
}

/// Names that a server knows: `collector.example` alone. And what it was asked.
async fn served(four: Says, six: Says) -> (Names, TempDir, Arc<Mutex<Vec<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut names, folder) = fixed(&[]);
    names.port = socket.local_addr().unwrap().port();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut room = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut room).await.unwrap();
            let question = Message::from_vec(&room[..length]).unwrap();
            let query = question.queries[0].clone();
            seen.lock().unwrap().push(query.name().to_string().to_lowercase());
            let mut said = Message::response(question.metadata.id, question.metadata.op_code);
            said.metadata.message_type = MessageType::Response;
            said.metadata.recursion_available = true;
            said.add_query(query.clone());
            let is_known = query.name().to_string().eq_ignore_ascii_case("collector.example.");
            match if query.query_type() == RecordType::A { &four } else { &six } {
                _ if !is_known => said.metadata.response_code = ResponseCode::NXDomain,
                Says::Nothing => continue,
                Says::NoSuchName => said.metadata.response_code = ResponseCode::NXDomain,
                Says::Addresses(addresses) => {
                    for address in addresses {
                        let address: IpAddr = address.parse().unwrap();
                        said.add_answer(Record::from_rdata(query.name().clone(), 60, RData::from(address)));
                    }
                }
            }
            socket.send_to(&said.to_vec().unwrap(), from).await.unwrap();
        }
    });
    (names, folder, asked)
}

fn transport(target: Target, names: &Names) -> Transport {
    let mut transport = Transport::new(target).unwrap();
    transport.names = names.clone();
    transport
}

#[tokio::test]
async fn a_receiver_is_found_by_its_name() {
    let authority = Authority::new();
    let receiver = secure(authority.issue("collector.example").server(None)).await;
    let (names, _folder, asked) = served(Says::Addresses(vec!["127.0.0.1"]), Says::Addresses(vec![])).await;
    let url = |host: &str| format!("https://{host}:{}/v1/metrics", receiver.address.port());
    let https = |host: &str| Target { tls: authority.believed(), ..target(&url(host), Protocol::HttpProtobuf) };
    let mut one = transport(https("collector.example"), &names);
    assert_eq!(send(&mut one).await, taken());
    assert_eq!(send(&mut one).await, taken());
    assert_eq!(receiver.connections(), 1);
    // By the domain that is searched.
    let mut short = https("collector");
    short.tls.server_name = Some("collector.example".to_owned());
    assert_eq!(send(&mut transport(short, &names)).await, taken());
    assert!(asked.lock().unwrap().contains(&"collector.example.".to_owned()));
    let why = later(send(&mut transport(https("nobody.example"), &names)).await);
    assert_eq!(why, "nobody.example: no address: there is no such name");
}

#[tokio::test]
async fn the_file_of_hosts_comes_first() {
    let receiver = saying(200, &[], b"").await;
    let (names, _folder) = fixed(&[("::1", "other"), ("127.0.0.1", "Collector.example alias")]);
    for host in ["collector.example", "alias", "COLLECTOR.EXAMPLE"] {
        let url = format!("http://{host}:{}/", receiver.address.port());
        assert_eq!(send(&mut transport(target(&url, Protocol::HttpProtobuf), &names)).await, taken(), "{host}");
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_fails_or_takes_long() {
    let receiver = saying(200, &[], b"").await;
    let url = format!("http://collector.example:{}/", receiver.address.port());
    // Nobody is at the first two, and 240.0.0.1 is nowhere.
    let four = Says::Addresses(vec!["127.0.0.2", "240.0.0.1", "127.0.0.1"]);
    let (names, _folder, _) = served(four, Says::Addresses(vec!["::1"])).await;
    assert_eq!(send(&mut transport(target(&url, Protocol::HttpProtobuf), &names)).await, taken());

    // One that takes a connection only after all others were tried: its queue is full.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.3:0".parse().unwrap()).unwrap();
    let full = full.listen(0).unwrap();
    let slow = full.local_addr().unwrap();
    let fill: Vec<_> = (0..8).map(|_| tokio::spawn(tokio::net::TcpStream::connect(slow))).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let Ok(socket) = tokio::net::TcpListener::bind(("127.0.0.1", slow.port())).await else {
        println!("skipped: the port is taken");
        return;
    };
    let receiver = start(socket, None, |_| answer(200, &[], b"")).await;
    let url = format!("http://collector.example:{}/", slow.port());
    let (names, _folder, _) = served(Says::Addresses(vec!["127.0.0.3", "127.0.0.1"]), Says::NoSuchName).await;
    assert_eq!(send(&mut transport(target(&url, Protocol::HttpProtobuf), &names)).await, taken());
    assert_eq!(receiver.requests(), 1);
    fill.iter().for_each(|one| one.abort());
}

#[tokio::test]
async fn a_server_that_is_silent_about_ipv6_holds_up_little() {
    let receiver = saying(200, &[], b"").await;
    let url = format!("http://collector.example:{}/", receiver.address.port());
    let (names, _folder, _) = served(Says::Addresses(vec!["127.0.0.1"]), Says::Nothing).await;
    let begun = Instant::now();
    assert_eq!(send(&mut transport(target(&url, Protocol::HttpProtobuf), &names)).await, taken());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_is_silent_costs_the_timeout_and_no_more() {
    let (names, _folder, _) = served(Says::Nothing, Says::Nothing).await;
    let timeout = Duration::from_millis(500);
    let target = Target { timeout, ..target("http://collector.example/", Protocol::HttpProtobuf) };
    let why = later(send(&mut transport(target, &names)).await);
    assert_eq!(why, "no answer within 0.5 s: while its name was looked up");
}

#[tokio::test]
async fn without_files_the_server_of_this_machine_is_asked() {
    let names = Names { hosts: "/nowhere".to_owned(), resolv_conf: "/nowhere".to_owned(), port: 1 };
    let target = target("http://collector.example/", Protocol::HttpProtobuf);
    let target = Target { timeout: Duration::from_secs(3), ..target };
    let why = later(send(&mut transport(target, &names)).await);
    assert!(why.contains("collector.example: no address") || why.contains("looked up"), "{why}");
    drop(listener().await);
}
