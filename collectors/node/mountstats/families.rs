//! The families of `/proc/self/mountstats`, in the order of its columns.

use crate::model::{Family, counter, gauge};

pub(super) const MOUNT: &[&str; 3] = &["export", "mountaddr", "protocol"];
pub(super) const MOUNTPOINT_LABELS: &[&str; 4] = &["export", "mountaddr", "mountpoint", "protocol"];
pub(super) const OPERATION: &[&str; 4] = &["export", "mountaddr", "operation", "protocol"];
pub(super) const TRANSPORT: &[&str; 4] = &["export", "mountaddr", "protocol", "transport"];

pub(super) static AGE: Family =
    counter("node_mountstats_nfs_age_seconds_total", "Time since the filesystem was mounted, in seconds.", MOUNT);
pub(super) static MOUNTPOINT: Family =
    gauge("node_mountstats_nfs_mountpoint_info", "Always 1: where a filesystem is mounted.", MOUNTPOINT_LABELS);
pub(super) static READ_BYTES: Family = counter("node_mountstats_nfs_read_bytes_total", "Bytes read by read(2).", MOUNT);
pub(super) static WRITE_BYTES: Family =
    counter("node_mountstats_nfs_write_bytes_total", "Bytes written by write(2).", MOUNT);
pub(super) static DIRECT_READ_BYTES: Family =
    counter("node_mountstats_nfs_direct_read_bytes_total", "Bytes read past the cache.", MOUNT);
pub(super) static DIRECT_WRITE_BYTES: Family =
    counter("node_mountstats_nfs_direct_write_bytes_total", "Bytes written past the cache.", MOUNT);
pub(super) static TOTAL_READ_BYTES: Family =
    counter("node_mountstats_nfs_total_read_bytes_total", "Bytes read from the server.", MOUNT);
pub(super) static TOTAL_WRITE_BYTES: Family =
    counter("node_mountstats_nfs_total_write_bytes_total", "Bytes written to the server.", MOUNT);
pub(super) static READ_PAGES: Family =
    counter("node_mountstats_nfs_read_pages_total", "Pages read by mapped files.", MOUNT);
pub(super) static WRITE_PAGES: Family =
    counter("node_mountstats_nfs_write_pages_total", "Pages written by mapped files.", MOUNT);
pub(super) static EVENT_INODE_REVALIDATE: Family = counter(
    "node_mountstats_nfs_event_inode_revalidate_total",
    "Times the attributes of an inode were checked with the server.",
    MOUNT,
);
pub(super) static EVENT_DNODE_REVALIDATE: Family =
    counter("node_mountstats_nfs_event_dnode_revalidate_total", "Times a name was checked with the server.", MOUNT);
pub(super) static EVENT_DATA_INVALIDATE: Family =
    counter("node_mountstats_nfs_event_data_invalidate_total", "Times the cached data of a file was dropped.", MOUNT);
pub(super) static EVENT_ATTRIBUTE_INVALIDATE: Family = counter(
    "node_mountstats_nfs_event_attribute_invalidate_total",
    "Times the cached attributes of a file were dropped.",
    MOUNT,
);
pub(super) static EVENT_VFS_OPEN: Family =
    counter("node_mountstats_nfs_event_vfs_open_total", "Files and directories that were opened.", MOUNT);
pub(super) static EVENT_VFS_LOOKUP: Family =
    counter("node_mountstats_nfs_event_vfs_lookup_total", "Names that were looked up.", MOUNT);
pub(super) static EVENT_VFS_ACCESS: Family =
    counter("node_mountstats_nfs_event_vfs_access_total", "Times permissions were asked for.", MOUNT);
pub(super) static EVENT_VFS_UPDATE_PAGE: Family =
    counter("node_mountstats_nfs_event_vfs_update_page_total", "Pages that were written to in memory.", MOUNT);
pub(super) static EVENT_VFS_READ_PAGE: Family =
    counter("node_mountstats_nfs_event_vfs_read_page_total", "Pages that were read one by one.", MOUNT);
pub(super) static EVENT_VFS_READ_PAGES: Family =
    counter("node_mountstats_nfs_event_vfs_read_pages_total", "Times several pages were read together.", MOUNT);
