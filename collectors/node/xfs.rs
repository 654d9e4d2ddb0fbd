//! `/sys/fs/xfs/DEVICE/stats/stats`: what each XFS filesystem has done.
//!
//! There since Linux 4.4; before, only the sums of all filesystems were told. Each figure is a sum over all CPUs, and
//! starts anew when it has reached 2^32. Lines and columns of newer kernels are left out.

mod families;

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family};
use crate::{Collector, Group, Pace, Spec};
use families::*;
use std::time::Duration;

const FOLDER: &str = "fs/xfs";

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "xfs", "What XFS filesystems have done, from /sys/fs/xfs.", FAMILIES, open)
};

static FAMILIES: &[&Family] = &[
    &EXTENT_ALLOCATION_EXTENTS_ALLOCATED,
    &EXTENT_ALLOCATION_BLOCKS_ALLOCATED,
    &EXTENT_ALLOCATION_EXTENTS_FREED,
    &EXTENT_ALLOCATION_BLOCKS_FREED,
    &ALLOCATION_BTREE_LOOKUPS,
    &ALLOCATION_BTREE_COMPARES,
    &ALLOCATION_BTREE_RECORDS_INSERTED,
    &ALLOCATION_BTREE_RECORDS_DELETED,
    &BLOCK_MAPPING_READS,
    &BLOCK_MAPPING_WRITES,
    &BLOCK_MAPPING_UNMAPS,
    &BLOCK_MAPPING_EXTENT_LIST_INSERTIONS,
    &BLOCK_MAPPING_EXTENT_LIST_DELETIONS,
    &BLOCK_MAPPING_EXTENT_LIST_LOOKUPS,
    &BLOCK_MAPPING_EXTENT_LIST_COMPARES,
    &BLOCK_MAP_BTREE_LOOKUPS,
    &BLOCK_MAP_BTREE_COMPARES,
    &BLOCK_MAP_BTREE_RECORDS_INSERTED,
    &BLOCK_MAP_BTREE_RECORDS_DELETED,
    &DIRECTORY_OPERATION_LOOKUP,
    &DIRECTORY_OPERATION_CREATE,
    &DIRECTORY_OPERATION_REMOVE,
    &DIRECTORY_OPERATION_GETDENTS,
    &INODE_OPERATION_ATTEMPTS,
    &INODE_OPERATION_FOUND,
    &INODE_OPERATION_RECYCLED,
    &INODE_OPERATION_MISSED,
    &INODE_OPERATION_DUPLICATES,
    &INODE_OPERATION_RECLAIMS,
    &INODE_OPERATION_ATTRIBUTE_CHANGES,
    &WRITE_CALLS,
    &READ_CALLS,
    &VNODE_ACTIVE,
    &VNODE_ALLOCATE,
    &VNODE_GET,
    &VNODE_HOLD,
    &VNODE_RELEASE,
    &VNODE_RECLAIM,
    &VNODE_REMOVE,
];

/// The first words of the lines that are told, and the families of their columns.
static LINES: [(&[u8], &[&Family]); 8] = [
    (
        b"extent_alloc",
        &[
            &EXTENT_ALLOCATION_EXTENTS_ALLOCATED,
            &EXTENT_ALLOCATION_BLOCKS_ALLOCATED,
            &EXTENT_ALLOCATION_EXTENTS_FREED,
            &EXTENT_ALLOCATION_BLOCKS_FREED,
        ],
    ),
    (
        b"abt",
        &[
            &ALLOCATION_BTREE_LOOKUPS,
            &ALLOCATION_BTREE_COMPARES,
            &ALLOCATION_BTREE_RECORDS_INSERTED,
            &ALLOCATION_BTREE_RECORDS_DELETED,
        ],
    ),
    (
        b"blk_map",
        &[
            &BLOCK_MAPPING_READS,
            &BLOCK_MAPPING_WRITES,
            &BLOCK_MAPPING_UNMAPS,
            &BLOCK_MAPPING_EXTENT_LIST_INSERTIONS,
            &BLOCK_MAPPING_EXTENT_LIST_DELETIONS,
            &BLOCK_MAPPING_EXTENT_LIST_LOOKUPS,
            &BLOCK_MAPPING_EXTENT_LIST_COMPARES,
        ],
    ),
    (
        b"bmbt",
        &[
            &BLOCK_MAP_BTREE_LOOKUPS,
            &BLOCK_MAP_BTREE_COMPARES,
            &BLOCK_MAP_BTREE_RECORDS_INSERTED,
            &BLOCK_MAP_BTREE_RECORDS_DELETED,
        ],
    ),
    (
        b"dir",
        &[
            &DIRECTORY_OPERATION_LOOKUP,
            &DIRECTORY_OPERATION_CREATE,
            &DIRECTORY_OPERATION_REMOVE,
            &DIRECTORY_OPERATION_GETDENTS,
        ],
    ),
    (
        b"ig",
        &[
            &INODE_OPERATION_ATTEMPTS,
            &INODE_OPERATION_FOUND,
            &INODE_OPERATION_RECYCLED,
            &INODE_OPERATION_MISSED,
            &INODE_OPERATION_DUPLICATES,
            &INODE_OPERATION_RECLAIMS,
            &INODE_OPERATION_ATTRIBUTE_CHANGES,
        ],
    ),
    (b"rw", &[&WRITE_CALLS, &READ_CALLS]),
    (
        b"vnodes",
        &[&VNODE_ACTIVE, &VNODE_ALLOCATE, &VNODE_GET, &VNODE_HOLD, &VNODE_RELEASE, &VNODE_RECLAIM, &VNODE_REMOVE],
    ),
];

