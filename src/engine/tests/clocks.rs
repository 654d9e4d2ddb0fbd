//! Collectors that keep a clock of their own.

use super::*;

static TIMED: Spec = Spec {
    pace: Pace::Every { period: Duration::from_secs(5) },
    ..Spec::new(Group::Node, "timed", "", &[&VALUE], |host, _| open("timed", host))
};

#[test]
fn a_collector_with_a_clock_of_its_own_runs_whoever_asks() {
    let stage = Stage::new(&[&TIMED]);
    let rounds = || lock(&stage.engine.shared.state).slots[0].rounds;
    let reaches = |expected: u64| {
        let begun = Instant::now();
        while rounds() < expected {
            assert!(begun.elapsed() < Duration::from_secs(60), "round {expected} never came");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Longer than a round that should not be would take to come.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(rounds(), expected);
    };
    // Without the clock, for a page that is asked for once, the asker drives it.
    assert!(stage.ask().contains("test_value"));
    assert_eq!(rounds(), 1);
    stage.pass(60);
    stage.engine.keep_time();
    stage.engine.keep_time();
    reaches(2);
    for _ in 0..3 {
        assert!(stage.ask().contains("test_value"));
    }
    reaches(2);
    for round in 3..6 {
        stage.pass(5);
        reaches(round);
    }
    // It ends with the collector, and begins anew with it.
    stage.configure(&[], "");
    let begun = Instant::now();
    while lock(&stage.engine.shared.state).slots[0].is_kept {
        assert!(begun.elapsed() < Duration::from_secs(60), "the clock never ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    stage.configure(&[&TIMED], "");
    stage.engine.keep_time();
    reaches(6);
}

#[test]
fn a_clock_that_hangs_costs_its_own_series() {
    let stage = Stage::new(&[&TIMED, &FAST]);
    stage.tell("timed", "hang");
    stage.engine.keep_time();
    let page = stage.ask_for(&[], Duration::from_secs(1)).0;
    assert!(
        page.contains("test_value{collector=\"fast\"}") && !page.contains("test_value{collector=\"timed\"}"),
        "{page}"
    );
    stage.tell("timed", "go on");
    stage.wait_until_idle("timed");
    assert!(stage.ask().contains("test_value{collector=\"timed\"}"));
}
