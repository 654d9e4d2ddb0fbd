//! Arguments → configuration → run; exit codes.
fn main() {
    if std::env::args_os().nth(1).is_some_and(|word| word == collectors::kit::child::ARGUMENT) {
        collectors::kit::child::serve();
    }
}
