//! Which Jetson board this is, and which release of L4T it runs: its device tree, and `/etc/nv_tegra_release`.
//!
//! The module's number is in `compatible`; its EEPROM is not asked, which would be root's and traffic on the bus.

use super::{RELEASE, compatible, property};
use crate::kit::{Host, Root, parse};

/// Where the package manager says what is installed, should L4T's own file be missing.
const PACKAGES: &str = "var/lib/dpkg/status";
/// The package whose version is L4T's.
const PACKAGE: &[u8] = b"\nPackage: nvidia-l4t-core\n";

/// Which board it is, and its release; what is not known is empty.
pub struct Identity {
    /// What the device tree calls it.
    pub model: String,
    /// What the module is called.
    pub module: &'static str,
    /// The module's number, `p2888-0004`.
    pub part_number: String,
    /// The chip, `tegra194`.
    pub soc: String,
    /// The release of L4T, `32.7.1`.
    pub l4t: String,
    /// The release of JetPack that it belongs to.
    pub jetpack: &'static str,
}

/// Which board this is, if it is one.
pub fn identity(host: &mut Host) -> Option<Identity> {
    let compatible = compatible(host)?;
    let part_number = part_number(&compatible).unwrap_or_default().to_owned();
    let soc =
        compatible.iter().rev().find_map(|text| text.strip_prefix("nvidia,").filter(|soc| soc.starts_with("tegra")));
    let l4t = l4t(host).unwrap_or_default();
    Some(Identity {
        model: first(host, "model"),
        module: known(MODULES, &part_number).unwrap_or_default(),
        part_number,
        soc: soc.unwrap_or_default().to_owned(),
        jetpack: known(JETPACKS, &l4t).unwrap_or_default(),
        l4t,
    })
}

/// The first text of a property of the device tree.
pub fn first(host: &mut Host, name: &str) -> String {
    property(host, name).into_iter().next().unwrap_or_default()
}

/// `nvidia,p3737-0000+p3701-0005`: the number of the module, `p3701-0005`. Where none is known, the last of the first.
fn part_number(compatible: &[String]) -> Option<&str> {
    let is_number = |part: &&str| {
        let bytes = part.as_bytes();
        bytes.len() >= 10 && bytes[0] == b'p' && bytes[5] == b'-' && part[1..5].bytes().all(|c| c.is_ascii_digit())
    };
    let numbers = |text: &'_ str| -> Vec<String> {
        let parts = text.strip_prefix("nvidia,").unwrap_or(text).split('+').filter(|part| part.is_ascii());
        parts.filter(is_number).map(|part| part[..10].to_owned()).collect()
    };
    let all: Vec<Vec<String>> = compatible.iter().map(|text| numbers(text)).collect();
    let is_known = |number: &&String| known(MODULES, number).is_some();
    let number = all.iter().flatten().find(is_known).or_else(|| all.first()?.last())?;
    compatible.iter().find_map(|text| text.find(number.as_str()).map(|at| &text[at..at + number.len()]))
}

/// The release of L4T that is installed.
fn l4t(host: &mut Host) -> Option<String> {
    if let Some(release) = host.read(Root::Rootfs, RELEASE).ok().and_then(release) {
        return Some(release);
    }
    host.read(Root::Rootfs, PACKAGES).ok().and_then(version)
}

/// `# R32 (release), REVISION: 7.1, GCID: 29818004, …`: `32.7.1`.
fn release(text: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(text.split(|byte| *byte == b'\n').next()?).into_owned();
    let major = line.strip_prefix("# R")?.split([' ', ',']).next()?;
    let minor = line.split_once("REVISION: ")?.1.split([',', ' ']).next()?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_number(major) && is_number(minor)).then(|| format!("{major}.{minor}"))
}

/// `Package: nvidia-l4t-core` and, below it, `Version: 35.4.1-20230801124926`: `35.4.1`.
fn version(text: &[u8]) -> Option<String> {
    let start = match text.strip_prefix(&PACKAGE[1..]) {
        Some(rest) => rest,
        None => &text[memchr::memmem::find(text, PACKAGE)? + PACKAGE.len()..],
    };
    let version =
        parse::lines(start).take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(b"Version: "))?;
    let version = parse::text(version).split('-').next()?.to_owned();
    Some(version).filter(|version| !version.is_empty())
}

