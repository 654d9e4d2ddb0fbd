//! `/proc/softirqs`: deferred interrupts, by CPU and by what they are for.
//!
//! A column for each CPU that the machine may have, named at the top. Types that a later kernel adds are left out.

use crate::kit::{Error, Host, KeptFile, Options, parse};
use crate::model::{Batch, Family, counter};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static FUNCTIONS: Family =
    counter("node_softirqs_functions_total", "Deferred interrupts that the CPU served.", &["cpu", "type"]);

/// Its row in the table. A machine with 1,024 CPUs prints 110 KB.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "softirqs", "Deferred interrupts by CPU, from /proc/softirqs.", &[&FUNCTIONS], open)
};

const TYPES: [&str; 10] =
    ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

struct Softirqs {
    file: KeptFile,
    /// The numbers of the columns' CPUs, as text.
    cpus: Vec<String>,
}

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Softirqs { file: KeptFile::single("softirqs"), cpus: Vec::new() })))
}

impl Collector for Softirqs {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        let mut lines = parse::lines_of_record(text).zip(1..);
        let heading = lines.next().map_or(&b""[..], |(line, _)| line);
        if !cpus(heading).eq(self.cpus.iter().map(|cpu| Some(cpu.as_str()))) {
            self.cpus = cpus(heading).flatten().map(str::to_owned).collect();
        }
        for (line, number) in lines {
            let Some((name, counts)) = parse::field(line) else {
                out.fault(Error::malformed("/proc/softirqs", number, "a type, a colon and counts"));
                continue;
            };
            let Some(name) = TYPES.into_iter().find(|known| known.as_bytes() == name) else { continue };
            for (cpu, count) in self.cpus.iter().zip(parse::words(counts)) {
                let Some(count) = parse::number(count) else {
                    out.fault(Error::malformed("/proc/softirqs", number, "a count for each CPU"));
                    continue;
                };
                let of = out.entity(&["cpu", "type"], [cpu, name]);
                out.put(&FUNCTIONS, of, count);
            }
        }
        if out.is_empty() { Err(Error::malformed("/proc/softirqs", 0, "counts by CPU")) } else { Ok(()) }
    }
}

/// `          CPU0       CPU1`: the numbers of the columns; `None` for what is no CPU.
fn cpus(heading: &[u8]) -> impl Iterator<Item = Option<&str>> {
    parse::words(heading).map(|word| {
        let digits = word.strip_prefix(b"CPU").filter(|digits| parse::number(digits).is_some())?;
        std::str::from_utf8(digits).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn line(cpu: u32, name: &str, count: u64) -> String {
        format!("node_softirqs_functions_total{{cpu=\"{cpu}\",type=\"{name}\"}} {count}\n")
    }

    #[test]
    fn counts_by_cpu_and_type() {
        let tree = Tree::new(&[(
            "proc/softirqs",
            "                    CPU0       CPU2       \n          HI:          1          0\n     NET_RX:  89145 67621\n",
        )]);
        let page = [line(0, "HI", 1), line(2, "HI", 0), line(0, "NET_RX", 89145), line(2, "NET_RX", 67621)].concat();
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), page);
        tree.write("proc/softirqs", " CPU0 CPU1 CPU2\n RCU: 1 2 3\n");
        assert_eq!(opened.round(), [line(0, "RCU", 1), line(1, "RCU", 2), line(2, "RCU", 3)].concat());
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let text = " CPU0 CPU1\nHI: 1 x\nno colon\nNEW: 1 2\nRCU: 1 2 3";
        let page = [line(0, "HI", 1), line(0, "RCU", 1), line(1, "RCU", 2)].concat();
        Tree::new(&[("proc/softirqs", text)]).check(&SPEC, &[], &format!("{page}! malformed\n! malformed\n"));
        Tree::new(&[("proc/softirqs", "")]).check(&SPEC, &[], "! malformed\n");
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            cpus(&bytes).for_each(drop);
        }
    }
}
