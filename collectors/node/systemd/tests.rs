use super::*;
use crate::kit::bus::script::{Said, Script};
use crate::kit::testing::{Opened, Tree};
use proptest::prelude::*;

const SOCKET: &str = "rootfs/run/dbus/system_bus_socket";

fn property(said: Said<'static>) -> Said<'static> {
    Said::Property(Box::new(said))
}

fn row(name: &'static str, load: &'static str, state: &'static str) -> Vec<Said<'static>> {
    let text = Said::Text;
    // Paths are not taken from here.
    let (path, none) = (text("no path"), text(""));
    vec![
        text(name),
        text("A unit"),
        text(load),
        text(state),
        none.clone(),
        none.clone(),
        path,
        Said::Number(0),
        none,
        text("/"),
    ]
}

/// A machine with a unit of each kind.
fn said(path: &str, asked: &str) -> Said<'static> {
    let path = path.trim_start_matches("/org/freedesktop/systemd1/unit/");
    match (asked.trim_start_matches("org.freedesktop.systemd1."), path) {
        ("Manager.ListUnits", _) => Said::Rows(
            "a(ssssssouso)",
            vec![
                row("a.service", "loaded", "active"),
                row("b\\x2d1.service", "loaded", "reloading"),
                row("gone.service", "not-found", "inactive"),
                row("c.socket", "loaded", "active"),
                row("d.timer", "loaded", "inactive"),
                row("e.mount", "loaded", "active"),
                row("f.slice", "loaded", "active"),
            ],
        ),
        ("Manager.Version", _) => property(Said::Text("252.38-1~deb12u1")),
        ("Manager.Virtualization", _) => property(Said::Text("")),
        ("Manager.SystemState", _) => property(Said::Text("degraded")),
        ("Service.Type", "a_2eservice") => property(Said::Text("notify")),
        ("Service.Type", _) => Said::Error("org.freedesktop.DBus.Error.UnknownObject"),
        ("Mount.Type", _) => property(Said::Text("ext4")),
        ("Service.NRestarts", _) => property(Said::Number(3)),
        ("Service.TasksCurrent", "a_2eservice") => property(Said::Long(12)),
        ("Service.TasksCurrent" | "Service.TasksMax", _) => property(Said::Long(u64::MAX)),
        ("Socket.NAccepted", _) => property(Said::Number(5)),
        ("Socket.NConnections", _) => property(Said::Number(2)),
        ("Socket.NRefused", _) => Said::Error("org.freedesktop.DBus.Error.UnknownProperty"),
        ("Timer.LastTriggerUSec", _) => property(Said::Long(1_700_000_000_250_000)),
        ("Unit.ActiveEnterTimestamp", _) => property(Said::Long(1_600_000_000_000_001)),
        other => panic!("{other:?}"),
    }
}

fn tree() -> (Tree, Script) {
    let tree = Tree::new(&[]);
    let script = Script::listen(&tree, SOCKET, Box::new(said));
    (tree, script)
}

const PLAIN: &str = r#"node_systemd_socket_accepted_connections_total{name="c.socket"} 5
node_systemd_socket_current_connections{name="c.socket"} 2
node_systemd_system_running 0
node_systemd_timer_last_trigger_seconds{name="d.timer"} 1700000000.25
node_systemd_unit_state{name="a.service",state="active",type="notify"} 1
node_systemd_unit_state{name="a.service",state="activating",type="notify"} 0
node_systemd_unit_state{name="a.service",state="deactivating",type="notify"} 0
node_systemd_unit_state{name="a.service",state="inactive",type="notify"} 0
node_systemd_unit_state{name="a.service",state="failed",type="notify"} 0
node_systemd_unit_state{name="b\\x2d1.service",state="active"} 0
node_systemd_unit_state{name="b\\x2d1.service",state="activating"} 0
node_systemd_unit_state{name="b\\x2d1.service",state="deactivating"} 0
node_systemd_unit_state{name="b\\x2d1.service",state="inactive"} 0
node_systemd_unit_state{name="b\\x2d1.service",state="failed"} 0
node_systemd_unit_state{name="c.socket",state="active"} 1
node_systemd_unit_state{name="c.socket",state="activating"} 0
node_systemd_unit_state{name="c.socket",state="deactivating"} 0
node_systemd_unit_state{name="c.socket",state="inactive"} 0
node_systemd_unit_state{name="c.socket",state="failed"} 0
node_systemd_unit_state{name="d.timer",state="active"} 0
node_systemd_unit_state{name="d.timer",state="activating"} 0
node_systemd_unit_state{name="d.timer",state="deactivating"} 0
node_systemd_unit_state{name="d.timer",state="inactive"} 1
node_systemd_unit_state{name="d.timer",state="failed"} 0
node_systemd_units{state="active"} 4
node_systemd_units{state="activating"} 0
node_systemd_units{state="deactivating"} 0
node_systemd_units{state="inactive"} 2
node_systemd_units{state="failed"} 0
node_systemd_units{state="reloading"} 1
node_systemd_version{version="252.38-1~deb12u1"} 252.38
node_systemd_virtualization_info{virtualization_type="none"} 1
"#;

#[test]
fn a_page() {
    tree().0.check(&SPEC, &[], PLAIN);
}

#[test]
fn what_is_off_until_it_is_wanted() {
    let options = [
        ("unit-include", r"[ad].*|e.mount"),
        ("unit-exclude", "a"),
        ("enable-task-metrics", "true"),
        ("enable-restarts-metrics", "true"),
        ("enable-start-time-metrics", "true"),
    ];
    let round = tree().0.open(&SPEC, &options).round();
    let of_units: Vec<_> = round
        .lines()
        .filter(|line| line.contains("{name=") && (!line.contains("state=") || line.ends_with(" 1")))
        .collect();
    let expected = [
        "node_systemd_service_restart_total{name=\"a.service\"} 3",
        "node_systemd_timer_last_trigger_seconds{name=\"d.timer\"} 1700000000.25",
        "node_systemd_unit_start_time_seconds{name=\"d.timer\"} 0",
        "node_systemd_unit_start_time_seconds{name=\"a.service\"} 1600000000.000001",
        "node_systemd_unit_start_time_seconds{name=\"e.mount\"} 1600000000.000001",
        "node_systemd_unit_state{name=\"a.service\",state=\"active\",type=\"notify\"} 1",
        "node_systemd_unit_state{name=\"d.timer\",state=\"inactive\"} 1",
        "node_systemd_unit_state{name=\"e.mount\",state=\"active\",type=\"ext4\"} 1",
        "node_systemd_unit_tasks_current{name=\"a.service\"} 12",
    ];
    assert_eq!(of_units, expected);
}

#[test]
fn types_are_asked_for_once_a_minute() {
    let (tree, script) = tree();
    let mut opened: Opened = tree.open(&SPEC, &[]);
    let mut types = || {
        assert_eq!(opened.round(), PLAIN);
        opened.advance(Duration::from_secs(25));
        script
            .heard
            .lock()
            .unwrap()
            .drain(..)
            .filter(|asked| asked == "/org/freedesktop/systemd1/unit/a_2eservice org.freedesktop.systemd1.Service.Type")
            .count()
    };
    assert_eq!([types(), types(), types(), types()], [1, 0, 0, 1]);
}

#[test]
fn root_asks_systemd_itself() {
    let tree = Tree::new(&[]);
    let private = Script::listen(&tree, "rootfs/run/systemd/private", Box::new(said));
    tree.check(&SPEC, &[("private", "true")], PLAIN);
    let bus = Script::listen(&tree, SOCKET, Box::new(|_, _| panic!("nobody asks the bus")));
    private.heard.lock().unwrap().clear();
    tree.check(&SPEC, &[], PLAIN);
    assert!(bus.heard.lock().unwrap().is_empty() && private.heard.lock().unwrap().len() > 5);
    // Not there any more: the bus it is, unless that is unwanted.
    tree.remove("rootfs/run/systemd/private");
    tree.remove(SOCKET);
    let _bus = Script::listen(&tree, SOCKET, Box::new(said));
    tree.check(&SPEC, &[], PLAIN);
    tree.check(&SPEC, &[("private", "true")], "absent\n");
}

#[test]
fn without_systemd_there_is_nothing() {
    let tree = Tree::new(&[]);
    tree.check(&SPEC, &[], "absent\n");
    let told = |_: &str, _: &str| Said::Error("org.freedesktop.DBus.Error.ServiceUnknown");
    let _script = Script::listen(&tree, SOCKET, Box::new(told));
    tree.check(&SPEC, &[], "! absent\n");
}

#[test]
fn a_list_that_reads_otherwise_and_values_that_are_refused() {
    let tree = Tree::new(&[]);
    let told = |_: &str, asked: &str| match asked {
        "org.freedesktop.systemd1.Manager.ListUnits" => Said::Rows("a(ss)", vec![vec![Said::Text("a.service"); 2]]),
        _ => Said::Error("org.freedesktop.DBus.Error.AccessDenied"),
    };
    let _script = Script::listen(&tree, SOCKET, Box::new(told));
    tree.check(&SPEC, &[], "! malformed\n");

    let tree = Tree::new(&[]);
    let told = |path: &str, asked: &str| match asked {
        "org.freedesktop.systemd1.Manager.ListUnits" => said(path, asked),
        "org.freedesktop.systemd1.Socket.NAccepted" => property(Said::Text("five")),
        _ => Said::Error("org.freedesktop.DBus.Error.AccessDenied"),
    };
    let _script = Script::listen(&tree, SOCKET, Box::new(told));
    let round = tree.open(&SPEC, &[]).round();
    assert_eq!(round.lines().filter(|line| line.contains("unit_state")).count(), 20);
    assert!(round.contains("virtualization_type=\"unknown\"") && !round.contains("version"), "{round}");
    assert!(round.ends_with("! malformed\n") && round.matches("! denied\n").count() > 5, "{round}");
}

#[test]
fn paths_of_units() {
    let of = |name| path(name).trim_start_matches("/org/freedesktop/systemd1/unit/").to_owned();
    assert_eq!(of("1-a@b.service"), "_31_2da_40b_2eservice");
    assert_eq!(of("u\\x2d1.é"), "u_5cx2d1_2e_c3_a9");
}

#[test]
fn versions() {
    for (text, expected) in [
        ("252.38-1~deb12u1", Some(252.38)),
        ("v257~rc1", Some(257.0)),
        ("12.345.6", Some(345.6)),
        ("249.", Some(249.0)),
        ("99", None),
        ("", None),
    ] {
        assert_eq!(version(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text: String, digits in "[0-9.é]*") {
        let _ = (version(&text), version(&digits));
    }
}
