//! `/proc/sys/kernel/hung_task_detect_count`: tasks that did not move for minutes. Kernels have it since Linux 6.13.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, counter};
use crate::{Collector, Group, Spec};

const PATH: &str = "sys/kernel/hung_task_detect_count";

static TASKS: Family =
    counter("node_kernel_hung_tasks_total", "Tasks that the kernel found hung since it started.", &[]);

/// Its row in the table.
pub static SPEC: Spec =
    Spec::new(Group::Node, "kernel_hung", "Hung tasks, from /proc/sys/kernel/hung_task_detect_count.", &[&TASKS], open);

struct KernelHung(KeptFile);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(if host.exists(Root::Proc, PATH) { Some(Box::new(KernelHung(KeptFile::single(PATH)))) } else { None })
}

impl Collector for KernelHung {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let count = parse::number(parse::trim(host.read_kept(&mut self.0)?))
            .ok_or_else(|| Error::malformed("/proc/sys/kernel/hung_task_detect_count", 1, "a whole number"))?;
        out.put(&TASKS, out.machine(), count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    const FILE: &str = "proc/sys/kernel/hung_task_detect_count";

    #[test]
    fn a_count() {
        Tree::new(&[(FILE, "3\n")]).check(&SPEC, &[], "node_kernel_hung_tasks_total 3\n");
        Tree::new(&[(FILE, "x\n")]).check(&SPEC, &[], "! malformed\n");
    }

    #[test]
    fn older_kernels_have_no_such_collector() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }
}
