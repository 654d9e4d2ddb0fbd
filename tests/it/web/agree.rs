//! What the toolkit takes and refuses is taken and refused here, but for what this table says.

use super::{Files, authority, has};
use std::process::Command;

/// How this server and the toolkit are to take a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Both,
    Neither,
    /// The toolkit takes it, and protects less than it says or can do more than this server.
    Theirs,
    /// Only a promtool younger than Debian 12's knows the key.
    Younger,
}

use Verdict::{Both, Neither, Theirs, Younger};

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// What stands below `tls_server_config`, beside a certificate and its key.
const OF_TLS: &[(&str, Verdict)] = &[
    ("", Both),
    ("client_auth_type: RequestClientCert", Both),
    ("client_auth_type: RequireClientCert", Both),
    ("client_auth_type: RequireAnyClientCert", Both),
    ("client_auth_type: VerifyClientCertIfGiven", Both),
    ("client_auth_type: NoClientCert", Both),
    ("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem", Both),
    ("client_auth_type: Any", Neither),
    ("client_ca_file: ca.pem", Neither),
    ("client_ca_file: nowhere.pem\n  client_auth_type: RequireAndVerifyClientCert", Neither),
    // Go would take the system's authorities: whoever can buy a certificate.
    ("client_auth_type: RequireAndVerifyClientCert", Theirs),
    // Go would take none of it for an authority, and serve nobody.
    ("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: web.yml", Theirs),
    ("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [a]", Younger),
    ("min_version: TLS12\n  max_version: TLS12", Both),
    ("min_version: TLS13", Both),
    ("min_version: TLS14", Neither),
    ("min_version: TLS10", Theirs),
    ("max_version: TLS11", Theirs),
    // Nobody could connect.
    ("min_version: TLS13\n  max_version: TLS12", Theirs),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]", Both),
    ("cipher_suites: [TLS_AES_128_GCM_SHA256]", Both),
    ("cipher_suites: []", Both),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]", Theirs),
    ("cipher_suites: [TLS_MADE_UP]", Neither),
    ("cipher_suites: TLS_AES_128_GCM_SHA256", Neither),
    ("prefer_server_cipher_suites: false", Both),
    ("prefer_server_cipher_suites: yes", Both),
    ("prefer_server_cipher_suites: 1", Neither),
    ("curve_preferences: [X25519, CurveP256, CurveP384, CurveP521]", Both),
    ("curve_preferences: [CurveP521]", Theirs),
    ("curve_preferences: [CurveP257]", Neither),
    ("cert_flie: server.pem", Neither),
    ("cert_file: server.pem", Neither),
    ("cert_file: [server.pem]", Neither),
];

/// Whole files.
const FILES: &[(&str, Verdict)] = &[
    ("", Both),
    ("# nothing\n", Both),
    ("tls_server_config:\nbasic_auth_users:\n", Both),
    ("junk", Neither),
    ("- junk", Neither),
    ("tls: {}", Neither),
    ("{", Neither),
    ("tls_server_config: {cert_file: server.pem}", Neither),
    ("tls_server_config: {key_file: server.key}", Neither),
    ("tls_server_config: {cert_file: nowhere.pem, key_file: server.key}", Neither),
    ("tls_server_config: {cert_file: server.key, key_file: server.key}", Neither),
    ("tls_server_config: {cert_file: server.pem, key_file: server.pem}", Neither),
    ("tls_server_config: {cert_file: server.pem, key_file: other.key}", Neither),
    // The toolkit would serve without TLS.
    ("tls_server_config: {min_version: TLS13}", Theirs),
    ("tls_server_config: &a {cert_file: server.pem, key_file: server.key}\nhttp_server_config: {}", Both),
    ("http_server_config: {http2: false}", Both),
    ("http_server_config: {http2: maybe}", Neither),
    ("http_server_config: {headers: {X-Frame-Options: deny, X-XSS-Protection: 1}}", Both),
    ("http_server_config: {headers: {X-Frame-Options: x}}", Neither),
    ("http_server_config: {headers: {X-Content-Type-Options: x}}", Neither),
    ("http_server_config: {headers: {Server: x}}", Neither),
    ("basic_auth_users: {alice: HASH, bob: HASH}", Both),
    ("basic_auth_users: {alice: HASH, alice: HASH}", Neither),
    ("basic_auth_users: {alice: secret}", Neither),
    ("basic_auth_users: {alice: ''}", Neither),
    ("basic_auth_users: [alice]", Neither),
    ("rate_limit: {interval: 1s, burst: 3}", Younger),
    ("rate_limit: {interval: often, burst: 3}", Neither),
    ("rate_limit: {every: 1s}", Neither),
    ("{}\n---\n{}\n", Theirs),
];

fn is_taken(files: &Files) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_wholenode"))
        .args(["check", "--collector.disable-defaults", "--collector.loadavg", "--path.procfs=/proc"])
        .arg(format!("--web.config.file={}", files.path("web.yml").display()))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() || told.lines().count() == 1, "{told}");
    output.status.success()
}

fn promtool_takes(files: &Files) -> bool {
    let output = Command::new("promtool").args(["check", "web-config"]).arg(files.path("web.yml")).output().unwrap();
    output.status.success()
}

#[test]
fn files_are_taken_as_promtool_takes_them() {
    let files = Files::new(&authority());
    files.issue("other", super::params(&["other"]), &authority());
    let has_promtool = has("promtool");
    let of_tls = OF_TLS.iter().map(|(lines, verdict)| {
        (format!("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  {lines}\n"), *verdict)
    });
    let whole = FILES.iter().map(|(text, verdict)| (text.replace("HASH", HASH), *verdict));
    for (text, verdict) in of_tls.chain(whole) {
        files.write("web.yml", &text);
        assert_eq!(is_taken(&files), matches!(verdict, Both | Younger), "{text}");
        if has_promtool && verdict != Younger {
            assert_eq!(promtool_takes(&files), matches!(verdict, Both | Theirs), "promtool on {text}");
        }
    }
}
