//! From what the user wrote to the configuration, over a small table of collectors.

use super::*;
use collectors::Collector;
use collectors::kit::{Host, Opt, OptKind, Options};
use collectors::model::{Family, gauge};

mod samples;

static SIZE: Family = gauge("node_filesystem_size_bytes", "All | of it.", &["device", "mountpoint"]);

static FILESYSTEM: Spec = Spec {
    options: &[
        opt("mount-points-exclude", OptKind::Regex, "^/(dev|proc)($|/)"),
        opt("mount-points-include", OptKind::Instead("mount-points-exclude"), ""),
        opt("fs-types-exclude", OptKind::Regex, "^proc$"),
    ],
    ..Spec::new(Group::Node, "filesystem", "Sizes of filesystems.", &[&SIZE], open)
};
static CPU: Spec = Spec {
    options: &[
        opt("guest", OptKind::Flag, "true"),
        opt("info", OptKind::Flag, "false"),
        opt("info.flags-include", OptKind::Regex, ""),
    ],
    ..Spec::new(Group::Node, "cpu", "Time of CPUs.", &[], open)
};
static NETDEV: Spec = Spec {
    options: &[
        opt("device-exclude", OptKind::Regex, ""),
        opt("device-include", OptKind::Instead("device-exclude"), ""),
        opt("names", OptKind::List, ""),
        opt("patience", OptKind::Span, "5s"),
    ],
    ..Spec::new(Group::Node, "netdev", "Traffic of devices.", &[], open)
};
static NETCLASS: Spec = Spec {
    options: &[opt("ignored-devices", OptKind::Regex, "^$")],
    ..Spec::new(Group::Node, "netclass", "Attributes of devices.", &[], open)
};
static BCACHE: Spec = Spec {
    options: &[opt("priority-stats", OptKind::Flag, "false")],
    default: false,
    ..Spec::new(Group::Node, "bcache", "Caches.", &[], open)
};
static SWAP: Spec = Spec { default: false, ..Spec::new(Group::Node, "swap", "Swap devices.", &[], open) };
static SPECS: &[&Spec] = &[&BCACHE, &CPU, &FILESYSTEM, &NETDEV, &NETCLASS, &SWAP];

const fn opt(name: &'static str, kind: OptKind, default: &'static str) -> Opt {
    Opt { name, kind, default, help: "What it does." }
}

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, collectors::kit::Error> {
    Ok(None)
}

fn command(flags: &[&str], variables: &[(&str, &str)]) -> Result<Command, String> {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    Written::new(flags.iter().map(Into::into), variables).load_with(SPECS).map_err(|error| error.to_string())
}

fn config(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
    match command(flags, variables)? {
        Command::Serve(config) | Command::Once { config, .. } | Command::Push(config) | Command::Check(config) => {
            Ok(config)
        }
        Command::Metrics => Err(metrics(SPECS, std::iter::empty())),
        Command::Print(text) => Err(text),
    }
}

fn refused(flags: &[&str], variables: &[(&str, &str)]) -> String {
    config(flags, variables).unwrap_err()
}

fn names(config: &Config) -> Vec<&str> {
    config.collectors.iter().map(|chosen| chosen.spec.name).collect()
}

fn options<'a>(config: &'a Config, name: &str) -> &'a Options {
    &config.collectors.iter().find(|chosen| chosen.spec.name == name).unwrap().options
}

/// A file in a folder that is kept as long as it.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.yaml").to_str().unwrap().to_owned();
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn nothing_written_is_what_node_exporter_does() {
    let config = config(&[], &[]).unwrap();
    assert_eq!(config.listen, [Listen::Any(9100)]);
    assert_eq!((config.telemetry_path.as_str(), config.max_requests), ("/metrics", 40));
    assert!(config.exporter_metrics && !config.openmetrics);
    assert_eq!(config.roots, Roots::default());
    assert_eq!(config.log, Log { level: Level::Info, format: LogFormat::Logfmt });
    assert_eq!(names(&config), ["cpu", "filesystem", "netdev", "netclass"]);
    assert_eq!(config.sockets, crate::sources::Sockets::default());
    assert_eq!((config.calls, config.file, config.warnings), (None, None, Vec::new()));
}

