//! What a counter of energy, or a reading of power, has added since the last sample; in whole microjoules.
//!
//! A counter of RAPL has 32 bits and starts anew some times an hour. Whether it went over its end or was set back is told by
//! what that would mean: nothing uses more than so much power. Where it can't be known what happened, nothing is added.

use std::time::Duration;

/// By how much two clocks may differ before the machine is held to have slept.
const SLEEP: Duration = Duration::from_secs(1);
/// A counter is renewed each millisecond, and is read a little earlier or later than the clock.
const SLACK: Duration = Duration::from_millis(100);
/// After how many samples one that has never moved is held to count nothing: that of a guest whose host does not support it.
const FROZEN: u32 = 12;

/// When a sample was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    /// Without the time that the machine slept.
    pub(super) awake: Duration,
    /// With it.
    pub(super) boot: Duration,
}

/// What happened between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The counter went over its end.
    Wrap,
    /// It was set back.
    Reset,
    /// It went further than anything could have driven it.
    Implausible,
    /// The machine slept.
    Suspend,
    /// It was not looked at for so long that it may have gone over its end more than once.
    Gap,
    /// It could not be read.
    ReadError,
}

impl Event {
    pub(super) const ALL: [(Event, &str); 6] = [
        (Event::Wrap, "wrap"),
        (Event::Reset, "reset"),
        (Event::Implausible, "implausible"),
        (Event::Suspend, "suspend"),
        (Event::Gap, "gap"),
        (Event::ReadError, "read_error"),
    ];
}

/// What a sample says of the time since the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Microjoules since then, and how long that was; `None`: that is not known.
    pub(super) added: Option<(u64, Duration)>,
    pub(super) event: Option<Event>,
}

impl Step {
    fn only(event: Event) -> Self {
        Self { added: None, event: Some(event) }
    }
}

/// A counter of microjoules that may start anew.
#[derive(Debug)]
pub(super) struct Counter {
    /// What it says at its end, if it has one.
    range: Option<u64>,
    /// More power than this is none, in microwatts.
    limit: u64,
    last: Option<(u64, Moment)>,
    has_moved: bool,
    unmoved: u32,
}

impl Counter {
    pub(super) fn new(range: Option<u64>, limit: u64) -> Self {
        Self { range, limit, last: None, has_moved: false, unmoved: 0 }
    }

    /// Whether it has never moved, and for long enough.
    pub(super) fn is_frozen(&self) -> bool {
        !self.has_moved && self.unmoved >= FROZEN
    }

    /// Whether it has moved since it was first read.
    pub(super) fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Takes what it says now.
    pub(super) fn step(&mut self, value: u64, now: Moment) -> Step {
        let Some((before, then)) = self.last.replace((value, now)) else { return Step::default() };
        if value == before && !self.has_moved {
            self.unmoved = self.unmoved.saturating_add(1);
        }
        self.has_moved |= value != before;
        let passed = now.awake.saturating_sub(then.awake);
        if slept(then, now) {
            return Step::only(Event::Suspend);
        }
        let most = energy(self.limit, passed + SLACK);
        match self.range {
            Some(range) if value > range => return Step::only(Event::Implausible),
            Some(range) if most >= range => return Step::only(Event::Gap),
            _ => {}
        }
        if let Some(added) = value.checked_sub(before) {
            return if added <= most {
                Step { added: Some((added, passed)), event: None }
            } else {
                Step::only(Event::Implausible)
            };
        }
        let over = self.range.and_then(|range| range.checked_sub(before)?.checked_add(value));
        match over {
            Some(added) if added <= most => Step { added: Some((added, passed)), event: Some(Event::Wrap) },
            _ => Step::only(Event::Reset),
        }
    }

    /// It is not there now: what it says when it is back is a new beginning.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

/// Readings of power, summed up over time by trapezoids.
#[derive(Debug)]
pub(super) struct Integral {
    /// Longer than this, nobody knows what was between two readings.
    gap: Duration,
    last: Option<(u64, Moment)>,
    /// What is left below a microjoule, in 10^-9 of half of one.
    rest: u128,
    has_moved: bool,
    unmoved: u32,
}

impl Integral {
    pub(super) fn new(gap: Duration) -> Self {
        Self { gap, last: None, rest: 0, has_moved: false, unmoved: 0 }
    }

