//! Any order of calls, with crashes and refusing disks in between.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Send,
    Peek,
    Prune,
    Wait(u64),
    Refuse(bool),
    Close,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..8_000usize).prop_map(Step::Push),
        5 => Just(Step::Send),
        2 => Just(Step::Peek),
        2 => Just(Step::Prune),
        4 => (1..2000u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Refuse),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
    ]
}

/// Goes through the steps; after each of them everything is accounted for, and nothing goes out of order or twice, except
/// after a kill.
fn run(settings: &SpoolSettings, steps: Vec<Step>) {
    let mut now = 1;
    let mut spool = Spool::open(settings, at(now)).unwrap();
    let (mut sent, mut is_refusing) = (0, false);
    for step in steps {
        match step {
            Step::Push(length) => {
                now += 1;
                spool.push(&[record(now, length)], at(now));
            }
            Step::Send => {
                if let Next::Record { ticket, record: next, .. } = spool.next(at(now)) {
                    assert_eq!(next, record(next.taken.as_secs(), next.request.len()));
                    assert!(next.taken.as_secs() > sent);
                    sent = next.taken.as_secs();
                    assert!(spool.answered(ticket));
                }
            }
            Step::Peek => drop(spool.next(at(now))),
            Step::Prune => spool.prune(at(now)),
            Step::Wait(seconds) => now += seconds,
            Step::Refuse(is_full) => {
                is_refusing = is_full;
                if let Some(disk) = &mut spool.disk {
                    disk.refuse(is_full.then_some(Errno::NOSPC));
                }
            }
            Step::Close | Step::Kill => {
                let is_refused = spool.disk.as_ref().is_some_and(|disk| disk.fault().is_some()) || is_refusing;
                let is_kill = matches!(step, Step::Kill);
                let on_disk = spool.disk.as_ref().map_or(0, |disk| disk.tally().records);
                let all = spool.figures(at(now)).waiting.records;
                let lost = if is_kill {
                    drop(spool);
                    all - on_disk
                } else {
                    spool.close(at(now)).records
                };
                spool = Spool::open(settings, at(now)).unwrap();
                let found = spool.found.records;
                if is_kill || is_refused || settings.directory.is_none() {
                    // From the mark on it is sent again; it is older where it could not be moved.
                    let again = found - (all - lost);
                    assert!(again < 8 || is_refused, "{again} again, of {found}");
                    sent = 0;
                } else {
                    assert_eq!((found, lost), (all, 0));
                }
                is_refusing = false;
            }
        }
        let figures = spool.figures(at(now));
        nothing_is_lost(&figures);
        assert!(figures.bytes <= settings.max_bytes, "{} bytes", figures.bytes);
        assert_eq!(figures.waiting.records == 0, spool.is_empty());
    }
    assert!(drain(&mut spool, at(now)).iter().is_sorted_by(|a, b| a < b));
    nothing_is_lost(&spool.figures(at(now)));
    assert_eq!(spool.bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_memory_everything_is_accounted_for(steps in prop::collection::vec(step(), 1..150)) {
        run(&in_memory(40_000, 20_000), steps);
    }

    #[test]
    fn in_a_folder_everything_is_accounted_for(steps in prop::collection::vec(step(), 1..150)) {
        let folder = tempfile::tempdir().unwrap();
        run(&SpoolSettings { max_age: Duration::from_secs(20_000), ..on_disk(folder.path(), 150_000) }, steps);
    }
}
