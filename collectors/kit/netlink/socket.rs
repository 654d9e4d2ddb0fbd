//! The sockets: one for each subsystem, kept, in the machine's own network namespace.

use super::{HEADER, Message, Protocol, Request, array_at, u16_at, u32_at};
use crate::kit::Machine;
use crate::kit::handles::Permit;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the kernel may take for a part of an answer, and for all of it.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_IN_ALL: Duration = Duration::from_secs(10);
/// The kernel makes parts of at most 32 KiB, unless one message alone is larger.
const PART: usize = 32 << 10;
const PART_MAX: usize = 4 << 20;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLMSG_NOOP`, `NLMSG_ERROR`, `NLMSG_DONE`, `NLMSG_OVERRUN`: types of messages that are about the answer itself.
const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;
/// The largest number that the kernel has for an error.
const ERRNO_MAX: i32 = 4095;

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kit) enum Door {
    /// Netlink.
    Netlink(Protocol),
    /// The ioctls of interfaces.
    Ioctl,
}

/// Whether an answer is of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is.
    Whole,
    /// Something was added or removed while it was put together.
    Pieces,
}

/// The sockets of one [`crate::kit::Host`], opened when they are first wanted.
#[derive(Debug, Default)]
pub(in crate::kit) struct Sockets {
    open: Vec<(Door, OwnedFd, Option<Permit>)>,
    sequence: u32,
    /// How long the kernel may take for an answer, if not as long as usual.
    patience: Option<Duration>,
}

impl Sockets {
    /// One socket in another network namespace, which lives on as long as the socket does.
    pub(super) fn within(network: OwnedFd, protocol: Protocol, patience: Duration) -> Result<Self, Errno> {
        let door = Door::Netlink(protocol);
        Ok(Self { open: vec![(door, create_in(network, door)?, None)], sequence: 0, patience: Some(patience) })
    }

    pub(in crate::kit) fn open(&mut self, machine: &Arc<Machine>, door: Door) -> Result<BorrowedFd<'_>, Errno> {
        let at = match self.open.iter().position(|(known, ..)| *known == door) {
            Some(at) => at,
            None => {
                let socket = match other_network(machine) {
                    None => create(door)?,
                    Some(network) => create_in(network, door)?,
                };
                self.open.push((door, socket, Permit::to_keep(machine)));
                self.open.len() - 1
            }
        };
        self.open.get(at).map(|(_, socket, _)| socket.as_fd()).ok_or(Errno::BADF)
    }

    pub(super) fn close(&mut self, door: Door) {
        self.open.retain(|(known, ..)| *known != door);
    }

    /// Sends the request and hands the messages of its answer on.
    pub(super) fn exchange(
        &mut self,
        machine: &Arc<Machine>,
        request: &Request<'_>,
        buffer: &mut Vec<u8>,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<Ending, Errno> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let sequence = self.sequence;
        let patience = self.patience.unwrap_or(PATIENCE_IN_ALL);
        let socket = self.open(machine, Door::Netlink(request.protocol))?;
        write(buffer, request, sequence);
        rustix::io::retry_on_intr(|| rustix::net::send(socket, buffer, SendFlags::empty()))?;
        let until = Instant::now() + patience;
        let mut ending = Ending::Whole;
        loop {
            if buffer.len() < PART {
                buffer.resize(PART, 0);
            }
            // TRUNC: how long it is, however much of it there was room for.
            let (length, whole) =
                rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut buffer[..], RecvFlags::TRUNC))?;
            if whole > buffer.len() {
                buffer.resize(whole.next_power_of_two().min(PART_MAX), 0);
                return Err(Errno::MSGSIZE);
            }
            if take_in(&buffer[..length], sequence, &mut ending, each)? {
                return Ok(ending);
            }
            if Instant::now() > until {
                return Err(Errno::AGAIN);
            }
        }
    }
}

fn write(buffer: &mut Vec<u8>, request: &Request<'_>, sequence: u32) {
    let length = u32::try_from(HEADER + request.body.len()).unwrap_or(u32::MAX);
    let flags = REQUEST | if request.is_dump { DUMP } else { ACK };
    buffer.clear();
    buffer.extend_from_slice(&length.to_ne_bytes());
    buffer.extend_from_slice(&request.kind.to_ne_bytes());
    buffer.extend_from_slice(&flags.to_ne_bytes());
    buffer.extend_from_slice(&sequence.to_ne_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(request.body);
}

/// Takes in a part of an answer: whether it was the last one.
pub(super) fn take_in(
    part: &[u8],
    sequence: u32,
    ending: &mut Ending,
    each: &mut dyn FnMut(&Message<'_>),
) -> Result<bool, Errno> {
    let mut rest = part;
    while !rest.is_empty() {
        let (message, behind) = split(rest).ok_or(Errno::BADMSG)?;
        rest = behind;
        if message.sequence != sequence {
            continue;
        }
        if message.flags & DUMP_INTERRUPTED != 0 {
            *ending = Ending::Pieces;
        }
        match message.kind {
            NOOP => {}
            OVERRUN => return Err(Errno::NOBUFS),
            ERROR | DONE => {
                // Behind the end of a dump, old kernels give no result.
                return match array_at(message.body, 0).map(i32::from_ne_bytes) {
                    // A number outside of what the kernel uses is no reason to fall over.
                    Some(errno @ ..0) => Err(Errno::from_raw_os_error(errno.saturating_neg().min(ERRNO_MAX))),
                    _ => Ok(true),
                };
            }
            _ => each(&message),
        }
    }
    Ok(false)
}

/// The first message, and what is behind it.
fn split(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let message = Message {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        sequence: u32_at(bytes, 8)?,
        body: bytes.get(HEADER..length)?,
    };
    Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn create(door: Door) -> Result<OwnedFd, Errno> {
    let (family, kind, protocol) = match door {
        Door::Netlink(Protocol::Route) => (AddressFamily::NETLINK, SocketType::RAW, None),
        Door::Netlink(Protocol::SockDiag) => (AddressFamily::NETLINK, SocketType::RAW, Some(netlink::SOCK_DIAG)),
        Door::Netlink(Protocol::Generic) => (AddressFamily::NETLINK, SocketType::RAW, Some(netlink::GENERIC)),
        Door::Ioctl => (AddressFamily::UNIX, SocketType::DGRAM, None),
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    if door != Door::Ioctl {
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        // From now on the socket hears nobody but the kernel.
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    }
    Ok(socket)
}

/// A socket in another network namespace: it is of the namespace in which it was made, so a thread moves there for a moment.
fn create_in(network: OwnedFd, door: Door) -> Result<OwnedFd, Errno> {
    let make = move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        create(door)
    };
    let thread = std::thread::Builder::new().name("network".to_owned()).spawn(make).map_err(|_| Errno::NOMEM)?;
    thread.join().unwrap_or(Err(Errno::IO))
}

/// The network namespace of the machine, if it is not our own: in a container, the machine's procfs is mounted elsewhere.
fn other_network(machine: &Machine) -> Option<OwnedFd> {
    let proc = machine.roots.proc.trim_end_matches('/');
    if proc == "/proc" {
        return None;
    }
    let path = format!("{proc}/1/ns/net");
    let its = rustix::fs::readlink(&path, Vec::new()).ok()?;
    let ours = rustix::fs::readlink("/proc/self/ns/net", Vec::new()).ok()?;
    if its == ours {
        return None;
    }
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}
