use super::*;
use crate::kit::testing::Tree;
use proptest::prelude::*;

const HOME: &str = "sys/fs/bcachefs/c0ffee-1";

fn round(files: &[(&str, &str)]) -> String {
    let tree = Tree::new(&[("sys/fs/bcachefs/c0ffee-1/", "")]);
    files.iter().for_each(|(path, text)| tree.write(&format!("{HOME}/{path}"), text));
    let round = tree.open(&SPEC, &[]).round();
    round.replace("uuid=\"c0ffee-1\"", "ID").replace("node_bcachefs_", "")
}

#[test]
fn a_filesystem() {
    let said = round(&[
        ("btree_cache_size", "2M\n"),
        (
            "compression_stats",
            "type      compressed    uncompressed     average extent size\nlz4   1.5k  4k  64k\nincompressible 3 3 1\n",
        ),
        ("btree_write_stats", "              nr   size\ninitial:   19088  108k\ncache_reclaim: 0 0\n"),
        ("errors", "bset_bad_csum 1 1700000000\nsubvol_missing 7\nvalidate_error 12345678901700000000\n"),
        ("counters/btree_node_read", "since mount:   12\nsince filesystem creation:  1.5M\n"),
        ("counters/a-new-one", "since mount: 1\nsince filesystem creation: 18446744073709551615"),
    ]);
    let page = "a_new_one_total{ID} 18446744073709552000\nbtree_cache_size_bytes{ID} 2097152\n\
        btree_node_read_total{ID} 1572864\n\
        btree_write_average_size_bytes{type=\"initial\",ID} 110592\n\
        btree_write_average_size_bytes{type=\"cache_reclaim\",ID} 0\n\
        btree_writes_total{type=\"initial\",ID} 19088\nbtree_writes_total{type=\"cache_reclaim\",ID} 0\n\
        compression_compressed_bytes{algorithm=\"lz4\",ID} 1536\n\
        compression_compressed_bytes{algorithm=\"incompressible\",ID} 3\n\
        compression_uncompressed_bytes{algorithm=\"lz4\",ID} 4096\n\
        compression_uncompressed_bytes{algorithm=\"incompressible\",ID} 3\n\
        errors_total{error_type=\"bset_bad_csum\",ID} 1\nerrors_total{error_type=\"subvol_missing\",ID} 7\n\
        errors_total{error_type=\"validate_error\",ID} 1234567890\ninfo{ID} 1\n";
    assert_eq!(said, page);
}

#[test]
fn a_device() {
    let said = round(&[
        ("dev-0/label", "ssd.fast\n"),
        ("dev-0/state", "rw\n"),
        ("dev-0/bucket_size", "512k\n"),
        ("dev-0/nbuckets", "976762\n"),
        ("dev-0/io_done", "read:\nsb          :     3989504\nwrite:\nuser        :    16\nbroken\n"),
        (
            "dev-0/io_errors",
            "IO errors since filesystem creation\n  read:    1\n  checksum:3\nIO errors since 9 y ago\n  read: 7\n",
        ),
    ]);
    let page = "device_bucket_size_bytes{device=\"0\",ID} 524288\ndevice_buckets{device=\"0\",ID} 976762\n\
        device_info{device=\"0\",label=\"ssd.fast\",state=\"rw\",ID} 1\n\
        device_io_done_bytes_total{data_type=\"sb\",device=\"0\",operation=\"read\",ID} 3989504\n\
        device_io_done_bytes_total{data_type=\"user\",device=\"0\",operation=\"write\",ID} 16\n\
        device_io_errors_total{device=\"0\",type=\"read\",ID} 1\n\
        device_io_errors_total{device=\"0\",type=\"checksum\",ID} 3\ninfo{ID} 1\n! malformed\n";
    assert_eq!(said, page);
}

#[test]
fn what_does_not_read_costs_only_itself() {
    let said = round(&[
        ("btree_cache_size", "much\n"),
        ("counters/copygc", "since mount: 3\n"),
        ("compression_stats", "type\nzstd x 1\nzstd 1\ngzip 1 2\n"),
        ("dev-0/nbuckets", "-1\n"),
    ]);
    let page = "compression_compressed_bytes{algorithm=\"gzip\",ID} 1\n\
                compression_uncompressed_bytes{algorithm=\"gzip\",ID} 2\ndevice_info{device=\"0\",ID} 1\ninfo{ID} 1\n";
    assert_eq!(said, format!("{page}{}", "! malformed\n".repeat(4)));
    Tree::new(&[]).check(&SPEC, &[], "absent\n");
    Tree::new(&[("sys/fs/bcachefs/", "")]).check(&SPEC, &[], "absent\n");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        figure(&bytes);
        since_creation(&[b"since filesystem creation:", bytes.as_slice()].concat());
        table(&bytes);
        errors(&bytes);
        io_done(&[b"read:\n", bytes.as_slice()].concat());
        io_errors(&[b"IO errors since filesystem creation\n", bytes.as_slice()].concat());
    }
}
