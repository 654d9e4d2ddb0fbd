//! `/proc/buddyinfo`: free blocks of memory by their size, in each zone of each NUMA node.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

const LABELS: &[&str; 3] = &["node", "size", "zone"];

static BLOCKS: Family = gauge("node_buddyinfo_blocks", "Free blocks of 2^size pages.", LABELS);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    ..Spec::new(Group::Node, "buddyinfo", "Free blocks of memory, from /proc/buddyinfo.", &[&BLOCKS], open)
};

/// The sizes' names: 2^10 pages are the largest block by default, and no kernel is built for more than 2^63.
const SIZES: [&str; 64] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20",
    "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "36", "37", "38", "39",
    "40", "41", "42", "43", "44", "45", "46", "47", "48", "49", "50", "51", "52", "53", "54", "55", "56", "57", "58",
    "59", "60", "61", "62", "63",
];

/// Not read by [`KeptFile::lines`]: all zones of a node come at once, and may be more than a line's length.
struct Buddyinfo(KeptFile);

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Buddyinfo(KeptFile::new(Root::Proc, "buddyinfo")))))
}

impl Collector for Buddyinfo {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.0)?;
        for (line, number) in parse::lines_of_record(text).zip(1..) {
            let Some((node, zone, counts)) = zone(line) else {
                out.fault(Error::malformed("/proc/buddyinfo", number, "Node N, zone NAME and counts"));
                continue;
            };
            let (node, zone) = (parse::text(node), parse::text(zone));
            for (size, count) in SIZES.into_iter().zip(counts) {
                let Some(count) = count else {
                    out.fault(Error::malformed("/proc/buddyinfo", number, "counts of blocks"));
                    continue;
                };
                let of = out.entity(LABELS, [&node, size, &zone]);
                out.put(&BLOCKS, of, count);
            }
        }
        Ok(())
    }
}

/// `Node 0, zone   Normal  19459  34472`: the node, the zone, and the counts from the smallest blocks on.
fn zone(line: &[u8]) -> Option<(&[u8], &[u8], impl Iterator<Item = Option<u64>>)> {
    let mut words = parse::words(line);
    words.next().filter(|word| *word == b"Node")?;
    let node = words.next()?.strip_suffix(b",")?;
    words.next().filter(|word| *word == b"zone")?;
    Some((node, words.next()?, words.map(parse::number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn line(node: u32, size: u32, zone: &str, count: u64) -> String {
        format!("node_buddyinfo_blocks{{node=\"{node}\",size=\"{size}\",zone=\"{zone}\"}} {count}\n")
    }

    #[test]
    fn blocks_by_size() {
        let text = "Node 0, zone      DMA      1      0      3 \nNode 1, zone   Normal  19459    731 \n";
        let page = [
            line(0, 0, "DMA", 1),
            line(0, 1, "DMA", 0),
            line(0, 2, "DMA", 3),
            line(1, 0, "Normal", 19459),
            line(1, 1, "Normal", 731),
        ];
        Tree::new(&[("proc/buddyinfo", text)]).check(&SPEC, &[], &page.concat());
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let text = "Node 0, zone DMA 1 x 3\nNode 0 zone DMA 1\n\nNode 0, zone HighMem\nNode 0, zone DMA32 1";
        let page =
            [line(0, 0, "DMA", 1), line(0, 2, "DMA", 3), line(0, 0, "DMA32", 1), "! malformed\n".repeat(3)].concat();
        Tree::new(&[("proc/buddyinfo", text)]).check(&SPEC, &[], &page);
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    #[test]
    fn sizes_are_numbered() {
        assert!(SIZES.iter().enumerate().all(|(at, size)| at.to_string() == *size));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            if let Some((_, _, counts)) = zone(&bytes) {
                counts.for_each(drop);
            }
        }
    }
}
