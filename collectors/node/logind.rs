//! logind, over D-Bus: the sessions of users on this machine.

use crate::kit::bus::{Body, Line, Question, Value};
use crate::kit::{Error, Host, Options};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::BTreeMap;
use std::time::Duration;

const SERVICE: &str = "org.freedesktop.login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const PATH: &str = "/org/freedesktop/login1";
/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many seats are told of; each has 70 series.
const SEATS_MAX: usize = 1000;

const LABELS: &[&str; 4] = &["class", "remote", "seat", "type"];
const REMOTE: [&str; 2] = ["true", "false"];
/// Types and classes that newer versions know are counted under the first word.
const TYPES: [&str; 7] = ["other", "unspecified", "tty", "x11", "wayland", "mir", "web"];
const CLASSES: [&str; 5] = ["other", "user", "greeter", "lock-screen", "background"];

static SESSIONS: Family = gauge("node_logind_sessions", "Sessions that logind keeps track of.", LABELS);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "logind", "Sessions of users, from systemd-logind over D-Bus.", &[&SESSIONS], open)
};

struct Logind;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(host.has_line(Line::System).then(|| Box::new(Logind) as Box<dyn Collector>))
}

/// What is known of a session: its seat, and places in the lists above.
#[derive(Clone, Copy, Debug, Default)]
struct Session<'a> {
    seat: &'a str,
    remote: Option<usize>,
    kind: Option<usize>,
    class: Option<usize>,
}

impl Collector for Logind {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let mut bus = host.dial(Line::System, PATIENCE)?;
        let list = bus.ask(&Question::method(SERVICE, PATH, MANAGER, "ListSeats"))?;
        let mut seats = list.body().and_then(seats).ok_or_else(|| Error::malformed("ListSeats", 0, "rows of seats"))?;
        // Where sessions from elsewhere sit.
        seats.push("");
        seats.dedup();
        let list = bus.ask(&Question::method(SERVICE, PATH, MANAGER, "ListSessions"))?;
        let found = list.body().and_then(sessions);
        let found = found.ok_or_else(|| Error::malformed("ListSessions", 0, "rows of sessions"))?;
        let mut known: Vec<_> = found.iter().map(|(seat, _)| Session { seat, ..Session::default() }).collect();
        let questions = found.iter().flat_map(|(_, path)| {
            ["Remote", "Type", "Class"].map(|property| Question::property(SERVICE, path, SESSION, property))
        });
        bus.ask_all(questions, |number, value| match (known.get_mut(number / 3), number % 3, value) {
            (Some(session), 0, Ok(Value::Truth(remote))) => session.remote = Some(usize::from(!remote)),
            (Some(session), 1, Ok(Value::Text(kind))) => session.kind = Some(place(&TYPES, kind)),
            (Some(session), 2, Ok(Value::Text(class))) => session.class = Some(place(&CLASSES, class)),
            // Sessions end while they are asked.
            (_, _, Err(error)) if error.is_nothing() => {}
            (_, _, Err(error)) => out.fault(error),
            _ => out.fault(Error::malformed("Session", 0, "a truth and two texts")),
        })?;
        put(&seats, &known, out);
        Ok(())
    }
}

/// Puts every combination there is. A session of which something could not be read is left out.
fn put(seats: &[&str], known: &[Session<'_>], out: &mut Batch) {
    let mut counts = BTreeMap::<_, u64>::new();
    for session in known {
        if let (Some(remote), Some(kind), Some(class)) = (session.remote, session.kind, session.class) {
            *counts.entry((session.seat, remote, kind, class)).or_default() += 1;
        }
    }
    for seat in seats {
        for (remote, from) in REMOTE.iter().enumerate() {
            for (kind, typed) in TYPES.iter().enumerate() {
                for (class, name) in CLASSES.iter().enumerate() {
                    let of = out.entity(LABELS, [name, from, seat, typed]);
                    out.put(&SESSIONS, of, counts.get(&(*seat, remote, kind, class)).copied().unwrap_or(0));
                }
            }
        }
    }
}

fn place(known: &[&str], word: &str) -> usize {
    known.iter().position(|known| *known == word).unwrap_or(0)
}

/// Rows of `(name, path)`: the names, sorted.
fn seats(body: Body<'_>) -> Option<Vec<&str>> {
    let mut seats = Vec::new();
    body.rows("a(so)", |row| {
        let (name, _) = (row.text()?, row.text()?);
        if seats.len() < SEATS_MAX && !name.is_empty() {
            seats.push(name);
        }
        Some(())
    })?;
    seats.sort_unstable();
    Some(seats)
}

/// Rows of `(name, user, name of user, seat, path)`: seats and paths.
fn sessions(body: Body<'_>) -> Option<Vec<(&str, &str)>> {
    let mut sessions = Vec::new();
    body.rows("a(susso)", |row| {
        let _ = (row.text()?, row.number()?, row.text()?);
        sessions.push((row.text()?, row.text()?));
        Some(())
    })?;
    Some(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::bus::script::{Said, Script};
    use crate::kit::testing::Tree;

    const SOCKET: &str = "rootfs/run/dbus/system_bus_socket";

    fn said(path: &str, asked: &str) -> Said<'static> {
        let session = |name, seat, path| {
            vec![Said::Text(name), Said::Number(1000), Said::Text("someone"), Said::Text(seat), Said::Text(path)]
        };
        let text = |text| Said::Property(Box::new(Said::Text(text)));
        match (asked.trim_start_matches("org.freedesktop.login1."), path) {
            ("Manager.ListSeats", _) => Said::Rows("a(so)", vec![vec![Said::Text("seat0"), Said::Text("/seat0")]]),
            ("Manager.ListSessions", _) => Said::Rows(
                "a(susso)",
                vec![
                    session("1", "seat0", "/1"),
                    session("2", "", "/2"),
                    session("c3", "", "/3"),
                    session("4", "", "/gone"),
                    session("5", "seat7", "/5"),
                ],
            ),
            (_, "/gone") => Said::Error("org.freedesktop.DBus.Error.UnknownObject"),
            ("Session.Remote", path) => Said::Property(Box::new(Said::Truth(path == "/2"))),
            ("Session.Type", "/1") => text("wayland"),
            ("Session.Type", "/3") => text("hologram"),
            ("Session.Type", _) => text("tty"),
            ("Session.Class", "/3") => text("manager"),
            ("Session.Class", _) => text("user"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sessions_by_where_they_are() {
        let tree = Tree::new(&[]);
        let _script = Script::listen(&tree, SOCKET, Box::new(said));
        let round = tree.open(&SPEC, &[]).round();
        let some: Vec<_> = round.lines().filter(|line| !line.ends_with(" 0")).collect();
        // What is empty is no label.
        let expected = [
            "node_logind_sessions{class=\"user\",remote=\"false\",seat=\"seat0\",type=\"wayland\"} 1",
            "node_logind_sessions{class=\"user\",remote=\"true\",type=\"tty\"} 1",
            "node_logind_sessions{class=\"other\",remote=\"false\",type=\"other\"} 1",
        ];
        assert_eq!(some, expected);
        assert_eq!(round.lines().count(), 140);
    }

    #[test]
    fn without_logind_there_is_nothing() {
        let tree = Tree::new(&[]);
        tree.check(&SPEC, &[], "absent\n");
        let told = |_: &str, _: &str| Said::Error("org.freedesktop.DBus.Error.ServiceUnknown");
        let _script = Script::listen(&tree, SOCKET, Box::new(told));
        tree.check(&SPEC, &[], "! absent\n");
    }
}
