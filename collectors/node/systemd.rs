//! systemd, over D-Bus: the states of its units, and what timers, sockets and services count.
//!
//! The list of units is one question, and each property is another one, which systemd's only thread has to answer. What a
//! unit's type is changes only when its file does, so that is asked again after a minute and not with every page.

mod families;

use crate::kit::bus::{Body, Bus, Line, Question, Value};
use crate::kit::{Error, Filter, Host, Opt, OptKind, Options};
use crate::model::{self, Batch, Family};
use crate::{Collector, Group, Pace, Spec};
use families::*;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PATH: &str = "/org/freedesktop/systemd1";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// How long a round may take: systemd answers nobody while it reads all its files again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a unit's type is taken to be what it was.
const TYPE_LASTS: Duration = Duration::from_secs(60);
/// How many names may be remembered beyond twice those of the last round.
const SPARE_NAMES: usize = 256;
/// The states that every unit has a series for.
const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];
/// How many states beyond those are counted; newer versions know some.
const NEW_STATES_MAX: usize = 16;

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt {
            name: "unit-include",
            kind: OptKind::Regex,
            default: ".+",
            help: "Units to report, by their whole name; unit-exclude counts too.",
        },
        Opt {
            name: "unit-exclude",
            kind: OptKind::Regex,
            default: r".+\.(automount|device|mount|scope|slice)",
            help: "Units to leave out, by their whole name.",
        },
        flag("enable-task-metrics", "Report how many tasks services have, and may have."),
        flag("enable-restarts-metrics", "Report how often services were restarted."),
        flag("enable-start-time-metrics", "Report when units became active."),
        flag("private", "Ask over systemd's own socket only, which takes root, and never over the system bus."),
    ],
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "systemd",
        "States of systemd's units, over D-Bus.",
        &[
            &UNIT_STATE,
            &UNITS,
            &RUNNING,
            &VERSION,
            &VIRTUALIZATION,
            &START,
            &TASKS,
            &TASKS_MAX,
            &RESTARTS,
            &TRIGGER,
            &ACCEPTED,
            &CONNECTIONS,
            &REFUSED,
        ],
        open,
    )
};

const fn flag(name: &'static str, help: &'static str) -> Opt {
    Opt { name, kind: OptKind::Flag, default: "false", help }
}

struct Systemd {
    chosen: Filter,
    is_private: bool,
    wants_tasks: bool,
    wants_restarts: bool,
    wants_starts: bool,
    known: HashMap<String, Known>,
}

/// What is remembered of a name.
struct Known {
    /// Its object, if the unit is chosen.
    path: Option<Arc<str>>,
    /// The unit's type, and when it was asked for.
    kind: Option<(Duration, String)>,
}

/// A row of the list of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit<'a> {
    name: &'a str,
    is_loaded: bool,
    state: &'a str,
}

/// A unit that is reported.
struct Chosen<'a> {
    name: &'a str,
    state: &'a str,
    path: Arc<str>,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let is_private = options.flag("private");
    if !host.has_line(Line::Systemd) && (is_private || !host.has_line(Line::System)) {
        return Ok(None);
    }
    Ok(Some(Box::new(Systemd {
        chosen: options.whole_filter("unit-include", "unit-exclude"),
        is_private,
        wants_tasks: options.flag("enable-task-metrics"),
        wants_restarts: options.flag("enable-restarts-metrics"),
        wants_starts: options.flag("enable-start-time-metrics"),
        known: HashMap::new(),
    })))
}

impl Collector for Systemd {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let mut bus = self.dial(host)?;
        let list = bus.ask(&Question::method(SERVICE, PATH, MANAGER, "ListUnits"))?;
        let all = list.body().and_then(units).ok_or_else(|| Error::malformed("ListUnits", 0, "rows of units"))?;
        manager(&mut bus, out)?;
        put_summary(&all, out);
        let loaded = all.iter().filter(|unit| unit.is_loaded);
        let chosen: Vec<Chosen<'_>> = loaded.filter_map(|unit| self.choose(unit)).collect();
        self.ask_types(&mut bus, &chosen, host.monotonic(), out)?;
        for unit in &chosen {
            let kind = self.known.get(unit.name).and_then(|known| known.kind.as_ref()).map_or("", |(_, kind)| kind);
            for state in STATES {
                let of = out.entity(&["name", "state", "type"], [unit.name, state, kind]);
                out.put(&UNIT_STATE, of, state == unit.state);
            }
        }
        self.ask_figures(&mut bus, &chosen, out)?;
        if self.known.len() > 2 * all.len() + SPARE_NAMES {
            self.known = HashMap::new();
        }
        Ok(())
    }
}

