//! What the user wrote (flags, file, environment) → one checked [`Config`]. Nothing else reads the environment.
//!
//! `settings` and every collector's row say which words there are; `keys` makes one list of them. `flags`, `environment`
//! and `file` each turn what was written into values by key; `checked` makes the configuration of them. `help` and
//! `reference` tell the same words. `names` knows what node_exporter calls them.

mod checked;
mod environment;
mod file;
mod flags;
mod help;
mod keys;
mod names;
mod otlp;
mod reference;
mod settings;
#[cfg(test)]
mod tests;
mod web;

pub use reference::metrics;
pub use settings::{Level, LogFormat, RequireTls};
pub use web::WebFile;

use crate::export::endpoint::Export;
use crate::serve::Listen;
use crate::sources::Sockets;
use collectors::kit::{Filter, Roots};
use collectors::{Chosen, Group, Spec};
use std::ffi::OsString;
use std::fmt;

/// What the process is to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Serve until it is told to end.
    Serve(Config),
    /// Print one page.
    Once {
        /// What is on it.
        config: Config,
        /// Only this group's page.
        group: Option<Group>,
    },
    /// Push once to all endpoints.
    Push(Config),
    /// Print what each collector finds, and what it misses.
    Check(Config),
    /// Print the reference of all metrics; see [`metrics`].
    Metrics,
    /// Print this text.
    Print(String),
}

/// Everything that can be told to the process, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen; at least one.
    pub listen: Vec<Listen>,
    /// The path of the page with everything; begins with a slash.
    pub telemetry_path: String,
    /// How many pages are made at a time; 0 for no limit.
    pub max_requests: usize,
    /// Whether the process tells about itself.
    pub exporter_metrics: bool,
    /// The file of the web configuration.
    pub web_file: Option<String>,
    /// Where there has to be TLS.
    pub require_tls: RequireTls,
    /// Whether OpenMetrics is served to those who ask for it.
    pub openmetrics: bool,
    /// Which families are served and pushed.
    pub families: Filter,
    /// What is pushed, and where to.
    pub(crate) export: Export,
    /// Where the machine's trees are mounted.
    pub roots: Roots,
    /// A folder of recorded system calls, where the trees are no live machine's.
    pub calls: Option<String>,
    /// The sockets of container runtimes that may be asked.
    pub sockets: Sockets,
    /// What is logged, and how.
    pub log: Log,
    /// The collectors that are on, in the order of the table.
    pub collectors: Vec<Chosen>,
    /// The file that was read.
    pub file: Option<String>,
    /// What was taken and may not do what one thinks: for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// The settings that differ from `running`, and take effect only in a new process.
    pub fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        let changed = [
            ("web.listen-address", self.listen != running.listen),
            ("web.telemetry-path", self.telemetry_path != running.telemetry_path),
            ("web.max-requests", self.max_requests != running.max_requests),
            ("web.config.file", self.web_file != running.web_file),
            ("web.require-tls", self.require_tls != running.require_tls),
            ("web.enable-openmetrics", self.openmetrics != running.openmetrics),
            ("otlp.clock-wait", self.export.clock_wait != running.export.clock_wait),
            ("containers.*", self.sockets != running.sockets),
            ("path.*", self.roots != running.roots || self.calls != running.calls),
            ("log.*", self.log != running.log),
        ];
        changed.into_iter().filter(|(_, differs)| *differs).map(|(word, _)| word).collect()
    }
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least that is logged.
    pub level: Level,
    /// The form of a line.
    pub format: LogFormat,
}

/// Why the process can't start: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    fn new(line: impl Into<String>) -> Self {
        let line = line.into();
        let one = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
        Error(line.chars().map(one).collect())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// What the user wrote. It can be loaded again: files are then read anew.
#[derive(Clone, Debug)]
pub struct Written {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Written {
    /// Arguments (without the program's name) and environment.
    pub fn new(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        Self {
            arguments: arguments.into_iter().collect(),
            environment: environment.into_iter().filter(|(name, _)| environment::is_ours(name)).collect(),
        }
    }

    /// What was written for this process.
    pub fn for_this_process() -> Self {
        Self::new(std::env::args_os().skip(1), std::env::vars_os())
    }

    /// What it means.
    ///
    /// # Errors
    /// One line: which word, where it stands, what was given, what was expected.
    pub fn load(&self) -> Result<Command, Error> {
        self.load_with(collectors::ALL)
    }

    fn load_with(&self, specs: &[&'static Spec]) -> Result<Command, Error> {
        let keys = keys::keys(specs);
        let said = flags::read(specs, &keys, &self.arguments)?;
        let is_once = said.command == "once";
        match said.command.as_str() {
            _ if said.help => return Ok(Command::Print(help::help(specs))),
            _ if said.version => return Ok(Command::Print(version())),
            "help" => return Ok(Command::Print(help::help(specs))),
            "version" => return Ok(Command::Print(version())),
            "metrics" => return Ok(Command::Metrics),
            "options" => return Ok(Command::Print(reference::options(specs))),
            "push" if !said.once => {
                return Err(Error::new("push: expected --once; without a command, wholenode serves and pushes"));
            }
            "" | "serve" | "once" | "push" | "check" => {}
            other => {
                return Err(Error::new(format!(
                    "\"{other}\": expected once, push, check, metrics, options or flags only"
                )));
            }
        }
        if said.once && said.command != "push" {
            return Err(Error::new("--once: expected only with the command push"));
        }
        let group = said.group.map(|name| group(&name, is_once)).transpose()?;
        let (environment, unknown) = environment::read(&keys, &self.environment)?;
        let otlp = otlp::read(&self.environment);
        let mut given = otlp.layer.clone();
        given.extend(environment);
        given.extend(said.layer);
        if let Some(file) = given.get(settings::CONFIG_FILE)
            && let Some(path) = file.words.last().filter(|path| !path.is_empty())
        {
            let text = file::read(path).map_err(|error| Error::new(format!("{}: {error}", file.from)))?;
            let mut all = file::parse(specs, &keys, path, &text)?;
            all.extend(given);
            given = all;
        }
        let warnings = said.warnings.into_iter().chain(unknown).collect();
        let mut config = checked::config(specs, &keys, &given, &otlp, warnings)?;
        config.roots.system_bus = environment::system_bus(&self.environment);
        Ok(match said.command.as_str() {
            "once" => Command::Once { config, group },
            "push" => Command::Push(config),
            "check" => Command::Check(config),
            _ => Command::Serve(config),
        })
    }
}

fn group(name: &str, is_once: bool) -> Result<Group, Error> {
    if !is_once {
        return Err(Error::new("--group: expected only with the command once; a server has a page for each group"));
    }
    let is_called = |group: &&Group| group.name() == name || group.aliases().contains(&name);
    Group::ALL.iter().find(is_called).copied().ok_or_else(|| {
        let names: Vec<&str> = Group::ALL.iter().map(|group| group.name()).collect();
        Error::new(format!("--group: \"{name}\": expected {}", names.join(" or ")))
    })
}

fn version() -> String {
    format!("wholenode {}\n", env!("CARGO_PKG_VERSION"))
}
