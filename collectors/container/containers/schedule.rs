//! How long the processes of a container ran and waited: `/proc/PID/schedstat`, told where it is asked for.
//!
//! As cAdvisor does it: the first thread of each process counts, processes in cgroups within count too, and those that have
//! ended with what they had when they were last seen. What one did after that, and who came and went between two rounds, is
//! not in it. Three calls for the list and three for each process.

use super::cpu::nanoseconds;
use super::metrics::{Metric, Page};
use super::state::State;
use crate::kit::cgroup::{Kind, Node, Trees};
use crate::kit::{Error, Host, Root, parse};
use crate::model::Value;
use std::collections::BTreeMap;

const NAMES: [Metric; 3] = [Metric::SchedRun, Metric::SchedRunqueue, Metric::SchedPeriods];

/// Nanoseconds that one ran and that it waited, and how often it was put on a processor.
type Figures = [u64; NAMES.len()];

/// The processes of a cgroup, and what those had that have ended.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    alive: BTreeMap<u32, Figures>,
    ended: Figures,
}

impl Schedule {
    /// Takes what is told now of all processes, and sums up.
    fn take(&mut self, now: BTreeMap<u32, Figures>) -> Figures {
        for (pid, last) in std::mem::take(&mut self.alive) {
            // Another one under the same number began anew.
            let is_same = now.get(&pid).is_some_and(|now| now.iter().zip(&last).all(|(now, last)| now >= last));
            if !is_same {
                self.ended = sum(self.ended, last);
            }
        }
        self.alive = now;
        self.alive.values().fold(self.ended, |total, figures| sum(total, *figures))
    }
}

fn sum(one: Figures, other: Figures) -> Figures {
    std::array::from_fn(|at| one[at].saturating_add(other[at]))
}

/// Puts them.
pub(super) fn put(host: &mut Host, trees: &Trees, node: &mut Node<State>, page: &mut Page<'_>) -> Result<(), Error> {
    if !page.wanted.any(&NAMES) || !matches!(node.kind, Kind::Container { .. }) {
        return Ok(());
    }
    let mut pids = Vec::new();
    let Some(count) = host.cgroup_pids(trees, &node.path, true, &mut pids)? else { return Ok(()) };
    // Some of them can't be seen from here.
    if pids.len() as u64 != count {
        return Ok(());
    }
    let mut now = BTreeMap::new();
    for pid in pids {
        match host.read_once(Root::Proc, format_args!("{pid}/schedstat")) {
            Ok(text) => now.extend(figures(text).map(|figures| (pid, figures))),
            // It has ended, or this kernel does not count.
            Err(error) if error.is_nothing() => {}
            Err(error) => return Err(error),
        }
    }
    if now.is_empty() && count > 0 && node.own.schedule.is_none() {
        return Ok(());
    }
    let [run, waited, periods] = node.own.schedule.get_or_insert_default().take(now);
    page.put(Metric::SchedRun, nanoseconds(run));
    page.put(Metric::SchedRunqueue, nanoseconds(waited));
    page.put(Metric::SchedPeriods, Some(Value::from(periods)));
    Ok(())
}

/// `120000 3000 17`.
fn figures(text: &[u8]) -> Option<Figures> {
    let mut words = parse::words(parse::trim(text)).map(parse::number);
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn what_has_ended_still_counts() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let tree = Tree::new(&[
            ("cgroup/cgroup.controllers", "cpu\n"),
            (&format!("cgroup/docker/{id}/cgroup.procs"), "7\n8\n"),
            ("proc/7/schedstat", "1500000000 500000000 3\n"),
            ("proc/8/schedstat", "500000000 0 2\n"),
        ]);
        let options = [("levels", "containers"), ("families", ".*schedstat.*")];
        let mut opened = tree.open(&SPEC, &options);
        let mut told = || -> Vec<String> {
            let page = opened.round();
            let lines = page.lines().filter(|line| line.contains("schedstat"));
            let mut figures: Vec<_> = lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
            figures.sort_unstable();
            figures
        };
        assert_eq!(told(), ["0.5", "2", "5"]);
        tree.remove("proc/8");
        tree.write(&format!("cgroup/docker/{id}/cgroup.procs"), "7\n");
        assert_eq!(told(), ["0.5", "2", "5"]);
        // Another one under the number of the first.
        tree.write("proc/7/schedstat", "1000000000 0 1\n");
        assert_eq!(told(), ["0.5", "3", "6"]);
        assert!(!tree.open(&SPEC, &options[..1]).round().contains("schedstat"));
    }

    #[test]
    fn numbers_of_a_process() {
        assert_eq!(figures(b"1 2 3\n"), Some([1, 2, 3]));
        assert_eq!((figures(b"1 2\n"), figures(b"1 x 3\n")), (None, None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            figures(&bytes);
        }

        #[test]
        fn the_sum_never_runs_backwards(rounds: Vec<BTreeMap<u8, (u32, u32, u32)>>) {
            let (mut schedule, mut last) = (Schedule::default(), [0; 3]);
            for round in rounds {
                let now = round.into_iter().map(|(pid, (a, b, c))| (pid.into(), [a.into(), b.into(), c.into()]));
                let total = schedule.take(now.collect());
                prop_assert!(total.iter().zip(last).all(|(now, last)| *now >= last));
                last = total;
            }
        }
    }
}
