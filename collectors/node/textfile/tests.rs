use super::*;
use crate::kit::testing::{Opened, Tree};

/// A machine with these files in `/text`, opened on that folder, long after the files were written.
fn opened(files: &[(&str, &str)]) -> (Tree, Opened) {
    let tree = Tree::new(&[("text/", "")]);
    files.iter().for_each(|(name, text)| tree.write(&format!("text/{name}"), text));
    let opened = tree.open(&SPEC, &[("directory", &format!("{}/text", tree.path()))]);
    (tree, opened)
}

/// A round without its times, the folder's path left out.
fn round(tree: &Tree, opened: &mut Opened) -> String {
    opened
        .round()
        .lines()
        .filter(|line| !line.contains("mtime"))
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .replace(tree.path(), "")
}

/// What is wrong, in the words of the log.
fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let (tree, opened) = opened(files);
    let mut textfile = reader(&tree, "text");
    let mut host = opened.host;
    let mut out = Batch::new(100);
    textfile.collect(&mut host, &mut out).unwrap();
    out.faults().iter().map(|error| error.to_string().replace(tree.path(), "")).collect()
}

fn reader(tree: &Tree, pattern: &str) -> Textfile {
    Textfile::new(vec![Glob::new(&format!("{}/{pattern}", tree.path()))])
}

#[test]
fn families_of_all_files_are_one_page() {
    let (tree, mut opened) = opened(&[
        ("a.prom", "# TYPE jobs gauge\njobs{job=\"b\"} 1\njobs 2\n"),
        ("b.prom", "# HELP jobs Jobs.\n# TYPE jobs gauge\njobs{host=\"x\"} 3\n# TYPE t summary\nt_sum 4\n"),
        ("c.txt", "not read\n"),
        ("empty.prom", ""),
    ]);
    let page = "jobs 2\njobs{job=\"b\"} 1\njobs{host=\"x\"} 3\nnode_textfile_scrape_error 0\n\
        t Distribution { points: [], count: None, sum: Some(4.0) }\n";
    assert_eq!(round(&tree, &mut opened), page);
    assert_eq!(round(&tree, &mut opened), page);
}

#[test]
fn the_first_help_counts_and_the_file_stands_in_for_none() {
    let tree = Tree::new(&[
        ("t/a.prom", "a 1\nb 1\n"),
        ("t/b.prom", "# HELP a A.\na{x=\"1\"} 1\n"),
        ("t/c.prom", "# HELP a B.\na{x=\"2\"} 1\n"),
    ]);
    let mut out = Batch::new(100);
    reader(&tree, "t").collect(&mut tree.host(), &mut out).unwrap();
    let help: Vec<_> = out.columns().iter().skip(2).map(|column| column.family.help.replace(tree.path(), "")).collect();
    assert_eq!(help, ["A.", "Found in /t/a.prom, which does not say what it means."]);
    assert_eq!(out.faults(), []);
}

#[test]
fn without_a_directory_there_is_no_error() {
    Tree::new(&[]).check(&SPEC, &[], "node_textfile_scrape_error 0\n");
}

#[test]
fn a_directory_that_is_missing_is_an_error_unless_a_pattern_names_it() {
    let tree = Tree::new(&[("file", "")]);
    let missing = format!("{}/none", tree.path());
    tree.check(&SPEC, &[("directory", &missing)], "node_textfile_scrape_error 1\n! absent\n");
    let pattern = format!("{}/f*", tree.path());
    tree.check(&SPEC, &[("directory", &pattern)], "node_textfile_scrape_error 0\n");
}

