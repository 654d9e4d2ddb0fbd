//! Links of the machine's own filesystem, followed below the root that it is mounted at.

use super::{Error, Host, Root};

/// How many links are followed.
const LINKS_MAX: usize = 8;

impl Host {
    /// Where the links at `path` lead, below the same root. An absolute link means the machine's `/`, not ours: the
    /// kernel would follow it out of a root that is mounted elsewhere.
    ///
    /// # Errors
    /// The links lead in a circle.
    pub fn follow(&mut self, root: Root, path: &str) -> Result<String, Error> {
        let mut path = path.to_owned();
        for _ in 0..=LINKS_MAX {
            match self.link(root, &path) {
                Ok(target) => path = leads_to(&path, &target),
                Err(_) => return Ok(path),
            }
        }
        Err(Error::Other { path, why: "links that lead nowhere".to_owned() })
    }
}

/// `etc/localtime`, `../usr/share/zoneinfo/UTC`: where the link leads, `usr/share/zoneinfo/UTC`; never above the root.
fn leads_to(link: &str, target: &str) -> String {
    let folder = if target.starts_with('/') { "" } else { link.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let mut parts = Vec::new();
    for part in folder.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn links_stay_below_the_root() {
        for link in ["-> /zones/CET", "-> ../zones/CET", "-> ../../../zones/./CET", "-> loop/again"] {
            let tree = Tree::new(&[("rootfs/etc/link", link), ("rootfs/etc/loop/again", "-> /zones/CET")]);
            assert_eq!(tree.host().follow(Root::Rootfs, "etc/link").unwrap(), "zones/CET");
        }
        let tree = Tree::new(&[("rootfs/etc/link", "-> /etc/link"), ("rootfs/etc/file", "")]);
        let mut host = tree.host();
        assert_eq!(host.follow(Root::Rootfs, "etc/link").unwrap_err().reason(), "other");
        assert_eq!(host.follow(Root::Rootfs, "etc/file").unwrap(), "etc/file");
        assert_eq!(host.follow(Root::Rootfs, "etc/none").unwrap(), "etc/none");
    }

    proptest! {
        #[test]
        fn no_link_leads_above_the_root(link: String, target: String) {
            prop_assert!(leads_to(&link, &target).split('/').all(|part| part != ".."));
        }
    }
}
