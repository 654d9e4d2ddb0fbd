//! `/sys/class/nvme/`: what NVMe controllers are, and the sizes of their namespaces.
//!
//! The words are in the kernel's memory, but for `nuse` (Linux 6.8): reading it may ask the disk, at most every 5 s.
//! `size` counts 512 bytes whatever the block size is, `nuse` counts blocks. Namespaces that several controllers share
//! belong to the subsystem and not to any of them.

use crate::kit::{Error, Host, Options, Root, attribute};
use crate::model::{Batch, Entity, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "class/nvme";
const NAMESPACE: &[&str] = &["device", "nsid"];
const SECTOR: u64 = 512;

static INFO: Family = gauge(
    "node_nvme_info",
    "Always 1: what the controller is, and its state in a word.",
    &["cntlid", "device", "firmware_revision", "model", "serial", "state"],
);
static NAMESPACE_INFO: Family = gauge(
    "node_nvme_namespace_info",
    "Always 1: how well the namespace is reached by this controller, in a word.",
    &["ana_state", "device", "nsid"],
);
static CAPACITY: Family =
    gauge("node_nvme_namespace_capacity_bytes", "Size of the namespace, in bytes; the same as its size.", NAMESPACE);
static SIZE: Family = gauge("node_nvme_namespace_size_bytes", "Size of the namespace, in bytes.", NAMESPACE);
static USED: Family = gauge(
    "node_nvme_namespace_used_bytes",
    "How much of the namespace the disk has given space to, in bytes.",
    NAMESPACE,
);
static BLOCK: Family = gauge(
    "node_nvme_namespace_logical_block_size_bytes",
    "Size of the blocks that the namespace is read and written in, in bytes.",
    NAMESPACE,
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "nvme",
        "NVMe controllers and namespaces from /sys/class/nvme.",
        &[&INFO, &NAMESPACE_INFO, &CAPACITY, &SIZE, &USED, &BLOCK],
        open,
    )
};

struct Nvme;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(host.exists(Root::Sys, FOLDER).then(|| Box::new(Nvme) as Box<dyn Collector>))
}

impl Collector for Nvme {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for device in host.names(Root::Sys, FOLDER)? {
            let of = out.entity(&["device"], [&device]);
            let words = attribute::words(
                &["firmware_rev", "model", "serial", "state", "cntlid"],
                &format!("{FOLDER}/{device}"),
                host,
                out,
            );
            let labels = &["firmware_revision", "model", "serial", "state", "cntlid"];
            let info = out.part(of, labels, words.each_ref().map(String::as_str));
            out.put(&INFO, info, true);
            let names = host.names(Root::Sys, format_args!("{FOLDER}/{device}"));
            for name in out.found(names).iter().flatten() {
                if let Some(nsid) = namespace(name) {
                    let of = out.part(of, &["nsid"], [nsid]);
                    put(of, &format!("{FOLDER}/{device}/{name}"), host, out);
                }
            }
        }
        Ok(())
    }
}

fn put(of: Entity, folder: &str, host: &mut Host, out: &mut Batch) {
    let state = host.text(Root::Sys, format_args!("{folder}/ana_state"));
    let state = out.found(state).unwrap_or_else(|| "unknown".to_owned());
    let info = out.part(of, &["ana_state"], [&state]);
    out.put(&NAMESPACE_INFO, info, true);
    let mut number = |file| {
        let number = host.number(Root::Sys, format_args!("{folder}/{file}"));
        out.found(number)
    };
    let (sectors, used, block) = (number("size"), number("nuse"), number("queue/logical_block_size"));
    let size = sectors.and_then(|sectors| sectors.checked_mul(SECTOR));
    out.put_some(&CAPACITY, of, size);
    out.put_some(&SIZE, of, size);
    out.put_some(&USED, of, used.zip(block).and_then(|(blocks, size)| blocks.checked_mul(size)));
    out.put_some(&BLOCK, of, block);
}

/// `nvme0n1`: the number behind the `n`, but of `nvme0`, `nvme0c1n1` (a path) and `ng0n1` none.
fn namespace(name: &str) -> Option<&str> {
    let (controller, nsid) = name.strip_prefix("nvme")?.split_once('n')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(controller) && is_number(nsid)).then_some(nsid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn tree() -> Tree {
        let files = [
            ("cntlid", "8215\n"),
            ("firmware_rev", "2B2QEXM7\n"),
            ("model", "Samsung SSD 970 PRO 512GB               \n"),
            ("serial", "S680HF8N190894I     \n"),
            ("state", "live\n"),
            ("hwmon3/name", "nvme\n"),
            ("ng0n1/dev", "234:0\n"),
            ("nvme0c0n1/size", "1\n"),
            ("nvme0n1/size", "1000\n"),
            ("nvme0n1/nuse", "20\n"),
            ("nvme0n1/queue/logical_block_size", "4096\n"),
        ];
        let tree = Tree::new(&[]);
        files.iter().for_each(|(file, text)| tree.write(&format!("sys/class/nvme/nvme0/{file}"), text));
        tree
    }

    const INFO: &str = "node_nvme_info{device=\"nvme0\",firmware_revision=\"2B2QEXM7\",\
                        model=\"Samsung SSD 970 PRO 512GB\",serial=\"S680HF8N190894I\",state=\"live\",cntlid=\"8215\"} 1\n";

    #[test]
    fn controllers_and_namespaces() {
        let figure = |name, value| format!("node_nvme_namespace_{name}{{device=\"nvme0\",nsid=\"1\"}} {value}\n");
        let state =
            |state| format!("node_nvme_namespace_info{{device=\"nvme0\",nsid=\"1\",ana_state=\"{state}\"}} 1\n");
        let [capacity, size] = [figure("capacity_bytes", 512_000), figure("size_bytes", 512_000)];
        let [block, used] = [figure("logical_block_size_bytes", 4096), figure("used_bytes", 81_920)];
        let tree = tree();
        let page = |state: String, used: &str| format!("{INFO}{capacity}{state}{block}{size}{used}");
        tree.check(&SPEC, &[], &page(state("unknown"), &used));
        // Before Linux 6.8 there is no figure of what is used.
        tree.remove("sys/class/nvme/nvme0/nvme0n1/nuse");
        tree.write("sys/class/nvme/nvme0/nvme0n1/ana_state", "optimized\n");
        tree.check(&SPEC, &[], &page(state("optimized"), ""));
    }

    #[test]
    fn a_controller_that_is_lost_is_still_named() {
        let tree = Tree::new(&[("sys/class/nvme/nvme1/state", "dead\n")]);
        tree.check(&SPEC, &[], "node_nvme_info{device=\"nvme1\",state=\"dead\"} 1\n");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/nvme/", "")]).check(&SPEC, &[], "");
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String, rest in "nvme[0-9nc]{0,8}") {
            namespace(&name);
            namespace(&rest);
        }
    }
}
