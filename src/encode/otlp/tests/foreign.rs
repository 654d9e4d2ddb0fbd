//! Requests are dated in place, and what is none of ours is refused.

use super::super::{Malformed, date};
use super::*;
use proptest::prelude::*;

/// A request with every kind of point.
fn request(per_container: bool) -> Vec<u8> {
    let mut scene = Scene::new(Shape { per_container, ..Shape::default() });
    let put = |b: &mut Batch| {
        let of = b.entity(&["id", "name", "image"], ["/docker/a", "a", "b:c"]);
        for of in [b.machine(), of] {
            b.put(&LOAD, of, 1.5);
            b.put(&BYTES, of, 1u64);
            b.put(&FAILCNT, of, 1u64);
            let points = vec![(1.0, 1.0), (f64::INFINITY, 2.0)];
            b.put_distribution(&SIZES, of, Distribution { points: points.clone(), count: Some(2.0), sum: Some(3.0) });
            b.put_distribution(&QUANTILES, of, Distribution { points, count: Some(2.0), sum: Some(3.0) });
        }
    };
    scene.round(10, vec![batch(9, put)]);
    scene.round(20, vec![batch(19, |b| b.put(&BYTES, b.machine(), 0u64))]);
    scene.out.iter().next().unwrap().0.to_vec()
}

#[test]
fn all_times_become_times_since_1970() {
    let mut request = request(true);
    let before = decoded::points(&request);
    assert_eq!(before.len(), 11);
    assert!(before.iter().any(|point| point.start == seconds(9)));
    let boot = 1_700_000_000_123_456_789;
    date(&mut request, boot).unwrap();
    let mut expected = before;
    for point in &mut expected {
        point.time += boot;
        point.start += if point.form == "gauge" { 0 } else { boot };
    }
    let after = decoded::points(&request);
    assert_eq!(format!("{after:?}"), format!("{expected:?}"));
    assert_eq!(date(&mut request, boot), Err(Malformed));
    assert_eq!(format!("{:?}", decoded::points(&request)), format!("{expected:?}"));
    assert_eq!(date(&mut super::foreign::request(true), u64::MAX), Err(Malformed));
    assert_eq!(date(&mut [], boot), Ok(()));
}

#[test]
fn a_torn_request_is_refused_and_not_touched() {
    // Where there are two resources, one alone is whole.
    let whole = request(false);
    for length in 1..whole.len() {
        let mut torn = whole[..length].to_vec();
        assert_eq!(date(&mut torn, 1), Err(Malformed), "{length} of {} bytes", whole.len());
        assert_eq!(torn, whole[..length]);
    }
    let mut longer = [&whole[..], b"\0"].concat();
    assert_eq!(date(&mut longer, 1), Err(Malformed));
}

proptest! {
    #[test]
    fn anything_is_dated_or_refused(mut bytes: Vec<u8>, boot: u64) {
        let length = bytes.len();
        let _ = date(&mut bytes, boot);
        prop_assert_eq!(bytes.len(), length);
    }

    #[test]
    fn damaged_requests_are_dated_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        boot in 0..u64::MAX / 2,
    ) {
        let mut bytes = request(true);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let before = bytes.clone();
        match date(&mut bytes, boot) {
            Ok(()) => prop_assert_eq!(bytes.len(), before.len()),
            Err(Malformed) => prop_assert_eq!(bytes, before),
        }
    }
}
