//! The environment: `WHOLENODE_` and the word in capitals.

use super::Error;
use super::keys::{Given, Key, Layer, PREFIX, Source};
use collectors::kit::OptKind;
use std::collections::HashMap;
use std::ffi::OsString;

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
