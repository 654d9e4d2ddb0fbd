use super::*;
use crate::kit::Clock;
use crate::kit::testing::Tree;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;
const ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// A machine of version 2 with four processors, its door, and its ledger.
struct Stage {
    tree: Tree,
    host: Host,
    shares: Shares,
}

impl Stage {
    fn new() -> Self {
        let tree =
            Tree::new(&[("cgroup/cgroup.controllers", "cpu memory\n"), ("sys/devices/system/cpu/online", "0-3\n")]);
        let mut host = tree.host();
        let shares = Shares::open(&mut host).unwrap().unwrap();
        Self { tree, host, shares }
    }

    /// What a cgroup has used so far, in microseconds.
    fn used(&self, path: &str, usec: u64) {
        self.tree.write(&format!("cgroup{path}/cpu.stat"), &format!("usage_usec {usec}\nuser_usec 0\n"));
    }

    fn share(&mut self, energy: u64, seconds: u64) {
        if let Clock::Scripted(script) = &self.host.machine().clock {
            script.advance(Duration::from_secs(seconds));
        }
        let mut out = Batch::new(1000);
        self.shares.share(energy, &mut self.host, &mut out);
        assert_eq!(out.faults(), []);
    }

    /// What each has, in microjoules: cgroups by path, and what is nobody's by reason.
    fn told(&mut self) -> BTreeMap<String, u64> {
        fn walk(node: &mut Node<Own>, told: &mut BTreeMap<String, u64>) {
            if is_told(&node.kind) {
                told.insert(node.path.clone(), node.own.energy);
            }
            node.children().iter_mut().for_each(|child| walk(child, told));
        }
        let mut told = BTreeMap::new();
        walk(self.shares.forest.parts().1, &mut told);
        told.extend(REASONS.iter().zip(self.shares.nobodys).map(|(reason, energy)| ((*reason).to_owned(), energy)));
        told
    }

    fn check(&mut self, expected: &[(&str, u64)]) {
        let expected: BTreeMap<String, u64> =
            expected.iter().map(|(name, energy)| ((*name).to_owned(), *energy)).collect();
        assert_eq!(self.told(), expected);
        self.is_exact();
    }

    /// Nothing is lost, and nothing made up.
    fn is_exact(&mut self) {
        let nobodys: u64 = self.shares.nobodys.iter().sum();
        assert_eq!(self.shares.attributed + nobodys, self.shares.measured);
        let live: u64 = self.told().iter().filter(|(name, _)| name.starts_with('/')).map(|(_, energy)| energy).sum();
        assert!(live <= self.shares.attributed, "the rest is that of those who are gone");
    }
}

#[test]
fn equal_time_gets_equal_energy_and_the_rest_is_nobody_s() {
    let mut stage = Stage::new();
    let container = format!("/docker/{ID}");
    stage.used("/docker", 100);
    stage.used(&container, 100);
    stage.used("/system.slice", 50);
    stage.used("/system.slice/a.service", 30);
    stage.share(1_000_000, 1);
    // What was before the first sample is not shared out.
    stage.check(&[(&container, 0), ("/system.slice/a.service", 0), ("idle", 0), ("system", 0), ("exited", 0)]);
    // Of forty seconds of processors, ten are the container's, four the service's and six somebody's in the slice.
    stage.used("/docker", 10_000_100);
    stage.used(&container, 10_000_100);
    stage.used("/system.slice", 10_000_050);
    stage.used("/system.slice/a.service", 4_000_030);
    stage.share(1_000_000, 10);
    let expected = [
        (&*container, 250_000),
        ("/system.slice/a.service", 100_000),
        ("idle", 500_000),
        ("system", 150_000),
        ("exited", 0),
    ];
    stage.check(&expected);
    // Nobody did anything.
    stage.share(40, 10);
    stage.check(&expected.map(|(name, energy)| (name, if name == "idle" { energy + 40 } else { energy })));
}

#[test]
fn those_who_come_and_go_between_samples() {
    let mut stage = Stage::new();
    let container = format!("/docker/{ID}");
    stage.used("/docker", 0);
    stage.used("/system.slice", 0);
    stage.used("/system.slice/a.service", 0);
    stage.share(0, 1);
    // A new one has all that it used, and a service the processes that were born and died in it.
    stage.used("/docker", 20_000_000);
    stage.used(&container, 20_000_000);
    stage.used("/system.slice", 10_000_000);
    stage.used("/system.slice/a.service", 10_000_000);
    stage.share(4_000_000, 10);
    let nobody = [("idle", 1_000_000), ("system", 0), ("exited", 0)];
    let alive = [(&*container, 2_000_000), ("/system.slice/a.service", 1_000_000)];
    stage.check(&[alive.as_slice(), &nobody].concat());
    // What it did last goes to nobody else.
    stage.tree.remove(&format!("cgroup{container}"));
    stage.used("/docker", 30_000_000);
    stage.share(4_000_000, 10);
    stage.check(&[("/system.slice/a.service", 1_000_000), ("idle", 4_000_000), ("system", 0), ("exited", 1_000_000)]);
    assert_eq!(stage.shares.attributed, 3_000_000, "with that of the one who is gone");
}

