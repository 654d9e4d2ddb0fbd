//! What links can do: `ETHTOOL_LINK_MODE_*`, a bit for each.

use crate::kit::Link;
use crate::model::{Batch, Family, gauge};

use super::DEVICE;

const MODE: &[&str; 3] = &["device", "duplex", "mode"];
/// Speeds are in bytes a second.
const BYTES_OF_MEGABIT: u64 = 1_000_000 / 8;

pub(super) static AUTONEGOTIATE: Family = gauge(
    "node_network_autonegotiate",
    "Whether the two ends of the link choose its speed by themselves (1) or not (0).",
    DEVICE,
);
pub(super) static PORT: Family =
    gauge("node_network_supported_port_info", "Always 1: a kind of port that the device has.", &["device", "type"]);

/// The families of what a device can do, or offers.
pub(super) struct Families {
    pub(super) speed: Family,
    pub(super) autonegotiate: Family,
    pub(super) pause: Family,
    pub(super) asymmetric_pause: Family,
}

pub(super) static SUPPORTED: Families = Families {
    speed: gauge("node_network_supported_speed_bytes", "A speed that the device can do, in bytes a second.", MODE),
    autonegotiate: gauge(
        "node_network_autonegotiate_supported",
        "Whether the device can choose its speed together with the other end (1) or not (0).",
        DEVICE,
    ),
    pause: gauge("node_network_pause_supported", "Whether the device can do pause frames (1) or not (0).", DEVICE),
    asymmetric_pause: gauge(
        "node_network_asymmetricpause_supported",
        "Whether the device can do pause frames of one direction (1) or not (0).",
        DEVICE,
    ),
};

pub(super) static ADVERTISED: Families = Families {
    speed: gauge("node_network_advertised_speed_bytes", "A speed that the device offers, in bytes a second.", MODE),
    autonegotiate: gauge(
        "node_network_autonegotiate_advertised",
        "Whether the device offers to choose its speed together with the other end (1) or not (0).",
        DEVICE,
    ),
    pause: gauge("node_network_pause_advertised", "Whether the device offers pause frames (1) or not (0).", DEVICE),
    asymmetric_pause: gauge(
        "node_network_asymmetricpause_advertised",
        "Whether the device offers pause frames of one direction (1) or not (0).",
        DEVICE,
    ),
};

/// The bits that are no speed.
const AUTONEGOTIATION: u32 = 6;
const PAUSE: u32 = 13;
const ASYMMETRIC_PAUSE: u32 = 14;
const PORTS: &[(u32, &str)] = &[(7, "TP"), (8, "AUI"), (9, "MII"), (10, "FIBRE"), (11, "BNC"), (16, "Backplane")];

