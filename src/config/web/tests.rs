//! From the text of the file to what it means.

use super::*;
use crate::serve::web::{ClientAuth, Rate};
use proptest::prelude::*;
use std::time::Duration;

/// What a text means beside the files `c`, `k` and `ca`; warnings and errors without the file's name.
fn of(text: &str) -> Result<Web, String> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["c", "k", "ca"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    let path = folder.path().join("w.yml").to_str().unwrap().to_owned();
    let short = |line: String| line.replace(&format!("{path}:"), "").replace(folder.path().to_str().unwrap(), "");
    let mut web = parse(&path, text, &mut Vec::new()).map_err(|error| short(error.to_string()))?;
    web.warnings = web.warnings.into_iter().map(short).collect();
    Ok(web)
}

fn tls_of(more: &str) -> Result<Web, String> {
    of(&format!("tls_server_config:\n  cert_file: c\n  key_file: k\n  {more}\n"))
}

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

#[test]
fn nothing_said_is_http_for_everyone() {
    for text in
        ["", "# nothing\n", "---\n", "tls_server_config:\nbasic_auth_users: ~\n", "{}", "rate_limit: {interval: 0}"]
    {
        let web = of(text).unwrap();
        assert!(web.tls.is_none() && web.http2 && web.users.is_empty() && web.rate.is_none(), "{text}");
    }
}

#[test]
fn everything_that_the_toolkit_documents_is_taken() {
    let web = of(&format!(
        "tls_server_config:\n  cert_file: c\n  key_file: k\n  client_auth_type: RequireAndVerifyClientCert\n  \
         client_ca_file: ca\n  client_allowed_sans: [a.example, 10.0.0.1]\n  min_version: TLS12\n  max_version: TLS13\n  \
         cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]\n  \
         prefer_server_cipher_suites: no\n  curve_preferences:\n  - X25519\n  - CurveP256\n\
         http_server_config:\n  http2: off\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 1\n\
         basic_auth_users:\n  alice: {HASH}\n  12: '{HASH}'\n\
         rate_limit: {{interval: 1m30s, burst: 5}}\n"
    ))
    .unwrap();
    let tls = web.tls.unwrap();
    assert_eq!((tls.clients, tls.tls12, tls.tls13), (ClientAuth::RequireAndVerify, true, true));
    assert_eq!((tls.certificate.text, tls.key.text), (b"c".to_vec(), b"k".to_vec()));
    assert_eq!(tls.client_ca.unwrap().text, b"ca");
    assert_eq!(tls.client_names.unwrap(), ["a.example", "10.0.0.1"]);
    assert_eq!((tls.suites, tls.groups, tls.server_order), (Some(vec![0xc030]), Some(vec![29, 23]), false));
    assert!(!web.http2);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(web.headers, [header("X-Frame-Options", "deny"), header("X-XSS-Protection", "1")]);
    assert_eq!(web.users.keys().collect::<Vec<_>>(), ["12", "alice"]);
    assert_eq!(web.users["alice"].cost, 10);
    assert_eq!(web.rate, Some(Rate { interval: Duration::from_secs(90), burst: 5 }));
    assert_eq!(web.warnings, [""; 0]);
}

#[test]
fn certificates_may_stand_in_the_file_itself() {
    let web = of("tls_server_config:\n  cert: |\n    a\n    b\n  key: x\n").unwrap();
    let tls = web.tls.unwrap();
    assert_eq!((tls.certificate.text, tls.key.text), (b"a\nb\n".to_vec(), b"x".to_vec()));
    assert!(tls.certificate.from.ends_with("w.yml:3: tls_server_config.cert"), "{}", tls.certificate.from);
    let web = of("tls_server_config: {cert: a, cert_file: c, key_file: k}").unwrap();
    assert_eq!(web.tls.unwrap().certificate.text, b"c", "the file counts");
}

#[test]
fn of_suites_and_curves_those_that_there_are_are_offered() {
    let web =
        tls_of("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]").unwrap();
    assert_eq!(web.tls.unwrap().suites, Some(vec![0xc02b]));
    let warning = "4: tls_server_config.cipher_suites: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: not to be had here; the others are offered";
    assert_eq!(web.warnings, [warning]);
    let tls = tls_of("cipher_suites: [TLS_AES_128_GCM_SHA256]").unwrap().tls.unwrap();
    assert_eq!((tls.tls12, tls.tls13), (false, true), "as in Go, nothing is left for TLS 1.2");
    let web = tls_of("curve_preferences: [CurveP521, CurveP384]").unwrap();
    assert_eq!((web.tls.unwrap().groups, web.warnings.len()), (Some(vec![24]), 1));
    let tls = tls_of("cipher_suites: []\n  curve_preferences: ~").unwrap().tls.unwrap();
    assert_eq!((tls.suites, tls.groups, tls.tls12), (None, None, true));
}

