//! When things were, on machines whose clock may be wrong: time since boot, and when that boot was.
//!
//! A board without a battery for its clock starts in the past and learns the time later. So what is taken is stamped with
//! the time since boot, which is always right, and dated when it is sent. The moment of the boot is held from when the
//! clock was found synchronised, so that start times do not wander with the clock; a step of the clock moves it.

use collectors::kit::{Clock, Host, Machine, Root};
use std::sync::Arc;
use std::time::Duration;

/// In `status` of adjtimex(2): nobody keeps the clock right.
const STA_UNSYNC: i64 = 0x40;
/// By how much the clock may disagree with the boot time that is held: it was set, or the machine stood still.
const STEP: u64 = 2_000_000_000;
/// A clock that says the machine was started before 2020 is not believed, however long nobody corrects it.
const EARLIEST: u64 = 1_577_836_800_000_000_000;

/// Which boot of a machine: the kernel's `random/boot_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

/// Where we are in time. It is made by [`Time::moment`] and good for as long as nothing waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Which boot this is.
    pub boot: BootId,
    /// Time since then.
    pub now: Duration,
    /// When that was, in nanoseconds since 1970, once it is known.
    pub boot_time: Option<u64>,
}

/// What is known of when a boot was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dating {
    /// Nanoseconds since 1970.
    At(u64),
    /// It is this boot, and the clock is not right yet.
    NotYet,
    /// It was an earlier boot, which ended before its clock was right.
    Never,
}

/// The clocks of this boot. Nothing here touches a disk.
#[derive(Debug)]
pub struct Time {
    host: Host,
    boot: BootId,
    held: Option<u64>,
    is_synchronised: bool,
    /// Since boot: from then on the clock is believed as it is.
    trusted: Duration,
}

impl BootId {
    /// `4b1c2a3e-0d5f-4a6b-8c7d-9e0f1a2b3c4d`, with or without dashes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        let mut digits = text.trim().bytes().filter(|byte| *byte != b'-');
        for byte in &mut id {
            let mut digit = || char::from(digits.next()?).to_digit(16);
            *byte = u8::try_from(digit()? << 4 | digit()?).ok()?;
        }
        digits.next().is_none().then_some(Self(id))
    }

    /// 32 hexadecimal digits.
    pub(super) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Time {
    /// Clocks that wait for at most `patience` until somebody sets them right.
    pub fn new(machine: Arc<Machine>, patience: Duration) -> Self {
        let mut host = Host::new(machine);
        let clock = host.machine().clock.clone();
        let read = host.text(Root::Proc, "sys/kernel/random/boot_id").ok().and_then(|text| BootId::parse(&text));
        // Without the kernel's word nobody else may share the id: what an earlier process left can't be dated then.
        let boot = read.unwrap_or_else(|| made_up(&clock));
        let trusted = clock.boot().saturating_add(patience);
        Self { host, boot, held: None, is_synchronised: false, trusted }
    }

    /// Which boot this is.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Whether the kernel says that somebody keeps the clock right, when it was last looked at.
    pub fn is_synchronised(&self) -> bool {
        self.is_synchronised
    }

    /// Looks at the clocks: two system calls, to be made before each push.
    pub fn look(&mut self) {
        self.is_synchronised = self.host.adjtimex().is_ok_and(|timex| timex.status & STA_UNSYNC == 0);
        let clock = &self.host.machine().clock;
        let is_late = clock.boot() >= self.trusted;
        if self.is_synchronised || (is_late && self.held.is_none()) {
            self.hold(measure(clock));
        }
    }

    /// Takes what another process, or an endpoint's folder, knew of this boot: start times stay the same over restarts.
    pub fn adopt(&mut self, boot_time: u64) {
        if self.held.is_none() {
            self.held = Some(boot_time);
        }
    }

    /// Where we are in time.
    pub fn moment(&self) -> Moment {
        Moment { boot: self.boot, now: self.host.machine().clock.boot(), boot_time: self.held }
    }

    fn hold(&mut self, boot_time: u64) {
        if boot_time >= EARLIEST && self.held.is_none_or(|held| held.abs_diff(boot_time) > STEP) {
            self.held = Some(boot_time);
        }
    }
}

/// When the machine was started as its clock has it, in nanoseconds since 1970.
fn measure(clock: &Clock) -> u64 {
    const CLOSE: Duration = Duration::from_micros(100);
    // Between two readings the thread may have to wait; the closest of some is taken.
    let mut closest = (Duration::MAX, Duration::ZERO);
    for _ in 0..8 {
        let before = clock.boot();
        let wall = clock.wall();
        let spent = clock.boot().saturating_sub(before);
        if spent < closest.0 {
            closest = (spent, wall.saturating_sub(before + spent / 2));
        }
        if spent <= CLOSE {
            break;
        }
    }
    u64::try_from(closest.1.as_nanos()).unwrap_or(u64::MAX)
}

