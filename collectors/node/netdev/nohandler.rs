//! `/sys/class/net/*/statistics/rx_nohandler`: the one counter of an interface that `/proc/net/dev` lacks.
//!
//! It counts on the idle ports of a bond, so it matters for the interfaces that were there first, and their files are
//! kept open. Those beyond, a thousand of containers, are read when they come and then some in each round, in turns.

use crate::kit::{Error, Host, KeptFile, Root, parse};
use crate::model::{Batch, Entity, Family, counter};
use rustix::io::Errno;

pub(super) static NOHANDLER: Family = counter(
    "node_network_receive_nohandler_total",
    "Packets received by an interface that takes none, such as the idle port of a bond.",
    super::DEVICE,
);

/// Of how many interfaces the file is kept open.
const KEPT_MAX: usize = 64;
/// How many others are read in a round.
const TURN: usize = 8;

/// The interfaces, in the order of `/proc/net/dev`.
#[derive(Default)]
pub(super) struct Nohandler {
    devices: Vec<Device>,
    seen: usize,
    turn: usize,
}

struct Device {
    name: Box<str>,
    of: Entity,
    file: Option<KeptFile>,
    count: Option<u64>,
    is_new: bool,
}

impl Nohandler {
    /// An interface of this round.
    pub(super) fn see(&mut self, name: &str, of: Entity) {
        let at = self.seen;
        self.seen += 1;
        // Mostly it is the next one. Those that are gone drift to the end.
        let known = self.devices.iter().skip(at).position(|device| *device.name == *name);
        match known {
            Some(further) => self.devices.swap(at, at + further),
            None => {
                let device = Device { name: name.into(), of, file: None, count: None, is_new: true };
                self.devices.push(device);
                let last = self.devices.len() - 1;
                self.devices.swap(at, last);
            }
        }
        if let Some(device) = self.devices.get_mut(at) {
            device.of = of;
        }
    }

    /// Reads what is due, and puts all that is known of the interfaces of this round.
    pub(super) fn put(&mut self, host: &mut Host, out: &mut Batch) {
        self.devices.truncate(self.seen);
        let first = if self.turn < self.seen { self.turn } else { 0 };
        let turn = first..first + TURN;
        (self.turn, self.seen) = (turn.end, 0);
        let mut kept = self.devices.iter().filter(|device| device.file.is_some()).count();
        for (at, device) in self.devices.iter_mut().enumerate() {
            let path = format_args!("class/net/{}/statistics/rx_nohandler", device.name);
            if device.is_new && kept < KEPT_MAX {
                kept += 1;
                device.file = Some(KeptFile::new(Root::Sys, path.to_string()));
            }
            let text = match &mut device.file {
                Some(file) => Some(host.read_kept(file)),
                None if device.is_new || turn.contains(&at) => Some(host.read(Root::Sys, path)),
                None => None,
            };
            if let Some(text) = text {
                device.count = count(text, &device.name, out);
            }
            device.is_new = false;
            out.put_some(&NOHANDLER, device.of, device.count);
        }
    }
}

/// The count; nothing, without a fault, on Linux before 4.6, or if the interface is gone.
fn count(text: Result<&[u8], Error>, device: &str, out: &mut Batch) -> Option<u64> {
    let text = match text {
        Err(Error::Absent { .. } | Error::Gone { .. } | Error::Io { errno: Errno::INVAL, .. }) => return None,
        text => out.ok(text)?,
    };
    let count = parse::number(parse::trim(text));
    if count.is_none() {
        let path = format!("/sys/class/net/{device}/statistics/rx_nohandler");
        out.fault(Error::malformed(&path, 1, "a whole number"));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::{DEVICE, SPEC};
    use super::*;
    use crate::kit::testing::Tree;

    fn write(tree: &Tree, devices: &[&str]) {
        let lines: String =
            devices.iter().map(|name| format!("{name}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")).collect();
        tree.write("proc/net/dev", &lines);
    }

    fn set(tree: &Tree, device: &str, text: &str) {
        tree.write(&format!("sys/class/net/{device}/statistics/rx_nohandler"), text);
    }

    fn said(round: &str) -> Vec<String> {
        let wanted = |line: &&str| line.contains("nohandler") || line.starts_with('!');
        round.lines().filter(wanted).map(|line| line.replace("node_network_receive_nohandler_total", "")).collect()
    }

    #[test]
    fn interfaces_come_and_go() {
        let tree = Tree::new(&[]);
        write(&tree, &["lo", "eth0", "eth1"]);
        set(&tree, "lo", "0\n");
        set(&tree, "eth1", "7\n");
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(said(&opened.round()), ["{device=\"lo\"} 0", "{device=\"eth1\"} 7"]);
        write(&tree, &["lo", "eth1", "eth2"]);
        set(&tree, "eth1", "8\n");
        set(&tree, "eth2", "x\n");
        assert_eq!(said(&opened.round()), ["{device=\"lo\"} 0", "{device=\"eth1\"} 8", "! malformed"]);
        let only = tree.open(&SPEC, &[("device-include", "^lo$")]).round();
        assert_eq!(said(&only), ["{device=\"lo\"} 0"]);
    }

    #[test]
    fn those_beyond_take_turns() {
        let tree = Tree::new(&[]);
        let names: Vec<String> = (0..KEPT_MAX + TURN + 2).map(|n| format!("veth{n}")).collect();
        names.iter().for_each(|name| set(&tree, name, "1\n"));
        let (mut host, mut nohandler) = (tree.host(), Nohandler::default());
        let mut round = || {
            let mut out = Batch::new(1000);
            for name in &names {
                let of = out.entity(DEVICE, [name]);
                nohandler.see(name, of);
            }
            nohandler.put(&mut host, &mut out);
            out.columns()[0].samples.iter().map(|sample| sample.value.as_f64().unwrap()).sum::<f64>() as usize
        };
        assert_eq!(round(), names.len());
        names.iter().for_each(|name| set(&tree, name, "2\n"));
        assert!(round() < 2 * names.len());
        (0..names.len() / TURN + 1).for_each(|_| assert!(round() > 0));
        assert_eq!(round(), 2 * names.len());
    }
}
