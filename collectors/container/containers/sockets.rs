//! The TCP and UDP sockets of network namespaces, told where they are asked for.
//!
//! The kernel has no counts by state: for each family it goes through the table of the whole machine, however few sockets
//! are in the namespace. So nothing is asked where `net/sockstat` says that there are none. `sock_diag` takes CAP_SYS_ADMIN,
//! CAP_SYS_PTRACE and a thread that enters the namespace; `net/tcp`, which is read without them, takes the kernel twelve
//! times as long (3.3 ms instead of 0.27 with 262,144 places in the table). Those that were counted longest ago come first,
//! no round counts longer than [`PATIENCE`], and what was counted is told for a minute. UDP queues are told as the kernel
//! has them; cAdvisor takes one for the other.

use super::metrics::{Metric, Page};
use super::network::Place;
use crate::kit::netlink::{Message, Protocol, Request, array_at};
use crate::kit::{Error, Host, Root, parse};
use crate::model::{Batch, Value};
use std::time::Duration;

/// How long sockets are counted in one round, and of one namespace.
const PATIENCE: Duration = Duration::from_millis(200);
const PATIENCE_OF_ONE: Duration = Duration::from_millis(100);
/// How long what was counted is told.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// How many of the kernel's counters are told.
const COUNTERS_MAX: usize = 512;

const NAMES: [Metric; 5] =
    [Metric::TcpUsage, Metric::Tcp6Usage, Metric::UdpUsage, Metric::Udp6Usage, Metric::AdvancedTcp];
/// With the number of the family.
const TCP: [(Metric, &str, u8); 2] = [(Metric::TcpUsage, "tcp", 2), (Metric::Tcp6Usage, "tcp6", 10)];
const UDP: [(Metric, &str); 2] = [(Metric::UdpUsage, "udp"), (Metric::Udp6Usage, "udp6")];

/// By the kernel's number of the state, from 1.
const STATES: [&str; 11] = [
    "established",
    "synsent",
    "synrecv",
    "finwait1",
    "finwait2",
    "timewait",
    "close",
    "closewait",
    "lastack",
    "listen",
    "closing",
];
const UDP_STATES: [&str; 4] = ["listen", "dropped", "rxqueued", "txqueued"];

type Tcp = [u64; STATES.len()];
type Udp = [u64; UDP_STATES.len()];

/// What was counted in a namespace, and when; nothing where nobody asks.
#[derive(Debug, Default)]
pub(super) struct Sockets(Option<Box<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    taken: Duration,
    tcp: [Option<Tcp>; 2],
    udp: [Option<Udp>; 2],
}

/// A namespace, and where it is told of.
#[derive(Debug)]
pub(super) struct Of<'a> {
    place: Place,
    /// A process in it; `None`: the machine's own.
    pid: Option<u32>,
    sockets: &'a mut Sockets,
}

impl<'a> Of<'a> {
    /// The namespace, if anything is asked for of it.
    pub(super) fn new(place: Place, pid: Option<u32>, sockets: &'a mut Sockets) -> Option<Self> {
        place.wanted.any(&NAMES).then_some(Self { place, pid, sockets })
    }

    fn path(&self, file: &str) -> (Root, String) {
        match self.pid {
            Some(pid) => (Root::Proc, format!("{pid}/net/{file}")),
            None => (Root::Net, file.to_owned()),
        }
    }
}

/// Counts, as far as there is time, and puts what is known.
pub(super) fn put(host: &mut Host, mut all: Vec<Of<'_>>, out: &mut Batch) {
    all.sort_by_key(|of| of.sockets.0.as_ref().map(|counted| counted.taken));
    let until = host.monotonic() + PATIENCE;
    for of in all {
        let mut page = Page { out, of: of.place.of, wanted: of.place.wanted };
        let now = host.monotonic();
        if now < until {
            let counted = count(host, &of, until.min(now + PATIENCE_OF_ONE), &mut page);
            of.sockets.0 = Some(Box::new(counted));
            put_counters(host, &of, &mut page);
        }
        if let Some(counted) = of.sockets.0.as_deref().filter(|counted| now <= counted.taken + TOLD_FOR) {
            counted.put(&mut page);
        }
    }
}

