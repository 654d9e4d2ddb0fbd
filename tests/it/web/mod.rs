//! `--web.config.file`, with the program as it is started and clients as they are.

mod agree;
mod clients;
mod refused;
mod rotated;

use crate::daemon::Daemon;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, SanType};
use std::path::PathBuf;
use std::process::Command;

/// A folder with certificates, keys and the web configuration.
pub(crate) struct Files(tempfile::TempDir);

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// `NAME:PASSWORD` of a user, and what Go makes of the password.
const LOGIN: &str = "alice:secret";
const USER: &str = "basic_auth_users:\n  alice: $2a$04$vyYdWsRe5gWsG2mdcWzlEeBNgT7wusIsePnC.23MGHCl6wemUoJNa\n";

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a certificate for these names says, before it is signed.
pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    let name = |name: &&str| match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains("://") => SanType::URI((*name).try_into().unwrap()),
        Err(_) if name.contains('@') => SanType::Rfc822Name((*name).try_into().unwrap()),
        Err(_) => SanType::DnsName((*name).try_into().unwrap()),
    };
    params.subject_alt_names = names.iter().map(name).collect();
    params
}

impl Files {
    /// Of this authority: `ca.pem`, and `server.pem` with `server.key`.
    pub(crate) fn new(authority: &Authority) -> Self {
        let files = Files(tempfile::tempdir().unwrap());
        files.write("ca.pem", &authority.pem());
        files.issue("server", params(&["localhost", "127.0.0.1"]), authority);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn issue(&self, name: &str, params: CertificateParams, authority: &Authority) {
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.pem"), &params.signed_by(&key, authority).unwrap().pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// Writes the web configuration: TLS, these lines of it, and more.
    pub(crate) fn say(&self, of_tls: &str, more: &str) {
        let tls = format!("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{of_tls}");
        self.write("web.yml", &(tls + more));
    }

    pub(crate) fn start(&self, more: &[&str]) -> Daemon {
        let file = format!("--web.config.file={}", self.path("web.yml").display());
        let mut arguments = vec![file.as_str(), "--collector.disable-defaults", "--collector.loadavg"];
        arguments.extend(more);
        Daemon::start(&arguments)
    }

    /// Asks by curl, as the authority's client: the status, the version of HTTP, head and body; none if TLS fails.
    pub(crate) fn curl(&self, daemon: &Daemon, path: &str, more: &[&str]) -> Option<Said> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--dump-header", "-", "--cacert"])
            .arg(self.path("ca.pem"))
            .args(["--write-out", "\n%{http_code} %{http_version}"])
            .args(more)
            .arg(format!("https://{}{path}", daemon.address()))
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (text, end) = text.rsplit_once('\n')?;
        let (status, version) = end.split_once(' ')?;
        let said = Said { status: status.parse().unwrap(), version: version.to_owned(), text: text.to_owned() };
        output.status.success().then_some(said)
    }
}

/// An answer that curl got.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) version: String,
    pub(crate) text: String,
}

/// Whether there is this tool; else the test says that it is skipped.
pub(crate) fn has(tool: &str) -> bool {
    let has = Command::new(tool).arg("--version").output().is_ok();
    if !has {
        crate::skipped(format_args!("no {tool}"));
    }
    has
}
