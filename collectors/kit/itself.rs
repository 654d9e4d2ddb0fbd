//! What the kernel says of this process: for its own series, under the names that every exporter has for them.

use super::{Host, KeptFile, Machine, Root, parse};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

/// How long the limits are taken to be what they were: somebody else may change them.
const LIMITS_LAST: Duration = Duration::from_secs(60);
/// In which unit the kernel tells times of processes, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// This process. Its files stay open: a reading takes three calls, and no memory.
#[derive(Debug)]
pub struct Itself {
    host: Host,
    size: KeptFile,
    open_files: Option<OwnedFd>,
    born: Option<f64>,
    limits: Option<(Duration, [Option<u64>; 2])>,
}

/// What is true of this process now; what can't be read is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// The CPU time of all its threads, those that have ended included.
    pub cpu: Duration,
    /// When it was started, in seconds since 1970.
    pub born: Option<f64>,
    /// Bytes of address space.
    pub virtual_bytes: Option<u64>,
    /// Bytes in memory.
    pub resident_bytes: Option<u64>,
    /// How many files it has open.
    pub open_files: Option<u64>,
    /// How many it may have open; without a limit, `None`.
    pub open_files_max: Option<u64>,
    /// How much address space it may have; without a limit, `None`.
    pub virtual_bytes_max: Option<u64>,
}

impl Itself {
    /// This process, whose files are read through a door of their own.
    pub fn new(machine: &Arc<Machine>) -> Self {
        Self {
            host: Host::new(Arc::clone(machine)),
            size: KeptFile::new(Root::Itself, "statm").whole(),
            open_files: None,
            born: None,
            limits: None,
        }
    }

    /// Asks the kernel.
    pub fn figures(&mut self) -> Figures {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let [virtual_bytes, resident_bytes] = self.sizes().map_or([None; 2], |sizes| sizes.map(Some));
        let [open_files_max, virtual_bytes_max] = self.limits();
        Figures {
            cpu: Duration::new(cpu.tv_sec.try_into().unwrap_or(0), cpu.tv_nsec.try_into().unwrap_or(0)),
            born: self.born(),
            virtual_bytes,
            resident_bytes,
            open_files: self.open_files(),
            open_files_max,
            virtual_bytes_max,
        }
    }

    fn sizes(&mut self) -> Option<[u64; 2]> {
        let pages = pages(self.host.read_kept(&mut self.size).ok()?)?;
        Some(pages.map(|pages| pages.saturating_mul(self.host.page_size())))
    }

    fn limits(&mut self) -> [Option<u64>; 2] {
        let now = self.host.monotonic();
        match self.limits {
            Some((read, limits)) if now.saturating_sub(read) < LIMITS_LAST => limits,
            _ => {
                let limits = [Resource::Nofile, Resource::As].map(|resource| getrlimit(resource).current);
                self.limits.insert((now, limits)).1
            }
        }
    }

    fn born(&mut self) -> Option<f64> {
        if self.born.is_none() {
            let ticks = start(self.host.read(Root::Itself, "stat").ok()?)?;
            let time = |id| {
                let time = clock_gettime(id);
                time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
            };
            let boot = time(ClockId::Realtime) - time(ClockId::Boottime);
            // As exact as the ticks are.
            self.born = Some(((boot + ticks as f64 / TICKS_PER_SECOND) * TICKS_PER_SECOND).round() / TICKS_PER_SECOND);
        }
        self.born
    }

    fn open_files(&mut self) -> Option<u64> {
        if self.open_files.is_none() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            self.open_files = rustix::fs::open("/proc/self/fd", flags, Mode::empty()).ok();
        }
        let folder = self.open_files.as_ref()?;
        // Since Linux 6.2, the folder is as large as it has entries; before, it has no size.
        match rustix::fs::fstat(folder) {
            Ok(stat) if stat.st_size > 0 => u64::try_from(stat.st_size).ok(),
            _ => count(folder),
        }
    }
}

/// How many files are in a folder of procfs.
fn count(folder: &OwnedFd) -> Option<u64> {
    rustix::fs::seek(folder, SeekFrom::Start(0)).ok()?;
    let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
    let mut folder = RawDir::new(folder, &mut buffer);
    let mut files = 0;
    while let Some(entry) = folder.next() {
        files += u64::from(!entry.ok()?.file_name().to_bytes().starts_with(b"."));
    }
    Some(files)
}

/// `2345 678 512 90 0 300 0`: pages of address space, pages in memory.
pub(super) fn pages(text: &[u8]) -> Option<[u64; 2]> {
    let mut words = parse::words(text).map(parse::number);
    Some([words.next()??, words.next()??])
}

/// `123 (a name) S 1 …`: when the process was started, in ticks since the machine was.
pub(super) fn start(text: &[u8]) -> Option<u64> {
    // A name may hold blanks and brackets.
    let name = text.iter().rposition(|byte| *byte == b')')?;
    parse::number(parse::words(text.get(name + 1..)?).nth(19)?)
}

#[cfg(test)]
mod tests {
    use super::super::{Child, Clock, Roots};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_this_process() {
        let machine = Machine::new(Roots::default(), Clock::Real, None, Child::none());
        let mut itself = Itself::new(&machine);
        let first = itself.figures();
        assert!(first.virtual_bytes > first.resident_bytes && first.resident_bytes > Some(100_000), "{first:?}");
        assert_eq!((first.open_files_max, first.virtual_bytes_max), {
            (getrlimit(Resource::Nofile).current, getrlimit(Resource::As).current)
        });
        let wall = clock_gettime(ClockId::Realtime).tv_sec as f64;
        assert!(first.born.is_some_and(|born| born <= wall + 1.0 && born > wall - 86_400.0), "{first:?}");
        let folder = itself.open_files.as_ref().unwrap();
        assert!(count(folder).is_some_and(|files| files >= 4));
        let more = itself.figures();
        assert!(more.cpu > first.cpu && more.born == first.born);
    }

    /// In a folder of its own: other tests open files and close them.
    #[test]
    fn a_folder_is_counted_from_its_beginning_each_time() {
        let made = tempfile::tempdir().unwrap();
        (0..300).for_each(|number| std::fs::write(made.path().join(number.to_string()), "").unwrap());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(made.path(), flags, Mode::empty()).unwrap();
        assert_eq!([count(&folder), count(&folder)], [Some(300); 2]);
    }

    #[test]
    fn texts_of_the_kernel() {
        assert_eq!(pages(b"2345 678 512 90 0 300 0\n"), Some([2345, 678]));
        let stat = b"77 (a) b (c) S 1 77 77 0 -1 4194304 150 0 0 0 3 1 0 0 20 0 1 0 4711 9000 200 1844\n";
        assert_eq!(start(stat), Some(4711));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (pages(&bytes), start(&bytes));
        }
    }
}
