//! `/proc/self/mountstats`: what each NFS mount has done, by operation and by connection.
//!
//! The address of the server is only in `/proc/self/mountinfo`. A filesystem that is mounted several times is told once,
//! with each of its mount points. What a protocol does not count is left out: UDP has no connections, RDMA no queues. It
//! is off by default: an NFS mount of version 4 is some 600 series.

mod families;

use crate::kit::{Error, Host, Options, Root, parse};
use crate::model::{Batch, Entity, Family, Value};
use crate::{Collector, Group, Pace, Spec};
use families::{
    AGE, ALL, BYTES, EVENTS, MOUNT, MOUNTPOINT, MOUNTPOINT_LABELS, OPERATION, OPERATIONS, TRANSPORT, TRANSPORTS,
};
use std::collections::HashSet;
use std::time::Duration;

const FILE: &str = "/proc/self/mountstats";

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "mountstats", "Operations of NFS mounts, from /proc/self/mountstats.", ALL, open)
};

struct Mountstats;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(if host.exists(Root::Proc, "self/mountstats") { Some(Box::new(Mountstats)) } else { None })
}

impl Collector for Mountstats {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let addresses = out.ok(host.read(Root::Proc, "self/mountinfo")).map(addresses).unwrap_or_default();
        let mut told = Told { addresses, filesystems: HashSet::new(), mount_points: HashSet::new() };
        let text = host.read(Root::Proc, "self/mountstats")?;
        let mut current: Option<Mount> = None;
        for (number, line) in (1..).zip(parse::lines(text)) {
            if line.starts_with(b"device ") || line.starts_with(b"no device ") {
                if let Some(mount) = current.take() {
                    mount.put(&mut told, out);
                }
                current = Mount::new(line);
            } else if let Some(mount) = &mut current
                && !mount.line(line)
            {
                out.fault(Error::malformed(FILE, number, "numbers of an NFS mount"));
            }
        }
        if let Some(mount) = current {
            mount.put(&mut told, out);
        }
        Ok(())
    }
}

/// What was told in this round, and the addresses that are still to be told.
struct Told {
    addresses: Vec<Address>,
    filesystems: HashSet<[String; 3]>,
    mount_points: HashSet<[String; 4]>,
}

/// The address of a server, as `/proc/self/mountinfo` tells it.
#[derive(Debug, PartialEq)]
struct Address {
    export: Vec<u8>,
    mount_point: Vec<u8>,
    kind: Vec<u8>,
    address: String,
}

/// The NFS mounts of `/proc/self/mountinfo`, which has them in the same order.
fn addresses(text: &[u8]) -> Vec<Address> {
    parse::lines(text).filter_map(address).collect()
}

/// `194 21 0:42 / /mnt rw shared:144 - nfs4 10.0.0.1:/srv rw,vers=4.2,addr=10.0.0.1`
fn address(line: &[u8]) -> Option<Address> {
    let mut words = parse::words(line);
    let mount_point = words.nth(4)?;
    let kind = words.by_ref().skip_while(|word| *word != b"-").nth(1).filter(|kind| kind.starts_with(b"nfs"))?;
    let (export, options) = (words.next()?, words.next()?);
    let address = options.split(|&byte| byte == b',').find_map(|option| option.strip_prefix(b"addr="));
    Some(Address {
        export: export.to_owned(),
        mount_point: mount_point.to_owned(),
        kind: kind.to_owned(),
        address: parse::text(address.unwrap_or_default()).into_owned(),
    })
}

/// The lines of one NFS mount.
struct Mount<'a> {
    export: &'a [u8],
    mount_point: &'a [u8],
    kind: &'a [u8],
    age: Option<u64>,
    bytes: Numbers<8>,
    events: Numbers<27>,
    transports: Vec<(&'a [u8], Numbers<13>)>,
    operations: Vec<(&'a [u8], Numbers<8>)>,
    /// Whether what follows are operations.
    is_in_operations: bool,
}

type Numbers<const N: usize> = [Option<u64>; N];

/// As many numbers as there are; fewer than there should be if one does not read, or the line ends.
fn numbers<'a, const N: usize>(words: impl Iterator<Item = &'a [u8]>) -> Numbers<N> {
    let mut numbers = [None; N];
    for (number, word) in numbers.iter_mut().zip(words) {
        *number = parse::number(word);
    }
    numbers
}

impl<'a> Mount<'a> {
    /// `device 10.0.0.1:/srv mounted on /mnt with fstype nfs4 statvers=1.1`; all others have no numbers.
    fn new(line: &'a [u8]) -> Option<Self> {
        let mut words = parse::words(line);
        let export = words.nth(1)?;
        let mount_point = words.nth(2)?;
        let kind = words.nth(2).filter(|kind| *kind == b"nfs" || *kind == b"nfs4")?;
        words.next().filter(|word| word.starts_with(b"statvers="))?;
        Some(Self {
            export,
            mount_point,
            kind,
            age: None,
            bytes: [None; 8],
            events: [None; 27],
            transports: Vec::new(),
            operations: Vec::new(),
            is_in_operations: false,
        })
    }

