//! The daemon: everything together, until a signal ends it.

use crate::check::{self, Report};
use crate::config::{self, Command, Config, Level, LogFormat, WebFile, Written};
use crate::engine::{self, Engine, Instruments};
use crate::export::{self, Exporter};
use crate::page::Source;
use crate::serve::{self, Bound, Gate, GroupPage, Listen, Settings, State};
use crate::sources::{self, Source as Teller};
use crate::{encode, log};
use collectors::kit::{Child, Clock, Host, Machine, Replay, Rights, Script};
use collectors::model::{Batch, Family, counter, gauge};
use collectors::{ALL, Group, Spec};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;

/// How old a collector's points may be and still be served as new.
const MAX_AGE: Duration = Duration::from_millis(100);
/// How long `once` waits for the machine.
const ONCE: Duration = Duration::from_secs(10);
/// How long `check` waits for collectors that are slow.
const CHECK: Duration = Duration::from_secs(5);
/// How long pushing may take to end, beside the server.
const STOP: Duration = Duration::from_millis(1500);
/// How long a thread waits for more to do that pushing started to read or write something.
const IDLE: Duration = Duration::from_secs(1);

/// How many sockets are looked at in a row: few ever have anything to say.
const EVENTS: usize = 64;

static REQUESTS: Family = counter(
    "promhttp_metric_handler_requests_total",
    "Requests for pages that were answered, by status code.",
    &["code"],
);
static IN_FLIGHT: Family =
    gauge("promhttp_metric_handler_requests_in_flight", "Requests for pages that have no answer yet.", &[]);
static CONNECTIONS: Family = gauge("wholenode_http_connections", "Open connections.", &[]);
static CLOSED: Family = counter(
    "wholenode_http_connections_closed_total",
    "Connections closed because the client took too long over something, or to make room for others.",
    &["reason"],
);
static REFUSED: Family = counter(
    "wholenode_http_refused_total",
    "TLS handshakes that failed, and requests without the right password or over the rate; with --web.config.file.",
    &["reason"],
);
static WEB_CONFIG: Family = gauge(
    "wholenode_web_config_last_reload_successful",
    "1 if what the files of --web.config.file say is in force, 0 if the last good configuration is.",
    &[],
);
static PAGE_BYTES: Family = gauge("wholenode_http_page_bytes", "Bytes of finished pages in memory.", &[]);
static CAPABILITY: Family = gauge(
    "wholenode_capability",
    "1 if this process has the capability, 0 if not; named are those with which collectors can read more.",
    &["capability"],
);
static RUNTIME_UP: Family = gauge(
    "wholenode_runtime_up",
    "1 if the container runtime behind a socket that may be asked answered when it was last asked.",
    &["api", "socket"],
);
static RUNTIME_REQUESTS: Family =
    counter("wholenode_runtime_requests_total", "Requests to the container runtime.", &["api", "socket"]);
static RUNTIME_FAILURES: Family = counter(
    "wholenode_runtime_failures_total",
    "How often the container runtime could not be asked, or did not answer as it should.",
    &["api", "socket"],
);

/// The reference of all metrics.
pub fn reference() -> String {
    let own = [&REQUESTS, &IN_FLIGHT, &CONNECTIONS, &CLOSED, &PAGE_BYTES, &REFUSED, &WEB_CONFIG, &CAPABILITY];
    let of_runtimes = [&RUNTIME_UP, &RUNTIME_REQUESTS, &RUNTIME_FAILURES];
    config::metrics(ALL, engine::families().chain(own).chain(of_runtimes).chain(export::FAMILIES))
}

/// Serves until a signal ends it.
///
/// # Errors
/// One line: what, where, what was expected.
pub fn serve(written: &Written, config: Config) -> Result<(), String> {
    // What reads the configuration is not needed beside what starts.
    collectors::kit::forget_start();
    start_log(&config);
    // Only for the signals, the runtimes of containers and what is pushed: the server has threads of its own.
    let event_loop = event_loop()?;
    let started = apart(|| event_loop.block_on(Running::start(written, config))).flatten();
    let done = started.map(|running| event_loop.block_on(running.until_told()));
    // A thread that hangs on a disk is not waited for.
    event_loop.shutdown_background();
    done
}