impl Counted {
    fn put(&self, page: &mut Page<'_>) {
        for ((metric, ..), counts) in TCP.into_iter().zip(&self.tcp) {
            put_states(metric, &["tcp_state"], &STATES, counts.as_ref().map(|counts| &counts[..]), page);
        }
        for ((metric, _), counts) in UDP.into_iter().zip(&self.udp) {
            put_states(metric, &["udp_state"], &UDP_STATES, counts.as_ref().map(|counts| &counts[..]), page);
        }
    }
}

fn put_states(
    metric: Metric,
    label: &'static [&'static str; 1],
    states: &[&str],
    counts: Option<&[u64]>,
    page: &mut Page<'_>,
) {
    for (state, count) in states.iter().zip(counts.unwrap_or_default()) {
        let of = page.out.part(page.of, label, [state]);
        page.put_of(metric, of, Some(*count));
    }
}

fn count(host: &mut Host, of: &Of<'_>, until: Duration, page: &mut Page<'_>) -> Counted {
    let mut counted = Counted { taken: host.monotonic(), ..Counted::default() };
    let (root, path) = of.path("sockstat");
    let four = host.read_once(root, path).map(sockstat).unwrap_or_default();
    let (root, path) = of.path("sockstat6");
    let six = host.read_once(root, path).map(sockstat).unwrap_or_default();
    // Closed connections are counted in one for both families.
    let has_no_tcp = [four.tcp, six.tcp].map(|tcp| tcp == Some(0) && four.closed == Some(0));
    let has_no_udp = [four.udp, six.udp].map(|udp| udp == Some(0));
    for (((metric, file, family), place), is_empty) in TCP.into_iter().zip(&mut counted.tcp).zip(has_no_tcp) {
        if !page.wanted.any(&[metric]) {
            continue;
        }
        *place = if is_empty { Some([0; STATES.len()]) } else { tcp(host, of, (file, family), until, page) };
    }
    for (((metric, file), place), is_empty) in UDP.into_iter().zip(&mut counted.udp).zip(has_no_udp) {
        let mut counts = [0; UDP_STATES.len()];
        let read = |line: &[u8]| add_udp(line, &mut counts);
        if page.wanted.any(&[metric]) && (is_empty || is_read(host, of, file, until, read, page)) {
            *place = Some(counts);
        }
    }
    counted
}

/// The states of a family, over `sock_diag` where that is granted.
fn tcp(host: &mut Host, of: &Of<'_>, (file, family): (&str, u8), until: Duration, page: &mut Page<'_>) -> Option<Tcp> {
    /// `SOCK_DIAG_BY_FAMILY`, of `struct inet_diag_req_v2`: family, protocol, extensions, padding, states, and 48 bytes that
    /// tell no socket.
    const BY_FAMILY: u16 = 20;
    const PROTOCOL: u8 = 6;
    let mut body = [0; 56];
    let head = [family, PROTOCOL, 0, 0].into_iter().chain(u32::MAX.to_ne_bytes());
    body.iter_mut().zip(head).for_each(|(place, byte)| *place = byte);
    let request = Request::dump(Protocol::SockDiag, file, BY_FAMILY, &body);
    let answer = match of.pid {
        Some(pid) => host.netlink_of(pid, &request, until, add_message),
        None => host.netlink(&request, add_message),
    };
    match answer {
        Ok(counts) => Some(counts),
        Err(error @ Error::Stuck { .. }) => {
            page.out.fault(error);
            None
        }
        Err(_) => {
            let mut counts = [0; STATES.len()];
            is_read(host, of, file, until, |line| add_tcp(line, &mut counts), page).then_some(counts)
        }
    }
}

/// `struct inet_diag_msg`: the family, the state …
fn add_message(counts: &mut Tcp, message: &Message<'_>) {
    if let Some([_, state]) = array_at::<2>(message.body, 0) {
        add_state(usize::from(state), counts);
    }
}

fn add_state(state: usize, counts: &mut Tcp) {
    // One that is only half open has a state of its own within the kernel.
    let state = if state == 12 { 3 } else { state };
    if let Some(count) = state.checked_sub(1).and_then(|at| counts.get_mut(at)) {
        *count += 1;
    }
}

