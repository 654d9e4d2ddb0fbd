//! The machine under cAdvisor's names: how many processors, how much memory, which kernel and distribution.
//!
//! It is read once a minute: little of it ever changes. Differences to cAdvisor: cores are counted in every socket (it counts
//! numbers of cores, which begin anew in each), CPUs that are offline are in no figure, the UUID of the firmware is left
//! out where it may not be read, and what needs libipmctl (`machine_nvm_*`) is not told.

#[cfg(test)]
mod tests;
mod topology;

use crate::kit::{Error, Host, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Entity, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LABELS: &[&str; 3] = &["machine_id", "system_uuid", "boot_id"];

static SCRAPE_ERROR: Family =
    gauge("machine_scrape_error", "1 if nothing could be told of the machine on this page, else 0.", &[]);
static VERSION: Family = gauge(
    "cadvisor_version_info",
    "The kernel, the distribution, and what tells of them in cAdvisor's place; always 1.",
    &["kernelVersion", "osVersion", "cadvisorVersion"],
);
static CORES: Family = gauge("machine_cpu_cores", "How many CPUs are online, threads counted one by one.", LABELS);
static PHYSICAL: Family = gauge("machine_cpu_physical_cores", "How many cores have a CPU that is online.", LABELS);
static SOCKETS: Family = gauge("machine_cpu_sockets", "How many sockets have a CPU that is online.", LABELS);
static BOOKS: Family = gauge("machine_cpu_books", "How many books have a CPU that is online, on s390x.", LABELS);
static DRAWERS: Family = gauge("machine_cpu_drawers", "How many drawers have a CPU that is online, on s390x.", LABELS);
static MEMORY: Family = gauge("machine_memory_bytes", "Memory that the kernel can use, in bytes.", LABELS);
static SWAP: Family = gauge("machine_swap_bytes", "Swap space, in bytes.", LABELS);
static DIMMS: Family = gauge(
    "machine_dimm_count",
    "How many memory modules of each type the memory controllers know.",
    &["machine_id", "system_uuid", "boot_id", "type"],
);
static DIMM_CAPACITY: Family = gauge(
    "machine_dimm_capacity_bytes",
    "What the memory modules of each type hold together, in bytes.",
    &["machine_id", "system_uuid", "boot_id", "type"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt {
        name: "topology",
        kind: OptKind::Flag,
        default: "false",
        help: "Whether threads, caches and memory nodes are told one by one: some ten series for each core.",
    }],
    // Two files of each CPU, eight with the option.
    pace: Pace::Apart { min: Duration::from_secs(60) },
    scrape_error: Some(&SCRAPE_ERROR),
    ..Spec::new(
        Group::Container,
        "machine",
        "Processors, memory, kernel and distribution of the machine, under cAdvisor's names.",
        &[
            &VERSION,
            &CORES,
            &PHYSICAL,
            &SOCKETS,
            &BOOKS,
            &DRAWERS,
            &MEMORY,
            &SWAP,
            &DIMMS,
            &DIMM_CAPACITY,
            &topology::CACHE,
            &topology::SIBLINGS,
            &topology::NODE_MEMORY,
            &topology::NODE_HUGEPAGES,
            &topology::NODE_DISTANCE,
        ],
        open,
    )
};

const CPUS: &str = "devices/system/cpu";
const MODULES: &str = "devices/system/edac/mc";
/// How large a file with an identity may be.
const ID_MAX: usize = 4096;

struct Machine {
    with_topology: bool,
}

/// Where a CPU is; the kernel says -1 where it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    cpu: u32,
    socket: i64,
    core: i64,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Machine { with_topology: options.flag("topology") })))
}

impl Collector for Machine {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let memory = memory(host.read(Root::Proc, "meminfo")?);
        let cpus = online(host.read(Root::Sys, format_args!("{CPUS}/online"))?);
        let of = identity(host, out);
        for (family, bytes) in [(&MEMORY, memory[0]), (&SWAP, memory[1])] {
            out.put_some(family, of, bytes);
        }
        out.put(&CORES, of, cpus.len() as u64);
        let places = places(&cpus, host, out);
        // Kernels for some boards don't know where their CPUs are.
        if !places.is_empty() {
            out.put(&PHYSICAL, of, count(places.iter().map(|place| (place.socket, place.core))));
            out.put(&SOCKETS, of, count(places.iter().map(|place| place.socket)));
        }
        for (family, file) in [(&BOOKS, "book_id"), (&DRAWERS, "drawer_id")] {
            let is_there = cpus.first().is_some_and(|cpu| host.exists(Root::Sys, topology_of(*cpu, file)));
            if is_there {
                let numbers = cpus.iter().filter_map(|cpu| out.found(host.signed(Root::Sys, topology_of(*cpu, file))));
                let numbers: Vec<i64> = numbers.collect();
                out.put(family, of, count(numbers.into_iter()));
            }
        }
        put_modules(of, host, out);
        put_version(host, out);
        if self.with_topology {
            topology::put(of, &places, host, out);
        }
        Ok(())
    }
}

fn topology_of(cpu: u32, file: &str) -> String {
    format!("{CPUS}/cpu{cpu}/topology/{file}")
}

