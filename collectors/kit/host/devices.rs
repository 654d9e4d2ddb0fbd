//! Folders that hold nothing on most machines.

use super::{Error, Host, Root};
use std::fmt::Display;
use std::time::Duration;

/// For how long it is believed that there is nothing.
const BELIEVED: Duration = Duration::from_secs(10);
/// How many such folders are remembered.
const REMEMBERED_MAX: usize = 16;

/// A folder in which nothing was found.
#[derive(Debug)]
pub(super) struct Empty {
    root: Root,
    path: String,
    until: Duration,
    is_absent: bool,
}

impl Host {
    /// The names in a folder that pass, sorted. Where there are none, nobody looks again for ten seconds: to find nothing
    /// would cost more than all that is found elsewhere. That is remembered by folder: a collector that looks there for two
    /// kinds of things asks once for both, or uses [`Host::names`].
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn devices(
        &mut self,
        root: Root,
        path: impl Display,
        passes: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Error> {
        self.resolve(root, path)?;
        let now = self.machine.clock.monotonic();
        self.empty.retain(|empty| empty.until > now);
        if let Some(empty) = self.empty.iter().find(|empty| empty.root == root && empty.path == self.path) {
            return if empty.is_absent { Err(Error::Absent { path: empty.path.clone() }) } else { Ok(Vec::new()) };
        }
        let mut found = Vec::new();
        let listed = self.each_name_at(&self.path, |name| found.extend(passes(name).then(|| name.to_owned())));
        found.sort_unstable();
        let names = listed.map(|()| found);
        let is_absent = names.as_ref().is_err_and(Error::is_absent);
        if (is_absent || names.as_ref().is_ok_and(Vec::is_empty)) && self.empty.len() < REMEMBERED_MAX {
            self.empty.push(Empty { root, path: self.path.clone(), until: now + BELIEVED, is_absent });
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use crate::kit::{Clock, Script};
    use std::sync::Arc;

    fn advance(host: &Host) {
        if let Clock::Scripted(script) = &host.machine().clock {
            Arc::<Script>::clone(script).advance(BELIEVED);
        }
    }

    #[test]
    fn nothing_is_believed_for_a_while_and_devices_are_looked_for_each_time() {
        let tree = Tree::new(&[("sys/class/tape/other", "")]);
        let mut host = tree.host();
        let tapes = |host: &mut Host, folder: &str| {
            let tapes = host.devices(Root::Sys, format_args!("class/{folder}"), |name| name.starts_with("st"));
            tapes.map_err(|error| error.reason())
        };
        assert_eq!(tapes(&mut host, "tape"), Ok(vec![]));
        assert_eq!(tapes(&mut host, "none"), Err("absent"));
        tree.write("sys/class/tape/st0", "");
        tree.write("sys/class/none/st0", "");
        assert_eq!(tapes(&mut host, "tape"), Ok(vec![]));
        assert_eq!(tapes(&mut host, "none"), Err("absent"));
        advance(&host);
        let mut tapes = |folder: &str| tapes(&mut host, folder).unwrap();
        assert_eq!(tapes("tape"), ["st0"]);
        assert_eq!(tapes("none"), ["st0"]);
        tree.write("sys/class/tape/st1", "");
        assert_eq!(tapes("tape"), ["st0", "st1"]);
        tree.remove("sys/class/tape/st0");
        assert_eq!(tapes("tape"), ["st1"]);
    }
}
