//! TLS: whom we believe, and who we are.

use super::files::{Made, Text};
use super::target::TlsFiles;
use super::words::chain;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where systems keep whom they believe: Debian, Fedora, openSUSE, Alpine and others.
pub(super) const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is agreed on in handshakes, made of files.
pub(super) struct Secrets {
    files: TlsFiles,
    name: ServerName<'static>,
    alpn: &'static [u8],
    made: Made<Arc<ClientConfig>>,
}

impl Secrets {
    /// For a receiver with this name or address, which speaks this protocol.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) fn new(files: &TlsFiles, host: &str, alpn: &'static [u8]) -> Result<Self, String> {
        let host = files.server_name.as_deref().unwrap_or(host).trim_end_matches('.').to_owned();
        let name = ServerName::try_from(host.clone());
        let name = name.map_err(|_| format!("server name \"{host}\": expected the name of a host or an address"))?;
        let mut paths: Vec<Vec<PathBuf>> = Vec::new();
        match (&files.ca, files.insecure_skip_verify) {
            (_, true) => {}
            (Some(path), false) => paths.push(vec![path.into()]),
            (None, false) => {
                let here = BUNDLES.iter().map(PathBuf::from);
                let there = BUNDLES.iter().map(|path| format!("{}{path}", files.rootfs).into());
                paths.push(here.chain(there).collect());
            }
        }
        match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => paths.extend([vec![certificate.into()], vec![key.into()]]),
            (None, None) => {}
            (Some(path), None) => return Err(format!("client certificate {path}: expected a key beside it")),
            (None, Some(path)) => return Err(format!("client key {path}: expected a certificate beside it")),
        }
        Ok(Self { files: files.clone(), name, alpn, made: Made::of(paths) })
    }

    /// What holds for new connections, and whether it has changed, so that old ones are to be given up.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) async fn config(&mut self) -> Result<(Arc<ClientConfig>, bool), String> {
        let (files, alpn) = (&self.files, self.alpn);
        self.made.get(|texts| config(files, alpn, texts)).await
    }

    /// Makes a stream a secret one.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub(super) async fn wrap<S>(&self, config: Arc<ClientConfig>, stream: S) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsConnector::from(config).connect(self.name.clone(), stream).await;
        let stream = stream.map_err(|error| format!("TLS with {}: {}", self.name.to_str(), self.why(&error)))?;
        match stream.get_ref().1.alpn_protocol() {
            // Who says nothing speaks what was asked for, or it will be seen soon.
            None => Ok(stream),
            Some(protocol) if protocol == self.alpn => Ok(stream),
            Some(_) => Err(format!("TLS with {}: it speaks another protocol", self.name.to_str())),
        }
    }

    fn why(&self, error: &io::Error) -> String {
        use rustls::CertificateError::{BadSignature, UnknownIssuer};
        let said = chain(error);
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidCertificate(UnknownIssuer | BadSignature)) => match &self.files.ca {
                Some(path) => format!("{said}: its authority is not in {path}"),
                None => format!("{said}: its authority is none of the system's"),
            },
            Some(Error::InvalidMessage(_)) => format!("{said}: is this a port without TLS?"),
            _ => said,
        }
    }
}

fn config(files: &TlsFiles, alpn: &[u8], texts: &[Text]) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let mut texts = texts.iter();
    let verifier: Arc<dyn ServerCertVerifier> = match files.insecure_skip_verify {
        true => Arc::new(Anybody(Arc::clone(&provider))),
        false => {
            let bundle = texts.next().ok_or("no authorities")?;
            let mut roots = RootCertStore::empty();
            // Bundles hold what nobody can read; what is left is enough if it is anything.
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle.bytes).flatten());
            let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
            built.map_err(|_| format!("{}: expected certificates of authorities in PEM", bundle.name))?
        }
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS can't be spoken: {error}"))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match (texts.next(), texts.next()) {
        (Some(certificate), Some(key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate.bytes).collect();
            let chain = chain.ok().filter(|chain| !chain.is_empty());
            let chain = chain.ok_or_else(|| format!("{}: expected certificates in PEM", certificate.name))?;
            let read = PrivateKeyDer::from_pem_slice(&key.bytes);
            let read =
                read.map_err(|_| format!("{}: expected a private key in PEM, without a passphrase", key.name))?;
            builder.with_client_auth_cert(chain, read).map_err(|error| {
                format!("{}: expected the key of the certificate in {}: {error}", key.name, certificate.name)
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}

/// Believes anybody who has the key of the certificate that he shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
