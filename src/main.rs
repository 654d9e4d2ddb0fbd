//! Arguments → configuration → run; exit codes: 0 well, 1 could not run (or `check` found faults, or not all was pushed), 2 told something that can't be done.

use std::io::Write;
use std::process::ExitCode;
use wholenode::config::{Command, Written};
use wholenode::daemon;

fn main() -> ExitCode {
    // Before anything else: threads have the capabilities of those that start them. The child needs them too.
    collectors::kit::raise_capabilities();
    // The child is this program too, and must not hold, read or start anything else.
    if std::env::args_os().nth(1).is_some_and(|word| word == collectors::kit::child::ARGUMENT) {
        collectors::kit::child::serve();
        return ExitCode::SUCCESS;
    }
    collectors::kit::share_heap();
    collectors::kit::raise_open_files();
    let written = Written::for_this_process();
    let loaded = match daemon::apart(|| written.load()) {
        Ok(loaded) => loaded,
        Err(error) => return complain(&error, 1),
    };
    let done = match loaded {
        Ok(Command::Serve(config)) => daemon::serve(&written, config),
        Ok(Command::Once { config, group }) => daemon::once(&config, group).and_then(|page| print(&page)),
        Ok(Command::Push(config)) => daemon::push(&config),
        Ok(Command::Check(config)) => match daemon::check(&config) {
            Ok(report) => match print(report.text.as_bytes()) {
                Ok(()) if !report.is_well => return ExitCode::FAILURE,
                done => done,
            },
            Err(error) => Err(error),
        },
        Ok(Command::Metrics) => print(daemon::reference().as_bytes()),
        Ok(Command::Print(text)) => print(text.as_bytes()),
        Err(error) => return complain(&error.to_string(), 2),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, 1),
    }
}

fn print(text: &[u8]) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| format!("standard output: {error}")),
    }
}

fn complain(error: &str, code: u8) -> ExitCode {
    // Nothing is left to be done about an error that can't be told.
    let _ = writeln!(std::io::stderr(), "wholenode: {error}");
    ExitCode::from(code)
}
