//! What the collectors of Jetson boards share: whether this is such a board, and where its files are.

mod identity;
pub mod power_mode;
mod rails;
mod zones;

use super::{Error, Host, Root};
use crate::model::Batch;
use rustix::io::Errno;
use std::time::Duration;

pub use identity::{Identity, first, identity};
pub use rails::{ADDENDS, Flow, INPUTS, OF_THOR, Rail, old_rails, rails};
pub use zones::{Sensor, is_measured, sensors};

/// How long is believed what hardly ever changes: which chips and engines there are.
const BELIEVED: Duration = Duration::from_secs(60);
/// The file that says which release of L4T is installed.
pub const RELEASE: &str = "etc/nv_tegra_release";
/// Where the device tree is.
const TREES: [(Root, &str); 2] = [(Root::Proc, "device-tree"), (Root::Sys, "firmware/devicetree/base")];
/// Where debugfs is mounted.
const DEBUGFS: &str = "kernel/debug";

/// The texts of a property of the device tree; none where there is no such property.
pub fn property(host: &mut Host, name: &str) -> Vec<String> {
    for (root, tree) in TREES {
        if let Ok(bytes) = host.read(root, format_args!("{tree}/{name}")) {
            return texts(bytes);
        }
    }
    Vec::new()
}

/// `nvidia,p3450-0000\0nvidia,tegra210\0`: texts, each with a zero at its end.
pub fn texts(bytes: &[u8]) -> Vec<String> {
    let texts = bytes.split(|byte| *byte == 0).map(|text| super::parse::text(text).into_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

/// What the device tree says that the machine is compatible with, if it is built around a Tegra.
pub fn compatible(host: &mut Host) -> Option<Vec<String>> {
    let compatible = property(host, "compatible");
    let is_tegra = compatible.iter().any(|text| text.starts_with("nvidia,tegra"));
    (is_tegra || host.exists(Root::Rootfs, RELEASE)).then_some(compatible)
}

/// Whether this machine is a Jetson board, or another Tegra.
pub fn is_one(host: &mut Host) -> bool {
    compatible(host).is_some()
}

/// The folders in sysfs of the hardware monitors of this name. Their numbers change from start to start.
///
/// # Errors
/// What the kernel answered; that there are no monitors at all is no error.
pub fn monitors(host: &mut Host, name: &str) -> Result<Vec<String>, Error> {
    let folders = match host.names(Root::Sys, "class/hwmon") {
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        folders => folders?,
    };
    let mut found = Vec::new();
    for folder in folders {
        let folder = format!("class/hwmon/{folder}");
        if host.text(Root::Sys, format_args!("{folder}/name")).is_ok_and(|of| of == name) {
            found.push(folder);
        }
    }
    Ok(found)
}

/// The value of a sensor. That it has none, or none now because what it measures is without power (EAGAIN), is no fault.
pub fn sensed<T>(result: Result<T, Error>, out: &mut Batch) -> Option<T> {
    match result {
        Err(Error::Io { errno: Errno::AGAIN, .. }) => None,
        result => out.found(result),
    }
}

/// What device trees call the GPU. Its device's name changes with releases (`17000000.ga10b`, `17000000.gpu`).
const GPU_NODES: &[&str] = &["gpu", "gp10b", "gv11b", "ga10b", "gb10b"];
/// What Thor calls the clocks of its GPU.
const GPU_CLUSTER: &str = "gpu-gpc-";

/// A device of devfreq: one that has a clock, or is one.
#[derive(Debug, PartialEq, Eq)]
pub struct Clocked {
    /// What the device is called.
    pub device: String,
    /// What the device tree calls it; empty where it does not.
    pub node: String,
    /// Its folder in sysfs. Below `device` is the device's own.
    pub folder: String,
}

impl Clocked {
    /// The name of the clock, if it is the GPU's: `gpc`, or of Thor's `gpc0`.
    pub fn of_gpu(&self) -> Option<String> {
        match self.device.strip_prefix(GPU_CLUSTER) {
            Some(number) => Some(format!("gpc{number}")),
            None => GPU_NODES.contains(&self.node.as_str()).then(|| "gpc".to_owned()),
        }
    }
}

/// All devices of devfreq.
///
/// # Errors
/// What the kernel answered; that there are none is no error.
pub fn clocked(host: &mut Host) -> Result<Vec<Clocked>, Error> {
    let names = match host.names(Root::Sys, "class/devfreq") {
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        names => names?,
    };
    let mut found = Vec::new();
    for device in names {
        let folder = format!("class/devfreq/{device}");
        let node = host.read(Root::Sys, format_args!("{folder}/device/of_node/name")).map(texts);
        let node = node.ok().and_then(|node| node.into_iter().next()).unwrap_or_default();
        found.push(Clocked { device, node, folder });
    }
    Ok(found)
}

/// When something that hardly ever changes was looked for.
#[derive(Debug, Default)]
pub struct Look {
    last: Option<Duration>,
}

impl Look {
    /// Whether it is time to look; whoever asks and is told so, looks.
    pub fn is_due(&mut self, host: &Host) -> bool {
        let now = host.monotonic();
        let is_due = self.last.is_none_or(|last| now.saturating_sub(last) >= BELIEVED);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }

    /// Something was not where it had been: look in the next round.
    pub fn again(&mut self) {
        self.last = None;
    }
}

/// debugfs, which is root's: most of what it tells about clocks is told nowhere else.
#[derive(Debug, Default)]
pub struct Debugfs {
    look: Look,
    refused: Option<Error>,
    is_open: bool,
}

impl Debugfs {
    /// Its folder in sysfs, if it may be read. Else a fault tells what would grant it; where it is not mounted, nothing
    /// is told.
    pub fn folder(&mut self, host: &mut Host, out: &mut Batch) -> Option<&'static str> {
        if self.look.is_due(host) {
            let names = host.names(Root::Sys, DEBUGFS);
            self.is_open = names.as_ref().is_ok_and(|names| !names.is_empty());
            self.refused = names.err().filter(|error| !error.is_nothing());
        }
        if let Some(error) = &self.refused {
            out.fault(error.clone());
        }
        self.is_open.then_some(DEBUGFS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use crate::kit::{Clock, Script};
    use proptest::prelude::*;
    use std::sync::Arc;

    #[test]
    fn boards_by_their_device_tree_or_their_release() {
        let tree = |path: &str, text: &str| is_one(&mut Tree::new(&[(path, text)]).host());
        assert!(tree("proc/device-tree/compatible", "nvidia,p3450-0000\0nvidia,tegra210\0"));
        assert!(tree("sys/firmware/devicetree/base/compatible", "nvidia,tegra264\0"));
        assert!(tree("rootfs/etc/nv_tegra_release", ""));
        assert!(!tree("proc/device-tree/compatible", "raspberrypi,4-model-b\0brcm,bcm2711\0"));
        assert!(!tree("proc/device-tree/compatible", "nvidia,grace\0"));
        assert!(!tree("proc/stat", ""));
    }

    #[test]
    fn monitors_by_their_name() {
        let tree = Tree::new(&[
            ("sys/class/hwmon/hwmon0/name", "pwmfan\n"),
            ("sys/class/hwmon/hwmon3/name", "ina3221\n"),
            ("sys/class/hwmon/hwmon11/name", "ina3221\n"),
            ("sys/class/hwmon/hwmon4/none", ""),
        ]);
        assert_eq!(monitors(&mut tree.host(), "ina3221").unwrap(), ["class/hwmon/hwmon11", "class/hwmon/hwmon3"]);
        assert_eq!(monitors(&mut Tree::new(&[]).host(), "ina3221").unwrap(), [""; 0]);
    }

    #[test]
    fn debugfs_may_be_open_refused_or_not_there() {
        let folder = |tree: &Tree| {
            let mut out = Batch::new(1);
            let folder = Debugfs::default().folder(&mut tree.host(), &mut out);
            (folder.is_some(), out.faults().first().map(Error::reason))
        };
        let tree = Tree::new(&[]);
        assert_eq!(folder(&tree), (false, None));
        tree.write("sys/kernel/debug/", "");
        assert_eq!(folder(&tree), (false, None));
        tree.write("sys/kernel/debug/clk/", "");
        assert_eq!(folder(&tree), (true, None));
        tree.write("calls/errno", "sys/kernel/debug EACCES\n");
        assert_eq!(folder(&tree), (false, Some("denied")));
    }

    #[test]
    fn one_looks_once_a_minute() {
        let (host, mut look) = (Tree::new(&[]).host(), Look::default());
        assert!(look.is_due(&host) && !look.is_due(&host));
        look.again();
        assert!(look.is_due(&host) && !look.is_due(&host));
        if let Clock::Scripted(script) = &host.machine().clock {
            Arc::<Script>::clone(script).advance(BELIEVED);
        }
        assert!(look.is_due(&host));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            texts(&bytes);
        }
    }
}
