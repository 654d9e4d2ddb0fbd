//! How long a receiver is left alone that did not take something: by the specification of OTLP, ever longer, never the same
//! for two machines, and as long as the receiver asks for.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// The pause after the first failure, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// However long a receiver asks for.
const ASKED_MAX: Duration = Duration::from_secs(3600);

/// The pauses of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
    chance: RandomState,
}

impl Backoff {
    /// It was not taken: leave it alone from now on, for as long as it `asked` for.
    pub(super) fn failed(&mut self, now: Instant, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let pause = match asked {
            // Machines that were asked the same need not come at the same moment.
            Some(asked) => {
                let asked = asked.clamp(FIRST, ASKED_MAX);
                asked + self.part(asked / 10)
            }
            None => {
                let pause = FIRST.saturating_mul(1 << (self.failures - 1).min(10)).min(LONGEST);
                pause / 2 + self.part(pause / 2)
            }
        };
        self.until = Some(now + pause);
    }

    /// It was answered for.
    pub(super) fn ended(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    /// Until when to leave it alone, if that is not over.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Whether the last one was not taken.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Some part of it.
    fn part(&self, whole: Duration) -> Duration {
        let chance = self.chance.hash_one((self.failures, self.until.map(|until| until.elapsed()))) >> 32;
        whole.mul_f64(chance as f64 / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(backoff: &Backoff, now: Instant) -> f64 {
        backoff.until(now).unwrap().duration_since(now).as_secs_f64()
    }

    #[test]
    fn pauses_grow_to_a_minute_and_differ() {
        let now = Instant::now();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let mut backoff = Backoff::default();
            assert_eq!((backoff.until(now), backoff.is_failing()), (None, false));
            for longest in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
                backoff.failed(now, None);
                let pause = pause(&backoff, now);
                assert!((longest / 2.0..=longest).contains(&pause), "{pause} of {longest}");
                seen.insert((pause * 1e6) as u64);
            }
            backoff.ended();
            assert_eq!((backoff.until(now), backoff.is_failing()), (None, false));
        }
        assert!(seen.len() > 100, "{}", seen.len());
    }

    #[test]
    fn a_receiver_may_say_how_long_within_reason() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for (asked, least) in [(0, 1.0), (120, 120.0), (1_000_000, 3600.0)] {
            backoff.failed(now, Some(Duration::from_secs(asked)));
            let until = backoff.until(now).map_or(0.0, |until| until.duration_since(now).as_secs_f64());
            assert!((least..=least * 1.1).contains(&until), "{until}");
        }
    }
}