pub(super) static EVENT_VFS_WRITE_PAGE: Family =
    counter("node_mountstats_nfs_event_vfs_write_page_total", "Pages that were written one by one.", MOUNT);
pub(super) static EVENT_VFS_WRITE_PAGES: Family =
    counter("node_mountstats_nfs_event_vfs_write_pages_total", "Times several pages were written together.", MOUNT);
pub(super) static EVENT_VFS_GETDENTS: Family =
    counter("node_mountstats_nfs_event_vfs_getdents_total", "Times a directory was listed.", MOUNT);
pub(super) static EVENT_VFS_SETATTR: Family =
    counter("node_mountstats_nfs_event_vfs_setattr_total", "Times attributes were set.", MOUNT);
pub(super) static EVENT_VFS_FLUSH: Family =
    counter("node_mountstats_nfs_event_vfs_flush_total", "Times a file was flushed.", MOUNT);
pub(super) static EVENT_VFS_FSYNC: Family =
    counter("node_mountstats_nfs_event_vfs_fsync_total", "Times a file was synchronised.", MOUNT);
pub(super) static EVENT_VFS_LOCK: Family =
    counter("node_mountstats_nfs_event_vfs_lock_total", "Times a lock was asked for.", MOUNT);
pub(super) static EVENT_VFS_FILE_RELEASE: Family =
    counter("node_mountstats_nfs_event_vfs_file_release_total", "Files that were closed.", MOUNT);
pub(super) static EVENT_TRUNCATION: Family =
    counter("node_mountstats_nfs_event_truncation_total", "Files that were cut.", MOUNT);
pub(super) static EVENT_WRITE_EXTENSION: Family =
    counter("node_mountstats_nfs_event_write_extension_total", "Files that grew by a write behind their end.", MOUNT);
pub(super) static EVENT_SILLY_RENAME: Family =
    counter("node_mountstats_nfs_event_silly_rename_total", "Files that were removed while they were open.", MOUNT);
pub(super) static EVENT_SHORT_READ: Family = counter(
    "node_mountstats_nfs_event_short_read_total",
    "Reads for which the server gave less than was asked for.",
    MOUNT,
);
pub(super) static EVENT_SHORT_WRITE: Family = counter(
    "node_mountstats_nfs_event_short_write_total",
    "Writes of which the server took less than was given.",
    MOUNT,
);
pub(super) static EVENT_JUKEBOX_DELAY: Family =
    counter("node_mountstats_nfs_event_jukebox_delay_total", "Times the server said to come back later.", MOUNT);
pub(super) static EVENT_PNFS_READ: Family =
    counter("node_mountstats_nfs_event_pnfs_read_total", "Reads from the data servers of pNFS.", MOUNT);
pub(super) static EVENT_PNFS_WRITE: Family =
    counter("node_mountstats_nfs_event_pnfs_write_total", "Writes to the data servers of pNFS.", MOUNT);
pub(super) static TRANSPORT_BIND: Family =
    counter("node_mountstats_nfs_transport_bind_total", "Times a port was bound.", TRANSPORT);
pub(super) static TRANSPORT_CONNECT: Family =
    counter("node_mountstats_nfs_transport_connect_total", "Connections made.", TRANSPORT);
pub(super) static TRANSPORT_IDLE_TIME_SECONDS: Family =
    gauge("node_mountstats_nfs_transport_idle_time_seconds", "Time without traffic, in seconds.", TRANSPORT);
pub(super) static TRANSPORT_SENDS: Family =
    counter("node_mountstats_nfs_transport_sends_total", "Calls that were sent.", TRANSPORT);
pub(super) static TRANSPORT_RECEIVES: Family =
    counter("node_mountstats_nfs_transport_receives_total", "Answers that were received.", TRANSPORT);
pub(super) static TRANSPORT_BAD_TRANSACTION_IDS: Family =
    counter("node_mountstats_nfs_transport_bad_transaction_ids_total", "Answers to no call.", TRANSPORT);
pub(super) static TRANSPORT_BACKLOG_QUEUE: Family = counter(
    "node_mountstats_nfs_transport_backlog_queue_total",
    "Calls waiting for a slot, added up over all calls.",
    TRANSPORT,
);
pub(super) static TRANSPORT_MAXIMUM_RPC_SLOTS: Family =
    gauge("node_mountstats_nfs_transport_maximum_rpc_slots", "Most calls that were under way at once.", TRANSPORT);