/// The entity that carries the machine's identities, as far as they can be had.
fn identity(host: &mut Host, out: &mut Batch) -> Entity {
    let machine = first(&["etc/machine-id", "var/lib/dbus/machine-id"], host);
    let machine = out.found(machine).unwrap_or_default();
    // On boards without DMI the device tree may have it. Only root may read that of the firmware, and needs no telling.
    let system = match host.text(Root::Sys, "class/dmi/id/product_uuid") {
        Err(Error::Denied { .. }) => Ok(String::new()),
        Err(error) if error.is_absent() => match host.text(Root::Proc, "device-tree/system-id") {
            Err(error) if error.is_absent() => host.text(Root::Proc, "device-tree/vm,uuid"),
            system => system,
        },
        system => system,
    };
    let system = out.found(system).unwrap_or_default();
    let boot = host.text(Root::Proc, "sys/kernel/random/boot_id");
    let boot = out.found(boot).unwrap_or_default();
    let plain = |text: &str| text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned();
    out.entity(LABELS, [&plain(&machine), &plain(&system), &plain(&boot)])
}

/// The text of the first of these files of the machine that is there.
fn first(files: &[&str], host: &mut Host) -> Result<String, Error> {
    let mut answer = Err(Error::Absent { path: files.first().copied().unwrap_or_default().to_owned() });
    for file in files {
        let path = host.follow(Root::Rootfs, file)?;
        let path = format!("{}/{path}", host.root(Root::Rootfs));
        answer = host.read_regular(&path, ID_MAX).map(|(text, _)| parse::text(text).into_owned());
        if !answer.as_ref().is_err_and(Error::is_absent) {
            break;
        }
    }
    answer
}

/// Where each CPU is, as far as the kernel tells.
fn places(cpus: &[u32], host: &mut Host, out: &mut Batch) -> Vec<Place> {
    let mut places = Vec::with_capacity(cpus.len());
    for &cpu in cpus {
        // A CPU may be taken offline in between.
        let socket = out.found(host.signed(Root::Sys, topology_of(cpu, "physical_package_id")));
        let core = out.found(host.signed(Root::Sys, topology_of(cpu, "core_id")));
        places.extend(socket.zip(core).map(|(socket, core)| Place { cpu, socket, core }));
    }
    places
}

fn put_modules(of: Entity, host: &mut Host, out: &mut Batch) {
    let mut types: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for controller in numbered(MODULES, "mc", host, out) {
        for module in numbered(&controller, "dimm", host, out) {
            let mebibytes = host.number(Root::Sys, format_args!("{module}/size"));
            let kind = host.text(Root::Sys, format_args!("{module}/dimm_mem_type"));
            if let (Some(mebibytes), Some(kind)) = (out.found(mebibytes), out.found(kind)) {
                let (count, bytes) = types.entry(kind).or_default();
                *count += 1;
                *bytes = bytes.saturating_add(mebibytes.saturating_mul(1 << 20));
            }
        }
    }
    for (kind, (count, bytes)) in types {
        let of = out.part(of, &["type"], [&kind]);
        out.put(&DIMMS, of, count);
        out.put(&DIMM_CAPACITY, of, bytes);
    }
}

fn put_version(host: &mut Host, out: &mut Batch) {
    let kernel = host.uname(|uname| uname.release.clone().into_owned());
    let release = host.os_release();
    let release = out.found(release).unwrap_or_default();
    let system = release.iter().find(|(key, _)| key == "PRETTY_NAME").map_or("", |(_, value)| value);
    // Nobody shall look for a cAdvisor of this version.
    const OWN: &str = concat!("wholenode-", env!("CARGO_PKG_VERSION"));
    let of = out.entity(&["kernelVersion", "osVersion", "cadvisorVersion"], [&kernel, system, OWN]);
    out.put(&VERSION, of, 1u64);
}

/// The folders `mc0`, `mc1` … in a folder, with their paths, in the order of their numbers.
fn numbered(folder: &str, word: &str, host: &mut Host, out: &mut Batch) -> Vec<String> {
    let names = host.names(Root::Sys, folder);
    let names = out.found(names).unwrap_or_default();
    let number = |name: &String| parse::number(name.strip_prefix(word)?.as_bytes());
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers.iter().map(|number| format!("{folder}/{word}{number}")).collect()
}

/// How many different ones there are.
fn count<T: Ord>(all: impl Iterator<Item = T>) -> u64 {
    all.collect::<BTreeSet<T>>().len() as u64
}

/// `0-3,8`: the CPUs of a list.
fn online(list: &[u8]) -> Vec<u32> {
    let cpus: BTreeSet<u32> = parse::ranges(list).flatten().flat_map(|(first, last)| first..=last).collect();
    cpus.into_iter().collect()
}

/// `MemTotal:       16384000 kB`: memory and swap space, in bytes.
fn memory(meminfo: &[u8]) -> [Option<u64>; 2] {
    ["MemTotal:", "SwapTotal:"].map(|word| {
        let kibibytes = |line: &[u8]| parse::number(parse::words(line.strip_prefix(word.as_bytes())?).next()?);
        parse::lines_of_record(meminfo).find_map(kibibytes)?.checked_mul(1024)
    })
}
