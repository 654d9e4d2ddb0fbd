//! `/proc/interrupts`: how often each CPU was interrupted, and by what.
//!
//! A line for each interrupt, a column for each CPU that is online, named at the top. What stands behind the counts
//! depends on the machine: `IO-APIC 2-edge timer`, `GICv3 27 Level arch_timer`, `Rescheduling interrupts`. It stays the
//! same from round to round, so what was made of it is kept, by line.

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, counter};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const LABELS: &[&str; 3] = &["devices", "info", "type"];

static INTERRUPTS: Family =
    counter("node_interrupts_total", "How often the CPU was interrupted.", &["cpu", "devices", "info", "type"]);

/// Its row in the table. A machine with 256 CPUs prints 1 MB and more.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    points_max: 1_000_000,
    options: &[
        Opt {
            name: "name-include",
            kind: OptKind::Regex,
            default: "",
            help: "Interrupts to report, as \"type;info;devices\".",
        },
        Opt {
            name: "name-exclude",
            kind: OptKind::Regex,
            default: "",
            help: "Interrupts to leave out of these, as \"type;info;devices\".",
        },
        Opt { name: "include-zeros", kind: OptKind::Flag, default: "true", help: "Whether to report counts of zero." },
    ],
    ..Spec::new(Group::Node, "interrupts", "Interrupts by CPU, from /proc/interrupts.", &[&INTERRUPTS], open)
};

struct Interrupts {
    file: KeptFile,
    filter: Filter,
    with_zeros: bool,
    /// The numbers of the columns' CPUs, as text.
    cpus: Vec<String>,
    /// What the lines were last time.
    known: Vec<Known>,
}

/// What is known of a line.
#[derive(Default)]
struct Known {
    name: Vec<u8>,
    rest: Vec<u8>,
    labels: [String; 3],
    is_chosen: bool,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Interrupts {
        file: KeptFile::new(Root::Proc, "interrupts"),
        filter: options.filter("name-include", "name-exclude"),
        with_zeros: options.flag("include-zeros"),
        cpus: Vec::new(),
        known: Vec::new(),
    })))
}

impl Collector for Interrupts {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        let mut lines = parse::lines_of_record(text).zip(1..);
        let heading = lines.next().map_or(&b""[..], |(line, _)| line);
        if !cpus(heading).eq(self.cpus.iter().map(String::as_str)) {
            self.cpus = cpus(heading).map(str::to_owned).collect();
        }
        if self.cpus.is_empty() {
            return Err(Error::malformed("/proc/interrupts", 1, "a heading of CPUs"));
        }
        let mut at = 0;
        for (line, number) in lines {
            // `ERR:` and `MIS:` have one count for the machine, and nothing behind it.
            let Some(interrupt) = interrupt(line, self.cpus.len()) else { continue };
            if self.known.len() <= at {
                self.known.push(Known::default());
            }
            let Some(known) = self.known.get_mut(at) else { continue };
            at += 1;
            known.learn(&interrupt, &self.filter);
            if known.is_chosen && !put(&interrupt, known, &self.cpus, self.with_zeros, out) {
                out.fault(Error::malformed("/proc/interrupts", number, "a count for each CPU"));
            }
        }
        self.known.truncate(at);
        Ok(())
    }
}

/// Puts the counts that read as such; whether all did.
fn put(interrupt: &Interrupt<'_>, known: &Known, cpus: &[String], with_zeros: bool, out: &mut Batch) -> bool {
    let [name, info, devices] = known.labels.each_ref().map(String::as_str);
    // Kept once for all CPUs: on a large machine there are hundreds of them, and thousands of lines.
    let line = out.entity(LABELS, [devices, info, name]);
    let mut all = true;
    for (cpu, count) in cpus.iter().zip(parse::words(interrupt.counts).map(parse::number)) {
        match count {
            Some(0) if !with_zeros => {}
            Some(count) => {
                let of = out.part(line, &["cpu"], [cpu]);
                out.put(&INTERRUPTS, of, count);
            }
            None => all = false,
        }
    }
    all
}

impl Known {
    /// Makes labels of the line, unless it is the one that is known.
    fn learn(&mut self, interrupt: &Interrupt<'_>, filter: &Filter) {
        if self.name == interrupt.name && self.rest == interrupt.rest {
            return;
        }
        (self.name, self.rest) = (interrupt.name.to_vec(), interrupt.rest.to_vec());
        let joined = |words: &mut dyn Iterator<Item = &[u8]>| {
            let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
            words.join(" ")
        };
        let name = String::from_utf8_lossy(interrupt.name).into_owned();
        let mut words = parse::words(interrupt.rest);
        // A number has a chip behind the counts, and then its devices; all else has words.
        let is_numbered = parse::number(interrupt.name).is_some();
        let info = if is_numbered { joined(&mut words.by_ref().take(1)) } else { joined(&mut words) };
        let devices = joined(&mut words);
        self.is_chosen = filter.keeps(&format!("{name};{info};{devices}"));
        self.labels = [name, info, devices];
    }
}

/// A line, in its parts.
struct Interrupt<'a> {
    name: &'a [u8],
    counts: &'a [u8],
    rest: &'a [u8],
}

