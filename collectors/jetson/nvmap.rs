//! NvMap, which gives memory to a Jetson's GPU and engines: its share of the board's memory, and who holds it.
//!
//! The sums are in `/proc/meminfo`, not on Thor; who holds it, and the memory inside the chip (IRAM), are in debugfs.

use crate::kit::{Error, Host, KeptFile, Opt, OptKind, Options, Root, jetson, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::BTreeMap;
use std::time::Duration;

const CLIENT: &[&str; 2] = &["process", "pid"];
/// How many processes are told.
const CLIENTS_MAX: usize = 1000;

static USED: Family = gauge("jetson_nvmap_used_bytes", "Memory that GPU and engines have been given, in bytes.", &[]);
static FREE: Family = gauge("jetson_nvmap_free_bytes", "Memory that is set aside for them and free, in bytes.", &[]);
static HELD: Family =
    gauge("jetson_nvmap_clients_bytes", "Memory of GPU and engines that clients hold, in bytes.", &[]);
static BY_CLIENT: Family = gauge(
    "jetson_nvmap_client_bytes",
    "Memory of GPU and engines that the process holds, in bytes; with the option processes.",
    CLIENT,
);
static IRAM: Family = gauge("jetson_iram_size_bytes", "Memory inside the chip, in bytes.", &[]);
static IRAM_USED: Family = gauge("jetson_iram_used_bytes", "Memory inside the chip that is used, in bytes.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt {
        name: "processes",
        kind: OptKind::Flag,
        default: "false",
        help: "Whether to tell how much each process holds.",
    }],
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "nvmap",
        "Memory of a Jetson's GPU and engines from /proc/meminfo and debugfs.",
        &[&USED, &FREE, &HELD, &BY_CLIENT, &IRAM, &IRAM_USED],
        open,
    )
};

struct Nvmap {
    meminfo: KeptFile,
    debugfs: jetson::Debugfs,
    processes: bool,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let nvmap = Nvmap {
        meminfo: KeptFile::single("meminfo"),
        debugfs: jetson::Debugfs::default(),
        processes: options.flag("processes"),
    };
    Ok(jetson::is_one(host).then(|| Box::new(nvmap) as Box<dyn Collector>))
}

impl Collector for Nvmap {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let sums = host.read_kept(&mut self.meminfo).map(sums)?;
        for (family, sum) in [&USED, &FREE].into_iter().zip(sums) {
            out.put_some(family, out.machine(), sum);
        }
        let Some(debugfs) = self.debugfs.folder(host, out) else { return Ok(()) };
        let held = host.read(Root::Sys, format_args!("{debugfs}/nvmap/iovmm/clients")).map(clients);
        if let Some(held) = out.found(held) {
            out.put_some(&HELD, out.machine(), held.total);
            for ((process, pid), bytes) in held.of.iter().filter(|_| self.processes) {
                let of = out.entity(CLIENT, [process, pid]);
                out.put(&BY_CLIENT, of, *bytes);
            }
        }
        let size =
            host.read(Root::Sys, format_args!("{debugfs}/nvmap/iram/size")).map(|text| parse::hex(parse::trim(text)));
        if let Some(size) = out.found(size).flatten() {
            out.put(&IRAM, out.machine(), size);
            let used = host.read(Root::Sys, format_args!("{debugfs}/nvmap/iram/clients")).map(clients);
            let used = out.found(used).and_then(|used| used.total);
            out.put_some(&IRAM_USED, out.machine(), used);
        }
        Ok(())
    }
}

/// `NvMapMemUsed:     40960 kB`: used and free, in bytes.
fn sums(text: &[u8]) -> [Option<u64>; 2] {
    let bytes = |rest: &[u8]| parse::number(parse::words(rest).next()?)?.checked_mul(1024);
    let find = |name: &[u8]| parse::lines(text).find_map(|line| line.strip_prefix(name)).and_then(bytes);
    [find(b"NvMapMemUsed:"), find(b"NvMapMemFree:")]
}

/// Who holds how much, in bytes.
#[derive(Debug, Default, PartialEq)]
struct Clients {
    of: BTreeMap<(String, String), u64>,
    total: Option<u64>,
}

/// `user   gnome-shell   7012   26624K`, and at the end `total   51200K`. A process may have several clients.
fn clients(text: &[u8]) -> Clients {
    let mut clients = Clients::default();
    for line in parse::lines_of_record(text) {
        let words: Vec<&[u8]> = parse::words(line).take(8).collect();
        match words[..] {
            [b"total", size] => clients.total = size_of(size),
            // The name of a process may have blanks in it.
            [kind, ref name @ .., pid, size] if matches!(kind, b"user" | b"kernel") && !name.is_empty() => {
                let (Some(pid), Some(size)) = (parse::number(pid), size_of(size)) else { continue };
                let client = (parse::text(&name.join(&b' ')).into_owned(), pid.to_string());
                if clients.of.len() < CLIENTS_MAX || clients.of.contains_key(&client) {
                    let sum = clients.of.entry(client).or_default();
                    *sum = sum.saturating_add(size);
                }
            }
            _ => {}
        }
    }
    clients
}

/// `26624K`, and of old kernels bytes.
fn size_of(word: &[u8]) -> Option<u64> {
    match word.strip_suffix(b"K") {
        Some(kibibytes) => parse::number(kibibytes)?.checked_mul(1024),
        None => parse::number(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const CLIENTS: &str = "CLIENT                        PROCESS      PID        SIZE\n\
                           user                  gnome-shell     7012      26624K\n\
                           user                  gnome-shell     7012       1024K\n\
                           user                     two words     812          4K\n\
                           total                                          51200K\n";

    #[test]
    fn memory_of_gpu_and_engines() {
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra210\0"),
            ("proc/meminfo", "MemTotal:        4059264 kB\nNvMapMemFree:     126976 kB\nNvMapMemUsed:      40960 kB\n"),
            ("sys/kernel/debug/nvmap/iovmm/clients", CLIENTS),
            ("sys/kernel/debug/nvmap/iram/size", "0x000000000003f000\n"),
            ("sys/kernel/debug/nvmap/iram/clients", "total   0K\n"),
        ]);
        let iram = "jetson_iram_size_bytes 258048\njetson_iram_used_bytes 0\n";
        let sums = "jetson_nvmap_free_bytes 130023424\njetson_nvmap_used_bytes 41943040\n";
        tree.check(&SPEC, &[], &format!("{iram}jetson_nvmap_clients_bytes 52428800\n{sums}"));
        let by_client = "jetson_nvmap_client_bytes{process=\"gnome-shell\",pid=\"7012\"} 28311552\n\
                         jetson_nvmap_client_bytes{process=\"two words\",pid=\"812\"} 4096\n";
        let expected = format!("{iram}{by_client}jetson_nvmap_clients_bytes 52428800\n{sums}");
        tree.check(&SPEC, &[("processes", "true")], &expected);
        tree.write("calls/errno", "sys/kernel/debug EACCES\n");
        tree.check(&SPEC, &[], &format!("{sums}! denied\n"));
        Tree::new(&[("proc/meminfo", "")]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (sums(&bytes), clients(&bytes), clients(&[b"user ", &bytes[..]].concat()), size_of(&bytes));
        }
    }
}
