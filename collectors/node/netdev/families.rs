//! The families: one for each column of `/proc/net/dev`, and those of single causes.

use crate::model::{Family, counter, gauge};

pub(super) const LABELS: &[&str; 2] = &["device", "ifalias"];

pub(super) static RX_BYTES: Family =
    counter("node_network_receive_bytes_total", "Bytes received, from /proc/net/dev.", LABELS);
pub(super) static RX_PACKETS: Family =
    counter("node_network_receive_packets_total", "Packets received, from /proc/net/dev.", LABELS);
pub(super) static RX_ERRS: Family =
    counter("node_network_receive_errs_total", "Packets received with an error, from /proc/net/dev.", LABELS);
pub(super) static RX_DROP: Family = counter(
    "node_network_receive_drop_total",
    "Packets received and dropped, missed ones included, from /proc/net/dev.",
    LABELS,
);
pub(super) static RX_FIFO: Family =
    counter("node_network_receive_fifo_total", "Overruns of the receive queue, from /proc/net/dev.", LABELS);
pub(super) static RX_FRAME: Family = counter(
    "node_network_receive_frame_total",
    "Packets received with a wrong length, frame or checksum, from /proc/net/dev.",
    LABELS,
);
pub(super) static RX_COMPRESSED: Family =
    counter("node_network_receive_compressed_total", "Compressed packets received, from /proc/net/dev.", LABELS);
pub(super) static RX_MULTICAST: Family =
    counter("node_network_receive_multicast_total", "Multicast packets received, from /proc/net/dev.", LABELS);
pub(super) static TX_BYTES: Family =
    counter("node_network_transmit_bytes_total", "Bytes sent, from /proc/net/dev.", LABELS);
pub(super) static TX_PACKETS: Family =
    counter("node_network_transmit_packets_total", "Packets sent, from /proc/net/dev.", LABELS);
pub(super) static TX_ERRS: Family =
    counter("node_network_transmit_errs_total", "Packets that could not be sent, from /proc/net/dev.", LABELS);
pub(super) static TX_DROP: Family =
    counter("node_network_transmit_drop_total", "Packets dropped on their way out, from /proc/net/dev.", LABELS);
pub(super) static TX_FIFO: Family =
    counter("node_network_transmit_fifo_total", "Underruns of the transmit queue, from /proc/net/dev.", LABELS);
pub(super) static TX_COLLS: Family =
    counter("node_network_transmit_colls_total", "Collisions while sending, from /proc/net/dev.", LABELS);
pub(super) static TX_CARRIER: Family = counter(
    "node_network_transmit_carrier_total",
    "Packets lost to a missing carrier, an abort, a late collision or a silent heartbeat, from /proc/net/dev.",
    LABELS,
);
pub(super) static TX_COMPRESSED: Family =
    counter("node_network_transmit_compressed_total", "Compressed packets sent, from /proc/net/dev.", LABELS);
pub(super) static RX_NOHANDLER: Family = counter(
    "node_network_receive_nohandler_total",
    "Packets received and dropped as nobody takes them, as on an idle port of a bond.",
    LABELS,
);
pub(super) static RX_ERRORS: Family =
    counter("node_network_receive_errors_total", "Packets received with an error.", LABELS);
pub(super) static RX_DROPPED: Family = counter(
    "node_network_receive_dropped_total",
    "Packets received and dropped for want of room or of somebody who takes them.",
    LABELS,
);
pub(super) static RX_MISSED: Family =
    counter("node_network_receive_missed_errors_total", "Packets that the hardware had no room for.", LABELS);
pub(super) static RX_LENGTH: Family =
    counter("node_network_receive_length_errors_total", "Packets received with a wrong length.", LABELS);
pub(super) static RX_OVER: Family =
    counter("node_network_receive_over_errors_total", "Packets received that were too large for the hardware.", LABELS);
pub(super) static RX_CRC: Family =
    counter("node_network_receive_crc_errors_total", "Packets received with a wrong checksum.", LABELS);
pub(super) static RX_FRAMES: Family =
    counter("node_network_receive_frame_errors_total", "Packets received with a wrong frame.", LABELS);
pub(super) static RX_FIFO_ERRORS: Family =
    counter("node_network_receive_fifo_errors_total", "Overruns of the receive queue.", LABELS);
