//! The program under test: the one that was built with the tests, or what `PROGRAM_UNDER_TEST` names.
//!
//! So the tests that only run the program can be run against another build of it, such as a release build for another
//! processor: `PROGRAM_UNDER_TEST="qemu-aarch64-static target/aarch64-unknown-linux-gnu/release/wholenode"`.

use std::path::PathBuf;
use std::process::Command;

const BUILT: &str = env!("CARGO_BIN_EXE_wholenode");

/// What is before the program's own arguments: it alone, or who runs it.
fn words() -> Vec<String> {
    let named = std::env::var("PROGRAM_UNDER_TEST").unwrap_or_default();
    let words: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() { vec![BUILT.to_owned()] } else { words }
}

/// A command that runs it.
pub(crate) fn command() -> Command {
    let words = words();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Its file.
pub(crate) fn file() -> PathBuf {
    words().pop().unwrap().into()
}

/// Whether an emulator runs it, whose own system calls are those that the kernel sees.
pub(crate) fn is_emulated() -> bool {
    words().len() > 1
}
