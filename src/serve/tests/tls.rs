use super::secure::{Authority, Offer, Source, connect, gated, pem, secure, tls};
use super::site::{BIG, DEADLINE, closed, read, read_head, request};
use crate::serve::web::{ClientAuth, Tls, Web};
use crate::serve::{Gate, Limits};
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn pages_come_whole_by_every_version() {
    let (site, authority) = secure(Limits::default());
    for versions in [&[&TLS12][..], &[&TLS13], &[&TLS13, &TLS12]] {
        let mut client = connect(&site, &authority, &Offer { versions, ..Offer::default() });
        for _ in 0..3 {
            client.write_all(request("/metrics", "").as_bytes()).unwrap();
            assert_eq!(read(&mut client).text(), "small 1\n");
        }
        client.write_all(request("/metrics?collect[]=big", "").as_bytes()).unwrap();
        assert!(read(&mut client).body.iter().all(|byte| *byte == b'#'));
        client.write_all(request("/metrics", "Connection: close\r\n").as_bytes()).unwrap();
        assert_eq!(read(&mut client).status, 200);
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "the end is told by TLS, too");
    }
    site.until("all are gone", |figures| figures.connections == 0 && figures.page_bytes == 0);
    assert_eq!(site.figures().handshakes_failed, 0);
}

#[test]
fn http_where_tls_is_spoken_is_told_as_go_does() {
    let (site, _) = secure(Limits::default());
    for text in
        ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD / HTTP/1.0\r\n\r\n", "POST / HTTP/1.1\r\n", "OPTIONS * HTTP"]
    {
        let mut answer = String::new();
        site.send(text).read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
    }
    site.until("all are gone", |figures| figures.connections == 0 && figures.handshakes_failed == 4);
}

#[test]
fn garbage_ends_the_connection() {
    let (site, authority) = secure(Limits::default());
    for garbage in
        [&b"\0\0\0\0\0\0\0"[..], b"\x16\x03\x01\xff\xff1234", b"\x16\x03\x01\0\x05\x01\0\0\x01\0", &[0xff; 4096]]
    {
        let mut client = site.connect();
        client.write_all(garbage).unwrap();
        closed(&mut client);
    }
    // After the handshake.
    let mut client = connect(&site, &authority, &Offer::default());
    client.write_all(request("/metrics", "").as_bytes()).unwrap();
    assert_eq!(read(&mut client).status, 200);
    client.sock.write_all(b"\x17\x03\x03\0\x20garbage garbage garbage garbage ").unwrap();
    assert!(client.read(&mut [0]).is_err(), "an alert");
    closed(&mut client.sock);
    site.until("all are gone", |figures| figures.connections == 0);
}

#[test]
fn handshakes_that_stall_are_cut_off_and_delay_no_one() {
    let (site, authority) = secure(Limits { header: ms(2500), ..Limits::default() });
    let mut stalled: Vec<TcpStream> = (0..200)
        .map(|at| match at % 3 {
            0 => site.connect(),
            1 => site.send("\u{16}\u{3}\u{1}\u{2}"),
            _ => {
                let mut client = connect(&site, &authority, &Offer::default());
                // The hello, and nothing after it.
                client.conn.write_tls(&mut client.sock).unwrap();
                client.sock
            }
        })
        .collect();
    // A byte at a time wins nothing.
    let mut trickle = site.send("\u{16}\u{3}\u{1}\u{40}");
    site.until("all are there", |figures| figures.connections == 201);
    let begun = Instant::now();
    let mut good = connect(&site, &authority, &Offer::default());
    let mut pages = 0;
    while begun.elapsed() < ms(1000) {
        good.write_all(request("/metrics", "").as_bytes()).unwrap();
        assert_eq!(read(&mut good).text(), "small 1\n");
        pages += 1;
        trickle.write_all(&[1]).unwrap();
        thread::sleep(ms(1));
    }
    assert!(pages >= 5, "{pages} pages in a second");
    stalled.push(trickle);
    stalled.iter_mut().for_each(closed);
    site.until("all are cut off", |figures| figures.connections == 1 && figures.late_header == 201);
    good.write_all(request("/metrics", "").as_bytes()).unwrap();
    assert_eq!(read(&mut good).status, 200);
}

