use super::*;

#[test]
fn the_clock_is_asked_and_left_alone() {
    match adjtimex() {
        Ok((state, timex)) => {
            assert!((0..=5).contains(&state));
            assert!((9_000..=11_000).contains(&timex.tick), "microseconds of a tick: {}", timex.tick);
        }
        Err(errno) => assert_eq!(errno, Errno::PERM, "a seccomp profile may say so"),
    }
}

#[test]
fn a_room_is_all_its_own_and_ends_where_it_says() {
    let mut room = Room::new().unwrap();
    assert!(room.bytes().iter().all(|byte| *byte == 0));
    room.bytes()[Room::SIZE - 1] = 1;
    std::thread::spawn(move || assert_eq!(room.bytes()[Room::SIZE - 1], 1)).join().unwrap();
}

#[test]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn numbers_of_ioctls_are_the_kernel_s() {
    assert_eq!(FSGETXATTR, 0x801c_581f);
    assert_eq!([BTRFS_FS_INFO, BTRFS_DEV_INFO, BTRFS_GET_DEV_STATS], [0x8400_941f, 0xd000_941e, 0xc408_9434]);
}

#[test]
fn idleness_is_this_threads_own() {
    std::thread::spawn(|| {
        become_idle();
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        assert_eq!(stat.rsplit(") ").next().unwrap().split(' ').nth(38), Some("5"), "SCHED_IDLE: {stat}");
    })
    .join()
    .unwrap();
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    assert_ne!(stat.rsplit(") ").next().unwrap().split(' ').nth(38), Some("5"));
}

#[test]
fn what_has_no_projects_is_in_none() {
    let folder = rustix::fs::open("/proc/self", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    assert_eq!(project(&folder), Ok(0));
    assert!(quota_of_folder(&folder, 1).is_err() && quota_of_device("/dev/null", 1).is_err());
    let limits = Counted { bytes: 5, bytes_soft: 2, inodes: 6, inodes_hard: 9, inodes_soft: 8, ..Counted::default() };
    assert_eq!(limits.figures(), [5, 6, 2048, 9]);
}

#[test]
fn what_is_no_btrfs_does_not_know_its_ioctls() {
    let folder = rustix::fs::open("/proc/self", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    assert_eq!(btrfs_filesystem(&folder).err(), Some(Errno::NOTTY));
    assert_eq!(btrfs_device(&folder, 1).err(), Some(Errno::NOTTY));
    assert_eq!(btrfs_errors(&folder, 1).err(), Some(Errno::NOTTY));
}

#[test]
fn a_driver_is_asked() {
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM, None).unwrap();
    let mut room = Room::new().unwrap();
    let mut name = [0; NAME_MAX];
    name[..7].copy_from_slice(b"no-such");
    assert_eq!(ethtool(&socket, name, &mut room), Err(Errno::NODEV));
}

/// Nothing has such a unit: the kernel says so, or that it is not told to us.
#[test]
fn what_nothing_counts_is_not_counted() {
    let errno = perf_event_open(u32::MAX, 0, 0).unwrap_err();
    let said = [Errno::NOENT, Errno::NODEV, Errno::INVAL, Errno::OPNOTSUPP, Errno::ACCESS, Errno::PERM, Errno::NOSYS];
    assert!(said.contains(&errno), "{errno}");
}
