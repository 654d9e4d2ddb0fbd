//! The table of mounts: which there are, and which of them a path leads to.

use super::statfs::never_sleeps;
use super::{Error, Host, Watched, parse};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The table to look at where process 1 can't be seen.
const OWN: &str = "self/mountinfo";

/// The machine's table of mounts, as a file.
///
/// The daemon may have a root or a namespace of its own: process 1 sees what the machine sees, if we may look.
#[derive(Debug)]
pub struct Table(Watched);

impl Table {
    /// The table, not read yet.
    pub fn new() -> Self {
        Self(Watched::new("1/mountinfo"))
    }

    /// Its path below the root of procfs.
    pub fn path(&self) -> &'static str {
        self.0.path()
    }

    /// The whole of it, if it has changed since it was read last.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn read(&mut self, host: &mut Host) -> Result<Option<Vec<u8>>, Error> {
        let mut read = |table: &mut Watched| Ok(host.read_changed(table)?.map(<[u8]>::to_vec));
        match read(&mut self.0) {
            Err(Error::Absent { .. } | Error::Denied { .. }) if self.path() != OWN => {
                self.0 = Watched::new(OWN);
                read(&mut self.0)
            }
            text => text,
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

/// A mount, as a line of mountinfo tells it.
#[derive(Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The number of the mount.
    pub id: u64,
    /// The number of the mount that it stands on.
    pub parent: u64,
    /// Major and minor number of the device.
    pub number: (u32, u32),
    /// Whether all of the filesystem is mounted there, and not a folder of it.
    pub is_whole: bool,
    /// Where it is mounted.
    pub mount_point: Cow<'a, [u8]>,
    /// The type of the filesystem.
    pub fs_type: &'a [u8],
    /// As the line has it: a blank is `\040`.
    pub device: &'a [u8],
    /// Whether the mount is read-only, or the filesystem (which turns so by itself after errors).
    pub readonly: bool,
    /// Whether asking it can't take long.
    pub never_sleeps: bool,
    /// Whether it counts what belongs to each project.
    pub has_quotas: bool,
}

/// The mounts that a path below `rootfs` leads to, each mount point once, in the order of the table. `malformed` is told
/// the numbers of lines that are no mounts.
///
/// A call on a mount point reaches what was mounted there last: a mount below another one would be shown with the other
/// one's figures. Rows are linked by their parents, so that needs no order of the table.
pub fn visible<'a>(text: &'a [u8], rootfs: &[u8], mut malformed: impl FnMut(u32)) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = Vec::new();
    for (line, number) in parse::lines(text).zip(1..) {
        match row(line) {
            Some(row) => rows.push(row),
            None => malformed(number),
        }
    }
    let shown = {
        let places: HashSet<(u64, &[u8])> = rows.iter().map(|row| (row.parent, &*row.mount_point)).collect();
        let mut hidden = HashSet::new();
        let mut last = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            if hidden.contains(&row.parent) || beside(row).any(|path| places.contains(&(row.parent, path))) {
                hidden.insert(row.id);
            } else if row.id == row.parent || !places.contains(&(row.id, &*row.mount_point)) {
                last.insert(&*row.mount_point, at);
            }
        }
        let mut shown: Vec<usize> = last.into_values().collect();
        shown.sort_unstable();
        shown
    };
    let mut shown = shown.into_iter().peekable();
    let mut at = 0..;
    rows.retain(|_| shown.next_if_eq(&at.next().unwrap_or_default()).is_some());
    strip(&mut rows, rootfs);
    rows
}

/// The folders above a mount point, where another mount with the same parent would cover it. (A mount made on `/a/b`
/// after one on `/a` has that one as its parent, so the one on `/a` came later.) `/` is not among them: nothing can be
/// mounted there with the same parent and be in the way, for processes keep their root.
fn beside<'a>(row: &'a Row) -> impl Iterator<Item = &'a [u8]> {
    let path = &*row.mount_point;
    let slashes = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
    slashes.filter_map(|(at, _)| path.get(..at))
}

