//! A token bucket for the whole process.

use super::super::lock;
use super::super::web::Rate;
use std::sync::Mutex;
use std::time::Instant;

/// A token bucket; it begins full.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) rate: Rate,
    /// How many tokens there were at a moment.
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        Bucket { rate, level: Mutex::new((f64::from(rate.burst), Instant::now())) }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut level = lock(&self.level);
        let more = now.saturating_duration_since(level.1).as_secs_f64() / self.rate.interval.as_secs_f64();
        let tokens = (level.0 + more).min(f64::from(self.rate.burst));
        let is_there = tokens >= 1.0;
        *level = (if is_there { tokens - 1.0 } else { tokens }, now.max(level.1));
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_and_then_one_each_time() {
        let (interval, begun) = (Duration::from_secs(1), Instant::now());
        let bucket = Bucket::new(Rate { interval, burst: 3 });
        let at = |ms| bucket.take_at(begun + Duration::from_millis(ms));
        let taken: Vec<bool> = [0, 0, 0, 0, 500, 1100, 1100, 1900, 2100].map(at).to_vec();
        assert_eq!(taken, [true, true, true, false, false, true, false, false, true]);
        let taken = [9000; 5].map(at);
        assert_eq!(taken, [true, true, true, false, false], "never more than the burst");
    }
}
