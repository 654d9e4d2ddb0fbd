//! `/sys/kernel/mm/ksm/`: how much memory is shared because it has the same content.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, Value, counter, gauge};
use crate::{Collector, Group, Spec};

const FOLDER: &str = "kernel/mm/ksm";

static FULL_SCANS: Family =
    counter("node_ksmd_full_scans_total", "How often all mergeable memory was looked through.", &[]);
static MERGE_ACROSS_NODES: Family =
    gauge("node_ksmd_merge_across_nodes", "Whether pages of different NUMA nodes are merged.", &[]);
static PAGES_SHARED: Family = gauge("node_ksmd_pages_shared", "Pages that are shared.", &[]);
static PAGES_SHARING: Family = gauge("node_ksmd_pages_sharing", "Pages that were saved by sharing.", &[]);
static PAGES_TO_SCAN: Family = gauge("node_ksmd_pages_to_scan", "Pages that are looked through before each rest.", &[]);
static PAGES_UNSHARED: Family = gauge("node_ksmd_pages_unshared", "Pages that were looked at and have no equal.", &[]);
static PAGES_VOLATILE: Family = gauge("node_ksmd_pages_volatile", "Pages that change too fast to be shared.", &[]);
static RUN: Family =
    gauge("node_ksmd_run", "Whether memory is looked through: 0 no, 1 yes, 2 no and nothing stays shared.", &[]);
static SLEEP: Family = gauge("node_ksmd_sleep_seconds", "How long each rest takes, in seconds.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    ..Spec::new(
        Group::Node,
        "ksmd",
        "Memory shared for its content, from /sys/kernel/mm/ksm.",
        &[
            &FULL_SCANS,
            &MERGE_ACROSS_NODES,
            &PAGES_SHARED,
            &PAGES_SHARING,
            &PAGES_TO_SCAN,
            &PAGES_UNSHARED,
            &PAGES_VOLATILE,
            &RUN,
            &SLEEP,
        ],
        open,
    )
};

/// The files, and with how many decimals they count in their family's unit.
const FILES: [(&str, &Family, u8); 9] = [
    ("full_scans", &FULL_SCANS, 0),
    ("merge_across_nodes", &MERGE_ACROSS_NODES, 0),
    ("pages_shared", &PAGES_SHARED, 0),
    ("pages_sharing", &PAGES_SHARING, 0),
    ("pages_to_scan", &PAGES_TO_SCAN, 0),
    ("pages_unshared", &PAGES_UNSHARED, 0),
    ("pages_volatile", &PAGES_VOLATILE, 0),
    ("run", &RUN, 0),
    ("sleep_millisecs", &SLEEP, 3),
];

struct Ksmd([KeptFile; FILES.len()]);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !host.exists(Root::Sys, FOLDER) {
        return Ok(None);
    }
    Ok(Some(Box::new(Ksmd(FILES.map(|(file, _, _)| KeptFile::new(Root::Sys, format!("{FOLDER}/{file}")))))))
}

impl Collector for Ksmd {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let machine = out.machine();
        for (kept, (file, family, decimals)) in self.0.iter_mut().zip(FILES) {
            let text = match host.read_kept(kept) {
                Ok(text) => text,
                // Without NUMA there is nothing to merge across.
                Err(error) if error.is_absent() => continue,
                Err(error) => {
                    out.fault(error);
                    continue;
                }
            };
            match parse::signed(parse::trim(text)) {
                Some(number) => out.put(family, machine, Value::Scaled(number, decimals)),
                None => out.fault(Error::malformed(&format!("/sys/{FOLDER}/{file}"), 1, "a whole number")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn files_are_families() {
        let tree = Tree::new(&[]);
        for (at, (file, _, _)) in FILES.iter().enumerate() {
            tree.write(&format!("sys/kernel/mm/ksm/{file}"), &format!("{at}\n"));
        }
        let page = "node_ksmd_full_scans_total 0\nnode_ksmd_merge_across_nodes 1\nnode_ksmd_pages_shared 2\n\
                    node_ksmd_pages_sharing 3\nnode_ksmd_pages_to_scan 4\nnode_ksmd_pages_unshared 5\n\
                    node_ksmd_pages_volatile 6\nnode_ksmd_run 7\nnode_ksmd_sleep_seconds 0.008\n";
        tree.check(&SPEC, &[], page);
    }

    #[test]
    fn what_is_missing_or_does_not_read_costs_only_itself() {
        let tree = Tree::new(&[("sys/kernel/mm/ksm/run", "1\n"), ("sys/kernel/mm/ksm/full_scans", "x\n")]);
        tree.check(&SPEC, &[], "node_ksmd_run 1\n! malformed\n");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }
}
