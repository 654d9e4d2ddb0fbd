//! The files in `tests/config`: each says itself what it means, or what is wrong with it.

use super::*;
use std::path::PathBuf;

/// The files of a folder below `tests/config`.
fn samples(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let samples: Vec<_> = paths.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
    assert!(!samples.is_empty());
    samples
}

/// Every valid file begins with comments: the flags that mean the same.
#[test]
fn valid_files_mean_the_flags_at_their_head() {
    for (path, text) in samples("valid") {
        let head: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
        let flags: Vec<&str> = head.iter().flat_map(|line| line.split_ascii_whitespace()).collect();
        let path = path.to_str().unwrap();
        let of_file = config(&["--config.file", path], &[]).unwrap();
        let of_flags = config(&flags, &[]).unwrap();
        assert_eq!(Config { file: None, ..of_file }, of_flags, "{path}");
    }
}

/// Every invalid file begins with the error; `PATH` stands for the file's name.
#[test]
fn invalid_files_are_told_at_their_line() {
    let mut wrong = Vec::new();
    for (path, text) in samples("invalid") {
        let expected = text.lines().next().unwrap().strip_prefix("# ").unwrap();
        let path = path.to_str().unwrap();
        let line = refused(&["--config.file", path], &[]).replace(path, "PATH");
        if line != expected {
            wrong.push(format!("{path}: {line}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}
