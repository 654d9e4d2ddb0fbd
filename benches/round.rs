//! A whole round of the engine over this machine, with all default collectors of the node page, against the bare reads of the same files.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod ratio;

use collectors::kit::{Child, Clock, Machine, Options, Roots, child};
use collectors::{ALL, Chosen, Group, Spec};
use criterion::{Criterion, Throughput};
use ratio::Ratios;
use rustix::time::{ClockId, clock_gettime};
use std::fs::{File, read_dir};
use std::hint::black_box;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wholenode::encode::{Format, Text};
use wholenode::engine::{Engine, Instruments};

/// The most that an attribute has.
const PAGE: usize = 4096;
/// What each collector that is on by default reads in a round, as patterns: a star for any name, braces for one of several
/// words. A collector without a row is named in the output: its reads are missing from the floor.
const FILES: &[(&str, &[&str])] = &[
    ("arp", &["/proc/net/arp"]),
    (
        "bcache",
        &[
            "/sys/fs/bcache/*/*_*",
            "/sys/fs/bcache/*/{bdev*,cache*}/{dirty_data,io_errors,metadata_written,written}",
            "/sys/fs/bcache/*/stats_total/*",
        ],
    ),
    (
        "bcachefs",
        &[
            "/sys/fs/bcachefs/*/{btree_cache_size,compression_stats,errors}",
            "/sys/fs/bcachefs/*/counters/*",
            "/sys/fs/bcachefs/*/dev-*/{label,state,bucket_size,nbuckets,durability,io_done,io_errors}",
        ],
    ),
    (
        "bonding",
        &[
            "/sys/class/net/bonding_masters",
            "/sys/class/net/*/bonding/slaves",
            "/sys/class/net/*/bonding_slave/mii_status",
        ],
    ),
    (
        "btrfs",
        &[
            "/sys/fs/btrfs/*/{metadata_uuid,label,commit_stats}",
            "/sys/fs/btrfs/*/devices/*/size",
            "/sys/fs/btrfs/*/devinfo/*/error_stats",
            "/sys/fs/btrfs/*/allocation/{global_rsv_size,*/bytes_reserved,*/*/total_bytes,*/*/used_bytes}",
        ],
    ),
    ("conntrack", &["/proc/sys/net/netfilter/{nf_conntrack_count,nf_conntrack_max}", "/proc/net/stat/nf_conntrack"]),
    (
        "cpu",
        &[
            "/proc/stat",
            "/sys/devices/system/cpu/{present,online,isolated}",
            "/sys/devices/system/cpu/*/thermal_throttle/{core,package}_throttle_count",
        ],
    ),
    (
        "cpufreq",
        &[
            "/sys/devices/system/cpu/offline",
            "/sys/devices/system/cpu/*/cpufreq/{scaling_{cur,min,max}_freq,cpuinfo_{cur,avg,min,max}_freq,scaling_governor,scaling_available_governors}",
        ],
    ),
    ("diskstats", &["/proc/diskstats"]),
    ("dmi", &[]),
    ("dmmultipath", &["/sys/block/*/dm/uuid"]),
    (
        "edac",
        &[
            "/sys/devices/system/edac/mc/mc*/{ce_count,ce_noinfo_count,ue_count,ue_noinfo_count}",
            "/sys/devices/system/edac/mc/mc*/csrow*/{ce_count,ue_count,ch*_dimm_label,ch*_ce_count,ch*_ue_count}",
        ],
    ),
    ("entropy", &["/proc/sys/kernel/random/{entropy_avail,poolsize}"]),
    (
        "fibrechannel",
        &[
            "/sys/class/fc_host/*/{dev_loss_tmo,fabric_name,port_id,port_name,port_state,port_type,speed,supported_classes,supported_speeds,symbolic_name}",
            "/sys/class/fc_host/*/statistics/*",
        ],
    ),
    ("filefd", &["/proc/sys/fs/file-nr"]),
    ("filesystem", &["/proc/1/mountinfo"]),
    ("hwmon", &["/sys/class/hwmon/*/name", "/sys/class/hwmon/*/*_*"]),
    (
        "infiniband",
        &[
            "/sys/class/infiniband/*/{board_id,fw_ver,hca_type}",
            "/sys/class/infiniband/*/ports/*/{state,phys_state,rate}",
            "/sys/class/infiniband/*/ports/*/{counters,hw_counters}/*",
        ],
    ),
    ("ipvs", &["/proc/net/{ip_vs_stats,ip_vs}"]),
    ("kernel_hung", &["/proc/sys/kernel/hung_task_detect_count"]),
    ("loadavg", &["/proc/loadavg"]),
    ("mdadm", &["/proc/mdstat", "/sys/block/*/md/{level,degraded,raid_disks}"]),
    ("meminfo", &["/proc/meminfo"]),
    ("netclass", &["/sys/class/net/*/{flags,carrier_changes,mtu,operstate}"]),
    ("netdev", &["/proc/net/dev"]),
    ("netstat", &["/proc/net/{netstat,snmp,snmp6}"]),
    ("nfs", &["/proc/net/rpc/nfs"]),
    ("nfsd", &["/proc/net/rpc/nfsd"]),
    (
        "nvme",
        &[
            "/sys/class/nvme/*/{firmware_rev,model,serial,state,cntlid}",
            "/sys/class/nvme/*/nvme*/{ana_state,size,nuse,queue/logical_block_size}",
        ],
    ),
    ("os", &[]),
    (
        "powersupplyclass",
        &[
            "/sys/class/power_supply/*/{capacity,charge,current,cycle,energy,health,manufacturer,model,online,power,present,scope,serial,status,technology,temp,time,type,usb,voltage}*",
        ],
    ),
    // It keeps its own clock, and is in no round.
    ("power", &[]),
    ("pressure", &["/proc/pressure/{cpu,io,memory,irq}"]),
    ("rapl", &["/sys/class/powercap/*/{name,energy_uj}"]),
    ("schedstat", &["/proc/schedstat"]),
    ("selinux", &["/sys/fs/selinux/enforce", "/proc/self/attr/current"]),
    ("sockstat", &["/proc/net/{sockstat,sockstat6}"]),
    ("softnet", &["/proc/net/softnet_stat"]),
    ("stat", &["/proc/stat"]),
    ("tapestats", &["/sys/class/scsi_tape/st*/stats/*"]),
    ("textfile", &[]),
    ("thermal_zone", &["/sys/class/thermal/*/{type,temp,cur_state,max_state}"]),
    ("time", &["/sys/devices/system/clocksource/*/{available,current}_clocksource"]),
    ("timex", &[]),
    ("udp_queues", &["/proc/net/{udp,udp6}"]),
    ("uname", &[]),
    ("vmstat", &["/proc/vmstat"]),
    (
        "watchdog",
        &[
            "/sys/class/watchdog/*/{bootstatus,fw_version,nowayout,access_cs0,pretimeout,timeleft,timeout,identity,options,pretimeout_governor,state,status}",
        ],
    ),
    ("xfs", &["/sys/fs/xfs/*/stats/stats"]),
    ("zfs", &["/proc/spl/kstat/zfs/*", "/proc/spl/kstat/zfs/*/*"]),
];

