//! When a runtime is asked: soon after somebody is wanted, seldom while somebody stays unknown, and ever more seldom
//! while it fails.

use std::time::Duration;
use tokio::time::Instant;

/// Containers come in groups: how long to wait for the rest.
const GATHER: Duration = Duration::from_millis(300);
/// However many come, a runtime is not asked more often.
const GAP: Duration = Duration::from_secs(2);
/// A runtime may list a container only when it has been started: when to ask again for who stays unknown.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(600)];
/// After the first failure, and after many.
const FAILED: Duration = Duration::from_secs(2);
const FAILED_MAX: Duration = Duration::from_secs(300);
/// How often it is asked what changes by itself.
const POLL: Duration = Duration::from_secs(60);

/// When a runtime is asked next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    due: Option<Instant>,
    last: Option<Instant>,
    /// Failures in a row.
    failures: u32,
    /// Answers in a row that left somebody unknown.
    left: usize,
}

impl Pace {
    /// When to ask.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Somebody new is wanted.
    pub(super) fn wanted(&mut self, now: Instant) {
        self.left = 0;
        let pause = if self.failures > 0 { self.pause() } else { GAP };
        let at = self.last.map_or(now + GATHER, |last| (last + pause).max(now + GATHER));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Nobody is wanted that it could know.
    pub(super) fn rest(&mut self) {
        self.due = None;
    }

    /// It was asked: whether it answered, whether somebody stays unknown, and whether what it tells changes by itself.
    pub(super) fn asked(&mut self, now: Instant, is_well: bool, is_left: bool, changes: bool) {
        self.last = Some(now);
        if !is_well {
            self.failures = self.failures.saturating_add(1);
            self.due = (is_left || changes).then(|| now + self.pause());
            return;
        }
        self.failures = 0;
        let again = is_left.then(|| AGAIN[self.left.min(AGAIN.len() - 1)]);
        self.left += usize::from(is_left);
        let poll = changes.then_some(POLL);
        self.due = again.into_iter().chain(poll).min().map(|after| now + after);
    }

    fn pause(&self) -> Duration {
        FAILED.saturating_mul(1 << (self.failures.clamp(1, 10) - 1)).min(FAILED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pace: &Pace, now: Instant) -> Option<f64> {
        pace.due().map(|due| due.saturating_duration_since(now).as_secs_f64())
    }

    #[test]
    fn many_that_come_at_once_are_one_question_and_never_more_than_one_in_two_seconds() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.wanted(now);
        pace.wanted(now + Duration::from_millis(200));
        assert_eq!(seconds(&pace, now), Some(0.3));
        pace.asked(now, true, false, false);
        assert_eq!(pace.due(), None);
        pace.wanted(now + Duration::from_millis(100));
        assert_eq!(seconds(&pace, now), Some(2.0));
        pace.wanted(now + Duration::from_secs(9));
        assert_eq!(seconds(&pace, now), Some(2.0));
    }

    #[test]
    fn who_stays_unknown_is_asked_for_ever_more_seldom() {
        let now = Instant::now();
        let mut pace = Pace::default();
        let mut waits = Vec::new();
        for _ in 0..6 {
            pace.asked(now, true, true, false);
            waits.push(seconds(&pace, now).unwrap());
        }
        assert_eq!(waits, [2.0, 5.0, 30.0, 600.0, 600.0, 600.0]);
        pace.wanted(now + Duration::from_secs(60));
        pace.asked(now, true, true, false);
        assert_eq!(seconds(&pace, now), Some(2.0));
        pace.rest();
        assert_eq!(pace.due(), None);
    }

    #[test]
    fn one_that_fails_is_left_alone_ever_longer_whoever_is_wanted() {
        let now = Instant::now();
        let mut pace = Pace::default();
        let mut waits = Vec::new();
        for _ in 0..10 {
            pace.asked(now, false, true, false);
            let alone = seconds(&pace, now).unwrap();
            pace.wanted(now);
            assert_eq!(seconds(&pace, now), Some(alone));
            waits.push(alone);
        }
        assert_eq!(waits, [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]);
        pace.asked(now, true, false, true);
        assert_eq!(seconds(&pace, now), Some(60.0));
        pace.asked(now, false, false, false);
        assert_eq!(pace.due(), None);
    }
}