impl Systemd {
    /// Over the bus if there is one. At its own socket, systemd makes all its objects anew for everybody who connects, which
    /// costs it four times as much as to answer.
    fn dial(&self, host: &Host) -> Result<Bus, Error> {
        if self.is_private {
            return host.dial(Line::Systemd, PATIENCE);
        }
        match host.dial(Line::System, PATIENCE) {
            Err(error) if error.reason() != "stuck" && host.machine().roots.system_bus.is_none() => {
                // What was refused tells more than what is not there.
                host.dial(Line::Systemd, PATIENCE).map_err(|own| if error.is_absent() { own } else { error })
            }
            done => done,
        }
    }

    fn choose<'a>(&mut self, unit: &Unit<'a>) -> Option<Chosen<'a>> {
        let name = unit.name;
        let path = match self.known.get(name) {
            Some(known) => known.path.clone(),
            None => {
                let path = self.chosen.keeps(name).then(|| Arc::from(path(name)));
                self.known.insert(name.to_owned(), Known { path: path.clone(), kind: None });
                path
            }
        };
        Some(Chosen { name, state: unit.state, path: path? })
    }

    /// Asks for the types of services and mounts that are not known, or not any more.
    fn ask_types(&mut self, bus: &mut Bus, chosen: &[Chosen<'_>], now: Duration, out: &mut Batch) -> Result<(), Error> {
        let is_old = |known: &Known| known.kind.as_ref().is_none_or(|(asked, _)| *asked + TYPE_LASTS <= now);
        let typed = chosen.iter().filter_map(|unit| {
            let interface = match unit.name.rsplit('.').next() {
                Some("service") => "org.freedesktop.systemd1.Service",
                Some("mount") => "org.freedesktop.systemd1.Mount",
                _ => return None,
            };
            self.known.get(unit.name).is_none_or(is_old).then_some((unit, interface))
        });
        let typed: Vec<_> = typed.collect();
        let questions =
            typed.iter().map(|(unit, interface)| Question::property(SERVICE, &unit.path, interface, "Type"));
        bus.ask_all(questions, |number, value| {
            let known = typed.get(number).and_then(|(unit, _)| self.known.get_mut(unit.name));
            match (known, present(value, out)) {
                (Some(known), Some(Value::Text(kind))) => known.kind = Some((now, kind.to_owned())),
                (Some(known), _) => known.kind = None,
                (None, _) => {}
            }
        })
    }

    /// Asks for what is counted of each unit.
    fn ask_figures(&self, bus: &mut Bus, chosen: &[Chosen<'_>], out: &mut Batch) -> Result<(), Error> {
        let mut asked: Vec<(&Chosen<'_>, &Figure)> = Vec::new();
        for unit in chosen {
            if self.wants_starts && unit.state != "active" {
                let of = out.entity(NAME, [unit.name]);
                out.put(&START, of, 0u64);
            }
            asked.extend(FIGURES.iter().filter(|figure| self.wants(figure, unit)).map(|figure| (unit, figure)));
        }
        let questions = asked
            .iter()
            .map(|(unit, figure)| Question::property(SERVICE, &unit.path, figure.interface, figure.property));
        bus.ask_all(questions, |number, value| {
            let (Some((unit, figure)), Some(value)) = (asked.get(number), present(value, out)) else { return };
            let value = match value {
                Value::Number(number) => model::Value::from(number),
                // Without a limit, and where nobody counts.
                Value::Long(u64::MAX) => return,
                Value::Long(number) if figure.is_time => {
                    model::Value::Scaled(i64::try_from(number).unwrap_or(i64::MAX), 6)
                }
                Value::Long(number) => model::Value::from(number),
                _ => return out.fault(Error::malformed(figure.property, 0, "a number")),
            };
            let of = out.entity(NAME, [unit.name]);
            out.put(figure.family, of, value);
        })
    }

    fn wants(&self, figure: &Figure, unit: &Chosen<'_>) -> bool {
        let is_wanted = match figure.wanted {
            Wanted::Always => true,
            Wanted::Tasks => self.wants_tasks,
            Wanted::Restarts => self.wants_restarts,
            Wanted::Starts => self.wants_starts && unit.state == "active",
        };
        is_wanted && unit.name.ends_with(figure.suffix)
    }
}

/// A property that is a series of its own.
struct Figure {
    family: &'static Family,
    /// How the names of the units end that have it.
    suffix: &'static str,
    interface: &'static str,
    property: &'static str,
    wanted: Wanted,
    /// In microseconds.
    is_time: bool,
}

#[derive(Clone, Copy)]
enum Wanted {
    Always,
    Tasks,
    Restarts,
    Starts,
}

const fn figure(
    family: &'static Family,
    suffix: &'static str,
    interface: &'static str,
    property: &'static str,
    wanted: Wanted,
) -> Figure {
    Figure { family, suffix, interface, property, wanted, is_time: false }
}

static FIGURES: [Figure; 8] = [
    Figure { is_time: true, ..figure(&START, "", UNIT, "ActiveEnterTimestamp", Wanted::Starts) },
    figure(&RESTARTS, ".service", "org.freedesktop.systemd1.Service", "NRestarts", Wanted::Restarts),
    figure(&TASKS, ".service", "org.freedesktop.systemd1.Service", "TasksCurrent", Wanted::Tasks),
    figure(&TASKS_MAX, ".service", "org.freedesktop.systemd1.Service", "TasksMax", Wanted::Tasks),
    Figure {
        is_time: true,
        ..figure(&TRIGGER, ".timer", "org.freedesktop.systemd1.Timer", "LastTriggerUSec", Wanted::Always)
    },
    figure(&ACCEPTED, ".socket", "org.freedesktop.systemd1.Socket", "NAccepted", Wanted::Always),
    figure(&CONNECTIONS, ".socket", "org.freedesktop.systemd1.Socket", "NConnections", Wanted::Always),
    figure(&REFUSED, ".socket", "org.freedesktop.systemd1.Socket", "NRefused", Wanted::Always),
];

/// The value, if there is one. Units go while they are asked, and older versions know fewer properties: that is no fault.
fn present<'a>(value: Result<Value<'a>, Error>, out: &mut Batch) -> Option<Value<'a>> {
    match value {
        Ok(value) => Some(value),
        Err(error) if error.is_nothing() => None,
        Err(error) => {
            out.fault(error);
            None
        }
    }
}

