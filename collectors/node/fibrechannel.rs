//! `/sys/class/fc_host/`: ports of Fibre Channel adapters, and what they count.
//!
//! Reading the counters asks the adapter. Of what it does not count it says `0xffffffffffffffff`, which is left out.

use crate::kit::attribute::{self, Attribute, families};
use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "class/fc_host";

const fn of(file: &'static str, name: &'static str, help: &'static str) -> Attribute {
    Attribute::counter(file, name, help, &["fc_host"])
}

static COUNTERS: [Attribute; 14] = [
    of("dumped_frames", "node_fibrechannel_dumped_frames_total", "Frames that were given up."),
    of("error_frames", "node_fibrechannel_error_frames_total", "Frames with an error."),
    of("fcp_packet_aborts", "node_fibrechannel_fcp_packet_aborts_total", "Packets that were aborted."),
    of("invalid_crc_count", "node_fibrechannel_invalid_crc_total", "Frames with a wrong checksum."),
    of("invalid_tx_word_count", "node_fibrechannel_invalid_tx_words_total", "Words on the link that were invalid."),
    of("link_failure_count", "node_fibrechannel_link_failure_total", "How often the link failed."),
    of("loss_of_signal_count", "node_fibrechannel_loss_of_signal_total", "How often the signal was lost."),
    of("loss_of_sync_count", "node_fibrechannel_loss_of_sync_total", "How often the beat of the signal was lost."),
    of("nos_count", "node_fibrechannel_nos_total", "How often the other side said that it does not operate."),
    of("rx_frames", "node_fibrechannel_rx_frames_total", "Frames received."),
    of("rx_words", "node_fibrechannel_rx_words_total", "Words of 4 bytes received."),
    of(
        "seconds_since_last_reset",
        "node_fibrechannel_seconds_since_last_reset_total",
        "Time since the counters were reset, in seconds.",
    ),
    of("tx_frames", "node_fibrechannel_tx_frames_total", "Frames sent."),
    of("tx_words", "node_fibrechannel_tx_words_total", "Words of 4 bytes sent."),
];
static INFO: Family = gauge(
    "node_fibrechannel_info",
    "Always 1: what the port is, and its state in words.",
    &[
        "dev_loss_tmo",
        "fabric_name",
        "fc_host",
        "port_id",
        "port_name",
        "port_state",
        "port_type",
        "speed",
        "supported_classes",
        "supported_speeds",
        "symbolic_name",
    ],
);
static FAMILIES: [&Family; 15] = families(&COUNTERS, [&INFO]);

/// The files of the words, which are their labels.
const WORDS: &[&str; 10] = &[
    "dev_loss_tmo",
    "fabric_name",
    "port_id",
    "port_name",
    "port_state",
    "port_type",
    "speed",
    "supported_classes",
    "supported_speeds",
    "symbolic_name",
];
/// Those that are numbers, shown without `0x`.
const NUMBERS: &[&str; 3] = &["fabric_name", "port_id", "port_name"];

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "fibrechannel", "Fibre Channel ports from /sys/class/fc_host.", &FAMILIES, open)
};

struct Fibrechannel;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(host.exists(Root::Sys, FOLDER).then(|| Box::new(Fibrechannel) as Box<dyn Collector>))
}

impl Collector for Fibrechannel {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for port in host.names(Root::Sys, FOLDER)? {
            let of = out.entity(&["fc_host"], [&port]);
            let words = WORDS.map(|file| {
                let word = host.text(Root::Sys, format_args!("{FOLDER}/{port}/{file}"));
                let word = out.found(word).unwrap_or_default();
                if NUMBERS.contains(&file) { digits(&word).to_owned() } else { word }
            });
            let info = out.part(of, WORDS, words.each_ref().map(String::as_str));
            out.put(&INFO, info, true);
            attribute::put(&COUNTERS, &format!("{FOLDER}/{port}/statistics"), of, host, out);
        }
        Ok(())
    }
}

/// `0x1000e0071bce95f2`: the digits.
fn digits(word: &str) -> &str {
    word.strip_prefix("0x").unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn words_and_counters() {
        let files = [
            ("dev_loss_tmo", "30\n"),
            ("fabric_name", "0x0\n"),
            ("node_name", "0x2000e0071bce95f2\n"),
            ("port_id", "0x000002\n"),
            ("port_name", "0x1000e0071bce95f2\n"),
            ("port_state", "Online\n"),
            ("speed", "16 Gbit\n"),
            ("symbolic_name", "\n"),
            ("statistics/dumped_frames", "0xffffffffffffffff\n"),
            ("statistics/error_frames", "0x0\n"),
            ("statistics/fc_seq_not_found", "0x1\n"),
            ("statistics/link_failure_count", "broken\n"),
            ("statistics/reset_statistics", "\n"),
            ("statistics/rx_frames", "0x3\n"),
        ];
        let tree = Tree::new(&[("sys/class/fc_host/host1/uevent", "")]);
        files.iter().for_each(|(file, text)| tree.write(&format!("sys/class/fc_host/host0/{file}"), text));
        let expected = "node_fibrechannel_error_frames_total{fc_host=\"host0\"} 0\n\
                        node_fibrechannel_info{fc_host=\"host0\",dev_loss_tmo=\"30\",fabric_name=\"0\",\
                        port_id=\"000002\",port_name=\"1000e0071bce95f2\",port_state=\"Online\",\
                        speed=\"16 Gbit\"} 1\n\
                        node_fibrechannel_info{fc_host=\"host1\"} 1\n\
                        node_fibrechannel_rx_frames_total{fc_host=\"host0\"} 3\n! malformed\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn machines_without_any() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/fc_host/", "")]).check(&SPEC, &[], "");
    }
}