pub(super) static TRANSPORT_SENDING_QUEUE: Family = counter(
    "node_mountstats_nfs_transport_sending_queue_total",
    "Calls waiting to be sent, added up over all calls.",
    TRANSPORT,
);
pub(super) static TRANSPORT_PENDING_QUEUE: Family = counter(
    "node_mountstats_nfs_transport_pending_queue_total",
    "Calls waiting for an answer, added up over all calls.",
    TRANSPORT,
);
pub(super) static OPERATION_REQUESTS: Family =
    counter("node_mountstats_nfs_operations_requests_total", "Requests, by operation.", OPERATION);
pub(super) static OPERATION_TRANSMISSIONS: Family =
    counter("node_mountstats_nfs_operations_transmissions_total", "Times requests were sent, by operation.", OPERATION);
pub(super) static OPERATION_MAJOR_TIMEOUTS: Family = counter(
    "node_mountstats_nfs_operations_major_timeouts_total",
    "Major timeouts of requests, by operation.",
    OPERATION,
);
pub(super) static OPERATION_SENT_BYTES: Family =
    counter("node_mountstats_nfs_operations_sent_bytes_total", "Bytes sent for requests, by operation.", OPERATION);
pub(super) static OPERATION_RECEIVED_BYTES: Family = counter(
    "node_mountstats_nfs_operations_received_bytes_total",
    "Bytes received for requests, by operation.",
    OPERATION,
);
pub(super) static OPERATION_QUEUE_TIME_SECONDS: Family = counter(
    "node_mountstats_nfs_operations_queue_time_seconds_total",
    "Time that requests waited to be sent, in seconds, by operation.",
    OPERATION,
);
pub(super) static OPERATION_RESPONSE_TIME_SECONDS: Family = counter(
    "node_mountstats_nfs_operations_response_time_seconds_total",
    "Time that requests waited for their answer, in seconds, by operation.",
    OPERATION,
);
pub(super) static OPERATION_REQUEST_TIME_SECONDS: Family = counter(
    "node_mountstats_nfs_operations_request_time_seconds_total",
    "Time that requests took from beginning to end, in seconds, by operation.",
    OPERATION,
);

pub(super) static ALL: &[&Family] = &[
    &AGE,
    &MOUNTPOINT,
    &READ_BYTES,
    &WRITE_BYTES,
    &DIRECT_READ_BYTES,
    &DIRECT_WRITE_BYTES,
    &TOTAL_READ_BYTES,
    &TOTAL_WRITE_BYTES,
    &READ_PAGES,
    &WRITE_PAGES,
    &EVENT_INODE_REVALIDATE,
    &EVENT_DNODE_REVALIDATE,
    &EVENT_DATA_INVALIDATE,
    &EVENT_ATTRIBUTE_INVALIDATE,
    &EVENT_VFS_OPEN,
    &EVENT_VFS_LOOKUP,
    &EVENT_VFS_ACCESS,
    &EVENT_VFS_UPDATE_PAGE,
    &EVENT_VFS_READ_PAGE,
    &EVENT_VFS_READ_PAGES,
    &EVENT_VFS_WRITE_PAGE,
    &EVENT_VFS_WRITE_PAGES,
    &EVENT_VFS_GETDENTS,
    &EVENT_VFS_SETATTR,
    &EVENT_VFS_FLUSH,
    &EVENT_VFS_FSYNC,
    &EVENT_VFS_LOCK,
    &EVENT_VFS_FILE_RELEASE,
    &EVENT_TRUNCATION,
    &EVENT_WRITE_EXTENSION,
    &EVENT_SILLY_RENAME,
    &EVENT_SHORT_READ,
    &EVENT_SHORT_WRITE,
    &EVENT_JUKEBOX_DELAY,
    &EVENT_PNFS_READ,
    &EVENT_PNFS_WRITE,
    &TRANSPORT_BIND,
    &TRANSPORT_CONNECT,
    &TRANSPORT_IDLE_TIME_SECONDS,
    &TRANSPORT_SENDS,
    &TRANSPORT_RECEIVES,
    &TRANSPORT_BAD_TRANSACTION_IDS,
    &TRANSPORT_BACKLOG_QUEUE,
    &TRANSPORT_MAXIMUM_RPC_SLOTS,
    &TRANSPORT_SENDING_QUEUE,
    &TRANSPORT_PENDING_QUEUE,
    &OPERATION_REQUESTS,
    &OPERATION_TRANSMISSIONS,
    &OPERATION_MAJOR_TIMEOUTS,
    &OPERATION_SENT_BYTES,
    &OPERATION_RECEIVED_BYTES,
    &OPERATION_QUEUE_TIME_SECONDS,
    &OPERATION_RESPONSE_TIME_SECONDS,
    &OPERATION_REQUEST_TIME_SECONDS,
];

