//! `/proc/buddyinfo`: the largest free block of memory, what tegrastats prints as `lfb 758x4MB`.
//!
//! A Jetson's GPU and engines take memory in large blocks: with none left, allocations fail while much is free.

use crate::kit::{Error, Host, KeptFile, Options, jetson, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static BYTES: Family =
    gauge("jetson_largest_free_block_bytes", "Size of the largest blocks of memory that are free, in bytes.", &[]);
static BLOCKS: Family = gauge("jetson_largest_free_blocks", "How many blocks of that size are free.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "free_block",
        "Largest free block of a Jetson's memory from /proc/buddyinfo.",
        &[&BYTES, &BLOCKS],
        open,
    )
};

struct FreeBlock {
    file: KeptFile,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let file = KeptFile::new(crate::kit::Root::Proc, "buddyinfo");
    Ok(jetson::is_one(host).then(|| Box::new(FreeBlock { file }) as Box<dyn Collector>))
}

impl Collector for FreeBlock {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let page = host.page_size();
        if let Some((order, blocks)) = largest(host.read_kept(&mut self.file)?) {
            out.put(&BYTES, out.machine(), page << order);
            out.put(&BLOCKS, out.machine(), blocks);
        }
        Ok(())
    }
}

/// `Node 0, zone   Normal  901  812  0`: the highest order with free blocks (1), and how many all zones have of it.
fn largest(text: &[u8]) -> Option<(u32, u64)> {
    const ORDERS: usize = 32;
    let mut counts = [0u64; ORDERS];
    for line in parse::lines(text) {
        let numbers = parse::words(line).skip_while(|word| *word != b"zone").skip(2).map(parse::number);
        for (sum, count) in counts.iter_mut().zip(numbers) {
            *sum = sum.saturating_add(count.unwrap_or(0));
        }
    }
    let (order, blocks) = counts.iter().enumerate().rfind(|(_, count)| **count > 0)?;
    Some((order as u32, *blocks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn the_largest_of_all_zones() {
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra210\0"),
            (
                "proc/buddyinfo",
                "Node 0, zone  DMA  40 30 20 9 4 1 6 3 1 2 0 \nNode 0, zone  Normal  9 8 4 1 4 1 9 4 1 0 0 \n",
            ),
        ]);
        // tegrastats: lfb 2x2MB.
        tree.check(&SPEC, &[], "jetson_largest_free_block_bytes 2097152\njetson_largest_free_blocks 2\n");
        tree.write("proc/buddyinfo", "Node 0, zone  DMA  0 0\nmore\n");
        tree.check(&SPEC, &[], "");
        Tree::new(&[("proc/buddyinfo", "")]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            largest(&bytes);
            largest(&[b"Node 0, zone DMA ", &bytes[..], b"\n"].concat());
        }
    }
}
