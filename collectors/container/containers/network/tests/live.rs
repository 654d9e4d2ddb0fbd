//! Real network namespaces: what is told is what the kernel tells inside, and nothing keeps a dead one alive.

use super::super::super::SPEC;
use super::*;
use crate::kit::{Child, Clock, Machine, Options, Roots};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

const CGROUPS: &str = "/sys/fs/cgroup/memory";
/// What it takes to make a process in a network namespace and to tie it to ours.
const ONE: &str = "/wholenode-netns-test";

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let run = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let done = run.map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// A process in a network namespace and a cgroup of its own, tied to ours by a pair of interfaces; both go with it.
struct Container {
    process: std::process::Child,
    folder: String,
    id: String,
}

impl Container {
    fn new(digits: &str) -> Result<Self, String> {
        let id = digits.repeat(64 / digits.len());
        let folder = format!("{CGROUPS}{ONE}/{id}");
        std::fs::create_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;
        let mut command = Command::new("unshare");
        let command = command.args(["--net", "sleep", "600"]).stdin(Stdio::null());
        let process = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let container = Self { process, folder, id };
        let pid = container.process.id();
        let ours = std::fs::read_link("/proc/self/ns/net").map_err(|error| error.to_string())?;
        let start = Instant::now();
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|of| of == ours) {
            if start.elapsed() > Duration::from_secs(20) {
                return Err("unshare --net makes no namespace".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        std::fs::write(format!("{}/cgroup.procs", container.folder), pid.to_string())
            .map_err(|error| format!("{}: {error}", container.folder))?;
        Ok(container)
    }

    fn tie(&self, outside: &str) -> Result<(), String> {
        let pid = self.process.id().to_string();
        run("ip", &["link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", &pid]).map(drop)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let start = Instant::now();
        while std::fs::remove_dir(&self.folder).is_err() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = std::fs::remove_dir(format!("{CGROUPS}{ONE}"));
    }
}

/// The collector on this machine.
struct Live {
    host: Host,
    collector: Box<dyn crate::Collector>,
    out: Batch,
}

impl Live {
    /// `None`: there are no cgroups here.
    fn new() -> Option<Self> {
        let given = [
            ("levels", "root,containers"),
            ("families", "container_(processes|file_desc|sockets|ulimits|network_tcp).*"),
        ];
        let given = given.map(|(name, word)| (name.to_owned(), vec![word.to_owned()]));
        let mut host = Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::none()));
        let collector = (SPEC.open)(&mut host, &Options::new(SPEC.options, &given).unwrap()).unwrap()?;
        Some(Self { host, collector, out: Batch::new(SPEC.points_max) })
    }

    fn round(&mut self) {
        self.out.clear();
        self.collector.collect(&mut self.host, &mut self.out).unwrap();
    }

    /// The figures of a family, by the id and the last label.
    fn figures(&self, family: &str, id: &str) -> Vec<(String, u64)> {
        let column = self.out.columns().iter().find(|column| column.family.name == family);
        let samples = column.into_iter().flat_map(|column| &column.samples);
        let of = samples.filter_map(|sample| {
            let labels = self.out.labels().all(sample.of);
            let is_it = labels.iter().any(|(name, value)| *name == "id" && value.ends_with(id));
            let last = labels.last().map(|(_, value)| (*value).to_owned())?;
            is_it.then_some((last, sample.value.as_f64().unwrap() as u64))
        });
        of.collect()
    }
}

/// Sockets that listen in the network namespace of a process, where a thread makes them.
fn listen(pid: &str) -> Vec<std::net::TcpListener> {
    let network = std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let make = move || {
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), Some(LinkNameSpaceType::Network)).unwrap();
        let addresses = ["169.254.77.2:0", "0.0.0.0:0", "[::]:0"];
        addresses.map(|address| std::net::TcpListener::bind(address).unwrap()).into()
    };
    std::thread::spawn(make).join().unwrap()
}

fn skip(why: &str) {
    writeln!(std::io::stderr(), "skipped: containers with networks: {why}").unwrap();
}

