//! `/proc/sys/fs/file-nr`: how many files are open on the whole machine.

use crate::kit::{Error, Host, KeptFile, Options, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

static ALLOCATED: Family = gauge("node_filefd_allocated", "Files that are open on the whole machine.", &[]);
static MAXIMUM: Family = gauge("node_filefd_maximum", "How many files may be open on the whole machine.", &[]);

/// Its row in the table.
pub static SPEC: Spec =
    Spec::new(Group::Node, "filefd", "Open files, from /proc/sys/fs/file-nr.", &[&ALLOCATED, &MAXIMUM], open);

struct Filefd(KeptFile);

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Filefd(KeptFile::single("sys/fs/file-nr")))))
}

impl Collector for Filefd {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let [allocated, _, maximum] = counts(host.read_kept(&mut self.0)?)
            .ok_or_else(|| Error::malformed("/proc/sys/fs/file-nr", 1, "three whole numbers"))?;
        let machine = out.machine();
        out.put(&ALLOCATED, machine, allocated);
        out.put(&MAXIMUM, machine, maximum);
        Ok(())
    }
}

/// `1024\t0\t1631329`: open, unused (always 0 since Linux 2.6), at most.
fn counts(text: &[u8]) -> Option<[u64; 3]> {
    let mut words = parse::words(text).map(parse::number);
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn the_first_and_the_third() {
        let page = "node_filefd_allocated 2144\nnode_filefd_maximum 803246\n";
        Tree::new(&[("proc/sys/fs/file-nr", "2144\t0\t803246\n")]).check(&SPEC, &[], page);
        // What systemd sets on 64-bit machines.
        let page = "node_filefd_allocated 1\nnode_filefd_maximum 9223372036854776000\n";
        Tree::new(&[("proc/sys/fs/file-nr", "1\t0\t9223372036854775807\n")]).check(&SPEC, &[], page);
    }

    #[test]
    fn anything_else_fails_the_round() {
        for text in ["", "1 0\n", "1 0 x\n", "-1 0 5\n"] {
            Tree::new(&[("proc/sys/fs/file-nr", text)]).check(&SPEC, &[], "! malformed\n");
        }
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            counts(&bytes);
        }
    }
}