    /// Whether it has never said anything but 0, and for long enough.
    pub(super) fn is_frozen(&self) -> bool {
        !self.has_moved && self.unmoved >= FROZEN
    }

    /// Whether it has ever said anything else.
    pub(super) fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Takes what is drawn now, in microwatts.
    pub(super) fn step(&mut self, power: u64, now: Moment) -> Step {
        self.has_moved |= power != 0;
        self.unmoved = self.unmoved.saturating_add(1);
        let Some((before, then)) = self.last.replace((power, now)) else { return Step::default() };
        let passed = now.awake.saturating_sub(then.awake);
        if slept(then, now) {
            return Step::only(Event::Suspend);
        }
        if passed > self.gap {
            return Step::only(Event::Gap);
        }
        const UNIT: u128 = 2_000_000_000;
        let area = (u128::from(before) + u128::from(power)) * passed.as_nanos() + self.rest;
        self.rest = area % UNIT;
        Step { added: Some((u64::try_from(area / UNIT).unwrap_or(u64::MAX), passed)), event: None }
    }

    /// There is no reading now.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

fn slept(then: Moment, now: Moment) -> bool {
    now.boot.saturating_sub(then.boot) > now.awake.saturating_sub(then.awake) + SLEEP
}

/// What so many microwatts are after a while, in microjoules.
fn energy(power: u64, passed: Duration) -> u64 {
    u64::try_from(u128::from(power) * passed.as_nanos() / 1_000_000_000).unwrap_or(u64::MAX)
}

/// The mean power, in microwatts.
pub(super) fn power(added: u64, passed: Duration) -> Option<i64> {
    let nanos = passed.as_nanos();
    (nanos > 0).then(|| i64::try_from(u128::from(added) * 1_000_000_000 / nanos).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WATT: u64 = 1_000_000;
    /// Intel's packages, and its server's memory.
    const RANGES: [u64; 2] = [262_143_328_850, 65_712_999_613];

    fn at(seconds: u64) -> Moment {
        let time = Duration::from_secs(seconds);
        Moment { awake: time, boot: time }
    }

    fn added(step: Step) -> Option<u64> {
        step.added.map(|(added, _)| added)
    }

    #[test]
    fn the_first_sample_adds_nothing_and_a_wrap_all_that_there_was() {
        for range in RANGES {
            let mut counter = Counter::new(Some(range), 1000 * WATT);
            assert_eq!(counter.step(range - 7, at(10)), Step::default());
            let step = counter.step(93, at(15));
            assert_eq!(step, Step { added: Some((100, Duration::from_secs(5))), event: Some(Event::Wrap) });
        }
    }

    #[test]
    fn what_is_no_wrap_adds_nothing() {
        let begin = |value| {
            let mut counter = Counter::new(Some(RANGES[0]), 1000 * WATT);
            counter.step(value, at(0));
            counter
        };
        assert_eq!(begin(200_000_000_000).step(5, at(5)), Step::only(Event::Reset));
        assert_eq!(begin(0).step(6_000 * WATT, at(5)), Step::only(Event::Implausible));
        assert_eq!(begin(0).step(RANGES[0] + 1, at(5)), Step::only(Event::Implausible));
        assert_eq!(begin(0).step(1, at(300)), Step::only(Event::Gap));
        let asleep = Moment { awake: Duration::from_secs(5), boot: Duration::from_secs(3600) };
        assert_eq!(begin(9).step(10, asleep), Step::only(Event::Suspend));
        let mut endless = Counter::new(None, 1000 * WATT);
        endless.step(10, at(0));
        assert_eq!(endless.step(9, at(5)), Step::only(Event::Reset));
        assert_eq!(added(endless.step(19, at(10))), Some(10));
        // After each of these it goes on from where it is.
        let mut counter = begin(200_000_000_000);
        counter.step(5, at(5));
        assert_eq!(added(counter.step(25, at(10))), Some(20));
    }

    #[test]
    fn one_that_never_moves_is_frozen_until_it_does() {
        let mut counter = Counter::new(Some(RANGES[0]), 1000 * WATT);
        (0..=12).for_each(|n| assert_eq!(counter.step(0, at(n * 5)).event, None));
        assert!(counter.is_frozen());
        assert_eq!(added(counter.step(4, at(65))), Some(4));
        assert!(!counter.is_frozen());
        let mut meter = Integral::new(Duration::from_secs(25));
        (0..12).for_each(|n| assert_eq!(meter.step(0, at(n * 5)).event, None));
        assert!(meter.is_frozen());
    }

    #[test]
    fn power_is_summed_up_by_trapezoids() {
        let mut meter = Integral::new(Duration::from_secs(25));
        assert_eq!(meter.step(10 * WATT, at(0)), Step::default());
        assert_eq!(added(meter.step(20 * WATT, at(5))), Some(75 * WATT));
        assert_eq!(meter.step(20 * WATT, at(31)), Step::only(Event::Gap));
        meter.forget();
        assert_eq!(meter.step(20 * WATT, at(32)), Step::default());
        assert_eq!(power(75 * WATT, Duration::from_secs(5)), Some(15_000_000));
        assert_eq!(power(1, Duration::ZERO), None);
    }

    proptest! {
        /// Wherever it begins, and however often it goes over its end: what was drawn is found again, all of it.
        #[test]
        fn a_counter_that_wraps_gives_what_was_drawn(
            range in prop::sample::select(&RANGES[..]),
            start in any::<prop::sample::Index>(),
            draws in prop::collection::vec((1u64..=20, 0u64..=900_000), 1..200),
        ) {
            let mut counter = Counter::new(Some(range), 1000 * WATT);
            let (mut value, mut now, mut drawn, mut found) = (start.index(range as usize) as u64, 0, 0, 0);
            counter.step(value, at(now));
            for (seconds, milliwatts) in draws {
                let draw = milliwatts * 1000 * seconds;
                (value, now, drawn) = ((value + draw) % range, now + seconds, drawn + draw);
                let step = counter.step(value, at(now));
                prop_assert!(matches!(step.event, None | Some(Event::Wrap)), "{:?}", step);
                found += added(step).unwrap_or_default();
            }
            prop_assert_eq!(found, drawn);
        }
    }

    proptest! {
        /// Whatever is used below the limit is found again to the microjoule, however often the counter goes over its end.
        #[test]
        fn wraps_are_undone(
            which in 0usize..2,
            start: u64,
            steps in prop::collection::vec((1u64..20, 0u64..300_000_000), 1..60),
        ) {
            let range = RANGES[which];
            let mut counter = Counter::new(Some(range), 300 * WATT);
            let (mut value, mut time, mut true_sum, mut sum) = (start % (range + 1), 0, 0u64, 0u64);
            counter.step(value, at(0));
            for (seconds, power) in steps {
                time += seconds;
                let used = seconds * power;
                true_sum += used;
                value = if value + used > range { value + used - range } else { value + used };
                let step = counter.step(value, at(time));
                prop_assert!(matches!(step.event, None | Some(Event::Wrap)), "{:?}", step);
                sum += added(step).unwrap();
            }
            prop_assert_eq!(sum, true_sum);
        }

        /// Anything at all: no more is added than the limit allows, and nothing panics.
        #[test]
        fn nothing_is_added_that_can_not_be(
            range: Option<u64>,
            limit: u64,
            samples in prop::collection::vec((any::<u64>(), 0u64..1_000_000, 0u64..1_000_000), 0..30),
        ) {
            let mut counter = Counter::new(range, limit);
            let mut meter = Integral::new(Duration::from_secs(25));
            for (value, awake, boot) in samples {
                let moment = Moment { awake: Duration::from_millis(awake), boot: Duration::from_millis(boot) };
                if let Some((added, passed)) = counter.step(value, moment).added {
                    prop_assert!(added <= energy(limit, passed + SLACK));
                }
                meter.step(value, moment);
            }
        }

        /// Integrated power is what it is in one piece, whatever the pieces.
        #[test]
        fn no_microjoule_is_lost_between_samples(power in 0u64..1_000_000_000_000, pieces in prop::collection::vec(1u64..20_000, 1..50)) {
            let mut meter = Integral::new(Duration::from_secs(25));
            let (mut millis, mut sum) = (0, 0u64);
            for piece in std::iter::once(0).chain(pieces) {
                millis += piece;
                let time = Duration::from_millis(millis);
                sum += added(meter.step(power, Moment { awake: time, boot: time })).unwrap_or(0);
            }
            prop_assert_eq!(sum, energy(power, Duration::from_millis(millis)));
        }
    }
}
