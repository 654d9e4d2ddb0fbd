//! `/proc/net/softnet_stat`: what each CPU did with the packets that came in.
//!
//! A line per CPU, hexadecimal, without names; columns were only ever added at the end: 9, 10 since Linux 2.6.35, 11
//! since 3.11, 13 since 5.10, now 15. The 13th tells which CPU it is; before, there was a line for each CPU online, and
//! `/sys/devices/system/cpu/online` tells which those are. The figures are the machine's, whatever network namespace the file is read in.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, counter, gauge};
use crate::{Collector, Group, Spec};
use std::fmt::Write as _;

static PROCESSED: Family = counter("node_softnet_processed_total", "Packets that the CPU took in.", &["cpu"]);
static DROPPED: Family =
    counter("node_softnet_dropped_total", "Packets that were dropped as the CPU's backlog was full.", &["cpu"]);
static TIMES_SQUEEZED: Family = counter(
    "node_softnet_times_squeezed_total",
    "How often the CPU had to stop with packets left, its time or share being used up.",
    &["cpu"],
);
static CPU_COLLISION: Family = counter(
    "node_softnet_cpu_collision_total",
    "How often the CPU found a device's lock taken while it was sending.",
    &["cpu"],
);
static RECEIVED_RPS: Family =
    counter("node_softnet_received_rps_total", "How often another CPU woke this one to take in packets.", &["cpu"]);
static FLOW_LIMIT: Family =
    counter("node_softnet_flow_limit_count_total", "How often a flow of packets reached its limit.", &["cpu"]);
static BACKLOG_LEN: Family = gauge("node_softnet_backlog_len", "Packets in the CPU's backlog.", &["cpu"]);

/// Its row in the table.
pub static SPEC: Spec = Spec::new(
    Group::Node,
    "softnet",
    "Packets taken in by each CPU, from /proc/net/softnet_stat.",
    &[&PROCESSED, &DROPPED, &TIMES_SQUEEZED, &CPU_COLLISION, &RECEIVED_RPS, &FLOW_LIMIT, &BACKLOG_LEN],
    open,
);

/// The columns that mean something, counted from 0; others have always been 0 or are parts of these.
const FAMILIES: [(usize, &Family); 7] = [
    (0, &PROCESSED),
    (1, &DROPPED),
    (2, &TIMES_SQUEEZED),
    (8, &CPU_COLLISION),
    (9, &RECEIVED_RPS),
    (10, &FLOW_LIMIT),
    (11, &BACKLOG_LEN),
];
const CPU: usize = 12;
const COLUMNS_MIN: usize = 9;
const COLUMNS: usize = 13;

struct Softnet {
    file: KeptFile,
    /// Where the lines don't tell their CPU: the list of those online, and what it says.
    online: Option<KeptFile>,
    cpus: Vec<u32>,
    label: String,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let text = host.read(Root::Net, "softnet_stat")?;
    let is_told = parse::lines(text).filter_map(columns).next().is_some_and(|figures| figures[CPU].is_some());
    let online = (!is_told).then(|| KeptFile::new(Root::Sys, "devices/system/cpu/online"));
    let file = KeptFile::new(Root::Net, "softnet_stat").lines();
    Ok(Some(Box::new(Softnet { file, online, cpus: Vec::new(), label: String::new() })))
}

impl Collector for Softnet {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if let Some(online) = &mut self.online {
            self.cpus.clear();
            // Without the list, all are taken to be online.
            if let Ok(list) = host.read_kept(online) {
                self.cpus.extend(parse::ranges(list).flatten().flat_map(|(first, last)| first..=last));
            }
        }
        let text = host.read_kept(&mut self.file)?;
        // The kernel was asked until it had no more: a last line without an end is whole.
        for (line, number) in text.split(|&byte| byte == b'\n').zip(1..).filter(|(line, _)| !line.is_empty()) {
            let Some(figures) = columns(line) else {
                out.fault(Error::malformed("/proc/net/softnet_stat", number, "at least 9 hexadecimal numbers"));
                continue;
            };
            let by_place = || match self.cpus.as_slice() {
                [] => Some(u64::from(number) - 1),
                cpus => cpus.get(number as usize - 1).copied().map(u64::from),
            };
            let Some(cpu) = figures[CPU].or_else(by_place) else {
                out.fault(Error::malformed("/proc/net/softnet_stat", number, "no more lines than CPUs online"));
                continue;
            };
            self.label.clear();
            // Writing to a string can't fail.
            let _ = write!(self.label, "{cpu}");
            let of = out.entity(&["cpu"], [&self.label]);
            for (column, family) in FAMILIES {
                out.put_some(family, of, figures[column]);
            }
        }
        if out.is_empty() { Err(Error::malformed("/proc/net/softnet_stat", 0, "a line for each CPU")) } else { Ok(()) }
    }
}