/// The line `bytes:`.
pub(super) static BYTES: [Option<&Family>; 8] = [
    Some(&READ_BYTES),
    Some(&WRITE_BYTES),
    Some(&DIRECT_READ_BYTES),
    Some(&DIRECT_WRITE_BYTES),
    Some(&TOTAL_READ_BYTES),
    Some(&TOTAL_WRITE_BYTES),
    Some(&READ_PAGES),
    Some(&WRITE_PAGES),
];
/// The line `events:`; the column that is left out is no longer counted.
pub(super) static EVENTS: [Option<&Family>; 27] = [
    Some(&EVENT_INODE_REVALIDATE),
    Some(&EVENT_DNODE_REVALIDATE),
    Some(&EVENT_DATA_INVALIDATE),
    Some(&EVENT_ATTRIBUTE_INVALIDATE),
    Some(&EVENT_VFS_OPEN),
    Some(&EVENT_VFS_LOOKUP),
    Some(&EVENT_VFS_ACCESS),
    Some(&EVENT_VFS_UPDATE_PAGE),
    Some(&EVENT_VFS_READ_PAGE),
    Some(&EVENT_VFS_READ_PAGES),
    Some(&EVENT_VFS_WRITE_PAGE),
    Some(&EVENT_VFS_WRITE_PAGES),
    Some(&EVENT_VFS_GETDENTS),
    Some(&EVENT_VFS_SETATTR),
    Some(&EVENT_VFS_FLUSH),
    Some(&EVENT_VFS_FSYNC),
    Some(&EVENT_VFS_LOCK),
    Some(&EVENT_VFS_FILE_RELEASE),
    None,
    Some(&EVENT_TRUNCATION),
    Some(&EVENT_WRITE_EXTENSION),
    Some(&EVENT_SILLY_RENAME),
    Some(&EVENT_SHORT_READ),
    Some(&EVENT_SHORT_WRITE),
    Some(&EVENT_JUKEBOX_DELAY),
    Some(&EVENT_PNFS_READ),
    Some(&EVENT_PNFS_WRITE),
];
/// A line `xprt:` of TCP. Those of other protocols lack columns.
pub(super) static TRANSPORTS: [Option<&Family>; 13] = [
    None,
    Some(&TRANSPORT_BIND),
    Some(&TRANSPORT_CONNECT),
    None,
    Some(&TRANSPORT_IDLE_TIME_SECONDS),
    Some(&TRANSPORT_SENDS),
    Some(&TRANSPORT_RECEIVES),
    Some(&TRANSPORT_BAD_TRANSACTION_IDS),
    None,
    Some(&TRANSPORT_BACKLOG_QUEUE),
    Some(&TRANSPORT_MAXIMUM_RPC_SLOTS),
    Some(&TRANSPORT_SENDING_QUEUE),
    Some(&TRANSPORT_PENDING_QUEUE),
];
/// A line of an operation, and in how many decimals of a second it counts.
pub(super) static OPERATIONS: [(&Family, u8); 8] = [
    (&OPERATION_REQUESTS, 0),
    (&OPERATION_TRANSMISSIONS, 0),
    (&OPERATION_MAJOR_TIMEOUTS, 0),
    (&OPERATION_SENT_BYTES, 0),
    (&OPERATION_RECEIVED_BYTES, 0),
    (&OPERATION_QUEUE_TIME_SECONDS, 3),
    (&OPERATION_RESPONSE_TIME_SECONDS, 3),
    (&OPERATION_REQUEST_TIME_SECONDS, 3),
];
