//! The files of a machine as large as is expected, made from the small ones in `tests/machines`.

use std::fmt::Write as _;
use std::fs::{copy, create_dir_all, read_dir, read_link, read_to_string, remove_file, write};
use std::os::unix::fs::symlink;
use std::path::Path;

pub(crate) const CPUS: u64 = 256;
pub(crate) const INTERFACES: u64 = 1000;
pub(crate) const DISKS: u64 = 500;
pub(crate) const PROCESSES: u64 = 10_000;
pub(crate) const SOCKETS: u64 = 2000;
pub(crate) const NEIGHBOURS: u64 = 4000;
pub(crate) const MOUNTS: u64 = 1000;
pub(crate) const INTERRUPTS: u64 = 500;
/// Whose hardware the machine has: where two have the same file, the first one's.
const MACHINES: &[&str] = &["server", "nfsclient", "nas", "laptop", "vm"];
/// What the kernel knows of a CPU's clock, besides the clocks.
const GOVERNORS: [(&str, &str); 2] =
    [("scaling_governor", "schedutil"), ("scaling_available_governors", "performance schedutil")];
/// The attributes of an interface, each with what a virtual one says.
const ATTRIBUTES: &str = "addr_assign_type=3 address=0a:58:0a:00:00:01 broadcast=ff:ff:ff:ff:ff:ff carrier=1 carrier_changes=2 \
    carrier_down_count=1 carrier_up_count=1 dev_id=0x0 dormant=0 duplex=full flags=0x1003 ifalias= ifindex=4 iflink=3 \
    link_mode=0 mtu=1500 name_assign_type=4 netdev_group=0 operstate=up speed=10000 tx_queue_len=1000 type=1 \
    statistics/rx_nohandler=0";

/// Writes all of it below this folder.
pub(crate) fn grow(home: &str) {
    for machine in MACHINES {
        merge(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines").join(machine), Path::new(home));
    }
    let mut put_below = |path: &str, text: &str| put(home, path, text);
    of_cpus(&mut put_below);
    of_interfaces(&mut put_below);
    of_disks(&mut put_below);
    of_processes(&mut put_below);
    of_mounts(&mut put_below);
    let line =
        "cpu: 0\n              count: 63\n              high:  63\n              batch: 7\n  vm stats threshold: 125\n";
    let zones = read_to_string(format!("{home}/proc/zoneinfo")).unwrap();
    put(home, "proc/zoneinfo", &format!("{zones}{}", line.repeat(8 * CPUS as usize)));
}

/// A file, in place of what was there, a link too.
fn put(home: &str, path: &str, text: &str) {
    let path = Path::new(home).join(path);
    create_dir_all(path.parent().unwrap()).unwrap();
    let _ = remove_file(&path);
    write(path, text).unwrap();
}

/// Copies what is not there yet.
fn merge(from: &Path, to: &Path) {
    for entry in read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let (kind, is_taken) = (entry.file_type().unwrap(), to.symlink_metadata().is_ok());
        if kind.is_dir() && (!is_taken || to.is_dir()) {
            create_dir_all(&to).unwrap();
            merge(&from, &to);
        } else if is_taken {
        } else if kind.is_symlink() {
            symlink(read_link(&from).unwrap(), &to).unwrap();
        } else if kind.is_file() {
            copy(&from, &to).unwrap();
        }
    }
}

/// A text made line by line.
fn lines(count: u64, mut line: impl FnMut(&mut String, u64)) -> String {
    let mut text = String::new();
    for number in 0..count {
        line(&mut text, number);
        text.push('\n');
    }
    text
}

