//! Who may come in, as the web configuration says; it is read again when one of its files has changed.
//!
//! Each new connection and each request looks whether it has: a few `stat` calls, by one thread at a time, so that a
//! filesystem that hangs holds up one thread and the others go on by the old rules. A file that can't be used changes
//! nothing, and neither does one that would open what was closed: half a file, or an empty one, must not.

mod credentials;
mod door;
mod passwords;
mod rate;
mod watch;

pub(super) use door::{Door, Refusal};

use super::web::{ClientAuth, Hash, Web, WebSource};
use super::{lock, tls};
use hyper::header::{HeaderName, HeaderValue};
use rate::Bucket;
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use watch::Watch;

/// The web configuration in force.
pub struct Gate {
    source: Box<dyn WebSource>,
    rules: Mutex<Arc<Rules>>,
    watch: Mutex<Watch>,
    /// The files say what is in force.
    successful: AtomicBool,
}

/// A web configuration, made ready.
pub(super) struct Rules {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    users: BTreeMap<String, Hash>,
    bucket: Option<Arc<Bucket>>,
    demands: Demands,
    /// Counts how often the demands have changed.
    pub(super) generation: u64,
}

/// What a connection has to be like. One that began under other demands is not served any more.
#[derive(PartialEq)]
struct Demands {
    tls: bool,
    clients: ClientAuth,
    authorities: Option<Vec<u8>>,
    names: Option<Vec<String>>,
}

impl Gate {
    /// The configuration as it is now.
    ///
    /// # Errors
    /// One line: what, where, what was expected.
    pub fn open(source: Box<dyn WebSource>) -> Result<Self, String> {
        let (watch, web) = Watch::read(&*source);
        let web = web?;
        let rules = Rules::new(&web, None)?;
        web.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(Gate {
            source,
            rules: Mutex::new(Arc::new(rules)),
            watch: Mutex::new(watch),
            successful: AtomicBool::new(true),
        })
    }

    /// Whether TLS is spoken.
    pub fn has_tls(&self) -> bool {
        self.rules().tls.is_some()
    }

    /// Whether the configuration was taken when it was last read.
    pub fn is_successful(&self) -> bool {
        self.successful.load(Relaxed)
    }

    /// Reads the configuration again. If it can't be used, the old one stays.
    pub fn reload(&self) {
        if let Some(watch) = self.try_watch() {
            self.read(watch, true);
        }
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&lock(&self.rules))
    }

    /// Reads the configuration again if one of its files has changed.
    pub(super) fn refresh(&self) {
        if let Some(watch) = self.try_watch()
            && watch.has_changed()
        {
            self.read(watch, false);
        }
    }

    /// None while another thread looks.
    fn try_watch(&self) -> Option<MutexGuard<'_, Watch>> {
        match self.watch.try_lock() {
            Ok(watch) => Some(watch),
            Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn read(&self, mut watch: MutexGuard<'_, Watch>, is_asked_for: bool) {
        let (read, web) = Watch::read(&*self.source);
        let rules = web.and_then(|web| {
            let rules = Rules::new(&web, Some(&self.rules()))?;
            Ok((rules, web.warnings))
        });
        let told = match rules {
            Ok((rules, warnings)) => {
                *lock(&self.rules) = Arc::new(rules);
                self.successful.store(true, Relaxed);
                if is_asked_for || !read.is_same(&watch) {
                    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                    tracing::info!("web configuration read again");
                }
                None
            }
            Err(error) => {
                self.successful.store(false, Relaxed);
                if is_asked_for || watch.told.as_ref() != Some(&error) || !read.is_same(&watch) {
                    tracing::error!(%error, "web configuration not taken; the old one goes on");
                }
                Some(error)
            }
        };
        *watch = read;
        watch.told = told;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("successful", &self.is_successful()).finish_non_exhaustive()
    }
}

impl Rules {
    fn new(web: &Web, old: Option<&Rules>) -> Result<Self, String> {
        let tls = web.tls.as_ref().map(|tls| tls::config(tls, web.http2)).transpose()?;
        let header = |(name, value): &(String, String)| {
            let name = HeaderName::try_from(name.as_str()).map_err(|error| format!("{name}: {error}"))?;
            let value = HeaderValue::try_from(value.as_str()).map_err(|error| format!("{name}: {error}"))?;
            Ok::<_, String>((name, value))
        };
        // One that stays the same stays as full as it is.
        let kept = old.and_then(|old| old.bucket.clone()).filter(|kept| Some(kept.rate) == web.rate);
        let spoken = web.tls.as_ref();
        let demands = Demands {
            tls: spoken.is_some(),
            clients: spoken.map_or(ClientAuth::None, |tls| tls.clients),
            authorities: spoken.and_then(|tls| Some(tls.client_ca.as_ref()?.text.clone())),
            names: spoken.and_then(|tls| tls.client_names.clone()),
        };
        let rules = Rules {
            tls,
            headers: web.headers.iter().map(header).collect::<Result<_, _>>()?,
            users: web.users.clone(),
            bucket: kept.or_else(|| web.rate.map(|rate| Arc::new(Bucket::new(rate)))),
            generation: old.map_or(0, |old| old.generation + u64::from(old.demands != demands)),
            demands,
        };
        match old.and_then(|old| rules.opens(old)) {
            Some(what) => Err(format!("{what}: this is opened only by a new start of the process")),
            None => Ok(rules),
        }
    }

    /// What would be open now and was closed before.
    fn opens(&self, old: &Rules) -> Option<&'static str> {
        let (new, was) = (&self.demands, &old.demands);
        let lost = [
            ("there is no tls_server_config any more", was.tls && !new.tls),
            ("client_auth_type asks for less than before", new.clients < was.clients),
            ("there are no client_allowed_sans any more", was.names.is_some() && new.names.is_none()),
            ("there are no basic_auth_users any more", !old.users.is_empty() && self.users.is_empty()),
        ];
        lost.into_iter().find(|(_, is_lost)| *is_lost).map(|(what, _)| what)
    }
}
