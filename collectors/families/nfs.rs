//! Requests by version of NFS and method, of clients and of servers.

use crate::model::{Batch, Family};

/// A line of a version: its first word, the version, and its methods in the order of the columns; empty: not told.
pub type Version = (&'static [u8], &'static str, &'static [&'static str]);

/// The methods of version 2, in the order of the columns.
pub const METHODS_2: [&str; 18] = [
    "Null", "GetAttr", "SetAttr", "Root", "Lookup", "ReadLink", "Read", "WrCache", "Write", "Create", "Remove",
    "Rename", "Link", "SymLink", "MkDir", "RmDir", "ReadDir", "FsStat",
];
/// The methods of version 3.
pub const METHODS_3: [&str; 22] = [
    "Null",
    "GetAttr",
    "SetAttr",
    "Lookup",
    "Access",
    "ReadLink",
    "Read",
    "Write",
    "Create",
    "MkDir",
    "SymLink",
    "MkNod",
    "Remove",
    "RmDir",
    "Rename",
    "Link",
    "ReadDir",
    "ReadDirPlus",
    "FsStat",
    "FsInfo",
    "PathConf",
    "Commit",
];

/// What the lines of the versions told of their methods.
///
/// A version that has no line was never used: the kernel prints those whose module is loaded. So its methods were called 0
/// times, like those at the end of a line that an older kernel doesn't know; and that is where counts begin when it is used.
#[derive(Debug)]
pub struct Requests<const N: usize> {
    family: &'static Family,
    versions: &'static [Version; N],
    is_told: [bool; N],
}

impl<const N: usize> Requests<N> {
    /// Nothing yet.
    pub fn new(family: &'static Family, versions: &'static [Version; N]) -> Self {
        Self { family, versions, is_told: [false; N] }
    }

    /// Takes a line apart if it is one of a version. `Some(None)`: there are fewer numbers than it says.
    ///
    /// `proc3 22 0 1061909262 48906 …`: how many methods there are, and how often each was called.
    pub fn line(
        &mut self,
        word: &[u8],
        numbers: &mut impl Iterator<Item = Option<u64>>,
        out: &mut Batch,
    ) -> Option<Option<()>> {
        let mut versions = self.versions.iter().zip(&mut self.is_told);
        let (version, is_told) = versions.find(|((known, ..), _)| *known == word)?;
        *is_told = true;
        Some(put(self.family, version, numbers, out))
    }

    /// There are no more lines.
    pub fn end(self, out: &mut Batch) {
        for (version, _) in self.versions.iter().zip(self.is_told).filter(|(_, is_told)| !is_told) {
            put(self.family, version, &mut [Some(0)].into_iter(), out);
        }
    }
}

fn put(
    family: &'static Family,
    (_, version, methods): &Version,
    numbers: &mut impl Iterator<Item = Option<u64>>,
    out: &mut Batch,
) -> Option<()> {
    let mut count = numbers.next()??;
    for method in *methods {
        let calls = if count == 0 { 0 } else { numbers.next()?? };
        count = count.saturating_sub(1);
        if !method.is_empty() {
            let of = out.entity(&["method", "proto"], [method, version]);
            out.put(family, of, calls);
        }
    }
    Some(())
}