fn of_cpus(put: &mut dyn FnMut(&str, &str)) {
    let figures = |text: &mut String, count: u64, seed: u64| {
        (0..count).for_each(|column| write!(text, " {}", 7_654_321 * (seed + 1) * (column + 1) % 98_765_432).unwrap());
    };
    let heading = format!("    {}\n", (0..CPUS).map(|cpu| format!("       CPU{cpu}")).collect::<String>());
    put("proc/stat", &{
        let mut text = lines(CPUS + 1, |text, line| {
            let _ = if line == 0 { write!(text, "cpu ") } else { write!(text, "cpu{}", line - 1) };
            figures(text, 10, line);
        });
        text.push_str("intr 9876543210");
        (0..4000u64).for_each(|at| write!(text, " {}", if at % 8 == 0 { at * 7_919 } else { 0 }).unwrap());
        text + "\nctxt 98765432100\nbtime 1700000000\nprocesses 1234567\nprocs_running 3\nprocs_blocked 0\n\
            softirq 987654321 1 22 333 4444 55555 6 777777 8888888 9 1010101010\n"
    });
    let schedstat = lines(CPUS, |text, cpu| {
        write!(text, "cpu{cpu}").unwrap();
        figures(text, 9, cpu);
        for domain in 0..3 {
            write!(text, "\ndomain{domain} {}", "ffffffff,".repeat(8)).unwrap();
            figures(text, 36, domain);
        }
    });
    put("proc/schedstat", &format!("version 15\ntimestamp 6130892011\n{schedstat}"));
    let named = |names: &[String]| {
        let lines = lines(names.len() as u64, |text, line| {
            write!(text, "{:>4}:", names[line as usize]).unwrap();
            (0..CPUS)
                .for_each(|cpu| write!(text, " {:>10}", if (cpu + line) % 16 == 0 { cpu * 7919 } else { 0 }).unwrap());
            text.push_str(" IR-PCI-MSI 524288-edge nvme0q7");
        });
        format!("{heading}{lines}")
    };
    put("proc/interrupts", &named(&(0..INTERRUPTS).map(|line| line.to_string()).collect::<Vec<_>>()));
    let softirqs = ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];
    put("proc/softirqs", &named(&softirqs.map(str::to_owned)).replace(" IR-PCI-MSI 524288-edge nvme0q7", ""));
    let hexadecimal = |columns: u64| {
        lines(CPUS, |text, cpu| {
            (0..columns).for_each(|column| {
                write!(text, "{:08x} ", if column == 12 { cpu } else { cpu * 7919 * (column % 3) }).unwrap();
            });
        })
    };
    put("proc/net/softnet_stat", &hexadecimal(15));
    put(
        "proc/net/stat/nf_conntrack",
        &format!(
            "entries clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error \
             expect_new expect_create expect_delete search_restart\n{}",
            hexadecimal(17)
        ),
    );
    for file in ["cpu/present", "cpu/online"] {
        put(&format!("sys/devices/system/{file}"), &format!("0-{}\n", CPUS - 1));
    }
    for cpu in 0..CPUS {
        let home = format!("sys/devices/system/cpu/cpu{cpu}");
        for file in ["scaling_cur_freq", "scaling_min_freq", "scaling_max_freq", "cpuinfo_min_freq", "cpuinfo_max_freq"]
        {
            put(&format!("{home}/cpufreq/{file}"), "3400000\n");
        }
        GOVERNORS.iter().for_each(|(file, text)| put(&format!("{home}/cpufreq/{file}"), &format!("{text}\n")));
        put(&format!("{home}/thermal_throttle/core_throttle_count"), "17\n");
        put(&format!("{home}/thermal_throttle/package_throttle_count"), "4711\n");
        put(&format!("{home}/topology/core_id"), &format!("{}\n", cpu % 64));
        put(&format!("{home}/topology/physical_package_id"), &format!("{}\n", cpu / 128));
        put(&format!("{home}/online"), "1\n");
    }
}

