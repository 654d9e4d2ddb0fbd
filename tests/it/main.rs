//! What only the whole program can show, on the machine that the tests run on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod clients;
mod daemon;
mod faults;
mod fuse;
mod scrape;
mod stuck;
