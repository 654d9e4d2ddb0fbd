//! `/sys/class/net/bonding_masters`: bonds of network interfaces, how many interfaces each has, how many work.

use crate::kit::{Error, Host, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const MASTER: &[&str; 1] = &["master"];
const MASTERS: &str = "class/net/bonding_masters";

static SLAVES: Family = gauge("node_bonding_slaves", "Interfaces that belong to the bond.", MASTER);
static ACTIVE: Family = gauge("node_bonding_active", "Interfaces of the bond whose link is up.", MASTER);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    // The list of a bond's interfaces takes a lock of the whole network (RTNL).
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "bonding", "Bonds of network interfaces.", &[&SLAVES, &ACTIVE], open)
};

struct Bonding;

/// The kernel has the file while the module is loaded.
fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(host.exists(Root::Sys, MASTERS).then(|| Box::new(Bonding) as Box<dyn Collector>))
}

impl Collector for Bonding {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for master in names(host.read(Root::Sys, MASTERS)?) {
            let slaves = match host.read(Root::Sys, format_args!("class/net/{master}/bonding/slaves")) {
                Ok(text) => names(text),
                // The bond was removed meanwhile.
                Err(Error::Absent { .. } | Error::Gone { .. }) => continue,
                Err(error) => {
                    out.fault(error);
                    continue;
                }
            };
            let (mut count, mut active) = (0u32, Some(0u32));
            for slave in slaves {
                match is_up(&master, &slave, host) {
                    Ok(is_up) => {
                        count += 1;
                        active = active.map(|active| active + u32::from(is_up));
                    }
                    // The interface left the bond meanwhile.
                    Err(Error::Absent { .. } | Error::Gone { .. }) => (),
                    Err(error) => {
                        count += 1;
                        active = None;
                        out.fault(error);
                    }
                }
            }
            let of = out.entity(MASTER, [&master]);
            out.put(&SLAVES, of, count);
            out.put_some(&ACTIVE, of, active);
        }
        Ok(())
    }
}

/// Whether an interface's link is up. Before Linux 3.14 the folder was called `slave_NAME`.
fn is_up(master: &str, slave: &str, host: &mut Host) -> Result<bool, Error> {
    let mut is_up = |prefix| {
        let status = host.read(Root::Sys, format_args!("class/net/{master}/{prefix}_{slave}/bonding_slave/mii_status"));
        status.map(|status| parse::trim(status) == b"up")
    };
    is_up("lower").or_else(|error| if error.is_absent() { is_up("slave") } else { Err(error) })
}

/// `bond0 bond1`: the names.
fn names(text: &[u8]) -> Vec<String> {
    parse::words(text).filter(|name| !name.contains(&b'/')).map(|name| parse::text(name).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn status(master: &str, slave: &str) -> String {
        format!("sys/class/net/{master}/{slave}/bonding_slave/mii_status")
    }

    fn bond0() -> Tree {
        let tree = Tree::new(&[
            ("sys/class/net/bonding_masters", "bond0\n"),
            ("sys/class/net/bond0/bonding/slaves", "eth0 eth1 eth2\n"),
        ]);
        tree.write(&status("bond0", "lower_eth0"), "up\n");
        tree.write(&status("bond0", "slave_eth1"), "up\n");
        tree.write(&status("bond0", "lower_eth2"), "going down\n");
        tree
    }

    #[test]
    fn interfaces_and_those_that_work() {
        bond0().check(&SPEC, &[], "node_bonding_active{master=\"bond0\"} 2\nnode_bonding_slaves{master=\"bond0\"} 3\n");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/net/bonding_masters", "\n")]).check(&SPEC, &[], "");
    }

    #[test]
    fn what_leaves_meanwhile_is_not_counted() {
        let tree = bond0();
        tree.write("sys/class/net/bonding_masters", "bond0 bond1 bond2\n");
        tree.write("sys/class/net/bond2/bonding/slaves", "\n");
        tree.remove(&status("bond0", "lower_eth2"));
        let page = "node_bonding_active{master=\"bond0\"} 2\nnode_bonding_active{master=\"bond2\"} 0\n\
                    node_bonding_slaves{master=\"bond0\"} 2\nnode_bonding_slaves{master=\"bond2\"} 0\n";
        tree.check(&SPEC, &[], page);
    }

    #[test]
    fn an_interface_that_does_not_answer_leaves_open_how_many_work() {
        let tree = bond0();
        tree.write("calls/errno", &format!("{} EIO\n", status("bond0", "lower_eth0")));
        tree.check(&SPEC, &[], "node_bonding_slaves{master=\"bond0\"} 3\n! io\n");
        tree.write("calls/errno", "sys/class/net/bond0/bonding/slaves EIO\n");
        tree.check(&SPEC, &[], "! io\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            names(&bytes);
        }
    }
}
