//! `/proc/swaps`: the files and partitions that memory is swapped to.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

const LABELS: &[&str; 2] = &["device", "swap_type"];

static SIZE: Family = gauge("node_swap_size_bytes", "Size of the swap area, in bytes.", LABELS);
static USED: Family = gauge("node_swap_used_bytes", "How much of the swap area is in use, in bytes.", LABELS);
static PRIORITY: Family =
    gauge("node_swap_priority", "Priority of the swap area: that with the highest is filled first.", LABELS);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    ..Spec::new(Group::Node, "swap", "Swap areas, from /proc/swaps.", &[&SIZE, &USED, &PRIORITY], open)
};

struct Swap(KeptFile);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let is_there = host.exists(Root::Proc, "swaps");
    Ok(if is_there { Some(Box::new(Swap(KeptFile::new(Root::Proc, "swaps")))) } else { None })
}

impl Collector for Swap {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.0)?;
        for (line, number) in parse::lines(text).zip(1..).skip(1) {
            let Some(area) = area(line) else {
                out.fault(Error::malformed("/proc/swaps", number, "a name, a type and three numbers"));
                continue;
            };
            let of = out.entity(LABELS, [&parse::text(area.device), &parse::text(area.kind)]);
            out.put(&SIZE, of, area.size);
            out.put(&USED, of, area.used);
            out.put(&PRIORITY, of, area.priority);
        }
        Ok(())
    }
}

struct Area<'a> {
    device: &'a [u8],
    kind: &'a [u8],
    size: u64,
    used: u64,
    priority: i64,
}

/// `/dev/zram0  partition  8388604  76  100`: the area; a blank in a file's name is printed as `\040`.
fn area(line: &[u8]) -> Option<Area<'_>> {
    let mut words = parse::words(line);
    let (device, kind) = (words.next()?, words.next()?);
    let mut bytes = || parse::number(words.next()?)?.checked_mul(1024);
    let (size, used) = (bytes()?, bytes()?);
    Some(Area { device, kind, size, used, priority: parse::signed(words.next()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const HEADING: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    fn page(labels: &str, size: u64, used: u64, priority: i64) -> String {
        format!(
            "node_swap_priority{{{labels}}} {priority}\nnode_swap_size_bytes{{{labels}}} {size}\n\
             node_swap_used_bytes{{{labels}}} {used}\n"
        )
    }

    #[test]
    fn areas_with_their_priority() {
        let text = format!("{HEADING}/swap\\040file                              file\t\t1024\t\t5\t\t-2\n");
        let labels = r#"device="/swap\\040file",swap_type="file""#;
        Tree::new(&[("proc/swaps", &text)]).check(&SPEC, &[], &page(labels, 1_048_576, 5120, -2));
    }

    #[test]
    fn a_machine_without_swap_has_no_series() {
        Tree::new(&[("proc/swaps", HEADING)]).check(&SPEC, &[], "");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn a_bad_line_costs_only_itself() {
        let text =
            format!("{HEADING}/a file 1 2\n/b file 18446744073709551615 2 3\n/c partition 1 0 32767\n/d file 1 1 1");
        let expected = page(r#"device="/c",swap_type="partition""#, 1024, 0, 32767);
        Tree::new(&[("proc/swaps", &text)]).check(&SPEC, &[], &format!("{expected}! malformed\n! malformed\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            area(&bytes);
        }
    }
}
