//! Where log lines go: standard error, and nowhere if nobody reads it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Write;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `level=info msg=…`
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Sends the log to standard error from now on, and panics into the log.
pub fn start(level: LevelFilter, form: Form) {
    // What HTTP/2 has to tell is about each of its frames, and may repeat what a client said; what the resolver has, about
    // every odd line and answer. The failures that count are told by who asked.
    let told = Targets::new().with_default(level);
    let told = told.with_target("h2", LevelFilter::OFF).with_target("hickory", LevelFilter::OFF);
    let lines = tracing_subscriber::registry().with(told);
    // A second start, in a test, keeps the first.
    let _ = match form {
        Form::Logfmt => {
            let layer =
                tracing_logfmt::builder().with_target(false).with_span_name(false).layer().with_writer(|| Unhurried);
            tracing::subscriber::set_global_default(lines.with(layer))
        }
        Form::Json => {
            let layer = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_target(false)
                .with_writer(|| Unhurried);
            tracing::subscriber::set_global_default(lines.with(layer))
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::debug!(place, "panic");
    }));
}

/// Standard error, if it takes a line at once; otherwise the line is lost.
///
/// A pipe whose reader has stopped would hold up whoever logs, and a daemon that hangs in its log is a dead one.
struct Unhurried;

/// What a pipe takes at once when it says that it takes something.
const PIPE_BUF: usize = 4096;

impl Write for Unhurried {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let stderr = std::io::stderr();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
        let takes = matches!(poll(&mut ready, Some(&now)), Ok(1..)) && ready[0].revents().contains(PollFlags::OUT);
        if takes {
            let mut stderr = stderr.lock();
            let _ = match line.len() {
                0..=PIPE_BUF => stderr.write_all(line),
                _ => stderr.write_all(&line[..PIPE_BUF - 1]).and_then(|()| stderr.write_all(b"\n")),
            };
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