/// Whether all lines were read.
fn is_read(
    host: &mut Host,
    of: &Of<'_>,
    file: &str,
    until: Duration,
    line: impl FnMut(&[u8]),
    page: &mut Page<'_>,
) -> bool {
    let (root, path) = of.path(file);
    let read = host.each_line(root, path, until, line);
    page.out.found(read).is_some()
}

/// What `sockstat` and `sockstat6` say.
#[derive(Debug, Default, PartialEq)]
struct Stat {
    tcp: Option<u64>,
    /// In the state TIME-WAIT, of both families.
    closed: Option<u64>,
    udp: Option<u64>,
}

/// `TCP: inuse 4 orphan 1 tw 5 alloc 17 mem 2\nUDP: inuse 3 mem 1\n…`, or `TCP6: inuse 7\nUDP6: inuse 2\n…`.
fn sockstat(text: &[u8]) -> Stat {
    let mut stat = Stat::default();
    for line in parse::lines_of_record(text) {
        let mut words = parse::words(line);
        let protocol = words.next();
        while let (Some(name), Some(figure)) = (words.next(), words.next()) {
            let place = match (protocol, name) {
                (Some(b"TCP:" | b"TCP6:"), b"inuse") => &mut stat.tcp,
                (Some(b"TCP:"), b"tw") => &mut stat.closed,
                (Some(b"UDP:" | b"UDP6:"), b"inuse") => &mut stat.udp,
                _ => continue,
            };
            *place = parse::number(figure);
        }
    }
    stat
}

/// `   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 …`; the fourth word is the state.
fn add_tcp(line: &[u8], counts: &mut Tcp) {
    let state = parse::words(line).nth(3).and_then(parse::hex).and_then(|state| usize::try_from(state).ok());
    if let Some(state) = state {
        add_state(state, counts);
    }
}

/// `  101: 00000000:0044 00000000:0000 07 00000000:00000300 00:00000000 00000000 0 0 14218 2 00000000b1c9d2e1 7`: bytes to
/// be sent and to be read are in the fifth word, packets dropped in the last of thirteen.
fn add_udp(line: &[u8], [sockets, dropped, to_read, to_send]: &mut Udp) {
    let mut words = parse::words(line);
    let Some(queues) = words.nth(4) else { return };
    let Some(colon) = queues.iter().position(|byte| *byte == b':') else { return };
    let (Some(send), Some(read)) =
        (queues.get(..colon).and_then(parse::hex), queues.get(colon + 1..).and_then(parse::hex))
    else {
        return;
    };
    *sockets += 1;
    *to_send = to_send.saturating_add(send);
    *to_read = to_read.saturating_add(read);
    *dropped = dropped.saturating_add(words.nth(7).and_then(parse::number).unwrap_or(0));
}

/// Puts the counters of TCP.
fn put_counters(host: &mut Host, of: &Of<'_>, page: &mut Page<'_>) {
    if !page.wanted.any(&[Metric::AdvancedTcp]) {
        return;
    }
    for (file, protocol) in [("snmp", &b"Tcp:"[..]), ("netstat", b"TcpExt:")] {
        let (root, path) = of.path(file);
        let text = host.read_once(root, path);
        for (name, value) in page.out.found(text).into_iter().flat_map(|text| counters(text, protocol)) {
            let of = page.out.part(page.of, &["tcp_state"], [name.as_str()]);
            page.put_of(Metric::AdvancedTcp, of, Some(value));
        }
    }
}

/// `Tcp: RtoAlgorithm RtoMin MaxConn …\nTcp: 1 200 -1 …`: the counters of one protocol, by their names in small letters.
fn counters<'a>(text: &'a [u8], protocol: &'a [u8]) -> impl Iterator<Item = (String, Value)> {
    let mut lines = parse::lines_of_record(text).filter_map(move |line| line.strip_prefix(protocol));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let pairs = parse::words(names).zip(parse::words(values)).take(COUNTERS_MAX);
    pairs.filter_map(|(name, value)| {
        let is_name = name.iter().all(u8::is_ascii_alphanumeric);
        let value = parse::number(value).map(Value::from).or_else(|| parse::signed(value).map(Value::from))?;
        is_name.then(|| (String::from_utf8_lossy(name).to_ascii_lowercase(), value))
    })
}

#[cfg(test)]
mod tests;
