//! `/proc/loadavg`: how many tasks want a CPU.

use crate::kit::{Error, Host, KeptFile, Options, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

static LOAD1: Family = gauge("node_load1", "1m load average, from /proc/loadavg.", &[]);
static LOAD5: Family = gauge("node_load5", "5m load average, from /proc/loadavg.", &[]);
static LOAD15: Family = gauge("node_load15", "15m load average, from /proc/loadavg.", &[]);

/// Its row in the table.
pub static SPEC: Spec =
    Spec::new(Group::Node, "loadavg", "Load averages from /proc/loadavg.", &[&LOAD1, &LOAD5, &LOAD15], open);

struct Loadavg(KeptFile);

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Loadavg(KeptFile::single("loadavg")))))
}

impl Collector for Loadavg {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let [one, five, fifteen] = loads(host.read_kept(&mut self.0)?)
            .ok_or_else(|| Error::malformed("/proc/loadavg", 1, "three load averages"))?;
        let machine = out.machine();
        out.put(&LOAD1, machine, one);
        out.put(&LOAD5, machine, five);
        out.put(&LOAD15, machine, fifteen);
        Ok(())
    }
}

/// `0.21 0.37 0.39 1/719 19737`: the first three numbers.
fn loads(text: &[u8]) -> Option<[f64; 3]> {
    let mut words = parse::words(parse::lines_of_record(text).next()?).map(parse::float);
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn three_numbers() {
        let tree = Tree::new(&[("proc/loadavg", "0.21 0.37 0.39 1/719 19737\n")]);
        tree.check(&SPEC, &[], "node_load1 0.21\nnode_load15 0.39\nnode_load5 0.37\n");
    }

    #[test]
    fn anything_else_fails_the_round() {
        let tree = Tree::new(&[("proc/loadavg", "0.21 none\n")]);
        tree.check(&SPEC, &[], "! malformed\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            loads(&bytes);
        }
    }
}
