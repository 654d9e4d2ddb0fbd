use super::*;
use collectors::kit::{Child, Clock, Machine, Replay, Roots};
use collectors::{Group, Spec};

static RAPL: Spec = Spec::new(Group::Node, "rapl", "", &[], |_, _| Ok(None));
static LOADAVG: Spec = Spec::new(Group::Node, "loadavg", "", &[], |_, _| Ok(None));

const DAC: &str = "root or CAP_DAC_READ_SEARCH";

fn found(spec: &'static Spec, state: &'static str, series: usize, faults: Vec<Error>) -> Finding {
    let took = Duration::from_millis(1);
    Finding { spec, state, series, dropped: 0, took, faults, more_faults: 0, panic: None }
}

fn denied(path: &str) -> Error {
    Error::Denied { path: path.to_owned(), grant: DAC }
}

/// The report about a machine that is a folder with everything in it.
fn told(findings: &[Finding], off: &[&str]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    for name in ["proc/stat", "sys/devices", "udev"] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (proc, sys, udev, cgroup) = (path("proc"), path("sys"), path("udev"), path("cgroup"));
    let roots = Roots { proc, sys, rootfs: path(""), udev, cgroup, system_bus: None };
    let machine = Machine::new(roots, Clock::Real, Some(Replay::default()), Child::none());
    report(&mut Host::new(machine), findings, off, &[])
}

#[test]
fn a_machine_on_which_all_is_well() {
    let report = told(&[found(&LOADAVG, "ok", 3, vec![]), found(&RAPL, "absent", 0, vec![])], &["wifi", "xfrm"]);
    let expected = "\
COLLECTOR  STATE      SERIES
loadavg    ok              3
rapl       absent          0  needs a driver of energy counters such as intel_rapl_msr; virtual machines have none

2 collectors: 1 absent, 1 ok; 3 series

Off (--collector.NAME turns one on): wifi, xfrm
";
    assert_eq!((report.text.as_str(), report.is_well), (expected, true));
}

#[test]
fn what_is_denied_says_what_would_grant_it_once() {
    let faults = (0..7).map(|n| denied(&format!("/sys/{n}"))).collect();
    let report = told(&[found(&RAPL, "denied", 0, faults)], &[]);
    let expected = "\
rapl       denied          0
    /sys/0: permission denied
    /sys/1: permission denied
    /sys/2: permission denied
    /sys/3: permission denied
    /sys/4: permission denied
    and 2 more
    needs root or CAP_DAC_READ_SEARCH
";
    assert!(report.text.contains(expected) && !report.is_well, "{}", report.text);
}

#[test]
fn a_value_that_fails_makes_it_partly_and_one_that_is_not_there_does_not() {
    let malformed = Error::malformed("/proc/loadavg", 1, "three load averages");
    let report = told(&[found(&LOADAVG, "ok", 2, vec![malformed])], &[]);
    assert!(report.text.contains("loadavg    partly          2\n    /proc/loadavg:1: expected three load averages\n"));
    assert!(!report.is_well);
    let gone = Error::Gone { path: "/sys/x".to_owned() };
    let absent = Error::Absent { path: "/sys/y".to_owned() };
    let report = told(&[found(&LOADAVG, "ok", 2, vec![gone, absent])], &[]);
    assert!(report.text.contains("loadavg    ok ") && report.is_well, "{}", report.text);
}

#[test]
fn one_that_is_slow_stuck_or_broken_says_so() {
    let mut finding = found(&LOADAVG, "stuck", 0, vec![]);
    finding.took = Duration::from_secs(5);
    let report = told(&[finding], &[]);
    assert!(report.text.contains("no answer for 5.0 s") && !report.is_well, "{}", report.text);
    let mut finding = found(&LOADAVG, "ok", 3, vec![]);
    finding.took = Duration::from_millis(1400);
    let report = told(&[finding], &[]);
    assert!(report.text.contains("took 1.4 s") && report.is_well, "{}", report.text);
    let mut finding = found(&LOADAVG, "panic", 0, vec![]);
    finding.panic = Some("index out of bounds".to_owned());
    let report = told(&[finding], &[]);
    assert!(report.text.contains("    panicked: index out of bounds\n") && !report.is_well);
}

#[test]
fn a_right_that_is_there_already_is_not_asked_for() {
    let rights = Rights::own();
    let text = granting("CAP_SYS_TIME", Some(rights));
    assert_eq!(text.starts_with("this process has CAP_SYS_TIME: "), rights.has("CAP_SYS_TIME"));
    assert_eq!(granting("CAP_SYS_TIME", None), "needs CAP_SYS_TIME");
    assert_eq!(granting("a mount", Some(rights)), "needs a mount");
}

#[test]
fn trees_that_are_not_there_are_named_with_their_flag() {
    let roots = Roots { proc: "/none/proc".to_owned(), udev: "/none".to_owned(), ..Roots::default() };
    let machine = Machine::new(roots, Clock::Real, Some(Replay::default()), Child::none());
    let report = report(&mut Host::new(machine), &[], &[], &["a warning".to_owned()]);
    let lines: Vec<&str> = report.text.lines().collect();
    assert_eq!(lines[0], "a warning");
    assert!(lines[1].starts_with("--path.procfs=/none/proc: not the machine's /proc; "), "{}", report.text);
    assert!(lines[2].starts_with("--path.udev.data=/none: not there; ") && lines[3].is_empty(), "{}", report.text);
    assert!(!report.is_well);
}