#[test]
fn a_bad_file_costs_only_itself() {
    let files = [
        ("bad.prom", "a 1\nb one\n"),
        ("cut.prom", "a 1\nb 2"),
        ("folder.prom/x", ""),
        ("good.prom", "good 1\n"),
        ("lost.prom", "-> nowhere"),
        ("timed.prom", "a 1\nb 2 1700000000000\n"),
        ("twice.prom", "a 1\na 1\n"),
    ];
    let (tree, mut all) = opened(&files);
    let page =
        "good 1\nnode_textfile_scrape_error 1\n! absent\n! malformed\n! malformed\n! malformed\n! malformed\n! other\n";
    assert_eq!(round(&tree, &mut all), page);
    let expected = [
        "/text/bad.prom:2: expected a number",
        "/text/cut.prom:2: expected a line feed at the end of the file",
        "/text/folder.prom: not a regular file",
        "/text/lost.prom: not on this machine",
        "/text/timed.prom:2: expected no timestamp: Prometheus dates what it reads itself",
        "/text/twice.prom:2: expected each series once",
    ];
    assert_eq!(errors(&files), expected);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let (tree, mut all) = opened(&[("a.prom", "")]);
    let file = std::fs::File::create(format!("{}/text/a.prom", tree.path())).unwrap();
    file.set_len(FILE_MAX as u64 + 1).unwrap();
    assert_eq!(round(&tree, &mut all), "node_textfile_scrape_error 1\n! too_large\n");
}

#[test]
fn the_later_file_loses_what_clashes_and_nothing_else() {
    let files = [
        ("a.prom", "# TYPE a counter\na 1\na{x=\"1\"} 1\n# TYPE h histogram\nh_count 1\nz_sum 1\n"),
        ("b.prom", "# TYPE a gauge\na{x=\"3\"} 2\nb 2\n"),
        ("c.prom", "# TYPE a counter\na{x=\"2\"} 3\na{x=\"1\"} 3\na 3\nh_count 3\n# TYPE z summary\nz_count 3\n"),
        ("d.prom", "node_textfile_mtime_seconds 4\na{x=\"2\"} 4\n"),
    ];
    let (tree, mut all) = opened(&files);
    let page = "a 1\na{x=\"1\"} 1\na{x=\"2\"} 3\nb 2\n\
        h Distribution { points: [(inf, 1.0)], count: Some(1.0), sum: None }\n\
        node_textfile_scrape_error 1\nz_sum 1\n! other\n! other\n! other\n! other\n! other\n! other\n";
    assert_eq!(round(&tree, &mut all), page);
    let expected = [
        "/text/b.prom:1: a is gauge here and counter in /text/a.prom",
        "/text/c.prom:3: a repeats 2 series of an earlier file",
        "/text/c.prom:5: h_count is on the lines of a histogram or summary in /text/a.prom",
        "/text/c.prom:6: z has lines with the name of z_sum in /text/a.prom",
        "/text/d.prom:1: node_textfile_mtime_seconds is a name of the collector itself",
        "/text/d.prom:2: a is untyped here and counter in /text/a.prom",
    ];
    assert_eq!(errors(&files), expected);
}

#[test]
fn what_changes_is_read_again_and_what_is_gone_is_forgotten() {
    let (tree, mut all) = opened(&[("a.prom", "a 1\n"), ("b.prom", "a 2\n")]);
    assert_eq!(round(&tree, &mut all), "a 1\nnode_textfile_scrape_error 1\n! other\n");
    // Written within one tick of the clock: only the bytes differ.
    tree.write("text/b.prom", "b 2\n");
    assert_eq!(round(&tree, &mut all), "a 1\nb 2\nnode_textfile_scrape_error 0\n");
    tree.remove("text/a.prom");
    assert_eq!(round(&tree, &mut all), "b 2\nnode_textfile_scrape_error 0\n");
}

