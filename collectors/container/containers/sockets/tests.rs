use super::super::SPEC;
use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const ASKED: &[(&str, &str)] = &[("levels", "containers"), ("families", "container_network_(tcp|udp|adv).*")];

fn tcp(states: &[&str]) -> String {
    let row = |state: &&str| {
        format!("   0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 1\n")
    };
    format!("{HEAD}{}", states.iter().map(row).collect::<String>())
}

fn tree() -> Tree {
    let tree = Tree::new(&[
        ("calls/clock", "wall 1700000000\nboot 10\n"),
        ("cgroup/cgroup.controllers", "\n"),
        (&format!("cgroup/docker/{ID}/cgroup.procs"), "10\n"),
        ("proc/1/net/dev", ""),
        ("proc/10/cgroup", &format!("0::/docker/{ID}\n")),
        ("proc/10/net/dev", ""),
        ("proc/10/net/tcp", &tcp(&["0A", "01", "01", "06", "0B", "0C", "0D", "00", "x"])),
        ("proc/10/net/tcp6", &tcp(&["0A"])),
        ("proc/10/net/snmp", "Ip: A\nIp: 1\nTcp: RtoAlgorithm MaxConn RetransSegs\nTcp: 1 -1 18446744073709551615\n"),
        ("proc/10/net/netstat", "TcpExt: TW TCPTimeouts\nTcpExt: 4 x\nIpExt: A\nIpExt: 1\n"),
    ]);
    let rows = "  101: 00000000:0044 00000000:0000 07 00000010:00000300 00:00000000 00000000     0        0 14218 2 00000000b1c9d2e1 3\n\
                  11: 0100007F:0143 00000000:0000 07 00000005:00000001 00:00000000 00000000   101        0 20334 2 00000000d2f10c3a 4\n  7: short\n";
    tree.write("proc/10/net/udp", &format!("{HEAD}{rows}"));
    tree
}

/// The figures that are not 0, by the last label.
fn told(page: &str) -> Vec<String> {
    let lines = page.lines().filter(|line| line.contains("_state") || line.starts_with('!'));
    let told = lines.filter(|line| !line.ends_with(" 0")).map(|line| {
        let Some((name, rest)) = line.split_once('{') else { return line.to_owned() };
        format!("{} {}", name.trim_start_matches("container_network_"), rest.rsplit_once("_state=").unwrap().1)
    });
    let mut told: Vec<String> = told.collect();
    told.sort_unstable();
    told
}

#[test]
fn states_queues_and_counters() {
    let tree = tree();
    let page = tree.open(&SPEC, ASKED).round();
    let expected = [
        "advance_tcp_stats_total \"maxconn\"} -1",
        "advance_tcp_stats_total \"retranssegs\"} 18446744073709552000",
        "advance_tcp_stats_total \"rtoalgorithm\"} 1",
        "advance_tcp_stats_total \"tw\"} 4",
        "tcp6_usage_total \"listen\"} 1",
        "tcp_usage_total \"closing\"} 1",
        "tcp_usage_total \"established\"} 2",
        "tcp_usage_total \"listen\"} 1",
        "tcp_usage_total \"synrecv\"} 1",
        "tcp_usage_total \"timewait\"} 1",
        "udp_usage_total \"dropped\"} 7",
        "udp_usage_total \"listen\"} 2",
        "udp_usage_total \"rxqueued\"} 769",
        "udp_usage_total \"txqueued\"} 21",
    ];
    assert_eq!(told(&page), expected);
    assert_eq!(page.matches("container_network_tcp_usage_total").count(), STATES.len());
    assert_eq!(page.matches("container_network_udp6_usage_total").count(), 0);
    assert_eq!(told(&tree.open(&SPEC, &ASKED[..1]).round()), Vec::<String>::new());
}

#[test]
fn tables_are_left_alone_where_there_is_nothing() {
    let tree = tree();
    tree.write(
        "proc/10/net/sockstat",
        "sockets: used 9\nTCP: inuse 0 orphan 0 tw 0 alloc 3 mem 1\nUDP: inuse 0 mem 0\n",
    );
    tree.write("proc/10/net/sockstat6", "TCP6: inuse 1\nUDP6: inuse 0\n");
    let page = tree.open(&SPEC, &[ASKED[0], ("families", ".*(tcp|udp)6?_usage_total")]).round();
    assert_eq!(told(&page), ["tcp6_usage_total \"listen\"} 1"]);
    assert_eq!(page.matches("container_network_tcp_usage_total").count(), STATES.len());
    assert_eq!(page.matches("container_network_udp6_usage_total").count(), UDP_STATES.len());
    // A closed connection is in one of both tables.
    tree.write("proc/10/net/sockstat", "TCP: inuse 0 orphan 0 tw 1 alloc 3 mem 1\nUDP: inuse 0 mem 0\n");
    assert!(told(&tree.open(&SPEC, ASKED).round()).contains(&"tcp_usage_total \"timewait\"} 1".to_owned()));
}

#[test]
fn what_was_counted_is_told_for_a_minute() {
    let tree = tree();
    let mut host = tree.host();
    let (mut out, mut sockets) = (Batch::new(1_000), Sockets::default());
    let wanted = super::super::metrics::Wanted::these(&[Metric::TcpUsage]);
    let place = Place { of: out.machine(), wanted };
    put(&mut host, Of::new(place, Some(10), &mut sockets).into_iter().collect(), &mut out);
    assert_eq!(out.len(), STATES.len());
    let of = Of::new(place, Some(10), &mut sockets).unwrap();
    let now = host.monotonic();
    let mut page = Page { out: &mut out, of: place.of, wanted };
    // No time is left: nothing is taken for counted that was not.
    assert_eq!(count(&mut host, &of, now, &mut page).tcp, [None, None]);
    assert_eq!(out.fault_counts().get("stuck"), Some(&1));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "(Tcp: |[ 0-9A-F:]{0,40})([A-Za-z0-9-]{0,4} ){0,9}\n(Tcp: )?([0-9-]{0,4} ){0,9}\n") {
        for text in [&bytes[..], text.as_bytes()] {
            sockstat(text);
            counters(text, b"Tcp:").count();
            let (mut tcp, mut udp) = ([0; STATES.len()], [0; UDP_STATES.len()]);
            for line in parse::lines(text) {
                add_tcp(line, &mut tcp);
                add_udp(line, &mut udp);
            }
        }
    }
}
