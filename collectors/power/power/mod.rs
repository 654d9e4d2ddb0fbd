//! Measured energy of the machine and its parts, and who used it.
//!
//! It keeps its own clock: counters of energy start anew some times an hour, and what was shared out must not depend on who
//! asks how often. Each sample reads the packages' counters and the cgroups' times one right after the other. What was not
//! observed is not counted: all figures start at 0.

mod battery;
mod counter;
mod dtpm;
mod estimate;
mod hwmon;
mod ledger;
mod perf;
mod powercap;
mod processes;
mod rails;
mod shares;
mod source;
#[cfg(test)]
mod tests;
mod tree;

use crate::kit::{Error, Host, Opt, OptKind, Options, Root};
use crate::model::{Batch, Family, Value, counter, gauge};
use crate::{Collector, Group, Pace, Spec};
use counter::Event;
use dtpm::Dtpm;
use estimate::Estimate;
use powercap::Processors;
use processes::Processes;
use shares::{Shares, joules};
use source::{Found, Source};
use std::time::Duration;
use tree::{Platform, Role, WHOLES};

/// The time between two samples. The fastest counters start anew after two minutes.
const PERIOD: Duration = Duration::from_secs(5);
/// How often it is looked for sources that came or went.
const LOOK: Duration = Duration::from_secs(30);
/// How many sources are remembered, those that are gone included.
const SOURCES_MAX: usize = 512;

static ENERGY: Family = counter(
    "node_energy_joules_total",
    "Energy that a part of the machine has used since it was first seen, in joules; parts may lie within each other.",
    LABELS,
);
static POWER: Family =
    gauge("node_power_watts", "Power of a part of the machine over the last sample, in watts.", LABELS);
static HOST_ENERGY: Family = counter(
    "node_host_energy_joules_total",
    "Energy of the whole machine by the widest source that can be trusted, in joules; with the scope components only what is measured of it, which is less.",
    &["source", "scope"],
);
static HOST_POWER: Family = gauge(
    "node_host_power_watts",
    "Power of the whole machine by the widest source that can be trusted, in watts; with the scope components only what is measured of it, which is less.",
    &["source", "scope"],
);
static INFO: Family = gauge(
    "node_power_source_info",
    "Where a source is read, whether it counts energy or its power is summed up (kind), and whether a host made the figure up for this guest; always 1.",
    &["source", "component", "id", "path", "label", "kind", "virtualized"],
);
static UP: Family = gauge(
    "node_power_source_up",
    "1 if the source was read in the last sample, else 0, and why it was not.",
    &["source", "id", "reason"],
);
static EVENTS: Family = counter(
    "node_power_counter_events_total",
    "What happened to a source between two samples; only over a wrap is it known how much was used.",
    &["source", "id", "event"],
);

const LABELS: &[&str; 4] = &["component", "id", "parent", "source"];

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt {
            name: "host-source",
            kind: OptKind::Words(tree::SOURCES),
            default: "auto",
            help: "What is taken for the whole machine: one of these sources, or auto for the widest one that there is.",
        },
        estimate::MIN,
        estimate::MAX,
        dtpm::OPTION,
        processes::OPTION,
    ],
    pace: Pace::Every { period: PERIOD },
    ..Spec::new(
        Group::Power,
        "power",
        "Measured energy of the machine and its parts (RAPL, hwmon, rails of boards, batteries), and its shares by processor time.",
        &[
            &ENERGY,
            &POWER,
            &HOST_ENERGY,
            &HOST_POWER,
            &shares::CONTAINER,
            &shares::UNATTRIBUTED,
            &INFO,
            &UP,
            &EVENTS,
            &estimate::POWER,
            &estimate::ENERGY,
            &estimate::INFO,
            &processes::POWER,
        ],
        open,
    )
};

