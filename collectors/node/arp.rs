//! `/proc/net/arp`: how many neighbours of IPv4 are known on each interface.
//!
//! Entries count whatever their state, those that failed too: a full table is what one wants to see coming. Addresses that
//! this machine answers for in the name of others (proxy entries, published) are no neighbours.

use crate::kit::{Error, Filter, Host, KeptFile, Opt, OptKind, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::BTreeMap;
use std::time::Duration;

static ENTRIES: Family = gauge("node_arp_entries", "Neighbours of IPv4 that are known on the interface.", &["device"]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    options: &[
        Opt {
            name: "device-include",
            kind: OptKind::Regex,
            default: "",
            help: "Interfaces to report, all others are left out.",
        },
        Opt { name: "device-exclude", kind: OptKind::Regex, default: "", help: "Interfaces to leave out." },
    ],
    // Up to thousands of lines, and the kernel holds the table's lock while it prints some.
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "arp", "Neighbours on each interface, from /proc/net/arp.", &[&ENTRIES], open)
};

struct Arp {
    file: KeptFile,
    filter: Filter,
    devices: BTreeMap<Box<[u8]>, Device>,
}

struct Device {
    entries: u64,
    is_kept: bool,
}

fn open(host: &mut Host, options: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !host.exists(Root::Net, "arp") {
        return Ok(None);
    }
    let filter = options.filter("device-include", "device-exclude");
    let file = KeptFile::new(Root::Net, "arp").lines();
    Ok(Some(Box::new(Arp { file, filter, devices: BTreeMap::new() })))
}

impl Collector for Arp {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        self.devices.values_mut().for_each(|device| device.entries = 0);
        for (line, number) in parse::lines(text).zip(1..) {
            match entry(line) {
                Entry::Neighbour(device) => self.count(device),
                Entry::Other => (),
                Entry::Malformed => {
                    out.fault(Error::malformed("/proc/net/arp", number, "six columns, the third hexadecimal"));
                }
            }
        }
        self.devices.retain(|_, device| device.entries > 0);
        for (name, device) in self.devices.iter().filter(|(_, device)| device.is_kept) {
            let of = out.entity(&["device"], [&parse::text(name)]);
            out.put(&ENTRIES, of, device.entries);
        }
        Ok(())
    }
}

impl Arp {
    fn count(&mut self, name: &[u8]) {
        match self.devices.get_mut(name) {
            Some(device) => device.entries += 1,
            None => {
                let is_kept = self.filter.keeps(&parse::text(name));
                self.devices.insert(name.into(), Device { entries: 1, is_kept });
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Entry<'a> {
    /// A neighbour on this interface.
    Neighbour(&'a [u8]),
    /// The heading, or an address that is answered for.
    Other,
    Malformed,
}

/// `10.0.2.2  0x1  0x2  52:55:0a:00:02:02  *  eth0`: address, hardware, flags, its address, mask, interface.
fn entry(line: &[u8]) -> Entry<'_> {
    /// `ATF_PUBL`
    const PUBLISHED: u64 = 0x08;
    if line.starts_with(b"IP address") {
        return Entry::Other;
    }
    let mut words = parse::words(line);
    match (words.nth(2).and_then(parse::hex), words.nth(2)) {
        (Some(flags), Some(_)) if flags & PUBLISHED != 0 => Entry::Other,
        (Some(_), Some(device)) => Entry::Neighbour(device),
        _ => Entry::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const TABLE: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
10.0.2.2         0x1         0x2         52:55:0a:00:02:02     *        eth0
10.0.2.3         0x1         0x0         00:00:00:00:00:00     *        eth0
10.0.2.9         0x1         0x6         52:55:0a:00:02:09     *        eth0
10.0.2.77        0x1         0xc         00:00:00:00:00:00     *        eth0
10.1.0.5         0x1         0x2         0a:58:0a:01:00:05     *        cni0
10.9.0.1         0x20        0x2         80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:11:22:33     *        ib0
";

    #[test]
    fn neighbours_of_each_interface() {
        let tree = Tree::new(&[("proc/net/arp", TABLE)]);
        let [cni, eth, ib] = [("cni0", 1), ("eth0", 3), ("ib0", 1)]
            .map(|(device, entries)| format!("node_arp_entries{{device=\"{device}\"}} {entries}\n"));
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), format!("{cni}{eth}{ib}"));
        assert_eq!(opened.round(), format!("{cni}{eth}{ib}"));
        assert_eq!(tree.open(&SPEC, &[("device-exclude", "^(cni|ib)")]).round(), eth);
        let mut only = tree.open(&SPEC, &[("device-include", "cni0")]);
        assert_eq!(only.round(), cni);
        assert_eq!(tree.open(&SPEC, &[("device-include", "0$"), ("device-exclude", "^(cni|ib)")]).round(), eth);
        tree.write("proc/net/arp", &TABLE[..TABLE.find("10.1").unwrap()]);
        assert_eq!(opened.round(), eth);
        assert_eq!(only.round(), "");
    }

    #[test]
    fn a_bad_line_costs_only_itself() {
        let text = "10.0.2.2 0x1 2y 52:55:0a:00:02:02 * eth0\n\n1.2.3.4 0x1 0x2 52:55:0a:00:02:02 * \n1.2.3.4 0x1 0x2 ab * a\n9";
        let expected = format!("node_arp_entries{{device=\"a\"}} 1\n{}", "! malformed\n".repeat(3));
        Tree::new(&[("proc/net/arp", text)]).check(&SPEC, &[], &expected);
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            entry(&bytes);
        }
    }
}
