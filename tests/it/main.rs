//! What only the whole program can show, on the machine that the tests run on.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that can't go on fails, and one that is skipped says so"
)]

mod fuse;
mod stuck;
