//! `/sys/devices/system/cpu/vulnerabilities/`: which flaws the CPUs have, and what is done about them.
//!
//! The kernel prints a dozen short lines from memory: 50 µs in all.

use crate::kit::{Error, Host, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

const FOLDER: &str = "devices/system/cpu/vulnerabilities";

static INFO: Family = gauge(
    "node_cpu_vulnerabilities_info",
    "Always 1: whether the CPUs have the flaw, and what is done about it.",
    &["codename", "mitigation", "state"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    ..Spec::new(
        Group::Node,
        "cpu_vulnerabilities",
        "Flaws of the CPUs from /sys/devices/system/cpu/vulnerabilities.",
        &[&INFO],
        open,
    )
};

/// The first word of a line, and the state that it tells.
const STATES: [(&str, &str); 4] = [
    ("not affected", "not affected"),
    ("vulnerable", "vulnerable"),
    ("mitigation", "mitigation"),
    ("unknown", "unknown"),
];

struct CpuVulnerabilities;

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(CpuVulnerabilities)))
}

impl Collector for CpuVulnerabilities {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let names = match host.names(Root::Sys, FOLDER) {
            Err(error) if error.is_absent() => return Ok(()),
            names => names?,
        };
        for name in names {
            let text = host.read(Root::Sys, format_args!("{FOLDER}/{name}"));
            let Some(text) = out.found(text) else { continue };
            let (state, mitigation) = flaw(&parse::text(text));
            let of = out.entity(&["codename", "mitigation", "state"], [&name, &mitigation, state]);
            out.put(&INFO, of, true);
        }
        Ok(())
    }
}

/// `Mitigation: PTI`, `Vulnerable`, `Vulnerable: No microcode`: the state, and what stands behind its first word; all of
/// it where the word is none of these.
fn flaw(line: &str) -> (&'static str, String) {
    let lower = line.to_lowercase();
    match STATES.iter().find(|(word, _)| lower.starts_with(word)) {
        Some((_, state @ "not affected")) => (state, String::new()),
        Some((_, state)) => {
            let words: Vec<&str> = line.split_whitespace().skip(1).collect();
            (state, words.join(" "))
        }
        None => ("unknown", line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn flaws() {
        for (line, state, mitigation) in [
            ("Not affected", "not affected", ""),
            ("Vulnerable", "vulnerable", ""),
            (
                "Vulnerable: Clear CPU buffers attempted, no microcode",
                "vulnerable",
                "Clear CPU buffers attempted, no microcode",
            ),
            ("Mitigation: PTI", "mitigation", "PTI"),
            ("Mitigation: Retpolines;  IBPB: conditional", "mitigation", "Retpolines; IBPB: conditional"),
            ("Unknown: No mitigations", "unknown", "No mitigations"),
            ("KVM: Mitigation: VMX disabled", "unknown", "KVM: Mitigation: VMX disabled"),
            ("", "unknown", ""),
        ] {
            assert_eq!(flaw(line), (state, mitigation.to_owned()), "{line}");
        }
    }

    #[test]
    fn one_line_for_each() {
        let tree = Tree::new(&[
            ("sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n"),
            ("sys/devices/system/cpu/vulnerabilities/mds", "Not affected\n"),
        ]);
        let expected = "node_cpu_vulnerabilities_info{codename=\"mds\",state=\"not affected\"} 1\n\
                        node_cpu_vulnerabilities_info{codename=\"meltdown\",mitigation=\"PTI\",state=\"mitigation\"} 1\n";
        tree.check(&SPEC, &[], expected);
        Tree::new(&[]).check(&SPEC, &[], "");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(line: String) {
            flaw(&line);
        }
    }
}
