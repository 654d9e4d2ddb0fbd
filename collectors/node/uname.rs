//! uname(2): the machine's name and kernel.
//!
//! In a container with a name of its own, the kernel tells that one and has no call that tells the machine's: there, the name
//! is what the machine's `/etc/hostname` says, if its root is mounted.

use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

static INFO: Family = gauge(
    "node_uname_info",
    "The machine's name, its kernel and hardware, as uname(2) tells them; always 1.",
    &["domainname", "machine", "nodename", "release", "sysname", "version"],
);

/// Its row in the table.
pub static SPEC: Spec =
    Spec::new(Group::Node, "uname", "The machine's name and kernel, from uname(2).", &[&INFO], open);

/// The namespace of names that the machine starts with has the same number on every Linux.
const FIRST_NAMESPACE: &str = "uts:[4026531838]";

struct Uname {
    /// The machine's name, where the kernel tells another one.
    nodename: Option<String>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let is_live = host.machine().replay.is_none();
    // Only a root that is mounted elsewhere is the machine's, and not the container's.
    let is_elsewhere = is_live && !host.root(Root::Rootfs).is_empty();
    let is_renamed = is_elsewhere && host.link(Root::Itself, "ns/uts").is_ok_and(|link| link != FIRST_NAMESPACE);
    let nodename = if is_renamed { host.read(Root::Rootfs, "etc/hostname").ok().and_then(hostname) } else { None };
    Ok(Some(Box::new(Uname { nodename })))
}

impl Collector for Uname {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        host.uname(|uname| {
            let nodename = self.nodename.as_deref().unwrap_or(&uname.nodename);
            // The kernel always has a name; a recorded machine whose answer was not recorded has none.
            if uname.sysname.is_empty() {
                return Err(Error::Absent { path: "uname(2)".to_owned() });
            }
            let of = out.entity(
                &["domainname", "machine", "nodename", "release", "sysname", "version"],
                [&uname.domainname, &uname.machine, nodename, &uname.release, &uname.sysname, &uname.version],
            );
            out.put(&INFO, of, 1u64);
            Ok(())
        })
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
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn six_answers_are_six_labels() {
        let tree = Tree::new(&[("calls/uname", "Linux\nnode7\n6.12.0\n#1 SMP\nx86_64\n(none)\n")]);
        let page = "node_uname_info{domainname=\"(none)\",machine=\"x86_64\",nodename=\"node7\",release=\"6.12.0\",\
                    sysname=\"Linux\",version=\"#1 SMP\"} 1\n";
        tree.check(&SPEC, &[], page);
    }

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

    #[test]
    fn no_answer_is_no_value() {
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }
}
