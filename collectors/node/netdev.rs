//! `/proc/net/dev`: what each network interface has sent and received.
//!
//! The file is read rather than rtnetlink because it takes no RTNL lock: a dump of links waits for every interface that
//! is being made or removed, seconds on a busy Kubernetes node, and makes others wait. What the file lacks or sums up is
//! in `/sys/class/net/*/statistics/`, which takes no lock either, and is read when it can have changed. Counters that go
//! backwards (a driver was reset) are shown as the kernel shows them.
//!
//! The kernel takes 1.2 ms to print 1,000 interfaces, and what is in files of its own 25 ms more when they are new: it
//! runs apart from the others.

mod address;
mod families;
mod parts;
mod rows;
#[cfg(test)]
mod tests;

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family};
use crate::{Collector, Group, Pace, Spec};
use address::Addresses;
use families::{COLUMNS, DETAILED, FAMILIES, LABELS, RX_NOHANDLER};
use parts::GROUPS;
use rows::{Row, Rows};
use rustix::io::Errno;
use std::time::Duration;

/// After which time what seldom changes is read anew.
const SELDOM: Duration = Duration::from_secs(60);
/// Of how many interfaces it is read in one round, besides new ones.
const SELDOM_MAX: usize = 64;

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt {
            name: "device-include",
            kind: OptKind::Instead("device-exclude"),
            default: "",
            help: "Interfaces to report, all others are left out.",
        },
        Opt { name: "device-exclude", kind: OptKind::Regex, default: "", help: "Interfaces to leave out." },
        Opt {
            name: "address-info",
            kind: OptKind::Flag,
            default: "false",
            help: "Report the addresses of each interface; they are asked for once a minute and when interfaces come or go.",
        },
        Opt {
            name: "enable-detailed-metrics",
            kind: OptKind::Flag,
            default: "false",
            help: "Report each cause of errors and drops by itself; this changes names.",
        },
        Opt {
            name: "label-ifalias",
            kind: OptKind::Flag,
            default: "false",
            help: "Add the interface's alias as the label ifalias.",
        },
        Opt {
            name: "netlink",
            kind: OptKind::Flag,
            default: "true",
            help: "Report what rtnetlink has too; without it, only what /proc/net/dev has (neither is asked over rtnetlink).",
        },
    ],
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "netdev", "Traffic of network interfaces from /proc/net/dev.", FAMILIES, open)
};

struct Netdev {
    file: KeptFile,
    rows: Rows,
    filter: Option<Filter>,
    /// The families of the file's columns; `None` where a column is reported in parts.
    columns: [Option<&'static Family>; 16],
    extras: Extras,
    addresses: Option<Addresses>,
}

/// What is reported besides the columns.
#[derive(Clone, Copy)]
struct Extras {
    alias: bool,
    nohandler: bool,
    parts: bool,
}

fn open(_: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let is_given = |name| options.text(name).is_some();
    let (is_detailed, has_netlink) = (options.flag("enable-detailed-metrics"), options.flag("netlink"));
    let columns = match (is_detailed, has_netlink) {
        (false, _) => COLUMNS.map(Some),
        (true, false) => families::DETAILED_COLUMNS.map(Some),
        (true, true) => DETAILED,
    };
    Ok(Some(Box::new(Netdev {
        file: KeptFile::new(Root::Net, "dev").lines(),
        rows: Rows::default(),
        filter: (is_given("device-include") || is_given("device-exclude"))
            .then(|| options.filter("device-include", "device-exclude")),
        columns,
        extras: Extras {
            alias: options.flag("label-ifalias"),
            nohandler: has_netlink,
            parts: is_detailed && has_netlink,
        },
        addresses: options.flag("address-info").then(Addresses::default),
    })))
}

impl Collector for Netdev {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        self.read(host, out)?;
        let now = host.monotonic();
        let mut seldom = SELDOM_MAX;
        for row in self.rows.iter_mut().filter(|row| row.is_chosen) {
            let is_new = row.checked.is_none();
            if is_new || seldom > 0 && row.checked.is_some_and(|at| now >= at + SELDOM) {
                seldom -= usize::from(!is_new);
                row.checked = Some(now);
                check(row, self.extras, host, out);
            } else if row.nohandler.is_some_and(|count| count > 0) {
                row.nohandler = nohandler(&row.name, host, out);
            }
            let of = out.entity(LABELS, [&row.name, &row.alias]);
            for (family, figure) in self.columns.into_iter().zip(row.figures) {
                if let Some(family) = family {
                    out.put(family, of, figure);
                }
            }
            if self.extras.parts {
                for (group, last) in GROUPS.iter().zip(&mut row.parts) {
                    group.put(&row.name, row.figures[group.column], last, of, host, out);
                }
            }
            out.put_some(&RX_NOHANDLER, of, row.nohandler);
        }
        if let Some(addresses) = &mut self.addresses {
            let filter = &self.filter;
            addresses.put(self.rows.have_changed(), |name| filter.as_ref().is_none_or(|f| f.keeps(name)), host, out);
        }
        Ok(())
    }
}