/// `00000b6a 00000000 00000002 …`: the columns, as many as the kernel knows.
fn columns(line: &[u8]) -> Option<[Option<u64>; COLUMNS]> {
    let mut columns = [None; COLUMNS];
    let mut count = 0;
    for (column, word) in columns.iter_mut().zip(parse::words(line)) {
        *column = Some(parse::hex(word)?);
        count += 1;
    }
    (count >= COLUMNS_MIN).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn the_thirteenth_column_is_the_cpu() {
        let text = "0000000a 0000000b 0000000c 0 0 0 0 0 0000000d 0000000e 0000000f 00000010 00000003 0 0\n";
        let page = "node_softnet_backlog_len{cpu=\"3\"} 16\nnode_softnet_cpu_collision_total{cpu=\"3\"} 13\n\
                    node_softnet_dropped_total{cpu=\"3\"} 11\nnode_softnet_flow_limit_count_total{cpu=\"3\"} 15\n\
                    node_softnet_processed_total{cpu=\"3\"} 10\nnode_softnet_received_rps_total{cpu=\"3\"} 14\n\
                    node_softnet_times_squeezed_total{cpu=\"3\"} 12\n";
        Tree::new(&[("proc/net/softnet_stat", text)]).check(&SPEC, &[], page);
    }

    #[test]
    fn before_it_a_line_is_of_a_cpu_that_is_online() {
        let line = "1 0 0 0 0 0 0 0 0\n";
        let online = ("sys/devices/system/cpu/online", "0-1,3\n");
        let tree = Tree::new(&[("proc/net/softnet_stat", &line.repeat(4)), online]);
        let page = tree.open(&SPEC, &[]).round();
        let of: Vec<_> =
            page.lines().filter(|line| line.starts_with("node_softnet_processed") || line.starts_with('!')).collect();
        let cpu = |cpu| format!("node_softnet_processed_total{{cpu=\"{cpu}\"}} 1");
        assert_eq!(of, [cpu(0), cpu(1), cpu(3), "! malformed".to_owned()]);
    }

    #[test]
    fn old_kernels_tell_less_and_bad_lines_nothing() {
        let text = "1 2 3 0 0 0 0 0\n1 2 3 0 0 0 0 0 4\n1 2 x 0 0 0 0 0 4\n5 6 7 0 0 0 0 0 8 9";
        let page = "node_softnet_cpu_collision_total{cpu=\"1\"} 4\nnode_softnet_cpu_collision_total{cpu=\"3\"} 8\n\
                    node_softnet_dropped_total{cpu=\"1\"} 2\nnode_softnet_dropped_total{cpu=\"3\"} 6\n\
                    node_softnet_processed_total{cpu=\"1\"} 1\nnode_softnet_processed_total{cpu=\"3\"} 5\n\
                    node_softnet_received_rps_total{cpu=\"3\"} 9\n\
                    node_softnet_times_squeezed_total{cpu=\"1\"} 3\nnode_softnet_times_squeezed_total{cpu=\"3\"} 7\n\
                    ! malformed\n! malformed\n";
        Tree::new(&[("proc/net/softnet_stat", text)]).check(&SPEC, &[], page);
        Tree::new(&[("proc/net/softnet_stat", "")]).check(&SPEC, &[], "! malformed\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            columns(&bytes);
        }
    }
}
