//! A server with a web configuration, certificates for it, and a client that speaks TLS.

use super::site::{DEADLINE, Site, site};
use crate::serve::web::{ClientAuth, Hash, Pem, Reading, Tls, Web, WebSource};
use crate::serve::{Gate, Limits, Settings};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

pub(super) type Client = StreamOwned<ClientConnection, TcpStream>;

/// An authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> Pem {
        pem(&self.0.pem())
    }

    /// A certificate for this name, and its key.
    pub(super) fn issue(&self, name: &str) -> (Pem, Pem) {
        let key = KeyPair::generate().unwrap();
        let one = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (pem(&one.pem()), pem(&key.serialize_pem()))
    }
}

pub(super) fn pem(text: &str) -> Pem {
    Pem { text: text.as_bytes().to_vec(), from: "test".to_owned() }
}

/// TLS with a certificate of this authority.
pub(super) fn tls(authority: &Authority) -> Tls {
    let (certificate, key) = authority.issue("localhost");
    Tls {
        certificate,
        key,
        clients: ClientAuth::None,
        client_ca: None,
        client_names: None,
        tls12: true,
        tls13: true,
        suites: None,
        groups: None,
        server_order: true,
    }
}

/// A web configuration that the test changes as it likes; the file is only looked at. It has no name: the server's threads
/// outlive the test, and nobody would remove it.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) web: Arc<Mutex<Result<Web, String>>>,
    file: Arc<File>,
    /// How often it was begun to be read.
    pub(super) reads: Arc<AtomicUsize>,
}

impl WebSource for Source {
    fn read(&self) -> Reading {
        self.reads.fetch_add(1, SeqCst);
        Reading {
            files: vec![format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()],
            web: self.web.lock().unwrap().clone(),
        }
    }
}

impl Source {
    pub(super) fn new(web: Web) -> Self {
        let file = Arc::new(tempfile::tempfile().unwrap());
        Source { web: Arc::new(Mutex::new(Ok(web))), file, reads: Arc::default() }
    }

    /// From now on the file says something else.
    pub(super) fn say(&self, web: Result<Web, String>) {
        *self.web.lock().unwrap() = web;
        (&*self.file).write_all(b".").unwrap();
    }
}

pub(super) fn gated(source: &Source, limits: Limits) -> (Site, Arc<Gate>) {
    let gate = Arc::new(Gate::open(Box::new(source.clone())).unwrap());
    (site(Settings { limits, gate: Some(Arc::clone(&gate)), ..Settings::default() }), gate)
}

/// A server that speaks TLS and HTTP/2, and its authority.
pub(super) fn secure(limits: Limits) -> (Site, Authority) {
    let authority = Authority::new();
    let web = Web { tls: Some(tls(&authority)), http2: true, ..Web::default() };
    (gated(&Source::new(web), limits).0, authority)
}

/// What a client offers.
pub(super) struct Offer<'a> {
    pub(super) protocols: &'a [&'a [u8]],
    pub(super) versions: &'a [&'static SupportedProtocolVersion],
    pub(super) certificate: Option<(Pem, Pem)>,
}

impl Default for Offer<'_> {
    fn default() -> Self {
        const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        Offer { protocols: &[b"http/1.1"], versions: BOTH, certificate: None }
    }
}

/// A connection; its handshake comes with the first use.
pub(super) fn connect(site: &Site, authority: &Authority, offer: &Offer) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&authority.pem().text).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(offer.versions).unwrap().with_root_certificates(roots);
    let mut config = match &offer.certificate {
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(&certificate.text).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key.text).unwrap()).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = offer.protocols.iter().map(|name| name.to_vec()).collect();
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    StreamOwned::new(session, stream)
}

/// The hash of a password, quick to check.
pub(super) fn hash(password: &str) -> Hash {
    hash_of_cost(password, 4)
}

pub(super) fn hash_of_cost(password: &str, cost: u32) -> Hash {
    let mut seen = password.as_bytes().to_vec();
    seen.push(0);
    let digest = bcrypt::bcrypt(cost, [7; 16], &seen);
    Hash { cost, salt: [7; 16], digest: digest[..23].try_into().unwrap() }
}
