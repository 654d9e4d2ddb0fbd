use super::site::{read, request, site};
use crate::serve::Settings;
use std::collections::HashSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// A page that hangs, and no other's: each with a patience of its own.
fn held(at: usize) -> String {
    request("/metrics?collect[]=held", &format!("X-Prometheus-Scrape-Timeout-Seconds: 2{at:02}e-1\r\n"))
}

#[test]
fn pages_in_turn_take_few_threads() {
    let site = site(Settings::default());
    let mut kept = site.connect();
    for _ in 0..20 {
        kept.write_all(request("/metrics", "").as_bytes()).unwrap();
        assert_eq!(read(&mut kept).status, 200);
        assert_eq!(site.get("/metrics").status, 200);
        // Who made it has come back by then.
        thread::sleep(Duration::from_millis(10));
    }
    let threads: HashSet<_> = site.pages.threads.lock().unwrap().iter().copied().collect();
    // Two, and more only if an end of a connection comes at a bad moment.
    assert!(threads.len() <= 5, "{}", threads.len());
}

#[test]
fn pages_that_hang_cost_their_own_threads_only() {
    // Without a limit for pages, that for threads holds.
    let site = site(Settings { max_requests: 0, ..Settings::default() });
    let mut clients: Vec<TcpStream> = (0..10).map(|at| site.send(&held(at))).collect();
    site.until("all hang", |figures| figures.in_flight == 10);
    for _ in 0..10 {
        assert_eq!(site.get("/metrics").text(), "small 1\n");
    }
    clients.extend((10..70).map(|at| site.send(&held(at))));
    site.until("all hang", |figures| figures.in_flight == 70);
    site.until("all threads but one hang", |_| site.pages.rendered.load(SeqCst) == 10 + 63);
    assert_eq!(site.get("/-/healthy").status, 200, "the last one listens");
    let mut waiting = site.send(&request("/metrics", ""));
    site.until("it waits for a thread", |figures| figures.in_flight == 71);
    site.pages.open.store(true, SeqCst);
    assert_eq!(read(&mut waiting).text(), "small 1\n");
    for client in &mut clients {
        assert_eq!(read(client).status, 200);
    }
    assert_eq!((site.figures().made, site.figures().making), (81, 0));
}

#[test]
fn clients_that_ask_on_and_on_leave_room_for_others() {
    let site = site(Settings::default());
    let stop = Arc::new(AtomicBool::new(false));
    let flood = request("/-/healthy", "").repeat(1000);
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, stop, flood) = (site.connect(), Arc::clone(&stop), flood.clone());
            let mut reader = client.try_clone().unwrap();
            thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    client.write_all(flood.as_bytes()).unwrap();
                }
                client.shutdown(std::net::Shutdown::Both).unwrap();
            })
        })
        .collect();
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(site.get("/metrics").status, 200);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    stop.store(true, SeqCst);
    busy.into_iter().for_each(|client| client.join().unwrap());
}