impl Netdev {
    /// Takes in the file.
    fn read(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        self.rows.begin();
        for (number, line) in (1..).zip(parse::lines(text)) {
            if is_heading(line) {
                continue;
            }
            let Some((device, figures)) = counters(line) else {
                out.fault(Error::malformed("/proc/net/dev", number, "a name, a colon and sixteen numbers"));
                continue;
            };
            let filter = &self.filter;
            let is_chosen = |name: &str| filter.as_ref().is_none_or(|filter| filter.keeps(name));
            self.rows.next(device, is_chosen).figures = figures;
        }
        self.rows.end();
        Ok(())
    }
}

/// Reads what seldom changes.
fn check(row: &mut Row, extras: Extras, host: &mut Host, out: &mut Batch) {
    if extras.nohandler {
        row.nohandler = nohandler(&row.name, host, out);
    }
    if extras.alias {
        let alias = host.text(Root::Sys, format_args!("class/net/{}/ifalias", row.name));
        row.alias = attribute(alias, out).unwrap_or_default();
    }
}

/// Packets that came to an idle port of a bond or team: of other interfaces the count stays 0, so it is read each round
/// only where it is not.
fn nohandler(device: &str, host: &mut Host, out: &mut Batch) -> Option<u64> {
    attribute(host.number(Root::Sys, format_args!("class/net/{device}/statistics/rx_nohandler")), out)
}

/// An attribute that is there, or a fault. Older kernels lack some; EINVAL says that the interface is being removed.
fn attribute<T>(result: Result<T, Error>, out: &mut Batch) -> Option<T> {
    match result {
        Err(error) if error.is_absent() || matches!(error, Error::Gone { .. }) => None,
        Err(Error::Io { errno: Errno::INVAL, .. }) => None,
        result => out.ok(result),
    }
}

/// ` face |bytes    packets errs drop fifo frame compressed multicast|bytes …`: one of the two lines at the top.
fn is_heading(line: &[u8]) -> bool {
    line.starts_with(b"Inter-|") || line.starts_with(b" face |")
}

/// `  eth0: 79380542 2854 0 0 0 0 0 0 269248 2180 0 0 0 0 0 0`: the name and the numbers.
///
/// Only the last colon ends the name: `eth0:1` is one. Old kernels print no blank behind it.
fn counters(line: &[u8]) -> Option<(&[u8], [u64; 16])> {
    let colon = line.iter().rposition(|&byte| byte == b':')?;
    let (name, rest) = line.split_at(colon);
    let name = name.trim_ascii_start();
    if name.is_empty() {
        return None;
    }
    let mut words = parse::words(rest.get(1..)?).map(parse::number);
    let mut figures = [0; 16];
    for figure in &mut figures {
        *figure = words.next()??;
    }
    Some((name, figures))
}
