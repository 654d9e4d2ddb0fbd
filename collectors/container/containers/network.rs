//! The network of containers: `net/dev` of each network namespace, told once.
//!
//! What tells namespaces apart is the number of the file itself, which belongs to the namespace: to ask for it takes no
//! right, and it shows at once when another process has come under the same number. A namespace that is the machine's own
//! is told of as `/` only. That of a pod is its sandbox's; where no sandbox is known (or none is told of), the pod's. Of
//! containers that share one without a pod, the first one's. The file is opened, read and closed: a kept one would keep the
//! namespace of a dead pod alive. Four calls for each namespace and round; three to seven more, once, to find its process.

use super::metrics::{Metric, Page, Wanted};
use super::sockets::{self, Sockets};
use super::state::State;
use super::{SELDOM, processes};
use crate::kit::cgroup::{Forest, Kind, Node, Trees};
use crate::kit::{Error, Host, KeptFile, Root, parse};
use crate::model::{Batch, Entity};
use std::time::Duration;

/// How many bytes are read of a container's file: about five hundred interfaces.
const BYTES_MAX: usize = 64 << 10;
/// How many interfaces are told of in one namespace.
const INTERFACES_MAX: usize = 32;
/// How many of the machine are told of.
const INTERFACES_OF_MACHINE_MAX: usize = 256;

/// Interfaces that nobody asks for: the loop, and the ends of what containers within the container are tied to.
const PLUMBING: [&[u8]; 3] = [b"veth", b"docker", b"nerdctl"];
/// Interfaces of the machine over which only passes what passes over its real ones, or between its containers.
const PLUMBING_OF_MACHINE: [&[u8]; 17] = [
    b"azv",
    b"br-",
    b"cali",
    b"cilium_",
    b"cni",
    b"eni",
    b"flannel",
    b"gke",
    b"kube-",
    b"lxc",
    b"nodelocaldns",
    b"podman",
    b"tap",
    b"tunl",
    b"virbr",
    b"vnet",
    b"vxlan.",
];
/// Tunnels that the kernel makes in each namespace, whether somebody wants them or not.
const TUNNELS: [&[u8]; 9] =
    [b"tunl0", b"sit0", b"ip6tnl0", b"gre0", b"gretap0", b"erspan0", b"ip_vti0", b"ip6_vti0", b"ip6gre0"];

pub(super) const COLUMNS: [Metric; 8] = [
    Metric::NetReceiveBytes,
    Metric::NetReceivePackets,
    Metric::NetReceiveErrors,
    Metric::NetReceiveDropped,
    Metric::NetTransmitBytes,
    Metric::NetTransmitPackets,
    Metric::NetTransmitErrors,
    Metric::NetTransmitDropped,
];

/// Where on this round's page a cgroup has its place, and what is told there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) of: Entity,
    pub(super) wanted: Wanted,
}

/// What is kept of a container's network.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// A process of it.
    pid: Option<u32>,
    /// The number of the process's file when it was found to be one of the container's.
    number: Option<u64>,
    /// It was the one that told of its namespace.
    tells: bool,
    /// Until when there is nothing to be told.
    rests: Duration,
    /// Since when no process has been found.
    lacks: Option<Duration>,
    pub(super) sockets: Sockets,
}

/// The network namespaces of the machine.
#[derive(Debug)]
pub(super) struct Networks {
    dev: KeptFile,
    sockets: Sockets,
    /// The numbers of the machine's own file, and when they were asked for.
    own: Vec<u64>,
    asked: Option<Duration>,
    /// The numbers of the files that were told in this round.
    told: Vec<u64>,
    /// When this round came here, by [`Host::monotonic`].
    now: Duration,
}

/// What became of asking for a container's network.
enum Found {
    /// It was told, as read from this process.
    Told(u32),
    /// Another one has told it, or it is the machine's.
    Elsewhere,
    /// It is not known.
    Nothing,
}

impl Networks {
    pub(super) fn new() -> Self {
        let dev = KeptFile::new(Root::Net, "dev").lines();
        let (sockets, own, told) = Default::default();
        Self { dev, sockets, own, asked: None, told, now: Duration::ZERO }
    }

