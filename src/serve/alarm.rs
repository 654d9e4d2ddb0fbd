//! Timers that ring only when something takes long.
//!
//! They are set by one system call from any thread, and unless they ring, no thread hears of them.

use super::hub::Hub;
use super::lock;
use rustix::event::epoll::EventFlags;
use rustix::io::read;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A silent timer. Each time it rings, one thread hears it.
fn timer(hub: &Hub, key: u64) -> io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    hub.add(&timer, key, EventFlags::IN | EventFlags::ET)?;
    Ok(timer)
}

fn set(timer: &OwnedFd, first: Timespec, every: Timespec) {
    // Fails only for what is no timer and for times that are none.
    let _ = timerfd_settime(timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: every, it_value: first });
}

/// A timer that repeats itself goes on only after this; it is no error if it was set anew in between.
fn hear(timer: &OwnedFd) {
    let _ = read(timer, &mut [0; 8]);
}

/// Rings again and again while anyone wants it to.
pub(super) struct Alarm {
    timer: OwnedFd,
    every: Timespec,
    users: Mutex<usize>,
}

impl Alarm {
    /// One that is silent.
    ///
    /// # Errors
    /// The kernel has no file descriptors left.
    pub(super) fn new(hub: &Hub, key: u64, every: Duration) -> io::Result<Self> {
        let every = every.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(Alarm { timer: timer(hub, key)?, every, users: Mutex::default() })
    }

    /// Rings from now on. To be ended by [`Alarm::unset`].
    pub(super) fn set(&self) {
        let mut users = lock(&self.users);
        *users += 1;
        if *users == 1 {
            set(&self.timer, self.every, self.every);
        }
    }

    /// One less wants it to ring.
    pub(super) fn unset(&self) {
        let mut users = lock(&self.users);
        *users = users.saturating_sub(1);
        if *users == 0 {
            set(&self.timer, Timespec::default(), Timespec::default());
        }
    }

    /// It rang. It goes on only after this.
    pub(super) fn heard(&self) {
        hear(&self.timer);
    }
}

/// Rings once, at the earliest of all the times it was asked to.
///
/// Most of what it is set for comes in time, so it is never set to later: it rings too early, and is asked again.
pub(super) struct Clock {
    timer: OwnedFd,
    due: Mutex<Option<Instant>>,
}

impl Clock {
    /// One that is silent.
    ///
    /// # Errors
    /// The kernel has no file descriptors left.
    pub(super) fn new(hub: &Hub, key: u64) -> io::Result<Self> {
        Ok(Clock { timer: timer(hub, key)?, due: Mutex::default() })
    }

    /// Rings at this time, or before it.
    pub(super) fn by(&self, due: Instant) {
        let mut set_to = lock(&self.due);
        if set_to.is_some_and(|earlier| earlier <= due) {
            return;
        }
        *set_to = Some(due);
        // Nothing would be silence.
        let rest = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        if let Ok(rest) = rest.try_into() {
            set(&self.timer, rest, Timespec::default());
        }
    }

    /// It rang, and has to be asked again.
    pub(super) fn heard(&self) {
        let mut set_to = lock(&self.due);
        *set_to = None;
        hear(&self.timer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(20);

    fn rings(hub: &Hub) -> bool {
        let timeout = (EVERY * 5).try_into().unwrap();
        hub.wait(&mut Vec::with_capacity(1), Some(&timeout)).unwrap().is_some()
    }

    #[test]
    fn the_alarm_rings_as_long_as_anyone_wants() {
        let hub = Hub::new().unwrap();
        let alarm = Alarm::new(&hub, 1, EVERY).unwrap();
        assert!(!rings(&hub));
        alarm.set();
        alarm.set();
        alarm.unset();
        let begun = Instant::now();
        for _ in 0..2 {
            assert!(rings(&hub));
            alarm.heard();
        }
        assert!(begun.elapsed() >= EVERY * 3 / 2, "{:?}", begun.elapsed());
        alarm.unset();
        assert!(!rings(&hub));
        alarm.set();
        assert!(rings(&hub));
    }

    #[test]
    fn the_clock_rings_at_the_earliest_time() {
        let hub = Hub::new().unwrap();
        let clock = Clock::new(&hub, 1).unwrap();
        let begun = Instant::now();
        clock.by(begun + EVERY * 100);
        assert!(!rings(&hub));
        let begun = Instant::now();
        clock.by(begun + EVERY);
        clock.by(begun + EVERY * 2);
        assert!(rings(&hub));
        assert!(begun.elapsed() >= EVERY);
        clock.heard();
        assert!(!rings(&hub), "once is enough");
        clock.by(begun);
        assert!(rings(&hub), "what is over rings at once");
    }
}
