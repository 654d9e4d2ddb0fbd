use super::site::{BIG, Site, closed, read, request, site};
use crate::serve::{Limits, Settings};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

/// What stopping may take, and what a busy machine adds.
const SLACK: Duration = Duration::from_millis(1000);

fn half_open_idle_and_waiting(site: &Site) -> [TcpStream; 3] {
    let half = site.send("GET /metr");
    let mut idle = site.send(&request("/metrics", ""));
    read(&mut idle);
    let waiting = site.send(&request("/metrics?collect[]=held", ""));
    site.until("it waits", |figures| figures.making == 1);
    [half, idle, waiting]
}

#[test]
fn stopping_waits_for_nobody_who_hangs() {
    let site = site(Settings::default());
    let clients = half_open_idle_and_waiting(&site);
    let slow = site.send(&request("/metrics?collect[]=big", ""));
    site.until("it does not read", |figures| figures.page_bytes == BIG);
    let took = site.stop();
    let limit = Limits::default().stop;
    assert!(took >= limit && took < limit + SLACK, "{took:?}");
    for mut client in clients.into_iter().chain([slow]) {
        closed(&mut client);
    }
    assert_eq!((site.figures().connections, site.figures().page_bytes), (0, 0));
    assert!(TcpStream::connect(site.address).is_err());
}

#[test]
fn what_has_begun_is_finished() {
    let site = site(Settings::default());
    let [mut half, mut idle, mut waiting] = half_open_idle_and_waiting(&site);
    let (pages, mut slow) = (std::sync::Arc::clone(&site.pages), site.send(&request("/metrics?collect[]=big", "")));
    site.until("it does not read yet", |figures| figures.page_bytes == BIG);
    let release = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        pages.open.store(true, SeqCst);
        let reply = read(&mut slow);
        assert_eq!(reply.body.len(), BIG);
        // It would keep the connection; the server does not.
        slow
    });
    let took = site.stop();
    assert!(took < Limits::default().stop, "{took:?}");
    closed(&mut release.join().unwrap());
    let reply = read(&mut waiting);
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    closed(&mut half);
    closed(&mut idle);
}

#[test]
fn without_clients_it_stops_at_once() {
    let site = site(Settings::default());
    assert_eq!(site.get("/metrics").status, 200);
    assert!(site.stop() < SLACK);
}