/// Where the table is that of a container with the machine's `/` at `rootfs`, its mount points become the machine's.
fn strip(rows: &mut Vec<Row>, rootfs: &[u8]) {
    // The machine's own process 1 does not see what is mounted in the daemon's container.
    if rootfs.is_empty() || !rows.iter().any(|row| *row.mount_point == *rootfs) {
        return;
    }
    rows.retain_mut(|row| {
        let inner = match row.mount_point.strip_prefix(rootfs) {
            Some(b"") => b"/".to_vec(),
            Some(inner @ [b'/', ..]) => inner.to_vec(),
            _ => return false,
        };
        row.mount_point = Cow::Owned(inner);
        true
    });
}

/// `36 35 98:0 /sub /mnt/a\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
///
/// Number, parent, device, root, mount point, options, any number of tags, a dash, type, source, the filesystem's
/// options. A source may be empty, so it is blanks that count.
fn row(line: &[u8]) -> Option<Row<'_>> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (id, parent) = (parse::number(fields.next()?)?, parse::number(fields.next()?)?);
    let device = fields.next()?;
    let colon = device.iter().position(|byte| *byte == b':')?;
    let part = |digits: Option<&[u8]>| u32::try_from(parse::number(digits?)?).ok();
    let number = (part(device.get(..colon))?, part(device.get(colon + 1..))?);
    let (is_whole, mount_point) = (fields.next()? == b"/", decode(fields.next()?));
    let options = fields.next()?;
    fields.find(|field| *field == b"-")?;
    // Blanks in a source stay codes: node_exporter's label has them so, and it is the name of the share.
    let (fs_type, device, own) = (fields.next()?, fields.next()?, fields.next()?);
    let readonly = [options, own].iter().any(|list| list.split(|byte| *byte == b',').any(|word| word == b"ro"))
        // What an ext4 says of itself since Linux 6.15, after an error.
        || own.split(|byte| *byte == b',').any(|word| word == b"emergency_ro");
    let never_sleeps = never_sleeps(fs_type, own);
    // XFS says the second while it only counts.
    let has_quotas =
        own.split(|byte| *byte == b',').any(|word| matches!(word, b"prjquota" | b"pqnoenforce" | b"pquota"));
    let row = Row { id, parent, number, is_whole, mount_point, fs_type, device, readonly, never_sleeps, has_quotas };
    row.mount_point.starts_with(b"/").then_some(row)
}

