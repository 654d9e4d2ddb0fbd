use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const HOME: &str = "sys/fs/btrfs/c0ffee00-0000-4000-8000-000000000001";

fn tree(files: &[(&str, &str)]) -> Tree {
    let tree = Tree::new(&[("sys/fs/btrfs/features/free_space_tree", "0\n")]);
    files.iter().for_each(|(path, text)| tree.write(&format!("{HOME}/{path}"), text));
    tree
}

/// The round without the words that every line has.
fn round(tree: &Tree) -> String {
    let round = tree.open(&SPEC, &[]).round().replace("uuid=\"c0ffee00-0000-4000-8000-000000000001\"", "ID");
    round.replace("node_btrfs_", "")
}

#[test]
fn a_filesystem_on_one_disk() {
    let tree = tree(&[
        ("label", "home\n"),
        ("metadata_uuid", "c0ffee00-0000-4000-8000-000000000001\n"),
        ("allocation/global_rsv_size", "16777216\n"),
        ("allocation/data/bytes_reserved", "4096\n"),
        ("allocation/data/total_bytes", "9\n"),
        ("allocation/data/flags", "1\n"),
        ("allocation/data/single/total_bytes", "8388608\n"),
        ("allocation/data/single/used_bytes", "1048576\n"),
        ("allocation/metadata/dup/total_bytes", "2\n"),
        ("allocation/system/future/total_bytes", "3\n"),
        ("commit_stats", "commits 12\ncur_commit_ms 0\nlast_commit_ms 251\nmax_commit_ms 1300\ntotal_commit_ms 5\n"),
        ("devices/sda2/size", "2048\n"),
        ("devinfo/1/error_stats", "write_errs 1\nread_errs 2\nflush_errs 0\ncorruption_errs 4\ngeneration_errs 5\n"),
    ]);
    let page = "allocation_ratio{block_group_type=\"data\",mode=\"single\",ID} 1\n\
        allocation_ratio{block_group_type=\"metadata\",mode=\"dup\",ID} 2\ncommit_seconds_total{ID} 0.005\n\
        commits_total{ID} 12\n\
        device_errors_total{device=\"sda2\",type=\"write\",ID} 1\n\
        device_errors_total{device=\"sda2\",type=\"read\",ID} 2\n\
        device_errors_total{device=\"sda2\",type=\"flush\",ID} 0\n\
        device_errors_total{device=\"sda2\",type=\"corruption\",ID} 4\n\
        device_errors_total{device=\"sda2\",type=\"generation\",ID} 5\n\
        device_size_bytes{device=\"sda2\",ID} 1048576\n\
        global_rsv_size_bytes{ID} 16777216\ninfo{label=\"home\",ID} 1\nlast_commit_seconds{ID} 0.251\n\
        max_commit_seconds{ID} 1.3\nreserved_bytes{block_group_type=\"data\",ID} 4096\n\
        size_bytes{block_group_type=\"data\",mode=\"single\",ID} 8388608\n\
        size_bytes{block_group_type=\"metadata\",mode=\"dup\",ID} 2\n\
        size_bytes{block_group_type=\"system\",mode=\"future\",ID} 3\n\
        used_bytes{block_group_type=\"data\",mode=\"single\",ID} 1048576\n";
    assert_eq!(round(&tree), page);
}

const MOUNTS: &str = "1 0 0:9 / / rw - tmpfs x rw\n30 1 0:40 /a /a rw - btrfs /dev/sda rw\n\
                      31 1 0:40 /b /b rw - btrfs /dev/sda rw\n";
const SAID: &str = "c0ffee00-0000-4000-8000-000000000001";

/// Two disks, of which one is missing.
fn mounted(calls: &str) -> Tree {
    let tree = tree(&[("devices/sda/size", "2048\n"), ("devinfo/1/error_stats", "write_errs 9\n")]);
    tree.write("proc/1/mountinfo", MOUNTS);
    tree.write("calls/btrfs", &calls.replace("ID", SAID));
    tree
}

