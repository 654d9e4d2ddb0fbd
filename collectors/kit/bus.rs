//! D-Bus, as far as it takes to ask: methods without arguments, and properties.
//!
//! A connection lasts for one round. One that is kept and not read is harm done to others: systemd sends every change of
//! a unit to whoever is connected to its own socket, and would have to keep it all. Questions are sent many at a time and
//! answered in any order, so a thousand of them take a few switches between processes. Nobody is started for being asked,
//! and nothing waits beyond the time that the whole round has.

use super::{Error, Host, Root};
use address::Place;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::time::{Duration, Instant};

mod address;
#[cfg(test)]
pub(crate) mod script;
#[cfg(test)]
mod tests;
mod wire;

pub use wire::{Body, Value, Values};

/// Reads bytes in every way in which those of a bus are read: for the fuzzer.
pub(super) fn read_anyhow(bytes: &[u8]) {
    address::sockets(&String::from_utf8_lossy(bytes)).for_each(drop);
    if let Some(length) = bytes.first_chunk().and_then(wire::length_of) {
        assert!(length >= wire::HEAD, "a message is as long as its head at least");
    }
    if let Some(wire::Message { body: Ok(body), .. }) = wire::message(bytes) {
        let _ = body.value();
        for signature in ["a(ssssssouso)", "a(susso)", "a(su)"] {
            let mut rows = 0;
            body.rows(signature, |row| {
                rows += 1;
                row.text().map(drop).or_else(|| row.number().map(drop))
            });
            assert!(rows <= bytes.len(), "each row takes a byte at least");
        }
    }
}

/// How many questions are on their way at a time. A bus keeps track of each, and has limits.
const WINDOW: usize = 64;
/// How much is taken from a socket at a time.
const PART: usize = 32 << 10;
/// How much may be said in one round, signals to everybody included.
const RECEIVED_MAX: usize = 256 << 20;
/// How long a line of the handshake may be.
const LINE_MAX: usize = 4096;

/// A way to those who are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The machine's bus.
    System,
    /// systemd's own socket: for root only, and with nobody in between.
    Systemd,
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    of: &'a str,
    path: &'a str,
    interface: &'a str,
    method: &'a str,
    property: Option<&'a str>,
}

impl<'a> Question<'a> {
    /// Calls a method of the object at `path` of the service `of`.
    pub fn method(of: &'a str, path: &'a str, interface: &'a str, method: &'a str) -> Self {
        Self { of, path, interface, method, property: None }
    }

    /// Asks for a property.
    pub fn property(of: &'a str, path: &'a str, interface: &'a str, property: &'a str) -> Self {
        Self { of, path, interface, method: "", property: Some(property) }
    }

    fn name(&self) -> &'a str {
        self.property.unwrap_or(self.method)
    }
}

/// The answer to one question.
#[derive(Debug)]
pub struct Answer(Vec<u8>);

impl Answer {
    /// What it says.
    pub fn body(&self) -> Option<Body<'_>> {
        wire::message(&self.0)?.body.ok()
    }
}

/// A connection. It is closed when it is dropped.
#[derive(Debug)]
pub struct Bus {
    socket: OwnedFd,
    /// What errors call it.
    name: String,
    until: Instant,
    serial: u32,
    unsent: Vec<u8>,
    /// What has come and was not taken: `at` to `filled`.
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    received: usize,
}

impl Host {
    /// Whether the machine has a socket there.
    pub fn has_line(&self, line: Line) -> bool {
        // Whether an abstract one is there, only a connection can tell.
        self.places(line).iter().any(|place| place.path().is_none_or(std::path::Path::exists))
    }

