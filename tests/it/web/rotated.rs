//! Files that change while the process runs.

use super::{Files, LOGIN, USER, authority, has, params};
use crate::daemon::Daemon;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Whether the page says that the files are in force.
fn is_successful(files: &Files, daemon: &Daemon, more: &[&str]) -> bool {
    let page = files.curl(daemon, "/metrics", more).unwrap().text;
    let said = |value: u8| page.contains(&format!("\nwholenode_web_config_last_reload_successful {value}\n"));
    assert!(said(0) != said(1), "{page}");
    said(1)
}

#[test]
fn a_new_certificate_is_served_within_a_second() {
    if !has("curl") {
        return;
    }
    let (old, new) = (authority(), authority());
    let files = Files::new(&old);
    files.say("", "");
    let daemon = files.start(&[]);
    assert!(files.curl(&daemon, "/metrics", &[]).is_some());
    files.issue("server", params(&["127.0.0.1"]), &new);
    files.write("ca.pem", &new.pem());
    let begun = Instant::now();
    while files.curl(&daemon, "/metrics", &[]).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(1), "still the old one");
    }
    // As Kubernetes does it: another folder behind the same link.
    std::fs::create_dir(files.path("2")).unwrap();
    for name in ["server.pem", "server.key"] {
        std::fs::rename(files.path(name), files.path("2").join(name)).unwrap();
        std::os::unix::fs::symlink(format!("data/{name}"), files.path(name)).unwrap();
    }
    assert!(files.curl(&daemon, "/metrics", &[]).is_some(), "nothing there: the old one");
    std::os::unix::fs::symlink("2", files.path("data")).unwrap();
    assert!(is_successful(&files, &daemon, &[]));
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_once() {
    if !has("curl") {
        return;
    }
    let files = Files::new(&authority());
    files.say("", USER);
    let mut daemon = files.start(&[]);
    let login = ["--user", LOGIN];
    assert!(is_successful(&files, &daemon, &login));
    let web = std::fs::read_to_string(files.path("web.yml")).unwrap();
    for (text, line) in [
        ("web: [\n", "not taken"),
        ("", "there is no tls_server_config any more"),
        (&web.replace(USER, ""), "there are no basic_auth_users any more"),
        (&web.replace("server.key", "ca.pem"), "ca.pem: expected a private key in PEM"),
        (&web.replace("server.key", "nowhere.key"), "nowhere.key: No such file"),
    ] {
        files.write("web.yml", text);
        for _ in 0..3 {
            assert!(!is_successful(&files, &daemon, &login), "{text}");
            assert_eq!(files.curl(&daemon, "/metrics", &[]).unwrap().status, 401, "{text}");
        }
        let told = daemon.hears("web configuration not taken; the old one goes on");
        assert!(told.contains(line), "{told}");
    }
    files.write("web.yml", &web);
    assert!(is_successful(&files, &daemon, &login));
    daemon.hears("web configuration read again");
    let log = daemon.end();
    assert_eq!(log.iter().filter(|line| line.contains("not taken")).count(), 5, "{log:#?}");
}

#[test]
fn a_hangup_reads_the_files_again() {
    let files = Files::new(&authority());
    files.say("", "");
    let mut daemon = files.start(&[]);
    daemon.signal(Signal::HUP);
    daemon.hears("web configuration read again");
    files.write("web.yml", "web");
    daemon.signal(Signal::HUP);
    daemon.hears("web configuration not taken");
}
