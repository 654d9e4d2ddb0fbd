//! News of interfaces, without asking for any of their attributes.

use crate::kit::handles::Permit;
use crate::kit::{Host, Machine, Roots};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use std::sync::Arc;

/// `RTMGRP_LINK`: interfaces that come, go or change.
const LINKS: u32 = 1;
/// How much news the kernel keeps until somebody asks. More is lost, which is told, and is as good as news.
const KEPT: usize = 4 << 10;
/// How many pieces of news are taken at a time.
const TAKEN_MAX: usize = 64;

/// Hears of interfaces that come, go or change.
///
/// The socket that is kept is of our own network namespace, which lasts as long as we do.
#[derive(Debug, Default)]
pub struct LinkNews {
    socket: Option<(OwnedFd, Permit)>,
}

impl Host {
    /// Whether any interface may have changed since this was asked last; `None` where nobody tells us: in a recorded
    /// machine, or where the machine's network is not ours.
    pub fn links_have_changed(&mut self, news: &mut LinkNews) -> Option<bool> {
        let (ours, roots) = (Roots::default(), &self.machine.roots);
        if self.machine.replay.is_some() || (&roots.sys, &roots.proc) != (&ours.sys, &ours.proc) {
            return None;
        }
        let Some((socket, _)) = &news.socket else {
            news.socket = listen(&self.machine);
            return news.socket.as_ref().map(|_| true);
        };
        let mut room = [0u8; 512];
        for taken in 0..TAKEN_MAX {
            match rustix::net::recv(socket, &mut room[..], RecvFlags::TRUNC) {
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(Errno::AGAIN) => return Some(taken > 0),
                Err(_) => {
                    news.socket = None;
                    return None;
                }
            }
        }
        Some(true)
    }
}

/// Listens, if there is room for one more handle.
fn listen(machine: &Arc<Machine>) -> Option<(OwnedFd, Permit)> {
    let permit = Permit::to_keep(machine)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // No protocol is number 0: NETLINK_ROUTE.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).ok()?;
    set_socket_recv_buffer_size(&socket, KEPT).ok()?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, LINKS)).ok()?;
    Some((socket, permit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use crate::kit::{Child, Clock};

    #[test]
    fn no_news_until_something_changes() {
        let machine = Machine::new(Roots::default(), Clock::Real, None, Child::none());
        let (mut host, mut news) = (Host::new(Arc::clone(&machine)), LinkNews::default());
        assert_eq!(host.links_have_changed(&mut news), Some(true), "nobody has listened so far");
        assert_eq!(machine.handles(), 1);
        // Others may change interfaces at any time, but not at all times.
        assert!((0..100).any(|_| host.links_have_changed(&mut news) == Some(false)));
        drop(news);
        assert_eq!(machine.handles(), 0);
    }

    #[test]
    fn nobody_tells_of_a_recorded_machine() {
        let (mut host, mut news) = (Tree::new(&[]).host(), LinkNews::default());
        assert_eq!([host.links_have_changed(&mut news), host.links_have_changed(&mut news)], [None, None]);
    }
}
