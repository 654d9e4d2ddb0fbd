//! Receivers of every kind, none of which is away for long.

use super::script::{HOUR, MINUTE, Play, SECOND, Stage, later, refused, taken};
use crate::export::transport::Outcome;
use proptest::prelude::*;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn each_round_is_sent_at_once_and_dated() {
    let stage = Play::default().begin(|_| (NOW, taken())).await;
    stage.pass(HOUR + SECOND).await;
    let seen = stage.seen();
    assert_eq!(seen.len(), 61);
    for (n, seen) in seen.iter().enumerate() {
        assert_eq!((seen.taken, seen.points), (n as u32 * MINUTE, 10));
        assert!(seen.at - seen.taken < SECOND);
    }
    let figures = &stage.lane.figures;
    assert_eq!((stage.sent(), stage.produced(), figures.is_up()), (610, 610, Some(true)));
    assert_eq!((figures.taken.load(Relaxed), figures.retries.load(Relaxed)), (61, 0));
    assert!(figures.bytes.load(Relaxed) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_round_of_many_points_is_several_requests() {
    let stage = Play { points: 12_000, ..Play::default() }.begin(|_| (SECOND, taken())).await;
    stage.pass(10 * SECOND).await;
    let seen = stage.seen();
    assert_eq!(seen.iter().map(|seen| seen.points).collect::<Vec<_>>(), [5000, 5000, 2001]);
    assert!(seen.windows(2).all(|pair| pair[1].at - pair[0].at >= SECOND), "one at a time");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_dropped_and_holds_up_nothing() {
    let stage = Play::default().begin(|_| (NOW, refused())).await;
    stage.pass(HOUR + SECOND).await;
    let figures = &stage.lane.figures;
    assert_eq!((stage.seen().len(), figures.refused.load(Relaxed)), (61, 610));
    assert_eq!((figures.is_up(), figures.waiting(), stage.dropped()), (Some(false), 0, 0));
}

#[tokio::test(start_paused = true)]
async fn points_that_are_rejected_are_counted_and_not_sent_again() {
    let outcome = || Outcome::Taken { rejected: 3, message: Some("too old".to_owned()) };
    let stage = Play::default().begin(move |_| (NOW, outcome())).await;
    stage.pass(10 * MINUTE + SECOND).await;
    let figures = &stage.lane.figures;
    assert_eq!((stage.sent(), figures.rejected.load(Relaxed), figures.is_up()), (11 * 7, 11 * 3, Some(true)));
    assert_eq!(stage.seen().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_patience_gets_it() {
    let stage = Play::default().begin(|seen| (NOW, if seen.at < HOUR { later(Some(300)) } else { taken() })).await;
    stage.pass(HOUR).await;
    let seen = stage.seen();
    assert!((10..=13).contains(&seen.len()), "{}", seen.len());
    assert!(seen.windows(2).all(|pair| pair[1].at - pair[0].at >= 300 * SECOND));
    stage.pass(HOUR).await;
    assert_eq!(stage.sent(), stage.produced());
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_gets_one_request_at_a_time_and_the_newest_first() {
    // Two and a half intervals for each: it falls behind for ever.
    let stage = Play { max_bytes: 20_000, ..Play::default() }.begin(|_| (150 * SECOND, taken())).await;
    stage.pass(10 * HOUR).await;
    let seen = stage.seen();
    assert!(seen.windows(2).all(|pair| pair[1].at - pair[0].at >= 150 * SECOND));
    assert!(seen.iter().all(|seen| seen.at - seen.taken <= 2 * MINUTE), "what is new goes first");
    assert!(stage.dropped() > 0);
}

#[tokio::test(start_paused = true)]
async fn one_request_that_is_never_taken_holds_up_nothing_new() {
    let poison = 5 * MINUTE;
    let answer = move |seen: super::script::Seen| {
        let is_short = (4 * MINUTE..6 * MINUTE).contains(&seen.at);
        (NOW, if is_short || seen.taken == poison { later(None) } else { taken() })
    };
    let stage = Play::default().begin(answer).await;
    stage.pass(3 * HOUR).await;
    let seen = stage.seen();
    for n in 7..180 {
        let at = seen.iter().find(|seen| seen.taken == n * MINUTE).unwrap().at;
        assert!(at - n * MINUTE < SECOND, "{n}: {at:?}");
    }
    assert!(seen.iter().filter(|seen| seen.taken == poison).count() > 10);
    assert_eq!((stage.lane.figures.is_up(), stage.dropped()), (Some(true), 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_clock_is_right_and_all_of_it_then() {
    let stage = Play { clock_right: 5 * MINUTE, ..Play::default() }.begin(|_| (NOW, taken())).await;
    stage.pass(5 * MINUTE - SECOND).await;
    assert!(stage.seen().is_empty() && stage.produced() > 0);
    stage.pass(MINUTE).await;
    let mut times: Vec<_> = stage.seen().iter().map(|seen| seen.taken).collect();
    times.sort();
    assert_eq!(times, (0..6).map(|n| n * MINUTE).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_at_the_end_has_a_moment_and_is_kept_otherwise() {
    let stage = Play::default().begin(|_| (Duration::from_millis(400), taken())).await;
    stage.pass(Duration::from_millis(100)).await;
    let (took, left, figures) = stage.end().await;
    assert!(took < SECOND && figures.sent.load(Relaxed) == 10 && left == 0, "{took:?} {figures:?}");
    let stage = Play::default().begin(|_| (HOUR, taken())).await;
    stage.pass(Duration::from_millis(100)).await;
    let (took, left, figures) = stage.end().await;
    assert!(took < SECOND && figures.sent.load(Relaxed) == 0 && left == 10, "{took:?} {figures:?}");
    assert_eq!(figures.dropped()[4], ("io", 10), "memory ends with the process");
}

/// An answer of any kind.
fn outcome(kind: u8) -> Outcome {
    match kind % 8 {
        0..4 => taken(),
        4 => Outcome::Taken { rejected: 4, message: None },
        5 => refused(),
        6 => later(None),
        _ => later(Some(90)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_it_answers_every_point_is_accounted_for(
        answers in prop::collection::vec((any::<u8>(), 0..100_u64), 1..60),
        points in prop::sample::select(vec![9, 6_000]),
        replay_first: bool,
        max_bytes in 500..20_000_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut answers = answers.into_iter().cycle();
            let answer = move |_| answers.next().map(|(kind, takes)| (Duration::from_secs(takes), outcome(kind))).unwrap();
            let stage: Stage = Play { points, replay_first, max_bytes, ..Play::default() }.begin(answer).await;
            stage.pass(HOUR).await;
            stage.no_more().await;
            stage.pass(HOUR).await;
            let (_, _, figures) = stage.end().await;
            let ended = [&figures.sent, &figures.rejected, &figures.refused].map(|points| points.load(Relaxed));
            let dropped: u64 = figures.dropped().iter().map(|(_, points)| points).sum();
            assert!(figures.produced.load(Relaxed) > 0);
            assert_eq!(figures.produced.load(Relaxed), ended.iter().sum::<u64>() + dropped, "{figures:?}");
        });
    }
}
