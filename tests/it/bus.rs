//! A bus that hangs, breaks off or says very much, and what node_exporter makes of the same one.

use crate::daemon::{Daemon, LONG, eventually, figure, has};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FLAGS: &[&str] = &["--collector.disable-defaults", "--collector.systemd", "--collector.logind"];
const MORE: &[&str] = &[
    "--collector.systemd.enable-task-metrics",
    "--collector.systemd.enable-restarts-metrics",
    "--collector.systemd.enable-start-time-metrics",
    "--collector.systemd.unit-exclude=.+\\.slice|u.x2d1.*",
];
const FAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/bus.py");

/// A daemon whose bus listens at `socket`.
fn daemon(socket: &Path, more: &[&str]) -> Daemon {
    let address = format!("unix:path={}", socket.display());
    let flags = [FLAGS, &["--collector.loadavg"], more].concat();
    Daemon::start_with(&[("DBUS_SYSTEM_BUS_ADDRESS", &address)], "127.0.0.1:0", &flags)
}

/// Listens, and does this with everybody who comes.
fn listen(socket: &Path, with: fn(UnixStream)) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || with(stream));
        }
    });
}

/// Lets somebody in, answers the greeting, and leaves in the middle of the next answer.
fn break_off(mut stream: UnixStream) {
    const GREETING: &[u8] =
        b"l\x02\x01\x01\x09\0\0\0\x01\0\0\0\x0f\0\0\0\x05\x01u\0\x01\0\0\0\x08\x01g\0\x01s\0\0\x04\0\0\0:1.9\0";
    let mut heard = [0; 4096];
    let _ = stream.read(&mut heard).and_then(|_| stream.write_all(b"OK 1\r\n"));
    let _ = stream.read(&mut heard).and_then(|_| stream.write_all(GREETING));
    let _ =
        stream.read(&mut heard).and_then(|_| stream.write_all(b"l\x02\x01\x01\0\x10\0\0\x02\0\0\0\x08\0\0\0\x05\x01"));
}

#[test]
fn a_bus_that_never_answers_costs_only_its_own_series() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus");
    listen(&socket, |mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())));
    let daemon = daemon(&socket, &[]);
    let begun = Instant::now();
    let page = daemon.get("/metrics");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for name in ["systemd", "logind"] {
        assert!(has(&page, &format!("node_scrape_collector_success{{collector=\"{name}\"}} 0")), "{page}");
        assert!(has(&page, &format!("wholenode_collector_state{{collector=\"{name}\",reason=\"stuck\"}} 1")), "{page}");
    }
    assert!(page.contains("\nnode_load1 ") && !page.contains("node_systemd_") && !page.contains("node_logind_"));
    // Nobody waits for it again, and it takes no more threads.
    let threads = daemon.threads();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(120));
        daemon.get("/metrics");
    }
    assert!(daemon.threads() <= threads + 1, "{} and {threads}", daemon.threads());
    let (well, took) = daemon.stop();
    assert!(well && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_bus_that_breaks_off_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus");
    listen(&socket, break_off);
    let daemon = daemon(&socket, &[]);
    for _ in 0..4 {
        let state = "wholenode_collector_state{collector=\"systemd\",reason=\"gone\"} 1";
        eventually(&daemon, "/metrics", |page| has(page, state));
        std::thread::sleep(Duration::from_millis(120));
    }
    let files = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    assert!(files.count() < 40, "connections are left open");
    let log = daemon.end();
    let told: Vec<_> = log.iter().filter(|line| line.contains("collector=systemd")).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("bus: ListUnits: gone while it was read"), "{told:#?}");
}

