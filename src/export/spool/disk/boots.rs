//! When earlier boots were: a small file beside the segments, one line for each, `BOOT NANOSECONDS`.
//!
//! Records of a boot that ended before its clock was right can be dated if a process learnt the time later in that boot.

use super::directory::Directory;
use crate::export::time::BootId;
use std::fmt::Write as _;

/// Two readings of the clocks may differ by so many nanoseconds; that is not worth a write.
const SAME: u64 = 1_000_000_000;
const NAME: &str = "boots";
/// How many are remembered: the newest.
const BOOTS_MAX: usize = 64;
/// As long as so many lines are.
const FILE_MAX: usize = BOOTS_MAX * 64;

/// The boots that are known, newest last.
#[derive(Debug, Default)]
pub(super) struct Boots {
    known: Vec<(BootId, u64)>,
    is_written: bool,
}

impl Boots {
    pub(super) fn load(directory: &Directory) -> Self {
        let mut known = parse(&directory.load(NAME, FILE_MAX));
        known.drain(..known.len().saturating_sub(BOOTS_MAX));
        Self { known, is_written: true }
    }

    pub(super) fn of(&self, boot: BootId) -> Option<u64> {
        self.known.iter().rev().find(|known| known.0 == boot).map(|known| known.1)
    }

    /// Remembers when a boot was. What can't be written now is written the next time.
    pub(super) fn learn(&mut self, boot: BootId, time: u64, directory: &mut Directory) {
        let is_known = self.known.last().is_some_and(|last| last.0 == boot && last.1.abs_diff(time) < SAME);
        if !is_known {
            self.known.retain(|known| known.0 != boot);
            self.known.push((boot, time));
            self.known.drain(..self.known.len().saturating_sub(BOOTS_MAX));
            self.is_written = false;
        }
        if !self.is_written {
            let mut text = String::new();
            for (boot, time) in &self.known {
                let _ = writeln!(text, "{} {time}", boot.hex());
            }
            self.is_written = directory.replace(NAME, text.as_bytes()).is_ok();
        }
    }
}

/// `4b1c2a3e0d5f4a6b8c7d9e0f1a2b3c4d 1760000000000000000`; other lines are passed over.
fn parse(bytes: &[u8]) -> Vec<(BootId, u64)> {
    let line = |line: &[u8]| {
        let (boot, time) = str::from_utf8(line).ok()?.split_once(' ')?;
        Some((BootId::parse(boot)?, time.parse().ok()?))
    };
    bytes.split(|byte| *byte == b'\n').filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boots_are_remembered_and_not_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(folder.path()).unwrap();
        let mut boots = Boots::load(&directory);
        for boot in 0..100u8 {
            boots.learn(BootId([boot; 16]), 1_760_000_000_000_000_000 + u64::from(boot), &mut directory);
        }
        let writes = directory.writes();
        boots.learn(BootId([99; 16]), 1_760_000_000_000_000_000, &mut directory);
        assert_eq!(directory.writes(), writes, "nothing new");
        let again = Boots::load(&directory);
        assert_eq!(again.known.len(), BOOTS_MAX);
        let times = [99, 36, 35].map(|boot| again.of(BootId([boot; 16])));
        assert_eq!(times, [Some(1_760_000_000_000_000_099), Some(1_760_000_000_000_000_036), None]);
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(folder.path()).unwrap();
        let mut boots = Boots::load(&directory);
        boots.learn(BootId([1; 16]), 5, &mut directory);
        directory.refusal = Some(rustix::io::Errno::NOSPC);
        boots.learn(BootId([2; 16]), 6, &mut directory);
        assert_eq!((boots.of(BootId([2; 16])), Boots::load(&directory).of(BootId([1; 16]))), (Some(6), Some(5)));
        directory.refusal = None;
        boots.learn(BootId([2; 16]), 6, &mut directory);
        assert_eq!(Boots::load(&directory).of(BootId([2; 16])), Some(6));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
