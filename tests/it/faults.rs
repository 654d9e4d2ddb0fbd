//! What must never hold the daemon up, and what the daemon must never hold.

use crate::daemon::{Daemon, eventually, figure, has};
use crate::fuse::{Fuse, Mood, available};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn device_error(path: &Path) -> String {
    format!("device_error=\"mountpoint timeout\",fstype=\"fuse.wholenode_test\",mountpoint=\"{}\"}} 1", path.display())
}

#[test]
fn mounts_that_hang_cost_their_own_series_only() {
    if !available() {
        return;
    }
    let silent: Vec<Fuse> = (0..9).map(|_| Fuse::mount(Mood::Mute)).collect();
    let deaf: Vec<Fuse> = (0..9).map(|_| Fuse::mount(Mood::Deaf)).collect();
    let daemon = Daemon::start(&[]);
    let first = Instant::now();
    for scrape in 0..5 {
        let page = daemon.get("/metrics");
        assert!(page.contains("node_load1 ") && page.contains("node_filesystem_size_bytes{"), "scrape {scrape}");
        assert!(has(&page, "node_scrape_collector_success{collector=\"filesystem\"} 1"), "scrape {scrape}\n{page}");
        for mount in silent.iter().chain(&deaf) {
            assert!(page.contains(&device_error(mount.path())), "scrape {scrape}\n{page}");
        }
        std::thread::sleep(Duration::from_millis(120));
    }
    // Not a timing: a scrape that waited for the mounts would not come back at all.
    assert!(first.elapsed() < Duration::from_secs(20), "{:?}", first.elapsed());
    let threads = daemon.threads();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(120));
        daemon.get("/metrics");
    }
    // A thread of the child for each call that hangs, and a few that wait for work.
    assert!((19..40).contains(&threads), "{threads} threads");
    assert!(daemon.threads() <= threads + 2, "{threads} threads, then {}", daemon.threads());

    let size = format!("fstype=\"fuse.wholenode_test\",mountpoint=\"{}\"}}", silent[0].path().display());
    silent[0].set(Mood::Awake);
    eventually(&daemon, "/metrics", |page| {
        page.lines().any(|line| line.starts_with("node_filesystem_size_bytes{") && line.contains(&size))
    });

    let address = daemon.address().to_owned();
    let (well, took) = daemon.stop();
    assert!(well && took < Duration::from_secs(2), "{took:?}");
    let next = Daemon::start_at(&address, &[]);
    let page = next.get("/metrics");
    assert!(page.contains(&device_error(silent[1].path())) && page.contains("node_load1 "));
}

#[test]
fn text_files_that_hang_cost_their_own_series_and_not_the_port() {
    if !available() {
        return;
    }
    let mount = Fuse::mount(Mood::Mute);
    let daemon = Daemon::start(&[&format!("--collector.textfile.directory={}", mount.path().display())]);
    for _ in 0..3 {
        let page = daemon.get("/metrics");
        assert!(page.contains("node_load1 ") && !page.contains("node_textfile_scrape_error "), "{page}");
        assert!(has(&page, "wholenode_collector_state{collector=\"textfile\",reason=\"stuck\"} 1"), "{page}");
        std::thread::sleep(Duration::from_millis(120));
    }
    // The kernel keeps the process until the call returns; nothing else is kept.
    daemon.signal(rustix::process::Signal::TERM);
    let begun = Instant::now();
    while std::net::TcpListener::bind(daemon.address()).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(2), "the port is still taken");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(mount);
}

#[test]
fn every_filesystem_can_be_unmounted_while_it_runs() {
    if !available() {
        return;
    }
    let mount = Fuse::mount(Mood::Awake);
    let daemon = Daemon::start(&[]);
    let shown = |page: &str| page.contains(&format!("mountpoint=\"{}\"", mount.path().display()));
    assert!(shown(&daemon.get("/metrics")));
    (0..3).for_each(|_| drop(daemon.get("/metrics")));
    mount.unmount().unwrap();
    std::thread::sleep(Duration::from_millis(120));
    assert!(!shown(&daemon.get("/metrics")));
}

