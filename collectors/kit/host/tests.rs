use super::super::testing::Tree;
use super::super::{Child, Clock, Roots};
use super::kept::{RARELY, SHARED_FOR};
use super::*;

fn live() -> Host {
    Host::new(Machine::new(Roots::default(), Clock::Real, None, Child::none()))
}

#[test]
fn a_file_of_the_machine_is_kept_and_read_afresh() {
    let mut host = live();
    let mut uptime = KeptFile::new(Root::Proc, "uptime");
    let first = host.read_kept(&mut uptime).unwrap().to_vec();
    assert_eq!(host.machine().handles(), 1);
    std::thread::sleep(Duration::from_millis(20));
    assert_ne!(host.read_kept(&mut uptime).unwrap(), first);
    drop(uptime);
    assert_eq!(host.machine().handles(), 0);
}

#[test]
fn a_file_of_a_process_is_never_kept() {
    let mut host = live();
    let mut file = KeptFile::new(Root::Proc, format!("{}/net/dev", std::process::id()));
    host.read_kept(&mut file).unwrap();
    assert_eq!(host.machine().handles(), 0);
}

#[test]
fn what_hardly_changes_is_read_once_a_minute() {
    const FILE: &str = "sys/devices/system/cpu/isolated";
    let tree = Tree::new(&[("calls/clock", "wall 86400\nboot 10\n"), (FILE, "1\n")]);
    let mut host = tree.host();
    let mut file = KeptFile::new(Root::Sys, "devices/system/cpu/isolated").rarely();
    assert_eq!(host.read_kept(&mut file).unwrap(), b"1\n");
    tree.write(FILE, "2-3\n");
    assert_eq!(host.read_kept(&mut file).unwrap(), b"1\n");
    let Clock::Scripted(script) = host.machine().clock.clone() else { panic!("a tree's clock is scripted") };
    script.advance(RARELY);
    assert_eq!(host.read_kept(&mut file).unwrap(), b"2-3\n");
    // What could not be read is asked for again at once, and what it was is forgotten.
    script.advance(RARELY);
    tree.remove(FILE);
    assert!(host.read_kept(&mut file).unwrap_err().is_absent());
    tree.write(FILE, "4\n");
    assert_eq!(host.read_kept(&mut file).unwrap(), b"4\n");
    assert_eq!(host.machine().handles(), 0);
}

#[test]
fn a_file_on_a_filesystem_is_never_kept() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stat"), "1\n").unwrap();
    let roots = Roots { proc: folder.path().to_str().unwrap().to_owned(), ..Roots::default() };
    let mut host = Host::new(Machine::new(roots, Clock::Real, None, Child::none()));
    let mut file = KeptFile::new(Root::Proc, "stat");
    assert_eq!(host.read_kept(&mut file).unwrap(), b"1\n");
    assert_eq!(host.machine().handles(), 0);
    std::fs::remove_file(folder.path().join("stat")).unwrap();
    assert!(host.read_kept(&mut file).unwrap_err().is_absent());
}

#[test]
fn large_files_come_whole_and_endless_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = vec![b'x'; BUFFER_FIRST * 5 + 1];
    std::fs::write(folder.path().join("large"), &text).unwrap();
    let roots = Roots { proc: folder.path().to_str().unwrap().to_owned(), sys: "/dev".to_owned(), ..Roots::default() };
    let mut host = Host::new(Machine::new(roots, Clock::Real, None, Child::none()));
    assert_eq!(host.read(Root::Proc, "large").unwrap(), text);
    assert!(matches!(host.read_regular("/dev/zero", 10), Err(Error::Other { .. })));
    let file = rustix::fs::open("/dev/zero", OFlags::RDONLY, Mode::empty()).unwrap();
    assert_eq!(fill(&mut Vec::new(), &file, End::Nothing), Err(Errno::FBIG));
}

#[test]
fn a_pipe_among_the_files_of_the_operator_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("a.prom");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(live().read_regular(pipe.to_str().unwrap(), 10).is_err());
}

#[test]
fn a_file_of_one_record_comes_whole() {
    let mut host = live();
    let mut file = KeptFile::single("stat");
    for _ in 0..2 {
        let text = host.read_kept(&mut file).unwrap();
        assert!(text.starts_with(b"cpu ") && parse::lines(text).last().unwrap().starts_with(b"softirq "));
    }
}

#[test]
fn what_one_has_read_others_take_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text| std::fs::write(folder.path().join("stat"), text).unwrap();
    let roots = Roots { proc: folder.path().to_str().unwrap().to_owned(), ..Roots::default() };
    let mut host = Host::new(Machine::new(roots, Clock::Scripted(Default::default()), None, Child::none()));
    let (mut one, mut other) = (KeptFile::shared("stat"), KeptFile::shared("stat"));
    write("1\n");
    assert_eq!(host.read_kept(&mut one).unwrap(), b"1\n");
    write("2\n");
    assert_eq!(host.read_kept(&mut other).unwrap(), b"1\n");
    assert_eq!(host.read_kept(&mut other).unwrap(), b"2\n");
    write("3\n");
    let Clock::Scripted(script) = &host.machine().clock else { unreachable!() };
    script.advance(SHARED_FOR);
    assert_eq!(host.read_kept(&mut one).unwrap(), b"3\n");
}

#[test]
fn the_network_is_the_machine_s_and_not_the_container_s() {
    let tree = Tree::new(&[("proc/net/snmp", "ours\n"), ("calls/errno", "proc/net/stat EIO\n")]);
    assert_eq!(tree.host().read(Root::Net, "snmp").unwrap(), b"ours\n");
    assert_eq!(tree.host().read(Root::Net, "stat").unwrap_err().reason(), "io");
    tree.write("proc/1/net/dev", "");
    tree.write("proc/1/net/snmp", "its\n");
    assert_eq!(tree.host().read(Root::Net, "snmp").unwrap(), b"its\n");
}

#[test]
fn a_list_of_short_lines_is_read_to_its_end() {
    let line = "x".repeat(200) + "\n";
    for count in [0, 1, 16, 17, 18, 100] {
        let tree = Tree::new(&[("proc/list", &line.repeat(count))]);
        let mut file = KeptFile::new(Root::Proc, "list").lines();
        assert_eq!(tree.host().read_kept(&mut file).unwrap().len(), line.len() * count);
    }
    // Of the kernel's own: one line for each symbol, 100 KB and more in pages of 4 KiB.
    let path = "kallsyms";
    let Ok(all) = live().read(Root::Proc, path).map(<[u8]>::len) else { return };
    assert_eq!(live().read_kept(&mut KeptFile::new(Root::Proc, path).lines()).unwrap().len(), all);
}