/// The bits that are speeds: megabits a second, duplex, mode. node_exporter sees the first 32 bits only.
const SPEEDS: &[(u32, u64, &str, &str)] = &[
    (0, 10, "half", "10baseT"),
    (1, 10, "full", "10baseT"),
    (2, 100, "half", "100baseT"),
    (3, 100, "full", "100baseT"),
    (4, 1000, "half", "1000baseT"),
    (5, 1000, "full", "1000baseT"),
    (12, 10000, "full", "10000baseT"),
    (17, 1000, "full", "1000baseKX"),
    (18, 10000, "full", "10000baseKX4"),
    (19, 10000, "full", "10000baseKR"),
    (20, 10000, "full", "10000baseR_FEC"),
    (21, 20000, "full", "20000baseMLD2"),
    (22, 20000, "full", "20000baseKR2"),
    (23, 40000, "full", "40000baseKR4"),
    (24, 40000, "full", "40000baseCR4"),
    (25, 40000, "full", "40000baseSR4"),
    (26, 40000, "full", "40000baseLR4"),
    (27, 56000, "full", "56000baseKR4"),
    (28, 56000, "full", "56000baseCR4"),
    (29, 56000, "full", "56000baseSR4"),
    (30, 56000, "full", "56000baseLR4"),
    (31, 25000, "full", "25000baseCR"),
    (32, 25000, "full", "25000baseKR"),
    (33, 25000, "full", "25000baseSR"),
    (34, 50000, "full", "50000baseCR2"),
    (35, 50000, "full", "50000baseKR2"),
    (36, 100000, "full", "100000baseKR4"),
    (37, 100000, "full", "100000baseSR4"),
    (38, 100000, "full", "100000baseCR4"),
    (39, 100000, "full", "100000baseLR4_ER4"),
    (40, 50000, "full", "50000baseSR2"),
    (41, 1000, "full", "1000baseX"),
    (42, 10000, "full", "10000baseCR"),
    (43, 10000, "full", "10000baseSR"),
    (44, 10000, "full", "10000baseLR"),
    (45, 10000, "full", "10000baseLRM"),
    (46, 10000, "full", "10000baseER"),
    (47, 2500, "full", "2500baseT"),
    (48, 5000, "full", "5000baseT"),
    (52, 50000, "full", "50000baseKR"),
    (53, 50000, "full", "50000baseSR"),
    (54, 50000, "full", "50000baseCR"),
    (55, 50000, "full", "50000baseLR_ER_FR"),
    (56, 50000, "full", "50000baseDR"),
    (57, 100000, "full", "100000baseKR2"),
    (58, 100000, "full", "100000baseSR2"),
    (59, 100000, "full", "100000baseCR2"),
    (60, 100000, "full", "100000baseLR2_ER2_FR2"),
    (61, 100000, "full", "100000baseDR2"),
    (62, 200000, "full", "200000baseKR4"),
    (63, 200000, "full", "200000baseSR4"),
    (64, 200000, "full", "200000baseLR4_ER4_FR4"),
    (65, 200000, "full", "200000baseDR4"),
    (66, 200000, "full", "200000baseCR4"),
    (67, 100, "full", "100baseT1"),
    (68, 1000, "full", "1000baseT1"),
    (69, 400000, "full", "400000baseKR8"),
    (70, 400000, "full", "400000baseSR8"),
    (71, 400000, "full", "400000baseLR8_ER8_FR8"),
    (72, 400000, "full", "400000baseDR8"),
    (73, 400000, "full", "400000baseCR8"),
    (75, 100000, "full", "100000baseKR"),
    (76, 100000, "full", "100000baseSR"),
    (77, 100000, "full", "100000baseLR_ER_FR"),
    (78, 100000, "full", "100000baseCR"),
    (79, 100000, "full", "100000baseDR"),
    (80, 200000, "full", "200000baseKR2"),
    (81, 200000, "full", "200000baseSR2"),
    (82, 200000, "full", "200000baseLR2_ER2_FR2"),
    (83, 200000, "full", "200000baseDR2"),
    (84, 200000, "full", "200000baseCR2"),
    (85, 400000, "full", "400000baseKR4"),
    (86, 400000, "full", "400000baseSR4"),
    (87, 400000, "full", "400000baseLR4_ER4_FR4"),
    (88, 400000, "full", "400000baseDR4"),
    (89, 400000, "full", "400000baseCR4"),
    (90, 100, "half", "100baseFX"),
    (91, 100, "full", "100baseFX"),
];

/// Puts what a device can do and offers.
pub(super) fn put(device: &str, link: &Link, out: &mut Batch) {
    put_modes(device, link.supported, &SUPPORTED, out);
    for (_, port) in PORTS.iter().filter(|(bit, _)| has(link.supported, *bit)) {
        let of = out.entity(&["device", "type"], [device, port]);
        out.put(&PORT, of, 1u64);
    }
    put_modes(device, link.advertised, &ADVERTISED, out);
    let of = out.entity(DEVICE, [device]);
    out.put(&AUTONEGOTIATE, of, u64::from(link.autonegotiation));
}

fn put_modes(device: &str, bits: u128, families: &'static Families, out: &mut Batch) {
    for (_, speed, duplex, mode) in SPEEDS.iter().filter(|(bit, ..)| has(bits, *bit)) {
        let of = out.entity(MODE, [device, duplex, mode]);
        out.put(&families.speed, of, speed * BYTES_OF_MEGABIT);
    }
    let of = out.entity(DEVICE, [device]);
    out.put(&families.autonegotiate, of, has(bits, AUTONEGOTIATION));
    out.put(&families.pause, of, has(bits, PAUSE));
    out.put(&families.asymmetric_pause, of, has(bits, ASYMMETRIC_PAUSE));
}

fn has(bits: u128, bit: u32) -> bool {
    bits >> bit & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_called_after_its_speed() {
        for (bit, speed, duplex, mode) in SPEEDS {
            assert!(*bit < 128 && mode.starts_with(&format!("{speed}base")), "{mode}");
            assert!(matches!(*duplex, "half" | "full"));
        }
        assert!(SPEEDS.is_sorted_by(|one, next| one.0 < next.0));
    }
}
