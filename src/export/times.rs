//! The clocks, as rounds, pushers and spools share them.

use super::time::{Moment, Time};
use collectors::kit::{Machine, lock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time as it is needed here.
pub(super) trait Times: Send + Sync {
    /// Where we are, looked up anew.
    fn moment(&self) -> Moment;

    /// Takes what a spool knew of this boot.
    fn adopt(&self, boot_time: u64);
}

/// The machine's own clocks.
pub(super) struct Clock(Mutex<Time>);

impl Clock {
    /// Clocks that wait for at most `patience` until somebody sets them right.
    pub(super) fn new(machine: Arc<Machine>, patience: Duration) -> Self {
        Self(Mutex::new(Time::new(machine, patience)))
    }
}

impl Times for Clock {
    fn moment(&self) -> Moment {
        let mut time = lock(&self.0);
        time.look();
        time.moment()
    }

    fn adopt(&self, boot_time: u64) {
        lock(&self.0).adopt(boot_time);
    }
}
