//! Where to push, how, and as whom: plain data, checked by `config`.

pub(crate) use super::spool::SpoolSettings;
pub(crate) use super::transport::{Auth, Protocol, ProxyRule, Target, TlsFiles, metrics_url};

use super::transport::Transport;
use collectors::kit::Filter;
use std::time::Duration;

/// Whether requests could be sent there, as far as that can be known without trying.
///
/// # Errors
/// One line: what, where, what was expected.
pub(crate) fn check(target: &Target) -> Result<(), String> {
    Transport::new(target.clone()).map(drop)
}

/// Everything about pushing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Export {
    /// Where to push; none: nothing is pushed, and nothing of all this runs.
    pub(crate) endpoints: Vec<Endpoint>,
    /// As whom.
    pub(crate) identity: Identity,
    /// How long to wait for a synchronised clock after the start.
    pub(crate) clock_wait: Duration,
}

/// A place to push to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Endpoint {
    /// What it is called on the page and in the log.
    pub(crate) name: String,
    /// How it is reached.
    pub(crate) target: Target,
    /// How often something is pushed.
    pub(crate) interval: Duration,
    /// Which families.
    pub(crate) families: Filter,
    /// Whether each container has a resource of its own.
    pub(crate) per_container: bool,
    /// Whether what waited goes before what is new.
    pub(crate) replay_first: bool,
    /// Where what could not be pushed waits.
    pub(crate) spool: SpoolSettings,
}

/// Who pushes, as far as it was said and not found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `service.name`.
    pub(crate) service: Option<String>,
    /// `service.instance.id`.
    pub(crate) instance: Option<String>,
    /// `k8s.cluster.name`.
    pub(crate) cluster: Option<String>,
    /// `k8s.node.name`.
    pub(crate) node: Option<String>,
    /// Attributes that count before those that are found out.
    pub(crate) attributes: Vec<(String, String)>,
}
