//! What a btrfs says of its devices, over the ioctls of any folder in it. None of them asks for a capability: it is enough
//! that the folder can be opened.
//!
//! Two of the three wait for the lock of the list of devices, which is held while their superblocks are written. Where a
//! disk no longer answers that is for ever, and no signal ends it.

use super::calls::{ByMountPoint, errno};
use super::child::frame::{block, number};
use super::{parse, sys};
use rustix::fs::{Mode, OFlags, fstatfs, open};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fmt::Write as _;

/// `BTRFS_SUPER_MAGIC`: the same numbers mean other ioctls elsewhere.
const MAGIC: u32 = 0x9123_683e;
/// The highest number of a device that is asked for. They count up with every device that was ever added.
const ID_MAX: u64 = 1 << 16;

/// A btrfs and its devices.
///
/// Recorded, a line for each device: `PATH FILESYSTEM UUID NAME SIZE USED`, then its five counts of errors, which may be
/// missing. The name of a device that is missing is `-`. Or else `PATH ERRNO`, or `PATH STUCK`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Btrfs {
    /// The filesystem's UUID, as its folder in sysfs is called.
    pub uuid: String,
    /// Its devices, in the order of their numbers; those that are missing too.
    pub devices: Vec<Device>,
}

/// A device of a btrfs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name, as below `/dev`; empty: it is missing.
    pub name: String,
    /// Its own UUID.
    pub uuid: String,
    /// How large it is, in bytes.
    pub size: u64,
    /// How much of it is given to chunks, in bytes.
    pub used: u64,
    /// Errors: of writes, reads, flushes, corruption, generation.
    pub errors: Option<[u64; 5]>,
}

/// Asks the filesystem that is mounted there, and waits however long it takes. For the child.
pub(super) fn in_time(path: &[u8]) -> Result<Btrfs, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let folder = open(path, flags, Mode::empty())?;
    if fstatfs(&folder)?.f_type as u32 != MAGIC {
        return Err(Errno::NODEV);
    }
    let filesystem = sys::btrfs_filesystem(&folder)?;
    let mut devices = Vec::new();
    for id in 0..=filesystem.max_id.min(ID_MAX) {
        // Numbers of devices that were removed are left free.
        let device = match sys::btrfs_device(&folder, id) {
            Err(Errno::NODEV) => continue,
            device => device?,
        };
        let path = device.path.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        devices.push(Device {
            name: String::from_utf8_lossy(name).into_owned(),
            uuid: uuid(device.uuid),
            size: device.total_bytes,
            used: device.bytes_used,
            errors: sys::btrfs_errors(&folder, id).ok(),
        });
    }
    Ok(Btrfs { uuid: uuid(filesystem.fsid), devices })
}

/// `2b3c4d5e-6f70-4182-93a4-b5c6d7e8f901`
fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02x}", if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" });
    }
    text
}

/// The lines that are told at [`Btrfs`]; `Err` is one that is none.
pub(super) fn recorded(text: &str) -> Result<ByMountPoint<Btrfs>, &str> {
    let mut answers = HashMap::new();
    for line in text.lines() {
        record(line, &mut answers).ok_or(line)?;
    }
    Ok(answers)
}

fn record(line: &str, answers: &mut ByMountPoint<Btrfs>) -> Option<()> {
    let mut words = line.split_ascii_whitespace();
    let path = words.next()?.to_owned();
    match words.clone().collect::<Vec<_>>()[..] {
        ["STUCK"] => drop(answers.insert(path, None)),
        [name] => drop(answers.insert(path, Some(Err(errno(name)?)))),
        [filesystem, uuid, name, ref numbers @ ..] => {
            let numbers: Vec<u64> = numbers.iter().map_while(|word| parse::number(word.as_bytes())).collect();
            let (size, used, errors) = match numbers[..] {
                [size, used] => (size, used, None),
                [size, used, ref errors @ ..] => (size, used, Some(errors.try_into().ok()?)),
                _ => return None,
            };
            let name = if name == "-" { "" } else { name }.to_owned();
            let device = Device { name, uuid: uuid.to_owned(), size, used, errors };
            let new = || Some(Ok(Btrfs { uuid: filesystem.to_owned(), devices: Vec::new() }));
            answers.entry(path).or_insert_with(new).as_mut()?.as_mut().ok()?.devices.push(device);
        }
        _ => return None,
    }
    Some(())
}

impl Btrfs {
    /// As bytes, for the way from the child.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut to = Vec::new();
        write_text(&self.uuid, &mut to);
        for Device { name, uuid, size, used, errors } in &self.devices {
            write_text(name, &mut to);
            write_text(uuid, &mut to);
            let errors = errors.as_ref();
            let numbers = [*size, *used, u64::from(errors.is_some())].into_iter();
            let numbers = numbers.chain(errors.into_iter().flatten().copied());
            numbers.for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
        }
        to
    }

    /// From those bytes.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let uuid = read_text(rest)?;
        let mut devices = Vec::new();
        while !rest.is_empty() {
            let (name, uuid) = (read_text(rest)?, read_text(rest)?);
            let (size, used) = (number(rest)?, number(rest)?);
            let mut errors = None;
            if number(rest)? != 0 {
                errors = Some([number(rest)?, number(rest)?, number(rest)?, number(rest)?, number(rest)?]);
            }
            devices.push(Device { name, uuid, size, used, errors });
        }
        Some(Self { uuid, devices })
    }
}

/// A text is short: the kernel says no more than 1,024 bytes of a path, which are three times as many where they are no UTF-8.
fn write_text(text: &str, to: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).unwrap_or(0);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(text.get(..usize::from(length)).unwrap_or_default().as_bytes());
}

fn read_text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(block(rest)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_folder_of_another_filesystem_is_not_asked() {
        assert_eq!(in_time(b"/proc/self"), Err(Errno::NODEV));
        assert_eq!(in_time(b"/proc/self/stat"), Err(Errno::NOTDIR));
        assert_eq!(in_time(b"/nowhere"), Err(Errno::NOENT));
    }

    #[test]
    fn uuids_have_four_dashes() {
        assert_eq!(uuid(std::array::from_fn(|at| at as u8 * 17)), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn answers_are_recorded_as_text() {
        let text = "/a f u sda 10 4 1 2 3 4 5\n/b STUCK\n/a f v - 20 6\n/c EACCES\n";
        let device = |name: &str, uuid: &str, size, used, errors| Device {
            name: name.to_owned(),
            uuid: uuid.to_owned(),
            size,
            used,
            errors,
        };
        let devices = vec![device("sda", "u", 10, 4, Some([1, 2, 3, 4, 5])), device("", "v", 20, 6, None)];
        let answers = recorded(text).unwrap();
        assert_eq!(answers["/a"], Some(Ok(Btrfs { uuid: "f".to_owned(), devices })));
        assert_eq!((&answers["/b"], &answers["/c"]), (&None, &Some(Err(Errno::ACCESS))));
        for bad in ["/a", "/a EWHAT", "/a f u", "/a f u sda 1", "/a f u sda 1 2 3 4 5 6", "/a f u sda 1 2 3 4 5 6 7 8"]
        {
            assert_eq!(recorded(bad), Err(bad));
        }
        assert_eq!(recorded("/a STUCK\n/a f u sda 10 4"), Err("/a f u sda 10 4"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text: String) {
            let _ = (Btrfs::read(&bytes), recorded(&text));
        }
    }
}
