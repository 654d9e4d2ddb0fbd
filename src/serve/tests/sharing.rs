use super::site::{Site, read, request, site};
use crate::serve::{Limits, Settings};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

const HELD: &str = "/metrics?collect[]=held";

/// Joining is possible as long as a test takes.
fn patient() -> Settings {
    let limits = Limits { join: Duration::from_secs(60), ..Limits::default() };
    Settings { limits, ..Settings::default() }
}

fn open(site: &Site) {
    site.pages.open.store(true, SeqCst);
}

#[test]
fn identical_requests_share_one_page() {
    let site = site(patient());
    let mut clients: Vec<_> = (0..50).map(|_| site.send(&request(HELD, ""))).collect();
    site.until("all wait", |figures| figures.in_flight == 50);
    assert_eq!(site.figures().making, 1);
    open(&site);
    for client in &mut clients {
        assert_eq!(read(client).text(), "held 0\n");
    }
    assert_eq!(site.figures().made, 1);
    // Finished is finished: the next one gets its own.
    assert_eq!(site.get(HELD).text(), "held 1\n");
}

#[test]
fn different_requests_do_not() {
    let site = site(Settings { openmetrics: true, ..patient() });
    for (path, headers) in [
        (HELD, ""),
        ("/metrics?collect[]=held&collect[]=small", ""),
        (HELD, "Accept: application/openmetrics-text\r\n"),
        (HELD, "Accept-Encoding: gzip\r\n"),
        (HELD, "X-Prometheus-Scrape-Timeout-Seconds: 3\r\n"),
    ] {
        let waiting = site.figures().in_flight;
        // The stream is dropped; hyper notices and the render goes on.
        let client = site.send(&request(path, headers));
        site.until("it waits", |figures| figures.in_flight == waiting + 1);
        std::mem::forget(client);
    }
    assert_eq!(site.figures().making, 5);
    open(&site);
}

#[test]
fn who_comes_late_gets_a_page_of_its_own() {
    let limits = Limits { join: Duration::from_millis(100), ..Limits::default() };
    let site = site(Settings { limits, ..Settings::default() });
    let mut early = site.send(&request(HELD, ""));
    site.until("it is made", |figures| figures.making == 1);
    thread::sleep(Duration::from_millis(150));
    let mut late = site.send(&request(HELD, ""));
    site.until("both are made", |figures| figures.making == 2);
    open(&site);
    assert_eq!(read(&mut early).status, 200);
    assert_eq!(read(&mut late).status, 200);
}

#[test]
fn a_client_that_goes_away_does_not_break_the_others() {
    let site = site(patient());
    let first = site.send(&request(HELD, ""));
    site.until("it is made", |figures| figures.making == 1);
    let mut second = site.send(&request(HELD, ""));
    site.until("both wait", |figures| figures.in_flight == 2);
    drop(first);
    site.until("one is gone", |figures| figures.connections == 1 && figures.in_flight == 1);
    open(&site);
    assert_eq!(read(&mut second).text(), "held 0\n");
}

#[test]
fn a_finished_page_is_reused_until_it_is_too_old() {
    let site = site(Settings { max_age: Duration::from_millis(500), ..patient() });
    open(&site);
    let first = site.get(HELD);
    assert_eq!(site.get(HELD).body, first.body);
    assert!(site.figures().page_bytes > 0, "it is kept");
    let patient = site.get_with(HELD, "X-Prometheus-Scrape-Timeout-Seconds: 30\r\n");
    assert_ne!(patient.body, first.body, "made with less patience, it may lack something");
    site.until("nothing is kept for long", |figures| figures.page_bytes == 0);
    assert_eq!(site.get(HELD).text(), "held 2\n");
}
