//! What curl is served.

use super::{Authority, Files, LOGIN, USER, authority, has, params};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

#[test]
fn every_version_of_tls_and_http_is_served() {
    if !has("curl") {
        return;
    }
    let files = Files::new(&authority());
    files.say("", "http_server_config:\n  headers:\n    X-Frame-Options: deny\n");
    let daemon = files.start(&[]);
    for (flags, version) in [
        (&["--http2"][..], "2"),
        (&["--http1.1"], "1.1"),
        (&["--tls-max", "1.2", "--http1.1"], "1.1"),
        (&["--tls-max", "1.2"], "2"),
        (&["--tlsv1.3"], "2"),
        (&["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305"], "2"),
        (&["--compressed"], "2"),
    ] {
        let said = files.curl(&daemon, "/metrics", flags).unwrap_or_else(|| panic!("{flags:?}"));
        assert_eq!((said.status, said.version.as_str()), (200, version), "{flags:?}");
        assert!(said.text.contains("\nnode_load1 "), "{flags:?}");
        assert!(said.text.to_ascii_lowercase().contains("\nx-frame-options: deny"), "{flags:?}");
        let said = files.curl(&daemon, "/nowhere", flags).unwrap();
        assert_eq!(said.status, 404);
        assert!(said.text.to_ascii_lowercase().contains("\nx-frame-options: deny"), "on every answer");
        let said = files.curl(&daemon, "/metrics", &[flags, &["--head"]].concat()).unwrap();
        assert_eq!((said.status, said.text.contains("node_load1")), (200, false));
    }
    assert!(files.curl(&daemon, "/metrics", &["--tls-max", "1.1"]).is_none());
    files.write("ca.pem", &authority().pem());
    assert!(files.curl(&daemon, "/metrics", &[]).is_none(), "it is who it says it is");
}

#[test]
fn versions_and_protocols_that_are_off_are_not_spoken() {
    if !has("curl") {
        return;
    }
    let files = Files::new(&authority());
    files.say("  min_version: TLS13\n", "http_server_config: {http2: false}\n");
    let daemon = files.start(&[]);
    assert_eq!(files.curl(&daemon, "/metrics", &["--http2"]).unwrap().version, "1.1");
    assert!(files.curl(&daemon, "/metrics", &["--tls-max", "1.2"]).is_none());
    files.say("  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n", "");
    assert!(files.curl(&daemon, "/metrics", &[]).is_some());
    assert!(files.curl(&daemon, "/metrics", &["--tlsv1.3"]).is_none());
    assert!(files.curl(&daemon, "/metrics", &["--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]).is_none());
}

/// Certificates of clients, good and bad, beside each other.
fn clients(files: &Files, authority: &Authority) {
    let of = |name: &str, params: CertificateParams| files.issue(name, params, authority);
    for (name, san) in
        [("dns", "scraper.example"), ("ip", "10.1.2.3"), ("mail", "a@example.org"), ("uri", "spiffe://example/scraper")]
    {
        of(name, params(&[san, "more.example"]));
    }
    of("other", params(&["other.example"]));
    of("none", params(&[]));
    let mut expired = params(&["scraper.example"]);
    (expired.not_before, expired.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    of("expired", expired);
    let mut early = params(&["scraper.example"]);
    early.not_before = date_time_ymd(2900, 1, 1);
    of("early", early);
    let mut server = params(&["scraper.example"]);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    of("for_servers", server);
    files.issue("foreign", params(&["scraper.example"]), &super::authority());
}

#[test]
fn only_certificates_that_are_allowed_are_served() {
    if !has("curl") {
        return;
    }
    let authority = authority();
    let files = Files::new(&authority);
    clients(&files, &authority);
    // One that vouches for itself, and is known itself.
    let mut own = params(&["scraper.example"]);
    own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let own = own.self_signed(&key).unwrap().pem();
    files.write("own.pem", &own);
    files.write("own.key", &key.serialize_pem());
    files.write("clients.pem", &(authority.pem() + &own));
    files.say(
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n  client_allowed_sans:\n  \
         - scraper.example\n  - 10.1.2.3\n  - a@example.org\n  - spiffe://example/scraper\n",
        "",
    );
    let daemon = files.start(&[]);
    for (name, is_served) in [
        ("dns", true),
        ("ip", true),
        ("mail", true),
        ("uri", true),
        ("own", true),
        ("other", false),
        ("none", false),
        ("expired", false),
        ("early", false),
        ("for_servers", false),
        ("foreign", false),
    ] {
        for version in ["1.2", "1.3"] {
            let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
            let said = files.curl(&daemon, "/metrics", &["--cert", &pem, "--key", &key, "--tls-max", version]);
            assert_eq!(said.is_some_and(|said| said.status == 200), is_served, "{name} by TLS {version}");
        }
    }
    assert!(files.curl(&daemon, "/metrics", &[]).is_none(), "without a certificate");
}

#[test]
fn only_passwords_that_are_right_are_served() {
    if !has("curl") {
        return;
    }
    let files = Files::new(&authority());
    files.say("", USER);
    let daemon = files.start(&[]);
    for flags in [&["--http1.1"][..], &["--http2"]] {
        for (user, status) in [(LOGIN, 200), ("alice:wrong", 401), ("alice:", 401), ("bob:secret", 401)] {
            let said = files.curl(&daemon, "/metrics", &[flags, &["--user", user]].concat()).unwrap();
            assert_eq!(said.status, status, "{user}");
        }
        let said = files.curl(&daemon, "/-/healthy", flags).unwrap();
        assert_eq!(said.status, 401);
        assert!(said.text.to_ascii_lowercase().contains("\nwww-authenticate: basic"), "{}", said.text);
    }
    let page = files.curl(&daemon, "/metrics", &["--user", LOGIN]).unwrap().text;
    assert!(page.contains("\nwholenode_http_refused_total{reason=\"password\"} 8\n"), "{page}");
    assert!(!daemon.end().iter().any(|line| line.contains("secret") || line.contains("wrong")));
}

#[test]
fn passwords_and_a_rate_need_no_tls() {
    let files = Files::new(&authority());
    files.write("web.yml", &format!("{USER}rate_limit: {{interval: 1h, burst: 2}}\n"));
    let daemon = files.start(&[]);
    let alice = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    assert_eq!(daemon.ask("GET", "/metrics", alice).status, 200);
    let answer = daemon.ask("GET", "/metrics", "");
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Basic")));
    assert_eq!(daemon.ask("GET", "/metrics", alice).status, 429);
}
