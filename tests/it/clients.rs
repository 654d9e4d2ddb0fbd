//! Clients that hang or trickle.

use crate::daemon::{Daemon, eventually, figure};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

#[test]
fn two_hundred_half_open_and_fifty_slow_readers_delay_no_one() {
    let folder = tempfile::tempdir().unwrap();
    // A page of some MiB: no socket takes it whole.
    let lines: String =
        (0..60_000).map(|n| format!("big_metric{{number=\"{n}\",padding=\"{:060}\"}} {n}\n", n)).collect();
    let big = folder.path().join("big.prom");
    std::fs::write(&big, lines).unwrap();
    // A file that was written just now is read again with each page, and that may take longer than a page waits.
    let then = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&big).unwrap().set_modified(then).unwrap();
    // No limit: who is refused at once has nothing to read slowly.
    let directory = format!("--collector.textfile.directory={}", folder.path().display());
    let daemon = Daemon::start(&["--web.max-requests=0", &directory]);

    // Reading so much text for the first time may take longer than a page waits for it.
    let is_whole = |page: &str| page.contains("big_metric{number=\"59999\"");
    eventually(&daemon, "/metrics", is_whole);

    let half_open: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    let mut slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for _ in 0..10 {
        slow.iter_mut().for_each(|stream| drop(stream.read(&mut [0])));
        let page = daemon.get("/metrics?collect[]=loadavg");
        assert!(page.contains("node_load1 "));
    }
    eventually(&daemon, "/metrics", is_whole);

    // A head that was never finished is given up on within ten seconds and a little.
    let begun = Instant::now();
    for mut stream in half_open {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // And a reader that does not read is, too.
    let begun = Instant::now();
    loop {
        let page = daemon.get("/metrics?collect[]=loadavg");
        if figure(&page, "wholenode_http_connections").unwrap() <= 1.0 {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{:?}",
            page.lines().filter(|line| line.contains("http")).collect::<Vec<_>>()
        );
        slow.iter_mut().for_each(|stream| drop(stream.read(&mut [0])));
        std::thread::sleep(Duration::from_secs(1));
    }
}
