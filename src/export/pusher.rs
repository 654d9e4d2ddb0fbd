//! Pushes to one endpoint: one request at a time, what is new first, and what waited in requests of its own.
//!
//! A round that could not be pushed when the next one comes goes to the spool, and is pushed from there when the receiver
//! takes something again: oldest first, and not faster than a receiver that was away can bear.

use super::figures::{Figures, add, less};
use super::keeper::{Keeper, Oldest};
use super::mailbox::{Mailbox, Round};
use super::retry::Backoff;
use super::times::Times;
use super::told::{State, Told};
use super::transport::{Outcome, Transport};
use crate::encode::otlp;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a request that is under way has when the process ends.
const GRACE: Duration = Duration::from_millis(700);
/// After each request from the spool.
const REPLAY_GAP: Duration = Duration::from_millis(200);
/// How often it is looked whether the clock is right.
const GLANCE: Duration = Duration::from_secs(1);

/// What carries requests: the transport, or a script of a test.
pub(super) trait Carry: Send {
    /// Sends a request.
    fn send(&mut self, request: &[u8], points: u32) -> impl Future<Output = Outcome> + Send;

    /// How many bytes it has sent so far.
    fn bytes(&self) -> u64;

    /// Begins anew after a panic.
    fn renew(&mut self);
}

impl Carry for Transport {
    fn send(&mut self, request: &[u8], points: u32) -> impl Future<Output = Outcome> + Send {
        self.send(request, points)
    }

    fn bytes(&self) -> u64 {
        self.bytes()
    }

    fn renew(&mut self) {
        self.renew();
    }
}

/// Whether what is sent is of the newest round, or waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    New,
    Waited,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken, but for so many points.
    Taken { rejected: u64 },
    /// Refused for good.
    Refused,
    /// It can't be dated: it is no request of ours.
    Undatable,
    /// It is to be sent again.
    Again,
    /// The process ends.
    Ended,
}

impl Verdict {
    /// Whether the request is done with.
    fn is_final(self) -> bool {
        !matches!(self, Verdict::Again | Verdict::Ended)
    }

    /// Counts the points of a request that is done with.
    pub(super) fn count(self, points: u32, figures: &Figures) {
        let points = u64::from(points);
        match self {
            Verdict::Taken { rejected } => {
                let rejected = rejected.min(points);
                add(&figures.sent, points - rejected);
                add(&figures.rejected, rejected);
            }
            Verdict::Refused => add(&figures.refused, points),
            Verdict::Undatable => add(&figures.undatable, points),
            Verdict::Again | Verdict::Ended => {}
        }
    }
}

/// What belongs to one endpoint, whoever works for it.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) replay_first: bool,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) keeper: Keeper,
    pub(super) figures: Arc<Figures>,
    pub(super) times: Arc<dyn Times>,
}

impl Lane {
    /// Has a round pushed. One that is still there from before waits in the spool.
    pub(super) fn offer(&self, round: Round) {
        let points = round.points();
        add(&self.figures.produced, points);
        add(&self.figures.held, points);
        if let Some(before) = self.mailbox.put(round) {
            self.lay_by(&before);
        } else if self.figures.has_older() {
            self.keeper.prune();
        }
    }

    /// Gives what is left of a round to the spool.
    fn lay_by(&self, round: &Round) {
        less(&self.figures.held, round.points());
        self.keeper.keep(round.records());
    }
}

/// What pushes to one endpoint.
pub(super) struct Pusher<C> {
    lane: Lane,
    carrier: C,
    /// The newest round, as long as it is not answered for.
    current: Option<Round>,
    /// The oldest record of the spool, and the answer to the question for it.
    oldest: Option<Oldest>,
    asked: Option<oneshot::Receiver<Option<Oldest>>>,
    /// How long the receiver is left alone, and how long it is sent nothing that waited.
    pause: Backoff,
    replay_pause: Backoff,
    next_replay: Instant,
    /// When the spool is asked again that had nothing to give.
    next_ask: Instant,
    told: [Told; 2],
    stop: watch::Receiver<bool>,
    /// The request that is sent, dated.
    buffer: Vec<u8>,
}

impl<C: Carry> Pusher<C> {
    pub(super) fn new(carrier: C, lane: Lane, stop: watch::Receiver<bool>) -> Self {
        let told = [Told::new(&lane.name, "new"), Told::new(&lane.name, "waiting")];
        Self {
            lane,
            carrier,
            current: None,
            oldest: None,
            asked: None,
            pause: Backoff::default(),
            replay_pause: Backoff::default(),
            next_replay: Instant::now(),
            next_ask: Instant::now(),
            told,
            stop,
            buffer: Vec::new(),
        }
    }

    /// Pushes until it is told to stop; what was not pushed by then goes to the spool.
    pub(super) async fn run(mut self) {
        while !*self.stop.borrow() {
            self.receive();
            let now = Instant::now();
            let Some(boot_time) = self.lane.times.moment().boot_time else {
                self.wait(Some(now + GLANCE)).await;
                continue;
            };
            if self.pause.until(now).is_some() {
                self.wait(self.pause.until(now)).await;
            } else if self.is_new_next() {
                self.push_new(boot_time).await;
            } else if self.oldest.is_some() {
                match self.replay_pause.until(now).or(Some(self.next_replay).filter(|next| *next > now)) {
                    Some(until) => self.wait(Some(until)).await,
                    None => self.push_waited().await,
                }
            } else {
                self.ask();
                // A spool that can't be read, or broke, is not asked all the time.
                let is_later = self.asked.is_none() && self.lane.figures.has_older();
                self.wait(is_later.then_some(self.next_ask)).await;
            }
        }
        self.receive();
        if let Some(round) = self.current.take() {
            self.lane.lay_by(&round);
        }
    }

