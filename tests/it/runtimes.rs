//! The daemon beside container runtimes that are not well: they cost names, and nothing else.

use crate::daemon::{Daemon, eventually, figure, has};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

/// Whoever connects is taken, and never answered.
fn silent(folder: &tempfile::TempDir, name: &str) -> (UnixListener, String) {
    let path = folder.path().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    (listener, path.to_str().unwrap().to_owned())
}

#[test]
fn runtimes_that_hang_hold_up_neither_a_page_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_cri, cri) = silent(&folder, "cri.sock");
    let (_docker, docker) = silent(&folder, "docker.sock");
    let flags = [format!("--containers.cri-socket=unix://{cri}"), format!("--containers.docker-socket={docker}")];
    let start = || Daemon::start(&[&flags[0], &flags[1], "--collector.disable-defaults", "--collector.loadavg"]);
    let daemon = start();
    assert!(daemon.get("/metrics").contains("\nnode_load1 "));
    // It is asked how the containers are, from the beginning.
    let of_docker = format!("{{api=\"docker\",socket=\"{docker}\"}}");
    let page = eventually(&daemon, "/metrics", |page| page.contains("wholenode_runtime_up"));
    assert!(has(&page, &format!("wholenode_runtime_up{of_docker} 0")), "{page}");
    assert_eq!(figure(&page, &format!("wholenode_runtime_requests_total{of_docker}")), Some(1.0));
    assert_eq!(figure(&page, &format!("wholenode_runtime_failures_total{of_docker}")), Some(1.0));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    assert!(names.into_iter().all(|name| !name.starts_with("tokio")), "sources have no threads");
    // In the middle of a question, and between two.
    let asking = start();
    std::thread::sleep(Duration::from_millis(700));
    for daemon in [asking, daemon] {
        let (well, took) = daemon.stop();
        assert!(well && took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn without_sockets_nothing_is_asked_or_told() {
    let daemon = Daemon::start(&["--collector.disable-defaults", "--collector.loadavg"]);
    assert!(!daemon.get("/metrics").contains("wholenode_runtime"));
}

#[test]
fn the_check_tells_of_a_socket_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.sock");
    let done = Command::new(env!("CARGO_BIN_EXE_wholenode"))
        .args(["check", "--collector.disable-defaults", "--collector.loadavg"])
        .arg(format!("--containers.docker-socket=unix://{}", path.display()))
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let line = format!("{}  docker  absent  no such socket; is the runtime running?", path.display());
    assert!(text.contains("\nContainer runtimes that may be asked:\n") && text.contains(&line), "{text}");
    assert_eq!(done.status.code(), Some(1));
}
