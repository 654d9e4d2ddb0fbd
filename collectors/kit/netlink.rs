//! Netlink: what the kernel tells in messages and not in files (queues, routes, sockets, radios).
//!
//! A request is answered in datagrams of messages; each is a header, a struct of the kernel and attributes. Most requests
//! on rtnetlink wait for the RTNL lock, which may be held for seconds while interfaces are made: a collector that asks is
//! [`crate::Pace::Apart`]. All numbers are in the machine's byte order.

use super::{Error, Host, Root};
use rustix::io::Errno;
use std::net::IpAddr;
use std::time::Duration;

mod script;
mod socket;
mod watch;

pub use watch::LinkNews;

pub(super) use script::script;
use socket::Ending;
pub(super) use socket::{Door, Sockets};

/// How often is asked anew when the kernel says that its answer is not of one piece.
const ATTEMPTS: usize = 3;
const HEADER: usize = 16;

/// The kernel's subsystem that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `NETLINK_ROUTE`: interfaces, addresses, routes, queues.
    Route,
    /// `NETLINK_SOCK_DIAG`: sockets.
    SockDiag,
    /// `NETLINK_GENERIC`: families that have numbers only at run time.
    Generic,
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who is asked.
    pub protocol: Protocol,
    /// What is asked for, in one word: for errors, and the name of its file in `calls/netlink/`.
    pub name: &'a str,
    /// The type of message.
    pub kind: u16,
    /// Whether all there is is asked for, and not one thing.
    pub is_dump: bool,
    /// What stands behind the header.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Asks for all there is.
    pub fn dump(protocol: Protocol, name: &'a str, kind: u16, body: &'a [u8]) -> Self {
        Self { protocol, name, kind, is_dump: true, body }
    }

    /// Asks for one thing.
    pub fn one(protocol: Protocol, name: &'a str, kind: u16, body: &'a [u8]) -> Self {
        Self { protocol, name, kind, is_dump: false, body }
    }
}

/// A message of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    flags: u16,
    sequence: u32,
    /// What stands behind the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes behind a struct of `size` bytes.
    pub fn attributes(&self, size: usize) -> impl Iterator<Item = (u16, &'a [u8])> {
        attributes(self.body.get(size..).unwrap_or_default())
    }
}

/// The attributes one after the other, by type. What is cut short ends them.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// All but `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
    const TYPE: u16 = 0x3fff;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & TYPE, value))
    })
}

/// Appends an attribute to a request.
pub fn push_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The number at a place.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_ne_bytes)
}

/// The number at a place.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_ne_bytes)
}

/// The number at a place.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_ne_bytes)
}

/// So many bytes from a place on.
pub fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// An address of `AF_INET` or `AF_INET6`.
pub fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        2 => array_at::<4>(bytes, 0).map(IpAddr::from),
        10 => array_at::<16>(bytes, 0).map(IpAddr::from),
        _ => None,
    }
}

/// Text up to its zero; what is not UTF-8 is replaced.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The messages of a datagram that answer the request of this number, as far as they read.
pub(super) fn messages(datagram: &[u8], sequence: u32, each: &mut dyn FnMut(&Message<'_>)) {
    let _ = socket::take_in(datagram, sequence, &mut Ending::Whole, each);
}

impl Host {
    /// Asks, and has `each` take in the messages of the answer one by one. An answer that is not of one piece, as
    /// something was added or removed meanwhile, is asked for anew, up to three times; then it is taken as it is.
    ///
    /// # Errors
    /// What the kernel answered, or that it did not in time, with the request's name.
    pub fn netlink<T: Default>(
        &mut self,
        request: &Request<'_>,
        mut each: impl FnMut(&mut T, &Message<'_>),
    ) -> Result<T, Error> {
        for attempt in 1.. {
            let mut said = T::default();
            match self.exchange(request, &mut |message| each(&mut said, message)) {
                Ok(Ending::Whole) => return Ok(said),
                Ok(Ending::Pieces) if attempt >= ATTEMPTS => return Ok(said),
                // The socket was full, or the buffer too small, which now is larger: some messages are lost.
                Err(errno @ (Errno::NOBUFS | Errno::MSGSIZE)) if attempt >= ATTEMPTS => {
                    return Err(failed(request.name, errno));
                }
                Ok(Ending::Pieces) | Err(Errno::NOBUFS | Errno::MSGSIZE) => {}
                Err(errno) => return Err(failed(request.name, errno)),
            }
        }
        Err(failed(request.name, Errno::IO))
    }

    /// Asks in the network namespace of a process, which takes CAP_SYS_ADMIN and CAP_SYS_PTRACE, and until a moment of
    /// [`Host::monotonic`]. The socket is closed then: it would keep the namespace alive.
    ///
    /// # Errors
    /// What the kernel answered, or that it did not in time. A machine of files has no other namespaces.
    pub fn netlink_of<T: Default>(
        &mut self,
        pid: u32,
        request: &Request<'_>,
        until: Duration,
        mut each: impl FnMut(&mut T, &Message<'_>),
    ) -> Result<T, Error> {
        self.resolve(Root::Proc, format_args!("{pid}/ns/net"))?;
        if self.machine.replay.is_some() {
            return Err(Error::Absent { path: self.path.clone() });
        }
        let network = self.open()?;
        let patience = until.saturating_sub(self.monotonic());
        let mut said = T::default();
        let ask = || {
            let mut socket = Sockets::within(network, request.protocol, patience)?;
            socket.exchange(&self.machine, request, &mut self.buffer, &mut |message| each(&mut said, message))
        };
        ask().map_err(|errno| failed(request.name, errno))?;
        Ok(said)
    }

    fn exchange(&mut self, request: &Request<'_>, each: &mut dyn FnMut(&Message<'_>)) -> Result<Ending, Errno> {
        if let Some(replay) = &self.machine.replay {
            let recorded = replay.netlink.get(request.name).ok_or(Errno::NOENT)?;
            let mut ending = Ending::Whole;
            return socket::take_in(recorded, 0, &mut ending, each).map(|_| ending);
        }
        let ending = self.sockets.exchange(&self.machine, request, &mut self.buffer, each);
        if ending.is_err() {
            // Answers that come late are to meet nobody.
            self.sockets.close(Door::Netlink(request.protocol));
        }
        ending
    }

    /// The name of an interface, by its number; `None` if there is none (any more). This takes no lock.
    pub fn interface(&mut self, index: u32) -> Option<String> {
        if let Some(replay) = &self.machine.replay {
            return replay.interfaces.get(&index).cloned();
        }
        let socket = self.sockets.open(&self.machine, Door::Ioctl).ok()?;
        rustix::net::netdevice::index_to_name(socket, index).ok()
    }
}

/// The error for what the kernel answered to a request.
fn failed(name: &str, errno: Errno) -> Error {
    let path = format!("netlink {name}");
    match errno {
        Errno::PERM | Errno::ACCESS => Error::Denied {
            path,
            grant: "the machine's own network, with CAP_NET_ADMIN or, from another network, CAP_SYS_ADMIN",
        },
        Errno::AFNOSUPPORT => Error::Denied { path, grant: "AF_NETLINK and AF_UNIX in RestrictAddressFamilies" },
        Errno::PROTONOSUPPORT => Error::Absent { path },
        Errno::AGAIN => Error::Stuck { path },
        Errno::BADMSG => Error::malformed(&path, 0, "messages of netlink"),
        errno => Error::from_errno(&path, errno),
    }
}

#[cfg(test)]
mod tests;