/// What stands beside the word in a table.
fn known(table: &[(&str, &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(key, _)| *key == word).map(|(_, name)| *name)
}

/// The modules, by their numbers.
const MODULES: &[(&str, &str)] = &[
    ("p2180-1000", "Jetson TX1"),
    ("p2888-0001", "Jetson AGX Xavier 16GB"),
    ("p2888-0004", "Jetson AGX Xavier 32GB"),
    ("p2888-0005", "Jetson AGX Xavier 64GB"),
    ("p2888-0008", "Jetson AGX Xavier Industrial"),
    ("p3310-1000", "Jetson TX2"),
    ("p3448-0000", "Jetson Nano 4GB"),
    ("p3448-0002", "Jetson Nano eMMC"),
    ("p3448-0003", "Jetson Nano 2GB"),
    ("p3489-0000", "Jetson TX2i"),
    ("p3489-0888", "Jetson TX2 4GB"),
    ("p3636-0001", "Jetson TX2 NX"),
    ("p3668-0000", "Jetson Xavier NX"),
    ("p3668-0001", "Jetson Xavier NX"),
    ("p3668-0003", "Jetson Xavier NX 16GB"),
    ("p3701-0000", "Jetson AGX Orin"),
    ("p3701-0002", "IGX Orin"),
    ("p3701-0004", "Jetson AGX Orin 32GB"),
    ("p3701-0005", "Jetson AGX Orin 64GB"),
    ("p3767-0000", "Jetson Orin NX 16GB"),
    ("p3767-0001", "Jetson Orin NX 8GB"),
    ("p3767-0003", "Jetson Orin Nano 8GB"),
    ("p3767-0004", "Jetson Orin Nano 4GB"),
    ("p3767-0005", "Jetson Orin Nano Developer Kit"),
    ("p3834-0008", "Jetson AGX Thor"),
];

/// The releases of JetPack, by those of L4T.
const JETPACKS: &[(&str, &str)] = &[
    ("32.1", "4.2"),
    ("32.1.0", "4.2"),
    ("32.2", "4.2.1"),
    ("32.2.0", "4.2.1"),
    ("32.2.1", "4.2.2"),
    ("32.2.3", "4.2.3"),
    ("32.3.1", "4.3"),
    ("32.4.2", "4.4 DP"),
    ("32.4.3", "4.4"),
    ("32.4.4", "4.4.1"),
    ("32.5", "4.5"),
    ("32.5.0", "4.5"),
    ("32.5.1", "4.5.1"),
    ("32.5.2", "4.5.1"),
    ("32.6.1", "4.6"),
    ("32.7.1", "4.6.1"),
    ("32.7.2", "4.6.2"),
    ("32.7.3", "4.6.3"),
    ("32.7.4", "4.6.4"),
    ("32.7.5", "4.6.5"),
    ("32.7.6", "4.6.6"),
    ("34.1", "5.0 DP"),
    ("34.1.0", "5.0 DP"),
    ("34.1.1", "5.0.1 DP"),
    ("35.1", "5.0.2"),
    ("35.1.0", "5.0.2"),
    ("35.2.1", "5.1"),
    ("35.3.1", "5.1.1"),
    ("35.4.1", "5.1.2"),
    ("35.5.0", "5.1.3"),
    ("35.6.0", "5.1.4"),
    ("35.6.1", "5.1.5"),
    ("35.6.2", "5.1.5"),
    ("35.6.3", "5.1.5"),
    ("35.6.4", "5.1.6"),
    ("36.2", "6.0 DP"),
    ("36.2.0", "6.0 DP"),
    ("36.3", "6.0"),
    ("36.3.0", "6.0"),
    ("36.4", "6.1"),
    ("36.4.0", "6.1"),
    ("36.4.2", "6.1 rev 1"),
    ("36.4.3", "6.2"),
    ("36.4.4", "6.2.1"),
    ("36.4.7", "6.2.1"),
    ("36.5", "6.2.2"),
    ("36.5.0", "6.2.2"),
    ("38.2", "7.0"),
    ("38.2.0", "7.0"),
    ("38.2.1", "7.0"),
    ("38.2.2", "7.0"),
    ("38.4", "7.1"),
    ("38.4.0", "7.1"),
    ("39.0.0", "7.2 EA"),
    ("39.2", "7.2"),
    ("39.2.0", "7.2"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn releases_and_versions() {
        assert_eq!(
            release(b"# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref").as_deref(),
            Some("32.7.1")
        );
        assert_eq!(release(b"# R35 (release), REVISION: 4.1, GCID: 1").as_deref(), Some("35.4.1"));
        for bad in [&b""[..], b"R32 (release), REVISION: 7.1", b"# R (release), REVISION: 7.1", b"# R32 (release)"] {
            assert_eq!(release(bad), None);
        }
        assert_eq!(version(b"Package: nvidia-l4t-core\nVersion: 35.4.1-20230801124926\n").as_deref(), Some("35.4.1"));
        assert_eq!(version(b"Package: nvidia-l4t-core\n\nPackage: b\nVersion: 1\n"), None);
    }

    #[test]
    fn tables_are_free_of_doubles() {
        for table in [MODULES, JETPACKS] {
            let keys: std::collections::BTreeSet<_> = table.iter().map(|(key, _)| key).collect();
            assert_eq!(keys.len(), table.len());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, texts: Vec<String>) {
            let _ = (release(&bytes), version(&bytes), part_number(&texts));
            version(&[PACKAGE, &bytes].concat());
        }
    }
}
