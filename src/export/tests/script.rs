use super::super::figures::Figures;
use super::super::keeper::Keeper;
use super::super::mailbox::Mailbox;
use super::super::pusher::{Carry, Lane, Pusher};
use super::super::rounds::{self, Change, Common, Customer};
use super::super::schedule::Schedule;
use super::super::spool::SpoolSettings;
use super::super::time::{BootId, Moment};
use super::super::times::Times;
use super::super::transport::Outcome;
use crate::encode::otlp::{Resource, Shape};
use collectors::kit::{Filter, lock};
use collectors::model::{Batch, Family, Snapshot, gauge};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// When the machine was started, since 1970.
const BOOT: u64 = 1_700_000_000_000_000_000;
/// How long the machine has been up when the test begins.
const UPTIME: Duration = Duration::from_secs(1000);

static FAMILY: Family = gauge("a", "A.", &["n"]);

/// A request, as the receiver saw it: when it came, when it was measured (both since the test began), and its points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) at: Duration,
    pub(super) taken: Duration,
    pub(super) points: u32,
}

type Answer = Box<dyn FnMut(Seen) -> (Duration, Outcome) + Send>;

struct Scripted {
    begun: Instant,
    answer: Answer,
    seen: Arc<Mutex<Vec<Seen>>>,
    bytes: u64,
    renewed: Arc<AtomicU64>,
}

impl Carry for Scripted {
    async fn send(&mut self, request: &[u8], points: u32) -> Outcome {
        let (times, found) = read(request);
        assert_eq!(found, points);
        assert!(times.windows(2).all(|pair| pair[0] == pair[1]), "one round, one time");
        let taken = Duration::from_nanos(times[0] - BOOT) - UPTIME;
        let seen = Seen { at: self.begun.elapsed(), taken, points };
        assert!(taken <= seen.at);
        lock(&self.seen).push(seen);
        self.bytes += request.len() as u64;
        let (takes, outcome) = (self.answer)(seen);
        sleep(takes).await;
        outcome
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn renew(&mut self) {
        self.renewed.fetch_add(1, Relaxed);
    }
}

/// The times of all points of a request, and how many there are.
fn read(request: &[u8]) -> (Vec<u64>, u32) {
    let request = ExportMetricsServiceRequest::decode(request).unwrap();
    let metrics = request.resource_metrics.iter().flat_map(|of| &of.scope_metrics).flat_map(|of| &of.metrics);
    let times = metrics.flat_map(|metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().map(|point| point.time_unix_nano),
        other => panic!("{other:?}"),
    });
    let times: Vec<u64> = times.collect();
    let points = times.len() as u32;
    (times, points)
}

struct Watch {
    begun: Instant,
    /// When the clock is set right.
    right: Duration,
}

impl Times for Watch {
    fn moment(&self) -> Moment {
        let passed = self.begun.elapsed();
        let boot_time = (passed >= self.right).then_some(BOOT);
        Moment { boot: BootId([7; 16]), now: UPTIME + passed, boot_time }
    }

    fn adopt(&self, _: u64) {}
}

/// What is played.
pub(super) struct Play {
    /// How many points a round has, besides `up`.
    pub(super) points: usize,
    pub(super) interval: Duration,
    pub(super) replay_first: bool,
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
    pub(super) clock_right: Duration,
}

impl Default for Play {
    fn default() -> Self {
        let (interval, max_age) = (MINUTE, 48 * HOUR);
        Self { points: 9, interval, replay_first: false, max_bytes: 64 << 20, max_age, clock_right: Duration::ZERO }
    }
}

/// An endpoint at work.
pub(super) struct Stage {
    pub(super) lane: Lane,
    /// How often what carries was made anew.
    pub(super) renewed: Arc<AtomicU64>,
    /// From now on, nobody can be asked, or again.
    pub(super) is_mute: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: watch::Sender<bool>,
    changes: mpsc::Sender<Change>,
    pusher: tokio::task::JoinHandle<()>,
    max_bytes: u64,
}

