use super::super::{Command, Config, Written};
use super::*;

fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    match Written::new(flags.iter().map(Into::into), variables).load() {
        Ok(Command::Serve(config)) => Ok(config),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[track_caller]
fn endpoint(flags: &[&str], variables: &[(&str, &str)]) -> Endpoint {
    let mut endpoints = load(flags, variables).unwrap().export.endpoints;
    assert_eq!(endpoints.len(), 1);
    endpoints.remove(0)
}

#[test]
fn without_an_endpoint_nothing_is_pushed() {
    let config = load(&["--otlp.interval=5s", "--otlp.headers=a=b"], &[("OTEL_METRIC_EXPORT_INTERVAL", "x")]).unwrap();
    assert!(config.export.endpoints.is_empty());
    assert_eq!(config.warnings, [""; 0]);
    assert!(
        load(&["--otlp.endpoint="], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a")])
            .unwrap()
            .export
            .endpoints
            .is_empty()
    );
}

#[test]
fn defaults_are_those_of_the_specification_and_of_a_small_board() {
    let one = endpoint(&["--otlp.endpoint=http://a:4318"], &[]);
    assert_eq!((one.name.as_str(), one.target.url.as_str()), ("default", "http://a:4318/v1/metrics"));
    assert_eq!(
        (one.target.protocol, one.target.gzip, one.target.timeout),
        (Protocol::HttpProtobuf, true, Duration::from_secs(10))
    );
    assert_eq!((one.interval, one.per_container, one.replay_first), (Duration::from_secs(60), false, false));
    let day = Duration::from_secs(48 * 3600);
    assert_eq!(one.spool, SpoolSettings { directory: None, max_bytes: 8 << 20, max_age: day });
    let one = endpoint(&["--otlp.endpoint=http://a:4318", "--otlp.spool.directory=/var/lib/wholenode/"], &[]);
    let directory = Some("/var/lib/wholenode/default".to_owned());
    assert_eq!(one.spool, SpoolSettings { directory, max_bytes: 64 << 20, max_age: day });
    assert_eq!(load(&[], &[]).unwrap().export.clock_wait, Duration::from_secs(300));
}

#[test]
fn the_path_is_added_where_the_convention_adds_it() {
    let flag = |url: &str| endpoint(&[&format!("--otlp.endpoint={url}")], &[]).target.url;
    assert_eq!(flag("https://a:4318/"), "https://a:4318/v1/metrics");
    assert_eq!(flag("http://a:9090/api/v1/otlp/v1/metrics"), "http://a:9090/api/v1/otlp/v1/metrics");
    let variable = |name: &str, url: &str| endpoint(&[], &[(name, url)]).target.url;
    assert_eq!(variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318/x"), "http://a:4318/x/v1/metrics");
    assert_eq!(variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://a:4318"), "http://a:4318");
    assert_eq!(variable("WHOLENODE_OTLP_ENDPOINT", "http://a:4318"), "http://a:4318/v1/metrics");
}

#[test]
fn grpc_has_no_path_and_may_have_no_scheme() {
    let of = |url: &str, more: &[(&str, &str)]| {
        let variables =
            [&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_ENDPOINT", url)], more].concat();
        endpoint(&[], &variables).target.url
    };
    assert_eq!(of("http://a:4317", &[]), "http://a:4317");
    assert_eq!(of("a:4317", &[]), "https://a:4317");
    assert_eq!(of("a:4317", &[("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")]), "http://a:4317");
}

#[test]
fn a_flag_counts_before_our_variable_and_that_before_those_of_opentelemetry() {
    let of = |flags: &[&str], variables: &[(&str, &str)]| {
        endpoint(&[&["--otlp.endpoint=http://a"], flags].concat(), variables).target.timeout.as_millis()
    };
    let general = ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000");
    let signal = ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2000");
    let ours = ("WHOLENODE_OTLP_TIMEOUT", "3s");
    assert_eq!(of(&[], &[general]), 1000);
    assert_eq!(of(&[], &[general, signal]), 2000);
    assert_eq!(of(&[], &[ours, general, signal]), 3000);
    assert_eq!(of(&["--otlp.timeout=4s"], &[ours, general, signal]), 4000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yml");
    std::fs::write(&path, "otlp: {timeout: 7s, interval: 9s}\n").unwrap();
    let file = format!("--config.file={}", path.display());
    assert_eq!((of(&[&file], &[]), of(&[&file], &[general])), (7000, 1000));
}

#[test]
fn headers_files_and_proxies_go_to_the_target() {
    let flags = [
        "--otlp.endpoint=https://a",
        "--otlp.headers=X-Scope-OrgID=me",
        "--otlp.headers=b = c=d",
        "--otlp.ca-file=/ca",
        "--otlp.cert-file=/cert",
        "--otlp.key-file=/key",
        "--otlp.server-name=b",
        "--otlp.basic-user=u",
        "--otlp.basic-password-file=/p",
        "--otlp.compression=none",
    ];
    let proxies = [("HTTPS_PROXY", "http://p:1"), ("ALL_PROXY", "http://q:2"), ("NO_PROXY", "x")];
    let target = endpoint(&flags, &proxies).target;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(target.headers, [pair("X-Scope-OrgID", "me"), pair("b", "c=d")]);
    assert_eq!(target.tls.ca.as_deref(), Some("/ca"));
    assert_eq!((target.tls.certificate.as_deref(), target.tls.key.as_deref()), (Some("/cert"), Some("/key")));
    assert_eq!((target.tls.server_name.as_deref(), target.tls.insecure_skip_verify), (Some("b"), false));
    assert_eq!(target.auth, Some(Auth::Basic { user: "u".to_owned(), password_file: "/p".to_owned() }));
    assert!(!target.gzip);
    let rule = |http: &str, https: &str, none_for: &str| ProxyRule {
        http: http.to_owned(),
        https: https.to_owned(),
        none_for: none_for.to_owned(),
    };
    assert_eq!(target.proxy, rule("http://q:2", "http://p:1", "x"));
    let proxy =
        |word: &str| endpoint(&["--otlp.endpoint=https://a", &format!("--otlp.proxy={word}")], &proxies).target.proxy;
    assert_eq!(proxy("http://r:3"), rule("http://r:3", "http://r:3", ""));
    assert_eq!(proxy("none"), ProxyRule::default());
    let token = endpoint(&["--otlp.endpoint=https://a", "--otlp.bearer-token-file=/t"], &[]);
    assert_eq!(token.target.auth, Some(Auth::BearerFile("/t".to_owned())));
}

#[test]
fn who_pushes_is_said_by_flags_and_variables() {
    let identity = |flags: &[&str], variables: &[(&str, &str)]| load(flags, variables).unwrap().export.identity;
    assert_eq!(identity(&[], &[]), Identity::default());
    let said = identity(
        &["--otlp.instance-id=i", "--otlp.cluster-name=c"],
        &[("OTEL_SERVICE_NAME", "s"), ("OTEL_RESOURCE_ATTRIBUTES", "site=M%C3%BCnchen,a=b"), ("NODE_NAME", "n")],
    );
    assert_eq!((said.service.as_deref(), said.instance.as_deref()), (Some("s"), Some("i")));
    assert_eq!((said.cluster.as_deref(), said.node.as_deref()), (Some("c"), Some("n")));
    assert_eq!(said.attributes, [("site".to_owned(), "München".to_owned()), ("a".to_owned(), "b".to_owned())]);
    assert_eq!(identity(&["--otlp.service-name=x"], &[("OTEL_SERVICE_NAME", "s")]).service.as_deref(), Some("x"));
}

#[test]
fn pushing_can_be_turned_off_and_says_so() {
    let config = load(&["--otlp.endpoint=http://a"], &[("OTEL_SDK_DISABLED", "true")]).unwrap();
    assert!(config.export.endpoints.is_empty());
    assert_eq!(config.warnings, ["OTEL_SDK_DISABLED is set: nothing is pushed"]);
    assert_eq!(load(&[], &[("OTEL_SDK_DISABLED", "true")]).unwrap().warnings, [""; 0]);
}

#[test]
fn what_does_not_fit_is_told_in_one_line() {
    let refused = |flags: &[&str]| load(&[&["--otlp.endpoint=http://a"], flags].concat(), &[]).unwrap_err();
    for (flag, line) in [
        ("--otlp.protocol=http/json", "--otlp.protocol: \"http/json\": expected http/protobuf or grpc"),
        ("--otlp.compression=zstd", "--otlp.compression: \"zstd\": expected gzip or none"),
        ("--otlp.interval=0s", "--otlp.interval: \"0s\": expected 1s or more"),
        ("--otlp.interval=60", "--otlp.interval: \"60\": expected a length of time such as 250ms, 5s or 1m"),
        ("--otlp.headers=secret", "--otlp.headers: expected NAME=VALUE"),
        ("--otlp.cert-file=x", "--otlp.cert-file: expected key-file beside it"),
        ("--otlp.key-file=x", "--otlp.key-file: expected cert-file beside it"),
        ("--otlp.basic-user=x", "--otlp.basic-user: expected basic-password-file beside it"),
        ("--otlp.basic-password-file=x", "--otlp.basic-password-file: expected basic-user beside it"),
        (
            "--otlp.spool.max-bytes=5M",
            "--otlp.spool.max-bytes: \"5M\": expected a number of bytes such as 512KiB or 64MiB",
        ),
        ("--otlp.resource-attributes=x", "--otlp.resource-attributes: expected NAME=VALUE"),
        ("--otlp.metrics-include=(", "--otlp.metrics-include: \"(\": expected a regular expression"),
    ] {
        assert!(refused(&[flag]).starts_with(line), "{}", refused(&[flag]));
    }
    let both = refused(&["--otlp.bearer-token-file=t", "--otlp.basic-user=u"]);
    assert_eq!(both, "--otlp.bearer-token-file: expected either this or basic-user, not both");
    let wrong = load(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]).unwrap_err();
    assert!(
        wrong.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: \"collector:4318/v1/metrics\": expected http://"),
        "{wrong}"
    );
}

#[test]
fn pushing_once_is_a_command_of_its_own() {
    let command = |words: &[&str]| Written::new(words.iter().map(Into::into), []).load();
    assert!(matches!(command(&["push", "--once"]), Ok(Command::Push(_))));
    assert!(command(&["push"]).unwrap_err().to_string().starts_with("push: expected --once"));
    assert!(command(&["--once"]).unwrap_err().to_string().starts_with("--once: expected only with the command push"));
}

#[test]
fn further_endpoints_stand_in_the_file_and_take_nothing_from_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yml");
    let text = "otlp:\n  endpoint: http://a\n  headers: [secret=x]\n  endpoints:\n    cloud:\n      endpoint: b:4317\n      \
                protocol: grpc\n      spool.directory: /s\n      metrics-include: ^node_\n    site.endpoint: http://c/d\n";
    std::fs::write(&path, text).unwrap();
    let file = format!("--config.file={}", path.display());
    let of = |variables: &[(&str, &str)]| load(&[&file], variables).unwrap().export.endpoints;
    let all = of(&[("OTEL_EXPORTER_OTLP_HEADERS", "other=y"), ("OTEL_METRIC_EXPORT_INTERVAL", "5000")]);
    let names: Vec<_> =
        all.iter().map(|one| (one.name.as_str(), one.target.url.as_str(), one.interval.as_secs())).collect();
    let expected = [("default", "http://a/v1/metrics", 5), ("cloud", "https://b:4317", 60), ("site", "http://c/d", 60)];
    assert_eq!(names, expected);
    assert_eq!(all[0].target.headers, [("other".to_owned(), "y".to_owned())]);
    assert!(all[1].target.headers.is_empty() && all[2].target.headers.is_empty());
    assert_eq!(all[1].spool.directory.as_deref(), Some("/s/cloud"));
    assert!(all[1].families.keeps("node_load1") && !all[1].families.keeps("up") && all[2].families.keeps("up"));
}