/// Does it on a thread of its own, with which the stack is given back: what is done once, at the start, goes deep.
///
/// # Errors
/// There is no thread to be had.
pub fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let started = thread::Builder::new().name("start".to_owned()).spawn_scoped(scope, work);
        let started = started.map_err(|error| format!("a thread for the start: {error}"))?;
        Ok(started.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Everything, started.
struct Running {
    term: Signal,
    int: Signal,
    exporter: Arc<Mutex<Exporter>>,
    server: serve::Running,
}

impl Running {
    async fn start(written: &Written, config: Config) -> Result<Self, String> {
        // Before anything that takes time: a signal that nobody hears ends the process.
        let hear = |kind| signal(kind).map_err(|error| format!("signals could not be heard: {error}"));
        let (term, int) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
        let hangup = hear(SignalKind::hangup())?;
        let gate = gate(&config)?;
        let (engine, source) = assemble(&config)?;
        let bound = serve::bind(&config.listen)?;
        let state = Arc::new(State::default());
        let (figures, watched, rights) = (Arc::clone(&state), gate.clone(), Rights::own());
        let tellers = sources::sources(&config.sockets, &config.roots.rootfs);
        let asked = tellers.clone();
        let mut exporter = Exporter::new(Arc::clone(&engine));
        let (board, machine) = (exporter.board(), Arc::clone(engine.machine()));
        engine.extend(Box::new(move |out| {
            put_figures(&figures, out);
            asked.iter().for_each(|teller| put_runtime(teller, out));
            put_rights(rights, out);
            board.put(&machine, out);
            if let Some(gate) = &watched {
                put_gate(gate, &figures, out);
            }
        }));
        let settings = settings(&config, gate.clone());
        sources::start(&tellers, engine.machine());
        engine.keep_time();
        announce(&config.listen, &bound, &settings);
        exporter.set(&config.export, &config.families).await;
        let exporter = Arc::new(Mutex::new(exporter));
        let (written, of_reloads) = (written.clone(), Arc::clone(&exporter));
        let reloads = Reloads { written, current: config, engine, source: source.clone(), gate, exporter: of_reloads };
        tokio::spawn(reloads.listen(hangup));
        let server = serve::start(settings, Arc::new(source), bound, state);
        let server = server.map_err(|error| format!("the server could not start: {error}"))?;
        Ok(Self { term, int, exporter, server })
    }

    async fn until_told(mut self) {
        collectors::kit::forget_start();
        tokio::select! { _ = self.term.recv() => {}, _ = self.int.recv() => {} }
        tracing::info!("stopping");
        // Both at once: together they have two seconds.
        let server = spawn_blocking(move || self.server.stop());
        let _ = timeout(STOP, async { self.exporter.lock().await.stop().await }).await;
        let _ = server.await;
    }
}

/// The page of one group, or of all, made once.
///
/// # Errors
/// One line: what, where, what was expected.
pub fn once(config: &Config, group: Option<Group>) -> Result<Vec<u8>, String> {
    start_log(config);
    let (engine, source) = assemble(config)?;
    let selection = engine.select(group.map(Group::name), &[], &[])?;
    Ok(source.encode(&engine.ask_once(selection.into(), ONCE), encode::Format::Text, false).bytes)
}

/// Pushes once to all endpoints.
///
/// # Errors
/// One line: what was not taken, and why.
pub fn push(config: &Config) -> Result<(), String> {
    start_log(config);
    let (engine, _) = assemble(config)?;
    let event_loop = event_loop()?;
    let done = event_loop.block_on(export::push(&config.export, &config.families, &engine));
    event_loop.shutdown_background();
    done
}

/// What each collector finds on this machine, and what it misses.
///
/// # Errors
/// One line: what, where, what was expected.
pub fn check(config: &Config) -> Result<Report, String> {
    gate(config)?;
    let (engine, _) = assemble(config)?;
    let selection = engine.select(None, &[], &[])?;
    let findings = engine.findings(&selection, CHECK);
    let is_off = |spec: &&&Spec| findings.iter().all(|finding| finding.spec.name != spec.name);
    let off: Vec<&str> = ALL.iter().filter(is_off).map(|spec| spec.name).collect();
    let mut report = check::report(&mut Host::new(Arc::clone(engine.machine())), &findings, &off, &config.warnings);
    report.runtimes(&event_loop()?.block_on(sources::probe(&config.sockets, &config.roots.rootfs)));
    Ok(report)
}

fn event_loop() -> Result<Runtime, String> {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().max_io_events_per_tick(EVENTS).thread_keep_alive(IDLE).build();
    runtime.map_err(|error| format!("the event loop could not start: {error}"))
}

/// Who may come in. What may not be served in the clear is refused here.
fn gate(config: &Config) -> Result<Option<Arc<Gate>>, String> {
    let open = |path: &String| Gate::open(Box::new(WebFile::new(path.clone()))).map(Arc::new);
    let gate = config.web_file.as_ref().map(open).transpose()?;
    if !gate.as_ref().is_some_and(|gate| gate.has_tls())
        && let Some(listen) = config.listen.iter().find(|listen| config.require_tls.wants(listen))
    {
        return Err(format!(
            "web.require-tls: {listen} would be served without TLS: expected a tls_server_config in the file of \
             --web.config.file, or another --web.listen-address"
        ));
    }
    Ok(gate)
}

fn assemble(config: &Config) -> Result<(Arc<Engine>, Source), String> {
    let replay = config.calls.as_deref().map(Replay::load).transpose()?;
    let clock = match &replay {
        Some(replay) => Clock::Scripted(Script::new(replay.clock.1, replay.clock.0)),
        None => Clock::Real,
    };
    // The running program itself, even if its file was replaced since.
    let child = Child::new("/proc/self/exe");
    let machine = Machine::new(config.roots.clone(), clock, replay, child);
    let instruments = Instruments::new(env!("CARGO_PKG_VERSION"));
    let engine = Arc::new(Engine::new(machine, ALL, MAX_AGE, instruments));
    engine.configure(&config.collectors);
    engine.tell_of_itself(config.exporter_metrics);
    let source = Source::new(Arc::clone(&engine), config.families.clone());
    Ok((engine, source))
}

fn start_log(config: &Config) {
    let level = match config.log.level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let form = match config.log.format {
        LogFormat::Logfmt => log::Form::Logfmt,
        LogFormat::Json => log::Form::Json,
    };
    log::start(level, form);
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

fn settings(config: &Config, gate: Option<Arc<Gate>>) -> Settings {
    let page = |group: &Group| GroupPage { name: group.name(), aliases: group.aliases(), about: group.about() };
    Settings {
        telemetry_path: config.telemetry_path.clone(),
        groups: Group::ALL.iter().map(page).collect(),
        openmetrics: config.openmetrics,
        max_requests: config.max_requests,
        gate,
        ..Settings::default()
    }
}

fn announce(listen: &[Listen], bound: &[Bound], settings: &Settings) {
    let scheme = if settings.gate.as_ref().is_some_and(|gate| gate.has_tls()) { "https" } else { "http" };
    for (listen, bound) in listen.iter().zip(bound) {
        let address = match bound.address() {
            Some(address) if address.ip().is_unspecified() => {
                format!("{scheme}://localhost:{}{}", address.port(), settings.telemetry_path)
            }
            Some(address) => format!("{scheme}://{address}{}", settings.telemetry_path),
            None => listen.to_string(),
        };
        tracing::info!(address, version = settings.version, "serving");
    }
}

fn put_figures(state: &State, out: &mut Batch) {
    let figures = state.figures();
    for (code, requests) in serve::CODES.iter().zip(figures.requests) {
        let of = out.entity(&["code"], [itoa::Buffer::new().format(*code)]);
        out.put(&REQUESTS, of, requests);
    }
    let machine = out.machine();
    out.put(&IN_FLIGHT, machine, figures.in_flight as u64);
    out.put(&CONNECTIONS, machine, figures.connections as u64);
    out.put(&PAGE_BYTES, machine, figures.page_bytes as u64);
    let closed = [
        ("crowded_out", figures.crowded_out),
        ("late_header", figures.late_header),
        ("late_idle", figures.late_idle),
        ("late_write", figures.late_write),
    ];
    for (reason, connections) in closed {
        let of = out.entity(&["reason"], [reason]);
        out.put(&CLOSED, of, connections);
    }
}

fn put_gate(gate: &Gate, state: &State, out: &mut Batch) {
    let figures = state.figures();
    let machine = out.machine();
    out.put(&WEB_CONFIG, machine, u64::from(gate.is_successful()));
    let refused =
        [("handshake", figures.handshakes_failed), ("password", figures.unauthorized), ("rate", figures.rate_limited)];
    for (reason, requests) in refused {
        let of = out.entity(&["reason"], [reason]);
        out.put(&REFUSED, of, requests);
    }
}

fn put_rights(rights: Rights, out: &mut Batch) {
    for (name, has) in rights.used() {
        let of = out.entity(&["capability"], [name.as_str()]);
        out.put(&CAPABILITY, of, has);
    }
}

fn put_runtime(teller: &Teller, out: &mut Batch) {
    let Some(figures) = teller.figures() else { return };
    let of = out.entity(&["api", "socket"], [teller.api().name(), teller.path()]);
    out.put(&RUNTIME_UP, of, figures.is_up);
    out.put(&RUNTIME_REQUESTS, of, figures.requests);
    out.put(&RUNTIME_FAILURES, of, figures.failures);
}

/// Reads the configuration again when told to.
struct Reloads {
    written: Written,
    current: Config,
    engine: Arc<Engine>,
    source: Source,
    gate: Option<Arc<Gate>>,
    exporter: Arc<Mutex<Exporter>>,
}

impl Reloads {
    async fn listen(mut self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            if let Some(gate) = &self.gate {
                gate.reload();
            }
            let taken = self.reload().await;
            self.engine.instruments().reloaded(taken);
        }
    }

    /// Takes the new configuration, or keeps the old one if there is anything wrong with the new one.
    async fn reload(&mut self) -> bool {
        let config = match self.written.load() {
            Ok(Command::Serve(config)) => config,
            Ok(_) => return false,
            Err(error) => {
                tracing::error!(%error, "configuration not taken; the old one goes on");
                return false;
            }
        };
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.engine.configure(&config.collectors);
        self.engine.keep_time();
        self.engine.tell_of_itself(config.exporter_metrics);
        self.source.keep(config.families.clone());
        self.exporter.lock().await.set(&config.export, &config.families).await;
        for word in config.needs_restart(&self.current) {
            tracing::warn!(option = word, "changed, and takes effect when the process is started again");
        }
        tracing::info!("configuration read again");
        self.current = Config {
            collectors: config.collectors,
            families: config.families,
            export: config.export,
            exporter_metrics: config.exporter_metrics,
            warnings: config.warnings,
            ..self.current.clone()
        };
        true
    }
}
