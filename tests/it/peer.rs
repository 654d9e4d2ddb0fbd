//! node_exporter beside us: every series that it has is on our page too, with its name, labels, type and value.
//!
//! It is the program that `PROMETHEUS_NODE_EXPORTER` names, else `prometheus-node-exporter`. Collectors that only one of
//! the two has are not compared. What differs and is meant is in `peer/table.rs`.

use crate::golden::{collectors, machines, output};
use page::{Page, has_more_labels};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use table::{EXCEPTIONS, LIVE, NEVER, OPTIONS, STILL};

mod page;
mod table;

const HOME: &str = env!("CARGO_MANIFEST_DIR");

/// The program found on this machine.
struct Peer {
    program: String,
    help: String,
}

impl Peer {
    /// Says that it is not here, if so.
    fn find() -> Option<Self> {
        let named = std::env::var("PROMETHEUS_NODE_EXPORTER").ok().filter(|name| !name.is_empty());
        let program = named.unwrap_or_else(|| "prometheus-node-exporter".to_owned());
        match Command::new(&program).arg("--help").output() {
            Ok(done) => Some(Self { help: String::from_utf8_lossy(&done.stdout).into_owned(), program }),
            Err(error) => {
                crate::skipped(format!("{program} (PROMETHEUS_NODE_EXPORTER names another): {error}"));
                None
            }
        }
    }

    /// Whether it knows a flag, given with or without its value.
    fn knows(&self, flag: &str) -> bool {
        let name = flag.split('=').next().unwrap_or_default();
        let name = name.trim_start_matches("--no-").trim_start_matches("--");
        let words = self.help.split_whitespace().map(|word| word.split('=').next().unwrap_or_default());
        words.into_iter().any(|word| word == format!("--{name}") || word == format!("--[no-]{name}"))
    }

    fn is_old(&self) -> bool {
        !self.knows("--collector.arp.netlink")
    }

    /// Its collectors that we have too, less some; the others are told.
    fn shared(&self, less: &[&str]) -> Vec<String> {
        let ours: BTreeSet<String> = collectors().into_iter().collect();
        let words = self.help.split_whitespace();
        let names = words
            .filter_map(|word| word.strip_prefix("--[no-]collector.").or_else(|| word.strip_prefix("--collector.")));
        let theirs: BTreeSet<String> = names
            .filter(|name| !name.contains(['.', '=']) && *name != "disable-defaults" && !less.contains(name))
            .map(str::to_owned)
            .collect();
        let missing: Vec<&String> = theirs.difference(&ours).collect();
        if !missing.is_empty() {
            crate::skipped(format!("for collectors that only node_exporter has: {missing:?}"));
        }
        theirs.intersection(&ours).cloned().collect()
    }

    /// Its page; `None`: it ended by itself.
    fn page(&self, flags: &[String]) -> Page {
        let mut process = Running(
            Command::new(&self.program)
                .args(["--web.listen-address=127.0.0.1:0", "--runtime.gomaxprocs=2"])
                .args(flags)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut told = Vec::new();
        let address = lines.by_ref().inspect(|line| told.push(line.clone())).find_map(|line| {
            let address = line.contains("Listening on").then(|| line.rsplit_once("address=").unwrap().1.to_owned());
            address.map(|address| address.trim_matches('"').to_owned())
        });
        let address = address.unwrap_or_else(|| panic!("{} did not start: {told:#?}", self.program));
        let rest = std::thread::spawn(move || lines.collect::<Vec<String>>());
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(crate::daemon::LONG)).unwrap();
        let mut answer = Vec::new();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let read = stream.read_to_end(&mut answer);
        drop(process);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body).filter(|_| text.contains(" 200 OK\r\n"));
        let body = body.unwrap_or_else(|| panic!("{read:?} {text}\n{:#?}", rest.join()));
        Page::read(body)
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Which series may differ.
struct Allowed<'a> {
    on: &'a str,
    old: bool,
    live: bool,
}

impl Allowed<'_> {
    fn may_differ(&self, series: &str) -> bool {
        EXCEPTIONS.iter().any(|exception| {
            (exception.on.is_empty() || exception.on == self.on)
                && (!exception.old || self.old)
                && table::begins(series, exception.series)
        })
    }

    fn may_move(&self, series: &str) -> bool {
        let name = series.split('{').next().unwrap_or_default();
        self.live && !name.ends_with("_info") && !STILL.contains(&name)
    }

    /// What their page says and ours does not.
    fn differences(&self, theirs: &Page, ours: &Page) -> Vec<String> {
        let mut differences = Vec::new();
        for (series, value) in &theirs.series {
            if self.may_differ(series) {
                continue;
            }
            match ours.series.get(series) {
                None if self.old && has_more_labels(ours, series) => {}
                None => differences.push(format!("missing: {series} {value}")),
                Some(our) if !self.may_move(series) && !is_same(*value, *our) => {
                    differences.push(format!("value: {series} theirs {value} ours {our}"));
                }
                Some(_) => {}
            }
        }
        for (name, kind) in &theirs.kinds {
            let our = ours.kinds.get(name).filter(|our| *our != kind && !self.may_differ(&format!("{name}{{")));
            differences.extend(our.map(|our| format!("type: {name} theirs {kind} ours {our}")));
        }
        differences
    }
}

fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// The families of which only our page has series, with how many.
fn only_ours(theirs: &Page, ours: &Page) -> Vec<String> {
    let mut families = BTreeMap::new();
    for series in ours.series.keys().filter(|series| !theirs.series.contains_key(*series)) {
        let name = series.split('{').next().unwrap_or_default();
        if !["wholenode_", "node_scrape_collector_", "node_exporter_build_info"].iter().any(|own| name.starts_with(own))
        {
            *families.entry(name).or_insert(0u32) += 1;
        }
    }
    families.iter().map(|(name, count)| format!("{name} {count}")).collect()
}

fn on_a_tree(peer: &Peer, machine: &str, collectors: &[String], options: &[&str]) -> Vec<String> {
    let tree = format!("{HOME}/tests/machines/{machine}");
    let roots = [("procfs", "proc"), ("sysfs", "sys"), ("rootfs", "rootfs"), ("udev.data", "udev")];
    let mut shared: Vec<String> = roots.iter().map(|(flag, folder)| format!("--path.{flag}={tree}/{folder}")).collect();
    shared.push("--collector.disable-defaults".to_owned());
    shared.push(format!("--collector.textfile.directory={tree}/textfile"));
    shared.extend(collectors.iter().map(|name| format!("--collector.{name}")));
    shared.extend(options.iter().map(|option| (*option).to_owned()));
    let mut theirs = shared.clone();
    let files = ["--no-collector.arp.netlink", "--no-collector.netdev.netlink"];
    theirs.extend(files.iter().filter(|flag| peer.knows(flag)).map(|flag| (*flag).to_owned()));
    let calls = [format!("--path.calls={tree}/calls"), format!("--path.cgroupfs={tree}/cgroup")];
    let ours: Vec<String> = ["once".to_owned()].into_iter().chain(shared).chain(calls).collect();
    let (theirs, ours) = (peer.page(&theirs), Page::read(&output(&ours)));
    let only = only_ours(&theirs, &ours);
    if !only.is_empty() && options.is_empty() {
        let _ = writeln!(std::io::stderr(), "only wholenode has on {machine}: {}", only.join(", "));
    }
    let allowed = Allowed { on: machine, old: peer.is_old(), live: false };
    let differences = allowed.differences(&theirs, &ours);
    differences.into_iter().map(|difference| format!("{machine}: {difference}")).collect()
}

#[track_caller]
fn none(differences: &[String]) {
    let count = differences.len();
    assert!(
        count == 0,
        "{count} differences\n{}",
        differences.iter().take(200).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn every_machine_shows_what_it_shows_with_node_exporter() {
    let Some(peer) = Peer::find() else { return };
    let collectors = peer.shared(LIVE);
    let differences: Vec<String> =
        machines().iter().flat_map(|machine| on_a_tree(&peer, machine, &collectors, &[])).collect();
    none(&differences);
}

#[test]
fn options_do_what_they_do_with_node_exporter() {
    let Some(peer) = Peer::find() else { return };
    let collectors = peer.shared(LIVE);
    let reference = output(&["options".to_owned()]);
    let ours = |flag: &str| {
        let name = flag.split('=').next().unwrap_or_default();
        let name = name.trim_start_matches("--no-").trim_start_matches("--");
        reference.contains(&format!("| `{name}` |"))
    };
    let (known, unknown): (Vec<&str>, Vec<&str>) = OPTIONS.iter().partition(|flag| peer.knows(flag) && ours(flag));
    if !unknown.is_empty() {
        crate::skipped(format!("for options that one of both lacks: {unknown:?}"));
    }
    let differences: Vec<String> =
        machines().iter().flat_map(|machine| on_a_tree(&peer, machine, &collectors, &known)).collect();
    none(&differences);
}

#[test]
fn this_machine_shows_what_it_shows_with_node_exporter() {
    let Some(peer) = Peer::find() else { return };
    // Other tests mount filesystems that hang, and statfs(2) on one would hold its page up.
    let kinds = "^(autofs|bpf|cgroup2?|devpts|fuse.*|mqueue|nsfs|overlay|proc|securityfs|squashfs|sysfs|tracefs)$";
    let mut shared =
        vec!["--collector.disable-defaults".to_owned(), format!("--collector.filesystem.fs-types-exclude={kinds}")];
    shared.extend(peer.shared(NEVER).iter().map(|name| format!("--collector.{name}")));
    let ours: Vec<String> = ["once".to_owned()].into_iter().chain(shared.clone()).collect();
    // Interfaces, mounts and processes of other tests come and go.
    let mut differences = Vec::new();
    for _ in 0..5 {
        let (theirs, ours) = (peer.page(&shared), Page::read(&output(&ours)));
        differences = Allowed { on: "live", old: peer.is_old(), live: true }.differences(&theirs, &ours);
        if differences.is_empty() {
            let _ = writeln!(std::io::stderr(), "only wholenode has live: {}", only_ours(&theirs, &ours).join(", "));
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    none(&differences);
}

#[test]
fn differences_are_told_unless_they_are_meant() {
    let theirs = Page::read("# TYPE a counter\na{b=\"1\"} 1\na{b=\"2\"} 2\ngo_x 5\nnode_y 3\n");
    let ours = Page::read("# TYPE a gauge\na{b=\"1\"} 1\nnode_y 4\n");
    let at = |live| Allowed { on: "live", old: false, live }.differences(&theirs, &ours);
    let told = ["missing: a{b=\"2\"} 2", "value: node_y{} theirs 3 ours 4", "type: a theirs counter ours gauge"];
    assert_eq!(at(false), told);
    assert_eq!(at(true), [told[0], told[2]]);
    assert_eq!(only_ours(&theirs, &Page::read("a 1\ngo_x 5\n")), ["a 1"]);
}
