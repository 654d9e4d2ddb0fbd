//! The columns of `/proc/net/dev` that are sums of several causes.
//!
//! The causes are in `/sys/class/net/*/statistics/`, each in a file whose reading gathers all figures of the driver anew.
//! None of them goes down, so while the sum stays the same none has changed: they are read only when it has.

use super::attribute;
use super::families::{
    RX_CRC, RX_DROPPED, RX_FRAMES, RX_LENGTH, RX_MISSED, RX_OVER, TX_ABORTED, TX_CARRIER_ERRORS, TX_HEARTBEAT,
    TX_WINDOW,
};
use crate::kit::{Host, Root};
use crate::model::{Batch, Entity, Family};

/// A column, and what it sums up.
pub(super) struct Group {
    pub(super) column: usize,
    causes: &'static [(&'static str, &'static Family)],
}

/// The columns that are sums.
pub(super) static GROUPS: [Group; 3] = [
    Group { column: 3, causes: &[("rx_dropped", &RX_DROPPED), ("rx_missed_errors", &RX_MISSED)] },
    Group {
        column: 5,
        causes: &[
            ("rx_length_errors", &RX_LENGTH),
            ("rx_over_errors", &RX_OVER),
            ("rx_crc_errors", &RX_CRC),
            ("rx_frame_errors", &RX_FRAMES),
        ],
    },
    Group {
        column: 14,
        causes: &[
            ("tx_carrier_errors", &TX_CARRIER_ERRORS),
            ("tx_aborted_errors", &TX_ABORTED),
            ("tx_heartbeat_errors", &TX_HEARTBEAT),
            ("tx_window_errors", &TX_WINDOW),
        ],
    },
];

/// What is known of a sum: what it was when its causes were read, and the causes.
#[derive(Debug, Default)]
pub(super) struct Part {
    sum: u64,
    causes: Option<[Option<u64>; 4]>,
}

impl Group {
    /// Puts the causes of an interface's sum.
    pub(super) fn put(&self, device: &str, sum: u64, last: &mut Part, of: Entity, host: &mut Host, out: &mut Batch) {
        let causes = match last.causes {
            Some(causes) if sum == last.sum => causes,
            _ if sum == 0 => [Some(0); 4],
            _ => {
                let mut causes = [None; 4];
                for (value, (file, _)) in causes.iter_mut().zip(self.causes) {
                    let path = format_args!("class/net/{device}/statistics/{file}");
                    *value = attribute(host.number(Root::Sys, path), out);
                }
                causes
            }
        };
        let is_known = causes.iter().take(self.causes.len()).all(Option::is_some);
        *last = Part { sum, causes: is_known.then_some(causes) };
        for ((_, family), value) in self.causes.iter().zip(causes) {
            out.put_some(*family, of, value);
        }
    }
}
