//! Pushing, by the program itself: to a receiver of our own, and to those that people have.

mod peers;
mod receiver;

use crate::daemon::{Daemon, LONG, eventually, figure};
use receiver::Receiver;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How the program is told to push there, without waiting for anything.
fn flags(url: &str) -> Vec<String> {
    let fixed = ["--otlp.interval=1s", "--otlp.clock-wait=0s", "--otlp.timeout=2s"];
    let mut flags: Vec<String> = fixed.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("--otlp.endpoint={url}"));
    flags
}

fn start(url: &str, more: &[&str]) -> Daemon {
    let flags = flags(url);
    let all: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Daemon::start(&all)
}

/// A port that nobody listens at. None of those that the kernel gives to who connects: he would find himself there.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let of = |n: u32| 20_000 + ((std::process::id() * 16 + n) % 10_000) as u16;
    let mut ports = std::iter::repeat_with(|| of(NEXT.fetch_add(1, Relaxed)));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A figure of the endpoint `default`.
fn of(page: &str, name: &str) -> f64 {
    figure(page, name).unwrap_or_else(|| panic!("no {name} in\n{page}"))
}

fn points(page: &str, outcome: &str) -> f64 {
    of(page, &format!("wholenode_export_points_total{{endpoint=\"default\",outcome=\"{outcome}\"}}"))
}

fn records(page: &str) -> f64 {
    of(page, "wholenode_spool_records{endpoint=\"default\"}")
}

const UP: &str = "wholenode_export_up{endpoint=\"default\"}";
const PRODUCED: &str = "wholenode_export_produced_points_total{endpoint=\"default\"}";
const WAITING: &str = "wholenode_export_waiting_points{endpoint=\"default\"}";

#[test]
fn what_is_on_the_page_is_pushed_with_who_says_so() {
    let receiver = Receiver::start(200);
    let more = ["--otlp.service-name=me", "--otlp.headers=X-Scope-OrgID=us", "--otlp.metrics-exclude=^node_cpu"];
    let daemon = start(&receiver.url(), &more);
    let request = receiver.next();
    assert!(request.head.starts_with("POST /v1/metrics HTTP/1.1\r\n"), "{}", request.head);
    let head = request.head.to_ascii_lowercase();
    for line in ["content-type: application/x-protobuf", "content-encoding: gzip", "x-scope-orgid: us"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    let attribute =
        |name: &str| request.attributes().into_iter().find(|(found, _)| found == name).map(|(_, text)| text);
    assert_eq!(attribute("service.name").as_deref(), Some("me"));
    assert_eq!(attribute("host.arch").as_deref(), Some(if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }));
    assert!(attribute("service.instance.id").is_some_and(|name| !name.is_empty()));
    let names = request.names();
    assert!(names.contains(&"node_load1".to_owned()) && names.contains(&"up".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| !name.starts_with("node_cpu")));
    let page = eventually(&daemon, "/metrics", |page| figure(page, UP) == Some(1.0));
    assert!(points(&page, "sent") > 0.0 && of(&page, "wholenode_export_bytes_total{endpoint=\"default\"}") > 0.0);
    assert_eq!(figure(&daemon.get("/metrics/container"), "node_load1"), None);
}

#[test]
fn a_receiver_that_is_away_costs_nothing_but_room() {
    let daemon = start(&format!("http://127.0.0.1:{}", free_port()), &[]);
    let page = eventually(&daemon, "/metrics", |page| records(page) >= 2.0);
    assert_eq!((of(&page, UP), daemon.ask("GET", "/-/ready", "").status), (0.0, 200));
    assert!(of(&page, WAITING) > 0.0 && points(&page, "dropped") == 0.0);
    let (well, took) = daemon.stop();
    assert!(well && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn what_hangs_does_not_hold_up_the_end() {
    let receiver = Receiver::start(0);
    let daemon = start(&receiver.url(), &[]);
    receiver.next();
    let (well, took) = daemon.stop();
    assert!(well && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn what_waits_in_a_folder_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("--otlp.spool.directory={}/spool", folder.path().display());
    let receiver = Receiver::start(503);
    let mut daemon = start(&receiver.url(), &[&spool]);
    daemon.hears("the receiver does not take what is pushed");
    eventually(&daemon, "/metrics", |page| records(page) >= 2.0);
    // A clean end writes what waits; the next one is killed, and what it found is there still.
    assert!(daemon.stop().0);
    let daemon = start(&receiver.url(), &[&spool]);
    let waited = records(&eventually(&daemon, "/metrics", |page| records(page) >= 3.0));
    drop(daemon);
    receiver.answer(200);
    let daemon = start(&receiver.url(), &[&spool]);
    let page = eventually(&daemon, "/metrics", |page| records(page) == 0.0 && points(page, "sent") > 0.0);
    assert!(points(&page, "sent") > of(&page, PRODUCED), "more than it made itself: {waited} records\n{page}");
}

#[test]
fn a_reload_changes_where_to_push() {
    let (one, other) = (Receiver::start(200), Receiver::start(200));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yml");
    let write = |endpoints: &str| {
        std::fs::write(&path, format!("otlp:\n  clock-wait: 0s\n  endpoints: {endpoints}\n")).unwrap()
    };
    write(&format!("{{a: {{endpoint: \"{}\", interval: 1s}}}}", one.url()));
    let mut daemon = Daemon::start(&["--config.file", path.to_str().unwrap()]);
    one.next();
    write(&format!("{{b: {{endpoint: \"{}\", interval: 1s}}}}", other.url()));
    daemon.signal(rustix::process::Signal::HUP);
    daemon.hears("configuration read again");
    other.next();
    one.drain();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(one.drain(), 0, "it is pushed to no more");
    let page = daemon.get("/metrics");
    assert!(page.contains("wholenode_export_up{endpoint=\"b\"} 1\n") && !page.contains("{endpoint=\"a\""), "{page}");
    write("{b: {interval: 1s}}");
    daemon.signal(rustix::process::Signal::HUP);
    assert!(daemon.hears("configuration not taken").contains("otlp.endpoints.b.endpoint is missing"));
    other.next();
}

/// Pushes once: whether all was taken, what it said, and how long it took.
fn push_once(more: &[&str]) -> (bool, String, Duration) {
    let begun = Instant::now();
    let done = crate::program::command().args(["push", "--once"]).args(more).output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned(), begun.elapsed())
}

#[test]
fn once_is_for_those_who_have_a_clock_of_their_own() {
    let receiver = Receiver::start(503);
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("--otlp.spool.directory={}/spool", folder.path().display());
    let endpoint = format!("--otlp.endpoint={}", receiver.url());
    let (well, said, took) = push_once(&[&endpoint, &spool]);
    assert!(!well && said.contains("default: ") && said.contains("503") && took < LONG, "{said}");
    receiver.answer(200);
    receiver.drain();
    let (well, said, _) = push_once(&[&endpoint, &spool]);
    assert!(well, "{said}");
    assert!(receiver.drain() >= 2, "what waited, and what is new");
    receiver.answer(400);
    assert!(push_once(&[&endpoint]).1.contains("default: refused: "));
    assert!(push_once(&[]).1.contains("nothing to push to: expected --otlp.endpoint"));
}