#[test]
fn the_flags_of_the_helm_chart_and_of_kube_prometheus_are_taken() {
    let config = config(
        &[
            "--path.procfs=/host/proc",
            "--path.sysfs=/host/sys",
            "--path.rootfs=/host/root",
            "--path.udev.data=/host/root/run/udev/data",
            "--web.listen-address=[10.0.0.7]:9100",
            "--no-collector.wifi",
            "--no-collector.hwmon",
            "--no-collector.btrfs",
            "--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run/k3s/containerd/.+|var/lib/kubelet/pods/.+)($|/)",
            "--collector.netclass.ignored-devices=^(veth.*|[a-f0-9]{15})$",
            "--collector.netdev.device-exclude=^(veth.*|[a-f0-9]{15})$",
        ],
        &[("WHOLENODE_PORT", "tcp://10.0.0.1:9100"), ("WHOLENODE_SERVICE_HOST", "10.0.0.1"), ("PATH", "/bin")],
    )
    .unwrap();
    assert_eq!(config.roots.cgroup, "/host/sys/fs/cgroup");
    assert_eq!(config.roots.udev, "/host/root/run/udev/data");
    let filter = options(&config, "netdev").filter("device-include", "device-exclude");
    assert!(filter.keeps("eth0") && !filter.keeps("veth1") && !filter.keeps("0123456789abcde"));
    assert_eq!(
        config.warnings,
        ["environment variables that belong to no setting: WHOLENODE_PORT, WHOLENODE_SERVICE_HOST"]
    );
}

#[test]
fn a_flag_counts_before_the_environment_and_that_before_the_file() {
    let (_folder, path) = file("web: {max-requests: 1, listen-address: [':1', ':2']}\nlog.level: warn\n");
    let variables = [("WHOLENODE_CONFIG_FILE", path.as_str()), ("WHOLENODE_LOG_LEVEL", "error")];
    let of_file = config(&[], &variables).unwrap();
    assert_eq!((of_file.max_requests, of_file.log.level), (1, Level::Error));
    assert_eq!(of_file.listen, [Listen::Any(1), Listen::Any(2)]);
    assert_eq!(of_file.file, Some(path.clone()));
    let mut more = variables.to_vec();
    more.extend([("WHOLENODE_WEB_MAX_REQUESTS", "2"), ("WHOLENODE_WEB_LISTEN_ADDRESS", ":3, :4")]);
    let of_environment = config(&[], &more).unwrap();
    assert_eq!(of_environment.max_requests, 2);
    assert_eq!(of_environment.listen, [Listen::Any(3), Listen::Any(4)]);
    let of_flags = config(&["--web.max-requests=3", "--web.listen-address=:5", "--log.level", "debug"], &more).unwrap();
    assert_eq!((of_flags.max_requests, of_flags.log.level), (3, Level::Debug));
    assert_eq!(of_flags.listen, [Listen::Any(5)]);
    assert_eq!(config(&["--config.file="], &variables).unwrap().max_requests, 40);
}

#[test]
fn a_list_grows_by_every_flag_and_of_anything_else_the_last_counts() {
    let config = config(
        &["--web.listen-address=:1", "--web.max-requests=1", "--web.listen-address", ":2", "--web.max-requests=2"],
        &[],
    )
    .unwrap();
    assert_eq!(config.listen, [Listen::Any(1), Listen::Any(2)]);
    assert_eq!(config.max_requests, 2);
}

#[test]
fn collectors_are_turned_on_and_off() {
    let on = |flags: &[&str]| names(&config(flags, &[]).unwrap()).join(" ");
    assert_eq!(on(&["--collector.disable-defaults", "--collector.swap", "--collector.cpu"]), "cpu swap");
    let all = "cpu filesystem netdev netclass";
    assert_eq!(on(&["--collector.disable-defaults", "--no-collector.disable-defaults"]), all);
    assert_eq!(on(&["--no-collector.cpu", "--no-collector.netdev", "--no-collector.netclass"]), "filesystem");
    assert_eq!(on(&["--collector.disable-defaults", "--no-collector.swap", "--collector.swap"]), "swap");
    assert_eq!(on(&["--collector.disable-defaults", "--collector.swap", "--no-collector.swap"]), "");
    assert_eq!(on(&["--collector.disable-defaults=true", "--collector.cpu=false", "--collector.swap=true"]), "swap");
    let variables = [("WHOLENODE_COLLECTOR_DISABLE_DEFAULTS", "true"), ("WHOLENODE_COLLECTOR_SWAP", "true")];
    assert_eq!(names(&config(&[], &variables).unwrap()), ["swap"]);
    assert_eq!(names(&config(&["--no-collector.swap"], &variables).unwrap()), [""; 0]);
}