/// What systemd says of itself.
fn manager(bus: &mut Bus, out: &mut Batch) -> Result<(), Error> {
    let names = ["Version", "Virtualization", "SystemState"];
    let questions = names.iter().map(|name| Question::property(SERVICE, PATH, MANAGER, name));
    bus.ask_all(questions, |number, value| {
        let machine = out.machine();
        match (number, present(value, out)) {
            (0, Some(Value::Text(text))) => {
                if let Some(version) = version(text) {
                    let of = out.entity(&["version"], [text]);
                    out.put(&VERSION, of, version);
                }
            }
            (1, Some(Value::Text(kind))) => {
                let of = out.entity(&["virtualization_type"], [if kind.is_empty() { "none" } else { kind }]);
                out.put(&VIRTUALIZATION, of, true);
            }
            (1, _) => {
                let of = out.entity(&["virtualization_type"], ["unknown"]);
                out.put(&VIRTUALIZATION, of, true);
            }
            // Before version 212 there is none.
            (2, Some(Value::Text(state))) => out.put(&RUNNING, machine, state == "running"),
            _ => {}
        }
    })
}

/// Counts all units, those that are not loaded included.
fn put_summary(units: &[Unit<'_>], out: &mut Batch) {
    let mut counts: Vec<(&str, u64)> = STATES.iter().map(|state| (*state, 0)).collect();
    for unit in units {
        match counts.iter().position(|(state, _)| *state == unit.state) {
            Some(at) => counts[at].1 += 1,
            None if counts.len() < STATES.len() + NEW_STATES_MAX => counts.push((unit.state, 1)),
            None => {}
        }
    }
    for (state, count) in counts {
        let of = out.entity(STATE, [state]);
        out.put(&UNITS, of, count);
    }
}

/// Rows of `(name, description, load state, active state, sub state, followed, path, job, type of job, path of job)`.
fn units(body: Body<'_>) -> Option<Vec<Unit<'_>>> {
    let mut units = Vec::new();
    body.rows("a(ssssssouso)", |row| {
        let (name, _, load, state) = (row.text()?, row.text()?, row.text()?, row.text()?);
        let _ = (row.text()?, row.text()?, row.text()?, row.number()?, row.text()?, row.text()?);
        units.push(Unit { name, is_loaded: load == "loaded", state });
        Some(())
    })?;
    Some(units)
}

/// The object of the unit `a-1.service`: `/org/freedesktop/systemd1/unit/a_2d1_2eservice`. It is made from the name as
/// systemd does it, and not taken from the list: a path that is none would cost us the connection.
fn path(name: &str) -> String {
    let mut path = "/org/freedesktop/systemd1/unit/".to_owned();
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'0'..=b'9' if at > 0 => path.push(char::from(byte)),
            b'a'..=b'z' | b'A'..=b'Z' => path.push(char::from(byte)),
            // Writing to a string can't fail.
            _ => drop(write!(path, "_{byte:02x}")),
        }
    }
    path
}

/// `252.38-1~deb12u1`: the first number of three digits and more, with what follows behind a dot.
fn version(text: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut at = 0;
    loop {
        at += text.get(at..)?.find(|c: char| c.is_ascii_digit())?;
        let whole = digits(&text[at..]);
        if whole >= 3 {
            let below = text[at + whole..].strip_prefix('.').map_or(0, digits);
            let end = at + whole + if below > 0 { 1 + below } else { 0 };
            return text[at..end].parse().ok();
        }
        at += whole;
    }
}

#[cfg(test)]
mod tests;
