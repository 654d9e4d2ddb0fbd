//! uname(2): the machine's name and kernel.
//!
//! In a container with a name of its own, the name is the machine's, see [`Host::renamed`].

use crate::kit::{Error, Host, Options};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

static INFO: Family = gauge(
    "node_uname_info",
    "The machine's name, its kernel and hardware, as uname(2) tells them; always 1.",
    &["domainname", "machine", "nodename", "release", "sysname", "version"],
);

/// Its row in the table.
pub static SPEC: Spec =
    Spec::new(Group::Node, "uname", "The machine's name and kernel, from uname(2).", &[&INFO], open);

struct Uname {
    /// The machine's name, where the kernel tells another one.
    nodename: Option<String>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let nodename = host.renamed();
    Ok(Some(Box::new(Uname { nodename })))
}

impl Collector for Uname {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        host.uname(|uname| {
            let nodename = self.nodename.as_deref().unwrap_or(&uname.nodename);
            // The kernel always has a name; a recorded machine whose answer was not recorded has none.
            if uname.sysname.is_empty() {
                return Err(Error::Absent { path: "uname(2)".to_owned() });
            }
            let of = out.entity(
                &["domainname", "machine", "nodename", "release", "sysname", "version"],
                [&uname.domainname, &uname.machine, nodename, &uname.release, &uname.sysname, &uname.version],
            );
            out.put(&INFO, of, 1u64);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn six_answers_are_six_labels() {
        let tree = Tree::new(&[("calls/uname", "Linux\nnode7\n6.12.0\n#1 SMP\nx86_64\n(none)\n")]);
        let page = "node_uname_info{domainname=\"(none)\",machine=\"x86_64\",nodename=\"node7\",release=\"6.12.0\",\
                    sysname=\"Linux\",version=\"#1 SMP\"} 1\n";
        tree.check(&SPEC, &[], page);
    }

    #[test]
    fn no_answer_is_no_value() {
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }
}