#[test]
fn more_time_than_there_was_is_shared_all_the_same() {
    let mut stage = Stage::new();
    for path in ["/system.slice", "/system.slice/a.service", "/system.slice/b.service"] {
        stage.used(path, 0);
    }
    stage.share(0, 1);
    stage.used("/system.slice/a.service", 900_000_000);
    stage.used("/system.slice/b.service", 3_000_000);
    stage.share(1_000, 1);
    // No more than four processors in a second.
    let told = stage.told();
    assert_eq!((told["/system.slice/a.service"], told["/system.slice/b.service"], told["idle"]), (571, 429, 0));
    stage.is_exact();
}

#[test]
fn a_container_in_a_service_is_not_the_service() {
    let mut stage = Stage::new();
    let service = "/user.slice/user@1000.service";
    let container = format!("{service}/user.slice/libpod-{ID}.scope");
    let paths = ["/user.slice", service, &format!("{service}/user.slice"), &container].map(str::to_owned);
    paths.iter().for_each(|path| stage.used(path, 0));
    stage.share(0, 1);
    for (path, usec) in paths.iter().zip([10_000_000, 10_000_000, 9_000_000, 6_000_000]) {
        stage.used(path, usec);
    }
    stage.share(40, 10);
    stage.check(&[(service, 4), (&container, 6), ("idle", 30), ("system", 0), ("exited", 0)]);
}

#[test]
fn version_1_has_a_tree_of_its_own_for_times() {
    let tree = Tree::new(&[
        ("sys/devices/system/cpu/online", "0\n"),
        ("cgroup/memory/system.slice/a.service/x", ""),
        ("cgroup/cpuacct/cpuacct.usage", "0\n"),
        ("cgroup/cpuacct/system.slice/cpuacct.usage", "0\n"),
        ("cgroup/cpuacct/system.slice/a.service/cpuacct.usage", "0\n"),
    ]);
    let mut host = tree.host();
    let shares = Shares::open(&mut host).unwrap().unwrap();
    let mut stage = Stage { tree, host, shares };
    stage.share(0, 1);
    let write = |stage: &Stage, path: &str, ns: u64| {
        stage.tree.write(&format!("cgroup/cpuacct/{path}cpuacct.usage"), &ns.to_string())
    };
    write(&stage, "", 7 * SECOND);
    write(&stage, "system.slice/", 5 * SECOND);
    write(&stage, "system.slice/a.service/", 4 * SECOND);
    stage.share(100, 10);
    stage.check(&[("/system.slice/a.service", 40), ("idle", 30), ("system", 30), ("exited", 0)]);
}

#[test]
fn numbers_of_processors_and_times() {
    assert_eq!(cpus(b"0-3,5\n"), 5);
    assert_eq!(usage_usec(b"usage_usec 42\nuser_usec 1\n"), Some(42));
    assert_eq!(usage_usec(b"user_usec 1\n"), None);
}

/// What happens to one of eight services in an interval.
#[derive(Clone, Debug)]
enum Play {
    Works(u64),
    Dies,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever comes and goes, and whatever is measured: in each interval all shares add up to what was measured, no share
    /// ever shrinks, and who did nothing gets nothing.
    #[test]
    fn each_interval_adds_up(
        intervals in prop::collection::vec(
            (0u64..5_000_000_000, 1u64..20, prop::collection::vec((0usize..8, prop_oneof![3 => (0u64..9_000_000).prop_map(Play::Works), 1 => Just(Play::Dies)]), 0..6)),
            1..12,
        ),
    ) {
        let mut stage = Stage::new();
        let mut used: BTreeMap<String, u64> = BTreeMap::new();
        let mut slice = 0u64;
        stage.used("/system.slice", 0);
        stage.share(0, 1);
        for (energy, seconds, plays) in intervals {
            let before = stage.told();
            let measured = stage.shares.measured;
            let (attributed, nobodys) = (stage.shares.attributed, stage.shares.nobodys.iter().sum::<u64>());
            let mut worked = std::collections::BTreeSet::new();
            for (which, play) in plays {
                let path = format!("/system.slice/s{which}.service");
                match play {
                    Play::Works(usec) => {
                        *used.entry(path.clone()).or_default() += usec;
                        slice += usec;
                        stage.used(&path, used[&path]);
                        worked.insert(path);
                    }
                    Play::Dies => {
                        if used.remove(&path).is_some() {
                            stage.tree.remove(&format!("cgroup{path}"));
                        }
                    }
                }
            }
            stage.used("/system.slice", slice);
            stage.share(energy, seconds);
            stage.is_exact();
            prop_assert_eq!(stage.shares.measured - measured, energy);
            let given = stage.shares.attributed - attributed + stage.shares.nobodys.iter().sum::<u64>() - nobodys;
            prop_assert_eq!(given, energy);
            for (name, energy) in stage.told() {
                // One that died and was made anew may be taken for the same: its folder's number can be the same here.
                if let Some(before) = before.get(&name).filter(|_| !worked.contains(&name) && name.starts_with('/')) {
                    prop_assert_eq!(*before, energy, "{} did nothing", name);
                }
                if REASONS.contains(&&*name) {
                    prop_assert!(energy >= before[&name]);
                }
            }
        }
    }
}
