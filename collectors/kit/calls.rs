//! What the machine answers to system calls that no file shows, live or recorded beside a file tree.

use super::btrfs::{self, Btrfs};
use super::layer::Quota;
use super::netlink::script;
use super::{Error, Mount, Recorded, Timex, parse, perf};
use rustix::io::Errno;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

/// What `statfs(2)` says of a filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatFs {
    /// `f_bsize`: the unit of the block counts, in bytes.
    pub block_size: u64,
    /// `f_blocks`: all of it.
    pub blocks: u64,
    /// `f_bfree`: free for root.
    pub blocks_free: u64,
    /// `f_bavail`: free for everybody.
    pub blocks_available: u64,
    /// `f_files`: inodes.
    pub files: u64,
    /// `f_ffree`: free inodes.
    pub files_free: u64,
    /// `ST_RDONLY` of `f_flags`: nothing can be written, as after an error of the disk.
    pub readonly: bool,
}

/// What `uname(2)` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uname<'a> {
    /// The kernel's name.
    pub sysname: Cow<'a, str>,
    /// The host's name.
    pub nodename: Cow<'a, str>,
    /// The kernel's release.
    pub release: Cow<'a, str>,
    /// The kernel's build.
    pub version: Cow<'a, str>,
    /// The hardware.
    pub machine: Cow<'a, str>,
    /// The NIS domain.
    pub domainname: Cow<'a, str>,
}

impl<'a> Uname<'a> {
    /// What the kernel answered.
    pub(super) fn new(answer: &'a rustix::system::Uname) -> Self {
        Self {
            sysname: answer.sysname().to_string_lossy(),
            nodename: answer.nodename().to_string_lossy(),
            release: answer.release().to_string_lossy(),
            version: answer.version().to_string_lossy(),
            machine: answer.machine().to_string_lossy(),
            domainname: answer.domainname().to_string_lossy(),
        }
    }
}

/// Answers by mount point; `None` where there is never one.
pub(super) type ByMountPoint<T> = HashMap<String, Option<Result<T, Errno>>>;

/// The recorded answers of a machine tree, from the files in its `calls/`.
///
/// `clock`: `wall SECONDS` and `boot SECONDS`. `uname`: six lines, in the order of [`Uname`]. `statfs`: a line for each
/// mount point: `PATH block_size blocks free available files files_free`, or `PATH ERRNO`, or `PATH STUCK`. `btrfs`: see
/// [`Btrfs`]. `quotas`: see [`Quota`]. `errno`: `TREE/PATH ERRNO` for files whose read fails. `interfaces`: `INDEX NAME` for each. `adjtimex`: see
/// [`Timex`]. `perf`: `UNIT CONFIG CPU` and what a counter says each time, or `ERRNO`. `netlink/NAME`: see [`super::netlink`]. `ethtool/DEVICE`: see [`Recorded`].
#[derive(Debug)]
pub struct Replay {
    /// Wall clock and uptime.
    pub clock: (Duration, Duration),
    /// The answer to uname(2).
    pub uname: Uname<'static>,
    /// The answers to statfs(2), by mount point.
    pub(super) statfs: ByMountPoint<StatFs>,
    /// What the quotas of projects say, by folder.
    pub(super) quotas: ByMountPoint<Quota>,
    /// What btrfs filesystems answer to their ioctls, by mount point.
    pub(super) btrfs: ByMountPoint<Btrfs>,
    /// The reads that fail, by tree and path: `sys/class/thermal/thermal_zone0/temp`.
    pub errno: HashMap<String, Errno>,
    /// The answer to adjtimex(2).
    pub timex: Result<Timex, Errno>,
    /// What counters of hardware say.
    pub(super) perf: perf::Recording,
    /// The names of interfaces, by number.
    pub interfaces: HashMap<u32, String>,
    /// What netlink answers, by the name of the request.
    pub netlink: HashMap<String, Vec<u8>>,
    /// What drivers answer to ethtool, by interface.
    pub ethtool: HashMap<String, Recorded>,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            uname: Uname::default(),
            statfs: HashMap::new(),
            quotas: HashMap::new(),
            btrfs: HashMap::new(),
            errno: HashMap::new(),
            timex: Err(Errno::NOENT),
            perf: HashMap::new(),
            interfaces: HashMap::new(),
            netlink: HashMap::new(),
            ethtool: HashMap::new(),
        }
    }
}

impl Replay {
    /// Reads a `calls/` folder; files that are not there leave their answers empty.
    ///
    /// # Errors
    /// One line that names the file and what was expected.
    pub fn load(folder: &str) -> Result<Self, String> {
        if !std::path::Path::new(folder).is_dir() {
            return Err(format!("{folder}: expected a folder of recorded calls"));
        }
        let file = |file: &str| std::fs::read_to_string(format!("{folder}/{file}")).ok();
        Self::parse(folder, file, files(&format!("{folder}/netlink")))
    }