    /// Takes the newest round; the one before it, so far as it was not pushed, waits from now on.
    fn receive(&mut self) {
        let Some(round) = self.lane.mailbox.take() else { return };
        if let Some(before) = self.current.take() {
            self.lane.lay_by(&before);
        }
        if self.lane.replay_first && self.has_older() {
            self.lane.lay_by(&round);
        } else {
            self.current = Some(round);
        }
    }

    fn has_older(&self) -> bool {
        self.oldest.is_some() || self.lane.figures.has_older()
    }

    fn is_new_next(&self) -> bool {
        self.current.is_some() && !(self.lane.replay_first && self.has_older())
    }

    /// Asks the spool for its oldest, if it has any and was not asked.
    fn ask(&mut self) {
        if self.asked.is_none() && Instant::now() >= self.next_ask && self.lane.figures.has_older() {
            self.asked = self.lane.keeper.oldest();
            if self.asked.is_none() {
                self.next_ask = Instant::now() + GLANCE;
            }
        }
    }

    /// Waits for whatever comes first: a round, the spool's answer, the moment, or the end.
    async fn wait(&mut self, until: Option<Instant>) {
        let asked = &mut self.asked;
        let answer = async {
            match asked {
                Some(told) => told.await.ok().flatten(),
                None => pending().await,
            }
        };
        let moment = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.stop.changed() => {}
            () = self.lane.mailbox.bell.notified() => {}
            oldest = answer => {
                (self.asked, self.oldest) = (None, oldest);
                if self.oldest.is_none() {
                    self.next_ask = Instant::now() + GLANCE;
                }
            }
            () = moment => {}
        }
    }

    async fn push_new(&mut self, boot_time: u64) {
        let Some(mut round) = self.current.take() else { return };
        let Some((request, points)) = round.next() else { return };
        self.buffer.clear();
        self.buffer.extend_from_slice(request);
        let verdict = self.push(boot_time, points, Kind::New).await;
        if verdict.is_final() {
            round.answered();
            less(&self.lane.figures.held, points.into());
            verdict.count(points, &self.lane.figures);
        }
        self.current = round.next().is_some().then_some(round);
    }

    async fn push_waited(&mut self) {
        let Some(oldest) = self.oldest.take() else { return };
        self.buffer.clear();
        self.buffer.extend_from_slice(&oldest.record.request);
        let verdict = self.push(oldest.boot_time, oldest.record.points, Kind::Waited).await;
        if verdict.is_final() {
            self.lane.keeper.forget(&oldest, verdict);
        } else {
            self.oldest = Some(oldest);
        }
        self.next_replay = Instant::now() + REPLAY_GAP;
    }

    /// Sends what is in the buffer.
    async fn push(&mut self, boot_time: u64, points: u32, kind: Kind) -> Verdict {
        if otlp::date(&mut self.buffer, boot_time).is_err() {
            return Verdict::Undatable;
        }
        let pause = if kind == Kind::New { &self.pause } else { &self.replay_pause };
        if pause.is_failing() {
            add(&self.lane.figures.retries, 1);
        }
        let before = self.carrier.bytes();
        let outcome = tokio::select! {
            biased;
            outcome = caught(self.carrier.send(&self.buffer, points)) => Some(outcome),
            () = async {
                stopped(&mut self.stop).await;
                sleep(GRACE).await;
            } => None,
        };
        add(&self.lane.figures.bytes, self.carrier.bytes().saturating_sub(before));
        let Some(outcome) = outcome else { return Verdict::Ended };
        let outcome = outcome.unwrap_or_else(|| {
            self.carrier.renew();
            Outcome::Later { after: None, why: "a panic while it was sent".to_owned() }
        });
        self.judge(outcome, kind)
    }

    /// What an answer means for the request, for those that come after it, and for the page and the log.
    fn judge(&mut self, outcome: Outcome, kind: Kind) -> Verdict {
        let figures = &self.lane.figures;
        // Whether a receiver is well is told by what it does with what is new.
        let decides = kind == Kind::New || self.lane.replay_first || figures.is_up().is_none();
        let told = &mut self.told[usize::from(kind == Kind::Waited)];
        match outcome {
            Outcome::Taken { rejected, message } => {
                add(&figures.taken, 1);
                figures.set_up(true);
                self.pause.ended();
                if kind == Kind::Waited {
                    self.replay_pause.ended();
                }
                let state = if rejected > 0 { State::Rejecting } else { State::Taking };
                told.tell(state, &message.unwrap_or_default());
                Verdict::Taken { rejected }
            }
            Outcome::Refused { why } => {
                add(&figures.refusals, 1);
                if decides {
                    figures.set_up(false);
                }
                self.pause.ended();
                if kind == Kind::Waited {
                    self.replay_pause.ended();
                }
                told.tell(State::Refusing, &why);
                Verdict::Refused
            }
            Outcome::Later { after, why } => {
                add(&figures.failures, 1);
                if decides {
                    figures.set_up(false);
                }
                let now = Instant::now();
                if kind == Kind::Waited {
                    self.replay_pause.failed(now, None);
                }
                // One request that is never taken must not hold up what is new.
                if kind == Kind::New || self.lane.replay_first || after.is_some() {
                    self.pause.failed(now, after);
                }
                told.tell(State::Away, &why);
                Verdict::Again
            }
        }
    }
}

/// What comes out of it; `None` if it panics.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Waits until it is told to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    while !*stop.borrow_and_update() {
        if stop.changed().await.is_err() {
            break;
        }
    }
}
