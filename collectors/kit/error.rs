//! What can go wrong while reading the machine. Every variant names the file.

use rustix::io::Errno;
use std::fmt;

/// A failed read, or a failed round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not on this machine or kernel.
    Absent {
        /// What was looked for.
        path: String,
    },
    /// The kernel refuses.
    Denied {
        /// What was asked for.
        path: String,
        /// What would grant it.
        grant: &'static str,
    },
    /// The thing died between listing and reading.
    Gone {
        /// What was read.
        path: String,
    },
    /// The read failed: a sensor that is offline, a device that does not answer.
    Io {
        /// What was read.
        path: String,
        /// What the kernel answered.
        errno: Errno,
    },
    /// It is larger than anything the kernel prints there.
    TooLarge {
        /// What was read.
        path: String,
        /// How many bytes are accepted.
        limit: usize,
    },
    /// It does not read as it should.
    Malformed {
        /// What was read.
        path: String,
        /// The line, counted from 1; 0 if the whole is meant.
        line: u32,
        /// What was expected there.
        expected: &'static str,
    },
    /// It did not answer in time.
    Stuck {
        /// What was asked.
        path: String,
    },
    /// Any other reason, in words that do not change from round to round.
    Other {
        /// What was read.
        path: String,
        /// What was wrong.
        why: String,
    },
}

impl Error {
    /// The error for what the kernel answered about `path`.
    pub fn from_errno(path: &str, errno: Errno) -> Self {
        let path = path.to_owned();
        match errno {
            Errno::NOENT | Errno::NOTDIR => Error::Absent { path },
            Errno::ACCESS | Errno::PERM => {
                let grant = super::rights::grant(&path, errno);
                Error::Denied { path, grant }
            }
            Errno::NODEV | Errno::SRCH | Errno::NXIO => Error::Gone { path },
            errno => Error::Io { path, errno },
        }
    }

    /// The error for what an I/O call of the standard library answered about `path`.
    pub fn from_io(path: &str, error: &std::io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::from_errno(path, errno),
            None => Error::Other { path: path.to_owned(), why: error.to_string() },
        }
    }

    /// A file, or a line of it, that does not read as it should.
    pub fn malformed(path: &str, line: u32, expected: &'static str) -> Self {
        Error::Malformed { path: path.to_owned(), line, expected }
    }

    /// One word for the label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Absent { .. } => "absent",
            Error::Denied { .. } => "denied",
            Error::Gone { .. } => "gone",
            Error::Io { .. } => "io",
            Error::TooLarge { .. } => "too_large",
            Error::Malformed { .. } => "malformed",
            Error::Stuck { .. } => "stuck",
            Error::Other { .. } => "other",
        }
    }

    /// Whether it only says that this driver or kernel does not do such things.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Error::Io { errno: Errno::OPNOTSUPP, .. })
    }

    /// Whether it only says that this machine has no such thing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Error::Absent { .. })
    }

    /// Whether there is nothing to tell: the thing is not there, or not now (ENODEV), or it has no such value
    /// (EOPNOTSUPP, ENODATA). Of an optional attribute that is no fault.
    pub fn is_nothing(&self) -> bool {
        match self {
            Error::Absent { .. } | Error::Gone { .. } => true,
            Error::Io { errno, .. } => matches!(*errno, Errno::OPNOTSUPP | Errno::NODATA),
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Absent { path } => write!(f, "{path}: not on this machine"),
            Error::Denied { path, grant } => write!(f, "{path}: permission denied (needs {grant})"),
            Error::Gone { path } => write!(f, "{path}: gone while it was read"),
            Error::Io { path, errno } => write!(f, "{path}: {errno}"),
            Error::TooLarge { path, limit } => write!(f, "{path}: larger than {limit} bytes"),
            Error::Malformed { path, line: 0, expected } => write!(f, "{path}: expected {expected}"),
            Error::Malformed { path, line, expected } => write!(f, "{path}:{line}: expected {expected}"),
            Error::Stuck { path } => write!(f, "{path}: no answer in time"),
            Error::Other { path, why } => write!(f, "{path}: {why}"),
        }
    }
}

impl std::error::Error for Error {}