/// Tests that make interfaces and cgroups take turns.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn what_is_told_is_what_the_kernel_tells_inside() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let container = match Container::new("a1").and_then(|made| made.tie("wnlive0").map(|()| made)) {
        Ok(container) => container,
        Err(why) => return skip(&why),
    };
    let pid = container.process.id().to_string();
    let ip = |arguments: &[&str]| run("ip", arguments).unwrap();
    let inside = |arguments: &[&str]| run("nsenter", &[&["--net", "--target", &pid], arguments].concat());
    let inside = |arguments: &[&str]| inside(arguments).unwrap();
    ip(&["address", "add", "169.254.77.1/30", "dev", "wnlive0"]);
    ip(&["link", "set", "wnlive0", "up"]);
    inside(&["ip", "address", "add", "169.254.77.2/30", "dev", "eth0"]);
    inside(&["ip", "link", "set", "eth0", "up"]);
    let socket = std::net::UdpSocket::bind("169.254.77.1:0").unwrap();
    let send = || {
        for _ in 0..100 {
            socket.send_to(&[7; 1000], "169.254.77.2:9").unwrap();
        }
    };
    let listeners = listen(&pid);
    let mut live = Live::new().unwrap();
    // Until nothing comes any more, such as the kernel's own announcements.
    let statistic = |way: &str, name: &str| {
        let text = inside(&["cat", "/proc/net/dev"]);
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix("eth0:")).unwrap();
        let names = ["bytes", "packets", "errors", "packets_dropped"];
        let at = names.iter().position(|known| *known == name).unwrap() + if way == "receive" { 0 } else { 8 };
        line.split_whitespace().nth(at).unwrap().parse::<u64>().unwrap()
    };
    // What is sent before the neighbour is known may get lost.
    let has_come = |_| {
        send();
        std::thread::sleep(Duration::from_millis(50));
        statistic("receive", "bytes") > 100_000
    };
    assert!((0..100).any(has_come));
    for way in ["receive", "transmit"] {
        for name in ["bytes", "packets", "errors", "packets_dropped"] {
            let is_told = |_| {
                let before = statistic(way, name);
                live.round();
                let told = live.figures(&format!("container_network_{way}_{name}_total"), &container.id);
                before == statistic(way, name) && told == [("eth0".to_owned(), before)]
            };
            assert!((0..20).any(is_told), "{way} {name}");
        }
    }
    let listening = |family| {
        let states = live.figures(&format!("container_network_{family}_usage_total"), &container.id);
        states.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>()
    };
    assert_eq!((listening("tcp"), listening("tcp6")), (vec![("listen".to_owned(), 2)], vec![("listen".to_owned(), 1)]));
    let by_file = |file: &str| inside(&["cat", &format!("/proc/net/{file}")]).matches(" 0A 00000000:00000000 ").count();
    assert_eq!((by_file("tcp"), by_file("tcp6")), (2, 1));
    drop(listeners);
    assert_eq!(live.figures("container_processes", &container.id).len(), 1);
    assert_eq!(live.figures("container_processes", &container.id)[0].1, 1);
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    assert_eq!(live.figures("container_file_descriptors", &container.id)[0].1, files);
    assert_eq!(live.figures("container_sockets", &container.id)[0].1, 0);
    assert_eq!(live.figures("container_ulimits_soft", &container.id)[0].0, "max_open_files");
}

#[test]
fn a_thousand_made_and_removed_leave_nothing_behind() {
    const BATCHES: usize = 20;
    const EACH: usize = 50;
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(mut live) = Live::new() else { return skip("no cgroups") };
    let ends = || {
        let names =
            std::fs::read_dir("/sys/class/net").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.starts_with("wnend")).count()
    };
    let handles = live.host.machine().handles();
    for batch in 0..BATCHES {
        let mut containers = Vec::new();
        for number in 0..EACH {
            let made = Container::new(&format!("{:08x}", batch * EACH + number));
            match made.and_then(|made| made.tie(&format!("wnend{number}")).map(|()| made)) {
                Ok(container) => containers.push(container),
                Err(why) => return skip(&why),
            }
        }
        for _ in 0..2 {
            live.round();
            for container in &containers {
                let told = live.figures("container_network_receive_bytes_total", &container.id);
                assert_eq!(told.len(), 1, "{}", container.id);
            }
        }
        containers.iter_mut().for_each(|container| container.process.kill().unwrap());
        drop(containers);
        live.round();
        // The end in our namespace goes when the kernel has taken down the other namespace.
        let start = Instant::now();
        while ends() > 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "{} interfaces of dead namespaces are left", ends());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // Others may make cgroups on this machine meanwhile.
    let are_back = |_| {
        live.round();
        std::thread::sleep(Duration::from_millis(50));
        live.host.machine().handles() <= handles + 64
    };
    assert!((0..100).any(are_back), "more handles than before");
}
