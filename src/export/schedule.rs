//! When something is pushed: once in every interval, at a moment of this machine's own, so that machines that were started
//! together don't push together.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tokio::time::Instant;

/// The moments of one endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    interval: Duration,
    next: Instant,
}

/// A number of this machine: the same after every start, and another one on every machine.
pub(super) fn number(machine: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    machine.hash(&mut hasher);
    hasher.finish()
}

impl Schedule {
    /// The moments from now on, where `uptime` is the time since the machine was started. Intervals of which one is a
    /// multiple of the other have moments together.
    pub(super) fn new(now: Instant, uptime: Duration, interval: Duration, number: u64) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        let length = interval.as_millis().max(1);
        let phase = u128::from(number) % length;
        let into = uptime.as_millis() % length;
        let wait = (length + phase - into) % length;
        Self { interval, next: now + Duration::from_millis(u64::try_from(wait).unwrap_or(0)) }
    }

    /// When the next one is.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Whether it has come; then the one after it is the next. What was missed meanwhile is not made up for.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        let missed = now.duration_since(self.next).as_nanos() / self.interval.as_nanos().max(1);
        let missed = u32::try_from(missed).unwrap_or(u32::MAX - 1);
        self.next += self.interval.saturating_mul(missed + 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_machine_has_a_moment_of_its_own_in_the_interval() {
        let now = Instant::now();
        let wait = |number, uptime, interval| Schedule::new(now, uptime, interval, number).next() - now;
        assert_eq!(wait(7_000, Duration::ZERO, 60 * SECOND), 7 * SECOND);
        assert_eq!(wait(7_000, 10 * SECOND, 60 * SECOND), 57 * SECOND);
        assert_eq!(wait(67_000, 67 * SECOND, 60 * SECOND), Duration::ZERO);
        let waits: std::collections::BTreeSet<_> =
            (0..50).map(|n| wait(number(&format!("machine {n}")), Duration::ZERO, 60 * SECOND)).collect();
        assert!(waits.len() > 45 && *waits.last().unwrap() < 60 * SECOND);
    }

    #[test]
    fn intervals_of_which_one_is_a_multiple_meet() {
        let now = Instant::now();
        let of = |interval| Schedule::new(now, 3 * SECOND, interval, number("x")).next();
        let (short, long) = (of(10 * SECOND), of(60 * SECOND));
        assert_eq!((long - short).as_millis() % 10_000, 0);
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now, Duration::ZERO, 10 * SECOND, 0);
        assert!(schedule.is_due(now) && !schedule.is_due(now));
        assert_eq!(schedule.next(), now + 10 * SECOND);
        assert!(schedule.is_due(now + 45 * SECOND));
        assert_eq!(schedule.next(), now + 50 * SECOND);
    }
}
