//! What is counted of each filesystem.

use crate::model::{Family, counter};

pub(super) const DEVICE: &[&str; 1] = &["device"];

pub(super) static EXTENT_ALLOCATION_EXTENTS_ALLOCATED: Family = counter(
    "node_xfs_extent_allocation_extents_allocated_total",
    "Extents that were allocated, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static EXTENT_ALLOCATION_BLOCKS_ALLOCATED: Family = counter(
    "node_xfs_extent_allocation_blocks_allocated_total",
    "Blocks that were allocated, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static EXTENT_ALLOCATION_EXTENTS_FREED: Family = counter(
    "node_xfs_extent_allocation_extents_freed_total",
    "Extents that were freed, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static EXTENT_ALLOCATION_BLOCKS_FREED: Family = counter(
    "node_xfs_extent_allocation_blocks_freed_total",
    "Blocks that were freed, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static ALLOCATION_BTREE_LOOKUPS: Family = counter(
    "node_xfs_allocation_btree_lookups_total",
    "Lookups in the allocation trees, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static ALLOCATION_BTREE_COMPARES: Family = counter(
    "node_xfs_allocation_btree_compares_total",
    "Comparisons in the allocation trees, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static ALLOCATION_BTREE_RECORDS_INSERTED: Family = counter(
    "node_xfs_allocation_btree_records_inserted_total",
    "Records that were put into the allocation trees, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static ALLOCATION_BTREE_RECORDS_DELETED: Family = counter(
    "node_xfs_allocation_btree_records_deleted_total",
    "Records that were taken out of the allocation trees, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAPPING_READS: Family = counter(
    "node_xfs_block_mapping_reads_total",
    "Looks at a block map for reading, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAPPING_WRITES: Family = counter(
    "node_xfs_block_mapping_writes_total",
    "Looks at a block map for writing, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAPPING_UNMAPS: Family = counter(
    "node_xfs_block_mapping_unmaps_total",
    "Unmappings of blocks, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAPPING_EXTENT_LIST_INSERTIONS: Family = counter(
    "node_xfs_block_mapping_extent_list_insertions_total",
    "Extents that were put into a list, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAPPING_EXTENT_LIST_DELETIONS: Family = counter(
    "node_xfs_block_mapping_extent_list_deletions_total",
    "Extents that were taken out of a list, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAPPING_EXTENT_LIST_LOOKUPS: Family = counter(
    "node_xfs_block_mapping_extent_list_lookups_total",
    "Lookups in lists of extents, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAPPING_EXTENT_LIST_COMPARES: Family = counter(
    "node_xfs_block_mapping_extent_list_compares_total",
    "Comparisons in lists of extents, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAP_BTREE_LOOKUPS: Family = counter(
    "node_xfs_block_map_btree_lookups_total",
    "Lookups in the block map trees, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAP_BTREE_COMPARES: Family = counter(
    "node_xfs_block_map_btree_compares_total",
    "Comparisons in the block map trees, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAP_BTREE_RECORDS_INSERTED: Family = counter(
    "node_xfs_block_map_btree_records_inserted_total",
    "Records that were put into the block map trees, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static BLOCK_MAP_BTREE_RECORDS_DELETED: Family = counter(
    "node_xfs_block_map_btree_records_deleted_total",
    "Records that were taken out of the block map trees, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static DIRECTORY_OPERATION_LOOKUP: Family = counter(
    "node_xfs_directory_operation_lookup_total",
    "Lookups in directories that the cache of names could not answer, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static DIRECTORY_OPERATION_CREATE: Family = counter(
    "node_xfs_directory_operation_create_total",
    "Directory entries that were made, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static DIRECTORY_OPERATION_REMOVE: Family = counter(
    "node_xfs_directory_operation_remove_total",
    "Directory entries that were removed, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static DIRECTORY_OPERATION_GETDENTS: Family = counter(
    "node_xfs_directory_operation_getdents_total",
    "Listings of directories, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static INODE_OPERATION_ATTEMPTS: Family = counter(
    "node_xfs_inode_operation_attempts_total",
    "Looks for an inode in the cache, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static INODE_OPERATION_FOUND: Family = counter(
    "node_xfs_inode_operation_found_total",
    "Looks that found the inode in the cache, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static INODE_OPERATION_RECYCLED: Family = counter(
    "node_xfs_inode_operation_recycled_total",
    "Looks that found an inode that was just being recycled, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static INODE_OPERATION_MISSED: Family = counter(
    "node_xfs_inode_operation_missed_total",
    "Looks that did not find the inode in the cache, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static INODE_OPERATION_DUPLICATES: Family = counter(
    "node_xfs_inode_operation_duplicates_total",
    "Inodes that somebody else had put into the cache in the meantime, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static INODE_OPERATION_RECLAIMS: Family = counter(
    "node_xfs_inode_operation_reclaims_total",
    "Inodes that were dropped from the cache for their memory, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static INODE_OPERATION_ATTRIBUTE_CHANGES: Family = counter(
    "node_xfs_inode_operation_attribute_changes_total",
    "Changes of the attributes of inodes, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static WRITE_CALLS: Family =
    counter("node_xfs_write_calls_total", "Calls that write, from /sys/fs/xfs/DEVICE/stats/stats.", DEVICE);
pub(super) static READ_CALLS: Family =
    counter("node_xfs_read_calls_total", "Calls that read, from /sys/fs/xfs/DEVICE/stats/stats.", DEVICE);
pub(super) static VNODE_ACTIVE: Family =
    counter("node_xfs_vnode_active_total", "Inodes in use, from /sys/fs/xfs/DEVICE/stats/stats.", DEVICE);
pub(super) static VNODE_ALLOCATE: Family = counter(
    "node_xfs_vnode_allocate_total",
    "Inodes that were given memory, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static VNODE_GET: Family = counter(
    "node_xfs_vnode_get_total",
    "Inodes that were taken from the free list, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static VNODE_HOLD: Family =
    counter("node_xfs_vnode_hold_total", "Inodes that were held, from /sys/fs/xfs/DEVICE/stats/stats.", DEVICE);
pub(super) static VNODE_RELEASE: Family =
    counter("node_xfs_vnode_release_total", "Inodes that were let go, from /sys/fs/xfs/DEVICE/stats/stats.", DEVICE);
pub(super) static VNODE_RECLAIM: Family = counter(
    "node_xfs_vnode_reclaim_total",
    "Inodes whose memory was taken back, from /sys/fs/xfs/DEVICE/stats/stats.",
    DEVICE,
);
pub(super) static VNODE_REMOVE: Family =
    counter("node_xfs_vnode_remove_total", "Inodes that were removed, from /sys/fs/xfs/DEVICE/stats/stats.", DEVICE);
