//! What ports count, by folder and file.

use super::PORT;
use crate::kit::attribute::Attribute;

const fn of(file: &'static str, name: &'static str, help: &'static str) -> Attribute {
    Attribute::counter(file, name, help, PORT)
}

/// `counters/`: what the standard asks of every port. Data is counted per lane, in words of 4 bytes.
pub(super) static COUNTERS: [Attribute; 22] = [
    of("VL15_dropped", "node_infiniband_vl15_dropped_total", "Management packets that were dropped for want of room."),
    of(
        "excessive_buffer_overrun_errors",
        "node_infiniband_excessive_buffer_overrun_errors_total",
        "How often the buffers overran for longer than the port tolerates.",
    ),
    of(
        "link_downed",
        "node_infiniband_link_downed_total",
        "How often the link did not recover from an error and went down.",
    ),
    of(
        "link_error_recovery",
        "node_infiniband_link_error_recovery_total",
        "How often the link recovered from an error.",
    ),
    of(
        "local_link_integrity_errors",
        "node_infiniband_local_link_integrity_errors_total",
        "How often the port had more errors of its own link than it tolerates.",
    ),
    of(
        "multicast_rcv_packets",
        "node_infiniband_multicast_packets_received_total",
        "Multicast packets received, those with errors included.",
    ),
    of(
        "multicast_xmit_packets",
        "node_infiniband_multicast_packets_transmitted_total",
        "Multicast packets sent, those with errors included.",
    ),
    of(
        "port_rcv_constraint_errors",
        "node_infiniband_port_constraint_errors_received_total",
        "Packets received by a switch and dropped for a filter or a partition key.",
    ),
    of("port_rcv_data", "node_infiniband_port_data_received_bytes_total", "Bytes received.").times(4),
    of(
        "port_rcv_discards",
        "node_infiniband_port_discards_received_total",
        "Packets received and dropped as the port was down or congested.",
    ),
    of("port_rcv_errors", "node_infiniband_port_errors_received_total", "Packets received with an error."),
    of(
        "port_rcv_packets",
        "node_infiniband_port_packets_received_total",
        "Packets received, those with errors included.",
    ),
    of(
        "port_rcv_remote_physical_errors",
        "node_infiniband_port_receive_remote_physical_errors_total",
        "Packets received that were marked as bad on their way.",
    ),
    of(
        "port_rcv_switch_relay_errors",
        "node_infiniband_port_receive_switch_relay_errors_total",
        "Packets received that the switch could not pass on.",
    ),
    of(
        "port_xmit_constraint_errors",
        "node_infiniband_port_constraint_errors_transmitted_total",
        "Packets not sent by a switch for a filter or a partition key.",
    ),
    of("port_xmit_data", "node_infiniband_port_data_transmitted_bytes_total", "Bytes sent.").times(4),
    of(
        "port_xmit_discards",
        "node_infiniband_port_discards_transmitted_total",
        "Packets to be sent that were dropped as the port was down or congested.",
    ),
    of(
        "port_xmit_packets",
        "node_infiniband_port_packets_transmitted_total",
        "Packets sent, those with errors included.",
    ),
    of(
        "port_xmit_wait",
        "node_infiniband_port_transmit_wait_total",
        "Ticks in which the port had data to send and could send none.",
    ),
    of("symbol_error", "node_infiniband_symbol_error_total", "Small errors on the lanes of the link."),
    of(
        "unicast_rcv_packets",
        "node_infiniband_unicast_packets_received_total",
        "Unicast packets received, those with errors included.",
    ),
    of(
        "unicast_xmit_packets",
        "node_infiniband_unicast_packets_transmitted_total",
        "Unicast packets sent, those with errors included.",
    ),
];

/// `counters_ext/`: the same in 64 bits, before Linux 4.5.
pub(super) static COUNTERS_EXT: [Attribute; 8] = [
    of(
        "port_multicast_rcv_packets",
        "node_infiniband_legacy_multicast_packets_received_total",
        "Multicast packets received, from counters_ext of old kernels.",
    ),
    of(
        "port_multicast_xmit_packets",
        "node_infiniband_legacy_multicast_packets_transmitted_total",
        "Multicast packets sent, from counters_ext of old kernels.",
    ),
    of(
        "port_rcv_data_64",
        "node_infiniband_legacy_data_received_bytes_total",
        "Bytes received, from counters_ext of old kernels.",
    )
    .times(4),
    of(
        "port_rcv_packets_64",
        "node_infiniband_legacy_packets_received_total",
        "Packets received, from counters_ext of old kernels.",
    ),
    of(
        "port_unicast_rcv_packets",
        "node_infiniband_legacy_unicast_packets_received_total",
        "Unicast packets received, from counters_ext of old kernels.",
    ),
    of(
        "port_unicast_xmit_packets",
        "node_infiniband_legacy_unicast_packets_transmitted_total",
        "Unicast packets sent, from counters_ext of old kernels.",
    ),
    of(
        "port_xmit_data_64",
        "node_infiniband_legacy_data_transmitted_bytes_total",
        "Bytes sent, from counters_ext of old kernels.",
    )
    .times(4),
    of(
        "port_xmit_packets_64",
        "node_infiniband_legacy_packets_transmitted_total",
        "Packets sent, from counters_ext of old kernels.",
    ),
];

