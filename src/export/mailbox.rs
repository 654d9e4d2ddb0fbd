//! The newest round of an endpoint, until its pusher takes it.

use super::spool::Record;
use super::time::BootId;
use crate::encode::otlp::Requests;
use collectors::kit::lock;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// The requests of one round, and how many of them were answered for.
#[derive(Debug)]
pub(super) struct Round {
    requests: Requests,
    done: usize,
    /// When it was taken, since the machine was started, and in which boot.
    pub(super) taken: Duration,
    pub(super) boot: BootId,
}

impl Round {
    pub(super) fn new(requests: Requests, taken: Duration, boot: BootId) -> Self {
        Self { requests, done: 0, taken, boot }
    }

    /// The next request that was not answered for, and how many points it has.
    pub(super) fn next(&self) -> Option<(&[u8], u32)> {
        self.requests.iter().nth(self.done)
    }

    /// The next request was answered for.
    pub(super) fn answered(&mut self) {
        self.done += 1;
    }

    /// How many points were not answered for.
    pub(super) fn points(&self) -> u64 {
        self.requests.iter().skip(self.done).map(|(_, points)| u64::from(points)).sum()
    }

    /// What was not answered for, to be kept.
    pub(super) fn records(&self) -> Vec<Record> {
        let record = |(request, points): (&[u8], u32)| Record {
            taken: self.taken,
            boot: self.boot,
            points,
            request: request.to_vec(),
        };
        self.requests.iter().skip(self.done).map(record).collect()
    }
}

/// Room for one round.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    round: Mutex<Option<Round>>,
    /// Rings when there is a round.
    pub(super) bell: Notify,
}

impl Mailbox {
    /// Puts a round in; the one that was there, if nobody took it.
    pub(super) fn put(&self, round: Round) -> Option<Round> {
        let before = lock(&self.round).replace(round);
        self.bell.notify_one();
        before
    }

    /// Takes the round.
    pub(super) fn take(&self) -> Option<Round> {
        lock(&self.round).take()
    }
}
