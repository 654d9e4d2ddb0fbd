//! What was given → one checked configuration.

use super::keys::{Given, Key, Layer, Meaning, Source, option, switch};
use super::settings::{CONFIG_FILE, DISABLE_DEFAULTS, Level, LogFormat, RequireTls, SETTINGS, WEB_FILE};
use super::{Chosen, Config, Error, Log, names, otlp};
use crate::serve::Listen;
use crate::sources::Sockets;
use collectors::Spec;
use collectors::kit::{Opt, OptKind, Options, Roots};
use std::str::FromStr;

/// Checks everything that was given.
pub(super) fn config(
    specs: &[&'static Spec],
    keys: &[Key],
    given: &Layer,
    environment: &otlp::Environment,
    mut warnings: Vec<String>,
) -> Result<Config, Error> {
    let process = Process { options: options("", SETTINGS, given)?, given };
    refuse_absent(keys, given)?;
    let sysfs = process.text("path.sysfs")?;
    let below_sysfs = format!("{}/fs/cgroup", sysfs.trim_end_matches('/'));
    let max_requests = process.options.number("web.max-requests").and_then(|number| usize::try_from(number).ok());
    warnings.extend(otlp::warnings(environment, given));
    let rootfs = process.text("path.rootfs")?;
    let optional = |name| process.options.text(name).map(str::to_owned);
    Ok(Config {
        listen: process.listen()?,
        telemetry_path: process.word("web.telemetry-path", "a path such as /metrics", telemetry_path)?,
        max_requests: max_requests.ok_or_else(|| process.fail("web.max-requests", "a smaller number"))?,
        exporter_metrics: !process.options.flag("web.disable-exporter-metrics"),
        web_file: optional(WEB_FILE).filter(|path| !path.is_empty()),
        require_tls: process.word("web.require-tls", "never, public or always", RequireTls::of)?,
        openmetrics: process.options.flag("web.enable-openmetrics"),
        families: process.options.filter("metrics.include", "metrics.exclude"),
        export: otlp::export(given, environment, &rootfs)?,
        roots: Roots {
            proc: process.text("path.procfs")?,
            sys: sysfs,
            rootfs,
            udev: process.text("path.udev.data")?,
            cgroup: optional("path.cgroupfs").unwrap_or(below_sysfs),
            system_bus: None,
        },
        calls: optional("path.calls"),
        sockets: Sockets {
            cri: process.parsed("containers.cri-socket")?,
            docker: process.parsed("containers.docker-socket")?,
        },
        log: Log {
            level: process.word("log.level", "debug, info, warn or error", Level::of)?,
            format: process.word("log.format", "logfmt or json", LogFormat::of)?,
        },
        collectors: chosen(specs, given, !process.options.flag(DISABLE_DEFAULTS))?,
        file: optional(CONFIG_FILE),
        warnings,
    })
}

/// The settings of the process.
struct Process<'a> {
    options: Options,
    given: &'a Layer,
}

impl Process<'_> {
    fn text(&self, name: &str) -> Result<String, Error> {
        self.word(name, "a path", |text| Some(text.to_owned()))
    }

    fn word<T>(&self, name: &str, expected: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
        self.options.text(name).and_then(of).ok_or_else(|| self.fail(name, expected))
    }

    fn listen(&self) -> Result<Vec<Listen>, Error> {
        let name = "web.listen-address";
        let words = self.options.list(name);
        if words.is_empty() {
            return Err(self.fail(name, ":PORT, ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH"));
        }
        self.parsed(name)
    }

    fn parsed<T: FromStr<Err = String>>(&self, name: &str) -> Result<Vec<T>, Error> {
        let parse = |word: &String| word.parse().map_err(|why: String| error(self.given, name, &why));
        self.options.list(name).iter().map(parse).collect()
    }

    fn fail(&self, name: &str, expected: &str) -> Error {
        let word = self.options.text(name).unwrap_or_default();
        error(self.given, name, &format!("\"{word}\": expected {expected}"))
    }
}

fn telemetry_path(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>');
    (text.starts_with('/') && text.chars().all(fits)).then(|| text.to_owned())
}

/// An error about a key, with the place where it was given.
pub(super) fn error(given: &Layer, key: &str, why: &str) -> Error {
    let place = given.get(key).map_or_else(|| key.to_owned(), |given| given.from.of(key));
    Error::new(format!("{place}: {why}"))
}

/// Checks the keys that begin with `prefix` against their rows.
pub(super) fn options(prefix: &str, rows: &'static [Opt], given: &Layer) -> Result<Options, Error> {
    let words = |row: &Opt| {
        let given = given.get(&format!("{prefix}{}", row.name))?;
        Some((row.name.to_owned(), given.words.clone()))
    };
    let own: Vec<_> = rows.iter().filter_map(words).collect();
    Options::new(rows, &own).map_err(|line| {
        let (name, why) = line.split_once(": ").unwrap_or(("", &line));
        let contrary = rows.iter().find(|row| row.name == name).and_then(|row| match row.kind {
            // Two that contradict each other may stand in two places.
            OptKind::Instead(other) if why.contains("not both") => given.get(&format!("{prefix}{other}")),
            _ => None,
        });
        let also = contrary.map(|Given { from, .. }| match from {
            Source::Flag(_) => format!("; the flag {from} gives the other"),
            Source::Variable(_) => format!("; the variable {from} gives the other"),
            Source::Line(..) => format!("; {from} gives the other"),
        });
        error(given, &format!("{prefix}{name}"), &format!("{why}{}", also.unwrap_or_default()))
    })
}

/// The collectors that are on.
fn chosen(specs: &[&'static Spec], given: &Layer, defaults: bool) -> Result<Vec<Chosen>, Error> {
    let mut all = Vec::new();
    for spec in specs {
        // Those that are off are checked too: a wrong word is wrong before it is needed.
        let options = options(&option(spec, ""), spec.options, given)?;
        if is_on(given, &switch(spec.name))?.unwrap_or(spec.default && defaults) {
            all.push(Chosen { spec, options });
        }
    }
    Ok(all)
}

fn refuse_absent(keys: &[Key], given: &Layer) -> Result<(), Error> {
    for key in keys.iter().filter(|key| key.meaning == Meaning::Absent) {
        if is_on(given, &key.name)? == Some(true) {
            let name = key.name.rsplit('.').next().unwrap_or_default();
            return Err(error(given, &key.name, &names::not_here(name)));
        }
    }
    Ok(())
}

/// What was said about a switch.
fn is_on(given: &Layer, key: &str) -> Result<Option<bool>, Error> {
    let Some(word) = given.get(key).and_then(|given| given.words.last()) else { return Ok(None) };
    match word.as_str() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        word => Err(error(given, key, &format!("\"{word}\": expected true or false"))),
    }
}
