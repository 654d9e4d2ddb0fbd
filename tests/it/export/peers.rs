//! What a real Prometheus and a real OpenTelemetry Collector take.
//!
//! They are the programs that PROMETHEUS and OTELCOL name, else `prometheus` (3.0 and newer) and `otelcol`.

use super::{PRODUCED, UP, WAITING, free_port, of, points, push_once, records, start};
use crate::daemon::{Daemon, LONG, eventually};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TAKEN: &str = "wholenode_export_requests_total{endpoint=\"default\",outcome=\"taken\"}";

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, if it is here and its help, or its version, has this word.
fn find(variable: &str, usual: &str, asked: &str, word: &str) -> Option<String> {
    let named = std::env::var(variable).ok().filter(|name| !name.is_empty());
    let program = named.unwrap_or_else(|| usual.to_owned());
    match Command::new(&program).arg(asked).output() {
        Ok(done) if [&done.stdout, &done.stderr].iter().any(|said| String::from_utf8_lossy(said).contains(word)) => {
            Some(program)
        }
        Ok(_) => {
            crate::skipped(format!("{program} has no {word} ({variable} names another)"));
            None
        }
        Err(error) => {
            crate::skipped(format!("{program} ({variable} names another): {error}"));
            None
        }
    }
}

#[track_caller]
fn wait_for(port: u16) {
    let until = Instant::now() + LONG;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nobody listens at {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A Prometheus that takes OTLP.
struct Prometheus<'a> {
    program: &'a str,
    folder: &'a Path,
    port: u16,
}

impl Prometheus<'_> {
    /// Runs it, with this window for samples that come out of order.
    fn run(&self, window: &str) -> Running {
        let config = self.folder.join("prometheus.yml");
        std::fs::write(&config, format!("storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n")).unwrap();
        let mut command = Command::new(self.program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", self.folder.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{}", self.port)).arg("--web.enable-otlp-receiver");
        let log = self.folder.join("log");
        let running = Running(command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap());
        let until = Instant::now() + LONG;
        while !self.get("/-/ready").contains(" 200 ") {
            assert!(Instant::now() < until, "not ready: {}", std::fs::read_to_string(&log).unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/otlp/v1/metrics", self.port)
    }

    /// What it answers; nothing if it does not.
    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = write!(stream, "GET {path} HTTP/1.0\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }

    /// The value of a query with one answer.
    fn value(&self, query: &str) -> Option<f64> {
        let answer = self.get(&format!("/api/v1/query?query={query}"));
        let (_, value) = answer.rsplit_once("\"value\":[")?;
        value.split('"').nth(1)?.parse().ok()
    }

    /// An outage of some rounds; then the page when nothing waits any more.
    fn outage(&self, window: &str, more: &[&str], check: impl FnOnce(&str, &Daemon)) {
        let first = self.run(window);
        let mut daemon = start(&self.url(), more);
        eventually(&daemon, "/metrics", |page| points(page, "sent") > 0.0 && of(page, WAITING) == 0.0);
        drop(first);
        daemon.hears("the receiver does not take what is pushed");
        eventually(&daemon, "/metrics", |page| records(page) >= 3.0);
        let _second = self.run(window);
        check(&eventually(&daemon, "/metrics", is_even), &daemon);
    }

    /// How many rounds it has, of those that were sent by now.
    fn rounds(&self, daemon: &Daemon) -> (f64, f64) {
        let rounds = self.value("count_over_time(node_load1[10m])").unwrap();
        (rounds, of(&daemon.get("/metrics"), TAKEN))
    }
}

/// Whether the receiver is back and nothing waits.
fn is_even(page: &str) -> bool {
    of(page, UP) == 1.0 && records(page) == 0.0 && of(page, WAITING) == 0.0
}

fn prometheus(test: impl FnOnce(&Prometheus<'_>)) {
    let Some(program) = find("PROMETHEUS", "prometheus", "--help", "web.enable-otlp-receiver") else { return };
    let folder = tempfile::tempdir().unwrap();
    test(&Prometheus { program: &program, folder: folder.path(), port: free_port() });
}

#[test]
fn prometheus_with_a_window_takes_all_of_an_outage() {
    prometheus(|prometheus| {
        prometheus.outage("2d", &[], |page, daemon| {
            assert_eq!((points(page, "refused"), points(page, "dropped")), (0.0, 0.0));
            assert_eq!(points(page, "sent"), of(page, PRODUCED));
            let (rounds, sent) = prometheus.rounds(daemon);
            assert!((of(page, TAKEN)..=sent).contains(&rounds), "{rounds} of {sent}");
            assert_eq!(prometheus.value("count(target_info{job=%22wholenode%22})"), Some(1.0));
        });
    });
}

#[test]
fn prometheus_without_a_window_refuses_what_waited_and_goes_on_with_what_is_new() {
    prometheus(|prometheus| {
        prometheus.outage("0s", &[], |page, _| {
            assert!(points(page, "refused") > 0.0 && points(page, "dropped") == 0.0, "{page}");
            assert_eq!(points(page, "sent") + points(page, "refused"), of(page, PRODUCED));
        });
    });
}

#[test]
fn prometheus_without_a_window_takes_all_if_what_waited_goes_first() {
    prometheus(|prometheus| {
        prometheus.outage("0s", &["--otlp.replay-first"], |page, daemon| {
            assert_eq!((points(page, "refused"), points(page, "dropped")), (0.0, 0.0));
            assert_eq!(points(page, "sent"), of(page, PRODUCED));
            let (rounds, sent) = prometheus.rounds(daemon);
            assert!((of(page, TAKEN)..=sent).contains(&rounds), "{rounds} of {sent}");
        });
    });
}

#[test]
fn a_collector_takes_both_protocols() {
    let Some(program) = find("OTELCOL", "otelcol", "--version", "version") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (http, grpc) = (free_port(), free_port());
    let config = folder.path().join("c.yaml");
    let text = format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{http}'}}, grpc: {{endpoint: '127.0.0.1:{grpc}'}}}}}}}}\n\
         exporters: {{debug: {{verbosity: normal}}}}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{metrics: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
    );
    std::fs::write(&config, text).unwrap();
    let log = folder.path().join("log");
    let out = || File::create_new(&log).or_else(|_| File::options().append(true).open(&log)).unwrap();
    let mut command = Command::new(program);
    command.arg(format!("--config={}", config.display())).stdout(out()).stderr(out());
    let _running = Running(command.spawn().unwrap());
    wait_for(http);
    wait_for(grpc);
    let by_http = push_once(&[&format!("--otlp.endpoint=http://127.0.0.1:{http}")]);
    assert!(by_http.0, "{}", by_http.1);
    let by_grpc = push_once(&[&format!("--otlp.endpoint=http://127.0.0.1:{grpc}"), "--otlp.protocol=grpc"]);
    assert!(by_grpc.0, "{}", by_grpc.1);
    let until = Instant::now() + LONG;
    loop {
        let told = std::fs::read_to_string(&log).unwrap();
        let lines = told.lines().filter(|line| line.starts_with("node_load1{}")).count();
        if lines == 2 {
            break;
        }
        assert!(lines < 2 && Instant::now() < until, "{told}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
