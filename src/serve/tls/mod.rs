//! TLS: what a configuration says, as rustls takes it.

mod clients;
mod der;
mod stream;

pub(super) use stream::Secure;

use super::web::{ClientAuth, Pem, Tls};
use clients::Clients;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WantsServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ConfigBuilder, ServerConfig, SupportedProtocolVersion};
use std::sync::Arc;

/// Sessions that are kept for clients that come again.
const SESSIONS: usize = 64;
/// The name of HTTP/2 during the handshake.
pub(super) const H2: &[u8] = b"h2";

/// What rustls needs for all connections.
///
/// # Errors
/// One line: what, where, what was expected.
pub(super) fn config(tls: &Tls, http2: bool) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(tls));
    let certified = certified(tls, &provider)?;
    let mut config = builder(tls, provider)?.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.ignore_client_order = tls.server_order;
    let http1 = b"http/1.1".to_vec();
    config.alpn_protocols = if http2 { vec![H2.to_vec(), http1] } else { vec![http1] };
    if tls.clients == ClientAuth::None {
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    } else {
        // A session that is taken up again would not ask for the certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

fn builder(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ServerConfig, WantsServerCert>, String> {
    let mut versions: Vec<&SupportedProtocolVersion> = Vec::new();
    versions.extend(tls.tls13.then_some(&TLS13));
    versions.extend(tls.tls12.then_some(&TLS12));
    let clients = Clients::new(tls, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions);
    let builder = builder.map_err(|error| format!("{}: TLS can't be spoken: {error}", tls.certificate.from))?;
    Ok(match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::new(clients)),
        None => builder.with_no_client_auth(),
    })
}

/// ring, with the suites and groups that were chosen; those of TLS 1.3 are no choice.
fn provider(tls: &Tls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if let Some(numbers) = &tls.suites {
        let all = provider.cipher_suites.clone();
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        let chosen = |number: &u16| all.iter().find(|suite| u16::from(suite.suite()) == *number).copied();
        provider.cipher_suites.extend(numbers.iter().filter_map(chosen));
    }
    if let Some(numbers) = &tls.groups {
        let all = std::mem::take(&mut provider.kx_groups);
        let chosen = |number: &u16| all.iter().find(|group| u16::from(group.name()) == *number).copied();
        provider.kx_groups = numbers.iter().filter_map(chosen).collect();
    }
    provider
}

/// The certificates in a text.
fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.text).collect();
    let all = all.map_err(|error| format!("{}: expected certificates in PEM: {error}", pem.from))?;
    if all.is_empty() {
        return Err(format!("{}: expected at least one certificate in PEM", pem.from));
    }
    Ok(all)
}

fn certified(tls: &Tls, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key.text);
    let key = key.map_err(|_| format!("{}: expected a private key in PEM, without a passphrase", tls.key.from))?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        format!("{}: expected a key for RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519", tls.key.from)
    })?;
    let leaf = chain.first().and_then(|leaf| der::parse(leaf));
    let leaf = leaf.ok_or_else(|| format!("{}: expected an X.509 certificate", tls.certificate.from))?;
    if key.public_key().is_some_and(|public| public.as_ref() != leaf.public_key) {
        return Err(format!("{}: expected the key of the certificate in {}", tls.key.from, tls.certificate.from));
    }
    Ok(CertifiedKey::new(chain, key))
}
