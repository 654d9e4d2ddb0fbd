use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const BASE: &str = "machine_id=\"4c4c4544\",system_uuid=\"8f3d\",boot_id=\"b007\"";

/// Two sockets of two cores of two threads, CPU 7 offline.
fn tree() -> Tree {
    let tree = Tree::new(&[
        ("proc/meminfo", "MemTotal:       16384000 kB\nSwapTotal:      1024 kB\n"),
        ("proc/sys/kernel/random/boot_id", "b007\n"),
        ("sys/devices/system/cpu/online", "0-6\n"),
        ("sys/class/dmi/id/product_uuid", "8f3d\n"),
        ("rootfs/etc/machine-id", "-> /var/lib/dbus/machine-id"),
        ("rootfs/var/lib/dbus/machine-id", "4c4c4544\n"),
        ("rootfs/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
        ("calls/uname", "Linux\nhost\n6.1.0\n"),
    ]);
    for cpu in 0..7 {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        tree.write(&format!("{folder}/physical_package_id"), &format!("{}\n", cpu / 2 % 2));
        tree.write(&format!("{folder}/core_id"), &format!("{}\n", cpu % 2));
    }
    tree
}

fn version() -> String {
    let own = concat!("wholenode-", env!("CARGO_PKG_VERSION"));
    let system = "kernelVersion=\"6.1.0\",osVersion=\"Debian GNU/Linux 12 (bookworm)\"";
    format!("cadvisor_version_info{{{system},cadvisorVersion=\"{own}\"}} 1\n")
}

fn cpus(cores: u64, physical: u64, sockets: u64) -> String {
    format!(
        "machine_cpu_cores{{{BASE}}} {cores}\nmachine_cpu_physical_cores{{{BASE}}} {physical}\n\
         machine_cpu_sockets{{{BASE}}} {sockets}\n"
    )
}

fn memory_of(base: &str) -> String {
    format!("machine_memory_bytes{{{base}}} 16777216000\nmachine_swap_bytes{{{base}}} 1048576\n")
}

#[test]
fn a_machine() {
    tree().check(&SPEC, &[], &format!("{}{}{}", version(), cpus(7, 4, 2), memory_of(BASE)));
}

#[test]
fn what_changes_is_seen() {
    let tree = tree();
    let mut opened = tree.open(&SPEC, &[]);
    opened.round();
    tree.write("sys/devices/system/cpu/online", "0-1\n");
    assert!(opened.round().contains(&cpus(2, 2, 1)));
}

#[test]
fn the_firmware_s_number_is_for_root_only() {
    let tree = tree();
    tree.write("calls/errno", "sys/class/dmi/id/product_uuid EACCES\n");
    let page = tree.open(&SPEC, &[]).round();
    assert!(page.contains("machine_swap_bytes{machine_id=\"4c4c4544\",boot_id=\"b007\"} 1048576\n"), "{page}");
    assert!(!page.contains('!'), "{page}");
}

#[test]
fn a_device_tree_may_have_the_number() {
    let tree = tree();
    tree.remove("sys/class");
    tree.write("proc/device-tree/vm,uuid", "8f3d\0");
    assert!(tree.open(&SPEC, &[]).round().contains(&memory_of(BASE)));
}

#[test]
fn a_board_that_does_not_know_where_its_cpus_are() {
    let tree = Tree::new(&[("proc/meminfo", "MemTotal: 4 kB\n"), ("sys/devices/system/cpu/online", "0-3\n")]);
    let own = concat!("wholenode-", env!("CARGO_PKG_VERSION"));
    let page = format!(
        "cadvisor_version_info{{cadvisorVersion=\"{own}\"}} 1\nmachine_cpu_cores 4\nmachine_memory_bytes 4096\n"
    );
    tree.check(&SPEC, &[], &page);
}

#[test]
fn without_cpus_or_memory_the_round_has_failed() {
    Tree::new(&[("proc/meminfo", "MemTotal: 4 kB\n")]).check(&SPEC, &[], "! absent\n");
    Tree::new(&[("sys/devices/system/cpu/online", "0\n")]).check(&SPEC, &[], "! absent\n");
}

#[test]
fn modules_by_type_and_books_of_a_mainframe() {
    let tree = tree();
    for (module, kind, size) in [("mc0/dimm0", "DDR4", 8), ("mc1/dimm0", "DDR4", 16), ("mc1/dimm10", "DDR5", 1)] {
        tree.write(&format!("sys/{MODULES}/{module}/dimm_mem_type"), &format!("{kind}\n"));
        tree.write(&format!("sys/{MODULES}/{module}/size"), &format!("{size}\n"));
    }
    tree.write(&format!("sys/{MODULES}/mc0/dimm3/size"), "1\n");
    (0..7).for_each(|cpu| tree.write(&format!("sys/{}", topology_of(cpu, "book_id")), &format!("{}\n", cpu / 3)));
    let page = tree.open(&SPEC, &[]).round();
    for line in [
        format!("machine_dimm_count{{{BASE},type=\"DDR4\"}} 2\n"),
        format!("machine_dimm_capacity_bytes{{{BASE},type=\"DDR4\"}} 25165824\n"),
        format!("machine_dimm_count{{{BASE},type=\"DDR5\"}} 1\n"),
        format!("machine_cpu_books{{{BASE}}} 3\n"),
    ] {
        assert!(page.contains(&line), "{line} in\n{page}");
    }
    assert!(!page.contains("drawers") && !page.contains('!'), "{page}");
}

#[test]
fn threads_caches_and_nodes_are_told_when_asked_for() {
    let tree = tree();
    for (node, cpus) in [(0, "0-1,4-5"), (1, "2-3,6-7")] {
        let folder = format!("sys/devices/system/node/node{node}");
        tree.write(&format!("{folder}/cpulist"), cpus);
        tree.write(&format!("{folder}/meminfo"), &format!("\nNode {node} MemTotal:   8 kB\n"));
        tree.write(&format!("{folder}/distance"), if node == 0 { "10 21\n" } else { "21 10\n" });
        tree.write(&format!("{folder}/hugepages/hugepages-2048kB/nr_hugepages"), "3\n");
    }
    for (cpu, of_core, of_node) in [(0, "0,4", "0-1,4-5"), (1, "1,5", "0-1,4-5"), (2, "2,6", "2-3,6"), (3, "3", "2-3")]
    {
        for (index, level, kind, size, shared) in
            [(0, 1, "Data", "32K", of_core), (2, 2, "Unified", "1024K", "0-9"), (3, 3, "Unified", "32M", of_node)]
        {
            let folder = format!("sys/{CPUS}/cpu{cpu}/cache/index{index}");
            for (file, text) in
                [("level", &*level.to_string()), ("type", kind), ("size", size), ("shared_cpu_list", shared)]
            {
                tree.write(&format!("{folder}/{file}"), &format!("{text}\n"));
            }
        }
    }
    let page = tree.open(&SPEC, &[("topology", "true")]).round();
    for line in [
        format!("machine_thread_siblings_count{{{BASE},node_id=\"0\",core_id=\"1\",thread_id=\"5\"}} 2\n"),
        format!("machine_thread_siblings_count{{{BASE},node_id=\"1\",core_id=\"1\",thread_id=\"3\"}} 1\n"),
        format!(
            "machine_cpu_cache_capacity_bytes{{{BASE},node_id=\"0\",core_id=\"0\",type=\"Data\",level=\"1\"}} 32768\n"
        ),
        format!("machine_cpu_cache_capacity_bytes{{{BASE},node_id=\"0\",type=\"Unified\",level=\"3\"}} 33554432\n"),
        format!("machine_node_memory_capacity_bytes{{{BASE},node_id=\"1\"}} 8192\n"),
        format!("machine_node_hugepages_count{{{BASE},node_id=\"0\",page_size=\"2048\"}} 3\n"),
        format!("machine_node_distance{{{BASE},node_id=\"0\",target_node_id=\"1\"}} 21\n"),
    ] {
        assert!(page.contains(&line), "{line} in\n{page}");
    }
    assert_eq!(page.matches("level=\"2\"").count(), 0, "shared by more than a core");
    assert!(!page.contains('!'), "{page}");
    let bare = tree.open(&SPEC, &[]).round();
    assert!(!bare.contains("node_id"), "{bare}");
    tree.remove("sys/devices/system/node");
    let page = tree.open(&SPEC, &[("topology", "true")]).round();
    assert!(page.contains(&format!("{BASE},node_id=\"1\",core_id=\"0\",thread_id=\"2\"}} 2\n")), "{page}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        online(&bytes);
        memory(&bytes);
    }
}