#[test]
fn what_is_unchanged_is_not_parsed_again() {
    let tree = Tree::new(&[("calls/clock", "wall 9999999999\n"), ("t/a.prom", "a 1\n"), ("t/b.prom", "b\n")]);
    let (mut textfile, mut host, mut out) = (reader(&tree, "t"), tree.host(), Batch::new(100));
    textfile.collect(&mut host, &mut out).unwrap();
    assert!(textfile.files.values().all(|kept| kept.stamp.is_some()));
    assert!(!textfile.refresh(&mut host));
    tree.write("t/b.prom", "b 22\n");
    assert!(textfile.refresh(&mut host));
    assert!(textfile.files.values().all(|kept| kept.content.is_ok()));
}

#[test]
fn what_was_refused_for_want_of_room_is_read_when_there_is_some() {
    let many = |name: &str| (0..60_000).fold(String::new(), |all, at| all + &format!("{name}{{i=\"{at}\"}} 1\n"));
    let tree = Tree::new(&[("calls/clock", "wall 9999999999\n"), ("t/a.prom", &many("a")), ("t/b.prom", &many("b"))]);
    let (mut textfile, mut host) = (reader(&tree, "t"), tree.host());
    let good = |textfile: &Textfile| textfile.files.values().filter(|kept| kept.content.is_ok()).count();
    (textfile.paths, _) = textfile.list(&mut host, &mut Vec::new());
    textfile.refresh(&mut host);
    assert_eq!(good(&textfile), 1);
    assert!(!textfile.refresh(&mut host));
    textfile.paths.pop_first();
    textfile.refresh(&mut host);
    textfile.refresh(&mut host);
    assert_eq!(good(&textfile), 1);
}

#[test]
fn a_folder_that_has_not_changed_is_not_listed_again_for_a_while() {
    let tree = Tree::new(&[("calls/clock", "wall 9999999999\n"), ("t/a.prom", "a 1\n"), ("u/b.prom", "b 1\n")]);
    let (mut textfile, mut opened) = (reader(&tree, "t"), tree.open(&SPEC, &[]));
    let collect = |textfile: &mut Textfile, opened: &mut Opened| {
        let mut out = Batch::new(100);
        textfile.collect(&mut opened.host, &mut out).unwrap();
        out.len()
    };
    let one = collect(&mut textfile, &mut opened);
    assert!(textfile.is_listed(&mut opened.host));
    opened.advance(LISTED_FOR);
    assert!(!textfile.is_listed(&mut opened.host), "not every filesystem tells of changes");
    assert_eq!(collect(&mut textfile, &mut opened), one);
    assert!(textfile.is_listed(&mut opened.host));
    std::thread::sleep(Duration::from_millis(20));
    tree.write("t/c.prom", "c 1\n");
    assert_eq!(collect(&mut textfile, &mut opened), one + 2);
    let mut fresh = reader(&Tree::new(&[("t/a.prom", "a 1\n")]), "t");
    collect(&mut fresh, &mut opened);
    assert!(fresh.listed.is_none(), "what is gone is looked for in each round");
    let mut globbed = reader(&tree, "?");
    collect(&mut globbed, &mut opened);
    assert!(globbed.listed.is_none(), "a pattern may stand for more at any time");
}

#[test]
fn the_time_of_each_good_file_is_told_to_the_nanosecond() {
    let tree = Tree::new(&[("t/a.prom", "a 1\n"), ("t/b.prom", "b\n"), ("u/c.prom", "")]);
    for name in ["t/a.prom", "t/b.prom", "u/c.prom"] {
        let file = std::fs::File::open(format!("{}/{name}", tree.path())).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001)).unwrap();
    }
    let mut out = Batch::new(100);
    reader(&tree, "[tu]").collect(&mut tree.host(), &mut out).unwrap();
    let column = out.columns().iter().find(|column| column.family.name == MTIME.name).unwrap();
    let files = column.samples.iter().map(|sample| out.labels().all(sample.of)[0].1.replace(tree.path(), ""));
    assert_eq!(files.collect::<Vec<_>>(), ["/t/a.prom", "/u/c.prom"]);
    assert_eq!(column.samples[0].value, Value::Scaled(1_700_000_000_000_000_001, 9));
}