impl Play {
    /// Begins; the answer to a request says how long it takes, and what it is.
    pub(super) async fn begin(self, answer: impl FnMut(Seen) -> (Duration, Outcome) + Send + 'static) -> Stage {
        let begun = Instant::now();
        let times: Arc<dyn Times> = Arc::new(Watch { begun, right: self.clock_right });
        let figures = Arc::new(Figures::default());
        let spool = SpoolSettings { directory: None, max_bytes: self.max_bytes, max_age: self.max_age };
        let lane = Lane {
            name: "test".to_owned(),
            replay_first: self.replay_first,
            mailbox: Arc::new(Mailbox::default()),
            keeper: Keeper::start("test", spool, Arc::clone(&figures), Arc::clone(&times)),
            figures,
            times: Arc::clone(&times),
        };
        let (stop, stopped) = watch::channel(false);
        let seen = Arc::default();
        let renewed = Arc::default();
        let (answer, bytes) = (Box::new(answer), 0);
        let carrier = Scripted { begun, answer, seen: Arc::clone(&seen), bytes, renewed: Arc::clone(&renewed) };
        let pusher = tokio::spawn(Pusher::new(carrier, lane.clone(), stopped.clone()).run());
        let (changes, changed) = mpsc::channel(1);
        let points = self.points;
        let is_mute: Arc<AtomicBool> = Arc::default();
        let mute = Arc::clone(&is_mute);
        let ask = Arc::new(move || {
            assert!(!mute.load(Relaxed), "a collector's bug, say");
            Snapshot::new(vec![Arc::new(batch(points))])
        });
        tokio::spawn(rounds::run(Common { ask, times, families: Arc::default() }, changed, stopped));
        let schedule = Schedule::new(begun, Duration::ZERO, self.interval, 0);
        let customer = Customer::new(lane.clone(), schedule, Filter::default(), Resource::default(), Shape::default());
        changes.send(Change::Add(Box::new(customer))).await.ok().unwrap();
        Stage { lane, renewed, is_mute, seen, stop, changes, pusher, max_bytes: self.max_bytes }
    }
}

fn batch(points: usize) -> Batch {
    let mut batch = Batch::new(points);
    for n in 0..points {
        let of = batch.entity(&["n"], [&n.to_string()]);
        batch.put(&FAMILY, of, n as u64);
    }
    batch
}

impl Stage {
    /// Lets time pass, and looks again and again whether every point is accounted for.
    #[track_caller]
    pub(super) fn pass(&self, time: Duration) -> impl Future<Output = ()> {
        let until = Instant::now() + time;
        async move {
            while Instant::now() < until {
                sleep((until - Instant::now()).min(17 * SECOND)).await;
                self.balance();
            }
        }
    }

    /// Every point that was made is sent, rejected, refused, dropped, or waits.
    #[track_caller]
    pub(super) fn balance(&self) {
        let figures = &self.lane.figures;
        let get = |figure: &std::sync::atomic::AtomicU64| figure.load(Relaxed);
        let ended = get(&figures.sent) + get(&figures.rejected) + get(&figures.refused) + self.dropped();
        assert_eq!(get(&figures.produced), ended + figures.waiting(), "{figures:?}");
        assert!(figures.spooled().1 <= self.max_bytes, "{figures:?}");
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lane.figures.dropped().iter().map(|(_, points)| points).sum()
    }

    pub(super) fn sent(&self) -> u64 {
        self.lane.figures.sent.load(Relaxed)
    }

    pub(super) fn produced(&self) -> u64 {
        self.lane.figures.produced.load(Relaxed)
    }

    /// What the receiver saw.
    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// No more rounds.
    pub(super) async fn no_more(&self) {
        self.changes.send(Change::Remove("test".to_owned())).await.ok().unwrap();
    }

    /// Ends it: how long that took, and how many points were left to the spool, which is in memory.
    pub(super) async fn end(self) -> (Duration, u64, Arc<Figures>) {
        let begun = Instant::now();
        self.stop.send_replace(true);
        self.pusher.await.unwrap();
        let left = self.lane.figures.waiting();
        self.lane.keeper.end().await;
        (begun.elapsed(), left, self.lane.figures)
    }
}

pub(super) fn taken() -> Outcome {
    Outcome::Taken { rejected: 0, message: None }
}

pub(super) fn later(seconds: Option<u64>) -> Outcome {
    Outcome::Later { after: seconds.map(Duration::from_secs), why: "away".to_owned() }
}

pub(super) fn refused() -> Outcome {
    Outcome::Refused { why: "no".to_owned() }
}
