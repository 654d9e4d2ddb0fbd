//! What a web configuration says, checked: by which TLS, for whom, how often, with which headers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where the web configuration comes from. It is read again whenever one of its files changes.
pub trait WebSource: Send + Sync {
    /// What it says now.
    fn read(&self) -> Reading;
}

/// What was read.
#[derive(Debug)]
pub struct Reading {
    /// The files that it depends on, those that could not be read too.
    pub files: Vec<PathBuf>,
    /// What they say, or one line: what, where, what was expected.
    pub web: Result<Web, String>,
}

/// A web configuration.
#[derive(Clone, Debug, Default)]
pub struct Web {
    /// Without it, HTTP is served in the clear.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is offered, where there is TLS.
    pub http2: bool,
    /// Headers of every answer.
    pub headers: Vec<(String, String)>,
    /// Who may ask; everyone if there is nobody.
    pub users: BTreeMap<String, Hash>,
    /// How often may be asked.
    pub rate: Option<Rate>,
    /// What was taken and may not do what one thinks: for the log.
    pub warnings: Vec<String>,
}

/// How TLS is spoken.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The server's certificate, and those between it and its authority.
    pub certificate: Pem,
    /// Its key.
    pub key: Pem,
    /// Which certificates of clients are asked for.
    pub clients: ClientAuth,
    /// The authorities of these.
    pub client_ca: Option<Pem>,
    /// One of these names has to be in a client's certificate.
    pub client_names: Option<Vec<String>>,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
    /// Whether TLS 1.3 is spoken.
    pub tls13: bool,
    /// The numbers of the cipher suites for TLS 1.2, in order of preference; none if all are as good.
    pub suites: Option<Vec<u16>>,
    /// The numbers of the groups for the exchange of keys, in order of preference; none if all are as good.
    pub groups: Option<Vec<u16>>,
    /// Whether the order of the suites here counts, and not the client's.
    pub server_order: bool,
}

/// Go's `ClientAuthType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientAuth {
    /// No certificate is asked for.
    None,
    /// One is asked for; neither its absence nor who issued it matters.
    Request,
    /// There has to be one, whoever issued it.
    RequireAny,
    /// If there is one, an authority that is known has issued it.
    VerifyIfGiven,
    /// There has to be one that an authority that is known has issued.
    RequireAndVerify,
}

/// Certificates or a key, in PEM.
#[derive(Clone)]
pub struct Pem {
    /// The text; what is between its parts need not be UTF-8.
    pub text: Vec<u8>,
    /// Where it stands, for errors.
    pub from: String,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pem").field(&self.from).finish()
    }
}

/// A password's bcrypt hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    /// Two to this power is how often it is hashed.
    pub cost: u32,
    /// What is hashed with it.
    pub salt: [u8; 16],
    /// What comes out.
    pub digest: [u8; 23],
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// One more request each time.
    pub interval: Duration,
    /// So many at once.
    pub burst: u32,
}
