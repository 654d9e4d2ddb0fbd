//! Large files of large machines, from bytes to numbers: `kit::parse` against what the standard library offers for text.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod ratio;

use collectors::kit::parse;
use criterion::{Criterion, Throughput};
use ratio::Ratios;
use std::fmt::Write as _;
use std::hint::black_box;

/// 256 CPUs with ten times each, an interrupt line of 4,000 counts that are mostly 0, and the sums.
fn stat() -> String {
    let mut text = String::new();
    for cpu in 0..257 {
        write!(text, "cpu{}", if cpu == 0 { " ".to_owned() } else { (cpu - 1).to_string() }).unwrap();
        (0..10).for_each(|mode| write!(text, " {}", 7_654_321u64 * (mode + cpu) % 98_765_432).unwrap());
        text.push('\n');
    }
    text.push_str("intr 9876543210");
    (0..4000u64).for_each(|at| write!(text, " {}", if at % 8 == 0 { at * 7_919 } else { 0 }).unwrap());
    text.push_str("\nctxt 98765432100\nbtime 1700000000\nprocesses 1234567\nprocs_running 3\nprocs_blocked 0\n");
    text.push_str("softirq 987654321 1 22 333 4444 55555 6 777777 8888888 9 1010101010\n");
    text
}

/// 1,000 interfaces, sixteen counters each.
fn net_dev() -> String {
    let mut text = "Inter-|   Receive  |  Transmit\n face |bytes    packets|bytes    packets\n".to_owned();
    for device in 0..1000u64 {
        write!(text, "veth{device:08x}:").unwrap();
        for column in 0..16u64 {
            let n = if column % 8 < 2 { ((device + 1) * 9_876_543_210) >> (column % 8 * 10) } else { 0 };
            write!(text, " {n:>7}").unwrap();
        }
        text.push('\n');
    }
    text
}

/// 1,000 mounts, as containers make them.
fn mountinfo() -> String {
    let mut text = String::new();
    for mount in 0..1000u64 {
        writeln!(
            text,
            "{} 29 0:{} / /run/containerd/io.containerd.runtime.v2.task/k8s.io/{mount:064x}/rootfs rw,relatime \
             shared:{mount} - overlay overlay rw,lowerdir=/var/lib/containerd/{mount}/fs,upperdir=/var/lib/{mount}/fs",
            mount + 100,
            mount + 50,
        )
        .unwrap();
    }
    text
}

/// The sum of all words that are numbers.
fn ours(text: &[u8]) -> u64 {
    let numbers = parse::lines(text).flat_map(parse::words).filter_map(parse::number);
    numbers.fold(0, u64::wrapping_add)
}

fn std(text: &[u8]) -> u64 {
    let lines = std::str::from_utf8(text).unwrap().lines();
    let numbers = lines.flat_map(str::split_ascii_whitespace).filter_map(|word| word.parse::<u64>().ok());
    numbers.fold(0, u64::wrapping_add)
}

/// The lines that begin with a word, as for the few counts in /proc/stat that stand behind the long line of interrupts.
fn ours_lines(text: &[u8]) -> usize {
    parse::lines(text).filter(|line| parse::words(line).next().is_some()).count()
}

fn std_lines(text: &[u8]) -> usize {
    let mut lines = std::str::from_utf8(text).unwrap().lines();
    lines.by_ref().filter(|line| line.split_ascii_whitespace().next().is_some()).count()
}

fn main() {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let files = [
        ("stat: 256 cpus, 4,000 interrupts", stat()),
        ("net/dev: 1,000 interfaces", net_dev()),
        ("mountinfo: 1,000 mounts", mountinfo()),
    ];
    for (title, text) in &files {
        let text = text.as_bytes();
        assert_eq!(ours(text), std(text));
        assert_eq!(ours_lines(text), std_lines(text));
        let mut ratios = Ratios::new(&mut criterion, title, Throughput::Bytes(text.len() as u64));
        ratios.case("std: lines, split_ascii_whitespace, parse", || _ = black_box(std(black_box(text))));
        ratios.case("kit: lines, words, number", || _ = black_box(ours(black_box(text))));
        ratios.case("std: lines and their first words", || _ = black_box(std_lines(black_box(text))));
        ratios.case("kit: lines and their first words", || _ = black_box(ours_lines(black_box(text))));
        ratios.print();
    }
    criterion.final_summary();
}
