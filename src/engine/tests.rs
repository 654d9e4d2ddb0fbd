//! The engine against collectors that hang, panic, come late, and come back, on a clock that the tests move.

use super::*;
use collectors::kit::{Child, Clock, Error, Host, Opt, OptKind, Options, Root, Roots, Script};
use collectors::model::{Family, gauge};
use collectors::{Collector, Group, Pace};
use std::time::Instant;

mod clocks;

static VALUE: Family = gauge("test_value", "A number.", &["collector"]);
static CLASH: Family = gauge("test_clash", "1 if something clashed.", &[]);
static OPTIONS: &[Opt] = &[Opt { name: "word", kind: OptKind::Text, default: "", help: "" }];

/// Does what the file `proc/NAME` says, and puts how often it was opened.
struct Puppet {
    name: &'static str,
    opened: u64,
}

fn open(name: &'static str, host: &mut Host) -> Result<Option<Box<dyn Collector>>, Error> {
    let opened = host.number(Root::Proc, format_args!("{name}.opened")).unwrap_or(0) + 1;
    std::fs::write(format!("{}/{name}.opened", host.root(Root::Proc)), opened.to_string()).unwrap();
    match host.text(Root::Proc, name)?.as_str() {
        "panic in open" => panic!("in open"),
        "not here" => Ok(None),
        _ => Ok(Some(Box::new(Puppet { name, opened }))),
    }
}

impl Collector for Puppet {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        while host.text(Root::Proc, self.name)? == "hang" {
            std::thread::sleep(Duration::from_millis(1));
        }
        if host.text(Root::Proc, self.name)? == "panic" {
            panic!("in collect");
        }
        let of = out.entity(&["collector"], [if self.name == "late" { "fast" } else { self.name }]);
        out.put(&VALUE, of, self.opened);
        if self.name == "late" {
            out.put(&CLASH, out.machine(), false);
        }
        Ok(())
    }
}

static FAST: Spec = Spec::new(Group::Node, "fast", "", &[&VALUE], |host, _| open("fast", host));
static OTHER: Spec =
    Spec { options: OPTIONS, ..Spec::new(Group::Node, "other", "", &[&VALUE], |host, _| open("other", host)) };
static SLOW: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "slow", "", &[&VALUE], |host, _| open("slow", host))
};
static DEAF: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "deaf", "", &[&VALUE], |host, _| open("deaf", host))
};
static THIRD: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(Group::Node, "third", "", &[&VALUE], |host, _| open("third", host))
};
static LATE: Spec =
    Spec { clash: Some(&CLASH), ..Spec::new(Group::Node, "late", "", &[&VALUE, &CLASH], |host, _| open("late", host)) };

/// An engine over puppets, and their strings.
struct Stage {
    folder: tempfile::TempDir,
    script: Arc<Script>,
    engine: Arc<Engine>,
}

impl Stage {
    fn new(specs: &[&'static Spec]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots { proc: folder.path().to_str().unwrap().to_owned(), ..Roots::default() };
        let script = Script::new(Duration::from_secs(1000), Duration::from_secs(1_700_000_000));
        let machine = Machine::new(roots, Clock::Scripted(Arc::clone(&script)), None, Child::none());
        let engine = Engine::new(machine, specs, Duration::from_millis(100), Instruments::new("test"));
        let stage = Self { folder, script, engine: Arc::new(engine) };
        specs.iter().for_each(|spec| stage.tell(spec.name, "go on"));
        stage.configure(specs, "");
        stage
    }

    fn configure(&self, specs: &[&'static Spec], word: &str) {
        let given = [("word".to_owned(), vec![word.to_owned()])];
        let options =
            |spec: &Spec| Options::new(spec.options, if spec.options.is_empty() { &[] } else { &given }).unwrap();
        let chosen: Vec<_> = specs.iter().map(|spec| Chosen { spec, options: options(spec) }).collect();
        self.engine.configure(&chosen);
    }

    fn tell(&self, name: &str, what: &str) {
        // In one step: a puppet must never see half of it.
        let path = self.folder.path().join(name);
        std::fs::write(path.with_extension("new"), what).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    }

    /// Asks, moving the clock by a millisecond at a time while the answer is awaited: the page and how long it took.
    fn ask_for(&self, names: &[&str], patience: Duration) -> (String, Duration) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let selection: Arc<[usize]> = self.engine.select(None, &names, &[]).unwrap().into();
        let engine = Arc::clone(&self.engine);
        let before = self.script_time();
        let asker = std::thread::spawn(move || engine.ask(selection, patience));
        let begun = Instant::now();
        while !asker.is_finished() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the asker never left");
            // Collectors that do answer get the real time they need.
            std::thread::sleep(Duration::from_millis(5));
            self.script.advance(Duration::from_millis(1));
        }
        let took = self.script_time() - before;
        let snapshot = asker.join().unwrap();
        let page = crate::encode::Text::default().page(&snapshot, crate::encode::Format::Text, Vec::new());
        (String::from_utf8(page).unwrap(), took)
    }

