//! `/sys/class/scsi_tape/st*/stats/`: what tape drives have read and written. The other names of a drive (`nst0`, `st0a`)
//! count the same.

use crate::kit::attribute::{self, Attribute, families};
use crate::kit::{Error, Filter, Host, Opt, OptKind, Options, Root};
use crate::model::{Batch, Family};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const FOLDER: &str = "class/scsi_tape";
const DEVICE: &[&str; 1] = &["device"];
/// What the kernel counts time in: 10^-9 s.
const NANOSECONDS: u8 = 9;

const fn of(file: &'static str, name: &'static str, help: &'static str) -> Attribute {
    Attribute::counter(file, name, help, DEVICE)
}

static STATS: [Attribute; 10] = [
    Attribute::gauge("in_flight", "node_tape_io_now", "Requests that the drive has not answered yet.", DEVICE),
    of("io_ns", "node_tape_io_time_seconds_total", "Time that requests of any kind took, in seconds.")
        .scaled(NANOSECONDS),
    of("other_cnt", "node_tape_io_others_total", "Requests that neither read nor wrote, such as rewinding."),
    of("read_byte_cnt", "node_tape_read_bytes_total", "Bytes read."),
    of("read_cnt", "node_tape_reads_completed_total", "Requests to read."),
    of("read_ns", "node_tape_read_time_seconds_total", "Time that requests to read took, in seconds.")
        .scaled(NANOSECONDS),
    of("resid_cnt", "node_tape_residual_total", "Requests of which less was read or written than was asked for."),
    of("write_byte_cnt", "node_tape_written_bytes_total", "Bytes written."),
    of("write_cnt", "node_tape_writes_completed_total", "Requests to write."),
    of("write_ns", "node_tape_write_time_seconds_total", "Time that requests to write took, in seconds.")
        .scaled(NANOSECONDS),
];
static FAMILIES: [&Family; 10] = families(&STATS, []);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[Opt { name: "ignored-devices", kind: OptKind::Regex, default: "^$", help: "Drives to leave out." }],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "tapestats", "Tape drives from /sys/class/scsi_tape.", &FAMILIES, open)
};

struct Tapestats {
    drives: Filter,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let drives = options.filter("", "ignored-devices");
    Ok(host.exists(Root::Sys, FOLDER).then(|| Box::new(Tapestats { drives }) as Box<dyn Collector>))
}

impl Collector for Tapestats {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for device in host.devices(Root::Sys, FOLDER, is_drive)? {
            if self.drives.keeps(&device) {
                let of = out.entity(DEVICE, [&device]);
                attribute::put(&STATS, &format!("{FOLDER}/{device}/stats"), of, host, out);
            }
        }
        Ok(())
    }
}

/// `st0`, but none of its other names.
fn is_drive(name: &str) -> bool {
    let number = name.strip_prefix("st").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn each_drive_once() {
        let files = [("in_flight", "1\n"), ("io_ns", "9247011087720\n"), ("read_cnt", "x\n"), ("write_cnt", "5\n")];
        let tree = Tree::new(&[("sys/class/scsi_tape/st1/dev", "9:1\n")]);
        for device in ["st0", "nst0", "st0a", "st"] {
            for (file, text) in files {
                tree.write(&format!("sys/class/scsi_tape/{device}/stats/{file}"), text);
            }
        }
        let expected = "node_tape_io_now{device=\"st0\"} 1\n\
                        node_tape_io_time_seconds_total{device=\"st0\"} 9247.01108772\n\
                        node_tape_writes_completed_total{device=\"st0\"} 5\n! malformed\n";
        tree.check(&SPEC, &[], expected);
        tree.check(&SPEC, &[("ignored-devices", "^st0$")], "");
    }

    #[test]
    fn machines_without_any() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
        Tree::new(&[("sys/class/scsi_tape/", "")]).check(&SPEC, &[], "");
    }
}
