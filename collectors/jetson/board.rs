//! `/proc/device-tree/` and `/etc/nv_tegra_release`: which board this is, and which release of L4T it runs.
//!
//! What can only change with a restart is read once. How many CPUs are online is up to the power mode, and read each round.

use crate::kit::{Error, Host, Opt, OptKind, Options, Root, jetson, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const LABELS: &[&str; 8] = &["model", "module", "part_number", "soc", "l4t", "jetpack", "kernel", "serial"];

static INFO: Family = gauge(
    "jetson_info",
    "Always 1: the board and its software; module and jetpack are there where the number is known, serial only by option.",
    LABELS,
);
static ONLINE: Family = gauge("jetson_cpus_online", "How many CPUs are online; the power mode turns some off.", &[]);
static PRESENT: Family = gauge("jetson_cpus_present", "How many CPUs the board has, online or not.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt {
        name: "serial",
        kind: OptKind::Flag,
        default: "false",
        help: "Whether jetson_info also tells the module's serial number.",
    }],
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "board",
        "Model, module and software of a Jetson board, from its device tree and /etc/nv_tegra_release.",
        &[&INFO, &ONLINE, &PRESENT],
        open,
    )
};

struct Board {
    identity: jetson::Identity,
    kernel: String,
    serial: String,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let Some(identity) = jetson::identity(host) else { return Ok(None) };
    let kernel = host.uname(|uname| uname.release.to_string());
    let serial = if options.flag("serial") { jetson::first(host, "serial-number") } else { String::new() };
    Ok(Some(Box::new(Board { identity, kernel, serial })))
}

impl Collector for Board {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let board = &self.identity;
        let labels = [
            &board.model,
            board.module,
            &board.part_number,
            &board.soc,
            &board.l4t,
            board.jetpack,
            &self.kernel,
            &self.serial,
        ];
        let of = out.entity(LABELS, labels);
        out.put(&INFO, of, 1u64);
        for (family, file) in [(&ONLINE, "online"), (&PRESENT, "present")] {
            let cpus = host.read(Root::Sys, format_args!("devices/system/cpu/{file}")).map(count);
            let cpus = out.found(cpus);
            out.put_some(family, out.machine(), cpus);
        }
        Ok(())
    }
}

/// `0-3,5`: how many CPUs these are.
fn count(text: &[u8]) -> u64 {
    parse::ranges(text).flatten().map(|(first, last)| u64::from(last.saturating_sub(first)) + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const RELEASE_32: &str = "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: x\n";

    #[test]
    fn a_nano() {
        let tree = Tree::new(&[
            (
                "proc/device-tree/compatible",
                "nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano\0nvidia,tegra210\0",
            ),
            ("proc/device-tree/model", "NVIDIA Jetson Nano Developer Kit\0"),
            ("proc/device-tree/serial-number", "1421119000000\0"),
            ("rootfs/etc/nv_tegra_release", RELEASE_32),
            ("sys/devices/system/cpu/online", "0-1,3\n"),
            ("sys/devices/system/cpu/present", "0-3\n"),
            ("calls/uname", "Linux\nnano\n4.9.253-tegra\n#1\naarch64\n(none)\n"),
        ]);
        let expected = |serial: &str| {
            format!(
                "jetson_cpus_online 3\njetson_cpus_present 4\njetson_info{{model=\"NVIDIA Jetson Nano Developer Kit\",\
                 module=\"Jetson Nano 4GB\",part_number=\"p3448-0000\",soc=\"tegra210\",l4t=\"32.7.1\",\
                 jetpack=\"4.6.1\",kernel=\"4.9.253-tegra\"{serial}}} 1\n"
            )
        };
        tree.check(&SPEC, &[], &expected(""));
        tree.check(&SPEC, &[("serial", "true")], &expected(",serial=\"1421119000000\""));
    }

    #[test]
    fn a_board_that_nobody_knows_and_a_release_from_the_packages() {
        let tree = Tree::new(&[
            ("sys/firmware/devicetree/base/compatible", "acme,carrier+p9999-0001\0nvidia,tegra264\0"),
            (
                "rootfs/var/lib/dpkg/status",
                "Package: a\n\nPackage: nvidia-l4t-core\nStatus: ok\nVersion: 99.1-2026\n\n",
            ),
        ]);
        tree.check(&SPEC, &[], "jetson_info{part_number=\"p9999-0001\",soc=\"tegra264\",l4t=\"99.1\"} 1\n");
        Tree::new(&[("proc/device-tree/compatible", "raspberrypi,4\0")]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            count(&bytes);
        }
    }
}