    /// Puts what the machine's interfaces have sent and received.
    pub(super) fn put_root(&mut self, host: &mut Host, page: &mut Page<'_>) -> Result<(), Error> {
        if !page.wanted.any(&COLUMNS) {
            return Ok(());
        }
        let is_plumbing = |name: &[u8]| PLUMBING_OF_MACHINE.iter().any(|prefix| name.starts_with(prefix));
        let rows = rows(host.read_kept(&mut self.dev)?).filter(|(name, _)| !is_plumbing(name));
        put_rows(rows.take(INTERFACES_OF_MACHINE_MAX), page);
        Ok(())
    }

    /// Puts the networks of all containers, when all have been visited.
    pub(super) fn put(&mut self, host: &mut Host, forest: &mut Forest<State>, out: &mut Batch) {
        self.now = host.monotonic();
        if self.asked.is_none_or(|asked| self.now >= asked + SELDOM) {
            let numbers = [host.file_number(Root::Net, "dev"), host.file_number(Root::Proc, "1/net/dev")];
            self.own = numbers.into_iter().flatten().collect();
            self.asked = Some(self.now);
        }
        self.told.clear();
        let (trees, root) = forest.parts();
        let root_place = root.own.place;
        let (mut pods, mut single) = (Vec::new(), Vec::new());
        gather(root, &mut pods, &mut single);
        let mut sockets = Vec::new();
        for (place, containers) in pods {
            self.put_pod(host, trees, place, containers, (out, &mut sockets));
        }
        // Who told of a namespace goes on to, else the oldest: that is the one which the others were made to share with.
        single.sort_by_key(|(_, node)| (!node.own.network.tells, node.own.started));
        for (place, node) in single {
            if let Found::Told(pid) = self.put_of(host, trees, node, place, out) {
                sockets.extend(sockets::Of::new(place, Some(pid), &mut node.own.network.sockets));
            }
        }
        if let Some(place) = root_place {
            sockets.extend(sockets::Of::new(place, None, &mut self.sockets));
        }
        sockets::put(host, sockets, out);
    }

    /// One of the containers of a pod tells of the network that they share.
    fn put_pod<'a>(
        &mut self,
        host: &mut Host,
        trees: &Trees,
        pod: Option<Place>,
        containers: &'a mut [Node<State>],
        (out, sockets): (&mut Batch, &mut Vec<sockets::Of<'a>>),
    ) {
        let sandbox = containers.iter().find(|node| is_sandbox(node)).and_then(|node| node.own.place);
        let Some(place) = sandbox.or(pod).filter(|place| place.wanted.any(&COLUMNS)) else { return };
        let mut order: Vec<&mut Node<State>> = containers.iter_mut().collect();
        order.sort_by_key(|node| (!is_sandbox(node), !node.own.network.tells));
        let mut has_answer = false;
        for node in order {
            if has_answer {
                node.own.network.tells = false;
                continue;
            }
            match self.put_of(host, trees, node, place, out) {
                Found::Nothing => {}
                Found::Elsewhere => has_answer = true,
                Found::Told(pid) => {
                    has_answer = true;
                    sockets.extend(sockets::Of::new(place, Some(pid), &mut node.own.network.sockets));
                }
            }
        }
    }

