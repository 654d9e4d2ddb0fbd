//! Why a runtime did not tell.

use h2::Error as Http2;
use std::fmt;
use std::io::{self, ErrorKind};

/// How much of what a runtime says about a failure is kept.
const WORDS_MAX: usize = 200;

/// Why a runtime did not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no such socket.
    Absent,
    /// This process may not connect.
    Denied,
    /// Nobody listens, or too many ask already.
    Refused(String),
    /// There was no answer in time.
    Late,
    /// The connection ended early.
    Closed(String),
    /// The answer is longer than any that is taken.
    TooLong,
    /// The answer is none.
    Malformed(&'static str),
    /// It answered that it can't.
    Unable(String),
}

impl Failure {
    /// Why there is no connection.
    pub(super) fn to_connect(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Failure::Absent,
            ErrorKind::PermissionDenied => Failure::Denied,
            ErrorKind::WouldBlock => Failure::Refused("too many connections wait already".to_owned()),
            _ => Failure::Refused(error.to_string()),
        }
    }

    /// What the runtime said, with nothing in it that would spoil a line.
    pub(super) fn unable(said: &str) -> Self {
        let line = |c: char| if c.is_control() { ' ' } else { c };
        Failure::Unable(said.chars().take(WORDS_MAX).map(line).collect())
    }
}

impl From<Http2> for Failure {
    fn from(error: Http2) -> Self {
        match error.is_io() || error.is_go_away() || error.is_reset() {
            true => Failure::Closed(error.to_string()),
            false => Failure::Malformed("HTTP/2"),
        }
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        match error.is_parse() {
            true => Failure::Malformed("HTTP"),
            false => Failure::Closed(error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Absent => f.write_str("no such socket"),
            Failure::Denied => f.write_str("permission denied"),
            Failure::Refused(why) => write!(f, "no connection: {why}"),
            Failure::Late => f.write_str("no answer in time"),
            Failure::Closed(why) => write!(f, "the connection ended: {why}"),
            Failure::TooLong => f.write_str("an answer that is too long"),
            Failure::Malformed(expected) => write!(f, "expected {expected}"),
            Failure::Unable(said) => write!(f, "refused: {said}"),
        }
    }
}
