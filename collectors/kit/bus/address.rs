//! Where a bus listens: `unix:path=/run/dbus/system_bus_socket,guid=…;unix:abstract=…`.

use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The sockets of an address, in its order; other ways to listen are left out.
pub(super) fn sockets(address: &str) -> impl Iterator<Item = Place> {
    address.split(';').filter_map(|one| {
        let pairs = one.trim().strip_prefix("unix:")?.split(',').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find_map(|(key, value)| match key {
            "path" => Some(Place { name: unescape(value)?, is_abstract: false }),
            "abstract" => Some(Place { name: unescape(value)?, is_abstract: true }),
            _ => None,
        })
    })
}

/// A socket's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    name: Vec<u8>,
    is_abstract: bool,
}

impl Place {
    pub(super) fn at(path: String) -> Self {
        Self { name: path.into_bytes(), is_abstract: false }
    }

    pub(super) fn to_socket(&self) -> Result<SocketAddrUnix, Errno> {
        match self.is_abstract {
            true => SocketAddrUnix::new_abstract_name(&self.name),
            false => SocketAddrUnix::new(&self.name[..]),
        }
    }

    /// Where it is in the filesystem.
    pub(super) fn path(&self) -> Option<&Path> {
        (!self.is_abstract).then(|| Path::new(OsStr::from_bytes(&self.name)))
    }

    /// For messages.
    pub(super) fn told(&self) -> String {
        format!("{}{}", if self.is_abstract { "@" } else { "" }, String::from_utf8_lossy(&self.name))
    }
}

/// `/run/a%20b`: bytes that are not plain are written as their number.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(address: &str) -> Vec<String> {
        sockets(address).map(|place| place.told()).collect()
    }

    #[test]
    fn addresses() {
        assert_eq!(told("unix:path=/run/dbus/system_bus_socket"), ["/run/dbus/system_bus_socket"]);
        assert_eq!(told("unix:guid=1f,path=/a%20b%2cc;tcp:host=h,port=1; unix:abstract=/tmp/x"), ["/a b,c", "@/tmp/x"]);
        for none in ["", "unix:", "unix:path", "unix:path=%2", "unix:path=%zz", "autolaunch:", "unixexec:path=/bin/x"] {
            assert_eq!(told(none), [""; 0], "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            sockets(&text).for_each(|place| drop(place.to_socket()));
        }
    }
}