#[test]
fn what_a_filesystem_says_itself() {
    let tree = mounted("/a ID u-1 sda 1000 400 1 2 3 4 5\n/a ID u-2 - 3000 3001\n/b EIO\n");
    let errors = |(kind, count)| {
        format!("device_errors_total{{btrfs_dev_uuid=\"u-1\",device=\"sda\",type=\"{kind}\",ID}} {count}\n")
    };
    let page = ERRORS.iter().zip(1..).map(errors).collect::<String>()
        + "device_size_bytes{btrfs_dev_uuid=\"u-1\",device=\"sda\",ID} 1000\n\
           device_size_bytes{btrfs_dev_uuid=\"u-2\",ID} 3000\n\
           device_unused_bytes{btrfs_dev_uuid=\"u-1\",device=\"sda\",ID} 600\ninfo{ID} 1\n";
    assert_eq!(round(&tree), page);
}

#[test]
fn another_mount_is_asked_where_one_can_not_be_opened() {
    let listed =
        "device_errors_total{device=\"sda\",type=\"write\",ID} 9\ndevice_size_bytes{device=\"sda\",ID} 1048576\n";
    let said = "device_size_bytes{btrfs_dev_uuid=\"u\",device=\"sda\",ID} 1000\n\
                device_unused_bytes{btrfs_dev_uuid=\"u\",device=\"sda\",ID} 600\n";
    let answer = "ID u sda 1000 400\n";
    for (calls, page, faults) in [
        (format!("/a EACCES\n/b {answer}"), said, ""),
        (format!("/a {answer}/b STUCK\n"), said, ""),
        ("/a EIO\n/b EACCES\n".to_owned(), listed, "! denied\n"),
        // The other mount is of the same filesystem: it would hang as well.
        (format!("/a STUCK\n/b {answer}"), listed, "! stuck\n"),
        // Unmounted since the table was read, or of another filesystem.
        (String::new(), listed, ""),
        ("/a other u sda 1 1\n".to_owned(), listed, ""),
    ] {
        assert_eq!(round(&mounted(&calls)), format!("{page}info{{ID}} 1\n{faults}"), "{calls}");
    }
}

#[test]
fn an_old_kernel_and_several_disks() {
    let tree = tree(&[
        ("label", "\n"),
        ("devices/sda/size", "1\n"),
        ("devices/sdb/size", "2\n"),
        ("devices/sdc/size", "3\n"),
        ("devinfo/1/error_stats", "write_errs 1\n"),
        ("allocation/data/raid5/total_bytes", "30\n"),
    ]);
    let page = "allocation_ratio{block_group_type=\"data\",mode=\"raid5\",ID} 1.5\n\
                device_size_bytes{device=\"sda\",ID} 512\ndevice_size_bytes{device=\"sdb\",ID} 1024\n\
                device_size_bytes{device=\"sdc\",ID} 1536\ninfo{ID} 1\n\
                size_bytes{block_group_type=\"data\",mode=\"raid5\",ID} 30\n";
    assert_eq!(round(&tree), page);
}

#[test]
fn what_does_not_read_costs_only_itself() {
    let tree = tree(&[
        ("devices/sda/size", "many\n"),
        ("commit_stats", "commits -1\nlast_commit_ms 251\n"),
        ("allocation/global_rsv_size", "1\n"),
    ]);
    tree.write("calls/errno", &format!("{HOME}/allocation/global_rsv_size EIO\n"));
    let faults = "! io\n! malformed\n! malformed\n! malformed\n! malformed\n";
    assert_eq!(round(&tree), format!("info{{ID}} 1\nlast_commit_seconds{{ID}} 0.251\n{faults}"));
}

#[test]
fn without_the_module_there_is_none() {
    Tree::new(&[]).check(&SPEC, &[], "");
    Tree::new(&[("sys/fs/btrfs/features/x", "")]).check(&SPEC, &[], "");
    Tree::new(&[("sys/fs/btrfs/0-1/label", "x\n")]).check(&SPEC, &[], "");
}

#[test]
fn how_often_a_byte_is_written() {
    assert_eq!(ratio("raid6", 4), Some(2.0));
    assert_eq!(ratio("raid6", 2), None);
    assert_eq!(ratio("raid5", 0), None);
    assert_eq!(ratio("raid1c4", 0), Some(4.0));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        counted(&bytes, "commits");
        counted(&[b"commits ", bytes.as_slice(), b"\n"].concat(), "commits");
    }
}
