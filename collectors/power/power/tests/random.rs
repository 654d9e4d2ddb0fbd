//! Scripts of chance: zones that wrap, are set back, come, go and fail.

use super::*;
use proptest::prelude::*;

/// What a script does to a zone in an interval.
#[derive(Clone, Debug)]
enum Play {
    /// It draws so many milliwatts.
    Draws(u64),
    /// It is set back to 0.
    SetBack,
    Vanishes,
    /// It can't be read.
    Fails,
}

/// A zone of the script: where its counter is, and whether it is there.
struct Played {
    folder: &'static str,
    name: &'static str,
    range: u64,
    energy: u64,
    is_there: bool,
}

impl Played {
    fn play(&mut self, play: &Play, seconds: u64, tree: &Tree) {
        if !self.is_there {
            zone(tree, self.folder, self.name, self.energy, self.range);
            self.is_there = true;
        }
        match play {
            Play::Draws(milliwatts) => {
                self.energy = (self.energy + milliwatts * 1000 * seconds) % self.range;
                set(tree, self.folder, self.energy);
            }
            Play::SetBack => {
                self.energy = 0;
                set(tree, self.folder, 0);
            }
            Play::Vanishes => {
                tree.remove(&format!("{RAPL}/{}", self.folder));
                (self.is_there, self.energy) = (false, 0);
            }
            Play::Fails => tree.write(&format!("{RAPL}/{}/energy_uj", self.folder), ""),
        }
    }
}

/// All counters on a page, in microjoules.
fn counters(page: &str) -> std::collections::BTreeMap<String, i64> {
    let lines = page.lines().filter(|line| line.contains("_total{"));
    let counters = lines.filter_map(|line| line.rsplit_once(' '));
    counters
        .map(|(series, figure)| (series.to_owned(), (figure.parse::<f64>().unwrap() * 1e6).round() as i64))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Packages and memory that wrap, are set back, come, go and fail, while services work: no counter runs backwards, none
    /// adds more than was drawn, and the shares of each interval add up to what the packages are said to have used in it.
    #[test]
    fn whatever_happens_to_counters_the_shares_are_exact(
        starts in (0..PACKAGE, 0..DRAM, 0..PACKAGE),
        intervals in prop::collection::vec(
            (
                1u64..12,
                prop::collection::vec(
                    prop_oneof![8 => (1_000u64..300_000).prop_map(Play::Draws), 1 => Just(Play::SetBack), 1 => Just(Play::Vanishes), 1 => Just(Play::Fails)],
                    3,
                ),
                prop::collection::vec(0u64..20_000_000, 2),
            ),
            1..25,
        ),
    ) {
        let tree = Tree::new(&[("cgroup/cgroup.controllers", "cpu\n"), ("sys/devices/system/cpu/online", "0-3\n")]);
        let played = |folder, name, range, energy| Played { folder, name, range, energy, is_there: false };
        let mut zones = [
            played("intel-rapl:0", "package-0", PACKAGE, starts.0),
            played("intel-rapl:0:0", "dram", DRAM, starts.1),
            played("intel-rapl:1", "package-1", PACKAGE, starts.2),
        ];
        // One after the other: the folder of the memory is not in its package's here.
        zones.iter_mut().for_each(|zone| zone.play(&Play::Draws(0), 0, &tree));
        let mut used = [0u64; 3];
        let work = |used: &[u64; 3]| {
            for (path, usec) in ["", "/a.service", "/b.service"].iter().zip(used) {
                tree.write(&format!("cgroup/system.slice{path}/cpu.stat"), &format!("usage_usec {usec}\n"));
            }
        };
        work(&used);
        let mut opened = tree.open(&SPEC, &[]);
        let mut known = counters(&opened.round());
        prop_assert!(known.values().all(|figure| *figure == 0), "what was not observed is not counted");
        let mut measured = 0;
        for (seconds, plays, worked) in intervals {
            zones.iter_mut().zip(&plays).for_each(|(zone, play)| zone.play(play, seconds, &tree));
            used = [used[0] + worked[0] + worked[1], used[1] + worked[0], used[2] + worked[1]];
            work(&used);
            let now = counters(&after(&mut opened, seconds));
            let mut grown = 0;
            for (series, figure) in &now {
                let before = known.insert(series.clone(), *figure).unwrap_or(0);
                prop_assert!(*figure >= before, "{} ran backwards", series);
                if series.starts_with("node_energy_joules_total{component=\"package\"") {
                    grown += figure - before;
                }
            }
            measured += grown;
            let is_share = |series: &&String| series.starts_with("container_energy") || series.starts_with("node_energy_unattributed");
            let shared: i64 = known.keys().filter(is_share).map(|series| known[series]).sum();
            prop_assert_eq!(shared, measured);
            // Two packages of at most 300 W, some of it drawn while they could not be read.
            prop_assert!(grown <= 2 * 300_000_000 * 12 * 25);
        }
    }
}
