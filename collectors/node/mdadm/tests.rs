use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const TEXT: &str = "\
Personalities : [linear] [raid0] [raid1] [raid6] [raid5] [raid4] [raid10]
md_d0 : active raid5 sde[3] sdd[1](F) sdc[0] sdf[4](S) sdg[5](W) sdh[6](J)
      4190208 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [U_U]
      [=====>...............]  recovery = 29.1% (610816/2095104) finish=0.2min speed=122163K/sec
      bitmap: 1/1 pages [4KB], 65536KB chunk

unused devices: <none>
";

/// One array of `TEXT`'s shape: its first line, and those below.
fn one(first: &str, below: &str) -> Array {
    let text = format!("Personalities : [raid1]\n{first}\n{below}\nunused devices: <none>\n");
    let mut arrays = arrays(text.as_bytes());
    assert_eq!(arrays.len(), 1);
    arrays.remove(0).unwrap()
}

/// State, blocks, blocks synced, and the disks: required, active, failed, spare.
fn facts(array: &Array) -> (&str, Option<u64>, Option<u64>, [u64; 4]) {
    (array.state, array.blocks, array.synced, [array.required, array.active, array.failed, array.spare])
}

#[test]
fn an_array_that_recovers() {
    let tree = Tree::new(&[
        ("proc/mdstat", TEXT),
        ("sys/block/md_d0/md/degraded", "1\n"),
        ("sys/block/md_d0/md/raid_disks", "4 (3)\n"),
    ]);
    let expected = "\
node_md_blocks{device=\"md_d0\"} 4190208
node_md_blocks_synced{device=\"md_d0\"} 610816
node_md_degraded{device=\"md_d0\"} 1
node_md_disks{device=\"md_d0\",state=\"active\"} 2
node_md_disks{device=\"md_d0\",state=\"failed\"} 1
node_md_disks{device=\"md_d0\",state=\"spare\"} 1
node_md_disks_required{device=\"md_d0\"} 3
node_md_raid_disks{device=\"md_d0\"} 4
node_md_state{device=\"md_d0\",state=\"active\"} 0
node_md_state{device=\"md_d0\",state=\"inactive\"} 0
node_md_state{device=\"md_d0\",state=\"recovering\"} 1
node_md_state{device=\"md_d0\",state=\"resync\"} 0
node_md_state{device=\"md_d0\",state=\"check\"} 0
";
    tree.check(&SPEC, &[], expected);
}

#[test]
fn personalities() {
    let raid1 = one(
        "md127 : active raid1 nvme0n1p2[1] sda1[0]",
        "      1047552 blocks super 1.2 [2/2] [UU]\n      bitmap: 0/1 pages [0KB], 65536KB chunk\n",
    );
    assert_eq!(facts(&raid1), ("active", Some(1_047_552), Some(1_047_552), [2, 2, 0, 0]));
    let raid10 = one(
        "md-home : active (auto-read-only) raid10 sda[0] sdb[1](R)",
        "      1000 blocks super 1.2 2 near-copies [2/2] [UU]\n",
    );
    assert_eq!((raid10.name.as_str(), facts(&raid10)), ("md-home", ("active", Some(1000), Some(1000), [2, 2, 0, 0])));
    let raid0 = one("md2 : active raid0 sda2[1] sdb2[0](F)", "      4192256 blocks super 1.2 512k chunks\n");
    assert_eq!(facts(&raid0), ("active", Some(4_192_256), Some(4_192_256), [2, 1, 1, 0]));
    let linear = one("md7 : broken linear sda[0] sdb[1]", "      700 blocks super 1.2 64k rounding\n");
    assert_eq!(facts(&linear), ("broken", Some(700), Some(700), [2, 2, 0, 0]));
    let inactive = one("md3 : inactive sdc1[0](S) sdd1[1](S)", "      10402 blocks super external:imsm\n       \n");
    assert_eq!(facts(&inactive), ("inactive", Some(10402), Some(10402), [0, 0, 0, 2]));
    let empty = one("md4 : inactive", "       \n");
    assert_eq!(facts(&empty), ("inactive", None, None, [0, 0, 0, 0]));
}

#[test]
fn what_runs_and_how_far_it_is() {
    for (line, state, synced) in [
        ("\tresync=PENDING", "resync", 0),
        ("\tresync=DELAYED", "resync", 0),
        ("\tresync=REMOTE", "resync", 0),
        ("[=>..]  resync =  8.5% (85/1000) finish=1.0min speed=1K/sec", "resync", 85),
        ("[=>..]  check =  8.5% (85/1000) finish=1.0min speed=1K/sec", "check", 85),
        ("[=>..]  reshape =  8.5% (85/500) finish=1.0min speed=1K/sec", "reshape", 85),
        ("[==>.]  recovery =100.0% (1000/1000) finish=0.0min speed=1K/sec", "recovering", 1000),
    ] {
        let below = format!("      1000 blocks [2/2] [UU]\n      {line}\n      bitmap: 0/1 pages [0KB], 64KB chunk\n");
        let array = one("md8 : active raid1 sda[0] sdb[1]", &below);
        assert_eq!(facts(&array), (state, Some(1000), Some(synced), [2, 2, 0, 0]), "{line}");
    }
}

#[test]
fn rare_states_are_told_while_they_hold() {
    let tree = Tree::new(&[("proc/mdstat", "md0 : broken linear sda[0]\n      7 blocks super 1.2\n\n")]);
    let round = tree.open(&SPEC, &[]).round();
    let states: Vec<_> = round.lines().filter(|line| line.ends_with(" 1") && line.contains("node_md_state")).collect();
    assert_eq!(states, ["node_md_state{device=\"md0\",state=\"broken\"} 1"]);
}

#[test]
fn a_malformed_array_costs_only_itself() {
    let text = "\
Personalities : [raid1]
md0 is active
      1000 blocks [2/2] [UU]

md1 : active raid1 sda[0]
      1000 blocks super 1.2
      an unknown line

md2 : active raid1 sda[0]
      1000 blocks [2/2] [UU]
      [=>..]  check = ?

md3 : active raid1 sda[0]
      some 1000 blocks unknown 1.2 [2/1] [U_]
      an unknown line
md4 : ajar raid1 sda[0]
";
    let found = arrays(text.as_bytes());
    let names: Vec<_> = found.iter().map(|array| array.as_ref().map(|array| array.name.as_str())).collect();
    assert_eq!(names, [Err(&2), Err(&5), Ok("md2"), Ok("md3"), Err(&16)]);
    let round = Tree::new(&[("proc/mdstat", text)]).open(&SPEC, &[]).round();
    assert!(round.contains("node_md_disks{device=\"md3\",state=\"active\"} 1\n"), "{round}");
    assert!(!round.contains("node_md_blocks_synced{device=\"md2\"}"), "{round}");
    assert!(round.contains("node_md_state{device=\"md2\",state=\"check\"} 1\n"), "{round}");
    assert!(round.ends_with(&"! malformed\n".repeat(4)), "{round}");
}

#[test]
fn attributes_that_fail_cost_only_themselves() {
    let tree = Tree::new(&[
        ("proc/mdstat", TEXT),
        ("sys/block/md_d0/md/degraded", "1\n"),
        ("sys/block/md_d0/md/raid_disks", "all\n"),
        ("sys/block/sda/md/raid_disks", "9\n"),
        ("calls/errno", "sys/block/md_d0/md/degraded EBUSY\n"),
    ]);
    let round = tree.open(&SPEC, &[]).round();
    assert!(!round.contains("node_md_degraded") && !round.contains("node_md_raid_disks"), "{round}");
    assert!(round.contains("node_md_blocks{device=\"md_d0\"} 4190208\n"), "{round}");
    assert!(round.ends_with("! io\n! malformed\n"), "{round}");
}

#[test]
fn arrays_that_only_sysfs_names() {
    let tree = Tree::new(&[
        ("proc/mdstat", "Personalities :\nunused devices: <none>\n"),
        ("sys/block/md0/md/level", "raid0\n"),
        ("sys/block/md0/md/raid_disks", "2\n"),
        ("sys/block/md1/md/level", "raid1\n"),
        ("sys/block/md1/md/raid_disks", "\n"),
        ("sys/block/md2/md/level", ""),
        ("sys/block/md2/md/raid_disks", "0\n"),
        ("sys/block/md127/md/level", "container\n"),
        ("sys/block/md127/md/raid_disks", "0\n"),
    ]);
    let page = "node_md_degraded{device=\"md0\"} 0\nnode_md_degraded{device=\"md127\"} 0\n\
                node_md_raid_disks{device=\"md0\"} 2\n";
    tree.check(&SPEC, &[], page);
}

#[test]
fn the_driver_comes_and_goes() {
    let tree = Tree::new(&[]);
    tree.check(&SPEC, &[], "absent\n");
    tree.write("proc/mdstat", "Personalities :\nunused devices: <none>\n");
    let mut opened = tree.open(&SPEC, &[]);
    assert_eq!(opened.round(), "");
    tree.remove("proc/mdstat");
    assert_eq!(opened.round(), "! absent\n");
    tree.write("proc/mdstat", TEXT);
    assert!(opened.round().contains("node_md_blocks{device=\"md_d0\"} 4190208\n"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        arrays(&bytes);
    }

    #[test]
    fn no_mixture_of_its_words_makes_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "md0", ":", "active", "inactive", "raid1", "raid0", "sda[0](F)", "sd[a]", "[", "]b[1]", "12", "blocks",
                "[2/1]", "[2/", "(1/2)", "recovery", "resync=PENDING", "check", "=", "\n", "\n      ", "\n\n",
            ]),
            0..60,
        )
    ) {
        arrays(words.join(" ").as_bytes());
    }
}
