//! The environment: `WHOLENODE_` and the word in capitals.

use super::keys::{Given, Key, Layer, PREFIX, Source};
use super::{Error, otlp};
use collectors::kit::OptKind;
use std::collections::HashMap;
use std::ffi::OsString;

/// Where the system bus is, by the specification of D-Bus. The other variables that are not of our own are those of pushing.
const SYSTEM_BUS: &str = "DBUS_SYSTEM_BUS_ADDRESS";

/// Whether we read this variable.
pub(super) fn is_ours(name: &OsString) -> bool {
    name == SYSTEM_BUS || otlp::is_ours(name) || name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// The address of the system bus.
pub(super) fn system_bus(environment: &[(OsString, OsString)]) -> Option<String> {
    let (_, address) = environment.iter().find(|(name, address)| name == SYSTEM_BUS && !address.is_empty())?;
    Some(address.to_string_lossy().into_owned())
}

/// The values that the environment gives, and a warning about variables that belong to no setting.
///
/// Those are no error: Kubernetes gives every pod variables named after its services, such as `WHOLENODE_PORT`.
pub(super) fn read(keys: &[Key], environment: &[(OsString, OsString)]) -> Result<(Layer, Option<String>), Error> {
    let variables: HashMap<String, &Key> = keys.iter().map(|key| (key.variable(), key)).collect();
    let mut layer = Layer::new();
    let mut unknown = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Some(key) = variables.get(name) else {
            unknown.push(name);
            continue;
        };
        let value = value.to_str().ok_or_else(|| Error::new(format!("{name}: expected UTF-8")))?;
        let words = match key.kind {
            OptKind::List => value.split(',').map(|word| word.trim().to_owned()).collect(),
            _ => vec![value.to_owned()],
        };
        layer.insert(key.name.clone(), Given { words, from: Source::Variable(name.to_owned()) });
    }
    unknown.sort_unstable();
    let warning = format!("environment variables that belong to no setting: {}", unknown.join(", "));
    Ok((layer, (!unknown.is_empty()).then_some(warning)))
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Written};

    #[test]
    fn where_the_system_bus_is_stands_in_the_variable_of_d_bus() {
        let of = |address: &str| {
            let environment = [("DBUS_SYSTEM_BUS_ADDRESS", address), ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/y")];
            let environment = environment.map(|(name, value)| (name.into(), value.into()));
            match Written::new([], environment).load() {
                Ok(Command::Serve(config)) if config.warnings.is_empty() => config.roots.system_bus,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((of("unix:path=/x"), of("")), (Some("unix:path=/x".to_owned()), None));
    }
}
