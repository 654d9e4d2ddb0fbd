//! Arguments → configuration → run; exit codes.
fn main() {}
