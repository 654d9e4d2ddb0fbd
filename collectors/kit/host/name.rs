//! The machine's name.
//!
//! In a container with a name of its own, the kernel tells that one and has no call that tells the machine's: there, the name
//! is what the machine's `/etc/hostname` says, if its root is mounted.

use super::Host;
use crate::kit::Root;

/// The namespace of names that the machine starts with has the same number on every Linux.
const FIRST_NAMESPACE: &str = "uts:[4026531838]";

impl Host {
    /// The machine's name, where the kernel tells us another one.
    pub fn renamed(&mut self) -> Option<String> {
        let is_live = self.machine.replay.is_none();
        // Only a root that is mounted elsewhere is the machine's, and not the container's.
        let is_elsewhere = is_live && !self.root(Root::Rootfs).is_empty();
        let is_renamed = is_elsewhere && self.link(Root::Itself, "ns/uts").is_ok_and(|link| link != FIRST_NAMESPACE);
        if is_renamed { self.read(Root::Rootfs, "etc/hostname").ok().and_then(hostname) } else { None }
    }
}

/// `# the name of the machine`, `node7`: the first line that is neither empty nor a remark.
fn hostname(text: &[u8]) -> Option<String> {
    /// `HOST_NAME_MAX`.
    const NAME_MAX: usize = 64;
    let text = std::str::from_utf8(text).ok()?;
    let name = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let is_name =
        name.len() <= NAME_MAX && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_file_of_the_name() {
        let node7 = Some("node7.example.org".to_owned());
        assert_eq!(hostname(b"node7.example.org\n"), node7);
        assert_eq!(hostname(b"# static\n\n  node7.example.org\nother\n"), node7);
        for text in [&b""[..], b"\n", b"a b\n", b"\xff\n", &[b'a'; 65]] {
            assert_eq!(hostname(text), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = hostname(&bytes);
        }
    }
}
