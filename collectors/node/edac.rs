//! `/sys/devices/system/edac/mc/`: errors of the memory that were found, by controller, row and channel.
//!
//! Counts of a controller that belong to no row are those of the row `unknown`. Rows are there only when the kernel was
//! built with the old interface (CONFIG_EDAC_LEGACY_SYSFS).

use crate::kit::{Error, Host, Options, Root, parse};
use crate::model::{Batch, Entity, Family, counter};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "devices/system/edac/mc";
const CONTROLLER: &[&str; 1] = &["controller"];
const CSROW: &[&str; 1] = &["csrow"];
const CHANNEL: &[&str] = &["channel", "controller", "csrow", "dimm_label"];

static CE: Family =
    counter("node_edac_correctable_errors_total", "Errors of the memory that were corrected.", CONTROLLER);
static UE: Family =
    counter("node_edac_uncorrectable_errors_total", "Errors of the memory that could not be corrected.", CONTROLLER);
static CSROW_CE: Family = counter(
    "node_edac_csrow_correctable_errors_total",
    "Errors of a row of the memory that were corrected.",
    &["controller", "csrow"],
);
static CSROW_UE: Family = counter(
    "node_edac_csrow_uncorrectable_errors_total",
    "Errors of a row of the memory that could not be corrected.",
    &["controller", "csrow"],
);
static CHANNEL_CE: Family = counter(
    "node_edac_channel_correctable_errors_total",
    "Errors of a channel of the memory that were corrected.",
    CHANNEL,
);
static CHANNEL_UE: Family = counter(
    "node_edac_channel_uncorrectable_errors_total",
    "Errors of a channel of the memory that could not be corrected.",
    CHANNEL,
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "edac",
        "Errors of the memory from /sys/devices/system/edac/mc.",
        &[&CE, &UE, &CSROW_CE, &CSROW_UE, &CHANNEL_CE, &CHANNEL_UE],
        open,
    )
};

struct Edac;

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Edac)))
}

impl Collector for Edac {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let names = match host.devices(Root::Sys, FOLDER, |name| name.starts_with("mc")) {
            Err(error) if error.is_absent() => return Ok(()),
            names => names?,
        };
        for (name, number) in names.iter().filter_map(|name| Some((name, numbered(name, "mc")?))) {
            let of = out.entity(CONTROLLER, [number]);
            let unknown = out.part(of, CSROW, ["unknown"]);
            let folder = format!("{FOLDER}/{name}");
            put(&CE, of, &folder, "ce_count", host, out);
            put(&CSROW_CE, unknown, &folder, "ce_noinfo_count", host, out);
            put(&UE, of, &folder, "ue_count", host, out);
            put(&CSROW_UE, unknown, &folder, "ue_noinfo_count", host, out);
            let rows = host.names(Root::Sys, &folder);
            for row in out.found(rows).iter().flatten() {
                if let Some(number) = numbered(row, "csrow") {
                    let of = out.part(of, CSROW, [number]);
                    put_row(of, &format!("{folder}/{row}"), host, out);
                }
            }
        }
        Ok(())
    }
}

fn put_row(of: Entity, folder: &str, host: &mut Host, out: &mut Batch) {
    put(&CSROW_CE, of, folder, "ce_count", host, out);
    put(&CSROW_UE, of, folder, "ue_count", host, out);
    let names = host.names(Root::Sys, folder);
    for channel in out.found(names).iter().flatten().filter_map(|name| channel(name)) {
        let dimm = match host.read(Root::Sys, format_args!("{folder}/ch{channel}_dimm_label")) {
            Ok(label) => dimm_label(&parse::text(label)),
            Err(_) => "unknown".to_owned(),
        };
        let of = out.part(of, &["channel", "dimm_label"], [channel, &dimm]);
        put(&CHANNEL_CE, of, folder, &format!("ch{channel}_ce_count"), host, out);
        put(&CHANNEL_UE, of, folder, &format!("ch{channel}_ue_count"), host, out);
    }
}