#[test]
fn every_collector_of_node_exporter_can_be_turned_off_and_only_ours_on() {
    for name in ["wifi", "ntp", "runit", "supervisord", "gmond", "megacli", "boottime", "devstat", "exec", "zfs"] {
        assert_eq!(config(&[&format!("--no-collector.{name}")], &[]).unwrap().warnings, [""; 0]);
    }
    let line = "collector wifi is not part of this wholenode; leave it out, or see `wholenode metrics` for what is";
    assert_eq!(refused(&["--collector.wifi"], &[]), format!("--collector.wifi: {line}"));
    for option in
        ["--collector.runit.servicedir=x", "--no-collector.ntp.server-is-local", "--collector.vmstat.fields=("]
    {
        let told = config(&[option], &[]).unwrap().warnings;
        assert!(told[0].ends_with(" has no effect: its collector is not part of this wholenode"), "{told:?}");
    }
    assert_eq!(refused(&[], &[("WHOLENODE_COLLECTOR_WIFI", "true")]), format!("WHOLENODE_COLLECTOR_WIFI: {line}"));
    assert!(config(&["--collector.wifi", "--no-collector.wifi"], &[]).is_ok());
    assert!(refused(&["--collector.wif"], &[]).starts_with("--collector.wif: there is no collector wif;"));
}

#[test]
fn old_names_of_node_exporter_mean_the_new_ones() {
    let config = config(
        &[
            "--collector.filesystem.ignored-mount-points=^/old",
            "--collector.filesystem.ignored-fs-types=^old$",
            "--collector.netdev.device-whitelist=^eth",
        ],
        &[],
    )
    .unwrap();
    assert_eq!(options(&config, "filesystem").text("mount-points-exclude"), Some("^/old"));
    assert_eq!(options(&config, "filesystem").text("fs-types-exclude"), Some("^old$"));
    assert_eq!(options(&config, "netdev").text("device-include"), Some("^eth"));
    assert_eq!(
        config.warnings[0],
        "--collector.filesystem.ignored-mount-points is an old name; write --collector.filesystem.mount-points-exclude"
    );
}

#[test]
fn a_switch_may_go_by_another_name() {
    let is_set = |flags: &[&str]| {
        let config = config(&[&["--collector.bcache"], flags].concat(), &[]).unwrap();
        assert_eq!(config.warnings, [""; 0]);
        options(&config, "bcache").flag("priority-stats")
    };
    assert!(is_set(&["--collector.bcache.priorityStats"]));
    assert!(is_set(&["--collector.bcache.priorityStats=true"]));
    assert!(!is_set(&["--collector.bcache.priorityStats", "--no-collector.bcache.priorityStats"]));
    assert!(!is_set(&[]));
}

#[test]
fn what_only_tunes_node_exporter_is_taken_with_a_warning() {
    let warnings = |flag: &str| config(&[flag], &[]).unwrap().warnings.join("\n");
    assert!(warnings("--runtime.gomaxprocs=2").starts_with("--runtime.gomaxprocs has no effect: there is no Go"));
    assert!(warnings("--no-collector.netclass.netlink").starts_with("--no-collector.netclass.netlink has no effect"));
    assert!(warnings("--collector.netclass_rtnl.with-stats").contains("has no effect"));
    assert!(warnings("--collector.filesystem.stat-workers=8").contains("has no effect"));
    assert!(refused(&["--collector.netdev.address-info"], &[]).contains("collector netdev has no option address-info"));
}

