//! Time, real or scripted by a test.

use rustix::time::{ClockId, clock_gettime};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The kernel's clocks.
    #[default]
    Real,
    /// A clock that moves only when a test moves it.
    Scripted(Arc<Script>),
}

/// The hands of a scripted clock.
#[derive(Debug, Default)]
pub struct Script {
    now: Mutex<(Duration, Duration)>,
}

impl Script {
    /// A clock that was started `uptime` ago and shows `wall` since 1970.
    pub fn new(uptime: Duration, wall: Duration) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new((uptime, wall)) })
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut now = lock(&self.now);
        *now = (now.0 + by, now.1 + by);
    }
}

impl Clock {
    /// Time that never jumps, for durations and deadlines; it may stand still while the machine sleeps.
    pub fn monotonic(&self) -> Duration {
        match self {
            Clock::Real => gettime(ClockId::Monotonic),
            Clock::Scripted(script) => lock(&script.now).0,
        }
    }

    /// The same as it was a few milliseconds ago, for what is asked very often: where the hardware's clock can't be read
    /// without the kernel, this one still can.
    pub fn coarse(&self) -> Duration {
        match self {
            Clock::Real => gettime(ClockId::MonotonicCoarse),
            Clock::Scripted(_) => self.monotonic(),
        }
    }

    /// Time since the machine started, sleep included.
    pub fn boot(&self) -> Duration {
        match self {
            Clock::Real => gettime(ClockId::Boottime),
            Clock::Scripted(script) => lock(&script.now).0,
        }
    }

    /// Time since 1970, as the machine believes it.
    pub fn wall(&self) -> Duration {
        match self {
            Clock::Real => gettime(ClockId::Realtime),
            Clock::Scripted(script) => lock(&script.now).1,
        }
    }

    /// Waits until the condition is signalled or `until` (monotonic) is reached; it may return earlier.
    pub fn wait<'a, T>(&self, signal: &Condvar, guard: MutexGuard<'a, T>, until: Duration) -> MutexGuard<'a, T> {
        // A scripted clock moves while nobody signals: look at it often.
        const GLANCE: Duration = Duration::from_millis(1);
        let left = match self {
            Clock::Real => until.saturating_sub(self.monotonic()),
            Clock::Scripted(_) => GLANCE,
        };
        signal.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A lock whose holder panicked is still a lock: what it guards is checked where it is used.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gettime(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripted_clock_moves_only_when_told() {
        let script = Script::new(Duration::from_secs(5), Duration::from_secs(100));
        let clock = Clock::Scripted(Arc::clone(&script));
        script.advance(Duration::from_secs(2));
        assert_eq!((clock.monotonic(), clock.wall()), (Duration::from_secs(7), Duration::from_secs(102)));
    }

    #[test]
    fn the_real_clocks_run() {
        let clock = Clock::Real;
        let awake = clock.monotonic();
        assert!(clock.boot() >= awake);
        assert!(clock.wall() > Duration::from_secs(1_700_000_000));
    }
}