fn put(family: &'static Family, of: Entity, folder: &str, file: &str, host: &mut Host, out: &mut Batch) {
    let count = host.number(Root::Sys, format_args!("{folder}/{file}"));
    let count = out.found(count);
    out.put_some(family, of, count);
}

/// `csrow3`: the number behind the word.
fn numbered<'a>(name: &'a str, word: &str) -> Option<&'a str> {
    name.strip_prefix(word).filter(|number| is_number(number))
}

/// `ch1_ce_count`: the number of the channel.
fn channel(name: &str) -> Option<&str> {
    name.strip_prefix("ch")?.strip_suffix("_ce_count").filter(|number| is_number(number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `mc#0csrow#0channel#1`: `mc0_csrow0_channel1`; what the firmware or an admin wrote has none of these words.
fn dimm_label(label: &str) -> String {
    label.replace('#', "").replace("csrow", "_csrow").replace("channel", "_channel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    fn tree() -> Tree {
        let files = [
            ("ce_count", "9\n"),
            ("ce_noinfo_count", "2\n"),
            ("ue_count", "3\n"),
            ("ue_noinfo_count", "4\n"),
            ("csrow0/ce_count", "5\n"),
            ("csrow0/ue_count", "6\n"),
            ("csrow0/ch0_ce_count", "7\n"),
            ("csrow0/ch0_dimm_label", "mc#0csrow#0channel#0\n"),
            ("csrow0/ch1_ce_count", "8\n"),
            ("csrow0/ch1_ue_count", "1\n"),
            ("dimm0/dimm_label", "A1\n"),
        ];
        let tree = Tree::new(&[("sys/devices/system/edac/mc/power/control", "auto\n")]);
        files.iter().for_each(|(file, text)| tree.write(&format!("sys/devices/system/edac/mc/mc0/{file}"), text));
        tree
    }

    const PAGE: &str = "\
node_edac_channel_correctable_errors_total{controller=\"0\",csrow=\"0\",channel=\"0\",dimm_label=\"mc0_csrow0_channel0\"} 7
node_edac_channel_correctable_errors_total{controller=\"0\",csrow=\"0\",channel=\"1\",dimm_label=\"unknown\"} 8
node_edac_channel_uncorrectable_errors_total{controller=\"0\",csrow=\"0\",channel=\"1\",dimm_label=\"unknown\"} 1
node_edac_correctable_errors_total{controller=\"0\"} 9
node_edac_csrow_correctable_errors_total{controller=\"0\",csrow=\"unknown\"} 2
node_edac_csrow_correctable_errors_total{controller=\"0\",csrow=\"0\"} 5
node_edac_csrow_uncorrectable_errors_total{controller=\"0\",csrow=\"unknown\"} 4
node_edac_csrow_uncorrectable_errors_total{controller=\"0\",csrow=\"0\"} 6
node_edac_uncorrectable_errors_total{controller=\"0\"} 3
";

    #[test]
    fn controllers_rows_and_channels() {
        tree().check(&SPEC, &[], PAGE);
    }

    #[test]
    fn a_count_that_does_not_read_costs_only_itself() {
        let tree = tree();
        tree.remove("sys/devices/system/edac/mc/mc0/ue_count");
        tree.write("sys/devices/system/edac/mc/mc0/csrow0/ue_count", "none\n");
        let keeps = |line: &&str| {
            !line.starts_with("node_edac_uncorrectable") && !line.ends_with("csrow=\"0\"} 6") && !line.is_empty()
        };
        let rest: String = PAGE.lines().filter(keeps).map(|line| format!("{line}\n")).collect();
        tree.check(&SPEC, &[], &format!("{rest}! malformed\n"));
    }

    #[test]
    fn machines_without_it() {
        Tree::new(&[]).check(&SPEC, &[], "");
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name: String) {
            numbered(&name, "mc");
            channel(&name);
            dimm_label(&name);
        }
    }
}
