//! `/proc/sys/kernel/random/{entropy_avail,poolsize}`: the kernel's pool of random bits.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

static AVAILABLE: Family =
    gauge("node_entropy_available_bits", "How much randomness the kernel's pool holds, in bits.", &[]);
static POOL_SIZE: Family =
    gauge("node_entropy_pool_size_bits", "How much randomness the kernel's pool can hold, in bits.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec::new(
    Group::Node,
    "entropy",
    "The pool of random bits, from /proc/sys/kernel/random.",
    &[&AVAILABLE, &POOL_SIZE],
    open,
);

const FILES: [(&str, &Family); 2] =
    [("sys/kernel/random/entropy_avail", &AVAILABLE), ("sys/kernel/random/poolsize", &POOL_SIZE)];

struct Entropy([KeptFile; 2]);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !FILES.iter().any(|(path, _)| host.exists(Root::Proc, path)) {
        return Ok(None);
    }
    // The size is a constant of the kernel.
    let [available, size] = FILES.map(|(path, _)| KeptFile::single(path));
    Ok(Some(Box::new(Entropy([available, size.rarely()]))))
}

impl Collector for Entropy {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let machine = out.machine();
        for (file, (path, family)) in self.0.iter_mut().zip(FILES) {
            let Some(text) = out.ok(host.read_kept(file)) else { continue };
            match parse::number(parse::trim(text)) {
                Some(bits) => out.put(family, machine, bits),
                None => out.fault(Error::malformed(&format!("/proc/{path}"), 1, "a whole number")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    const AVAIL: &str = "proc/sys/kernel/random/entropy_avail";
    const SIZE: &str = "proc/sys/kernel/random/poolsize";

    #[test]
    fn bits_in_the_pool() {
        let page = "node_entropy_available_bits 3943\nnode_entropy_pool_size_bits 4096\n";
        Tree::new(&[(AVAIL, "3943\n"), (SIZE, "4096\n")]).check(&SPEC, &[], page);
    }

    #[test]
    fn one_that_fails_costs_only_itself() {
        let page = "node_entropy_available_bits 256\n! absent\n";
        Tree::new(&[(AVAIL, "256\n")]).check(&SPEC, &[], page);
        let page = "node_entropy_pool_size_bits 256\n! malformed\n";
        Tree::new(&[(AVAIL, "-1\n"), (SIZE, "256\n")]).check(&SPEC, &[], page);
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }
}