fn of_interfaces(put: &mut dyn FnMut(&str, &str)) {
    let dev = lines(INTERFACES, |text, device| {
        write!(text, "veth{device:08x}:").unwrap();
        for column in 0..16u64 {
            let n = if column % 8 < 2 { ((device + 1) * 9_876_543_210) >> (column % 8 * 10) } else { 0 };
            write!(text, " {n:>7}").unwrap();
        }
    });
    put("proc/net/dev", &format!("Inter-|   Receive  |  Transmit\n face |bytes    packets|bytes    packets\n{dev}"));
    for device in 0..INTERFACES {
        for (attribute, text) in ATTRIBUTES.split_ascii_whitespace().filter_map(|word| word.split_once('=')) {
            put(&format!("sys/class/net/veth{device:08x}/{attribute}"), &format!("{text}\n"));
        }
    }
    let arp = lines(NEIGHBOURS, |text, at| {
        let address = format!("10.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255);
        let device = at % INTERFACES;
        write!(text, "{address:<16} 0x1         0x2         0a:58:0a:01:00:05     *        veth{device:08x}").unwrap();
    });
    put(
        "proc/net/arp",
        &format!("IP address       HW type     Flags       HW address            Mask     Device\n{arp}"),
    );
    let udp = lines(SOCKETS, |text, at| {
        write!(text, "{at:>5}: 0100007F:{at:04X} 00000000:0000 07 00001000:00034000 00:00000000 00000000     0        0 20344 2 0000000000000000 0").unwrap();
    });
    put("proc/net/udp", &format!("   sl  local_address rem_address   st tx_queue rx_queue\n{udp}"));
    put("proc/net/udp6", &format!("   sl  local_address rem_address   st tx_queue rx_queue\n{udp}"));
}

fn of_disks(put: &mut dyn FnMut(&str, &str)) {
    put(
        "proc/diskstats",
        &lines(DISKS, |text, at| {
            write!(text, " {:>3} {:>7} dx{at} 81203344 1203 9012033445 41203344 120334451 901223 18446744073709 90122334 3 71203344 140334451 12033 0 901223344 9012 4012033 9017761", 8 + at / 256, at % 256).unwrap();
        }),
    );
    for at in 0..DISKS {
        let text = "S:disk/by-id/ata-ST4000NM0025-1V4107_ZC1401AB\nE:ID_ATA=1\nE:ID_MODEL=ST4000NM0025-1V4107\n\
            E:ID_SERIAL_SHORT=ZC1401AB\nE:ID_WWN=0x5000c500a1b2c3d4\nE:ID_PATH=pci-0000:00:17.0-ata-1\n";
        put(&format!("udev/b{}:{}", 8 + at / 256, at % 256), text);
        put(&format!("sys/block/dx{at}/queue/rotational"), "1\n");
    }
}

fn of_processes(put: &mut dyn FnMut(&str, &str)) {
    for pid in 3000..3000 + PROCESSES {
        let stat = format!(
            "{pid} (worker) S 1 {pid} {pid} 0 -1 4194560 4711 0 0 0 12 34 0 0 20 0 1 0 41 8650752 220 18446744073709551615 \
             0 0 0 0 0 0 0 2147483647 0 0 0 0 0 4 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        );
        put(&format!("proc/{pid}/stat"), &stat);
        put(&format!("proc/{pid}/task/{pid}/stat"), &stat);
    }
    let caches = lines(300, |text, at| {
        write!(
            text,
            "cache-{at:<12} {:>7} 1204000   1024   32    8 : tunables    0    0    0 : slabdata  37605  37625      0",
            at * 7919
        )
        .unwrap();
    });
    put("proc/slabinfo", &format!("slabinfo - version: 2.1\n# name            <active_objs> <num_objs>\n{caches}"));
}

fn of_mounts(put: &mut dyn FnMut(&str, &str)) {
    let mounts = lines(MOUNTS, |text, at| {
        write!(text, "{} 29 8:{at} / /srv/data/{at:016x} rw,relatime shared:{at} - ext4 /dev/dx{at} rw", at + 100)
            .unwrap();
    });
    put("proc/1/mountinfo", &mounts);
    put(
        "calls/statfs",
        &lines(MOUNTS, |text, at| {
            write!(text, "/srv/data/{at:016x} 4096 12500000 9012334 9012334 25000000 24120334").unwrap();
        }),
    );
}