#[test]
fn what_can_not_be_honoured_is_refused_by_name() {
    assert!(refused(&["--web.systemd-socket"], &[]).starts_with("--web.systemd-socket: wholenode opens its sockets"));
    assert!(refused(&["--collectors.enabled=cpu"], &[]).contains("--collector.disable-defaults"));
    assert!(config(&["--no-web.systemd-socket"], &[]).is_ok());
}

#[test]
fn the_file_of_the_web_configuration_is_named_as_node_exporter_does() {
    let file = |flags: &[&str]| config(flags, &[]).unwrap().web_file;
    assert_eq!(file(&["--web.config.file=/etc/web.yml"]), Some("/etc/web.yml".to_owned()));
    assert_eq!(file(&["--web.config=web.yml"]), Some("web.yml".to_owned()));
    assert_eq!((file(&["--web.config.file="]), file(&[])), (None, None));
}

#[test]
fn where_tls_has_to_be_is_one_of_three_words() {
    let wants = |word: &str, address: &str| {
        let flags = [format!("--web.require-tls={word}"), format!("--web.listen-address={address}")];
        let config = config(&flags.each_ref().map(String::as_str), &[]).unwrap();
        config.require_tls.wants(&config.listen[0])
    };
    let all = [":9100", "0.0.0.0:9100", "10.0.0.1:1", "localhost:1", "127.1.2.3:1", "[::1]:1", "unix:/run/w.sock"];
    let of = |word: &str| all.map(|address| wants(word, address));
    assert_eq!(of("never"), [false; 7]);
    assert_eq!(of("public"), [true, true, true, false, false, false, false]);
    assert_eq!(of("always"), [true; 7]);
    let error = refused(&["--web.require-tls=yes"], &[]);
    assert_eq!(error, "--web.require-tls: \"yes\": expected never, public or always");
}

#[test]
fn what_does_not_fit_is_told_in_one_line() {
    for (flag, line) in [
        ("--web.max-requests=many", "--web.max-requests: \"many\": expected a whole number"),
        ("--web.max-requests", "--web.max-requests: expected a value: --web.max-requests=…"),
        ("--web.enable-openmetrics=yes", "--web.enable-openmetrics: \"yes\": expected true or false"),
        ("--no-web.enable-openmetrics=true", "--no-web.enable-openmetrics: \"true\": expected no value"),
        ("--web.telemetry-path=metrics", "--web.telemetry-path: \"metrics\": expected a path such as /metrics"),
        ("--path.procfs=", "--path.procfs: \"\": expected a path"),
        ("--log.level=loud", "--log.level: \"loud\": expected debug, info, warn or error"),
        ("--log.format=xml", "--log.format: \"xml\": expected logfmt or json"),
        ("--collector.cpu=on", "--collector.cpu: \"on\": expected true or false"),
        (
            "--collector.cpu.gest",
            "--collector.cpu.gest: collector cpu has no option gest; `wholenode options` lists what it has",
        ),
        (
            "--collector.netdev.patience=5",
            "--collector.netdev.patience: \"5\": expected a length of time such as 250ms, 5s or 1m",
        ),
        ("--web.max-request=1", "--web.max-request: no such flag; did you mean --web.max-requests?"),
        ("--nonsense", "--nonsense: no such setting; `wholenode options` lists all"),
        ("-x", "\"-x\": expected a flag such as --web.listen-address=:9100"),
        ("twice", "\"twice\": expected once, push, check, metrics, options or flags only"),
        ("--group=node", "--group: expected only with the command once; a server has a page for each group"),
        ("@/nowhere", "/nowhere: No such file or directory (os error 2)"),
        ("--config.file=/nowhere", "--config.file: /nowhere: No such file or directory (os error 2)"),
        ("--log.level=a\nb", "--log.level: \"a\\nb\": expected debug, info, warn or error"),
    ] {
        assert_eq!(refused(&[flag], &[]), line);
    }
    assert_eq!(
        refused(&["--containers.cri-socket=tcp://x"], &[]),
        "--containers.cri-socket: \"tcp://x\": expected unix:///PATH of at most 107 bytes, or auto"
    );
    let listen = "expected :PORT, localhost:PORT, ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH, for example :9100";
    assert_eq!(refused(&["--web.listen-address=9100"], &[]), format!("--web.listen-address: \"9100\": {listen}"));
    assert_eq!(
        refused(&[], &[("WHOLENODE_WEB_LISTEN_ADDRESS", ":1,x")]),
        format!("WHOLENODE_WEB_LISTEN_ADDRESS: \"x\": {listen}")
    );
    assert!(
        refused(&["--metrics.include=("], &[]).starts_with("--metrics.include: \"(\": expected a regular expression")
    );
    let groups = "--group: \"moon\": expected node or container or power";
    assert!(refused(&["once", "--group=moon"], &[]).starts_with(groups));
}