#[test]
fn every_number_is_one_that_the_library_knows() {
    let provider = rustls::crypto::ring::default_provider();
    let all: Vec<&str> = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
        .into_iter()
        .chain(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"])
        .chain(["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"])
        .collect();
    let suites = tls_of(&format!("cipher_suites: [{}]", all.join(", "))).unwrap().tls.unwrap().suites.unwrap();
    for (number, name) in suites.iter().zip(all) {
        let suite = provider.cipher_suites.iter().find(|suite| u16::from(suite.suite()) == *number).unwrap();
        assert_eq!(format!("{:?}", suite.suite()), name);
    }
    let groups = tls_of("curve_preferences: [X25519, CurveP256, CurveP384]").unwrap().tls.unwrap().groups.unwrap();
    let known: Vec<u16> = provider.kx_groups.iter().map(|group| u16::from(group.name())).collect();
    assert!(groups.len() == 3 && groups.iter().all(|group| known.contains(group)));
}

#[test]
fn what_does_not_fit_is_told_with_its_line() {
    for (text, line) in [
        (
            "web: 1",
            "1: there is no key \"web\" here: expected tls_server_config, http_server_config, basic_auth_users, rate_limit",
        ),
        (
            "a\n",
            "1: expected a mapping with tls_server_config, http_server_config, basic_auth_users, rate_limit, not a text",
        ),
        ("{}\n---\n{}\n", "3: expected one document, not several"),
        ("rate_limit: [1]", "1: rate_limit: expected a mapping with interval, burst, not a list"),
        ("rate_limit:\n  burst: 1\n  burst: 2\n", "3: burst: given twice, first on line 2"),
        (
            "rate_limit:\n  interval: 5\n",
            "2: rate_limit.interval: \"5\": expected a length of time such as 1s, or 0 for no limit",
        ),
        ("rate_limit: {interval: 1s}", "1: rate_limit.burst: 0: expected at least 1, or every request is refused"),
        ("rate_limit: {interval: 1s, burst: -1}", "1: rate_limit.burst: \"-1\": expected a whole number"),
        ("http_server_config:\n  http2: 1\n", "2: http_server_config.http2: \"1\": expected true or false"),
        (
            "http_server_config: {headers: {Server: x}}",
            "1: http_server_config.headers: there is no key \"Server\" here: expected Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection, Content-Security-Policy",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: x}}",
            "1: http_server_config.headers.X-Frame-Options: \"x\": expected deny or sameorigin",
        ),
        (
            "basic_auth_users: {alice: secret}",
            "1: basic_auth_users.alice: expected a bcrypt hash such as htpasswd -nBC 10 \"\" prints: $2y$10$…",
        ),
        (
            "basic_auth_users: {alice: [a]}",
            "1: basic_auth_users.alice: expected a bcrypt hash such as htpasswd -nBC 10 \"\" prints: $2y$10$…",
        ),
        (
            "tls_server_config: {min_version: TLS13}",
            "1: tls_server_config: expected cert_file and key_file, or cert and key",
        ),
        ("tls_server_config: {cert_file: c}", "1: tls_server_config: expected key_file or key"),
        ("tls_server_config: {key_file: k}", "1: tls_server_config: expected cert_file or cert"),
        ("tls_server_config: &a {cert_file: *a}", "1: expected the value itself, not an alias"),
        ("tls_server_config: {cert_file: !!str c}", "1: expected the value without a tag"),
        (
            "tls_server_config: {cert_file: nowhere}",
            "1: tls_server_config.cert_file: /nowhere: No such file or directory (os error 2)",
        ),
        ("a: {b: {c: {d: {e: {f: {g: {h: {i: {j: 1}}}}}}}}}", "1: expected less nesting"),
    ] {
        assert_eq!(of(text).map(drop), Err(line.to_owned()), "{text}");
    }
    let costly = HASH.replace("$10$", "$17$");
    assert_eq!(
        of(&format!("basic_auth_users:\n  alice: {costly}\n")).unwrap_err(),
        "2: basic_auth_users.alice: cost 17: expected a hash with a cost of 4 to 16"
    );
    assert!(!of(&format!("basic_auth_users: {{a: {HASH}x}}")).unwrap_err().contains("X0h1gD"), "no hash is told");
}

