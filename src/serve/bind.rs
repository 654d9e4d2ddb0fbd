//! Taking the addresses, before there is a runtime and while there may still be privileges.

use super::Listen;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 1024;

/// An address that is taken. Dropping it gives the address back and removes a Unix socket's file.
#[derive(Debug)]
pub struct Bound(pub(super) Socket);

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    /// The file is only held: it is removed with the listener.
    Unix(UnixListener, #[allow(dead_code, reason = "held for its Drop")] SocketFile),
}

/// A Unix socket's file; removed on drop if it is still the one that was made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Takes all addresses, or none.
///
/// # Errors
/// One line that says which address could not be taken, and why.
pub fn bind(addresses: &[Listen]) -> Result<Vec<Bound>, String> {
    addresses
        .iter()
        .map(|listen| {
            let bound = match listen {
                Listen::Any(port) => any(*port).map(Socket::Tcp),
                Listen::Address(address) => tcp(*address).map(Socket::Tcp),
                Listen::Unix(path) => unix(path),
            };
            bound.map(Bound).map_err(|errno| told(listen, errno))
        })
        .collect()
}

impl Bound {
    /// The address, with the port that the kernel chose for port 0; none for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }
}

fn told(listen: &Listen, errno: Errno) -> String {
    match (errno, listen) {
        (Errno::ADDRINUSE, _) => {
            format!("{listen}: address already in use; another exporter? choose another --web.listen-address")
        }
        (Errno::EXIST, _) => format!("{listen}: there is a file that is no socket"),
        (Errno::ADDRNOTAVAIL, _) => format!("{listen}: this machine has no such address"),
        (errno, _) => format!("{listen}: {}", io::Error::from(errno)),
    }
}

/// One socket for IPv6 and IPv4, or for IPv4 alone where IPv6 is off.
fn any(port: u16) -> Result<TcpListener, Errno> {
    match tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        bound => bound,
    }
}

fn tcp(address: SocketAddr) -> Result<TcpListener, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket(family)?;
    if address.is_ipv6() {
        // net.ipv6.bindv6only must not decide whether IPv4 is served.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    // Connections of the previous run in TIME_WAIT must not hold up a restart.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn unix(path: &Path) -> Result<Socket, Errno> {
    let address = SocketAddrUnix::new(path)?;
    remove_stale(path, &address)?;
    let socket = socket(AddressFamily::UNIX)?;
    net::bind(&socket, &address)?;
    let metadata = fs::symlink_metadata(path).map_err(errno)?;
    let file = SocketFile { path: path.into(), identity: (metadata.dev(), metadata.ino()) };
    // Nobody can connect before `listen`, so nobody can before the mode is right.
    rustix::fs::chmod(path, Mode::from_raw_mode(0o660))?;
    net::listen(&socket, BACKLOG)?;
    Ok(Socket::Unix(socket.into(), file))
}

fn socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// Removes a socket's file that nobody answers at.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), Errno> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(Errno::EXIST),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(errno(error)),
    }
    // Does not wait: with a full queue the answer is EAGAIN, which is as much a sign of life as success.
    match net::connect(&socket(AddressFamily::UNIX)?, address) {
        Ok(()) | Err(Errno::AGAIN) => Err(Errno::ADDRINUSE),
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(errno),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            // The directory may have become read-only; the next start replaces the file then.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn any_serves_both_families() {
        let bound = bind(&[Listen::Any(0)]).unwrap();
        let port = bound[0].address().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        if bound[0].address().unwrap().is_ipv6() && TcpListener::bind("[::1]:0").is_ok() {
            TcpStream::connect(("::1", port)).unwrap();
        }
    }

    #[test]
    fn a_taken_address_is_one_clear_line() {
        let first = bind(&[Listen::Address("127.0.0.1:0".parse().unwrap())]).unwrap();
        let address = first[0].address().unwrap();
        assert_eq!(
            bind(&[Listen::Address(address)]).unwrap_err(),
            format!("{address}: address already in use; another exporter? choose another --web.listen-address")
        );
        let error = bind(&[Listen::Any(address.port())]).unwrap_err();
        assert!(error.starts_with(&format!(":{}: address already in use", address.port())), "{error}");
        let error = bind(&[Listen::Address("192.0.2.1:0".parse().unwrap())]).unwrap_err();
        assert_eq!(error, "192.0.2.1:0: this machine has no such address");
    }

    #[test]
    fn a_restart_binds_at_once() {
        let first = bind(&[Listen::Address("127.0.0.1:0".parse().unwrap())]).unwrap();
        let address = first[0].address().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let Socket::Tcp(listener) = &first[0].0 else { unreachable!() };
        // The server closes first, so its side is the one in TIME_WAIT.
        drop(listener.accept().unwrap());
        drop(client);
        drop(first);
        bind(&[Listen::Address(address)]).unwrap();
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.sock");
        drop(UnixListener::bind(&path).unwrap());
        let first = bind(&[Listen::Unix(path.clone())]).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let error = bind(&[Listen::Unix(path.clone())]).unwrap_err();
        assert!(error.contains("w.sock: address already in use"), "{error}");
        drop(first);
        assert!(!path.exists(), "the file is removed on stop");
    }

    #[test]
    fn foreign_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.sock");
        fs::write(&path, "precious").unwrap();
        let error = bind(&[Listen::Unix(path.clone())]).unwrap_err();
        assert!(error.ends_with("w.sock: there is a file that is no socket"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        let bound = bind(&[Listen::Unix(path.clone())]).unwrap();
        fs::remove_file(&path).unwrap();
        let successor = UnixListener::bind(&path).unwrap();
        drop(bound);
        assert!(path.exists(), "a successor's file is not ours to remove");
        drop(successor);
    }
}
