//! Counters of hardware that the kernel keeps for `perf`, live or recorded: those that count for a whole package of
//! processors, whatever runs there.

use super::calls::errno;
use super::{Error, Host, sys};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::HashMap;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PerfEvent {
    /// The number of the unit that counts: `type` in its folder.
    pub unit: u32,
    /// What it counts, as its folder `events` says.
    pub config: u64,
    /// The processor that reads it, of `cpumask`.
    pub cpu: u32,
}

/// A counter that was opened: it counts from then on.
#[derive(Debug)]
pub struct PerfCounter(Kept);

#[derive(Debug)]
enum Kept {
    Live(OwnedFd),
    /// What it says, one after the other; the last one stays.
    Recorded {
        counts: Vec<u64>,
        at: usize,
    },
}

/// The recorded counters.
pub(super) type Recording = HashMap<PerfEvent, Result<Vec<u64>, Errno>>;

impl PerfCounter {
    /// What was counted so far.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn read(&mut self) -> Result<u64, Error> {
        match &mut self.0 {
            Kept::Live(handle) => {
                let mut count = [0; 8];
                match rustix::io::read(handle, &mut count) {
                    Ok(8) => Ok(u64::from_ne_bytes(count)),
                    // The kernel could not keep it.
                    Ok(_) => Err(Error::Gone { path: CALL.to_owned() }),
                    Err(errno) => Err(Error::from_errno(CALL, errno)),
                }
            }
            Kept::Recorded { counts, at } => {
                let count = counts.get(*at).or(counts.last()).copied();
                *at = at.saturating_add(1);
                count.ok_or_else(|| Error::Gone { path: CALL.to_owned() })
            }
        }
    }
}

const CALL: &str = "perf_event_open";

impl Host {
    /// Opens a counter.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn perf(&self, event: PerfEvent) -> Result<PerfCounter, Error> {
        let kept = match &self.machine.replay {
            None => sys::perf_event_open(event.unit, event.config, event.cpu).map(Kept::Live),
            Some(replay) => {
                let counts = replay.perf.get(&event).cloned().unwrap_or(Err(Errno::NOENT));
                counts.map(|counts| Kept::Recorded { counts, at: 0 })
            }
        };
        kept.map(PerfCounter).map_err(|errno| match errno {
            Errno::PERM | Errno::ACCESS => Error::Denied {
                path: CALL.to_owned(),
                grant: "CAP_PERFMON (before Linux 5.8 CAP_SYS_ADMIN) or kernel.perf_event_paranoid at 0 or below, and a seccomp profile that allows the call",
            },
            errno => Error::from_errno(CALL, errno),
        })
    }
}

/// `UNIT CONFIG CPU` and what the counter says each time that it is read, or `ERRNO`; `Err` is a line that is neither.
pub(super) fn recorded(text: &str) -> Result<Recording, &str> {
    let mut recording = Recording::new();
    for line in text.lines() {
        let (event, answer) = counter(line).ok_or(line)?;
        recording.insert(event, answer);
    }
    Ok(recording)
}

fn counter(line: &str) -> Option<(PerfEvent, Result<Vec<u64>, Errno>)> {
    let mut words = line.split(' ');
    let unit = words.next()?.parse().ok()?;
    let (config, cpu) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let rest: Vec<&str> = words.collect();
    let answer = match rest.as_slice() {
        [name] if errno(name).is_some() => Err(errno(name)?),
        counts => Ok(counts.iter().map(|count| count.parse().ok()).collect::<Option<Vec<u64>>>()?),
    };
    Some((PerfEvent { unit, config, cpu }, answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use crate::kit::{Child, Clock, Machine, Roots};
    use proptest::prelude::*;

    const EVENT: PerfEvent = PerfEvent { unit: 31, config: 2, cpu: 4 };

    #[test]
    fn recorded_counters_say_one_after_the_other() {
        let host = |text: &str| Tree::new(&[("calls/perf", text)]).host();
        let mut counter = host("31 2 4 5 9\n").perf(EVENT).unwrap();
        assert_eq!([(); 3].map(|()| counter.read().unwrap()), [5, 9, 9]);
        let error = host("31 2 4 EACCES\n").perf(EVENT).unwrap_err().to_string();
        assert!(error.starts_with("perf_event_open: permission denied (needs CAP_PERFMON"), "{error}");
        assert_eq!(host("31 2 5 1\n").perf(EVENT).unwrap_err().reason(), "absent");
        assert_eq!(recorded("31 2 4 5\n31 x").unwrap_err(), "31 x");
    }

    /// Nothing has such a unit: the kernel says so, or that it is not told to us.
    #[test]
    fn the_kernel_is_asked() {
        let host = Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::none()));
        let error = host.perf(PerfEvent { unit: u32::MAX, config: 0, cpu: 0 }).unwrap_err();
        assert!(matches!(error.reason(), "absent" | "denied" | "io" | "gone"), "{error}");
    }

    /// The clock of a processor is counted on all kernels with `perf`, where that is permitted.
    #[test]
    fn a_live_counter_goes_on() {
        let host = Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::none()));
        match host.perf(PerfEvent { unit: 1, config: 0, cpu: 0 }) {
            Ok(mut counter) => {
                let before = counter.read().unwrap();
                std::thread::sleep(std::time::Duration::from_millis(20));
                let passed = counter.read().unwrap() - before;
                assert!((20_000_000..60_000_000_000).contains(&passed), "{passed} ns");
            }
            Err(error) => assert!(matches!(error.reason(), "denied" | "absent" | "io"), "{error}"),
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = recorded(&text);
        }
    }
}
