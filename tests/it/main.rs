//! What only the whole program, or the whole house, can show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod clients;
mod daemon;
mod faults;
mod fuse;
mod golden;
mod grammar;
mod linked;
mod scrape;
mod stuck;
mod tidy;