    fn ask(&self) -> String {
        self.ask_for(&[], Duration::from_secs(10)).0
    }

    fn script_time(&self) -> Duration {
        self.engine.shared.machine.clock.monotonic()
    }

    fn pass(&self, seconds: u64) {
        self.script.advance(Duration::from_secs(seconds));
    }

    /// Lets a puppet that hung come home.
    fn wait_until_idle(&self, name: &str) {
        let begun = Instant::now();
        loop {
            let state = lock(&self.engine.shared.state);
            let slot = state.slots.iter().find(|slot| slot.spec.name == name).unwrap();
            if slot.phase == slot::Phase::Idle {
                return;
            }
            drop(state);
            assert!(begun.elapsed() < Duration::from_secs(60), "{name} never came back");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn has(&self, page: &str, line: &str) {
        assert!(page.lines().any(|found| found == line), "expected {line} in\n{page}");
    }
}

fn lacks(page: &str, part: &str) {
    assert!(!page.contains(part), "unexpected {part} in\n{page}");
}

#[test]
fn only_what_is_asked_for_is_opened() {
    let stage = Stage::new(&[&FAST, &OTHER, &SLOW]);
    let (page, _) = stage.ask_for(&["other"], Duration::from_secs(1));
    stage.has(&page, "test_value{collector=\"other\"} 1");
    lacks(&page, "fast");
    assert!(!stage.folder.path().join("fast.opened").exists());
    assert!(!stage.folder.path().join("slow.opened").exists());
}

#[test]
fn what_is_new_enough_is_not_read_again_and_what_is_older_is() {
    let stage = Stage::new(&[&FAST]);
    stage.has(&stage.ask(), "wholenode_rounds_total{collector=\"fast\"} 1");
    stage.has(&stage.ask(), "wholenode_rounds_total{collector=\"fast\"} 1");
    stage.script.advance(Duration::from_millis(101));
    stage.has(&stage.ask(), "wholenode_rounds_total{collector=\"fast\"} 2");
}

#[test]
fn askers_join_the_round_that_is_under_way() {
    let stage = Stage::new(&[&SLOW]);
    stage.tell("slow", "hang");
    let selection: Arc<[usize]> = stage.engine.select(None, &[], &[]).unwrap().into();
    let ask = || {
        let (engine, selection) = (Arc::clone(&stage.engine), selection.clone());
        std::thread::spawn(move || engine.ask(selection, Duration::from_secs(10)))
    };
    let askers = [ask(), ask(), ask()];
    std::thread::sleep(Duration::from_millis(20));
    stage.tell("slow", "go on");
    let pages = askers.map(|asker| asker.join().unwrap());
    assert!(pages.iter().all(|page| page.groups().iter().any(|group| page.family(group).name == "test_value")));
    assert_eq!(lock(&stage.engine.shared.state).slots[0].rounds, 1);
}

#[test]
fn one_that_hangs_on_the_fast_lane_costs_only_itself() {
    let stage = Stage::new(&[&FAST, &OTHER]);
    stage.ask();
    stage.pass(1);
    stage.tell("fast", "hang");
    let (page, took) = stage.ask_for(&[], Duration::from_secs(10));
    stage.has(&page, "test_value{collector=\"other\"} 1");
    stage.has(&page, "node_scrape_collector_success{collector=\"fast\"} 0");
    stage.has(&page, "wholenode_collector_state{collector=\"fast\",reason=\"stuck\"} 1");
    lacks(&page, "test_value{collector=\"fast\"}");
    assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}");

    // Nobody waits for it again, and it gets no second thread.
    stage.pass(1);
    let (page, took) = stage.ask_for(&[], Duration::from_secs(10));
    stage.has(&page, "test_value{collector=\"other\"} 1");
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(lock(&stage.engine.shared.state).slots[0].rounds, 1);

    stage.tell("fast", "go on");
    stage.wait_until_idle("fast");
    stage.pass(1);
    let page = stage.ask();
    stage.has(&page, "test_value{collector=\"fast\"} 1");
    stage.has(&page, "wholenode_collector_state{collector=\"fast\",reason=\"ok\"} 1");
}

#[test]
fn one_that_hangs_apart_costs_only_itself_over_reloads_too() {
    let stage = Stage::new(&[&FAST, &SLOW]);
    stage.tell("slow", "hang");
    let (page, took) = stage.ask_for(&[], Duration::from_secs(10));
    stage.has(&page, "test_value{collector=\"fast\"} 1");
    stage.has(&page, "wholenode_collector_state{collector=\"slow\",reason=\"stuck\"} 1");
    assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}");