pub(super) static MULTICAST: Family = counter("node_network_multicast_total", "Multicast packets received.", LABELS);
pub(super) static COLLISIONS: Family = counter("node_network_collisions_total", "Collisions while sending.", LABELS);
pub(super) static TX_ERRORS: Family =
    counter("node_network_transmit_errors_total", "Packets that could not be sent.", LABELS);
pub(super) static TX_DROPPED: Family =
    counter("node_network_transmit_dropped_total", "Packets dropped on their way out.", LABELS);
pub(super) static TX_FIFO_ERRORS: Family =
    counter("node_network_transmit_fifo_errors_total", "Underruns of the transmit queue.", LABELS);
pub(super) static TX_CARRIER_ERRORS: Family =
    counter("node_network_transmit_carrier_errors_total", "Packets lost to a missing carrier.", LABELS);
pub(super) static TX_ABORTED: Family =
    counter("node_network_transmit_aborted_errors_total", "Packets whose sending was aborted.", LABELS);
pub(super) static TX_HEARTBEAT: Family =
    counter("node_network_transmit_heartbeat_errors_total", "Packets lost to a silent heartbeat.", LABELS);
pub(super) static TX_WINDOW: Family =
    counter("node_network_transmit_window_errors_total", "Packets lost to a late collision.", LABELS);
pub(super) static ADDRESS_INFO: Family = gauge(
    "node_network_address_info",
    "Always 1: an address of the interface, the length of its prefix, and how far it reaches.",
    &["address", "device", "netmask", "scope"],
);

/// In the order of the file's columns.
pub(super) static COLUMNS: [&Family; 16] = [
    &RX_BYTES,
    &RX_PACKETS,
    &RX_ERRS,
    &RX_DROP,
    &RX_FIFO,
    &RX_FRAME,
    &RX_COMPRESSED,
    &RX_MULTICAST,
    &TX_BYTES,
    &TX_PACKETS,
    &TX_ERRS,
    &TX_DROP,
    &TX_FIFO,
    &TX_COLLS,
    &TX_CARRIER,
    &TX_COMPRESSED,
];

/// The same with the names of the details, where the file alone is reported.
pub(super) static DETAILED_COLUMNS: [&Family; 16] = [
    &RX_BYTES,
    &RX_PACKETS,
    &RX_ERRORS,
    &RX_DROPPED,
    &RX_FIFO,
    &RX_FRAME,
    &RX_COMPRESSED,
    &RX_MULTICAST,
    &TX_BYTES,
    &TX_PACKETS,
    &TX_ERRORS,
    &TX_DROPPED,
    &TX_FIFO,
    &TX_COLLS,
    &TX_CARRIER,
    &TX_COMPRESSED,
];

/// The columns that are one cause; the others are sums, see [`super::parts`].
pub(super) static DETAILED: [Option<&Family>; 16] = [
    Some(&RX_BYTES),
    Some(&RX_PACKETS),
    Some(&RX_ERRORS),
    None,
    Some(&RX_FIFO_ERRORS),
    None,
    Some(&RX_COMPRESSED),
    Some(&MULTICAST),
    Some(&TX_BYTES),
    Some(&TX_PACKETS),
    Some(&TX_ERRORS),
    Some(&TX_DROPPED),
    Some(&TX_FIFO_ERRORS),
    Some(&COLLISIONS),
    None,
    Some(&TX_COMPRESSED),
];

/// All of them.
pub(super) static FAMILIES: &[&Family] = &[
    &RX_BYTES,
    &RX_PACKETS,
    &RX_ERRS,
    &RX_DROP,
    &RX_FIFO,
    &RX_FRAME,
    &RX_COMPRESSED,
    &RX_MULTICAST,
    &RX_NOHANDLER,
    &TX_BYTES,
    &TX_PACKETS,
    &TX_ERRS,
    &TX_DROP,
    &TX_FIFO,
    &TX_COLLS,
    &TX_CARRIER,
    &TX_COMPRESSED,
    &RX_ERRORS,
    &RX_DROPPED,
    &RX_MISSED,
    &RX_LENGTH,
    &RX_OVER,
    &RX_CRC,
    &RX_FRAMES,
    &RX_FIFO_ERRORS,
    &MULTICAST,
    &COLLISIONS,
    &TX_ERRORS,
    &TX_DROPPED,
    &TX_FIFO_ERRORS,
    &TX_CARRIER_ERRORS,
    &TX_ABORTED,
    &TX_HEARTBEAT,
    &TX_WINDOW,
    &ADDRESS_INFO,
];
