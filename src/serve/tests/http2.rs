use super::secure::{Authority, Client, Offer, connect, secure};
use super::site::{BIG, DEADLINE, Site, read, request};
use crate::serve::Limits;
use std::io::{Read, Write};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client that speaks HTTP/2 frame by frame.
struct Http2(Client, Vec<Frame>);

#[derive(Debug, PartialEq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request's head: GET or HEAD.
fn head(stream: u32, method: &str, path: &str) -> Vec<u8> {
    let mut block = vec![0x87];
    for (name, value) in [(0x02, method), (0x04, path), (0x01, "localhost")] {
        block.extend([name, value.len() as u8]);
        block.extend(value.as_bytes());
    }
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

impl Http2 {
    /// With an initial window for each stream.
    fn new(site: &Site, authority: &Authority, window: u32) -> Self {
        let mut client = connect(site, authority, &Offer { protocols: &[b"h2"], ..Offer::default() });
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        client.write_all(&frame(SETTINGS, 0, 0, &settings)).unwrap();
        Http2(client, Vec::new())
    }

    fn send(&mut self, frames: &[u8]) -> bool {
        self.0.write_all(frames).is_ok()
    }

    /// None at the end.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The body of a stream that is answered with 200, whose static index is 8.
    fn body(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let kept = self.1.iter().position(|frame| frame.stream == stream).map(|at| self.1.remove(at));
            let frame = kept.unwrap_or_else(|| self.next().expect("no end before the answer"));
            if frame.stream != stream {
                self.1.push(frame);
                continue;
            }
            match frame.kind {
                HEADERS => assert_eq!(frame.payload[0], 0x88),
                DATA => body.extend(&frame.payload),
                other => panic!("a frame of kind {other}"),
            }
            if frame.flags & END_STREAM != 0 {
                return body;
            }
        }
    }

    fn is_closed(&mut self) -> bool {
        while self.next().is_some() {}
        true
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn pages_come_whole_and_are_shared() {
    let (site, authority) = secure(Limits { join: DEADLINE, ..Limits::default() });
    let mut client = Http2::new(&site, &authority, 1 << 30);
    client.send(&frame(WINDOW, 0, 0, &(1_u32 << 30).to_be_bytes()));
    client.send(&head(1, "GET", "/metrics?collect[]=held"));
    client.send(&head(3, "GET", "/metrics?collect[]=held"));
    site.until("both wait", |figures| figures.in_flight == 2);
    client.send(&head(5, "GET", "/metrics"));
    assert_eq!(client.body(5), b"small 1\n", "before the others");
    site.pages.open.store(true, SeqCst);
    let (first, second) = (client.body(1), client.body(3));
    assert!(first.starts_with(b"held ") && first == second);
    client.send(&head(7, "HEAD", "/metrics"));
    assert_eq!(client.body(7), b"");
    client.send(&head(9, "GET", "/metrics?collect[]=big"));
    assert_eq!(client.body(9).len(), BIG);
    site.until("the page is gone", |figures| figures.page_bytes == 0 && figures.in_flight == 0);
}

#[test]
fn an_idle_connection_may_say_what_is_no_request() {
    let (site, authority) = secure(Limits { header: ms(400), idle: ms(1500), ..Limits::default() });
    let mut client = Http2::new(&site, &authority, 1 << 20);
    for at in 0..3 {
        client.send(&head(at * 2 + 1, "GET", "/metrics"));
        assert_eq!(client.body(at * 2 + 1), b"small 1\n");
        client.send(&frame(PING, 0, 0, &[0; 8]));
        thread::sleep(ms(700));
    }
    assert!(client.is_closed());
    site.until("it is gone", |figures| figures.late_idle == 1 && figures.late_header == 0);
}

#[test]
fn a_thousand_streams_take_no_more_than_some() {
    let (site, authority) = secure(Limits::default());
    let mut client = Http2::new(&site, &authority, 1 << 20);
    let frames = |which: std::ops::Range<u32>| -> Vec<u8> {
        which.flat_map(|at| head(at * 2 + 1, "GET", "/metrics?collect[]=held")).collect()
    };
    client.send(&frames(0..200));
    site.until("some wait", |figures| figures.in_flight == 32);
    let mut refused = 0;
    while refused < 200 - 32 {
        refused += usize::from(client.next().unwrap().payload == [0, 0, 0, 7]);
    }
    client.send(&frames(200..1200));
    for _ in 0..10 {
        let mut other = Http2::new(&site, &authority, 1 << 20);
        other.send(&head(1, "GET", "/metrics"));
        assert_eq!(other.body(1), b"small 1\n");
        assert!(site.figures().in_flight <= 32, "{:?}", site.figures());
    }
    assert!(client.is_closed(), "it was told how many it may");
    site.pages.open.store(true, SeqCst);
    site.until("nothing is left", |figures| figures.in_flight == 0 && figures.connections == 0);
}

#[test]
fn windows_that_stay_shut_hold_no_page() {
    for window in [0, 1000, 65_535] {
        let (site, authority) = secure(Limits { write: ms(500), ..Limits::default() });
        let mut client = Http2::new(&site, &authority, window);
        client.send(&head(1, "GET", "/metrics?collect[]=big"));
        site.until("it waits for the window", |figures| figures.page_bytes == BIG);
        assert!(client.is_closed());
        site.until("it is gone", |figures| figures.connections == 0 && figures.page_bytes == 0);
        assert_eq!(site.figures().late_write, 1, "window {window}");
    }
}

#[test]
fn answers_on_their_way_count_one_by_one() {
    let (site, authority) = secure(Limits { write: ms(1000), ..Limits::default() });
    let mut client = Http2::new(&site, &authority, 4);
    // Always one that is stuck, none of them for long.
    for at in 0..8_u32 {
        client.send(&head(at * 2 + 1, "GET", "/metrics"));
        thread::sleep(ms(250));
        if at > 0 {
            let stream = at * 2 - 1;
            client.send(&frame(WINDOW, 0, stream, &100_u32.to_be_bytes()));
            assert_eq!(client.body(stream), b"small 1\n");
        }
    }
    assert_eq!(site.figures().late_write, 0);
    assert!(client.is_closed());
    assert_eq!(site.figures().late_write, 1, "the last one");
}

#[test]
fn streams_that_are_given_up_leave_nothing() {
    let (site, authority) = secure(Limits { idle: ms(1000), ..Limits::default() });
    let mut client = Http2::new(&site, &authority, 1 << 20);
    client.send(&head(1, "GET", "/metrics?collect[]=held"));
    site.until("it waits", |figures| figures.in_flight == 1);
    client.send(&frame(RESET, 0, 1, &[0, 0, 0, 8]));
    site.until("nobody waits", |figures| figures.in_flight == 0);
    assert!(client.is_closed(), "it idles");
    assert_eq!(site.figures().late_idle, 1);
    // And by the thousands, the client has to go.
    let mut client = Http2::new(&site, &authority, 1 << 20);
    for at in 0..100_000 {
        let stream = at * 2 + 1;
        let mut frames = head(stream, "GET", &format!("/metrics?collect[]=small&{at}"));
        frames.extend(frame(RESET, 0, stream, &[0, 0, 0, 8]));
        if !client.send(&frames) {
            break;
        }
    }
    let begun = Instant::now();
    let mut other = Http2::new(&site, &authority, 1 << 20);
    other.send(&head(1, "GET", "/metrics"));
    assert_eq!(other.body(1), b"small 1\n");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop((client, other));
    site.until("nothing is left", |figures| figures.in_flight == 0 && figures.connections == 0);
}

#[test]
fn large_heads_of_http2_are_refused() {
    let (site, authority) = secure(Limits::default());
    // Names and values that are told once and then repeated by a byte each.
    let mut bomb = head(1, "GET", "/metrics")[9..].to_vec();
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'x'; 4000]);
    bomb.extend([0xbe; 8000]);
    let mut client = Http2::new(&site, &authority, 1 << 20);
    client.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb));
    let refusal = client.next_about_a_request();
    assert!(refusal.is_none_or(|frame| frame.kind != HEADERS || frame.payload[0] != 0x88), "no page for it");
    // A head without an end.
    let mut client = Http2::new(&site, &authority, 1 << 20);
    client.send(&frame(HEADERS, END_STREAM, 1, &head(1, "GET", "/metrics")[9..]));
    let more = frame(CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'b'].repeat(3000));
    let sent = (0..10_000).take_while(|_| client.send(&more)).count();
    assert!(sent < 10_000, "it would go on forever");
    assert_eq!(site.figures().requests, [0; 5]);
}

impl Http2 {
    fn next_about_a_request(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.stream == 1 || frame.kind == GOAWAY {
                return Some(frame);
            }
        }
    }
}

#[test]
fn frames_on_and_on_leave_room_for_others() {
    let (site, authority) = secure(Limits::default());
    let floods = [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[]), frame(WINDOW, 0, 0, &1_u32.to_be_bytes())];
    let begun = Instant::now();
    thread::scope(|scope| {
        for flood in &floods {
            let mut client = Http2::new(&site, &authority, 1 << 20);
            scope.spawn(move || {
                let many = flood.repeat(1000);
                // Those that want an answer wait for who reads it.
                client.0.sock.set_write_timeout(Some(ms(200))).unwrap();
                while begun.elapsed() < ms(2000) && client.send(&many) {}
            });
        }
        while begun.elapsed() < ms(2000) {
            let asked = Instant::now();
            let mut other = connect(&site, &authority, &Offer::default());
            other.write_all(request("/metrics", "").as_bytes()).unwrap();
            assert_eq!(read(&mut other).status, 200);
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        }
    });
}
