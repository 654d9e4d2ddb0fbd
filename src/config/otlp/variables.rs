//! The variables of OpenTelemetry's specification, as values of our own settings.
//!
//! Names and words are those of `opentelemetry-otlp`, where it has them whatever it is built with. It does not read the
//! variables of certificates, and it and the SDK read the environment of the process only, percent signs and all: so they
//! are read here. What is empty counts as not set, and what can't be understood is told and left out, as the
//! specification wants it.

use super::super::keys::{Given, Layer, Source};
use super::pairs;
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_INSECURE, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_GRPC,
    OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF, OTEL_EXPORTER_OTLP_TIMEOUT,
};
use std::ffi::OsString;

/// The base of all signals' addresses, of which ours is a path below.
pub(super) const BASE: &str = OTEL_EXPORTER_OTLP_ENDPOINT;
/// The address of metrics, as it is.
pub(super) const ADDRESS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_METRICS_EXPORTER";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
/// Where Kubernetes' downward API puts the node's name, by convention.
const NODE: [&str; 2] = ["K8S_NODE_NAME", "NODE_NAME"];
/// What says which proxy to take, in the order in which they count.
const PROXY: [&str; 8] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];

/// How a variable is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// As the setting is.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number of milliseconds.
    Millis,
    /// `name=value,name=value`, with percent signs for what is not plain.
    Pairs,
    /// `true`, in any case; all else is false.
    Truth,
}

/// A variable and the setting that it gives a value to.
struct Variable {
    name: &'static str,
    key: &'static str,
    form: Form,
}

const fn variable(name: &'static str, key: &'static str, form: Form) -> Variable {
    Variable { name, key, form }
}

const PROTOCOLS: Form = Form::Word(&[OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF, OTEL_EXPORTER_OTLP_PROTOCOL_GRPC]);
const COMPRESSIONS: Form = Form::Word(&["gzip", "none"]);

