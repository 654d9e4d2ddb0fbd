//! From a request to its answer.
//!
//! Only GET and HEAD are answered; node_exporter takes any method for a GET, which no scraper relies on.

use super::accept::Listener;
use super::alarm::Clock;
use super::answer::Answer;
use super::conn::Conn;
use super::conns::Conns;
use super::gate::{Door, Refusal, Rules};
use super::hub::{CLOCK, Hub};
use super::promise::Missed;
use super::query::Filter;
use super::share::{Busy, Share, Want};
use super::state::Counted;
use super::threads::Threads;
use super::{Format, Pages, Settings, State, landing, negotiate};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use std::io;
use std::sync::Arc;
use std::time::Instant;

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every thread and every connection needs.
pub(super) struct Server {
    pub(super) settings: Settings,
    pub(super) state: Arc<State>,
    pub(super) conns: Arc<Conns>,
    pub(super) hub: Arc<Hub>,
    /// Rings when a connection may be out of time, or a finished page too old.
    pub(super) clock: Arc<Clock>,
    pub(super) threads: Threads,
    pub(super) listeners: Vec<Listener>,
    /// Where the web configuration is kept, if there is one.
    pub(super) door: Option<Door>,
    pages: Arc<dyn Pages>,
    pub(super) share: Arc<Share>,
    base: String,
    landing: Bytes,
}

/// What to answer with, before the connection is known.
struct Reply {
    status: StatusCode,
    kind: &'static str,
    gzip: bool,
    body: Bytes,
}

impl Reply {
    fn new(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Self {
        Reply { status, kind, gzip: false, body: body.into() }
    }

    fn sentence(status: StatusCode, sentence: &str) -> Self {
        Reply::new(status, PLAIN, format!("{sentence}\n"))
    }
}

enum Route<'a> {
    Page(Option<&'a str>),
    Healthy,
    Ready,
    Landing,
    Nothing,
}

impl Server {
    /// # Errors
    /// The kernel has no file descriptors left.
    pub(super) fn new(
        settings: Settings,
        pages: Arc<dyn Pages>,
        state: Arc<State>,
        listeners: Vec<Listener>,
    ) -> io::Result<Self> {
        let hub = Arc::new(Hub::new()?);
        let clock = Arc::new(Clock::new(&hub, CLOCK)?);
        let conns = Arc::new(Conns::new(settings.limits, Arc::clone(&state), Arc::clone(&hub)));
        let (of, counted, kept) = (Arc::clone(&pages), Arc::clone(&state), Arc::clone(&conns));
        let share = Share::new(&settings, of, counted, kept, Arc::clone(&hub), Arc::clone(&clock))?;
        let patience = settings.limits.header;
        let door = settings.gate.clone().map(|gate| Door::new(gate, Arc::clone(&hub), patience)).transpose()?;
        Ok(Server {
            door,
            base: settings.base(),
            landing: Bytes::from(landing::page(&settings)),
            threads: Threads::new(settings.max_requests),
            hub,
            clock,
            listeners,
            settings,
            state,
            conns,
            pages,
            share: Arc::new(share),
        })
    }

    /// The answer to a request.
    pub(super) async fn answer(self: &Arc<Self>, conn: &Arc<Conn>, request: Request<Incoming>) -> Response<Answer> {
        let _asked = conn.asked();
        let (rules, admitted) = match &self.door {
            Some(door) => {
                // The gate's files may hold this thread up.
                self.threads.relieved(self);
                let (rules, admitted) = door.admit(request.headers(), conn.generation(), &self.state).await;
                (Some(rules), admitted)
            }
            None => (None, Ok(())),
        };
        let reply = match admitted {
            Ok(()) => self.reply(&request).await,
            Err(refusal) => {
                if refusal == Refusal::Outdated {
                    conn.leave();
                }
                refused(refusal)
            }
        };
        self.response(conn, &request, reply, rules.as_deref())
    }

    async fn reply(&self, request: &Request<Incoming>) -> Reply {
        let allowed = matches!(*request.method(), Method::GET | Method::HEAD);
        match self.route(request.uri().path()) {
            Route::Page(group) => {
                let counted = Counted::new(&self.state.in_flight);
                let reply = if allowed { self.page(group, request).await } else { not_allowed() };
                self.state.answered(reply.status.as_u16());
                drop(counted);
                reply
            }
            Route::Nothing => Reply::sentence(StatusCode::NOT_FOUND, "There is no such page; / lists those there are."),
            _ if !allowed => not_allowed(),
            Route::Healthy => Reply::sentence(StatusCode::OK, "The process runs."),
            Route::Ready => self.ready(),
            Route::Landing => Reply::new(StatusCode::OK, HTML, self.landing.clone()),
        }
    }

