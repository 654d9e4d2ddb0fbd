use super::script::{Said, Script};
use super::*;
use crate::kit::testing::Tree;
use std::os::unix::net::UnixListener;
use std::sync::atomic::Ordering::Relaxed;

const SOCKET: &str = "rootfs/run/dbus/system_bus_socket";
/// Enough for an emulated machine too.
const LONG: Duration = Duration::from_secs(180);

fn bus(tree: &Tree, told: impl Fn(&str, &str) -> Said<'static> + Send + Sync + 'static) -> Script {
    Script::listen(tree, SOCKET, Box::new(told))
}

fn dial(tree: &Tree) -> Result<Bus, Error> {
    tree.host().dial(Line::System, LONG)
}

fn method(name: &str) -> Question<'_> {
    Question::method("a.b", "/a", "a.b.I", name)
}

#[test]
fn questions_are_answered_whatever_else_is_said() {
    let tree = Tree::new(&[]);
    let script = bus(&tree, |_, asked| match asked {
        "a.b.I.List" => Said::Rows("a(s)", vec![vec![Said::Text("one")], vec![Said::Text("two")]]),
        "a.b.I.Gone" => Said::Error("org.freedesktop.DBus.Error.UnknownProperty"),
        "a.b.I.Secret" => Said::Error("org.freedesktop.DBus.Error.AccessDenied"),
        asked => Said::Property(Box::new(Said::Number(asked.trim_start_matches("a.b.I.P").parse().unwrap()))),
    });
    let mut bus = dial(&tree).unwrap();
    let answer = bus.ask(&method("List")).unwrap();
    let mut names = Vec::new();
    answer
        .body()
        .unwrap()
        .rows("a(s)", |row| {
            names.push(row.text()?);
            Some(())
        })
        .unwrap();
    assert_eq!(names, ["one", "two"]);
    assert!(bus.ask(&method("Gone")).unwrap_err().is_absent());

    let names: Vec<String> = (0..5000).map(|number| format!("P{number}")).chain(["Secret".to_owned()]).collect();
    let mut found = vec![None; names.len()];
    let questions = names.iter().map(|name| Question::property("a.b", "/a", "a.b.I", name));
    bus.ask_all(questions, |number, value| found[number] = Some(value.map(|value| format!("{value:?}")))).unwrap();
    for (number, found) in found.into_iter().enumerate() {
        match found.unwrap() {
            Ok(value) => assert_eq!(value, format!("Number({number})")),
            Err(error) => assert!(number == 5000 && error.reason() == "denied", "{error}"),
        }
    }
    bus.ask_all([], |_, _| panic!("nothing was asked")).unwrap();
    assert_eq!(script.heard.lock().unwrap()[0], "/org/freedesktop/DBus org.freedesktop.DBus.Hello");
    assert_eq!(script.open.load(Relaxed), 1);
    drop(bus);
    let begun = Instant::now();
    while script.open.load(Relaxed) > 0 {
        assert!(begun.elapsed() < LONG, "the connection is left open");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn systemd_s_own_socket_is_no_bus() {
    let tree = Tree::new(&[]);
    let told = |_: &str, _: &str| Said::Property(Box::new(Said::Truth(true)));
    let script = Script::listen(&tree, "rootfs/run/systemd/private", Box::new(told));
    assert!(!tree.host().has_line(Line::System) && tree.host().has_line(Line::Systemd));
    let mut bus = tree.host().dial(Line::Systemd, LONG).unwrap();
    let question = Question::property("a.b", "/a", "a.b.I", "P");
    bus.ask_all([question], |_, value| assert_eq!(value, Ok(Value::Truth(true)))).unwrap();
    assert_eq!(*script.heard.lock().unwrap(), ["/a a.b.I.P"]);
}

#[test]
fn where_nobody_listens_there_is_no_bus() {
    let tree = Tree::new(&[("rootfs/run/dbus/", "")]);
    assert!(dial(&tree).unwrap_err().is_absent());
    drop(UnixListener::bind(format!("{}/{SOCKET}", tree.path())).unwrap());
    let error = dial(&tree).unwrap_err();
    assert!(matches!(error, Error::Io { errno: Errno::CONNREFUSED, .. }), "{error}");
}

#[test]
fn one_that_never_answers_is_left() {
    let tree = Tree::new(&[("rootfs/run/dbus/", "")]);
    let listener = UnixListener::bind(format!("{}/{SOCKET}", tree.path())).unwrap();
    let host = tree.host();
    for _ in 0..2 {
        let begun = Instant::now();
        let error = host.dial(Line::System, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.reason(), "stuck", "{error}");
        assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < LONG);
    }
    drop(listener);

    let tree = Tree::new(&[]);
    let _script = bus(&tree, |_, _| Said::Nothing);
    let mut bus = tree.host().dial(Line::System, Duration::from_secs(2)).unwrap();
    let error = bus.ask(&method("List")).unwrap_err();
    assert_eq!(error.reason(), "stuck");
    assert!(error.to_string().ends_with("system_bus_socket: List: no answer in time"), "{error}");
}

#[test]
fn one_where_many_wait_to_be_let_in_is_left() {
    let tree = Tree::new(&[("rootfs/run/dbus/", "")]);
    let path = format!("{}/{SOCKET}", tree.path());
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(path.as_str()).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let error = tree.host().dial(Line::System, Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.reason(), "stuck", "{error}");
}

#[test]
fn one_that_breaks_off_or_talks_nonsense_is_left_at_once() {
    let long = || Said::Rows("a(s)", vec![vec![Said::Text("one")]; 1000]);
    for (said, reason) in [
        (Said::Half(Box::new(long())), "gone"),
        (Said::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), "malformed"),
        (Said::Bytes(b"l\x02\0\x01\0\0\0\x7f\0\0\0\0\0\0\0\0".to_vec()), "too_large"),
    ] {
        let tree = Tree::new(&[]);
        let _script = bus(&tree, move |_, _| said.clone());
        let error = dial(&tree).unwrap().ask(&method("List")).unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
    }
    // Before the first message, too.
    let tree = Tree::new(&[("rootfs/run/dbus/", "")]);
    let listener = UnixListener::bind(format!("{}/{SOCKET}", tree.path())).unwrap();
    std::thread::spawn(move || drop(listener.accept()));
    assert_eq!(dial(&tree).unwrap_err().reason(), "gone");
}

#[test]
fn errors_by_their_names() {
    for (name, reason) in [
        ("org.freedesktop.DBus.Error.ServiceUnknown", "absent"),
        ("org.freedesktop.systemd1.NoSuchUnit", "absent"),
        ("org.freedesktop.DBus.Error.UnknownInterface", "absent"),
        ("org.freedesktop.DBus.Error.AccessDenied", "denied"),
        ("org.freedesktop.DBus.Error.NoReply", "gone"),
        ("org.freedesktop.DBus.Error.Timeout", "stuck"),
        ("org.freedesktop.DBus.Error.LimitsExceeded", "other"),
        ("", "other"),
    ] {
        assert_eq!(refusal(name, "/x", "List").reason(), reason, "{name}");
    }
}