    /// Connects. All that is asked over the connection is answered within `patience`, or fails.
    ///
    /// # Errors
    /// Nobody listens, or does not let us in, or does not answer.
    pub fn dial(&self, line: Line, patience: Duration) -> Result<Bus, Error> {
        let until = Instant::now() + patience;
        let mut failed = Error::Absent { path: "D-Bus".to_owned() };
        for place in self.places(line) {
            match Bus::open(&place, line, until) {
                Ok(bus) => return Ok(bus),
                Err(error @ Error::Stuck { .. }) => return Err(error),
                Err(error) if error.is_absent() && !failed.is_absent() => {}
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Below the machine's root, if that is seen elsewhere; and where we see it ourselves, as containers have it mounted.
    fn places(&self, line: Line) -> Vec<Place> {
        let paths: &[&str] = match (line, &self.machine.roots.system_bus) {
            (Line::System, Some(address)) => return address::sockets(address).collect(),
            (Line::System, None) => &["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"],
            (Line::Systemd, _) => &["/run/systemd/private"],
        };
        let root = Some(self.root(Root::Rootfs)).filter(|root| !root.is_empty());
        let below = root.into_iter().flat_map(|root| paths.iter().map(move |path| Place::at(format!("{root}{path}"))));
        let own = paths.iter().filter(|_| self.machine.replay.is_none()).map(|path| Place::at((*path).to_owned()));
        below.chain(own).collect()
    }
}

impl Bus {
    fn open(place: &Place, line: Line, until: Instant) -> Result<Self, Error> {
        let digits = rustix::process::geteuid().as_raw().to_string();
        let user: String = digits.bytes().map(|digit| format!("{digit:02x}")).collect();
        let mut bus = match Self::introduced(place, until, &format!("AUTH EXTERNAL {user}\r\n"))? {
            Some(bus) => bus,
            // In a user namespace we have another number than out there: let the other end say which.
            None => Self::introduced(place, until, "AUTH EXTERNAL\r\nDATA\r\n")?
                .ok_or_else(|| Error::Denied { path: place.told(), grant: "a user that is let in there" })?,
        };
        if line == Line::System {
            const BUS: &str = "org.freedesktop.DBus";
            bus.ask(&Question::method(BUS, "/org/freedesktop/DBus", BUS, "Hello"))?;
        }
        Ok(bus)
    }

    /// Connects and says who we are; the kernel vouches for it. `None`: we were turned away.
    fn introduced(place: &Place, until: Instant, words: &str) -> Result<Option<Self>, Error> {
        let name = place.told();
        let socket = connect(place, until).map_err(|errno| match errno {
            Errno::AGAIN => Error::Stuck { path: name.clone() },
            Errno::ACCESS => {
                Error::Denied { path: name.clone(), grant: "root, or a mode that lets this user write to it" }
            }
            errno => Error::from_errno(&name, errno),
        })?;
        // The end is said beforehand: systemd does not look at a message that it received together with it.
        let unsent = format!("\0{words}BEGIN\r\n").into_bytes();
        let mut bus =
            Self { socket, name, until, serial: 0, unsent, buffer: Vec::new(), at: 0, filled: 0, received: 0 };
        loop {
            let line = bus.line().map_err(|errno| bus.error(errno, "AUTH"))?;
            match line.split(|byte| *byte == b' ').next() {
                Some(b"OK") => return Ok(Some(bus)),
                Some(b"DATA") => {}
                Some(b"REJECTED" | b"ERROR") => return Ok(None),
                _ => return Err(bus.error(Errno::BADMSG, "AUTH")),
            }
        }
    }

    /// A line of the handshake.
    fn line(&mut self) -> Result<Vec<u8>, Errno> {
        loop {
            let here = &self.buffer[self.at..self.filled];
            if let Some(end) = here.windows(2).position(|two| two == b"\r\n") {
                let line = here[..end].to_vec();
                self.at += end + 2;
                return Ok(line);
            }
            if here.len() > LINE_MAX {
                return Err(Errno::BADMSG);
            }
            self.exchange()?;
        }
    }

    /// Asks one question.
    ///
    /// # Errors
    /// What the other end answered, or that it does not.
    pub fn ask(&mut self, question: &Question<'_>) -> Result<Answer, Error> {
        let mut answer = Err(Error::Gone { path: self.name.clone() });
        let keep = |_, found: Result<&[u8], Error>| answer = found.map(|bytes| Answer(bytes.to_vec()));
        self.run(std::iter::once(*question), keep)?;
        self.settle();
        answer
    }

    /// Asks many questions at a time, and hands on the answers as they come, with the number of the question.
    ///
    /// # Errors
    /// The connection is of no more use; a question that is refused is handed on as any answer.
    pub fn ask_all<'q>(
        &mut self,
        questions: impl IntoIterator<Item = Question<'q>>,
        mut each: impl FnMut(usize, Result<Value<'_>, Error>),
    ) -> Result<(), Error> {
        let name = self.name.clone();
        self.run(questions.into_iter(), |number, found| {
            let value = found.and_then(|bytes| {
                let body = wire::message(bytes).and_then(|found| found.body.ok());
                body.and_then(Body::value).ok_or_else(|| Error::malformed(&name, 0, "one value"))
            });
            each(number, value);
        })
    }

    fn run<'q>(
        &mut self,
        mut questions: impl Iterator<Item = Question<'q>>,
        mut each: impl FnMut(usize, Result<&[u8], Error>),
    ) -> Result<(), Error> {
        let mut open: Vec<(u32, usize, &str)> = Vec::with_capacity(WINDOW);
        let mut asked = 0;
        loop {
            while let Some(length) = self.whole().map_err(|errno| self.error(errno, "an answer"))? {
                let bytes = &self.buffer[self.at..self.at + length];
                self.at += length;
                let Some(message) = wire::message(bytes) else { return Err(self.error(Errno::BADMSG, "an answer")) };
                let at = open.iter().position(|(serial, ..)| Some(*serial) == message.answers);
                let Some((_, number, about)) = at.map(|at| open.swap_remove(at)) else { continue };
                each(number, message.body.map(|_| bytes).map_err(|error| refusal(error, &self.name, about)));
            }
            while open.len() < WINDOW
                && let Some(question) = questions.next()
            {
                self.serial = self.serial.wrapping_add(1).max(1);
                wire::write(&mut self.unsent, self.serial, &question);
                open.push((self.serial, asked, question.name()));
                asked += 1;
            }
            let Some(&(.., about)) = open.first() else { return Ok(()) };
            self.exchange().map_err(|errno| self.error(errno, about))?;
        }
    }

    /// The length of the first message, if all of it is here.
    fn whole(&self) -> Result<Option<usize>, Errno> {
        let here = &self.buffer[self.at..self.filled];
        let Some(head) = here.first_chunk() else { return Ok(None) };
        match wire::length_of(head).ok_or(Errno::BADMSG)? {
            length if length > wire::MESSAGE_MAX => Err(Errno::FBIG),
            length => Ok((length <= here.len()).then_some(length)),
        }
    }

    /// Sends what is to be sent, and waits until something comes.
    fn exchange(&mut self) -> Result<(), Errno> {
        loop {
            if !self.unsent.is_empty() {
                match rustix::net::send(&self.socket, &self.unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                    Ok(sent) => drop(self.unsent.drain(..sent)),
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::TIMEDOUT);
            }
            let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
            let wanted = if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            let mut ready = [PollFd::new(&self.socket, wanted)];
            match poll(&mut ready, Some(&left)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            self.make_room();
            match rustix::net::recv(&self.socket, &mut self.buffer[self.filled..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(Errno::NODEV),
                Ok((length, _)) => {
                    self.filled += length;
                    self.received += length;
                    return if self.received > RECEIVED_MAX { Err(Errno::NOBUFS) } else { Ok(()) };
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn make_room(&mut self) {
        if self.at > 0 {
            self.buffer.copy_within(self.at..self.filled, 0);
            self.filled -= self.at;
            self.at = 0;
        }
        if self.buffer.len() < self.filled + PART {
            self.buffer.resize((2 * self.filled).max(2 * PART), 0);
        }
    }

    /// Gives back what an unusually long answer took.
    fn settle(&mut self) {
        if self.buffer.len() > 8 * PART && self.filled == self.at {
            (self.buffer, self.at, self.filled) = (Vec::new(), 0, 0);
        }
    }

    fn error(&self, errno: Errno, about: &str) -> Error {
        let path = format!("{}: {about}", self.name);
        match errno {
            Errno::TIMEDOUT => Error::Stuck { path },
            Errno::BADMSG => Error::Malformed { path, line: 0, expected: "D-Bus" },
            Errno::FBIG => Error::TooLarge { path, limit: wire::MESSAGE_MAX },
            Errno::NOBUFS => Error::TooLarge { path, limit: RECEIVED_MAX },
            Errno::PIPE | Errno::CONNRESET => Error::Gone { path },
            errno => Error::from_errno(&path, errno),
        }
    }
}

fn connect(place: &Place, until: Instant) -> Result<OwnedFd, Errno> {
    let address = place.to_socket()?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Where many wait to be let in, connecting waits too.
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    set_socket_timeout(&socket, Timeout::Send, Some(left))?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// The error that stands in an answer, by its name: `org.freedesktop.DBus.Error.UnknownProperty`.
fn refusal(name: &str, bus: &str, about: &str) -> Error {
    let path = format!("{bus}: {about}");
    match name.rsplit('.').next().unwrap_or_default() {
        "NameHasNoOwner" | "ServiceUnknown" => Error::Absent { path },
        word if word.starts_with("Unknown") || word.starts_with("NoSuch") => Error::Absent { path },
        "AccessDenied" | "InteractiveAuthorizationRequired" => {
            Error::Denied { path, grant: "root, or a policy of the bus that lets this user ask" }
        }
        "NoReply" | "Disconnected" => Error::Gone { path },
        "Timeout" | "TimedOut" => Error::Stuck { path },
        _ => Error::Other { path, why: name.chars().filter(|c| c.is_ascii_graphic()).take(100).collect() },
    }
}