    fn put_of(
        &mut self,
        host: &mut Host,
        trees: &Trees,
        node: &mut Node<State>,
        place: Place,
        out: &mut Batch,
    ) -> Found {
        let now = self.now;
        node.own.network.tells = false;
        if now < node.own.network.rests {
            return if node.own.network.pid.is_some() { Found::Elsewhere } else { Found::Nothing };
        }
        let mut page = Page { out, of: place.of, wanted: place.wanted };
        // A second time, because a process may have ended, and another one have come under its number.
        for _ in 0..2 {
            let Some(pid) = find(host, trees, node, now, &mut page) else { return Found::Nothing };
            let seat = &mut node.own.network;
            match host.read_list(Root::Proc, format_args!("{pid}/net/dev"), BYTES_MAX) {
                Ok((number, _)) if *seat.number.get_or_insert(number) != number => seat.forget(),
                Ok((number, _)) if self.own.contains(&number) => {
                    seat.rests = now + SELDOM;
                    return Found::Elsewhere;
                }
                Ok((number, _)) if self.told.contains(&number) => return Found::Elsewhere,
                Ok((number, text)) => {
                    put_rows(rows(text).take(INTERFACES_MAX), &mut page);
                    self.told.push(number);
                    seat.tells = true;
                    return Found::Told(pid);
                }
                Err(error) => {
                    seat.forget();
                    if !error.is_nothing() {
                        page.out.fault(error);
                        return Found::Nothing;
                    }
                }
            }
        }
        Found::Nothing
    }
}

impl Seat {
    fn forget(&mut self) {
        (self.pid, self.number) = (None, None);
    }
}

/// A pod's place, and its containers.
type Pod<'a> = (Option<Place>, &'a mut [Node<State>]);

fn gather<'a>(node: &'a mut Node<State>, pods: &mut Vec<Pod<'a>>, single: &mut Vec<(Place, &'a mut Node<State>)>) {
    match node.kind {
        Kind::Pod { .. } => pods.push((node.own.place, node.children())),
        Kind::Container { .. } => {
            single.extend(node.own.place.filter(|place| place.wanted.any(&COLUMNS)).map(|place| (place, node)));
        }
        _ => node.children().iter_mut().for_each(|child| gather(child, pods, single)),
    }
}

fn is_sandbox(node: &Node<State>) -> bool {
    node.own.named.as_ref().is_some_and(|named| named.is_sandbox)
}

/// The process that is known, or one that is looked for.
fn find(host: &mut Host, trees: &Trees, node: &mut Node<State>, now: Duration, page: &mut Page<'_>) -> Option<u32> {
    if node.own.network.pid.is_none() {
        let first = processes::first(host, trees, node);
        let (pid, has_others) = page.out.found(first).unwrap_or_default();
        let seat = &mut node.own.network;
        seat.pid = pid;
        if pid.is_some() {
            seat.lacks = None;
        } else {
            // A process that can't be seen will not be seen soon. One that is yet to come, comes early or never.
            let lacks = now - *seat.lacks.get_or_insert(now);
            seat.rests = now + if has_others { SELDOM } else { SELDOM.min(lacks) };
        }
    }
    node.own.network.pid
}

fn put_rows<'a>(rows: impl Iterator<Item = (&'a [u8], [u64; COLUMNS.len()])>, page: &mut Page<'_>) {
    for (name, figures) in rows {
        let of = page.out.part(page.of, &["interface"], [&*String::from_utf8_lossy(name)]);
        for (metric, figure) in COLUMNS.into_iter().zip(figures) {
            page.put_of(metric, of, Some(figure));
        }
    }
}

/// `  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0`, below two lines of headings: the interfaces that are told of, and their
/// bytes, packets, errors and drops, received and sent.
fn rows(text: &[u8]) -> impl Iterator<Item = (&[u8], [u64; COLUMNS.len()])> {
    parse::lines(text).filter_map(|line| {
        let (name, rest) = parse::field(line)?;
        let is_plumbing = name == b"lo" || PLUMBING.iter().any(|prefix| name.starts_with(prefix));
        if name.is_empty() || is_plumbing {
            return None;
        }
        let mut numbers = [0; 12];
        let mut words = parse::words(rest);
        for place in &mut numbers {
            *place = parse::number(words.next()?)?;
        }
        let [received @ .., _, _, _, _, bytes, packets, errors, drops] = numbers;
        let mut figures = [0; COLUMNS.len()];
        let all = received.into_iter().chain([bytes, packets, errors, drops]);
        figures.iter_mut().zip(all).for_each(|(place, figure)| *place = figure);
        let is_idle_tunnel = TUNNELS.contains(&name) && figures == [0; COLUMNS.len()];
        (!is_idle_tunnel).then_some((name, figures))
    })
}

#[cfg(test)]
mod tests;