/// The filesystems.
struct Xfs(Vec<Filesystem>);

struct Filesystem {
    device: String,
    file: KeptFile,
}

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Xfs(Vec::new()))))
}

impl Collector for Xfs {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        // Beside the filesystems there are `stats`, of all of them, and `debug`.
        let devices = match host.devices(Root::Sys, FOLDER, |name| name != "stats" && name != "debug") {
            // Without the module, too, there are no filesystems to tell of.
            Err(error) if error.is_absent() => return Ok(()),
            devices => devices?,
        };
        if !devices.iter().eq(self.0.iter().map(|filesystem| &filesystem.device)) {
            self.0 = devices.iter().map(|device| Filesystem::new(device)).collect();
        }
        for Filesystem { device, file } in &mut self.0 {
            let text = match host.read_kept(file) {
                // Unmounted since, or no filesystem.
                Err(error) if error.is_absent() => continue,
                text => out.ok(text),
            };
            for (line, number) in parse::lines(text.unwrap_or_default()).zip(1..) {
                if !put(line, device, out) {
                    out.fault(Error::malformed(
                        &format!("/sys/{FOLDER}/{device}/stats/stats"),
                        number,
                        "whole numbers",
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Filesystem {
    fn new(device: &str) -> Self {
        let file = KeptFile::new(Root::Sys, format!("{FOLDER}/{device}/stats/stats"));
        Self { device: device.to_owned(), file }
    }
}

/// `extent_alloc 1 872 0 0`: puts the figures; whether all that are told of such a line were there.
fn put(line: &[u8], device: &str, out: &mut Batch) -> bool {
    let mut words = parse::words(line);
    let name = words.next().unwrap_or_default();
    let Some((_, families)) = LINES.iter().find(|(known, _)| *known == name) else { return true };
    let of = out.entity(DEVICE, [device]);
    families.iter().all(|family| {
        let figure = words.next().and_then(parse::number);
        out.put_some(*family, of, figure);
        figure.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn the_columns_of_each_filesystem() {
        let tree = Tree::new(&[
            ("sys/fs/xfs/dm-0/stats/stats", "trans 1 2 3\nrw 28 7\nvnodes 4 0 0 0 1 2 3 9\nxpc 1 2 3\nnew_word x\n"),
            ("sys/fs/xfs/sda1/stats/stats", "rw 1 2\n"),
            ("sys/fs/xfs/stats/stats", "rw 29 9\n"),
            ("sys/fs/xfs/debug/bug_on_assert", "0\n"),
        ]);
        let page = "node_xfs_read_calls_total{device=\"dm-0\"} 7\nnode_xfs_read_calls_total{device=\"sda1\"} 2\n\
                    node_xfs_vnode_active_total{device=\"dm-0\"} 4\nnode_xfs_vnode_allocate_total{device=\"dm-0\"} 0\n\
                    node_xfs_vnode_get_total{device=\"dm-0\"} 0\nnode_xfs_vnode_hold_total{device=\"dm-0\"} 0\n\
                    node_xfs_vnode_reclaim_total{device=\"dm-0\"} 2\nnode_xfs_vnode_release_total{device=\"dm-0\"} 1\n\
                    node_xfs_vnode_remove_total{device=\"dm-0\"} 3\n\
                    node_xfs_write_calls_total{device=\"dm-0\"} 28\nnode_xfs_write_calls_total{device=\"sda1\"} 1\n";
        tree.check(&SPEC, &[], page);
    }

    #[test]
    fn a_bad_line_costs_only_itself() {
        let tree = Tree::new(&[
            ("sys/fs/xfs/sda1/stats/stats", "dir x 1 2 3\nrw 1\n\nabt 0 0 0"),
            ("sys/fs/xfs/sdb1/stats/stats", "rw 1 2\n"),
            ("calls/errno", "sys/fs/xfs/sdb1/stats/stats EIO\n"),
        ]);
        tree.check(&SPEC, &[], "node_xfs_write_calls_total{device=\"sda1\"} 1\n! io\n! malformed\n! malformed\n");
    }

    #[test]
    fn filesystems_come_and_go() {
        Tree::new(&[]).check(&SPEC, &[], "");
        let tree = Tree::new(&[("sys/fs/xfs/", "")]);
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), "");
        tree.write("sys/fs/xfs/sda1/stats/stats", "rw 1 2\n");
        opened.advance(std::time::Duration::from_secs(10));
        assert!(opened.round().contains("sda1"));
        tree.remove("sys/fs/xfs/sda1");
        assert_eq!(opened.round(), "");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut out = Batch::new(100);
            put(&bytes, "sda1", &mut out);
            put(&[b"vnodes ", bytes.as_slice()].concat(), "sda1", &mut out);
        }
    }
}
