//! The processes of the machine: many small files, each read once.

use super::{End, Error, Host, Root, fill, parse};
use rustix::fs::{Mode, OFlags, RawDir};
use std::fmt::Display;
use std::mem::MaybeUninit;

/// How many bytes of a folder's entries are taken at a time.
const ENTRIES: usize = 8 << 10;
/// How many numbers are taken: no kernel gives more to processes and threads.
const NUMBERS_MAX: usize = 4 << 20;

impl Host {
    /// Whether procfs is the kernel's own, and not files that somebody copied or made.
    pub fn is_procfs_live(&mut self) -> bool {
        let folder = self.resolve(Root::Proc, "").and_then(|()| self.open());
        folder.is_ok_and(|folder| super::is_kernel_tree(&folder))
    }

    /// Reads a file that comes whole with one call, such as `/proc/PID/stat`, and that is not read again.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn read_once(&mut self, root: Root, path: impl Display) -> Result<&[u8], Error> {
        self.resolve(root, path)?;
        let file = self.open()?;
        let length = fill(&mut self.buffer, &file, End::Short).map_err(|errno| self.error(errno))?;
        Ok(&self.buffer[..length])
    }

    /// The names in a folder that are numbers: the processes in `/proc`, the threads in `/proc/PID/task`. They take the
    /// place of what `into` held, in the kernel's order.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn numbers(&mut self, root: Root, path: impl Display, into: &mut Vec<u32>) -> Result<(), Error> {
        into.clear();
        self.resolve(root, path)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let folder = rustix::fs::open(self.path.as_str(), flags, Mode::empty()).map_err(|errno| self.error(errno))?;
        let mut buffer = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(folder, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|errno| self.error(errno))?;
            if into.len() < NUMBERS_MAX
                && let Some(number) = parse::number(entry.file_name().to_bytes())
            {
                into.extend(u32::try_from(number).ok());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn files_that_somebody_made_are_not_the_kernels() {
        assert!(!Tree::new(&[("proc/1/", "")]).host().is_procfs_live());
        assert!(!Tree::new(&[]).host().is_procfs_live());
    }

    #[test]
    fn only_numbers_are_taken() {
        let tree = Tree::new(&[("proc/1/stat", "1 (init) S\n"), ("proc/4711/", ""), ("proc/99999999999/", "")]);
        tree.write("proc/self", "-> 1");
        let (mut host, mut numbers) = (tree.host(), vec![5]);
        host.numbers(Root::Proc, "", &mut numbers).unwrap();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 4711]);
        assert_eq!(host.read_once(Root::Proc, format_args!("{}/stat", numbers[0])).unwrap(), b"1 (init) S\n");
        assert_eq!(host.numbers(Root::Proc, "2/task", &mut numbers).unwrap_err().reason(), "absent");
        assert_eq!(numbers, []);
    }

    #[test]
    fn a_folder_is_read_to_its_end() {
        let paths: Vec<String> = (0..2000).map(|pid| format!("proc/{pid}/")).collect();
        let tree = Tree::new(&paths.iter().map(|path| (path.as_str(), "")).collect::<Vec<_>>());
        let mut numbers = Vec::new();
        tree.host().numbers(Root::Proc, "", &mut numbers).unwrap();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..2000).collect::<Vec<_>>());
    }
}
