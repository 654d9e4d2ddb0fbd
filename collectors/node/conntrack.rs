//! Netfilter's connections: `/proc/sys/net/netfilter/nf_conntrack_{count,max}` and `/proc/net/stat/nf_conntrack`.
//!
//! The last has a line per CPU, hexadecimal, below a line of names; releases gave a column another name (5.9: `new` is
//! now `clashres`) and still print those that no longer count anything (`searched`, `ignore`). Sums over the CPUs are
//! counters, but node_exporter calls them gauges and leaves out `_total`: so do we.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

static ENTRIES: Family = gauge("node_nf_conntrack_entries", "Connections that are tracked.", &[]);
static LIMIT: Family = gauge("node_nf_conntrack_entries_limit", "How many connections can be tracked.", &[]);
static FOUND: Family = gauge("node_nf_conntrack_stat_found", "Searches that found a connection.", &[]);
static INVALID: Family = gauge("node_nf_conntrack_stat_invalid", "Packets that can't be tracked.", &[]);
static IGNORE: Family = gauge("node_nf_conntrack_stat_ignore", "Packets that belong to a connection already.", &[]);
static INSERT: Family = gauge("node_nf_conntrack_stat_insert", "Connections that were added to the table.", &[]);
static INSERT_FAILED: Family = gauge(
    "node_nf_conntrack_stat_insert_failed",
    "Connections that could not be added to the table, mostly as they were in it already.",
    &[],
);
static DROP: Family = gauge(
    "node_nf_conntrack_stat_drop",
    "Packets that were dropped as their connection could not be tracked: the table was full, or a part of it failed.",
    &[],
);
static EARLY_DROP: Family = gauge(
    "node_nf_conntrack_stat_early_drop",
    "Connections that were forgotten to make room for new ones in a full table.",
    &[],
);
static SEARCH_RESTART: Family = gauge(
    "node_nf_conntrack_stat_search_restart",
    "Searches that began anew as the table was given another size meanwhile.",
    &[],
);

/// Its row in the table.
pub static SPEC: Spec = Spec::new(
    Group::Node,
    "conntrack",
    "Connections that netfilter tracks.",
    &[&ENTRIES, &LIMIT, &FOUND, &INVALID, &IGNORE, &INSERT, &INSERT_FAILED, &DROP, &EARLY_DROP, &SEARCH_RESTART],
    open,
);

const COUNT: &str = "sys/net/netfilter/nf_conntrack_count";
const MAX: &str = "sys/net/netfilter/nf_conntrack_max";
const STAT: &str = "stat/nf_conntrack";

/// The columns that mean something, by their names.
const COLUMNS: [(&str, &Family); 8] = [
    ("found", &FOUND),
    ("invalid", &INVALID),
    ("ignore", &IGNORE),
    ("insert", &INSERT),
    ("insert_failed", &INSERT_FAILED),
    ("drop", &DROP),
    ("early_drop", &EARLY_DROP),
    ("search_restart", &SEARCH_RESTART),
];

struct Conntrack {
    totals: [(KeptFile, &'static str, &'static Family); 2],
    stat: KeptFile,
}

/// The kernel has these files while the module is loaded.
fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !host.exists(Root::Proc, COUNT) && !host.exists(Root::Net, STAT) {
        return Ok(None);
    }
    Ok(Some(Box::new(Conntrack {
        totals: [(COUNT, &ENTRIES), (MAX, &LIMIT)].map(|(path, family)| (KeptFile::single(path), path, family)),
        stat: KeptFile::new(Root::Net, STAT).lines(),
    })))
}

impl Collector for Conntrack {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let machine = out.machine();
        for (file, path, family) in &mut self.totals {
            if let Some(text) = there(host.read_kept(file), out) {
                match parse::number(parse::trim(text)) {
                    Some(number) => out.put(*family, machine, number),
                    None => out.fault(Error::malformed(&format!("/proc/{path}"), 1, "a whole number")),
                }
            }
        }
        if let Some(text) = there(host.read_kept(&mut self.stat), out) {
            let malformed =
                |line| Error::malformed("/proc/net/stat/nf_conntrack", line, "a hexadecimal number per name");
            match sums(text, |line| out.fault(malformed(line))) {
                Some(sums) => {
                    COLUMNS.iter().zip(sums).for_each(|((_, family), sum)| out.put_some(*family, machine, sum))
                }
                None => out.fault(malformed(0)),
            }
        }
        Ok(())
    }
}

