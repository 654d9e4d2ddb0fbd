//! `/sys/class/drm/cardN/device/`: load and memory of AMD's graphics cards. Drivers of others have no such files.
//!
//! The reads ask the card; one that sleeps refuses (EPERM) or is woken, depending on the kernel.

use crate::kit::attribute::{self, Attribute, families};
use crate::kit::{Error, Host, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "class/drm";

const fn of(file: &'static str, name: &'static str, help: &'static str) -> Attribute {
    Attribute::gauge(file, name, help, &["card"])
}

static ATTRIBUTES: [Attribute; 7] = [
    of("gpu_busy_percent", "node_drm_gpu_busy_percent", "How busy the card is, in percent."),
    of("mem_info_gtt_total", "node_drm_memory_gtt_size_bytes", "The machine's memory that the card may use, in bytes."),
    of("mem_info_gtt_used", "node_drm_memory_gtt_used_bytes", "The machine's memory that the card uses, in bytes."),
    of(
        "mem_info_vis_vram_total",
        "node_drm_memory_vis_vram_size_bytes",
        "The card's memory that the CPU can reach, in bytes.",
    ),
    of(
        "mem_info_vis_vram_used",
        "node_drm_memory_vis_vram_used_bytes",
        "The card's memory that the CPU can reach and that is used, in bytes.",
    ),
    of("mem_info_vram_total", "node_drm_memory_vram_size_bytes", "The card's memory, in bytes."),
    of("mem_info_vram_used", "node_drm_memory_vram_used_bytes", "The card's memory that is used, in bytes."),
];
static INFO: Family = gauge(
    "node_drm_card_info",
    "Always 1: what the card is.",
    &["card", "memory_vendor", "power_performance_level", "unique_id", "vendor"],
);
static FAMILIES: [&Family; 8] = families(&ATTRIBUTES, [&INFO]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "drm", "AMD graphics cards from /sys/class/drm.", &FAMILIES, open)
};

struct Drm;

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Drm)))
}

impl Collector for Drm {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let names = match host.names(Root::Sys, FOLDER) {
            Err(error) if error.is_absent() => return Ok(()),
            names => names?,
        };
        for card in names.iter().filter(|name| is_card(name)) {
            let device = format!("{FOLDER}/{card}/device");
            let uevent = host.read(Root::Sys, format_args!("{device}/uevent"));
            if !out.found(uevent).is_some_and(is_amdgpu) {
                continue;
            }
            let of = out.entity(&["card"], [card]);
            attribute::put(&ATTRIBUTES, &device, of, host, out);
            let words = ["mem_info_vram_vendor", "power_dpm_force_performance_level", "unique_id"].map(|file| {
                let word = host.text(Root::Sys, format_args!("{device}/{file}"));
                out.found(word).unwrap_or_default()
            });
            let [memory, level, id] = &words;
            let labels = &["memory_vendor", "power_performance_level", "unique_id", "vendor"];
            let info = out.part(of, labels, [memory, level, id, "amd"]);
            out.put(&INFO, info, true);
        }
        Ok(())
    }
}

/// `card0`, but not its connector `card0-DP-1`.
fn is_card(name: &str) -> bool {
    let number = name.strip_prefix("card").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// `DRIVER=amdgpu`, a line of `uevent`.
fn is_amdgpu(uevent: &[u8]) -> bool {
    parse::words(uevent).any(|word| word == b"DRIVER=amdgpu")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn cards_of_amd() {
        let card = |file| format!("sys/class/drm/card1/device/{file}");
        let tree = Tree::new(&[
            ("sys/class/drm/card0/device/uevent", "DRIVER=i915\nPCI_CLASS=30000\n"),
            ("sys/class/drm/card0/device/gpu_busy_percent", "1\n"),
            ("sys/class/drm/card1-DP-1/status", "connected\n"),
            ("sys/class/drm/version", "drm 1.1.0 20060810\n"),
            (&card("uevent"), "DRIVER=amdgpu\nPCI_CLASS=30000\n"),
            (&card("gpu_busy_percent"), "4\n"),
            (&card("mem_info_vram_total"), "8573157376\n"),
            (&card("mem_info_vram_used"), "-\n"),
            (&card("mem_info_vram_vendor"), "samsung\n"),
            (&card("unique_id"), "9f35a4c7e0b1\n"),
        ]);
        let expected = "node_drm_card_info{card=\"card1\",memory_vendor=\"samsung\",unique_id=\"9f35a4c7e0b1\",\
                        vendor=\"amd\"} 1\n\
                        node_drm_gpu_busy_percent{card=\"card1\"} 4\n\
                        node_drm_memory_vram_size_bytes{card=\"card1\"} 8573157376\n! malformed\n";
        tree.check(&SPEC, &[], expected);
        Tree::new(&[]).check(&SPEC, &[], "");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, name: String) {
            is_amdgpu(&bytes);
            is_card(&name);
        }
    }
}