/// The patterns without braces that one with braces means. The innermost come first, so that there may be some in others.
fn expand(pattern: &str) -> Vec<String> {
    let Some(end) = pattern.find('}') else { return vec![pattern.to_owned()] };
    let start = pattern[..end].rfind('{').unwrap();
    // Braces further out are not ended yet, so these words are all of the innermost ones.
    let words = pattern[start + 1..end].split(',');
    words.flat_map(|word| expand(&format!("{}{word}{}", &pattern[..start], &pattern[end + 1..]))).collect()
}

/// Whether a name is what a word with stars means.
fn fits(word: &str, name: &str) -> bool {
    let Some((start, rest)) = word.split_once('*') else { return word == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..]))
}

/// The existing files that a pattern without braces means.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for word in pattern.split('/').skip(1) {
        if !word.contains('*') {
            found.iter_mut().for_each(|path| path.push(word));
            continue;
        }
        let entries = found.iter().flat_map(|folder| read_dir(folder).into_iter().flatten().flatten());
        found = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(|name| fits(word, name)))
            .map(|entry| entry.path())
            .collect();
    }
    found.retain(|path| File::open(path).is_ok_and(|mut file| file.read(&mut [0; 64]).is_ok()));
    found
}

/// Whether a file comes whole with one call, and is a page at most. The kernel makes room for a file of `/proc/sys` that is as
/// large as what it is given, and clears it.
fn is_attribute(path: &Path) -> bool {
    path.starts_with("/sys") || path.starts_with("/proc/sys")
}

/// Reads kept handles to their end.
fn reread(handles: &[(bool, File)], buffer: &mut [u8]) {
    for (is_attribute, file) in handles {
        let mut length = 0;
        let room = if *is_attribute { PAGE } else { buffer.len() };
        while let Ok(more @ 1..) = file.read_at(&mut buffer[..room], length) {
            length += more as u64;
            if *is_attribute {
                break;
            }
        }
    }
}

