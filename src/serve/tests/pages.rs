use super::site::{closed, read, read_head, request, site, site_at};
use crate::serve::{GroupPage, Listen, Settings};
use flate2::read::GzDecoder;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

fn grouped() -> Settings {
    let groups = vec![GroupPage { name: "gpu", aliases: &["dcgm"], about: "graphics" }];
    Settings { groups, ..Settings::default() }
}

#[test]
fn every_path_has_its_answer() {
    let site = site(grouped());
    let page = site.get("/metrics");
    assert_eq!((page.status, page.text(), page.header("content-type")), (200, "small 1\n", TEXT));
    assert!(!page.header("date").is_empty());
    assert_eq!(site.get("/metrics/gpu").text(), "other 1\n");
    assert_eq!(site.get("/metrics/dcgm").text(), "other 1\n");
    assert_eq!(site.get("/-/healthy").status, 200);
    assert_eq!(site.get("/-/ready").status, 200);
    let landing = site.get("/");
    assert_eq!((landing.status, landing.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(landing.text().contains("/metrics/gpu"));
    for path in ["/metric", "/metrics/", "/metrics/x", "/metricsgpu", "/gpu", "/-/", "//"] {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
    assert_eq!(site.figures().requests, [3, 0, 0, 0, 0]);
    assert_eq!(site.figures().in_flight, 0);
}

#[test]
fn the_telemetry_path_can_be_anything() {
    let root = site(Settings { telemetry_path: "/".into(), ..grouped() });
    assert_eq!(root.get("/").text(), "small 1\n");
    assert_eq!(root.get("/gpu").text(), "other 1\n");
    assert_eq!(root.get("/-/healthy").status, 200);
    assert_eq!(root.get("/metrics").status, 404);
    let deep = site(Settings { telemetry_path: "/a/b/".into(), ..grouped() });
    assert_eq!(deep.get("/a/b").text(), "small 1\n");
    assert_eq!(deep.get("/a/b/gpu").text(), "other 1\n");
    assert_eq!(deep.get("/a").status, 404);
}

#[test]
fn filters_choose() {
    let site = site(Settings::default());
    assert_eq!(site.get("/metrics?collect[]=small&collect%5B%5D=other&x=y").text(), "small 1\nother 1\n");
    let empty = site.get("/metrics?exclude[]=small");
    assert_eq!((empty.status, empty.text(), empty.header("content-length")), (200, "", "0"));
    let unknown = site.get("/metrics?collect[]=nothing");
    assert_eq!((unknown.status, unknown.text()), (400, "missing collector: nothing\n"));
    let both = site.get("/metrics?collect[]=small&exclude[]=other");
    assert_eq!((both.status, both.text()), (400, "Combined collect and exclude queries are not allowed.\n"));
    assert_eq!(site.figures().requests, [2, 2, 0, 0, 0]);
}

#[test]
fn head_says_what_get_would() {
    let site = site(Settings::default());
    let get = site.get("/metrics?collect[]=long");
    let mut stream = site.send("HEAD /metrics?collect[]=long HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut head = read_head(&mut stream);
    head.headers.remove("date");
    let mut expected = get.headers.clone();
    expected.remove("date");
    assert_eq!((head.status, head.headers), (200, expected));
    // Nothing follows the head: the next answer begins right after it.
    stream.write_all(request("/metrics", "").as_bytes()).unwrap();
    assert_eq!(read(&mut stream).text(), "small 1\n");
    site.until("no page is held", |figures| figures.page_bytes == 0);
}

#[test]
fn other_methods_are_refused_and_bodies_are_not_read() {
    let site = site(Settings::default());
    for path in ["/metrics", "/", "/-/healthy"] {
        let reply = site.ask(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"), "{path}");
    }
    let mut stream = site.send("GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nsome");
    let reply = read(&mut stream);
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    closed(&mut stream);
    site.until("closed", |figures| figures.connections == 0);
}

#[test]
fn forms_and_compression_are_negotiated() {
    let site = site(Settings { openmetrics: true, ..Settings::default() });
    let open = site.get_with("/metrics", "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n");
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(open.text(), "small 1\n# EOF\n");
    let plain = site.get("/metrics?collect[]=long");
    assert_eq!((plain.header("content-type"), plain.header("content-encoding")), (TEXT, ""));
    let packed = site.get_with("/metrics?collect[]=long", "Accept-Encoding: gzip\r\n");
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() * 3 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    let mut unpacked = Vec::new();
    GzDecoder::new(packed.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let short = site.get_with("/metrics", "Accept-Encoding: gzip\r\n");
    assert_eq!((short.text(), short.header("content-encoding")), ("small 1\n", ""));
    let figures = site.figures();
    assert_eq!((figures.gzip_from, figures.gzip_to), (plain.body.len() as u64, packed.body.len() as u64));
}

#[test]
fn a_kept_connection_serves_on_and_pipelining_keeps_the_order() {
    let site = site(Settings::default());
    let two = request("/metrics", "") + &request("/metrics?collect[]=other", "");
    let mut stream = site.send(&two);
    for expected in ["small 1\n", "other 1\n"] {
        assert_eq!(read(&mut stream).text(), expected);
    }
    for _ in 0..20 {
        stream.write_all(request("/metrics", "").as_bytes()).unwrap();
        assert_eq!(read(&mut stream).text(), "small 1\n");
    }
    assert_eq!((site.figures().accepted, site.figures().requests[0]), (1, 22));
}

#[test]
fn the_scrape_timeout_reaches_the_collectors() {
    let site = site(Settings::default());
    site.get_with("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 5\r\n");
    assert_eq!(*site.pages.patience.lock().unwrap(), Duration::from_millis(4500));
}

#[test]
fn a_panic_costs_one_answer() {
    let site = site(Settings::default());
    let reply = site.get("/metrics?collect[]=broken");
    assert_eq!((reply.status, reply.text()), (500, "Making the page failed.\n"));
    assert_eq!(site.get("/metrics?collect[]=broken").status, 500);
    assert_eq!(site.get("/metrics").status, 200);
    assert_eq!(site.figures().requests, [1, 0, 0, 2, 0]);
    assert_eq!((site.figures().making, site.pages.rendered.load(SeqCst)), (0, 3));
}

#[test]
fn a_thread_that_is_held_up_is_replaced() {
    // Who replaces it is no page more.
    let site = site(Settings { max_requests: 1, ..Settings::default() });
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let begun = Instant::now();
        let reply = site.get("/metrics?collect[]=stuck");
        slowest = slowest.max(begun.elapsed());
        assert_eq!((reply.status, reply.text()), (200, "stuck 1\n"));
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    assert_eq!((site.figures().made, site.figures().making), (3, 0));
    site.pages.open.store(true, SeqCst);
    assert_eq!(site.get("/metrics").status, 200);
    assert_eq!(site.figures().made, 4, "who was replaced makes nothing more");
}

#[test]
fn a_unix_socket_serves_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.sock");
    let site = site_at(Settings::default(), &[Listen::Unix(path.clone())]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(request("/metrics", "").as_bytes()).unwrap();
    assert_eq!(read(&mut stream).text(), "small 1\n");
    assert_eq!(site.get("/metrics").status, 200);
    site.stop();
    assert!(!path.exists());
}
