//! What only the whole program, or the whole house, can show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod bus;
mod check;
mod clients;
mod containers;
mod daemon;
mod export;
mod faults;
mod flags;
mod fuse;
mod golden;
mod grammar;
mod linked;
mod old_kernel;
mod oracle;
mod otlp;
mod peer;
mod power;
mod program;
mod runtimes;
mod scrape;
mod states;
mod stuck;
mod tegrastats;
mod tidy;
mod web;

/// Says why a test can't be run on this machine, past the capture of what tests print.
fn skipped(why: impl std::fmt::Display) {
    use std::io::Write;
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "test {test} skipped: {why}");
}