/// Programs that end with the test.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A `dbus-daemon` with a systemd and a logind on it; `None` if this machine has not what it takes.
fn machine(folder: &Path, units: usize, sessions: usize) -> Option<Running> {
    let has_all = |program: &str, arguments: &[&str]| {
        let run = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    let pythons = ["/usr/bin/python3", "python3"];
    let python = pythons.into_iter().find(|python| has_all(python, &["-c", "import dbus, gi"]));
    let (Some(python), true) = (python, has_all("dbus-daemon", &["--version"])) else {
        crate::skipped("dbus-daemon, python3-dbus and python3-gi are not on this machine");
        return None;
    };
    let (socket, configuration) = (folder.join("bus"), folder.join("bus.conf"));
    let text = format!(
        "<busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context='default'><allow user='*'/>\
         <allow own='*'/><allow send_destination='*'/><allow receive_sender='*'/></policy></busconfig>",
        socket.display()
    );
    std::fs::write(&configuration, text).unwrap();
    let configuration = format!("--config-file={}", configuration.display());
    let bus = Command::new("dbus-daemon").args([&configuration, "--nofork"]).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running(vec![bus]);
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(begun.elapsed() < LONG, "dbus-daemon does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut fake = Command::new(python)
        .args([FAKE, &units.to_string(), &sessions.to_string()])
        .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", socket.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(fake.stdout.take().unwrap()).read_line(&mut line).unwrap();
    running.0.push(fake);
    assert_eq!(line, "ready\n");
    Some(running)
}

/// The series of the two collectors, and their figures.
fn series(page: &str) -> BTreeMap<String, f64> {
    let ours = |line: &&str| line.starts_with("node_systemd_") || line.starts_with("node_logind_");
    let pair = |line: &str| {
        let (series, figure) = line.rsplit_once(' ').unwrap();
        // What is empty is no label, for Prometheus too.
        let series = series.replace(",type=\"\"", "").replace("seat=\"\",", "");
        (series, figure.parse().unwrap())
    };
    page.lines().filter(ours).map(pair).collect()
}

#[test]
fn node_exporter_says_the_same() {
    let Some(peer) = ["node_exporter", "prometheus-node-exporter"]
        .into_iter()
        .find(|peer| Command::new(peer).arg("--version").output().is_ok())
    else {
        return crate::skipped("node_exporter is not on this machine");
    };
    let folder = tempfile::tempdir().unwrap();
    let Some(_machine) = machine(folder.path(), 120, 20) else { return };
    let socket = folder.path().join("bus");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = Command::new(peer)
        .args([FLAGS, MORE].concat())
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", socket.display()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _peer = Running(vec![process]);
    let begun = Instant::now();
    let mut theirs = loop {
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            break series(&page);
        }
        assert!(begun.elapsed() < LONG, "{peer} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    };
    // Versions before 1.6 know none of it.
    let virtualization = theirs.iter().find(|(series, _)| series.starts_with("node_systemd_virtualization_info"));
    let is_old = virtualization.is_none();
    let daemon = daemon(&socket, MORE);
    let page = eventually(&daemon, "/metrics", |page| {
        ["systemd", "logind"]
            .iter()
            .all(|name| has(page, &format!("node_scrape_collector_success{{collector=\"{name}\"}} 1")))
    });
    let mut ours = series(&page);
    if is_old {
        ours.retain(|series, _| !series.starts_with("node_systemd_virtualization_info"));
    }
    assert!(ours.len() > 400, "{page}");
    for (series, figure) in &ours {
        assert_eq!(theirs.remove(series), Some(*figure), "{series}");
    }
    assert!(theirs.is_empty(), "{theirs:#?}");
}

#[test]
fn ten_thousand_units_hold_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut machine) = machine(folder.path(), 10_000, 1) else { return };
    let daemon = daemon(&folder.path().join("bus"), &[]);
    let begun = Instant::now();
    let page = daemon.get("/metrics");
    assert!(page.contains("\nnode_load1 ") && begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let page = eventually(&daemon, "/metrics", |page| page.contains("\nnode_systemd_unit_state{"));
    // Five each; two fifths are mounts and slices.
    assert_eq!(page.matches("\nnode_systemd_unit_state{").count(), 30_000);
    assert_eq!(figure(&page, "node_systemd_units{state=\"reloading\"}"), Some(1998.0));
    // The bus dies, and its series with it.
    machine.0.remove(0).kill().unwrap();
    eventually(&daemon, "/metrics", |page| has(page, "node_scrape_collector_success{collector=\"systemd\"} 0"));
}
