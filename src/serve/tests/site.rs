//! A server with made-up pages, and a client that hides nothing.

use crate::encode::{Gzip, Page};
use crate::serve::{Figures, Format, Listen, Making, Pages, Running, Selection, Settings, State, bind, start};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const BIG: usize = 12 << 20;

const NAMES: [&str; 7] = ["small", "long", "big", "held", "broken", "other", "stuck"];

/// Made-up pages: the selection says what happens.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) rendered: AtomicUsize,
    /// Who made them.
    pub(super) threads: Mutex<Vec<ThreadId>>,
    pub(super) patience: Mutex<Duration>,
    /// "held" renders wait for this.
    pub(super) open: AtomicBool,
}

impl Pages for Arc<Fake> {
    fn select(&self, group: Option<&str>, collect: &[String], exclude: &[String]) -> Result<Selection, String> {
        let number = |name: &String| {
            NAMES.iter().position(|known| known == name).ok_or_else(|| format!("missing collector: {name}"))
        };
        let excluded = exclude.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let mut chosen = match (group, collect) {
            (Some("gpu"), []) => vec![5],
            (_, []) => vec![0],
            (_, names) => names.iter().map(number).collect::<Result<_, _>>()?,
        };
        chosen.retain(|number| !excluded.contains(number));
        Ok(chosen.into())
    }

    fn begin(&self, selection: &Selection, format: Format, gzip: bool, patience: Duration) -> Box<dyn Making> {
        *self.patience.lock().unwrap() = patience;
        let (fake, selection) = (Arc::clone(self), Arc::clone(selection));
        Box::new(FakeMaking {
            fake,
            selection,
            format,
            gzip,
            stuck: AtomicBool::default(),
            told: AtomicBool::default(),
        })
    }
}

struct FakeMaking {
    fake: Arc<Fake>,
    selection: Selection,
    format: Format,
    gzip: bool,
    stuck: AtomicBool,
    told: AtomicBool,
}

impl Fake {
    fn hold(&self) {
        let begun = Instant::now();
        while !self.open.load(SeqCst) && begun.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Making for FakeMaking {
    fn make(&self) -> Option<Page> {
        let Self { fake, selection, format, .. } = self;
        fake.threads.lock().unwrap().push(thread::current().id());
        let count = fake.rendered.fetch_add(1, SeqCst);
        let mut page = Vec::new();
        for number in selection.iter() {
            match NAMES[*number] {
                "long" => page.extend((0..2000).flat_map(|cpu| format!("cpu{{cpu=\"{cpu}\"}} 1\n").into_bytes())),
                "big" => page.extend(std::iter::repeat_n(b'#', BIG)),
                "held" => {
                    fake.hold();
                    page.extend(format!("held {count}\n").into_bytes());
                }
                "broken" => panic!("made up"),
                // The thread that comes to it first gets no further.
                "stuck" if !self.stuck.swap(true, SeqCst) => {
                    fake.hold();
                    return None;
                }
                name => page.extend(format!("{name} 1\n").into_bytes()),
            }
        }
        if *format == Format::OpenMetrics {
            page.extend(b"# EOF\n");
        }
        Some(if self.gzip { Page::packed(page, &mut Gzip::default()) } else { Page::plain(page) })
    }

    fn is_held_up(&self) -> bool {
        self.stuck.load(SeqCst) && !self.told.swap(true, SeqCst)
    }
}

pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) pages: Arc<Fake>,
    state: Arc<State>,
    running: Running,
}

pub(super) fn site(settings: Settings) -> Site {
    site_at(settings, &[])
}

pub(super) fn site_at(settings: Settings, more: &[Listen]) -> Site {
    let mut listen = vec![Listen::Address("127.0.0.1:0".parse().unwrap())];
    listen.extend_from_slice(more);
    let bound = bind(&listen).unwrap();
    let address = bound[0].address().unwrap();
    let (pages, state) = (Arc::new(Fake::default()), Arc::new(State::default()));
    let running = start(settings, Arc::new(Arc::clone(&pages)), bound, Arc::clone(&state)).unwrap();
    Site { address, pages, state, running }
}

impl Site {
    pub(super) fn figures(&self) -> Figures {
        self.state.figures()
    }

    /// Waits until the figures are as they should be.
    pub(super) fn until(&self, what: &str, check: impl Fn(&Figures) -> bool) {
        let begun = Instant::now();
        while !check(&self.figures()) {
            assert!(begun.elapsed() < DEADLINE, "{what}: {:?}", self.figures());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// How long it took to stop.
    pub(super) fn stop(&self) -> Duration {
        let asked = Instant::now();
        self.running.stop();
        asked.elapsed()
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// A client that has sent this and does not read.
    pub(super) fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    pub(super) fn ask(&self, text: &str) -> Reply {
        read(&mut self.send(text))
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.ask(&request(path, ""))
    }

    pub(super) fn get_with(&self, path: &str, headers: &str) -> Reply {
        self.ask(&request(path, headers))
    }
}

pub(super) fn request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// One answer, headers and body; the connection stays as it is.
pub(super) fn read(stream: &mut (impl Read + ?Sized)) -> Reply {
    let mut reply = read_head(stream);
    reply.body = vec![0; reply.header("content-length").parse().unwrap()];
    stream.read_exact(&mut reply.body).unwrap();
    reply
}

pub(super) fn read_head(stream: &mut (impl Read + ?Sized)) -> Reply {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_lowercase(), v.into())).collect();
    Reply { status, headers, body: Vec::new() }
}

/// Waits until the server closes; whatever still comes is read.
pub(super) fn closed(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(_) => {}
            // What the server had not read makes the kernel say it the hard way.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("not closed: {error}"),
        }
    }
}