/// A later one counts before an earlier one.
static VARIABLES: &[Variable] = &[
    variable(OTEL_EXPORTER_OTLP_ENDPOINT, "otlp.endpoint", Form::Text),
    variable(ADDRESS, "otlp.endpoint", Form::Text),
    variable(OTEL_EXPORTER_OTLP_PROTOCOL, "otlp.protocol", PROTOCOLS),
    variable("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "otlp.protocol", PROTOCOLS),
    variable("OTEL_METRIC_EXPORT_INTERVAL", "otlp.interval", Form::Millis),
    variable("OTEL_METRIC_EXPORT_TIMEOUT", "otlp.timeout", Form::Millis),
    variable(OTEL_EXPORTER_OTLP_TIMEOUT, "otlp.timeout", Form::Millis),
    variable("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "otlp.timeout", Form::Millis),
    variable(OTEL_EXPORTER_OTLP_HEADERS, "otlp.headers", Form::Pairs),
    variable("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "otlp.headers", Form::Pairs),
    variable(OTEL_EXPORTER_OTLP_COMPRESSION, "otlp.compression", COMPRESSIONS),
    variable("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "otlp.compression", COMPRESSIONS),
    variable(OTEL_EXPORTER_OTLP_INSECURE, "otlp.insecure", Form::Truth),
    variable("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "otlp.insecure", Form::Truth),
    variable("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp.ca-file", Form::Text),
    variable("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "otlp.ca-file", Form::Text),
    variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "otlp.cert-file", Form::Text),
    variable("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "otlp.cert-file", Form::Text),
    variable("OTEL_EXPORTER_OTLP_CLIENT_KEY", "otlp.key-file", Form::Text),
    variable("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "otlp.key-file", Form::Text),
    variable("OTEL_SERVICE_NAME", "otlp.service-name", Form::Text),
    variable("OTEL_RESOURCE_ATTRIBUTES", "otlp.resource-attributes", Form::Pairs),
];

/// What the environment says of pushing.
#[derive(Debug, Default)]
pub(in crate::config) struct Environment {
    /// Values of settings.
    pub(in crate::config) layer: Layer,
    /// What was left out, and why.
    pub(in crate::config) warnings: Vec<String>,
    /// The variable that turns pushing off.
    pub(in crate::config) disabled: Option<&'static str>,
    /// The node's name in Kubernetes.
    pub(in crate::config) node: Option<String>,
    /// The variables of proxies that are set.
    pub(in crate::config) proxies: Vec<(&'static str, String)>,
}

/// Whether we read this variable.
pub(in crate::config) fn is_ours(name: &OsString) -> bool {
    let singles = [DISABLED, EXPORTER, TEMPORALITY];
    let names = VARIABLES.iter().map(|variable| variable.name).chain(singles).chain(NODE).chain(PROXY);
    names.into_iter().any(|ours| name == ours)
}

/// Reads the variables.
pub(in crate::config) fn read(environment: &[(OsString, OsString)]) -> Environment {
    let mut said = Environment::default();
    for variable in VARIABLES {
        let Some(text) = value(environment, variable.name) else { continue };
        match words(variable.form, &text) {
            Ok(words) => {
                let from = Source::Variable(variable.name.to_owned());
                said.layer.insert(variable.key.to_owned(), Given { words, from });
            }
            Err(why) => said.warnings.push(format!("{}: {why}; it has no effect", variable.name)),
        }
    }
    let is = |name: &str, word: &str| value(environment, name).is_some_and(|text| text.eq_ignore_ascii_case(word));
    said.disabled =
        [(DISABLED, "true"), (EXPORTER, "none")].into_iter().find(|(name, word)| is(name, word)).map(|(name, _)| name);
    if let Some(word) = value(environment, TEMPORALITY).filter(|word| !word.eq_ignore_ascii_case("cumulative")) {
        said.warnings
            .push(format!("{TEMPORALITY}: \"{word}\": expected cumulative, which is all there is; it has no effect"));
    }
    said.node = NODE.iter().find_map(|name| value(environment, name));
    said.proxies = PROXY.iter().filter_map(|name| Some((*name, value(environment, name)?))).collect();
    said
}

fn value(environment: &[(OsString, OsString)], name: &str) -> Option<String> {
    let (_, value) = environment.iter().find(|(found, _)| found == name)?;
    let value = value.to_string_lossy();
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn words(form: Form, text: &str) -> Result<Vec<String>, String> {
    let one = |word: &str| Ok(vec![word.to_owned()]);
    match form {
        Form::Text => one(text),
        Form::Word(known) => match known.iter().find(|word| text.eq_ignore_ascii_case(word)) {
            Some(word) => one(word),
            None => Err(format!("\"{text}\": expected {}", known.join(" or "))),
        },
        Form::Millis => match text.parse::<u32>() {
            Ok(millis) if millis > 0 => one(&format!("{millis}ms")),
            _ => Err(format!("\"{text}\": expected a whole number of milliseconds")),
        },
        Form::Pairs => pairs::decoded(text),
        Form::Truth if text.eq_ignore_ascii_case("true") => one("true"),
        Form::Truth if text.eq_ignore_ascii_case("false") => one("false"),
        Form::Truth => Err(format!("\"{text}\": expected true or false")),
    }
}

/// The variables and their settings, for the reference.
pub(in crate::config) fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    VARIABLES.iter().map(|variable| {
        let written = match variable.form {
            _ if variable.name == BASE => "an address; /v1/metrics is added, unless grpc is spoken",
            _ if variable.name == ADDRESS => "an address, taken as it is",
            Form::Text => "as the option",
            Form::Word(_) => "as the option, in any case",
            Form::Millis => "milliseconds",
            Form::Pairs => "name=value,name=value; percent signs for what is not plain",
            Form::Truth => "true or false, in any case",
        };
        (variable.name, variable.key, written)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        let environment: Vec<_> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        assert!(environment.iter().all(|(name, _)| is_ours(name)));
        read(&environment)
    }

    fn words_of(variables: &[(&str, &str)], key: &str) -> Vec<String> {
        of(variables).layer.get(key).map(|given| given.words.clone()).unwrap_or_default()
    }

    #[test]
    fn the_signals_own_variable_counts_before_the_general_one_and_an_empty_one_not_at_all() {
        let general = (OTEL_EXPORTER_OTLP_TIMEOUT, "2000");
        assert_eq!(words_of(&[general], "otlp.timeout"), ["2000ms"]);
        let both = [("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "500"), general, ("OTEL_METRIC_EXPORT_TIMEOUT", "9")];
        assert_eq!(words_of(&both, "otlp.timeout"), ["500ms"]);
        assert_eq!(words_of(&[("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", " "), general], "otlp.timeout"), ["2000ms"]);
        assert_eq!(words_of(&[("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "x"), general], "otlp.timeout"), ["2000ms"]);
    }

    #[test]
    fn what_can_not_be_understood_is_told_and_left_out() {
        for (name, value, line) in [
            (OTEL_EXPORTER_OTLP_PROTOCOL, "http/json", "\"http/json\": expected http/protobuf or grpc"),
            (OTEL_EXPORTER_OTLP_COMPRESSION, "zstd", "\"zstd\": expected gzip or none"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "60s", "\"60s\": expected a whole number of milliseconds"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0", "\"0\": expected a whole number of milliseconds"),
            (OTEL_EXPORTER_OTLP_INSECURE, "1", "\"1\": expected true or false"),
            (OTEL_EXPORTER_OTLP_HEADERS, "secret", "expected NAME=VALUE,NAME=VALUE"),
            (TEMPORALITY, "delta", "\"delta\": expected cumulative, which is all there is"),
        ] {
            let said = of(&[(name, value)]);
            assert_eq!(said.warnings, [format!("{name}: {line}; it has no effect")]);
            assert!(said.layer.is_empty());
        }
        assert_eq!(words_of(&[(OTEL_EXPORTER_OTLP_PROTOCOL, "GRPC")], "otlp.protocol"), ["grpc"]);
    }

    #[test]
    fn pushing_is_turned_off_by_two_variables() {
        assert_eq!(of(&[(DISABLED, "True")]).disabled, Some(DISABLED));
        assert_eq!(of(&[(EXPORTER, "none")]).disabled, Some(EXPORTER));
        assert_eq!(of(&[(DISABLED, "1"), (EXPORTER, "otlp")]).disabled, None);
    }

    #[test]
    fn the_node_and_the_proxies_have_their_usual_variables() {
        let said = of(&[("NODE_NAME", "a"), ("K8S_NODE_NAME", "b"), ("HTTPS_PROXY", "http://p:1"), ("no_proxy", "")]);
        assert_eq!(said.node.as_deref(), Some("b"));
        assert_eq!(said.proxies, [("HTTPS_PROXY", "http://p:1".to_owned())]);
    }
}