/// `hw_counters/`: what some adapters count besides, since Linux 4.6. They are read from the hardware again after their
/// `lifespan`, which is in ms.
pub(super) static HW_COUNTERS: [Attribute; 30] = [
    Attribute::gauge(
        "lifespan",
        "node_infiniband_lifespan_seconds",
        "How long the counters of the hardware are kept before they are read again, in seconds.",
        PORT,
    )
    .scaled(3),
    of(
        "duplicate_request",
        "node_infiniband_duplicate_requests_packets_total",
        "Requests received that had been served before.",
    ),
    of(
        "implied_nak_seq_err",
        "node_infiniband_implied_nak_seq_errors_total",
        "Answers with a higher number than expected, which tell of a lost one.",
    ),
    of(
        "local_ack_timeout_err",
        "node_infiniband_local_ack_timeout_errors_total",
        "How often a sender waited in vain for an answer and tried again.",
    ),
    of("np_cnp_sent", "node_infiniband_np_cnp_packets_sent_total", "Packets sent to tell a sender of congestion."),
    of(
        "np_ecn_marked_roce_packets",
        "node_infiniband_np_ecn_marked_roce_packets_received_total",
        "RoCE packets received that were marked by a congested switch.",
    ),
    of(
        "out_of_buffer",
        "node_infiniband_out_of_buffer_drops_total",
        "Packets dropped as no receive request was waiting for them.",
    ),
    of("out_of_sequence", "node_infiniband_out_of_sequence_packets_received_total", "Packets received out of order."),
    of("packet_seq_err", "node_infiniband_packet_sequence_errors_total", "Refusals received for packets out of order."),
    of("req_cqe_error", "node_infiniband_req_cqes_errors_total", "Requests that were completed with an error."),
    of(
        "req_cqe_flush_error",
        "node_infiniband_req_cqes_flush_errors_total",
        "Requests that were given up with their queue.",
    ),
    of(
        "req_remote_access_errors",
        "node_infiniband_req_remote_access_errors_total",
        "Requests that the other side refused for want of rights.",
    ),
    of(
        "req_remote_invalid_request",
        "node_infiniband_req_remote_invalid_request_errors_total",
        "Requests that the other side refused as invalid.",
    ),
    of("resp_cqe_error", "node_infiniband_resp_cqes_errors_total", "Responses that were completed with an error."),
    of(
        "resp_cqe_flush_error",
        "node_infiniband_resp_cqes_flush_errors_total",
        "Responses that were given up with their queue.",
    ),
    of(
        "resp_local_length_error",
        "node_infiniband_resp_local_length_errors_total",
        "Requests received that were longer than their buffer.",
    ),
    of(
        "resp_remote_access_errors",
        "node_infiniband_resp_remote_access_errors_total",
        "Requests received and refused for want of rights.",
    ),
    of(
        "rnr_nak_retry_err",
        "node_infiniband_rnr_nak_retry_packets_received_total",
        "Refusals received as the other side was not ready.",
    ),
    of("roce_adp_retrans", "node_infiniband_roce_adp_retransmits_total", "Adaptive retransmissions of RoCE."),
    of(
        "roce_adp_retrans_to",
        "node_infiniband_roce_adp_retransmits_timeout_total",
        "How often RoCE waited in vain because of adaptive retransmission.",
    ),
    of("roce_slow_restart", "node_infiniband_roce_slow_restart_used_total", "How often RoCE's slow restart was used."),
    of(
        "roce_slow_restart_cnps",
        "node_infiniband_roce_slow_restart_cnps_total",
        "How often RoCE's slow restart told of congestion.",
    ),
    of("roce_slow_restart_trans", "node_infiniband_roce_slow_restart_total", "How often RoCE went into slow restart."),
    of(
        "rp_cnp_handled",
        "node_infiniband_rp_cnp_packets_handled_total",
        "Packets that told of congestion and slowed the sender down.",
    ),
    of(
        "rp_cnp_ignored",
        "node_infiniband_rp_cnp_ignored_packets_received_total",
        "Packets that told of congestion and were ignored.",
    ),
    of("rx_atomic_requests", "node_infiniband_rx_atomic_requests_total", "Atomic requests received."),
    of(
        "rx_dct_connect",
        "node_infiniband_rx_dct_connect_requests_total",
        "Requests received to connect dynamic transports.",
    ),
    of(
        "rx_icrc_encapsulated",
        "node_infiniband_rx_icrc_encapsulated_errors_total",
        "RoCE packets received with a wrong checksum.",
    ),
    of("rx_read_requests", "node_infiniband_rx_read_requests_total", "Read requests received."),
    of("rx_write_requests", "node_infiniband_rx_write_requests_total", "Write requests received."),
];