    stage.configure(&[&FAST], "");
    stage.configure(&[&FAST, &SLOW], "");
    stage.pass(1);
    let (page, took) = stage.ask_for(&[], Duration::from_secs(10));
    stage.has(&page, "wholenode_collector_state{collector=\"slow\",reason=\"stuck\"} 1");
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(std::fs::read_to_string(stage.folder.path().join("slow.opened")).unwrap(), "1");

    stage.tell("slow", "go on");
    stage.wait_until_idle("slow");
    stage.pass(1);
    stage.has(&stage.ask(), "test_value{collector=\"slow\"} 2");
}

#[test]
fn those_that_are_slow_run_side_by_side() {
    let stage = Stage::new(&[&SLOW, &DEAF, &THIRD]);
    stage.tell("slow", "hang");
    stage.tell("deaf", "hang");
    let (page, took) = stage.ask_for(&[], Duration::from_secs(10));
    stage.has(&page, "test_value{collector=\"third\"} 1");
    assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}");
    stage.tell("slow", "go on");
    stage.tell("deaf", "go on");
}

#[test]
fn a_collector_apart_that_misses_one_round_is_served_from_the_one_before() {
    let stage = Stage::new(&[&SLOW]);
    stage.ask();
    stage.pass(10);
    stage.ask();
    stage.pass(10);
    stage.tell("slow", "hang");
    let page = stage.ask();
    stage.has(&page, "test_value{collector=\"slow\"} 1");
    let age = page.lines().find_map(|line| line.strip_prefix("wholenode_collector_age_seconds{collector=\"slow\"} "));
    assert!(age.unwrap().parse::<f64>().unwrap() > 9.9);
    stage.pass(25);
    lacks(&stage.ask(), "test_value");
    stage.tell("slow", "go on");
}

#[test]
fn an_asker_leaves_at_its_own_deadline() {
    let stage = Stage::new(&[&FAST]);
    stage.tell("fast", "hang");
    let (page, took) = stage.ask_for(&[], Duration::from_millis(50));
    lacks(&page, "test_value");
    assert!(took >= Duration::from_millis(50) && took < Duration::from_millis(80), "{took:?}");
    stage.tell("fast", "go on");
}

#[test]
fn one_that_panics_is_opened_again_later() {
    let stage = Stage::new(&[&FAST, &OTHER]);
    stage.tell("fast", "panic");
    let page = stage.ask();
    stage.has(&page, "test_value{collector=\"other\"} 1");
    stage.has(&page, "wholenode_collector_state{collector=\"fast\",reason=\"panic\"} 1");
    stage.has(&page, "node_scrape_collector_success{collector=\"fast\"} 0");
    stage.tell("fast", "panic in open");
    stage.pass(2);
    stage.has(&stage.ask(), "wholenode_collector_panics_total{collector=\"fast\"} 2");
    // Twice as long after the second one.
    stage.tell("fast", "go on");
    stage.script.advance(Duration::from_millis(1500));
    stage.has(&stage.ask(), "wholenode_collector_state{collector=\"fast\",reason=\"panic\"} 1");
    stage.pass(1);
    stage.has(&stage.ask(), "test_value{collector=\"fast\"} 3");
}

