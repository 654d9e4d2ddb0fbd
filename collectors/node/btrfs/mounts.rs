//! Where filesystems are mounted, and what they answer there.

use crate::kit::mounts::{Table, visible};
use crate::kit::{Btrfs, Error, Host, Mount, Question, Root};
use crate::model::Batch;
use std::sync::Arc;
use std::time::Duration;

/// How long a round waits for filesystems that do not answer; one that writes its superblocks does in milliseconds.
const PATIENCE: Duration = Duration::from_millis(150);
/// Over how many of its mounts a filesystem is asked, where one after the other can't be opened.
const TRIES: usize = 4;

/// The mounts of all btrfs filesystems.
pub(super) struct Mounts {
    table: Table,
    /// The first few of each filesystem.
    mounts: Vec<Vec<Arc<Mount>>>,
}

impl Mounts {
    /// None; they are looked for when the filesystems are asked.
    pub(super) fn new() -> Self {
        Self { table: Table::new(), mounts: Vec::new() }
    }

    /// Looks for mounts of each filesystem, if there are new ones.
    fn look(&mut self, host: &mut Host) -> Result<(), Error> {
        let Some(text) = self.table.read(host)? else { return Ok(()) };
        let rootfs = host.root(Root::Rootfs).as_bytes().to_vec();
        let mut numbers = Vec::new();
        self.mounts.clear();
        // Lines that are no mounts are the filesystem collector's to tell of.
        let rows = visible(&text, &rootfs, |_| ());
        for row in rows.iter().filter(|row| row.fs_type == b"btrfs") {
            let at = numbers.iter().position(|number| *number == row.number).unwrap_or_else(|| {
                numbers.push(row.number);
                self.mounts.push(Vec::new());
                numbers.len() - 1
            });
            if let Some(mounts) = self.mounts.get_mut(at).filter(|mounts| mounts.len() < TRIES) {
                mounts.push(host.mount(row, Question::Devices));
            }
        }
        Ok(())
    }

    /// Asks each filesystem over its first mount, and over the next one if that can't be opened.
    pub(super) fn ask(&mut self, host: &mut Host, out: &mut Batch) -> Vec<Btrfs> {
        out.found(self.look(host));
        let mut answers = Vec::new();
        let mut left: Vec<&[Arc<Mount>]> = self.mounts.iter().map(Vec::as_slice).collect();
        while !left.is_empty() {
            let asked: Vec<_> = left.iter().filter_map(|mounts| mounts.first().cloned()).collect();
            let mut said = host.btrfs(&asked, PATIENCE).into_iter();
            left.retain_mut(|mounts| {
                let Some(answer) = said.next() else { return false };
                *mounts = mounts.get(1..).unwrap_or_default();
                let hangs = matches!(answer, Err(Error::Stuck { .. } | Error::Other { .. }));
                let goes_on = answer.is_err() && !hangs && !mounts.is_empty();
                if !goes_on {
                    answers.extend(out.found(answer));
                }
                goes_on
            });
        }
        answers
    }
}