/// What was read; what the kernel was built without, or has unloaded, is no fault.
fn there<'a>(result: Result<&'a [u8], Error>, out: &mut Batch) -> Option<&'a [u8]> {
    match result {
        Err(error) if error.is_absent() => None,
        result => out.ok(result),
    }
}

/// `entries searched found …` and below `00000021 00000000 0000000a …` for each CPU: the sums of [`COLUMNS`].
///
/// A line that does not read would make the sums too small, as if counters had gone back: then there are none.
fn sums(text: &[u8], mut bad_line: impl FnMut(u32)) -> Option<[Option<u64>; COLUMNS.len()]> {
    let mut lines = parse::lines(text);
    let header = lines.next()?;
    let place = |(name, _): (&str, _)| parse::words(header).position(|word| word == name.as_bytes());
    let places = COLUMNS.map(place);
    let mut sums = places.map(|place| place.map(|_| 0));
    for (line, number) in lines.zip(2..) {
        for (sum, place) in sums.iter_mut().zip(places) {
            let Some(place) = place else { continue };
            let count = parse::words(line).nth(place).and_then(parse::hex);
            let Some(count) = count else {
                bad_line(number);
                return Some([None; COLUMNS.len()]);
            };
            *sum = sum.map(|sum: u64| sum.wrapping_add(count));
        }
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const NAMES: &str = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop \
                         icmp_error  expect_new expect_create expect_delete search_restart\n";

    fn stat(lines: &str) -> Tree {
        Tree::new(&[
            ("proc/sys/net/netfilter/nf_conntrack_count", "123\n"),
            ("proc/sys/net/netfilter/nf_conntrack_max", "65536\n"),
            ("proc/net/stat/nf_conntrack", &format!("{NAMES}{lines}")),
        ])
    }

    const TOTALS: &str = "node_nf_conntrack_entries 123\nnode_nf_conntrack_entries_limit 65536\n";

    #[test]
    fn sums_over_the_cpus() {
        let tree = stat(
            "0000007b  00000000 0000000a 00000000 00000002 00000003 00000000 00000000 00000004 00000005 00000006 00000007 \
             00000008  00000009 0000000a 0000000b 0000000c\n\
             0000007b  00000000 00000001 00000000 00000001 00000001 00000000 00000000 00000001 00000001 00000001 00000001 \
             00000001  00000001 00000001 00000001 ffffffff\n",
        );
        let sums = "node_nf_conntrack_stat_drop 7\nnode_nf_conntrack_stat_early_drop 8\nnode_nf_conntrack_stat_found 11\n\
                    node_nf_conntrack_stat_ignore 4\nnode_nf_conntrack_stat_insert 5\n\
                    node_nf_conntrack_stat_insert_failed 6\nnode_nf_conntrack_stat_invalid 3\n\
                    node_nf_conntrack_stat_search_restart 4294967307\n";
        tree.check(&SPEC, &[], &format!("{TOTALS}{sums}"));
    }

    #[test]
    fn what_is_not_there_is_not_told() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        let tree = stat("");
        tree.remove("proc/net/stat/nf_conntrack");
        tree.check(&SPEC, &[], TOTALS);
        let columns = "proc/net/stat/nf_conntrack";
        tree.write(columns, "entries found\n1 2\n");
        tree.check(&SPEC, &[], &format!("{TOTALS}node_nf_conntrack_stat_found 2\n"));
        tree.remove("proc/sys/net/netfilter/nf_conntrack_count");
        tree.write("proc/sys/net/netfilter/nf_conntrack_max", "many\n");
        tree.check(&SPEC, &[], "node_nf_conntrack_stat_found 2\n! malformed\n");
    }

    #[test]
    fn half_a_sum_is_none() {
        stat("1 2 3\n").check(&SPEC, &[], &format!("{TOTALS}! malformed\n"));
        let tree = stat("");
        tree.write("proc/net/stat/nf_conntrack", "");
        tree.check(&SPEC, &[], &format!("{TOTALS}! malformed\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, lines in "([0-9a-g]{0,16} ?){0,20}\n{0,2}") {
            sums(&bytes, |_| ());
            sums(format!("{NAMES}{lines}").as_bytes(), |_| ());
        }
    }
}