/// Opens each file, reads it to its end, closes it.
fn reopen(paths: &[PathBuf], buffer: &mut [u8]) {
    for path in paths {
        if let Ok(mut file) = File::open(path) {
            let room = if is_attribute(path) { PAGE } else { buffer.len() };
            while let Ok(1..) = file.read(&mut buffer[..room]) {}
        }
    }
}

/// An engine in which nothing is ever new enough, so that each question is a round.
fn engine(specs: &[&'static Spec]) -> Engine {
    let program = std::env::current_exe().unwrap();
    let machine = Machine::new(Roots::default(), Clock::Real, None, Child::new(program.to_str().unwrap()));
    let engine = Engine::new(machine, specs, Duration::ZERO, Instruments::new("bench"));
    let chosen = |spec: &&'static Spec| Chosen { spec, options: Options::new(spec.options, &[]).unwrap() };
    engine.configure(&specs.iter().map(chosen).collect::<Vec<_>>());
    engine
}

/// The files of these collectors.
fn files(names: &[&str]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for name in names {
        match FILES.iter().find(|(known, _)| known == name) {
            Some((_, patterns)) => {
                paths.extend(patterns.iter().flat_map(|pattern| expand(pattern)).flat_map(|pattern| matching(&pattern)))
            }
            None => eprintln!("{name}: its files are not listed in this bench; the floor is too low"),
        }
    }
    paths
}

fn open_all(paths: &[PathBuf]) -> Vec<(bool, File)> {
    paths.iter().map(|path| (is_attribute(path), File::open(path).unwrap())).collect()
}

/// `--bare SECONDS NAMES`, for peer.py: once a second, between which caches grow cold as they do between scrapes, the CPU
/// time that the bare reads take. Prints the means in microseconds: preads of kept handles; open, read, close.
fn bare(seconds: u32, names: &[&str]) {
    let paths = files(names);
    let (handles, mut buffer) = (open_all(&paths), vec![0; 1 << 20]);
    let cpu_time = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let mut sums = [Duration::ZERO; 2];
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_millis(500));
        let begun = cpu_time();
        reread(&handles, &mut buffer);
        sums[0] += cpu_time() - begun;
        std::thread::sleep(Duration::from_millis(500));
        let begun = cpu_time();
        reopen(&paths, &mut buffer);
        sums[1] += cpu_time() - begun;
    }
    let [preads, reopened] = sums.map(|sum| sum.as_secs_f64() * 1e6 / f64::from(seconds));
    println!("{preads:.1} {reopened:.1} {}", paths.len());
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [child::ARGUMENT, ..] => child::serve(),
        ["--bare", seconds, "default", ..] => bare(seconds.parse().unwrap(), &names(&default_specs())),
        ["--bare", seconds, names, ..] => bare(seconds.parse().unwrap(), &names.split(',').collect::<Vec<_>>()),
        _ => compare(),
    }
}

fn default_specs() -> Vec<&'static Spec> {
    // The bench of containers has theirs.
    ALL.iter().copied().filter(|spec| spec.default && spec.group == Group::Node).collect()
}

fn names(specs: &[&'static Spec]) -> Vec<&'static str> {
    specs.iter().map(|spec| spec.name).collect()
}

fn compare() {
    let specs = default_specs();
    let paths = files(&names(&specs));
    println!("{} collectors, {} files", specs.len(), paths.len());

    let engine = engine(&specs);
    let selection = engine.select(None, &[], &[]).unwrap();
    let mut text = Text::default();
    let selection: std::sync::Arc<[usize]> = selection.into();
    let ask = |wait| engine.work(&engine.begin(selection.clone(), wait)).unwrap();
    let mut page = text.page(&ask(Duration::from_secs(10)), Format::Text, Vec::new());
    println!(
        "{} samples, {} bytes",
        page.split(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"#")).count() - 1,
        page.len()
    );

    let (handles, mut buffer) = (open_all(&paths), vec![0; 1 << 20]);
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let mut ratios = Ratios::new(&mut criterion, "round", Throughput::Elements(paths.len() as u64));
    ratios.case("bare preads of kept handles", || reread(&handles, &mut buffer));
    ratios.case("open, read, close", || reopen(&paths, &mut buffer));
    ratios.case("a round of the engine", || _ = black_box(ask(Duration::from_secs(1))));
    ratios.case("a round of the engine, and its page", || {
        page = text.page(&ask(Duration::from_secs(1)), Format::Text, std::mem::take(&mut page));
    });
    ratios.print();
    criterion.final_summary();
}
