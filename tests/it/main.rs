//! What only the whole program can show, on the machine that the tests run on.

mod fuse;
mod stuck;
