//! `/sys/block/zram*/mm_stat`: memory that is kept compressed. Jetson boards swap to it.

use crate::kit::{Error, Host, Options, Root, jetson, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const DEVICE: &[&str; 1] = &["device"];

static ORIGINAL: Family = gauge("jetson_zram_original_bytes", "Data that the device holds, in bytes.", DEVICE);
static COMPRESSED: Family = gauge("jetson_zram_compressed_bytes", "The same data as it is kept, in bytes.", DEVICE);
static MEMORY: Family = gauge("jetson_zram_memory_bytes", "Memory that the device takes for it, in bytes.", DEVICE);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "zram",
        "Compressed memory of a Jetson board from /sys/block/zram*/mm_stat.",
        &[&ORIGINAL, &COMPRESSED, &MEMORY],
        open,
    )
};

struct Zram;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(Zram) as Box<dyn Collector>))
}

impl Collector for Zram {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let devices = match host.devices(Root::Sys, "block", |name| name.starts_with("zram")) {
            Err(error) if error.is_absent() => return Ok(()),
            devices => devices?,
        };
        for device in devices {
            let stat = host.read(Root::Sys, format_args!("block/{device}/mm_stat")).map(sizes);
            match out.found(stat) {
                Some(Some(sizes)) => {
                    let of = out.entity(DEVICE, [&device]);
                    for (family, size) in [&ORIGINAL, &COMPRESSED, &MEMORY].into_iter().zip(sizes) {
                        out.put(family, of, size);
                    }
                }
                Some(None) => out.fault(Error::malformed(&format!("/sys/block/{device}/mm_stat"), 1, "sizes")),
                None => {}
            }
        }
        Ok(())
    }
}

/// ` 50069504 15128576 16121856        0 16121856       12        0`: original, compressed, and memory taken.
fn sizes(text: &[u8]) -> Option<[u64; 3]> {
    let mut words = parse::words(text).map(parse::number);
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn sizes_of_a_device() {
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra210\0"),
            ("sys/block/zram0/mm_stat", "    4096       74    12288        0    12288        0        0\n"),
            ("sys/block/zram1/mm_stat", "x\n"),
            ("sys/block/zram2/size", "0\n"),
            ("sys/block/mmcblk0/size", "0\n"),
        ]);
        let expected = "jetson_zram_compressed_bytes{device=\"zram0\"} 74\n\
                        jetson_zram_memory_bytes{device=\"zram0\"} 12288\n\
                        jetson_zram_original_bytes{device=\"zram0\"} 4096\n! malformed\n";
        tree.check(&SPEC, &[], expected);
        Tree::new(&[("sys/block/zram0/mm_stat", "1 1 1\n")]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            sizes(&bytes);
        }
    }
}