    /// The answers in these files.
    pub(super) fn parse(
        folder: &str,
        file: impl Fn(&str) -> Option<String>,
        netlink: Vec<(String, String)>,
    ) -> Result<Self, String> {
        let lines = |name: &str| -> Vec<String> {
            let text = file(name).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        let mut replay = Self { clock: clock(folder, &lines("clock"))?, ..Self::default() };
        let mut uname = lines("uname").into_iter();
        let mut next = || Cow::Owned(uname.next().unwrap_or_default());
        replay.uname = Uname {
            sysname: next(),
            nodename: next(),
            release: next(),
            version: next(),
            machine: next(),
            domainname: next(),
        };
        for line in lines("statfs") {
            let (path, answer) = answer_line(&line, StatFs::recorded)
                .ok_or_else(|| format!("{folder}/statfs: \"{line}\": expected PATH and six numbers, ERRNO or STUCK"))?;
            replay.statfs.insert(path, answer);
        }
        for line in lines("quotas") {
            let (path, answer) = answer_line(&line, Quota::recorded).ok_or_else(|| {
                format!("{folder}/quotas: \"{line}\": expected PATH and five numbers, ERRNO or STUCK")
            })?;
            replay.quotas.insert(path, answer);
        }
        if let Some(text) = file("btrfs") {
            replay.btrfs = btrfs::recorded(&text).map_err(|line| {
                format!("{folder}/btrfs: \"{line}\": expected PATH and what a device says, ERRNO or STUCK")
            })?;
        }
        for line in lines("errno") {
            let (path, name) = line.split_once(' ').unwrap_or_default();
            let errno = errno(name).ok_or_else(|| format!("{folder}/errno: \"{line}\": expected TREE/PATH ERRNO"))?;
            replay.errno.insert(path.to_owned(), errno);
        }
        for line in lines("interfaces") {
            let (index, name) = line.split_once(' ').unwrap_or_default();
            let index = index.parse().map_err(|_| format!("{folder}/interfaces: \"{line}\": expected INDEX NAME"))?;
            replay.interfaces.insert(index, name.to_owned());
        }
        if let Some(text) = file("adjtimex") {
            replay.timex = Timex::recorded(&text)
                .map_err(|line| format!("{folder}/adjtimex: \"{line}\": expected FIELD NUMBER or ERRNO"))?;
        }
        if let Some(text) = file("perf") {
            replay.perf = perf::recorded(&text)
                .map_err(|line| format!("{folder}/perf: \"{line}\": expected UNIT CONFIG CPU and counts, or ERRNO"))?;
        }
        for (name, text) in netlink {
            let answer = script(&text);
            let answer =
                answer.map_err(|line| format!("{folder}/netlink/{name}: \"{line}\": no message of netlink"))?;
            replay.netlink.insert(name, answer);
        }
        for (device, text) in files(&format!("{folder}/ethtool")) {
            let answer = Recorded::of(&text);
            let answer =
                answer.map_err(|line| format!("{folder}/ethtool/{device}: \"{line}\": no answer of a driver"))?;
            replay.ethtool.insert(device, answer);
        }
        Ok(replay)
    }
}

/// `wall 1700000000.5\nboot 10`: the time since 1970, and since the start.
fn clock(folder: &str, lines: &[String]) -> Result<(Duration, Duration), String> {
    let mut clock = (Duration::ZERO, Duration::ZERO);
    for line in lines {
        let (name, seconds) = line.split_once(' ').unwrap_or_default();
        let time = seconds.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
        match (name, time) {
            ("wall", Some(time)) => clock.0 = time,
            ("boot", Some(time)) => clock.1 = time,
            _ => return Err(format!("{folder}/clock: \"{line}\": expected wall SECONDS or boot SECONDS")),
        }
    }
    Ok(clock)
}

/// The recorded answer for a mount.
pub(super) fn recorded<T: Clone>(answers: &ByMountPoint<T>, mount: &Mount) -> Result<T, Error> {
    let path = &*String::from_utf8_lossy(&mount.path);
    match answers.get(path) {
        Some(Some(Ok(answer))) => Ok(answer.clone()),
        Some(Some(Err(errno))) => Err(Error::from_errno(path, *errno)),
        Some(None) => Err(Error::Stuck { path: path.to_owned() }),
        None => Err(Error::from_errno(path, Errno::NOENT)),
    }
}

/// The files of a folder, by name.
fn files(folder: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map_while(Result::ok);
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    named.filter_map(|(name, path)| Some((name, std::fs::read_to_string(path).ok()?))).collect()
}

/// `PATH ANSWER`, `PATH ERRNO` or `PATH STUCK`.
fn answer_line<T>(line: &str, answer: fn(&[&str]) -> Option<T>) -> Option<(String, Option<Result<T, Errno>>)> {
    let mut words = line.split_ascii_whitespace();
    let path = words.next()?.to_owned();
    let rest: Vec<&str> = words.collect();
    let answer = match rest[..] {
        ["STUCK"] => None,
        [name] => Some(Err(errno(name)?)),
        _ => Some(Ok(answer(&rest)?)),
    };
    Some((path, answer))
}

/// So many numbers and no more.
pub(super) fn numbers<const N: usize>(words: &[&str]) -> Option<[u64; N]> {
    let numbers: Vec<u64> = words.iter().map_while(|word| parse::number(word.as_bytes())).collect();
    numbers.try_into().ok().filter(|_| words.len() == N)
}

impl StatFs {
    fn recorded(words: &[&str]) -> Option<Self> {
        let [block_size, blocks, blocks_free, blocks_available, files, files_free] = numbers(words)?;
        Some(Self { block_size, blocks, blocks_free, blocks_available, files, files_free, readonly: false })
    }
}

pub(super) fn errno(name: &str) -> Option<Errno> {
    Some(match name {
        "EAGAIN" => Errno::AGAIN,
        "EIO" => Errno::IO,
        "EINVAL" => Errno::INVAL,
        "ENODEV" => Errno::NODEV,
        "ENODATA" => Errno::NODATA,
        "EACCES" => Errno::ACCESS,
        "EPERM" => Errno::PERM,
        "ENXIO" => Errno::NXIO,
        "ETIMEDOUT" => Errno::TIMEDOUT,
        "EREMOTEIO" => Errno::REMOTEIO,
        "EOPNOTSUPP" => Errno::OPNOTSUPP,
        "ENOENT" => Errno::NOENT,
        "ESTALE" => Errno::STALE,
        "ENOTCONN" => Errno::NOTCONN,
        "EBUSY" => Errno::BUSY,
        _ => return None,
    })
}
