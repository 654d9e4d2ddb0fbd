use super::site::{BIG, DEADLINE, Site, closed, read, read_head, request, site};
use crate::serve::{Limits, Settings};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

const BIG_PAGE: &str = "/metrics?collect[]=big";
const HELD: &str = "/metrics?collect[]=held";

fn limited(limits: Limits) -> Site {
    site(Settings { limits, ..Settings::default() })
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn half_sent_heads_are_dropped() {
    let site = limited(Limits { header: ms(300), ..Limits::default() });
    let begun = Instant::now();
    let mut silent = site.connect();
    let mut half = site.send("GET /metrics HTTP/1.1\r\nHost: ");
    // One byte at a time wins nothing.
    let mut trickle = site.send("G");
    while trickle.write_all(b"G").is_ok() {
        assert!(begun.elapsed() < DEADLINE, "it would go on forever");
        thread::sleep(ms(20));
    }
    for client in [&mut silent, &mut half, &mut trickle] {
        closed(client);
    }
    assert!(begun.elapsed() >= ms(300));
    site.until("all are gone", |figures| figures.connections == 0);
    assert_eq!(site.figures().late_header, 3);
}

#[test]
fn a_kept_connection_may_idle_but_not_forever() {
    let site = limited(Limits { header: ms(100), idle: ms(1000), ..Limits::default() });
    let mut kept = site.send(&request("/metrics", ""));
    read(&mut kept);
    thread::sleep(ms(300));
    let mut half = site.send(&request("/metrics", ""));
    read(&mut half);
    half.write_all(b"GET /").unwrap();
    let mut ahead = site.send(&(request("/metrics", "") + "GET /"));
    read(&mut ahead);
    closed(&mut half);
    closed(&mut ahead);
    assert_eq!((site.figures().late_header, site.figures().late_idle), (2, 0), "a part of a head is no idling");
    kept.write_all(request("/metrics", "").as_bytes()).unwrap();
    assert_eq!(read(&mut kept).status, 200, "idle for longer than a head may take");
    closed(&mut kept);
    site.until("it is gone", |figures| figures.connections == 0);
    assert_eq!((site.figures().late_header, site.figures().late_idle), (2, 1));
}

#[test]
fn large_heads_are_refused() {
    let site = limited(Limits::default());
    assert_eq!(site.get_with("/metrics", &format!("X: {}\r\n", "x".repeat(10_000))).status, 200);
    let mut stream = site.connect();
    let _ = stream.write_all(request("/metrics", &format!("X: {}\r\n", "x".repeat(100_000))).as_bytes());
    assert_eq!(read_head(&mut stream).status, 431);
    closed(&mut stream);
    assert_eq!(site.get_with("/metrics", &"X: x\r\n".repeat(100)).status, 431);
}

#[test]
fn a_slow_reader_is_cut_off() {
    let site = limited(Limits { write: ms(500), ..Limits::default() });
    let mut slow = site.send(&request(BIG_PAGE, ""));
    site.until("it waits for its reader", |figures| figures.page_bytes == BIG);
    // Reading a little wins nothing either.
    let mut byte = [0];
    for _ in 0..20 {
        thread::sleep(ms(10));
        slow.read_exact(&mut byte).unwrap();
    }
    site.until("it is gone", |figures| figures.connections == 0 && figures.page_bytes == 0);
    assert_eq!(site.figures().late_write, 1);
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.len() < BIG, "cut in the middle");
    assert_eq!(site.get(BIG_PAGE).body.len(), BIG, "a client that reads gets all of it");
}

#[test]
fn what_the_kernel_holds_for_a_client_that_does_not_read_is_released() {
    let site = limited(Limits { write: ms(500), ..Limits::default() });
    let path = format!("/metrics?{}", "collect[]=long&".repeat(25));
    let _client = site.send(&request(&path, ""));
    site.until("the kernel has all of it", |figures| figures.requests[0] == 1 && figures.page_bytes == 0);
    assert_eq!(site.figures().connections, 1);
    site.until("the kernel gave up", |figures| figures.connections == 0);
    let figures = site.figures();
    assert_eq!((figures.late_write, figures.late_idle), (0, 0), "so it was not the server");
}