#[test]
fn what_can_not_be_had_is_told() {
    for (more, line) in [
        (
            "min_version: TLS10",
            "4: tls_server_config.min_version: \"TLS10\": expected TLS12 or TLS13; older versions are not safe any more",
        ),
        (
            "max_version: TLS11",
            "4: tls_server_config.max_version: \"TLS11\": expected TLS12 or TLS13; older versions are not safe any more",
        ),
        ("min_version: SSL3", "4: tls_server_config.min_version: \"SSL3\": expected TLS12 or TLS13"),
        (
            "min_version: TLS13\n  max_version: TLS12",
            "4: tls_server_config.min_version: TLS13: expected no more than max_version, which is TLS12",
        ),
        (
            "curve_preferences: [CurveP521]",
            "4: tls_server_config.curve_preferences: CurveP521: not to be had here; expected some of X25519, CurveP256, CurveP384",
        ),
        ("curve_preferences: X25519", "4: tls_server_config.curve_preferences: expected a list of texts, not a text"),
        (
            "cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12",
            "4: tls_server_config.cipher_suites: expected a suite of TLS 1.2, as max_version is TLS12",
        ),
        (
            "client_ca_file: ca",
            "4: tls_server_config: a client_ca needs a client_auth_type: expected RequireAndVerifyClientCert",
        ),
        (
            "client_allowed_sans: [a]",
            "4: tls_server_config.client_allowed_sans: without certificates of clients: expected a client_auth_type that asks for them",
        ),
        (
            "client_auth_type: RequireAnyClientCert\n  client_allowed_sans: []",
            "5: tls_server_config.client_allowed_sans: expected at least one name, or nobody can connect",
        ),
        (
            "client_auth_type: RequireAndVerifyClientCert",
            "4: tls_server_config.client_auth_type: RequireAndVerifyClientCert: expected client_ca_file or client_ca beside it",
        ),
        (
            "client_auth_type: Any",
            "4: tls_server_config.client_auth_type: \"Any\": expected NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert, RequireClientCert",
        ),
    ] {
        assert_eq!(tls_of(more).map(drop), Err(line.to_owned()), "{more}");
    }
    for suite in ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_GCM_SHA256"] {
        let error = tls_of(&format!("cipher_suites: [{suite}]")).unwrap_err();
        assert!(error.starts_with("4: tls_server_config.cipher_suites: ") && error.contains(suite), "{error}");
        assert!(error.contains("expected some of TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "), "{error}");
    }
}

#[test]
fn the_files_that_it_depends_on_are_told_even_if_they_are_not_there() {
    let mut files = Vec::new();
    parse("/etc/w.yml", "tls_server_config: {cert_file: a/c, key_file: /k}", &mut files).unwrap_err();
    assert_eq!(files, [PathBuf::from("/etc/a/c")]);
    let reading = WebFile::new("/nowhere/w.yml").read();
    assert_eq!(reading.files, [PathBuf::from("/nowhere/w.yml")]);
    assert_eq!(reading.web.unwrap_err(), "/nowhere/w.yml: No such file or directory (os error 2)");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z0-9.:\\[\\]{}&*!~#'\"|>$\\-]|tls_server_config|cert_file|rate_limit|interval|burst|basic_auth_users|http2|headers|: | |\n){0,80}") {
        let _ = of(&text);
    }

    #[test]
    fn no_value_makes_it_panic(key in 0..11_usize, value in "\\PC{0,40}") {
        let keys = ["min_version", "cipher_suites", "curve_preferences", "client_auth_type", "client_allowed_sans", "client_ca"];
        let _ = match key {
            0..6 => tls_of(&format!("{}: {value}", keys[key])),
            6 => of(&format!("basic_auth_users:\n  a: {value}")),
            7 => of(&format!("basic_auth_users:\n  a: $2y$10${value}")),
            8 => of(&format!("rate_limit:\n  interval: {value}")),
            9 => of(&format!("rate_limit:\n  burst: {value}")),
            _ => of(&format!("http_server_config:\n  headers:\n    X-XSS-Protection: {value}")),
        };
    }
}
