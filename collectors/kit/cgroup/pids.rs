//! The processes of a cgroup.

use super::super::{Error, Host, Root, parse};
use super::Trees;

/// How many cgroups are looked at for the processes of one.
const CGROUPS_MAX: usize = 1_000;
/// How many processes are taken.
const PIDS_MAX: usize = 100_000;

impl Host {
    /// How many processes are in a cgroup, and with `below` in those in it too. Their numbers take the place of what
    /// `into` held; those of another pid namespace have none.
    ///
    /// # Errors
    /// What the kernel answered. [`Error::Gone`]: the cgroup was removed.
    pub fn cgroup_pids(
        &mut self,
        trees: &Trees,
        path: &str,
        below: bool,
        into: &mut Vec<u32>,
    ) -> Result<Option<u64>, Error> {
        into.clear();
        let mut count = None;
        let mut left = vec![path.to_owned()];
        let mut looked = 0;
        while let Some(next) = left.pop() {
            looked += 1;
            let text = match self.cgroup_list(trees.walked(), &next, "cgroup.procs") {
                // One that is below may go at any time.
                Err(Error::Gone { .. }) if looked > 1 => continue,
                text => text?,
            };
            if let Some(text) = text {
                for number in parse::lines_of_record(text).filter_map(parse::number) {
                    *count.get_or_insert(0) += 1;
                    let number = u32::try_from(number).ok();
                    into.extend(number.filter(|number| *number != 0 && into.len() < PIDS_MAX));
                }
                count.get_or_insert(0);
            }
            if below && looked + left.len() < CGROUPS_MAX {
                self.push_below(trees, &next, &mut left);
            }
        }
        Ok(count)
    }

    fn push_below(&mut self, trees: &Trees, path: &str, left: &mut Vec<String>) {
        // Two links: nothing is in it. Fewer: this filesystem does not count.
        if !matches!(self.cgroup_folder(trees.walked(), path), Ok((_, links)) if links != 2) {
            return;
        }
        let folder = format!("{}{path}", trees.walked().trim_start_matches('/'));
        let before = left.len();
        let push = |name: &str| left.push(format!("{}/{name}", path.trim_end_matches('/')));
        let _ = self.each_folder(Root::Cgroup, folder.trim_start_matches('/'), push);
        // The first comes next.
        left[before..].sort_unstable_by(|one, other| other.cmp(one));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    fn pids(tree: &Tree, path: &str, below: bool) -> (Option<u64>, Vec<u32>) {
        let mut host = tree.host();
        let trees = Trees::find(&mut host).unwrap().unwrap();
        let mut pids = vec![9];
        (host.cgroup_pids(&trees, path, below, &mut pids).unwrap(), pids)
    }

    #[test]
    fn processes_of_one_and_of_those_below() {
        let tree = Tree::new(&[
            ("cgroup/cgroup.controllers", "\n"),
            ("cgroup/a/cgroup.procs", ""),
            ("cgroup/a/container/cgroup.procs", "12\n13\n"),
            ("cgroup/a/other/deeper/cgroup.procs", "14\n0\n"),
        ]);
        assert_eq!(pids(&tree, "/a", false), (Some(0), vec![]));
        assert_eq!(pids(&tree, "/a", true), (Some(4), vec![12, 13, 14]));
        assert_eq!(pids(&tree, "/a/other", false), (None, vec![]));
    }

    #[test]
    fn what_is_no_number_is_no_process() {
        let tree = Tree::new(&[
            ("cgroup/cgroup.controllers", "\n"),
            ("cgroup/a/cgroup.procs", "\n12\n-1\nx 3\n99999999999999999999\n4294967296\n13"),
        ]);
        assert_eq!(pids(&tree, "/a", false), (Some(3), vec![12, 13]));
    }

    #[test]
    fn of_version_1_and_more_than_a_page() {
        let all: String = (1..=5_000).map(|pid| format!("{pid}\n")).collect();
        let tree = Tree::new(&[("cgroup/memory/docker/x/cgroup.procs", &all)]);
        let (count, pids) = pids(&tree, "/docker/x", true);
        assert_eq!((count, pids.len(), pids.last()), (Some(5_000), 5_000, Some(&5_000)));
    }
}
