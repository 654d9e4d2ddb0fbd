//! Receivers that are away for hours, and what becomes of what waited.

use super::script::{HOUR, MINUTE, Play, SECOND, later, refused, taken};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn a_day_without_a_receiver_loses_nothing() {
    let stage = Play::default().begin(|seen| (NOW, if seen.at < 24 * HOUR { later(None) } else { taken() })).await;
    stage.pass(24 * HOUR).await;
    let attempts = stage.seen().len();
    assert!((24 * 60..24 * 60 * 3).contains(&attempts), "{attempts} attempts in a day");
    assert_eq!((stage.sent(), stage.lane.figures.is_up()), (0, Some(false)));
    assert_eq!(stage.lane.figures.spooled().0, 24 * 60 - 1, "all but the newest");
    stage.pass(HOUR).await;
    assert_eq!((stage.sent(), stage.lane.figures.is_up()), (stage.produced(), Some(true)));
    assert_eq!(stage.lane.figures.spooled().0, 0);
    assert!(stage.lane.figures.retries.load(Relaxed) > 1000);
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_sent_oldest_first_slowly_and_behind_what_is_new() {
    let back = 10 * HOUR + 30 * SECOND;
    let stage = Play::default().begin(move |seen| (NOW, if seen.at < back { later(None) } else { taken() })).await;
    stage.pass(11 * HOUR).await;
    let after: Vec<_> = stage.seen().into_iter().filter(|seen| seen.at >= back).collect();
    let (new, waited): (Vec<_>, Vec<_>) = after.into_iter().partition(|seen| seen.at - seen.taken < 2 * MINUTE);
    assert!((600..=602).contains(&waited.len()), "{}", waited.len());
    assert!(waited.windows(2).all(|pair| pair[1].taken == pair[0].taken + MINUTE), "oldest first, each once");
    assert!(waited.windows(2).all(|pair| pair[1].at - pair[0].at >= SECOND / 5), "not all at once");
    assert!(waited[599].at - waited[0].at < 5 * MINUTE);
    assert!(new.iter().skip(1).all(|seen| seen.at - seen.taken < SECOND), "what is new does not wait: {new:?}");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_wants_order_gets_it() {
    let away = |at: Duration| (2 * HOUR..5 * HOUR).contains(&at);
    let play = Play { replay_first: true, ..Play::default() };
    let stage = play.begin(move |seen| (NOW, if away(seen.at) { later(None) } else { taken() })).await;
    stage.pass(8 * HOUR + SECOND).await;
    let taken: Vec<_> = stage.seen().into_iter().filter(|seen| !away(seen.at)).map(|seen| seen.taken).collect();
    assert_eq!(taken, (0..=8 * 60).map(|n| n * MINUTE).collect::<Vec<_>>());
    assert_eq!(stage.sent(), stage.produced());
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_or_too_old_is_dropped_oldest_first_and_counted() {
    let play = || Play { max_bytes: 50_000, ..Play::default() };
    let stage = play().begin(|seen| (NOW, if seen.at < 24 * HOUR { later(None) } else { taken() })).await;
    stage.pass(25 * HOUR).await;
    assert!(stage.dropped() > 5_000 && stage.sent() + stage.dropped() == stage.produced());
    let oldest = stage.seen().iter().filter(|seen| seen.at >= 24 * HOUR).map(|seen| seen.taken).min().unwrap();
    assert!(oldest > 12 * HOUR, "the newest of the day are there: {oldest:?}");
    let play = Play { max_age: 2 * HOUR, ..Play::default() };
    let stage = play.begin(|seen| (NOW, if seen.at < 24 * HOUR { later(None) } else { taken() })).await;
    stage.pass(25 * HOUR).await;
    let waited = stage.seen().iter().filter(|seen| seen.at >= 24 * HOUR && seen.taken < 24 * HOUR).count();
    assert!((118..=121).contains(&waited), "{waited}");
    assert_eq!(stage.sent() + stage.dropped(), stage.produced());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_what_is_old_gets_what_is_new() {
    let answer = |seen: super::script::Seen| {
        let is_old = seen.at - seen.taken > 10 * MINUTE;
        (
            NOW,
            if seen.at < 3 * HOUR {
                later(None)
            } else if is_old {
                refused()
            } else {
                taken()
            },
        )
    };
    let stage = Play::default().begin(answer).await;
    stage.pass(4 * HOUR).await;
    let figures = &stage.lane.figures;
    assert!(figures.refused.load(Relaxed) > 1500 && figures.waiting() == 0);
    assert_eq!(figures.is_up(), Some(true), "it takes what is new");
    assert!(stage.sent() >= 600, "{}", stage.sent());
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_it_is_sent_is_a_failure_like_others() {
    let answer = |seen: super::script::Seen| {
        assert!(seen.at >= HOUR, "a bug, say");
        (NOW, taken())
    };
    let stage = Play::default().begin(answer).await;
    stage.pass(HOUR).await;
    assert_eq!((stage.sent(), stage.lane.figures.is_up()), (0, Some(false)));
    assert_eq!(stage.renewed.load(Relaxed), stage.seen().len() as u64);
    stage.pass(HOUR).await;
    assert_eq!((stage.sent(), stage.lane.figures.is_up()), (stage.produced(), Some(true)));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_asked_nothing_has_ended() {
    let stage = Play::default().begin(|_| (NOW, taken())).await;
    stage.pass(10 * MINUTE).await;
    let before = stage.produced();
    stage.is_mute.store(true, Relaxed);
    stage.pass(10 * MINUTE).await;
    assert_eq!(stage.produced(), before);
    stage.is_mute.store(false, Relaxed);
    stage.pass(10 * MINUTE).await;
    assert!(stage.produced() > before && stage.sent() == stage.produced());
}