struct Power {
    wish: Option<String>,
    processors: Processors,
    sources: Vec<Source>,
    /// Why nothing is known of the packages.
    refused: Option<Error>,
    /// The supplies that may feed the machine in place of its batteries.
    mains: Vec<String>,
    /// When sources are looked for again.
    look: Duration,
    platform: Platform,
    /// Of each of [`WHOLES`], what was measured while it was the chosen one.
    wholes: [u64; WHOLES.len()],
    shares: Option<Shares>,
    estimate: Option<Estimate>,
    dtpm: Option<Dtpm>,
    processes: Option<Processes>,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let wish = options.text("host-source").filter(|wish| *wish != "auto").map(str::to_owned);
    let processors = host.read(Root::Proc, "cpuinfo").map(Processors::read).unwrap_or_default();
    Ok(Some(Box::new(Power {
        wish,
        processors,
        sources: Vec::new(),
        refused: None,
        mains: Vec::new(),
        look: Duration::ZERO,
        platform: Platform::default(),
        wholes: [0; WHOLES.len()],
        shares: None,
        estimate: Estimate::open(options)?,
        dtpm: Dtpm::open(options),
        processes: Processes::open(options)?,
    })))
}

impl Collector for Power {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if host.monotonic() >= self.look {
            self.find(host, out);
        }
        if let Some(error) = &self.refused {
            out.fault(error.clone());
        }
        let has_battery = self.sources.iter().any(|source| source.found.role == Role::Battery && !source.is_gone);
        let mains = has_battery && battery::is_fed(&self.mains, host);
        self.sample(|role| role == Role::Package, mains, host, out);
        self.share(host, out);
        // Those that may be slow.
        self.sample(|role| role != Role::Package, mains, host, out);
        if self.sources.iter().any(|source| !source.is_gone && matches!(source.state, "absent" | "gone")) {
            self.look = Duration::ZERO;
        }
        self.put(host, out);
        if let Some(shares) = &mut self.shares {
            shares.put(out);
        }
        if let Some(processes) = &self.processes {
            processes.put(out);
        }
        self.put_whole(out);
        if let Some(estimate) = &mut self.estimate {
            estimate.put(host, out);
        }
        if let Some(dtpm) = &mut self.dtpm {
            dtpm.put(host, out);
        }
        Ok(())
    }
}

impl Power {
    /// Looks for what there is now. What was known goes on where it was.
    fn find(&mut self, host: &mut Host, out: &mut Batch) {
        self.look = host.monotonic() + LOOK;
        let mut found: Vec<Found> = powercap::find(self.processors, host, out);
        self.refused = None;
        if !powercap::is_readable(&found, host) {
            match perf::find(self.processors, host) {
                Ok(counters) if !counters.is_empty() => found = counters,
                // Else it is told of powercap what would permit it.
                Err(error) if found.is_empty() => self.refused = Some(error),
                _ => {}
            }
        }
        let has_packages = found.iter().any(|found| found.role == Role::Package);
        found.extend(hwmon::find(has_packages, host, out));
        let (batteries, mains) = battery::find(host, out);
        found.extend(batteries);
        let rails = rails::find(&found, host, out);
        found.extend(rails);
        rails::know_boards(&mut found);
        self.mains = mains;
        let key = |found: &Found| (found.source, found.id.clone());
        for source in &mut self.sources {
            if !found.iter().any(|found| key(found) == key(&source.found)) {
                source.is_lost();
            }
        }
        for found in found {
            if let Some(source) = self.sources.iter_mut().find(|source| key(&source.found) == key(&found)) {
                source.is_found(found);
            } else if self.sources.len() < SOURCES_MAX {
                self.sources.push(Source::new(found));
            }
        }
    }

    fn sample(&mut self, is_meant: impl Fn(Role) -> bool, mains: bool, host: &mut Host, out: &mut Batch) {
        let meant = self.sources.iter_mut().filter(|source| is_meant(source.found.role));
        meant.for_each(|source| source.sample(mains, host, out));
    }