/// An id that no other process has.
fn made_up(clock: &Clock) -> BootId {
    let process = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let id = (clock.wall().as_nanos() << 64) ^ (clock.boot().as_nanos() << 24) ^ u128::from(process);
    BootId(id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use collectors::kit::{Child, Replay, Roots, Script};

    const BOOT: &str = "4b1c2a3e-0d5f-4a6b-8c7d-9e0f1a2b3c4d";
    const SECOND: u64 = 1_000_000_000;

    /// A machine that was started ten seconds ago, at `wall` seconds since 1970; its folder, and its clock.
    fn machine(status: &str, wall: u64, boot: &str) -> (tempfile::TempDir, Arc<Machine>, Arc<Script>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        std::fs::create_dir_all(format!("{path}/proc/sys/kernel/random")).unwrap();
        std::fs::write(format!("{path}/proc/sys/kernel/random/boot_id"), boot).unwrap();
        std::fs::create_dir(format!("{path}/calls")).unwrap();
        std::fs::write(format!("{path}/calls/adjtimex"), status).unwrap();
        let replay = Replay::load(&format!("{path}/calls")).unwrap();
        let script = Script::new(Duration::from_secs(10), Duration::from_secs(wall + 10));
        let roots = Roots { proc: format!("{path}/proc"), ..Roots::default() };
        let machine = Machine::new(roots, Clock::Scripted(Arc::clone(&script)), Some(replay), Child::none());
        (folder, machine, script)
    }

    const NOW: u64 = 1_790_000_000;
    const MINUTES: Duration = Duration::from_secs(300);

    #[test]
    fn ids_are_read() {
        let id = BootId::parse(&format!("{BOOT}\n")).unwrap();
        assert_eq!(id.hex(), BOOT.replace('-', ""));
        assert_eq!(BootId::parse(&id.hex()), Some(id));
        for text in ["", "b007", &BOOT[1..], &format!("{BOOT}0"), &BOOT.replace('4', "g")] {
            assert_eq!(BootId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_synchronised_clock_is_held_and_followed_when_it_is_set() {
        let (_folder, machine, script) = machine("status 8193", NOW, BOOT);
        let mut time = Time::new(machine, MINUTES);
        assert_eq!(time.moment().boot_time, None, "not looked at yet");
        time.look();
        assert!(time.is_synchronised());
        let moment =
            Moment { boot: BootId::parse(BOOT).unwrap(), now: Duration::from_secs(10), boot_time: Some(NOW * SECOND) };
        assert_eq!(time.moment(), moment);
        script.advance(Duration::from_secs(60));
        time.look();
        assert_eq!(time.moment(), Moment { now: Duration::from_secs(70), ..moment });
    }

    #[test]
    fn small_disagreements_move_nothing_and_steps_do() {
        let (_folder, machine, _) = machine("status 8193", NOW, BOOT);
        let mut time = Time::new(machine, MINUTES);
        for (known, expected) in [(STEP, NOW * SECOND + STEP), (STEP + 1, NOW * SECOND)] {
            time.held = None;
            time.adopt(NOW * SECOND + known);
            time.adopt(1);
            time.look();
            assert_eq!(time.moment().boot_time, Some(expected), "{known}");
        }
    }

    #[test]
    fn a_clock_that_nobody_sets_is_believed_in_the_end_if_it_can_be() {
        for (status, wall, expected) in [
            ("state 5\nstatus 64", NOW, Some(NOW * SECOND)),
            ("EPERM", NOW, Some(NOW * SECOND)),
            ("state 5\nstatus 64", 0, None),
        ] {
            let (_folder, machine, script) = machine(status, wall, BOOT);
            let mut time = Time::new(machine, MINUTES);
            script.advance(MINUTES - Duration::from_nanos(1));
            time.look();
            assert!(!time.is_synchronised());
            assert_eq!(time.moment().boot_time, None);
            script.advance(Duration::from_nanos(1));
            time.look();
            assert_eq!(time.moment().boot_time, expected, "{status:?} {wall}");
        }
    }

    #[test]
    fn without_the_kernels_word_every_process_has_an_id_of_its_own() {
        let (_folder, machine, script) = machine("status 0", NOW, "none\n");
        let first = Time::new(Arc::clone(&machine), MINUTES).boot();
        script.advance(Duration::from_millis(1));
        assert_ne!(Time::new(machine, MINUTES).boot(), first);
    }

    #[test]
    fn the_live_clocks_agree() {
        let boot = measure(&Clock::Real);
        assert!(boot >= EARLIEST && measure(&Clock::Real).abs_diff(boot) < SECOND / 10);
    }
}
