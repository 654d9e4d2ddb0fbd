//! A timer that rings only when something takes long.
//!
//! The runtime's own timers would wake its thread once more for each page: to move what it sleeps until. This one is
//! moved by one system call from any thread, and unless it rings, the runtime's thread never hears of it.

use super::lock;
use rustix::io::{Errno, read};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Rings again and again while anyone wants it to.
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    every: Timespec,
    users: Mutex<usize>,
}

impl Alarm {
    /// One that is silent.
    ///
    /// # Errors
    /// The kernel has no file descriptors left.
    pub(super) fn new(every: Duration) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let every = every.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        #[expect(deprecated, reason = "nothing is wrong with it for an OwnedFd, and what replaces it is unsafe")]
        let timer = AsyncFd::new(timer)?;
        Ok(Alarm { timer, every, users: Mutex::default() })
    }

    /// Rings from now on. To be ended by [`Alarm::unset`].
    pub(super) fn set(&self) {
        let mut users = lock(&self.users);
        *users += 1;
        if *users == 1 {
            self.ring(self.every);
        }
    }

    /// One less wants it to ring.
    pub(super) fn unset(&self) {
        let mut users = lock(&self.users);
        *users = users.saturating_sub(1);
        if *users == 0 {
            self.ring(Timespec::default());
        }
    }

    fn ring(&self, every: Timespec) {
        let times = Itimerspec { it_interval: every, it_value: every };
        // Fails only for what is no timer and for times that are none.
        let _ = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &times);
    }

    /// Waits until it rings.
    ///
    /// # Errors
    /// The runtime is going down.
    pub(super) async fn rung(&self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            match read(self.timer.get_ref(), &mut [0; 8]) {
                Ok(_) => return Ok(()),
                // It was set to silence in between.
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::time::timeout;

    #[test]
    fn it_rings_as_long_as_anyone_wants() {
        const EVERY: Duration = Duration::from_millis(20);
        let runtime = crate::serve::runtime().unwrap();
        runtime.block_on(async {
            let alarm = Alarm::new(EVERY).unwrap();
            let quiet = || timeout(EVERY * 5, alarm.rung());
            assert!(quiet().await.is_err());
            alarm.set();
            alarm.set();
            alarm.unset();
            let begun = Instant::now();
            alarm.rung().await.unwrap();
            alarm.rung().await.unwrap();
            assert!(begun.elapsed() >= EVERY * 3 / 2, "{:?}", begun.elapsed());
            alarm.unset();
            assert!(quiet().await.is_err());
            alarm.set();
            alarm.rung().await.unwrap();
        });
    }
}