#[test]
fn many_bad_clients_delay_no_good_one() {
    let site = limited(Limits { header: ms(2500), write: ms(2500), ..Limits::default() });
    let half: Vec<TcpStream> = (0..200).map(|_| site.send("GET /metrics HTTP/1.1\r\n")).collect();
    let mut slow: Vec<TcpStream> = (0..50).map(|_| site.send(&request(BIG_PAGE, ""))).collect();
    site.until("all are there", |figures| figures.connections == 250 && figures.requests[0] == 50);
    let begun = Instant::now();
    let mut good = site.connect();
    let mut pages = 0;
    while begun.elapsed() < ms(1000) {
        good.write_all(request("/metrics", "").as_bytes()).unwrap();
        assert_eq!(read(&mut good).text(), "small 1\n");
        pages += 1;
        for client in &mut slow {
            client.read_exact(&mut [0]).unwrap();
        }
    }
    assert!(pages >= 5, "{pages} pages in a second");
    assert_eq!(site.get(BIG_PAGE).body.len(), BIG);
    site.until("all bad ones are gone", |figures| figures.connections == 1 && figures.page_bytes == 0);
    let figures = site.figures();
    assert_eq!((figures.late_header, figures.late_write, figures.in_flight), (200, 50, 0));
    good.write_all(request("/metrics", "").as_bytes()).unwrap();
    assert_eq!(read(&mut good).status, 200);
    drop(half);
}

#[test]
fn pages_in_memory_are_capped_by_cutting_the_longest_reader() {
    // Room for two pages that wait and not for three.
    let site = limited(Limits { page_bytes: BIG * 5 / 2, join: Duration::ZERO, ..Limits::default() });
    let mut clients = Vec::new();
    for at in 1..=3_u64 {
        clients.push(site.send(&request(BIG_PAGE, "")));
        site.until("it is on its way", |figures| figures.requests[0] == at);
    }
    site.until("the first is cut off", |figures| figures.crowded_out == 1 && figures.page_bytes == 2 * BIG);
    let mut cut = Vec::new();
    let _ = clients.remove(0).read_to_end(&mut cut);
    assert!(cut.len() < BIG);
    for client in &mut clients {
        assert_eq!(read(client).body.len(), BIG);
    }
}

#[test]
fn connections_are_capped_by_closing_the_oldest_that_is_not_served() {
    let site = limited(Limits { connections: 4, ..Limits::default() });
    let mut waiting = site.send(&request(HELD, ""));
    site.until("it is made", |figures| figures.making == 1);
    // Older than the two that go before it.
    let mut slow = site.send(&request(BIG_PAGE, ""));
    site.until("it does not read", |figures| figures.page_bytes == BIG);
    let mut idle = site.send(&request("/metrics", ""));
    read(&mut idle);
    // It has its answer a moment before it counts as idle, and is to be the older one.
    thread::sleep(Duration::from_millis(50));
    let mut half = site.send("GET /");
    assert_eq!(site.get("/metrics").status, 200);
    closed(&mut idle);
    site.until("only one had to go", |figures| figures.crowded_out == 1);
    // The place of the one just served may be free by now, but no other.
    let newcomers: Vec<TcpStream> = (2..=4)
        .map(|count| {
            let newcomer = site.send(&request(HELD, ""));
            site.until("it waits", |figures| figures.in_flight == count);
            newcomer
        })
        .collect();
    closed(&mut half);
    closed(&mut slow);
    closed(&mut site.connect());
    site.pages.open.store(true, SeqCst);
    assert_eq!(read(&mut waiting).status, 200, "who is being served stays");
    for mut client in newcomers {
        assert_eq!(read(&mut client).status, 200);
    }
}

#[test]
fn renders_are_capped_and_slow_readers_do_not_count() {
    let site = site(Settings { max_requests: 1, ..Settings::default() });
    let slow = site.send(&request(BIG_PAGE, ""));
    site.until("it does not read", |figures| figures.page_bytes == BIG && figures.making == 0);
    let mut held = site.send(&request(HELD, ""));
    site.until("it is made", |figures| figures.making == 1);
    let refused = site.get("/metrics");
    assert_eq!((refused.status, refused.text()), (503, "Limit of concurrent requests reached (1), try again later.\n"));
    assert_eq!(site.get("/-/ready").status, 503);
    assert_eq!(site.get("/-/healthy").status, 200);
    site.pages.open.store(true, SeqCst);
    assert_eq!(read(&mut held).status, 200);
    site.until("it is made", |figures| figures.making == 0);
    assert_eq!(site.get("/metrics").status, 200);
    assert_eq!(site.figures().requests, [3, 0, 0, 0, 1]);
    drop(slow);
}

#[test]
fn a_render_that_overruns_is_told() {
    let site = limited(Limits { patience: ms(100), grace: ms(100), ..Limits::default() });
    let begun = Instant::now();
    let reply = site.get(HELD);
    assert_eq!((reply.status, reply.text()), (503, "The page was not ready within 0.2 s.\n"));
    assert!(begun.elapsed() < DEADLINE / 2);
    assert_eq!(site.get("/metrics").status, 200);
    site.pages.open.store(true, SeqCst);
}
