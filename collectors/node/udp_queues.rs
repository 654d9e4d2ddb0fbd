//! `/proc/net/{udp,udp6}`: the bytes that wait in the queues of all UDP sockets, to be read or to be sent.

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

const LABELS: &[&str; 2] = &["ip", "queue"];

static QUEUES: Family = gauge(
    "node_udp_queues",
    "Memory of packets that wait in UDP sockets, in bytes: rx to be read, tx to be sent.",
    LABELS,
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    // A line for each socket, of which there may be tens of thousands.
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "udp_queues", "Bytes in the queues of UDP sockets.", &[&QUEUES], open)
};

struct UdpQueues([(KeptFile, &'static str, &'static str); 2]);

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let files = [("udp", "v4"), ("udp6", "v6")];
    if !files.iter().any(|(path, _)| host.exists(Root::Net, path)) {
        return Ok(None);
    }
    let files = files.map(|(path, ip)| (KeptFile::new(Root::Net, path).lines(), path, ip));
    Ok(Some(Box::new(UdpQueues(files))))
}

impl Collector for UdpQueues {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        for (file, path, ip) in &mut self.0 {
            let text = match host.read_kept(file) {
                // Without IPv6, or without IPv4, there is no such file.
                Err(error) if error.is_absent() => continue,
                result => out.ok(result),
            };
            let Some(text) = text else { continue };
            let sums = sums(text, |line| {
                out.fault(Error::malformed(&format!("/proc/net/{path}"), line, "two hexadecimal numbers in column 5"));
            });
            for (queue, sum) in ["tx", "rx"].into_iter().zip(sums) {
                let of = out.entity(LABELS, [ip, queue]);
                out.put(&QUEUES, of, sum);
            }
        }
        Ok(())
    }
}

/// The sums of both queues, to be sent and to be read, over all lines but the heading.
fn sums(text: &[u8], mut bad_line: impl FnMut(u32)) -> [u64; 2] {
    let mut sums: [u64; 2] = [0, 0];
    for (line, number) in parse::lines(text).zip(1..).skip(1) {
        match queues(line) {
            Some(bytes) => sums.iter_mut().zip(bytes).for_each(|(sum, bytes)| *sum = sum.saturating_add(bytes)),
            None => bad_line(number),
        }
    }
    sums
}

/// `  35: 00000000:0044 00000000:0000 07 00000000:00000015 00:00000000 …`: bytes to be sent, bytes to be read.
fn queues(line: &[u8]) -> Option<[u64; 2]> {
    let word = parse::words(line).nth(4)?;
    let (sent, read) = word.split_at(word.iter().position(|&byte| byte == b':')?);
    Some([parse::hex(sent)?, parse::hex(read.get(1..)?)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const HEADING: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout \
                           inode ref pointer drops\n";
    const V4: &str = "\
  101: 00000000:0044 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 14218 2 00000000b1c9d2e1 0
 1411: 0100007F:0143 00000000:0000 07 00000015:00000001 00:00000000 00000000   101        0 20334 2 00000000d2f10c3a 7\n";
    const V6: &str = "\
  101: 000080FE00000000FF565450341200FE:0222 00000000000000000000000000000000:0000 07 00000000:FFFFFFFF 00:00000000 \
00000000   998        0 20991 2 0000000055aa10b2 0\n";

    fn page(ip: &str, tx: u64, rx: u64) -> String {
        format!("node_udp_queues{{ip=\"{ip}\",queue=\"tx\"}} {tx}\nnode_udp_queues{{ip=\"{ip}\",queue=\"rx\"}} {rx}\n")
    }

    #[test]
    fn sums_over_the_sockets() {
        let (v4, v6) = (format!("{HEADING}{V4}"), format!("{HEADING}{V6}"));
        let tree = Tree::new(&[("proc/net/udp", &v4), ("proc/net/udp6", &v6)]);
        tree.check(&SPEC, &[], &(page("v4", 0x15, 0x301) + &page("v6", 0, 0xffff_ffff)));
        tree.remove("proc/net/udp6");
        tree.check(&SPEC, &[], &page("v4", 0x15, 0x301));
        tree.remove("proc/net/udp");
        tree.check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn a_machine_without_sockets_has_empty_queues_and_a_bad_line_counts_for_nothing() {
        Tree::new(&[("proc/net/udp", HEADING)]).check(&SPEC, &[], &page("v4", 0, 0));
        let text = format!("{HEADING}1: 0:0 0:0 07 1\n1: 0:0 0:0 07 x:1\n1: 0:0 0:0 07 2:3\n1: 0:0 0:0 07 9:9");
        let tree = Tree::new(&[("proc/net/udp", &text), ("proc/net/udp6", ""), ("calls/errno", "proc/net/udp6 EIO\n")]);
        tree.check(&SPEC, &[], &format!("{}! io\n! malformed\n! malformed\n", page("v4", 2, 3)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            queues(&bytes);
            sums(&bytes, |_| ());
        }
    }
}
