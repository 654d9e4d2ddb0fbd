//! `/proc/cgroups`: the controllers of cgroups, and how many cgroups each has.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static CGROUPS: Family =
    gauge("node_cgroups_cgroups", "How many cgroups the controller's hierarchy has.", &["subsys_name"]);
static ENABLED: Family = gauge("node_cgroups_enabled", "Whether the controller is enabled.", &["subsys_name"]);

/// Its row in the table. Before Linux 5.17 the file waits for whoever makes or removes a cgroup.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "cgroups", "How many cgroups there are, from /proc/cgroups.", &[&CGROUPS, &ENABLED], open)
};

struct Cgroups(KeptFile);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(if host.exists(Root::Proc, "cgroups") { Some(Box::new(Cgroups(KeptFile::single("cgroups")))) } else { None })
}

impl Collector for Cgroups {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.0)?;
        for (line, number) in parse::lines_of_record(text).zip(1..) {
            if line.starts_with(b"#") {
                continue;
            }
            let Some((name, cgroups, enabled)) = controller(line) else {
                out.fault(Error::malformed("/proc/cgroups", number, "a name and three numbers"));
                continue;
            };
            let of = out.entity(&["subsys_name"], [&*parse::text(name)]);
            out.put(&CGROUPS, of, cgroups);
            out.put(&ENABLED, of, enabled);
        }
        Ok(())
    }
}

/// `memory\t7\t234\t1`: the name, the number of cgroups, and whether it is enabled; the hierarchy's number is left out.
fn controller(line: &[u8]) -> Option<(&[u8], u64, u64)> {
    let mut words = parse::words(line);
    let name = words.next()?;
    let mut next = || parse::number(words.next()?);
    let (_, cgroups, enabled) = (next()?, next()?, next()?);
    Some((name, cgroups, enabled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn controllers_and_their_cgroups() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t112\t1\nmemory\t0\t234\t0\nbad\t0\t1\npids\t1\t1\t1";
        let page = "node_cgroups_cgroups{subsys_name=\"cpuset\"} 112\nnode_cgroups_cgroups{subsys_name=\"memory\"} 234\n\
                    node_cgroups_cgroups{subsys_name=\"pids\"} 1\n\
                    node_cgroups_enabled{subsys_name=\"cpuset\"} 1\nnode_cgroups_enabled{subsys_name=\"memory\"} 0\n\
                    node_cgroups_enabled{subsys_name=\"pids\"} 1\n\
                    ! malformed\n";
        Tree::new(&[("proc/cgroups", text)]).check(&SPEC, &[], page);
    }

    #[test]
    fn kernels_without_cgroups_have_no_such_collector() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            controller(&bytes);
        }
    }
}