/// `a\040b`: blanks, line ends and backslashes are three octal digits.
pub(super) fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let (byte, tail) = match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] if byte == b'\\' => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), tail)
            }
            _ => (byte, tail),
        };
        plain.push(byte);
        rest = tail;
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row() {
        let line =
            b"36 35 98:7 /sub /mnt/a\\040b rw,noatime master:1 shared:2 - fuse.x a\\134\\011b rw,errors=continue";
        let expected = Row {
            id: 36,
            parent: 35,
            number: (98, 7),
            is_whole: false,
            mount_point: b"/mnt/a b"[..].into(),
            fs_type: b"fuse.x",
            device: b"a\\134\\011b",
            readonly: false,
            never_sleeps: false,
            has_quotas: false,
        };
        assert_eq!(row(line), Some(expected));
        let bare = row(b"1 2 0:1 / / rw - tmpfs  ro").unwrap();
        assert_eq!((bare.device, bare.readonly), (&b""[..], true));
        assert!(row(b"1 2 0:1 / / nodev,ro - tmpfs x rw").unwrap().readonly);
        assert!(row(b"1 2 0:1 / / rw - ext4 x rw,emergency_ro").unwrap().readonly);
        assert!(row(b"1 2 0:1 / / rw - xfs x rw,attr2,prjquota").unwrap().has_quotas);
        assert!(!row(b"1 2 0:1 / / rw - xfs x rw,noquota").unwrap().has_quotas);
        assert!(!row(b"1 2 0:1 / / rw,errors=ro,rom - tmpfs x rw").unwrap().readonly);
        for bad in [
            "",
            "1 2 0:1 / / rw tmpfs x rw",
            "1 2 01 / / rw - t x rw",
            "1 x 0:1 / / rw - t x rw",
            "1 2 0:1 / a rw - t x rw",
        ] {
            assert_eq!(row(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_looks_like_a_code_but_is_none_stays() {
        assert_eq!(&*decode(b"\\04"), b"\\04");
        assert_eq!(&*decode(b"\\\\040\\777\\377"), b"\\ \\777\xff");
    }

    fn seen(table: &[(u64, u64, &str)], rootfs: &str) -> Vec<(u64, String)> {
        let line = |(id, parent, path): &(u64, u64, &str)| format!("{id} {parent} 0:1 / {path} rw - t x rw\n");
        let text: String = table.iter().map(line).collect();
        let rows = visible(text.as_bytes(), rootfs.as_bytes(), |line| panic!("line {line}"));
        rows.iter().map(|row| (row.id, String::from_utf8_lossy(&row.mount_point).into_owned())).collect()
    }

    fn numbers(table: &[(u64, u64, &str)]) -> Vec<u64> {
        seen(table, "").into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn the_last_mount_on_a_mount_point_is_the_one_that_is_seen() {
        assert_eq!(numbers(&[(1, 0, "/"), (2, 1, "/a"), (3, 2, "/a"), (4, 3, "/a")]), [1, 4]);
        // Whatever the order of the table.
        assert_eq!(numbers(&[(4, 3, "/a"), (1, 0, "/"), (3, 2, "/a"), (2, 1, "/a")]), [4, 1]);
        // The first root of all is its own parent, or that of the one that is used.
        assert_eq!(numbers(&[(1, 1, "/"), (22, 1, "/"), (23, 22, "/a")]), [22, 23]);
        assert_eq!(numbers(&[(1, 1, "/"), (23, 1, "/a")]), [1, 23]);
        // Propagation can put two on one place.
        assert_eq!(numbers(&[(1, 0, "/"), (2, 1, "/a"), (3, 1, "/a")]), [1, 3]);
    }

    #[test]
    fn what_lies_below_a_later_mount_is_not_seen() {
        assert_eq!(numbers(&[(1, 0, "/"), (2, 1, "/a/b"), (3, 2, "/a/b/c"), (4, 1, "/a"), (5, 1, "/ab")]), [1, 4, 5]);
        assert_eq!(numbers(&[(1, 0, "/"), (2, 1, "/a"), (3, 2, "/a/b"), (4, 2, "/a")]), [1, 4]);
        assert_eq!(numbers(&[(1, 0, "/"), (2, 1, "/a"), (3, 2, "/a/b")]), [1, 2, 3]);
    }

    #[test]
    fn a_container_sees_the_machine_below_its_own_tree() {
        let table = [(1, 0, "/"), (2, 1, "/host"), (3, 2, "/host/home"), (4, 1, "/hosts"), (5, 1, "/etc/hosts")];
        let machine =
            |pairs: &[(u64, &str)]| pairs.iter().map(|(id, path)| (*id, (*path).to_owned())).collect::<Vec<_>>();
        assert_eq!(seen(&table, "/host"), machine(&[(2, "/"), (3, "/home")]));
        // The machine's own table, read by a container.
        assert_eq!(seen(&[(1, 0, "/"), (2, 1, "/home")], "/host"), machine(&[(1, "/"), (2, "/home")]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, path in "(/[ab\\\\0-9]{0,4}){0,4}", rootfs: Vec<u8>) {
            row(&bytes);
            decode(&bytes);
            visible(&bytes, &rootfs, |_| {});
            visible(format!("2 1 0:1 / {path} rw - t x rw\n1 1 0:1 / / rw - t x rw\n").as_bytes(), b"/a", |_| {});
        }
    }
}
