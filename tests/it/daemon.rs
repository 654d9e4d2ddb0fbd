//! The program itself, started and asked as a user and a Prometheus would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A running daemon; ended when dropped.
pub(crate) struct Daemon {
    process: Child,
    address: String,
    log: Mutex<Receiver<String>>,
    heard: Vec<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim())
    }
}

impl Daemon {
    /// Starts it on a free port, with these arguments besides.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    /// Starts it on this address.
    pub(crate) fn start_at(address: &str, arguments: &[&str]) -> Self {
        Self::start_with(&[], address, arguments)
    }

    /// Starts it with these variables besides.
    pub(crate) fn start_with(environment: &[(&str, &str)], address: &str, arguments: &[&str]) -> Self {
        Self::of(Self::command(address, arguments).envs(environment.iter().copied()).spawn().unwrap())
    }

    /// The command that starts it, for who starts it in a way of his own.
    pub(crate) fn command(address: &str, arguments: &[&str]) -> Command {
        let mut command = crate::program::command();
        command.arg(format!("--web.listen-address={address}")).args(arguments);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// It, started by [`Daemon::command`].
    pub(crate) fn of(mut process: Child) -> Self {
        let (tell, log) = channel();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut daemon = Self { process, address: String::new(), log: Mutex::new(log), heard: Vec::new() };
        let line = daemon.hears("serving");
        let address = line.split("://").nth(1).and_then(|rest| rest.split('/').next());
        daemon.address = address.unwrap_or_else(|| panic!("no address in {line}")).to_owned();
        daemon
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Waits for a log line with this text.
    #[track_caller]
    pub(crate) fn hears(&mut self, text: &str) -> String {
        let until = Instant::now() + LONG;
        while let Ok(line) = self.log.get_mut().unwrap().recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.heard.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!("no log line with {text:?} in {:#?}", self.heard);
    }

    /// A page, as text.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// Any request; `headers` are whole lines.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = self.connect();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer with a head");
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding");
        assert!(!chunked, "pages have a length");
        Answer { status, head, body: answer.split_off(end + 4) }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.process.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it with SIGINT: all that it logged.
    pub(crate) fn end(mut self) -> Vec<String> {
        self.signal(rustix::process::Signal::INT);
        assert!(self.process.wait().unwrap().success());
        self.heard.extend(self.log.get_mut().unwrap().iter());
        std::mem::take(&mut self.heard)
    }

    /// Ends it with SIGTERM: whether it ended well, and how long that took.
    pub(crate) fn stop(mut self) -> (bool, Duration) {
        let begun = Instant::now();
        self.signal(rustix::process::Signal::TERM);
        while begun.elapsed() < LONG {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (status.success(), begun.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("SIGTERM did not end it");
    }

    /// How many threads it has, its child's included.
    pub(crate) fn threads(&self) -> usize {
        let tasks = |pid: u32| -> Vec<String> {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            tasks.map(|task| format!("{}/children", task.path().display())).collect()
        };
        let own = tasks(self.pid());
        let children = own.iter().filter_map(|children| std::fs::read_to_string(children).ok());
        let pids =
            children.flat_map(|pids| pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>());
        own.len() + pids.map(|pid| tasks(pid).len()).sum::<usize>()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether the page has this line.
pub(crate) fn has(page: &str, line: &str) -> bool {
    page.lines().any(|found| found == line)
}

/// The figure of a series, by everything before the blank.
pub(crate) fn figure(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Asks until the page says what is expected.
#[track_caller]
pub(crate) fn eventually(daemon: &Daemon, path: &str, says: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + LONG;
    loop {
        let page = daemon.get(path);
        if says(&page) {
            return page;
        }
        assert!(Instant::now() < until, "it never came to that:\n{page}");
        std::thread::sleep(Duration::from_millis(150));
    }
}
