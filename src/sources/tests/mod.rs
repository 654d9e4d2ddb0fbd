//! Sources against runtimes that are played: well, slow, hanging, lying, closing.

mod cri;
mod docker;
mod play;
mod real;

use super::*;
use collectors::kit::cgroup::Named;
use collectors::kit::{Child, Clock, Replay, Roots};
use std::path::Path;

/// An identity.
fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A machine on which processes 77 and 4242 belong to the container `a`.
fn machine() -> Arc<Machine> {
    let proc = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sources/tests/proc").to_owned();
    let roots = Roots { proc, ..Roots::default() };
    with_all_labels(Machine::new(roots, Clock::Real, Some(Replay::default()), Child::none()))
}

/// Keeps every label that a runtime tells.
fn with_all_labels(machine: Arc<Machine>) -> Arc<Machine> {
    machine.names.keep(regex_lite::Regex::new("").ok());
    machine
}

fn source(api: Api, path: &Path) -> Arc<Source> {
    Source::new(Place { api, paths: vec![path.to_str().unwrap().to_owned()], is_usual: false })
}

/// What was told of somebody who was wanted.
fn named(machine: &Arc<Machine>, runtime: Runtime, id: &str) -> Option<Named> {
    Host::new(Arc::clone(machine)).who(runtime, id).map(|named| (*named).clone())
}

/// Waits for what happens on other tasks.
async fn soon(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be");
}

#[tokio::test]
async fn who_is_wanted_is_told_of_without_anybody_waiting_and_then_there_is_quiet() {
    let folder = tempfile::tempdir().unwrap();
    let node = play::Node::default();
    let path = folder.path().join("x.sock");
    let server = play::cri(&path, node.clone());
    let (machine, source) = (machine(), source(Api::Cri, &path));
    start(&[Arc::clone(&source)], &machine);
    assert_eq!(named(&machine, Runtime::Containerd, &id('b')), None);
    soon(|| named(&machine, Runtime::Containerd, &id('b')).is_some()).await;
    assert_eq!(source.figures(), Some(Figures { is_up: true, requests: 2, failures: 0 }));
    // Nobody is unknown: nothing more is asked.
    tokio::time::sleep(GATHER_AND_MORE).await;
    assert_eq!(node.calls(), ["ListPodSandbox", "ListContainers"]);
    assert_eq!(named(&machine, Runtime::Containerd, &id('a')), None);
    soon(|| named(&machine, Runtime::Containerd, &id('a')).is_some()).await;
    assert_eq!(node.calls()[2..], ["ListPodSandbox", "ListContainers", "PodSandboxStatus"]);
    server.abort();
}

const GATHER_AND_MORE: Duration = Duration::from_millis(600);

#[tokio::test]
async fn a_socket_that_comes_late_is_found_and_one_that_goes_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let (machine, source) = (machine(), source(Api::Cri, &path));
    start(&[Arc::clone(&source)], &machine);
    named(&machine, Runtime::Containerd, &id('b'));
    soon(|| source.figures().is_some()).await;
    assert_eq!(source.figures(), Some(Figures { is_up: false, requests: 0, failures: 1 }));
    let server = play::cri(&path, play::Node::default());
    soon(|| named(&machine, Runtime::Containerd, &id('b')).is_some()).await;
    assert!(source.figures().unwrap().is_up);
    server.abort();
    std::fs::remove_file(&path).unwrap();
    named(&machine, Runtime::Containerd, &id('f'));
    soon(|| !source.figures().unwrap().is_up).await;
}

#[tokio::test]
async fn where_a_runtime_may_be_and_is_not_nothing_is_counted() {
    let place = Place { api: Api::Cri, paths: vec!["/nowhere/x".to_owned(), "/none/x".to_owned()], is_usual: true };
    let (machine, source) = (machine(), Source::new(place));
    named(&machine, Runtime::Containerd, &id('b'));
    let asked = source.ask(&machine).await;
    source.log(&asked);
    assert_eq!((asked, source.figures()), (Err(Failure::Absent), None));
}

#[test]
fn a_process_is_believed_only_if_it_is_the_containers() {
    let machine = machine();
    assert_eq!(confirmed(&machine, Some(77), &id('a')), Some(77));
    let others = [(Some(77), 'b'), (Some(78), 'a'), (Some(0), 'a'), (None, 'a')];
    assert!(others.into_iter().all(|(pid, digit)| confirmed(&machine, pid, &id(digit)).is_none()));
}

#[tokio::test]
async fn a_runtime_is_asked_only_for_those_that_it_could_know() {
    let (machine, place) = (machine(), Path::new("/x"));
    for (runtime, digit) in [
        (Runtime::Containerd, '1'),
        (Runtime::Crio, '2'),
        (Runtime::Docker, '3'),
        (Runtime::Podman, '4'),
        (Runtime::Unknown, '5'),
        (Runtime::Lxc, '6'),
    ] {
        named(&machine, runtime, &id(digit));
    }
    let digits = |api| -> String {
        let wanted = source(api, place).wanted(&machine);
        let mut digits: Vec<char> = wanted.iter().map(|(_, id)| id.chars().next().unwrap()).collect();
        digits.sort_unstable();
        digits.into_iter().collect()
    };
    assert_eq!((digits(Api::Cri).as_str(), digits(Api::Docker).as_str()), ("1235", "345"));
}

/// A listener whose queue is full answers nobody, and nobody waits for it.
#[tokio::test]
async fn one_that_never_accepts_costs_one_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let failure = source(Api::Cri, &path).connect().await.unwrap_err();
    assert_eq!(failure, Failure::Refused("too many connections wait already".to_owned()));
}

#[tokio::test]
async fn the_check_says_what_answers_and_what_would_help() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let server = play::cri(&path, play::Node::default());
    let gone = folder.path().join("gone.sock");
    let at = |path: &Path| Socket::At(path.to_str().unwrap().to_owned());
    let sockets = Sockets { cri: vec![at(&path), at(&gone)], docker: vec![Socket::Auto] };
    let all = probe(&sockets, "/nowhere").await;
    let told: Vec<_> = all.iter().map(|probed| (probed.state, probed.told.as_str())).collect();
    assert_eq!(told[0], ("ok", "played 1.2: 1 pods, 2 containers"));
    assert_eq!(told[1].0, "absent");
    server.abort();
}

/// Whoever has no right gets told who has. Root always has it, so its right is dropped on a thread of its own.
#[tokio::test]
async fn who_may_not_connect_learns_who_may() {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o420)).unwrap();
    let at = Socket::At(path.to_str().unwrap().to_owned());
    let sockets = Sockets { cri: vec![], docker: vec![at] };
    let mut held = capabilities(None).unwrap();
    held.effective.remove(CapabilitySet::DAC_OVERRIDE);
    let held = CapabilitySets { ..held };
    let found = std::thread::spawn(move || {
        set_capabilities(None, held).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(probe(&sockets, ""))
    });
    let found = found.join().unwrap();
    assert_eq!(found[0].state, "denied");
    let expected = "needs user ";
    assert!(found[0].told.starts_with(expected) && found[0].told.contains(", or the group "), "{}", found[0].told);
}