    fn route(&self, path: &str) -> Route<'_> {
        let below = path.strip_prefix(self.base.as_str());
        match (path, below) {
            ("/-/healthy", _) => Route::Healthy,
            ("/-/ready", _) => Route::Ready,
            (_, Some("")) => Route::Page(None),
            ("/", Some(_)) => Route::Page(None),
            ("/", None) => Route::Landing,
            (_, Some(below)) => match below.strip_prefix('/').and_then(|name| self.group(name)) {
                Some(name) => Route::Page(Some(name)),
                None => Route::Nothing,
            },
            _ => Route::Nothing,
        }
    }

    fn group(&self, asked: &str) -> Option<&'static str> {
        let mut groups = self.settings.groups.iter();
        groups.find(|group| group.name == asked || group.aliases.contains(&asked)).map(|group| group.name)
    }

    async fn page(&self, group: Option<&str>, request: &Request<Incoming>) -> Reply {
        let filter = match request.uri().query().map(Filter::parse).transpose() {
            Ok(filter) => filter.unwrap_or_default(),
            Err(sentence) => return Reply::sentence(StatusCode::BAD_REQUEST, &sentence),
        };
        let selection = match self.pages.select(group, &filter.collect, &filter.exclude) {
            Ok(selection) => selection,
            Err(sentence) => return Reply::sentence(StatusCode::BAD_REQUEST, &sentence),
        };
        let headers = request.headers();
        let format = negotiate::format(headers, self.settings.openmetrics);
        let want = Want { selection, format, gzip: negotiate::gzip(headers) };
        let patience = negotiate::patience(headers, &self.settings.limits);
        let promise = match self.share.page(want, patience) {
            Ok(promise) => promise,
            Err(Busy) => return self.busy(),
        };
        let kind = if format == Format::OpenMetrics { OPEN_METRICS } else { TEXT };
        let wait = self.conns.wait(patience);
        match promise.wait(Instant::now() + wait).await {
            Ok(page) => Reply { status: StatusCode::OK, kind, gzip: page.gzip, body: page.body },
            Err(Missed::Failed) => failed(),
            Err(Missed::Late) => {
                let sentence = format!("The page was not ready within {} s.", wait.as_secs_f64());
                Reply::sentence(StatusCode::SERVICE_UNAVAILABLE, &sentence)
            }
        }
    }

    fn busy(&self) -> Reply {
        let limit = self.settings.max_requests;
        let sentence = format!("Limit of concurrent requests reached ({limit}), try again later.");
        Reply::sentence(StatusCode::SERVICE_UNAVAILABLE, &sentence)
    }

    fn ready(&self) -> Reply {
        if self.conns.stopping() {
            return Reply::sentence(StatusCode::SERVICE_UNAVAILABLE, "The server is stopping.");
        }
        if !self.share.free() {
            return self.busy();
        }
        match self.pages.select(None, &[], &[]) {
            Ok(_) => Reply::sentence(StatusCode::OK, "A page can be made."),
            Err(sentence) => Reply::sentence(StatusCode::SERVICE_UNAVAILABLE, &sentence),
        }
    }

    fn response(
        &self,
        conn: &Arc<Conn>,
        request: &Request<Incoming>,
        reply: Reply,
        rules: Option<&Rules>,
    ) -> Response<Answer> {
        let length = reply.body.len();
        let is_multiplexed = conn.is_multiplexed();
        // For HEAD, hyper sends the headers and drops the body unread; with HTTP/2 it sends whatever there is.
        let body = if is_multiplexed && request.method() == Method::HEAD { Bytes::new() } else { reply.body };
        let mut response = Response::new(Answer::new(conn, body));
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.kind));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        if reply.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if reply.kind == PLAIN {
            // The sentence may repeat what the client sent.
            const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
            headers.insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
        }
        match reply.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            }
            _ => {}
        }
        for (name, value) in rules.into_iter().flat_map(|rules| &rules.headers) {
            headers.insert(name, value.clone());
        }
        // A body would have to be read before the next request; nobody here wants one.
        let close = !request.body().is_end_stream() || self.conns.stopping() || conn.leaves();
        if close && !is_multiplexed {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn failed() -> Reply {
    Reply::sentence(StatusCode::INTERNAL_SERVER_ERROR, "Making the page failed.")
}

fn not_allowed() -> Reply {
    Reply::sentence(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed here.")
}

fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::TooMany => Reply::sentence(StatusCode::TOO_MANY_REQUESTS, "Too many requests, try again later."),
        Refusal::Unauthorized => {
            Reply::sentence(StatusCode::UNAUTHORIZED, "A user's name and password are needed here.")
        }
        Refusal::Outdated => {
            Reply::sentence(StatusCode::MISDIRECTED_REQUEST, "More is demanded of a connection now: connect again.")
        }
        Refusal::Busy => {
            Reply::sentence(StatusCode::SERVICE_UNAVAILABLE, "Too many passwords wait to be checked, try again later.")
        }
    }
}
