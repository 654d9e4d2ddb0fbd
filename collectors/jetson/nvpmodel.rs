//! `/var/lib/nvpmodel/status` and `/etc/nvpmodel.conf`: the power mode of a Jetson board, and what it is called.
//!
//! `nvpmodel -q` is not run: it needs root on some boards.

use crate::kit::jetson::power_mode::{NAMES, STATUS, mode, names};
use crate::kit::{Error, Host, Options, Root, jetson};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::BTreeMap;
use std::time::Duration;

const MODE: &[&str; 2] = &["id", "mode"];

static ID: Family = gauge("jetson_power_mode", "Number of the power mode that the board is in.", &[]);
static INFO: Family =
    gauge("jetson_power_mode_info", "Always 1: the power mode that the board is in, and what it is called.", MODE);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "nvpmodel",
        "Power mode of a Jetson board from /var/lib/nvpmodel/status.",
        &[&ID, &INFO],
        open,
    )
};

#[derive(Default)]
struct Nvpmodel {
    look: jetson::Look,
    names: BTreeMap<u64, String>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let is_there = jetson::is_one(host) && host.exists(Root::Rootfs, STATUS);
    Ok(is_there.then(|| Box::new(Nvpmodel::default()) as Box<dyn Collector>))
}

impl Collector for Nvpmodel {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            let path = host.follow(Root::Rootfs, NAMES)?;
            self.names = out.found(host.read(Root::Rootfs, path).map(names)).unwrap_or_default();
        }
        let status = host.read(Root::Rootfs, STATUS)?;
        let Some(id) = mode(status) else {
            return Err(Error::malformed(&format!("/{STATUS}"), 1, "pmode:NUMBER"));
        };
        out.put(&ID, out.machine(), id);
        if let Some(name) = self.names.get(&id) {
            let of = out.entity(MODE, [&id.to_string(), name]);
            out.put(&INFO, of, 1u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn the_mode_and_its_name() {
        let conf = "< PARAM TYPE=FILE NAME=CPU_ONLINE >\nCORE_0 /sys/x\n\n< POWER_MODEL ID=1 NAME=25W >\nCPU_ONLINE CORE_0 1\n\
                    < POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >\n";
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra234\0"),
            ("rootfs/var/lib/nvpmodel/status", "pmode:0002"),
            ("rootfs/etc/nvpmodel.conf", "-> /etc/nvpmodel/nvpmodel_p3767.conf"),
            ("rootfs/etc/nvpmodel/nvpmodel_p3767.conf", conf),
        ]);
        let expected = "jetson_power_mode 2\njetson_power_mode_info{id=\"2\",mode=\"MAXN_SUPER\"} 1\n";
        tree.check(&SPEC, &[], expected);
        // JetPack 4.3 began to write the fan's mode beside it.
        tree.write("rootfs/var/lib/nvpmodel/status", "pmode:0002 fmode:quiet\n");
        tree.check(&SPEC, &[], expected);
        tree.write("rootfs/var/lib/nvpmodel/status", "pmode:0007\n");
        tree.check(&SPEC, &[], "jetson_power_mode 7\n");
        tree.write("rootfs/var/lib/nvpmodel/status", "x\n");
        tree.check(&SPEC, &[], "! malformed\n");
        tree.remove("rootfs/var/lib/nvpmodel/status");
        tree.check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (mode(&bytes), names(&bytes), names(&[b"< POWER_MODEL ", &bytes[..]].concat()));
        }
    }
}
