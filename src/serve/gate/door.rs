//! Each request at the gate: first how many there are, then who asks.

use super::super::State;
use super::super::hub::Hub;
use super::credentials;
use super::passwords::{Passwords, Verdict};
use super::{Gate, Rules};
use hyper::header::HeaderMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The gate, and who stands at it.
pub(in crate::serve) struct Door {
    pub(in crate::serve) gate: Arc<Gate>,
    passwords: Arc<Passwords>,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Refusal {
    /// There were too many of them.
    TooMany,
    /// It brings no right password.
    Unauthorized,
    /// Too many passwords wait to be checked.
    Busy,
    /// Its connection began when less was demanded of one.
    Outdated,
}

impl Door {
    /// # Errors
    /// The kernel has no random numbers.
    pub(in crate::serve) fn new(gate: Arc<Gate>, hub: Arc<Hub>, patience: Duration) -> io::Result<Self> {
        Ok(Door { gate, passwords: Arc::new(Passwords::new(hub, patience)?) })
    }

    /// The rules for a request, and whether it is answered by them.
    pub(in crate::serve) async fn admit(
        &self,
        headers: &HeaderMap,
        generation: u64,
        state: &State,
    ) -> (Arc<Rules>, Result<(), Refusal>) {
        self.gate.refresh();
        let rules = self.gate.rules();
        if rules.bucket.as_ref().is_some_and(|bucket| !bucket.take()) {
            state.rate_limited.fetch_add(1, Relaxed);
            return (rules, Err(Refusal::TooMany));
        }
        if rules.generation != generation {
            return (rules, Err(Refusal::Outdated));
        }
        if rules.users.is_empty() {
            return (rules, Ok(()));
        }
        let verdict = match credentials::read(headers) {
            Some(given) => self.passwords.check(&rules.users, given).await,
            None => Verdict::Wrong,
        };
        let admitted = match verdict {
            Verdict::Right => Ok(()),
            Verdict::Wrong => {
                state.unauthorized.fetch_add(1, Relaxed);
                Err(Refusal::Unauthorized)
            }
            Verdict::Busy => Err(Refusal::Busy),
        };
        (rules, admitted)
    }
}
