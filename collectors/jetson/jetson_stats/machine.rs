//! What jetson-stats tells of the machine and not of the board: CPUs, memory, the disk, and how long it is up.

use crate::kit::mounts::{Table, visible};
use crate::kit::{Host, Mount, Question, Root, parse};
use crate::model::{Batch, Family, Value, gauge};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer of the disk is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
const RAM_KIND: &[&str; 1] = &["ram"];
const SWAP_KIND: &[&str; 1] = &["swap"];
const GIBIBYTE: f64 = (1u64 << 30) as f64;

pub(super) static CPU: Family = gauge(
    "jetson_usage_cpu",
    "How busy the CPU was since it was looked at last, in percent; the first is cpu_1.",
    &["cpu"],
);
pub(super) static RAM: Family = gauge(
    "jetson_usage_ram",
    "Memory, in kibibytes: used is what is neither free nor buffers nor cache, shared what the GPU and other engines hold.",
    RAM_KIND,
);
pub(super) static SWAP: Family = gauge("jetson_usage_swap", "Swap space, in kibibytes.", SWAP_KIND);
pub(super) static DISK: Family =
    gauge("jetson_usage_disk", "Size and use of the root filesystem, in gibibytes.", &["disk"]);
pub(super) static UPTIME: Family = gauge(
    "jetson_uptime",
    "How long the machine is up: its days, and of the last one the hours, and of the last of these the minutes.",
    &["uptime"],
);

/// Looks at the machine.
#[derive(Default)]
pub(super) struct Watch {
    mounts: Table,
    root: Vec<Arc<Mount>>,
    /// Of each CPU, how long it was busy, and how long it was there, in ticks.
    ticks: BTreeMap<u32, (u64, u64)>,
}

impl Watch {
    pub(super) fn put(&mut self, host: &mut Host, out: &mut Batch) {
        let uptime = host.read(Root::Proc, "uptime").map(uptime);
        if let Some(parts) = out.found(uptime).flatten() {
            for (name, count) in parts {
                let of = out.entity(&["uptime"], [name]);
                out.put(&UPTIME, of, count);
            }
        }
        self.put_cpus(host, out);
        put_memory(host, out);
        self.put_disk(host, out);
    }

    fn put_cpus(&mut self, host: &mut Host, out: &mut Batch) {
        let ticks = host.read(Root::Proc, "stat").map(|text| parse::lines(text).filter_map(ticks).collect());
        let ticks: BTreeMap<u32, (u64, u64)> = out.found(ticks).unwrap_or_default();
        for (cpu, (busy, all)) in &ticks {
            let before = self.ticks.get(cpu);
            // Some kernels let counts of a CPU fall that was off for a while.
            let since = before.and_then(|before| busy.checked_sub(before.0).zip(all.checked_sub(before.1)));
            if let Some((busy, all @ 1..)) = since {
                let of = out.entity(&["cpu"], [&format!("cpu_{}", u64::from(*cpu) + 1)]);
                out.put(&CPU, of, Value::Float(busy as f64 * 100.0 / all as f64));
            }
        }
        self.ticks = ticks;
    }

    /// Puts nothing where there is no table, or `/` is not in it.
    fn put_disk(&mut self, host: &mut Host, out: &mut Batch) {
        let table = self.mounts.read(host);
        if let Some(text) = out.found(table).flatten() {
            let rootfs = host.root(Root::Rootfs).as_bytes().to_vec();
            let rows = visible(&text, &rootfs, |_| {});
            let root = rows.iter().filter(|row| *row.mount_point == *b"/");
            self.root = root.map(|row| host.mount(row, Question::Size)).collect();
        }
        for size in host.statfs(&self.root, PATIENCE) {
            let Some(size) = out.found(size) else { continue };
            let used = size.blocks.saturating_sub(size.blocks_free);
            let figures = [
                ("used", used),
                ("total", size.blocks),
                ("available", size.blocks_free),
                ("available_no_root", size.blocks_available),
            ];
            for (name, blocks) in figures {
                let of = out.entity(&["disk"], [name]);
                out.put(&DISK, of, Value::Float(blocks as f64 * size.block_size as f64 / GIBIBYTE));
            }
        }
    }
}

/// `93784.51 187000.11`: days, hours and minutes.
fn uptime(text: &[u8]) -> Option<[(&'static str, u64); 3]> {
    let minutes = parse::float(parse::words(text).next()?).filter(|seconds| *seconds >= 0.0)? as u64 / 60;
    Some([("days", minutes / 1440), ("hours", minutes / 60 % 24), ("minutes", minutes % 60)])
}

/// `cpu3 20048 48 12044 1600480 3248 0 164 0 0 0`: the CPU, and how long it was busy and there. Guests are in the first two.
fn ticks(line: &[u8]) -> Option<(u32, (u64, u64))> {
    let mut words = parse::words(line);
    let cpu = parse::number(words.next()?.strip_prefix(b"cpu")?).and_then(|cpu| u32::try_from(cpu).ok())?;
    let ticks: Vec<u64> = words.take(8).map_while(parse::number).collect();
    let all = ticks.iter().try_fold(0u64, |sum, ticks| sum.checked_add(*ticks))?;
    // It idles, and it idles while a disk works.
    let idle = ticks.get(3)?.checked_add(ticks.get(4).copied().unwrap_or_default())?;
    Some((cpu, (all.checked_sub(idle)?, all)))
}

fn put_memory(host: &mut Host, out: &mut Batch) {
    let kibibytes = host.read(Root::Proc, "meminfo").map(|text| {
        let entries = parse::lines(text).filter_map(parse::field);
        let figures = entries.filter_map(|(name, rest)| Some((name, parse::number(parse::words(rest).next()?)?)));
        let figures: BTreeMap<&[u8], u64> = figures.collect();
        let less = |all: &str, parts: &[&str]| {
            let parts = parts.iter().map(|name| figures.get(name.as_bytes()));
            parts.fold(figures.get(all.as_bytes()).copied(), |left, part| left?.checked_sub(*part?))
        };
        [
            (&RAM, RAM_KIND, "used", less("MemTotal", &["MemFree", "Buffers", "Cached"])),
            (&RAM, RAM_KIND, "shared", less("NvMapMemUsed", &[])),
            (&SWAP, SWAP_KIND, "used", less("SwapTotal", &["SwapFree"])),
            (&SWAP, SWAP_KIND, "total", less("SwapTotal", &[])),
        ]
    });
    for (family, kind, name, figure) in out.found(kibibytes).into_iter().flatten() {
        let of = out.entity(kind, [name]);
        out.put_some(family, of, figure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_taken_apart() {
        assert_eq!(uptime(b"93784.51 187000.11\n"), Some([("days", 1), ("hours", 2), ("minutes", 3)]));
        assert_eq!((uptime(b"-1 0\n"), uptime(b"\n")), (None, None));
        assert_eq!(ticks(b"cpu3 5 1 2 100 20 3 4 6 5 0"), Some((3, (21, 141))));
        assert_eq!(ticks(b"cpu1 5 1 2 100"), Some((1, (8, 108))));
        for other in ["cpu  5 1 2 100 20", "cpu3 5 1 2", "cpu3 5 1 2 x 5", "intr 1 2 3 4 5"] {
            assert_eq!(ticks(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            uptime(&bytes);
            prop_assert!(parse::lines(&bytes).filter_map(ticks).all(|(_, (busy, all))| busy <= all));
        }
    }
}
