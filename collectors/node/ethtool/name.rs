//! From what a driver calls a statistic to the name of its family.

/// The names that node_exporter gave statistics long ago; all others follow from the driver's word.
const OF_PEER: &[(&str, &str)] = &[
    ("rx_bytes", "node_ethtool_received_bytes_total"),
    ("rx_dropped", "node_ethtool_received_dropped_total"),
    ("rx_errors", "node_ethtool_received_errors_total"),
    ("rx_packets", "node_ethtool_received_packets_total"),
    ("tx_bytes", "node_ethtool_transmitted_bytes_total"),
    ("tx_errors", "node_ethtool_transmitted_errors_total"),
    ("tx_packets", "node_ethtool_transmitted_packets_total"),
];

/// `rx-queue 0: drops` → `rx_queue_0_drops`: what is no letter or digit becomes one underscore, with those around it.
pub(super) fn sanitised(word: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut name = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find(|c| !is_fine(c)) {
        name.push_str(rest[..at].trim_end_matches('_'));
        name.push('_');
        rest = rest[at..].trim_start_matches(|c| c == '_' || !is_fine(c));
    }
    name.push_str(rest);
    name
}

/// `rx_queue_0_drops` → `node_ethtool_received_queue_0_drops`; `None` if nothing is left of it.
pub(super) fn full(sanitised: &str) -> Option<String> {
    let lower = sanitised.to_ascii_lowercase();
    let name = lower.trim_start_matches('_');
    if name.is_empty() {
        return None;
    }
    Some(format!("node_ethtool_{}", spelt_out(&spelt_out(name, "rx", "received"), "tx", "transmitted")))
}

/// The family's name: node_exporter's own where it has one.
pub(super) fn of_peer(sanitised: &str, full: &str) -> String {
    let own = OF_PEER.iter().find(|(word, _)| *word == sanitised).map(|(_, name)| *name);
    own.unwrap_or(full).to_owned()
}

/// The short word between underscores becomes the long one. Of two in a row, which share an underscore, only the first does.
fn spelt_out(name: &str, short: &str, long: &str) -> String {
    let words: Vec<&str> = name.split('_').collect();
    let mut was_spelt = false;
    let spelt = words.iter().map(|word| {
        was_spelt = *word == short && !was_spelt;
        if was_spelt { long } else { word }
    });
    spelt.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_of_drivers_become_names() {
        for (word, expected) in [
            ("rx_packets", "node_ethtool_received_packets_total"),
            ("tx_dropped", "node_ethtool_transmitted_dropped"),
            ("rx_queue_0_drops", "node_ethtool_received_queue_0_drops"),
            ("Rx Good-Frames", "node_ethtool_received_good_frames"),
            ("[3]: tx_bytes", "node_ethtool_3_transmitted_bytes"),
            ("port_rx", "node_ethtool_port_received"),
            ("rx_rx_x", "node_ethtool_received_rx_x"),
            ("rxq_tx", "node_ethtool_rxq_transmitted"),
            ("a__(b)__c%", "node_ethtool_a_b_c_"),
            ("__x__y", "node_ethtool_x__y"),
        ] {
            let name = sanitised(word);
            assert_eq!(of_peer(&name, &full(&name).unwrap()), expected, "{word}");
        }
        assert_eq!(full(&sanitised("%%")), None);
    }

    proptest! {
        #[test]
        fn whatever_the_word_the_name_is_valid(word: String) {
            if let Some(name) = full(&sanitised(&word)) {
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
            }
        }
    }
}