#[test]
fn one_that_is_not_there_is_looked_for_again_after_a_minute_or_a_reload() {
    let stage = Stage::new(&[&FAST, &OTHER]);
    stage.tell("fast", "not here");
    stage.tell("other", "not here");
    let page = stage.ask();
    stage.has(&page, "wholenode_collector_state{collector=\"fast\",reason=\"absent\"} 1");
    stage.tell("fast", "go on");
    stage.pass(50);
    lacks(&stage.ask(), "test_value");
    stage.pass(11);
    stage.has(&stage.ask(), "test_value{collector=\"fast\"} 2");
    stage.tell("other", "go on");
    stage.configure(&[&FAST, &OTHER], "");
    stage.pass(1);
    stage.has(&stage.ask(), "test_value{collector=\"other\"} 3");
}

#[test]
fn a_reload_opens_only_what_changed() {
    let stage = Stage::new(&[&FAST, &OTHER]);
    stage.ask();
    stage.configure(&[&FAST, &OTHER], "changed");
    stage.pass(1);
    let page = stage.ask();
    stage.has(&page, "test_value{collector=\"fast\"} 1");
    stage.has(&page, "test_value{collector=\"other\"} 2");
    stage.has(&page, "wholenode_rounds_total{collector=\"other\"} 2");
    stage.configure(&[&FAST], "changed");
    assert_eq!(stage.engine.select(None, &["other".to_owned()], &[]).unwrap_err(), "disabled collector: other");
}

#[test]
fn where_two_collectors_clash_the_users_text_loses_and_says_so() {
    let stage = Stage::new(&[&LATE, &FAST]);
    let page = stage.ask();
    stage.has(&page, "test_value{collector=\"fast\"} 1");
    stage.has(&page, "test_clash 1");
    assert_eq!(page.matches("\ntest_clash").count(), 1);
    stage.has(&stage.ask(), "wholenode_dropped_points_total{collector=\"late\",reason=\"clash\"} 1");
    let (page, _) = stage.ask_for(&["late"], Duration::from_secs(1));
    stage.has(&page, "test_clash 0");
}

#[test]
fn filters_are_node_exporters() {
    let stage = Stage::new(&[&FAST, &OTHER]);
    let select = |collect: &[&str], exclude: &[&str]| {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        stage.engine.select(Some("node"), &words(collect), &words(exclude))
    };
    assert_eq!(select(&[], &[]), Ok(vec![0, 1]));
    assert_eq!(select(&["other"], &[]), Ok(vec![1]));
    assert_eq!(select(&[], &["other"]), Ok(vec![0]));
    assert_eq!(select(&[], &["other", "fast"]), Ok(vec![]));
    assert_eq!(select(&["none"], &[]), Err("missing collector: none".to_owned()));
    assert_eq!(select(&[], &["none", "other"]), Ok(vec![0]));
    assert_eq!(select(&["fast"], &["other"]), Err("Combined collect and exclude queries are not allowed.".to_owned()));
    assert_eq!(stage.engine.select(Some("gpu"), &[], &[]), Ok(vec![]));
}

#[test]
fn findings_wait_for_the_slow_and_tell_of_the_stuck() {
    let stage = Stage::new(&[&FAST, &OTHER, &SLOW, &DEAF]);
    for (name, what) in [("other", "not here"), ("slow", "hang"), ("deaf", "hang")] {
        stage.tell(name, what);
    }
    let engine = Arc::clone(&stage.engine);
    let asker = std::thread::spawn(move || {
        let page = engine.ask_once([0, 1, 2, 3].into(), Duration::from_secs(2));
        (page, engine.findings(&[0, 1, 2, 3], Duration::ZERO))
    });
    let begun = stage.script_time();
    while !asker.is_finished() {
        std::thread::sleep(Duration::from_millis(5));
        stage.script.advance(Duration::from_millis(10));
        if stage.script_time() > begun + Duration::from_secs(1) {
            stage.tell("slow", "go on");
        }
    }
    let (page, found) = asker.join().unwrap();
    let values =
        page.batches().iter().flat_map(|batch| batch.columns()).filter(|column| column.family.name == VALUE.name);
    assert_eq!(values.map(|column| column.samples.len()).sum::<usize>(), 2);
    let states: Vec<_> = found.iter().map(|finding| (finding.state, finding.series)).collect();
    assert_eq!(states, [("ok", 1), ("absent", 0), ("ok", 1), ("stuck", 0)]);
    assert!(found[2].took.min(found[3].took) >= Duration::from_millis(900));
    stage.tell("deaf", "go on");
}
