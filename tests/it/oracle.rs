//! The live machine as another library reads it: `sysinfo` knows nothing of node_exporter or of us.
//!
//! What moves is asked before and after the page, and the page must lie between.

use crate::daemon::figure;
use std::collections::BTreeSet;
use sysinfo::{Disks, Networks, System};

/// The page of this machine, with these collectors.
fn page(collectors: &[&str]) -> String {
    let mut command = crate::program::command();
    command.args(["once", "--collector.disable-defaults"]);
    command.args(collectors.iter().map(|name| format!("--collector.{name}")));
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// The figure of a series that must be there.
#[track_caller]
fn of(page: &str, series: &str) -> f64 {
    figure(page, series).unwrap_or_else(|| panic!("no {series} in\n{page}"))
}

/// Whether the figure lies between two others, or as far outside as is allowed.
#[track_caller]
fn lies_between(what: &str, found: f64, (one, other): (f64, f64), slack: f64) {
    let (least, most) = (one.min(other) - slack, one.max(other) + slack);
    assert!((least..=most).contains(&found), "{what}: {found}, and by sysinfo {one} to {other}");
}

/// The values of a label of a family.
fn labels(page: &str, family: &str, label: &str) -> BTreeSet<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(family)?.strip_prefix('{'));
    let value = |line: &str| {
        let start = line.find(&format!("{label}=\""))? + label.len() + 2;
        Some(line[start..].split('"').next()?.to_owned())
    };
    lines.filter_map(value).collect()
}

/// What sysinfo reads, or a word about why it can't here.
fn readable<T>(read: Result<T, sysinfo::Error>) -> Option<T> {
    read.map_err(|error| crate::skipped(format!("sysinfo: {error}"))).ok()
}

#[test]
fn memory_is_what_sysinfo_reads() {
    let Some(mut system) = readable(System::new()) else { return };
    let mut read = || {
        system.refresh_memory();
        let swap = (system.total_swap() as f64, system.free_swap() as f64);
        (system.total_memory() as f64, system.available_memory() as f64, system.free_memory() as f64, swap)
    };
    let (total, available, free, swap) = read();
    let page = page(&["meminfo"]);
    let (_, available_after, free_after, swap_after) = read();
    assert_eq!(of(&page, "node_memory_MemTotal_bytes"), total);
    assert_eq!(of(&page, "node_memory_SwapTotal_bytes"), swap.0);
    // Other tests of this run take and give back memory meanwhile.
    let slack = total / 20.0;
    let available = (available, available_after);
    lies_between("available", of(&page, "node_memory_MemAvailable_bytes"), available, slack);
    lies_between("free", of(&page, "node_memory_MemFree_bytes"), (free, free_after), slack);
    lies_between("free swap", of(&page, "node_memory_SwapFree_bytes"), (swap.1, swap_after.1), slack);
}

#[test]
fn cpus_load_and_boot_are_what_sysinfo_reads() {
    let Some(mut system) = readable(System::new()) else { return };
    system.refresh_cpu_list(sysinfo::CpuRefreshKind::nothing());
    let before = System::load_average().unwrap();
    let page = page(&["cpu", "loadavg", "stat", "uname"]);
    let after = System::load_average().unwrap();
    assert_eq!(labels(&page, "node_cpu_seconds_total", "cpu").len(), system.cpus().len());
    lies_between("load1", of(&page, "node_load1"), (before.one, after.one), 0.5);
    lies_between("load5", of(&page, "node_load5"), (before.five, after.five), 0.2);
    lies_between("load15", of(&page, "node_load15"), (before.fifteen, after.fifteen), 0.1);
    let boot = System::boot_time().unwrap() as f64;
    lies_between("boot time", of(&page, "node_boot_time_seconds"), (boot, boot), 2.0);
    let label = |label| labels(&page, "node_uname_info", label).pop_first();
    assert_eq!((label("nodename"), label("release")), (System::host_name().ok(), System::kernel_version().ok()));
}

#[test]
fn network_totals_are_what_sysinfo_reads() {
    let Some(before) = readable(Networks::new_with_refreshed_list()) else { return };
    let page = page(&["netdev"]);
    let after = Networks::new_with_refreshed_list().unwrap();
    let mut compared = 0;
    for (device, then) in &before {
        // One that went away or began anew meanwhile.
        let Some(now) = after.get(device).filter(|now| now.total_received() >= then.total_received()) else { continue };
        let device = device.to_string_lossy();
        let total = |name: &str| of(&page, &format!("node_network_{name}_total{{device=\"{device}\"}}"));
        for (name, bounds) in [
            ("receive_bytes", (then.total_received(), now.total_received())),
            ("receive_packets", (then.total_packets_received(), now.total_packets_received())),
            ("receive_errs", (then.total_errors_on_received(), now.total_errors_on_received())),
            ("transmit_bytes", (then.total_transmitted(), now.total_transmitted())),
            ("transmit_packets", (then.total_packets_transmitted(), now.total_packets_transmitted())),
        ] {
            lies_between(&format!("{name} of {device}"), total(name), (bounds.0 as f64, bounds.1 as f64), 0.0);
            compared += 1;
        }
    }
    assert!(compared > 0, "no device was there before and after");
}

#[test]
fn disks_are_as_large_and_as_full_as_sysinfo_finds_them() {
    let Some(before) = readable(Disks::new_with_refreshed_list()) else { return };
    let page = page(&["filesystem"]);
    let after = Disks::new_with_refreshed_list().unwrap();
    let mut compared = 0;
    for disk in &before {
        let mount_point = disk.mount_point().to_string_lossy();
        let series = |name: &str| {
            let end = format!("mountpoint=\"{mount_point}\"}} ");
            let start = format!("node_filesystem_{name}{{");
            let line = page.lines().find(|line| line.starts_with(&start) && line.contains(&end))?;
            line.rsplit(' ').next()?.parse::<f64>().ok()
        };
        // Either of us leaves some filesystems out.
        let (Some(size), Some(avail)) = (series("size_bytes"), series("avail_bytes")) else { continue };
        let Some(now) = after.iter().find(|now| now.mount_point() == disk.mount_point()) else { continue };
        assert_eq!(size, disk.total_space() as f64, "{mount_point}");
        let bounds = (disk.available_space() as f64, now.available_space() as f64);
        lies_between(&format!("free space of {mount_point}"), avail, bounds, size / 100.0);
        let is_read_only = series("readonly") == Some(1.0);
        assert_eq!(is_read_only, disk.is_read_only(), "{mount_point}");
        compared += 1;
    }
    if compared == 0 {
        crate::skipped("sysinfo finds no disk that is also on the page");
    }
}
