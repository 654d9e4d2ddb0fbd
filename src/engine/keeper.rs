//! The clocks of collectors that keep their own: [`Pace::Every`].
//!
//! Each has a thread that does nothing else, while the collector is on. One that hangs costs its own thread.

use super::{Ask, Engine, Shared, lock};
use collectors::Pace;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Starts the clocks of the collectors that are on and have one. To be called again after [`Engine::configure`]; those
    /// of collectors that are off end by themselves.
    pub fn keep_time(&self) {
        let mut state = lock(&self.shared.state);
        for (at, slot) in state.slots.iter_mut().enumerate() {
            let Pace::Every { period } = slot.spec.pace else { continue };
            if !slot.is_on || slot.is_kept {
                continue;
            }
            let shared = Arc::clone(&self.shared);
            let clock = std::thread::Builder::new().name(slot.spec.name.to_owned());
            match clock.spawn(move || shared.keep(at, period)) {
                Ok(_) => slot.is_kept = true,
                Err(error) => {
                    tracing::warn!(collector = slot.spec.name, %error, "no clock of its own: pages drive it");
                }
            }
        }
    }
}

impl Shared {
    /// Runs a collector once in each period, until it is off.
    fn keep(&self, at: usize, period: Duration) {
        let clock = &self.machine.clock;
        let mut next = clock.monotonic();
        loop {
            let asked = clock.monotonic();
            let selection = Arc::from([at]);
            let (deadline, held_up) = (asked + period, Arc::default());
            self.work(&Ask { selection, asked, deadline, held_up, is_clock: true });
            // A round that came late does not make the next ones come at once.
            next = (next + period).max(clock.monotonic());
            let mut state = lock(&self.state);
            loop {
                if !state.slots[at].is_on {
                    state.slots[at].is_kept = false;
                    return;
                }
                if clock.monotonic() >= next {
                    break;
                }
                state = clock.wait(&self.clocks, state, next);
            }
        }
    }
}
