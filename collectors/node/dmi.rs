//! `/sys/class/dmi/id/`: what the firmware calls the machine, its board and its case.
//!
//! Nothing of it changes while the machine runs, so it is read once. Serial numbers are for root only; without the right
//! to read them, the others are told.

use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Spec};

const FOLDER: &str = "class/dmi/id";
/// How long a value may be. The firmware's own limit is the file's: a page.
const VALUE_MAX: usize = 4096;

const LABELS: &[&str; 20] = &[
    "bios_date",
    "bios_release",
    "bios_vendor",
    "bios_version",
    "board_asset_tag",
    "board_name",
    "board_serial",
    "board_vendor",
    "board_version",
    "chassis_asset_tag",
    "chassis_serial",
    "chassis_vendor",
    "chassis_version",
    "product_family",
    "product_name",
    "product_serial",
    "product_sku",
    "product_uuid",
    "product_version",
    "system_vendor",
];

static INFO: Family =
    gauge("node_dmi_info", "What the firmware calls the machine and its parts, as far as it tells; always 1.", LABELS);

/// Its row in the table.
pub static SPEC: Spec =
    Spec::new(Group::Node, "dmi", "Maker, model and serial numbers, from /sys/class/dmi/id.", &[&INFO], open);

struct Dmi(Option<[Option<String>; LABELS.len()]>);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    // The folder may hold what is none of these only: the kind of case, say.
    let is_there = LABELS.iter().any(|label| host.exists(Root::Sys, format_args!("{FOLDER}/{}", file(label))));
    Ok(if is_there { Some(Box::new(Dmi(None))) } else { None })
}

impl Collector for Dmi {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let values = self.0.get_or_insert_with(|| LABELS.map(|label| read(label, host, out)));
        if values.iter().any(Option::is_some) {
            let of = out.entity(LABELS, values.each_ref().map(|value| value.as_deref().unwrap_or_default()));
            out.put(&INFO, of, 1u64);
        }
        Ok(())
    }
}

/// The value of a label; `None` where there is none for us.
fn read(label: &str, host: &mut Host, out: &mut Batch) -> Option<String> {
    match host.read(Root::Sys, format_args!("{FOLDER}/{}", file(label))) {
        Err(Error::Absent { .. } | Error::Denied { .. }) => None,
        bytes => out.ok(bytes.map(text)),
    }
}

fn file(label: &str) -> &str {
    if label == "system_vendor" { "sys_vendor" } else { label }
}

/// `Dell Inc.`: without the blanks around it. Bytes that are no text, as in fields that were never written, become one
/// mark for all in a row.
fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut is_marked = false;
    for chunk in bytes.get(..VALUE_MAX).unwrap_or(bytes).utf8_chunks() {
        text.push_str(chunk.valid());
        is_marked &= chunk.valid().is_empty();
        if !chunk.invalid().is_empty() && !is_marked {
            text.push(char::REPLACEMENT_CHARACTER);
            is_marked = true;
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    #[test]
    fn what_can_be_read_is_told() {
        let tree = Tree::new(&[
            ("sys/class/dmi/id/sys_vendor", "Dell Inc.\n"),
            ("sys/class/dmi/id/product_name", "PowerEdge R750 \n"),
            ("sys/class/dmi/id/chassis_asset_tag", " \n"),
            ("sys/class/dmi/id/chassis_type", "23\n"),
            ("calls/errno", "sys/class/dmi/id/product_serial EACCES\n"),
        ]);
        let page = "node_dmi_info{product_name=\"PowerEdge R750\",system_vendor=\"Dell Inc.\"} 1\n";
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), page);
        tree.remove("sys/class/dmi/id/sys_vendor");
        assert_eq!(opened.round(), page);
    }

    #[test]
    fn one_that_fails_costs_only_itself() {
        let files =
            [("sys/class/dmi/id/bios_date", "04/12/2024\n"), ("calls/errno", "sys/class/dmi/id/bios_release EIO\n")];
        Tree::new(&files).check(&SPEC, &[], "node_dmi_info{bios_date=\"04/12/2024\"} 1\n! io\n");
    }

    #[test]
    fn a_machine_without_it_says_nothing() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/dmi/id/chassis_type", "3\n")]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/dmi/id/board_name", "\n")]).check(&SPEC, &[], "node_dmi_info 1\n");
    }

    #[test]
    fn bytes_in_a_row_that_are_no_text_are_one_mark() {
        assert_eq!(text(b"\xff\xff\xffa\xff\xfe b\xff\n"), "\u{fffd}a\u{fffd} b\u{fffd}");
        assert_eq!(text(b"\x0b a \xc2\xa0"), "a");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            text(&bytes);
        }
    }
}
