//! An estimate of what the machine draws, between what the operator says that it draws idle and busy. It is no measurement,
//! has names of its own, and is in no sum.

use super::shares::joules;
use crate::kit::{Error, Host, KeptFile, Opt, OptKind, Options, parse};
use crate::model::{Batch, Family, Value, counter, gauge};
use std::time::Duration;

const MODEL: &str = "linear";
const VERSION: &str = "1";

pub(super) static POWER: Family = gauge(
    "node_estimated_power_watts",
    "ESTIMATE, not measured: power of the machine, in watts: by the share of time in which its processors were busy (linear), or by the kernel's own model (dtpm).",
    &["model"],
);
pub(super) static ENERGY: Family = counter(
    "node_estimated_energy_joules_total",
    "ESTIMATE, not measured: energy of the machine, in joules: by the share of time in which its processors were busy (linear), or by the kernel's own model (dtpm).",
    &["model"],
);
pub(super) static INFO: Family = gauge(
    "node_estimated_power_info",
    "ESTIMATE, not measured: the model, and the watts that the operator gave linear for a machine that is idle and busy; always 1.",
    &["model", "model_version", "min_watts", "max_watts"],
);

pub(super) const MIN: Opt = Opt {
    name: "estimate-min-watts",
    kind: OptKind::Number,
    default: "",
    help: "What the machine draws when it is idle: with estimate-max-watts, node_estimated_* are shown.",
};
pub(super) const MAX: Opt = Opt {
    name: "estimate-max-watts",
    kind: OptKind::Number,
    default: "",
    help: "What the machine draws when all processors are busy.",
};

/// Time of all processors so far, in ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    busy: u64,
    all: u64,
}

#[derive(Debug)]
pub(super) struct Estimate {
    min: u64,
    max: u64,
    stat: KeptFile,
    last: Option<(Ticks, Duration)>,
    /// In microjoules.
    total: u64,
}

impl Estimate {
    /// `None`: nobody wants one.
    ///
    /// # Errors
    /// What was given can't be.
    pub(super) fn open(options: &Options) -> Result<Option<Self>, Error> {
        let (min, max) = match (options.number(MIN.name), options.number(MAX.name)) {
            (None, None) => return Ok(None),
            (Some(min), Some(max)) if min <= max && max <= 1_000_000 => (min, max),
            _ => {
                let why = "expected both, the first not above the second, and no more than a megawatt".to_owned();
                return Err(Error::Other { path: format!("{} and {}", MIN.name, MAX.name), why });
            }
        };
        Ok(Some(Self { min, max, stat: KeptFile::shared("stat"), last: None, total: 0 }))
    }

    pub(super) fn put(&mut self, host: &mut Host, out: &mut Batch) {
        let ticks = host.read_kept(&mut self.stat).map(ticks);
        let now = host.monotonic();
        let Some(Some(ticks)) = out.ok(ticks) else { return };
        let last = self.last.replace((ticks, now));
        let [min, max] = [self.min, self.max].map(|watts| watts.to_string());
        let names = &["model", "model_version", "min_watts", "max_watts"];
        let info = out.entity(names, [MODEL, VERSION, &min, &max]);
        out.put(&INFO, info, true);
        let of = out.entity(&["model"], [MODEL]);
        if let Some((before, then)) = last
            && let Some(power) = self.power(before, ticks)
        {
            let added = u128::from(power) * now.saturating_sub(then).as_nanos() / 1_000_000_000;
            self.total = self.total.saturating_add(u64::try_from(added).unwrap_or(u64::MAX));
            out.put_some(&POWER, of, i64::try_from(power).ok().map(|power| Value::Scaled(power, 6)));
        }
        out.put(&ENERGY, of, joules(self.total));
    }

    /// In microwatts; `None`: no time has passed, or it ran backwards.
    fn power(&self, before: Ticks, now: Ticks) -> Option<u64> {
        let busy = u128::from(now.busy.saturating_sub(before.busy));
        let all = u128::from(now.all.checked_sub(before.all)?);
        let span = u128::from((self.max - self.min) * 1_000_000);
        let above = (span * busy.min(all)).checked_div(all)?;
        Some(self.min * 1_000_000 + u64::try_from(above).ok()?)
    }
}

/// `cpu  10 20 30 400 50 6 7 8 0 0`: user, nice, system, idle, iowait, irq, softirq, steal; the last two are in the first.
fn ticks(stat: &[u8]) -> Option<Ticks> {
    let line = parse::lines(stat).next()?.strip_prefix(b"cpu ")?;
    let mut ticks = Ticks { busy: 0, all: 0 };
    for (at, word) in parse::words(line).take(8).enumerate() {
        let number = parse::number(word)?;
        ticks.all = ticks.all.checked_add(number)?;
        if !matches!(at, 3 | 4) {
            ticks.busy = ticks.busy.checked_add(number)?;
        }
    }
    Some(ticks)
}

#[cfg(test)]
mod tests {
    use super::super::SPEC;
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn it_is_there_only_for_those_who_ask_for_it() {
        let tree = Tree::new(&[("proc/stat", "cpu  100 0 0 100 0 0 0 0 0 0\n")]);
        tree.check(&SPEC, &[], "node_power_source_info{source=\"none\"} 1\n");
        let mut opened = tree.open(&SPEC, &[("estimate-min-watts", "10"), ("estimate-max-watts", "30")]);
        let first = opened.round();
        assert!(
            !first.contains("watts{model=\"linear\"}")
                && first.contains("node_estimated_energy_joules_total{model=\"linear\"} 0")
        );
        tree.write("proc/stat", "cpu  200 0 0 400 0 0 0 0 0 0\n");
        opened.advance(Duration::from_secs(5));
        let page = opened.round();
        for line in [
            "node_estimated_power_watts{model=\"linear\"} 15\n",
            "node_estimated_energy_joules_total{model=\"linear\"} 75\n",
            "node_estimated_power_info{model=\"linear\",model_version=\"1\",min_watts=\"10\",max_watts=\"30\"} 1\n",
            "node_power_source_info{source=\"none\"} 1\n",
        ] {
            assert!(page.contains(line), "{page}");
        }
        assert!(!page.contains("node_host") && !page.contains("node_energy"), "never in a total: {page}");
    }

    #[test]
    fn half_of_it_is_not_enough() {
        for given in [
            vec![("estimate-min-watts", vec!["9"])],
            vec![("estimate-min-watts", vec!["9"]), ("estimate-max-watts", vec!["8"])],
        ] {
            let given: Vec<_> = given
                .into_iter()
                .map(|(name, words)| (name.to_owned(), words.into_iter().map(str::to_owned).collect()))
                .collect();
            let options = Options::new(SPEC.options, &given).unwrap();
            assert_eq!(Estimate::open(&options).unwrap_err().reason(), "other");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, words in prop::collection::vec(any::<u64>(), 0..12)) {
            ticks(&bytes);
            let words: Vec<String> = words.iter().map(u64::to_string).collect();
            ticks(format!("cpu  {}\n", words.join(" ")).as_bytes());
        }
    }
}