    /// One of the lines below; whether it reads as it should.
    fn line(&mut self, line: &'a [u8]) -> bool {
        let mut words = parse::words(line);
        let Some(word) = words.next() else { return true };
        if self.is_in_operations {
            let numbers = numbers(words);
            let is_whole = numbers.iter().all(Option::is_some);
            self.operations.push((word.strip_suffix(b":").unwrap_or(word), numbers));
            return is_whole;
        }
        match word {
            b"age:" => {
                self.age = words.next().and_then(parse::number);
                self.age.is_some()
            }
            b"bytes:" => {
                self.bytes = numbers(words);
                self.bytes.iter().all(Option::is_some)
            }
            b"events:" => {
                self.events = numbers(words);
                // The last two came with pNFS.
                self.events.iter().take(25).all(Option::is_some)
            }
            b"xprt:" => {
                let Some(protocol) = words.next() else { return false };
                let numbers = transport(protocol, words);
                self.transports.push((protocol, numbers));
                numbers.iter().any(Option::is_some)
            }
            b"per-op" => {
                self.is_in_operations = true;
                true
            }
            _ => true,
        }
    }

    fn put(&self, told: &mut Told, out: &mut Batch) {
        let is_it = |address: &Address| {
            address.export == self.export && address.mount_point == self.mount_point && address.kind == self.kind
        };
        let address = told.addresses.iter().position(is_it).map(|at| told.addresses.remove(at).address);
        let (address, export) = (address.unwrap_or_default(), parse::text(self.export).into_owned());
        let mount_point = parse::text(self.mount_point).into_owned();
        for (protocol, _) in &self.transports {
            let protocol = parse::text(protocol).into_owned();
            let here = [export.clone(), address.clone(), mount_point.clone(), protocol.clone()];
            let of = out.entity(MOUNTPOINT_LABELS, [&export, &address, &mount_point, &protocol]);
            if told.mount_points.insert(here) {
                out.put(&MOUNTPOINT, of, 1u64);
            }
            // Several connections are told together.
            if !told.filesystems.insert([export.clone(), address.clone(), protocol.clone()]) {
                break;
            }
            self.figures([&export, &address, &protocol], out);
        }
    }

    fn figures(&self, [export, address, protocol]: [&str; 3], out: &mut Batch) {
        let of = out.entity(MOUNT, [export, address, protocol]);
        out.put_some(&AGE, of, self.age);
        columns(&BYTES, &self.bytes, of, out);
        columns(&EVENTS, &self.events, of, out);
        for (number, (_, numbers)) in self.transports.iter().enumerate() {
            let of = out.entity(TRANSPORT, [export, address, protocol, &number.to_string()]);
            columns(&TRANSPORTS, numbers, of, out);
        }
        for (operation, numbers) in &self.operations {
            let of = out.entity(OPERATION, [export, address, &parse::text(operation), protocol]);
            for ((family, decimals), number) in OPERATIONS.iter().zip(numbers) {
                let value = number.map(|number| value(number, *decimals));
                out.put_some(*family, of, value);
            }
        }
    }
}

/// `tcp 832 0 1 0 11 6428 6428 0 12154 0 24 26 5726`: the numbers in the columns of TCP.
///
/// The last three came with version 1.1 of these statistics. RDMA has others in their place.
fn transport<'a>(protocol: &[u8], words: impl Iterator<Item = &'a [u8]>) -> Numbers<13> {
    let mut numbers = numbers(words);
    match protocol {
        b"tcp" => {}
        b"rdma" => numbers[10..].fill(None),
        b"udp" => {
            numbers.copy_within(2..10, 5);
            numbers[2..5].fill(None);
        }
        _ => numbers.fill(None),
    }
    numbers
}

fn columns<const N: usize>(families: &[Option<&'static Family>; N], numbers: &Numbers<N>, of: Entity, out: &mut Batch) {
    for (family, number) in families.iter().zip(numbers) {
        if let Some(family) = family {
            out.put_some(*family, of, *number);
        }
    }
}

/// Some kernels let times run below zero; what is shown then is what is left of them in 53 bits, as in node_exporter.
fn value(number: u64, decimals: u8) -> Value {
    const BITS: u64 = (1 << 53) - 1;
    match decimals {
        0 => number.into(),
        decimals => Value::Scaled((number & BITS) as i64, decimals),
    }
}

#[cfg(test)]
mod tests;
