//! Room for files and folders that are kept open.

use super::Machine;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many files are kept open at most; each costs about 5 KiB of the kernel's memory.
const FILES_MAX: usize = 1024;
/// How many folders; each costs a quarter of a kilobyte.
const FOLDERS_MAX: usize = 1024;
/// How many of both, sockets and all else there is use for.
const OPEN_MAX: u64 = 4096;

/// Lets this process have so many files open, as far as it may: what a shell or systemd sets for programs that know no
/// better is a quarter of it.
pub fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_MAX, |maximum| maximum.min(OPEN_MAX));
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // Where it is refused, less is kept.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// How many are kept, and may be.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicUsize,
    max: usize,
}

/// The room for files and that for folders.
#[derive(Debug)]
pub(super) struct Rooms([Room; 2]);

impl Rooms {
    /// Half of what this process may have open is left to all else.
    pub(super) fn new() -> Self {
        Self::within(getrlimit(Resource::Nofile).current)
    }

    fn within(open: Option<u64>) -> Self {
        let quarter = open.and_then(|open| usize::try_from(open / 4).ok()).unwrap_or(usize::MAX);
        Self([FILES_MAX, FOLDERS_MAX].map(|most| Room { taken: AtomicUsize::new(0), max: most.min(quarter) }))
    }

    pub(super) fn taken(&self) -> usize {
        self.0.iter().map(|room| room.taken.load(Ordering::Relaxed)).sum()
    }

    fn of(&self, is_folder: bool) -> &Room {
        let [files, folders] = &self.0;
        if is_folder { folders } else { files }
    }
}

/// The right to keep one file open.
pub(super) type Permit = Right<false>;
/// The right to keep one folder open.
pub(super) type FolderPermit = Right<true>;

/// One of the two. There is one with each file that is kept, and it is as small as can be.
#[derive(Debug)]
pub(super) struct Right<const IS_FOLDER: bool>(Arc<Machine>);

impl<const IS_FOLDER: bool> Right<IS_FOLDER> {
    /// Room for one more, until the right is dropped.
    pub(super) fn to_keep(machine: &Arc<Machine>) -> Option<Self> {
        let Room { taken, max } = machine.rooms.of(IS_FOLDER);
        let more = |taken| (taken < *max).then_some(taken + 1);
        let is_taken = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        is_taken.then(|| Self(Arc::clone(machine)))
    }
}

impl<const IS_FOLDER: bool> Drop for Right<IS_FOLDER> {
    fn drop(&mut self) {
        self.0.rooms.of(IS_FOLDER).taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Child, Clock, Roots};
    use super::*;

    #[test]
    fn half_of_what_may_be_open_is_left_to_others() {
        let most = |open| Rooms::within(open).0.map(|room| room.max);
        assert_eq!(most(Some(1024)), [256, 256]);
        assert_eq!(most(Some(OPEN_MAX)), [FILES_MAX, FOLDERS_MAX]);
        assert_eq!(most(None), [FILES_MAX, FOLDERS_MAX]);
        assert_eq!(most(Some(0)), [0, 0]);
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let machine = Machine::new(Roots::default(), Clock::Real, None, Child::none());
        let mut files: Vec<Permit> = std::iter::from_fn(|| Permit::to_keep(&machine)).collect();
        let most = Rooms::new().0[0].max;
        assert_eq!((files.len(), machine.handles()), (most, most));
        let folder = FolderPermit::to_keep(&machine);
        assert!(folder.is_some() && machine.handles() == most + 1, "folders have room of their own");
        files.pop();
        assert!(Permit::to_keep(&machine).is_some());
        drop((files, folder));
        assert_eq!(machine.handles(), 0);
    }
}