    /// Shares out what the packages have just counted.
    fn share(&mut self, host: &mut Host, out: &mut Batch) {
        let packages = self.sources.iter().filter(|source| source.found.role == Role::Package);
        let (mut energy, mut is_there) = (0u64, false);
        for source in packages {
            energy = energy.saturating_add(source.added);
            is_there |= source.is_ok();
        }
        if self.shares.is_none() && is_there {
            let shares = Shares::open(host);
            self.shares = out.found(shares).flatten();
        }
        if let Some(shares) = &mut self.shares {
            shares.share(energy, host, out);
            if let Some(processes) = &mut self.processes {
                processes.sample(energy, shares.spread(), host, out);
            }
        }
    }

    fn put(&self, host: &Host, out: &mut Batch) {
        if self.sources.is_empty() {
            let none = out.entity(&["source"], ["none"]);
            return out.put(&INFO, none, true);
        }
        let virtualized = if self.processors.is_virtual { "true" } else { "" };
        for source in &self.sources {
            let Found { component, id, parent, source: from, label, folder, .. } = &source.found;
            if source.is_ok() {
                let of = out.entity(LABELS, [component, id, parent, from]);
                out.put(&ENERGY, of, joules(source.total));
                out.put_some(&POWER, of, source.power.map(|power| Value::Scaled(power, 6)));
            }
            if !source.is_gone {
                let path = format!("{}/{folder}", host.root(Root::Sys));
                let kind = if source.is_integrated() { "integrated" } else { "counter" };
                let virtualized = if from.starts_with("rapl") { virtualized } else { "" };
                let names = &["source", "component", "id", "path", "label", "kind", "virtualized"];
                let of = out.entity(names, [from, component, id, &path, label, kind, virtualized]);
                out.put(&INFO, of, true);
            }
            let of =
                out.entity(&["source", "id", "reason"], [from, id, if source.is_ok() { "" } else { source.state }]);
            out.put(&UP, of, source.is_ok());
            for ((event, name), count) in Event::ALL.into_iter().zip(source.events) {
                // Power that is summed up does not start anew.
                let is_of_counters = matches!(event, Event::Wrap | Event::Reset | Event::Implausible);
                if !(source.is_integrated() && is_of_counters) {
                    let of = out.entity(&["source", "id", "event"], [from, id, name]);
                    out.put(&EVENTS, of, count);
                }
            }
        }
    }

    /// Chooses what is the whole machine, and puts what it has used.
    fn put_whole(&mut self, out: &mut Batch) {
        let sum = |roles: &[Role]| {
            let of = self.sources.iter().filter(|source| roles.contains(&source.found.role));
            of.fold(0u64, |sum, source| sum.saturating_add(source.added))
        };
        let [platform, parts] = [&[Role::Platform][..], &[Role::Package, Role::Memory]].map(sum);
        if platform > 0 || parts > 0 {
            self.platform.add(platform, parts);
        }
        let is_there = |role: Role| self.sources.iter().any(|source| source.is_ok() && source.found.role == role);
        let chosen = tree::choose(self.wish.as_deref(), is_there, self.platform.fits());
        let Some((whole, total)) = chosen.and_then(|at| WHOLES.get(at).zip(self.wholes.get_mut(at))) else { return };
        *total = total.saturating_add(sum(whole.roles));
        let of = out.entity(&["source", "scope"], [whole.source, whole.scope]);
        out.put(&HOST_ENERGY, of, joules(*total));
        let parts = self.sources.iter().filter(|source| source.is_ok() && whole.roles.contains(&source.found.role));
        // A rail without power has not said anything yet, and adds nothing.
        let mut parts = parts.filter(|source| source.power.is_some() || !source.is_integrated()).peekable();
        // Where one part can't be told, their sum can't.
        let sum = |sum: i64, source: &Source| Some(sum.saturating_add(source.power?));
        let power = parts.peek().is_some().then(|| parts.try_fold(0, sum)).flatten();
        out.put_some(&HOST_POWER, of, power.map(|power| Value::Scaled(power, 6)));
    }
}