/// A process that ends when it is dropped, also when the test fails.
struct Ending(std::process::Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_network_namespace_dies_with_its_last_process_while_it_runs() {
    let marker = "wholenode-it";
    let unshared = Command::new("unshare").args(["--net", "--", "sleep", "600"]).spawn();
    let ip = |arguments: &[&str]| Command::new("ip").args(arguments).output().is_ok_and(|done| done.status.success());
    let (Ok(process), true) = (unshared.map(Ending), ip(&["link", "show"])) else {
        return crate::skipped("unshare(1) and ip(8) as root are needed");
    };
    std::thread::sleep(Duration::from_millis(200));
    let pid = process.0.id().to_string();
    // The far end of a pair lives in the namespace: when that dies, so does the near end.
    let paired = ip(&["link", "add", marker, "type", "veth", "peer", "name", "far", "netns", &pid]);
    if !paired {
        return crate::skipped("no pair of virtual interfaces can be made here");
    }
    let daemon = Daemon::start(&[]);
    let shown = |page: &str| page.contains(&format!("device=\"{marker}\""));
    assert!(shown(&daemon.get("/metrics")));
    drop(process);
    eventually(&daemon, "/metrics", |page| !shown(page));
}

#[test]
fn a_reload_opens_only_what_changed_and_keeps_the_old_when_the_new_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wholenode.yaml");
    let config = format!("--config.file={}", file.display());
    std::fs::write(&file, "collector: {hwmon: false}\n").unwrap();
    let mut daemon = Daemon::start(&[&config]);
    let rounds = |page: &str, of: &str| figure(page, &format!("wholenode_rounds_total{{collector=\"{of}\"}}"));
    let before = rounds(&daemon.get("/metrics"), "stat").unwrap();

    std::fs::write(&file, "collector: {hwmon: false, uname: false}\n").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.hears("configuration read again");
    std::thread::sleep(Duration::from_millis(120));
    let page = daemon.get("/metrics");
    assert!(!page.contains("node_uname_info") && rounds(&page, "stat").unwrap() > before);
    assert!(has(&page, "wholenode_reloads_total{result=\"taken\"} 1"), "{page}");

    std::fs::write(&file, "collector: {nonsense: 1}\n").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.hears("nonsense");
    let page = eventually(&daemon, "/metrics", |page| has(page, "wholenode_reloads_total{result=\"refused\"} 1"));
    assert!(page.contains("node_load1 ") && !page.contains("node_uname_info"));
}

#[test]
fn text_files_that_clash_or_break_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let mut daemon = Daemon::start(&[&format!("--collector.textfile.directory={}", folder.path().display())]);
    write("good.prom", "good_metric{a=\"1\"} 1\n");
    assert!(has(&daemon.get("/metrics"), "node_textfile_scrape_error 0"));
    write("clash.prom", "# TYPE node_load1 counter\nnode_load1 1000000\n");
    std::thread::sleep(Duration::from_millis(120));
    let page = daemon.get("/metrics");
    assert!(has(&page, "node_textfile_scrape_error 1") && has(&page, "good_metric{a=\"1\"} 1"), "{page}");
    assert_eq!(page.matches("\nnode_load1 ").count(), 1);
    assert!(figure(&page, "node_load1").unwrap() < 1000.0);
    daemon.hears("node_load1");
    std::fs::remove_file(folder.path().join("clash.prom")).unwrap();
    write("bad.prom", "good_metric{a=\"2\" 1\n");
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(120));
        let page = daemon.get("/metrics");
        assert!(has(&page, "node_textfile_scrape_error 1") && has(&page, "good_metric{a=\"1\"} 1"), "{page}");
    }
    daemon.hears("bad.prom");
    let log = daemon.end();
    for name in ["clash.prom", "node_load1", "bad.prom"] {
        let told = log.iter().filter(|line| line.contains(name)).count();
        assert_eq!(told, usize::from(name != "clash.prom"), "each change is told once: {log:#?}");
    }
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_wholenode"))
        .args(["--web.listen-address", &format!("unix:{}/socket", folder.path().display())])
        .args(["--log.level", "debug", "--collector.disable-defaults", "--collector.textfile"])
        .arg(format!("--collector.textfile.directory={}", folder.path().display()))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let socket = folder.path().join("socket");
    let begun = Instant::now();
    while !socket.exists() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    // Each page brings news of a file that was never told before; the pipe holds 64 KiB and nobody reads it.
    for scrape in 0..250 {
        let long = "x".repeat(400);
        std::fs::write(folder.path().join(format!("{long:.200}{scrape}.prom")), "broken\n").unwrap();
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut page = String::new();
        std::io::Read::read_to_string(&mut stream, &mut page).unwrap();
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        std::thread::sleep(Duration::from_millis(2));
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

/// The program, started where a process may have only so many files open at first, or at all.
fn within(limits: &str) -> Daemon {
    let wanted = Daemon::command("127.0.0.1:0", &[]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limits} && exec \"$0\" \"$@\"")]).arg(wanted.get_program());
    command.args(wanted.get_args()).stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    Daemon::of(command.spawn().unwrap())
}

/// The collectors that could not read something for a reason that is not one of the usual ones.
fn failing(page: &str) -> Vec<String> {
    let of_io = |line: &&str| line.starts_with("wholenode_read_errors_total{") && line.contains("reason=\"io\"");
    page.lines().filter(of_io).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn files_that_are_kept_leave_room_for_others() {
    let (free, bound) = (Daemon::start(&[]), within("-n 48"));
    for _ in 0..4 {
        let (page, expected) = (bound.get("/metrics"), free.get("/metrics"));
        assert_eq!(figure(&page, "process_max_fds"), Some(48.0));
        assert!(figure(&page, "wholenode_kept_handles").is_some_and(|kept| kept <= 24.0));
        assert_eq!(failing(&page), failing(&expected));
        std::thread::sleep(Duration::from_millis(120));
    }
}

#[test]
fn more_files_than_at_first_may_be_opened_where_that_is_allowed() {
    let daemon = within("-S -n 100");
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let most = line.split_whitespace().nth(4).unwrap().parse().unwrap_or(f64::INFINITY);
    assert_eq!(figure(&daemon.get("/metrics"), "process_max_fds"), Some(4096f64.min(most)));
}