#[test]
fn a_client_that_says_nothing_after_the_handshake_is_cut_off() {
    let (site, authority) = secure(Limits { header: ms(400), idle: ms(1000), ..Limits::default() });
    for protocols in [&[&b"http/1.1"[..]][..], &[b"h2"]] {
        let mut silent = connect(&site, &authority, &Offer { protocols, ..Offer::default() });
        silent.flush().unwrap();
        while silent.conn.is_handshaking() {
            silent.conn.complete_io(&mut silent.sock).unwrap();
        }
        closed(&mut silent.sock);
    }
    site.until("both are gone", |figures| figures.connections == 0 && figures.late_header == 2);
}

#[test]
fn a_slow_reader_of_tls_is_cut_off() {
    let (site, authority) = secure(Limits { write: ms(500), ..Limits::default() });
    let mut slow = connect(&site, &authority, &Offer::default());
    slow.write_all(request("/metrics?collect[]=big", "").as_bytes()).unwrap();
    read_head(&mut slow);
    site.until("it waits for its reader", |figures| figures.page_bytes == BIG);
    site.until("it is gone", |figures| figures.connections == 0 && figures.page_bytes == 0);
    assert_eq!(site.figures().late_write, 1);
}

#[test]
fn many_clients_with_tls_are_served_at_once() {
    let (site, authority) = secure(Limits::default());
    let mut clients: Vec<_> = (0..200).map(|_| connect(&site, &authority, &Offer::default())).collect();
    let begun = Instant::now();
    for client in &mut clients {
        client.write_all(request("/metrics", "").as_bytes()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(read(client).status, 200);
    }
    assert_eq!(site.figures().connections, 200);
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[test]
fn stopping_waits_for_no_one_with_tls() {
    let (site, authority) = secure(Limits::default());
    let mut idle = connect(&site, &authority, &Offer::default());
    idle.write_all(request("/metrics", "").as_bytes()).unwrap();
    read(&mut idle);
    let mut half = site.send("\u{16}\u{3}");
    assert!(site.stop() < ms(1000));
    closed(&mut idle.sock);
    closed(&mut half);
}

/// Whether clients get a page: one without a certificate, one of the authority, one of another.
fn who_is_served(clients: ClientAuth, names: Option<&[&str]>) -> [bool; 4] {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let names = names.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    let client_ca = (clients >= ClientAuth::VerifyIfGiven).then(|| authority.pem());
    let spoken = Tls { clients, client_ca, client_names: names, ..tls(&authority) };
    let source = Source::new(Web { tls: Some(spoken), http2: true, ..Web::default() });
    let (site, _) = gated(&source, Limits::default());
    let offered = [None, Some(authority.issue("good")), Some(authority.issue("other")), Some(foreign.issue("good"))];
    offered.map(|certificate| {
        let served = [&TLS12, &TLS13].map(|version| {
            let offer = Offer { certificate: certificate.clone(), versions: &[version], ..Offer::default() };
            let mut client = connect(&site, &authority, &offer);
            let mut first = [0; 12];
            let is_asked = client.write_all(request("/metrics", "").as_bytes()).is_ok();
            is_asked && client.read_exact(&mut first).is_ok() && &first == b"HTTP/1.1 200"
        });
        assert_eq!(served[0], served[1], "by both versions");
        served[0]
    })
}

#[test]
fn certificates_of_clients_count_as_in_go() {
    let served = |clients| who_is_served(clients, None);
    assert_eq!(served(ClientAuth::None), [true, true, true, true]);
    assert_eq!(served(ClientAuth::Request), [true, true, true, true]);
    assert_eq!(served(ClientAuth::RequireAny), [false, true, true, true]);
    assert_eq!(served(ClientAuth::VerifyIfGiven), [true, true, true, false]);
    assert_eq!(served(ClientAuth::RequireAndVerify), [false, true, true, false]);
    let named = |clients| who_is_served(clients, Some(&["good", "10.0.0.1"]));
    assert_eq!(named(ClientAuth::RequireAndVerify), [false, true, false, false]);
    assert_eq!(named(ClientAuth::VerifyIfGiven), [false, true, false, false]);
    assert_eq!(named(ClientAuth::RequireAny), [false, true, false, true]);
}

#[test]
fn what_can_not_serve_is_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let refused = |tls: Tls| {
        let web = Web { tls: Some(tls), ..Web::default() };
        Gate::open(Box::new(Source::new(web))).unwrap_err()
    };
    let of = |text: &str| pem(text);
    let key = other.issue("x").1;
    let error = refused(Tls { key, ..tls(&authority) });
    assert_eq!(error, "test: expected the key of the certificate in test");
    let error = refused(Tls { key: of("x"), ..tls(&authority) });
    assert_eq!(error, "test: expected a private key in PEM, without a passphrase");
    let error = refused(Tls { certificate: of("x"), ..tls(&authority) });
    assert_eq!(error, "test: expected at least one certificate in PEM");
    let broken = of("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let error = refused(Tls { certificate: broken.clone(), ..tls(&authority) });
    assert_eq!(error, "test: expected an X.509 certificate");
    let clients = ClientAuth::RequireAndVerify;
    let error = refused(Tls { client_ca: Some(broken), clients, ..tls(&authority) });
    assert_eq!(error, "test: expected certificates of an authority");
}

#[test]
fn connections_of_which_less_was_demanded_are_not_served_any_more() {
    let authority = Authority::new();
    let plain = Web { http2: true, ..Web::default() };
    let spoken = Web { tls: Some(tls(&authority)), ..plain.clone() };
    let clients = ClientAuth::RequireAndVerify;
    let closed_to_others = Tls { clients, client_ca: Some(authority.pem()), ..tls(&authority) };
    let source = Source::new(plain);
    let (site, gate) = gated(&source, Limits::default());
    let ask = |client: &mut dyn ReadWrite| {
        client.write_all(request("/metrics", "").as_bytes()).unwrap();
        read(client).status
    };
    let mut clear = site.connect();
    assert_eq!(ask(&mut clear), 200);
    source.say(Ok(spoken.clone()));
    assert_eq!(ask(&mut clear), 421);
    closed(&mut clear);
    let mut client = connect(&site, &authority, &Offer::default());
    assert_eq!(ask(&mut client), 200);
    source.say(Ok(Web { tls: Some(tls(&authority)), ..spoken.clone() }));
    assert_eq!(ask(&mut client), 200, "a new certificate of the server's alone ends nothing");
    source.say(Ok(Web { tls: Some(closed_to_others), ..spoken.clone() }));
    assert_eq!(ask(&mut client), 421);
    closed(&mut client.sock);
    source.say(Ok(spoken));
    let certificate = Some(authority.issue("good"));
    assert_eq!(ask(&mut connect(&site, &authority, &Offer { certificate, ..Offer::default() })), 200);
    assert!(!gate.is_successful(), "certificates of clients are not given up");
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

#[test]
fn a_new_certificate_serves_the_next_connection_and_a_broken_one_does_not() {
    let (first, second) = (Authority::new(), Authority::new());
    let web = |authority: &Authority| Web { tls: Some(tls(authority)), http2: true, ..Web::default() };
    let source = Source::new(web(&first));
    let (site, gate) = gated(&source, Limits::default());
    let is_served = |authority: &Authority| {
        let mut client = connect(&site, authority, &Offer::default());
        client.write_all(request("/metrics", "").as_bytes()).is_ok() && client.read_exact(&mut [0; 12]).is_ok()
    };
    assert!(is_served(&first) && !is_served(&second));
    source.say(Ok(web(&second)));
    assert!(is_served(&second) && !is_served(&first) && gate.is_successful());
    source.say(Err("broken".to_owned()));
    assert!(is_served(&second) && !gate.is_successful());
    let mut broken = web(&first);
    broken.tls.as_mut().unwrap().key = second.issue("x").1;
    source.say(Ok(broken));
    assert!(is_served(&second) && !gate.is_successful());
    source.say(Ok(Web::default()));
    assert!(is_served(&second) && !gate.is_successful(), "TLS is not lost");
    source.say(Ok(web(&first)));
    assert!(is_served(&first) && gate.is_successful());
}
