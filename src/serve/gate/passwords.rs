//! Checking passwords, which takes long on purpose: by one thread, that is there only while there is something to check.
//!
//! What came out is kept under a keyed hash of user, hash and password, each with its length, by a key that only this
//! process has: neither a password nor anything it could be found by stays in memory, and no two can be mistaken for
//! each other. Those that were right and those that were wrong are kept apart, so that no guessing pushes the right ones out.

use super::super::hub::Hub;
use super::super::lock;
use super::super::web::Hash;
use super::credentials::Credentials;
use ring::{hmac, rand};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::Builder;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Results that are kept, of each kind.
const KEPT: usize = 128;
/// Passwords that wait to be checked.
const WAITING: usize = 32;
/// How much of a password bcrypt sees, its end included.
const SEEN: usize = 72;

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// Too many wait to be checked.
    Busy,
}

/// Checks passwords.
pub(super) struct Passwords {
    hub: Arc<Hub>,
    key: hmac::Key,
    /// How long one may wait for its turn.
    patience: Duration,
    desk: Mutex<Desk>,
}

type Tag = [u8; 32];

#[derive(Default)]
struct Desk {
    right: VecDeque<Tag>,
    wrong: VecDeque<Tag>,
    waiting: VecDeque<Arc<Check>>,
    is_staffed: bool,
}

/// A password to be checked, and those who wait for it.
struct Check {
    tag: Tag,
    hash: Hash,
    password: Vec<u8>,
    /// There is such a user.
    is_user: bool,
    since: Instant,
    outcome: Mutex<(Option<Verdict>, Vec<Waker>)>,
}

impl Passwords {
    /// # Errors
    /// The kernel has no random numbers.
    pub(super) fn new(hub: Arc<Hub>, patience: Duration) -> io::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        let key = key.map_err(|_| io::Error::other("there are no random numbers"))?;
        Ok(Passwords { hub, key, patience, desk: Mutex::default() })
    }

    /// Whether this is one of the users. Takes as long for those that there are not.
    pub(super) async fn check(self: &Arc<Self>, users: &BTreeMap<String, Hash>, given: Credentials) -> Verdict {
        let (hash, is_user) = match users.get(&given.user) {
            Some(hash) => (hash.clone(), true),
            None => (self.decoy(users, &given.user), false),
        };
        let tag = self.tag(&given, &hash);
        let check = match self.look_up(tag, hash, given.password, is_user) {
            Ok(verdict) => return verdict,
            Err(check) => check,
        };
        poll_fn(|cx| check.poll(cx)).await
    }

    /// The verdict, if it is known; else the check to wait for.
    fn look_up(
        self: &Arc<Self>,
        tag: Tag,
        hash: Hash,
        password: Vec<u8>,
        is_user: bool,
    ) -> Result<Verdict, Arc<Check>> {
        let is = |known: &Tag| bool::from(known.ct_eq(&tag));
        let mut desk = lock(&self.desk);
        if desk.right.iter().any(is) {
            return Ok(Verdict::Right);
        }
        if desk.wrong.iter().any(is) {
            return Ok(Verdict::Wrong);
        }
        if let Some(same) = desk.waiting.iter().find(|check| is(&check.tag)) {
            return Err(Arc::clone(same));
        }
        // Whoever has gone waits no more.
        desk.waiting.retain(|check| Arc::strong_count(check) > 1);
        if desk.waiting.len() >= WAITING || !self.staff(&mut desk) {
            return Ok(Verdict::Busy);
        }
        let outcome = Mutex::default();
        let check = Arc::new(Check { tag, hash, password, is_user, since: Instant::now(), outcome });
        desk.waiting.push_back(Arc::clone(&check));
        Err(check)
    }

    fn staff(self: &Arc<Self>, desk: &mut Desk) -> bool {
        if !desk.is_staffed {
            let mine = Arc::clone(self);
            let started = Builder::new().name("passwords".to_owned()).spawn(move || mine.work());
            if let Err(error) = &started {
                tracing::error!(%error, "passwords can't be checked");
            }
            desk.is_staffed = started.is_ok();
        }
        desk.is_staffed
    }

    fn work(&self) {
        loop {
            let mut desk = lock(&self.desk);
            let Some(check) = desk.waiting.pop_front() else {
                desk.is_staffed = false;
                return;
            };
            drop(desk);
            let verdict = match () {
                // Nobody waits for it any more, or too long.
                () if Arc::strong_count(&check) == 1 || check.since.elapsed() > self.patience => Verdict::Busy,
                () if is_right(&check.hash, &check.password) && check.is_user => Verdict::Right,
                () => Verdict::Wrong,
            };
            self.keep(check.tag, verdict);
            check.settle(verdict);
            // This is none of the server's threads.
            self.hub.nudge();
        }
    }

    fn keep(&self, tag: Tag, verdict: Verdict) {
        let mut desk = lock(&self.desk);
        let kept = match verdict {
            Verdict::Right => &mut desk.right,
            Verdict::Wrong => &mut desk.wrong,
            Verdict::Busy => return,
        };
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(tag);
    }

    fn tag(&self, given: &Credentials, hash: &Hash) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        let cost = hash.cost.to_be_bytes();
        for part in [given.user.as_bytes(), &cost, &hash.salt, &hash.digest, &given.password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().unwrap_or_default()
    }

    /// For a user that there is not: always the same, with the cost of one that there is.
    fn decoy(&self, users: &BTreeMap<String, Hash>, user: &str) -> Hash {
        let noise = hmac::sign(&self.key, user.as_bytes());
        let mut bytes = noise.as_ref().iter().copied();
        let at = usize::from(bytes.next().unwrap_or_default()) % users.len().max(1);
        let cost = users.values().nth(at).map_or(10, |hash| hash.cost);
        Hash { cost, salt: std::array::from_fn(|_| bytes.next().unwrap_or_default()), digest: [0; 23] }
    }
}

impl Check {
    fn settle(&self, verdict: Verdict) {
        let mut outcome = lock(&self.outcome);
        outcome.0 = Some(verdict);
        let waiting = std::mem::take(&mut outcome.1);
        drop(outcome);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Verdict> {
        let mut outcome = lock(&self.outcome);
        if let Some(verdict) = outcome.0 {
            return Poll::Ready(verdict);
        }
        if !outcome.1.iter().any(|waker| waker.will_wake(cx.waker())) {
            outcome.1.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// bcrypt, which sees a password's end as a zero byte.
fn is_right(hash: &Hash, password: &[u8]) -> bool {
    let mut seen = password.to_vec();
    seen.push(0);
    seen.truncate(SEEN);
    let digest = bcrypt::bcrypt(hash.cost, hash.salt, &seen);
    digest.get(..hash.digest.len()).is_some_and(|digest| bool::from(digest.ct_eq(&hash.digest)))
}
