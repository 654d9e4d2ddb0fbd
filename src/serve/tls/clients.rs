//! Certificates of clients, by the rules of Go's `ClientAuthType` and of the toolkit's `client_allowed_sans`.

use super::super::web::{ClientAuth, Tls};
use super::{certificates, der};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Who may connect, by certificate.
#[derive(Debug)]
pub(super) struct Clients {
    auth: ClientAuth,
    /// Checks who issued a certificate; there is none where no authority is known.
    chains: Option<Arc<dyn ClientCertVerifier>>,
    authorities: Vec<CertificateDer<'static>>,
    subjects: Vec<DistinguishedName>,
    names: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    /// None if no certificate is asked for.
    pub(super) fn new(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Option<Self>, String> {
        if tls.clients == ClientAuth::None {
            return Ok(None);
        }
        let (mut chains, mut authorities, mut subjects) = (None, Vec::new(), Vec::new());
        if let Some(pem) = &tls.client_ca {
            authorities = certificates(pem)?;
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(authorities.iter().cloned());
            subjects = roots.subjects();
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            let built = builder.build();
            chains = Some(built.map_err(|_| format!("{}: expected certificates of an authority", pem.from))?);
        }
        Ok(Some(Clients {
            auth: tls.clients,
            chains,
            authorities,
            subjects,
            names: tls.client_names.clone(),
            algorithms: provider.signature_verification_algorithms,
        }))
    }

    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let Some(chains) = &self.chains else { return Err(CertificateError::UnknownIssuer.into()) };
        match chains.verify_client_cert(leaf, between, now) {
            Err(_) if self.is_known_itself(leaf, now) => Ok(()),
            checked => checked.map(drop),
        }
    }

    /// Go takes a certificate that is among those of the authorities, whatever else it says.
    fn is_known_itself(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> bool {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let is_fit = |der| {
            let fits = |one: &der::Certificate| one.for_clients && (one.valid.0..=one.valid.1).contains(&now);
            der::parse(der).is_some_and(|one| fits(&one))
        };
        self.authorities.iter().any(|authority| authority.as_ref() == leaf.as_ref()) && is_fit(leaf)
    }

    fn check_names(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        let Some(allowed) = &self.names else { return Ok(()) };
        let read = der::parse(leaf).ok_or(CertificateError::BadEncoding)?;
        if read.names.iter().any(|name| allowed.contains(name)) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        // A list of names is of use only if there is a name; the toolkit drops a client without a certificate too.
        matches!(self.auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify) || self.names.is_some()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.auth >= ClientAuth::VerifyIfGiven {
            self.check_chain(leaf, between, now)?;
        }
        self.check_names(leaf)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
