//! The command line: what it asks for, and the values that it gives.

use super::keys::{Given, Key, Layer, Source};
use super::{Error, file, names};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use collectors::Spec;
use collectors::kit::OptKind;
use std::ffi::OsString;

/// What the command line says.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// The command; empty to serve.
    pub(super) command: String,
    /// The page of `once`.
    pub(super) group: Option<String>,
    /// Whether to push once only.
    pub(super) once: bool,
    /// Whether the help is asked for.
    pub(super) help: bool,
    /// Whether the version is asked for.
    pub(super) version: bool,
    /// The values.
    pub(super) layer: Layer,
    /// What was taken and does not do what one might think.
    pub(super) warnings: Vec<String>,
}

/// What a flag does.
#[derive(Clone, Copy)]
enum Target<'a> {
    Set(&'a Key),
    Unset(&'a Key),
    SetByOldName(&'a Key),
    WithoutEffect(&'static str),
    Refused(&'static str),
    Nothing,
    Group,
    Once,
    Help,
    Version,
}

/// One flag.
struct Flag<'a> {
    word: String,
    /// Given without a value, or with `=true`, `=false`.
    is_switch: bool,
    target: Target<'a>,
}

/// Reads the command line.
pub(super) fn read(specs: &[&'static Spec], keys: &[Key], arguments: &[OsString]) -> Result<Flags, Error> {
    let flags = flags(keys);
    let arguments = expanded(arguments)?;
    let matches = parser(&flags).try_get_matches_from(arguments).map_err(|error| told(specs, &error))?;
    let mut said = Flags { command: matches.get_one("command").cloned().unwrap_or_default(), ..Flags::default() };
    for (flag, value) in in_order(&flags, &matches) {
        apply(&mut said, flag, value)?;
    }
    Ok(said)
}

fn apply(said: &mut Flags, flag: &Flag, value: &str) -> Result<(), Error> {
    let word = format!("--{}", flag.word);
    let mut set = |key: &Key, value: &str| {
        let from = Source::Flag(word.clone());
        let given =
            said.layer.entry(key.name.clone()).or_insert_with(|| Given { words: Vec::new(), from: from.clone() });
        if key.kind != OptKind::List {
            given.words.clear();
        }
        given.words.push(value.to_owned());
        given.from = from;
    };
    match flag.target {
        Target::Set(key) => set(key, value),
        Target::SetByOldName(key) => {
            set(key, value);
            said.warnings.push(format!("{word} is an old name; write --{}", key.name));
        }
        Target::Unset(_) | Target::Nothing if !value.is_empty() => {
            return Err(Error::new(format!("{word}: \"{value}\": expected no value")));
        }
        Target::Unset(key) => set(key, "false"),
        Target::Nothing => {}
        Target::WithoutEffect(why) => said.warnings.push(format!("{word} has no effect: {why}")),
        Target::Refused(why) if !value.is_empty() && value != "false" => {
            return Err(Error::new(format!("{word}: {why}")));
        }
        Target::Refused(_) => {}
        Target::Group => said.group = Some(value.to_owned()),
        Target::Once => said.once = value != "false",
        Target::Help => said.help = true,
        Target::Version => said.version = true,
    }
    Ok(())
}

/// All flags: ours, and those of node_exporter that have no name here.
fn flags(keys: &[Key]) -> Vec<Flag<'_>> {
    let mut flags = Vec::new();
    let mut add = |word: String, is_switch: bool, target| flags.push(Flag { word, is_switch, target });
    let is_key = |word: &str| keys.iter().any(|key| key.name == word);
    for key in keys {
        let is_switch = key.kind == OptKind::Flag;
        add(key.name.clone(), is_switch, Target::Set(key));
        if is_switch {
            add(format!("no-{}", key.name), true, Target::Unset(key));
        }
    }
    for renamed in names::RENAMED.iter().filter(|renamed| !is_key(renamed.word)) {
        if let Some(key) = keys.iter().find(|key| key.name == renamed.key) {
            let is_switch = key.kind == OptKind::Flag;
            let target = if renamed.is_old { Target::SetByOldName(key) } else { Target::Set(key) };
            add(renamed.word.to_owned(), is_switch, target);
            if is_switch {
                add(format!("no-{}", renamed.word), true, Target::Unset(key));
            }
        }
    }
    let mut without_effect = |word: &str, is_switch, why| {
        add(word.to_owned(), is_switch, Target::WithoutEffect(why));
        if is_switch {
            add(format!("no-{word}"), true, Target::WithoutEffect(why));
        }
    };
    for foreign in names::WITHOUT_EFFECT.iter().filter(|foreign| !is_key(foreign.word)) {
        without_effect(foreign.word, foreign.is_switch, foreign.why);
    }
    for (word, is_switch) in names::of_absent(keys) {
        without_effect(&word, is_switch, names::NOTHING_TO_TELL);
    }
    for foreign in names::REFUSED.iter().filter(|foreign| !is_key(foreign.word)) {
        add(foreign.word.to_owned(), foreign.is_switch, Target::Refused(foreign.why));
        if foreign.is_switch {
            add(format!("no-{}", foreign.word), true, Target::Nothing);
        }
    }
    add("group".to_owned(), false, Target::Group);
    add("once".to_owned(), true, Target::Once);
    add("help".to_owned(), true, Target::Help);
    add("help-long".to_owned(), true, Target::Help);
    add("help-man".to_owned(), true, Target::Help);
    add("version".to_owned(), true, Target::Version);
    flags
}

fn parser(flags: &[Flag]) -> Command {
    let arg = |flag: &Flag| {
        let arg = Arg::new(flag.word.clone()).long(flag.word.clone()).action(ArgAction::Append);
        match flag.target {
            Target::Help if flag.word == "help" => switch(arg.short('h'), ""),
            Target::Set(_) | Target::SetByOldName(_) | Target::Refused(_) if flag.is_switch => switch(arg, "true"),
            _ if flag.is_switch => switch(arg, ""),
            _ => arg,
        }
    };
    Command::new("wholenode")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new("command"))
        .args(flags.iter().map(arg))
}

/// Without a value unless one follows an equals sign, so that `--flag once` leaves `once` to be the command.
fn switch(arg: Arg, missing: &'static str) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value(missing)
}

/// The flags that were given, with their values, in the order in which they were given: the last one wins.
fn in_order<'a>(flags: &'a [Flag<'a>], matches: &'a ArgMatches) -> Vec<(&'a Flag<'a>, &'a str)> {
    let mut given = Vec::new();
    for flag in flags {
        let places = matches.indices_of(&flag.word).into_iter().flatten();
        let values = matches.get_many::<String>(&flag.word).into_iter().flatten();
        given.extend(places.zip(values).map(|(place, value)| (place, flag, value.as_str())));
    }
    given.sort_by_key(|(place, ..)| *place);
    given.into_iter().map(|(_, flag, value)| (flag, value)).collect()
}

/// Puts the lines of FILE in the place of `@FILE`: one argument each, none for empty lines and those that begin with `#`.
fn expanded(arguments: &[OsString]) -> Result<Vec<OsString>, Error> {
    let mut all = Vec::new();
    for argument in arguments {
        match argument.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(path) => {
                let text = file::read(path)?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                all.extend(lines.map(OsString::from));
            }
            None => all.push(argument.clone()),
        }
    }
    Ok(all)
}

/// What the parser found wrong, in one line.
fn told(specs: &[&'static Spec], error: &clap::Error) -> Error {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = argument.split(['=', ' ']).next().unwrap_or_default();
    Error::new(match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with("--") => {
            let word = flag.trim_start_matches('-');
            match context(ContextKind::SuggestedArg) {
                Some(near) if !word.contains("collector.") => format!("{flag}: no such flag; did you mean {near}?"),
                _ => format!("{flag}: {}", names::unknown(specs, word)),
            }
        }
        ErrorKind::UnknownArgument => format!("\"{argument}\": expected a flag such as --web.listen-address=:9100"),
        ErrorKind::InvalidValue => format!("{flag}: expected a value: {flag}=…"),
        ErrorKind::InvalidUtf8 => "the command line: expected UTF-8".to_owned(),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}
