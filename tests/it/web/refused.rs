//! What ends the start, in one line.

use super::{Files, authority};
use std::process::Command;

/// What it says, and that it ends with 1.
fn refused(arguments: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wholenode")).args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    told.trim_end().to_owned()
}

#[test]
fn a_file_that_can_not_be_used() {
    let files = Files::new(&authority());
    files.say("  min_version: TLS11\n", "");
    let path = files.path("web.yml").display().to_string();
    let flag = format!("--web.config.file={path}");
    let line = format!(
        "wholenode: {path}:4: tls_server_config.min_version: \"TLS11\": expected TLS12 or TLS13; older versions are not safe any more"
    );
    assert_eq!(refused(std::slice::from_ref(&flag)), line);
    assert_eq!(refused(&["check".to_owned(), flag]), line);
    let error = refused(&["--web.config.file=/nowhere/web.yml".to_owned()]);
    assert_eq!(error, "wholenode: /nowhere/web.yml: No such file or directory (os error 2)");
}

#[test]
fn addresses_without_tls_where_it_has_to_be() {
    let files = Files::new(&authority());
    files.write("web.yml", "rate_limit: {interval: 1s, burst: 1}\n");
    let file = format!("--web.config.file={}", files.path("web.yml").display());
    let flags = |word: &str, address: &str| {
        vec![format!("--web.require-tls={word}"), format!("--web.listen-address={address}")]
    };
    let line = |address: &str| {
        format!(
            "wholenode: web.require-tls: {address} would be served without TLS: expected a tls_server_config in the \
             file of --web.config.file, or another --web.listen-address"
        )
    };
    assert_eq!(refused(&flags("public", ":0")), line(":0"));
    assert_eq!(refused(&[flags("public", "0.0.0.0:0"), vec![file]].concat()), line("0.0.0.0:0"));
    assert_eq!(refused(&[flags("public", "localhost:0"), flags("public", "[::]:0")].concat()[1..]), line("[::]:0"));
    let socket = format!("unix:{}", files.path("w.sock").display());
    assert_eq!(refused(&flags("always", &socket)), line(&socket));
    // With TLS, anything goes; and without, what others can't reach.
    files.say("", "");
    drop(files.start(&["--web.require-tls=always"]));
    files.write("web.yml", "");
    drop(files.start(&["--web.require-tls=public"]));
}