/// `  9:     398553       2320  IR-IO-APIC-fasteoi   acpi`: the name, the counts of so many CPUs, and the rest; `None` if
/// there is no rest. On arm64 there may be no blank behind the colon.
fn interrupt(line: &[u8], cpus: usize) -> Option<Interrupt<'_>> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, counts) = (line.get(..colon)?, line.get(colon + 1..)?);
    let mut rest = counts;
    for _ in 0..cpus {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace)?;
        rest = rest.get(end..)?;
    }
    let rest = parse::trim(rest);
    let name = name.trim_ascii_start();
    if rest.is_empty() { None } else { Some(Interrupt { name, counts, rest }) }
}

/// `           CPU0       CPU1`: the numbers of the columns; `?` for what is no CPU.
fn cpus(heading: &[u8]) -> impl Iterator<Item = &str> {
    parse::words(heading).map(|word| {
        let digits = word.strip_prefix(b"CPU").filter(|digits| parse::number(digits).is_some());
        digits.and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const X86: &str = "           CPU0       CPU2       \n  8:          0         12  IO-APIC   8-edge      rtc0\n\
                       NMI:          7          0   Non-maskable interrupts\nERR:          0\nMIS:          0\n";
    const ARM: &str = "            CPU0\n 11:    5512     GICv3  27 Level     arch_timer\n\
                       103:       0  2e00000.gpio  38 Edge      Power\nIPI0:   123       Rescheduling interrupts\n\
                       IPI1:4567890123       Function call interrupts\n";

    fn line(cpu: u32, devices: &str, info: &str, name: &str, count: u64) -> String {
        let devices = if devices.is_empty() { String::new() } else { format!("devices={devices:?},") };
        format!("node_interrupts_total{{{devices}info={info:?},type={name:?},cpu=\"{cpu}\"}} {count}\n")
    }

    #[test]
    fn numbers_have_a_chip_and_devices() {
        let page = [
            line(0, "8-edge rtc0", "IO-APIC", "8", 0),
            line(2, "8-edge rtc0", "IO-APIC", "8", 12),
            line(0, "", "Non-maskable interrupts", "NMI", 7),
            line(2, "", "Non-maskable interrupts", "NMI", 0),
        ];
        let tree = Tree::new(&[("proc/interrupts", X86)]);
        tree.check(&SPEC, &[], &page.concat());
        tree.check(&SPEC, &[("include-zeros", "false")], &[&*page[1], &page[2]].concat());
        let page = [
            line(0, "27 Level arch_timer", "GICv3", "11", 5512),
            line(0, "38 Edge Power", "2e00000.gpio", "103", 0),
            line(0, "", "Rescheduling interrupts", "IPI0", 123),
            line(0, "", "Function call interrupts", "IPI1", 4_567_890_123),
        ];
        Tree::new(&[("proc/interrupts", ARM)]).check(&SPEC, &[], &page.concat());
    }

    #[test]
    fn names_are_chosen_by_all_their_parts() {
        let tree = Tree::new(&[("proc/interrupts", ARM)]);
        let names = |options: &[(&str, &str)]| tree.open(&SPEC, options).round().lines().count();
        assert_eq!(names(&[("name-include", "^11;GICv3;27 Level arch_timer$")]), 1);
        assert_eq!(names(&[("name-include", "interrupts;$")]), 2);
        assert_eq!(names(&[("name-exclude", "^IPI|gpio")]), 1);
        assert_eq!(names(&[("name-include", "^IPI"), ("name-exclude", "^IPI0")]), 1);
    }

    #[test]
    fn lines_may_come_and_go() {
        let tree = Tree::new(&[("proc/interrupts", " CPU0\n 1: 5 A a\n 2: 6 B b\n")]);
        let mut opened = tree.open(&SPEC, &[("name-exclude", "^2;C")]);
        let [one, two] = [line(0, "a", "A", "1", 5), line(0, "b", "B", "2", 6)];
        assert_eq!(opened.round(), [&*one, &two].concat());
        tree.write("proc/interrupts", " CPU0\n 2: 6 B b\n");
        assert_eq!(opened.round(), two);
        tree.write("proc/interrupts", " CPU0\n 1: 5 A a\n 2: 7 C b\n");
        assert_eq!(opened.round(), one);
    }

    #[test]
    fn what_does_not_read_costs_only_itself() {
        let text = " CPU0 CPU1\n 1: x 5 A a\nno colon\n 2: 1\n 3: 1 2\n 4: 1 2";
        Tree::new(&[("proc/interrupts", text)]).check(
            &SPEC,
            &[],
            &format!("{}! malformed\n", line(1, "a", "A", "1", 5)),
        );
        Tree::new(&[("proc/interrupts", "")]).check(&SPEC, &[], "! malformed\n");
        Tree::new(&[]).check(&SPEC, &[], "! absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, count in 0..5usize) {
            cpus(&bytes).for_each(drop);
            if let Some(interrupt) = interrupt(&bytes, count) {
                let mut known = Known::default();
                known.learn(&interrupt, &Filter::default());
                put(&interrupt, &known, &["0".to_owned()], true, &mut Batch::new(9));
            }
        }
    }
}
