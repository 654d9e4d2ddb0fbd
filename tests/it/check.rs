//! `wholenode check` over machines that are folders, and over this one.

use std::process::Output;

/// A machine made of files; `calls/errno` says which reads fail.
fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let always =
        [("proc/stat", "cpu  1 0 1 1 0 0 0 0 0 0\n"), ("sys/devices/x", ""), ("udev/x", ""), ("calls/clock", "")];
    for (path, text) in always.iter().chain(files) {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn check(machine: &tempfile::TempDir, collectors: &[&str]) -> (Option<i32>, String) {
    let folder = machine.path().to_str().unwrap();
    let roots = [("procfs", "proc"), ("sysfs", "sys"), ("rootfs", ""), ("udev.data", "udev"), ("calls", "calls")];
    let flags = roots.map(|(flag, below)| format!("--path.{flag}={folder}/{below}"));
    let on = collectors.iter().map(|name| format!("--collector.{name}"));
    let done = run(flags.into_iter().chain(on).chain(["--collector.disable-defaults".to_owned()]));
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    (done.status.code(), String::from_utf8(done.stdout).unwrap().replace(folder, ""))
}

fn run(flags: impl Iterator<Item = String>) -> Output {
    crate::program::command().arg("check").args(flags).env_clear().output().unwrap()
}

#[test]
fn what_is_there_and_what_this_machine_does_not_have_is_well() {
    let machine = machine(&[("proc/loadavg", "1 2 3 4/5 6\n")]);
    let (code, text) = check(&machine, &["loadavg", "mdadm"]);
    let expected = "\
COLLECTOR  STATE      SERIES
loadavg    ok              3
mdadm      absent          0  needs the module md_mod, and a software RAID

2 collectors: 1 absent, 1 ok; 3 series

Off (--collector.NAME turns one on): ";
    assert!(text.starts_with(expected) && text.contains(", stat, ") && !text.contains(", mdadm"), "{text}");
    assert_eq!(code, Some(0));
}

#[test]
fn what_is_denied_or_fails_is_told_with_what_would_help_and_ends_with_1() {
    let machine = machine(&[
        ("proc/loadavg", "many\n"),
        ("proc/1/mountinfo", "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n23 22 0:40 / /mnt/far rw - nfs4 srv:/ rw\n"),
        ("calls/errno", "proc/meminfo EACCES\n"),
        ("calls/statfs", "/ 4096 1000 500 400 64 32\n/mnt/far STUCK\n"),
    ]);
    let (code, text) = check(&machine, &["filesystem", "loadavg", "meminfo"]);
    let expected = "\
COLLECTOR   STATE      SERIES
filesystem  partly         11
    /mnt/far: no answer in time
loadavg     malformed       0
    /proc/loadavg:1: expected three load averages
meminfo     denied          0
    /proc/meminfo: permission denied
    needs root or CAP_DAC_READ_SEARCH, or a mode that lets this user read it

3 collectors: 1 denied, 1 malformed, 1 partly; 11 series
";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_tree_that_is_not_mounted_is_told_first() {
    let machine = machine(&[]);
    std::fs::remove_dir_all(machine.path().join("sys")).unwrap();
    let (code, text) = check(&machine, &["stat"]);
    assert!(text.starts_with("--path.sysfs=/sys: not the machine's /sys; in a container, mount "), "{text}");
    assert_eq!(code, Some(1));
}

#[test]
fn on_this_machine_it_says_who_it_is_and_is_done_in_time() {
    let begun = std::time::Instant::now();
    let done = run(std::iter::empty());
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.starts_with("As user ") && text.contains("\nloadavg  "), "{text}");
    assert!(matches!(done.status.code(), Some(0 | 1)), "{}", done.status);
    assert!(begun.elapsed() < crate::daemon::LONG);
    assert_eq!(run(["--nonsense".to_owned()].into_iter()).status.code(), Some(2));
}