#[test]
fn an_inclusion_and_its_exclusion_contradict_each_other_wherever_they_stand() {
    let line = refused(&["--collector.netdev.device-include=a"], &[("WHOLENODE_COLLECTOR_NETDEV_DEVICE_EXCLUDE", "b")]);
    assert_eq!(
        line,
        "--collector.netdev.device-include: expected either this or device-exclude, not both; \
         the variable WHOLENODE_COLLECTOR_NETDEV_DEVICE_EXCLUDE gives the other"
    );
    let config = config(&["--collector.filesystem.mount-points-include=^/"], &[]).unwrap();
    assert_eq!(options(&config, "filesystem").text("mount-points-exclude"), None);
}

#[test]
fn families_are_filtered_by_name() {
    let config = config(&["--metrics.exclude=^node_load"], &[]).unwrap();
    assert!(config.families.keeps("node_cpu_seconds_total") && !config.families.keeps("node_load1"));
}

#[test]
fn a_file_of_flags_takes_the_place_of_its_name() {
    let (_folder, path) = file("# flags\n--web.max-requests=7\n\n--log.format\njson\n");
    let config = config(&[&format!("@{path}"), "--log.format=logfmt"], &[]).unwrap();
    assert_eq!((config.max_requests, config.log.format), (7, LogFormat::Logfmt));
}

#[test]
fn commands_stand_anywhere_among_the_flags() {
    let once = |flags: &[&str]| match command(flags, &[]).unwrap() {
        Command::Once { config, group } => (config.openmetrics, group),
        other => panic!("{other:?}"),
    };
    assert_eq!(once(&["once"]), (false, None));
    assert_eq!(once(&["--web.enable-openmetrics", "once", "--group", "node"]), (true, Some(Group::Node)));
    for asked in [["--help"], ["-h"], ["help"], ["--help-long"], ["--help-man"]] {
        assert!(refused(&asked, &[]).contains("Usage: wholenode"));
    }
    assert_eq!(refused(&["once", "--version"], &[]), concat!("wholenode ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn loading_again_shows_what_changed() {
    let (_folder, path) = file("collector.cpu.guest: true\n");
    let written = Written::new([format!("--config.file={path}").into()], []);
    let load = || match written.load_with(SPECS).unwrap() {
        Command::Serve(config) => config,
        other => panic!("{other:?}"),
    };
    let before = load();
    assert_eq!(before, load());
    std::fs::write(&path, "collector.cpu.guest: false\nmetrics.include: x\n").unwrap();
    let after = load();
    let changed: Vec<&str> = before
        .collectors
        .iter()
        .zip(&after.collectors)
        .filter(|(before, after)| before != after)
        .map(|(before, _)| before.spec.name)
        .collect();
    assert_eq!(changed, ["cpu"]);
    assert!(before.families != after.families);
}

#[test]
fn the_references_tell_every_word() {
    let options = refused(&["options"], &[]);
    assert!(
        options.contains("| `web.listen-address` | list | `:9100` | `WHOLENODE_WEB_LISTEN_ADDRESS` | Where to listen")
    );
    assert!(options.contains("\n### swap\n\nSwap devices. Off by default.\n"));
    assert!(options.contains("| `collector.filesystem.mount-points-exclude` | regex | `^/(dev\\|proc)($\\|/)` | "));
    assert!(!options.contains("path.calls"));
    let metrics = refused(&["metrics"], &[]);
    assert!(metrics.contains("| `node_filesystem_size_bytes` | gauge | `device`, `mountpoint` | All \\| of it. |"));
}
