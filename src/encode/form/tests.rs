use super::super::Text;
use super::super::page::Sheet;
use super::*;
use collectors::model::{Batch, Distribution, Family, Kind, counter, gauge};
use proptest::prelude::*;
use std::borrow::Cow;
use std::io::Read;

static BYTES: Family = counter("bytes_total", "Bytes.", &["device"]);
static LOAD: Family = gauge("load", "Load.", &[]);
static LEFT_OUT: Family = gauge("left_out", "Not on the page.", &[]);
static UP: Family = gauge("up", "Is it up?", &["device"]);
static SIZES: Family =
    Family { name: Cow::Borrowed("sizes"), help: Cow::Borrowed(""), kind: Kind::Histogram, labels: &[], semconv: None };

/// Batches as an engine makes them: each expects the labels of the one before.
struct Machine {
    text: Text,
    last: Arc<Batch>,
    layout: Arc<Layout>,
    /// How long the last page was.
    length: usize,
}

fn is_kept(family: &Family) -> bool {
    family.name != "left_out"
}

impl Default for Machine {
    fn default() -> Self {
        Self { text: Text::keeping(is_kept), last: Arc::default(), layout: Arc::default(), length: 0 }
    }
}

impl Machine {
    fn snapshot(&mut self, put: impl FnOnce(&mut Batch)) -> Snapshot {
        let mut batch = Batch::new(10_000);
        batch.expect(&self.last);
        put(&mut batch);
        self.last = Arc::new(batch);
        let snapshot = Snapshot::like(&self.layout, vec![Arc::clone(&self.last)]);
        self.layout = Arc::clone(snapshot.layout());
        snapshot
    }

    /// Whether the page was filled into a form; looks whether it is as it would be without one, and so packed.
    #[track_caller]
    fn fills(&mut self, put: impl FnOnce(&mut Batch)) -> bool {
        self.fills_as(Format::Text, put)
    }

    #[track_caller]
    fn fills_as(&mut self, format: Format, put: impl FnOnce(&mut Batch)) -> bool {
        let snapshot = self.snapshot(put);
        let mut sheet = Sheet::plain(b"room".to_vec());
        let filled = self.text.make(&snapshot, format, &mut sheet);
        self.length = sheet.text.len();
        let fresh = Text::keeping(is_kept).page(&snapshot, format, Vec::new());
        assert_eq!(String::from_utf8_lossy(&sheet.text), String::from_utf8_lossy(&fresh));
        let Some(filled) = filled else { return false };
        let (mut packed, mut back) = (Vec::new(), Vec::new());
        filled.pack(&sheet.text, &mut Gzip::default(), &mut packed);
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
        assert!(back == fresh, "what is unpacked is not the page");
        true
    }
}

fn devices(batch: &mut Batch, figures: &[(&str, u64, bool)]) {
    for &(device, bytes, is_up) in figures {
        let of = batch.entity(&["device"], [device]);
        batch.put(&BYTES, of, bytes);
        batch.put(&UP, of, is_up);
    }
    batch.put(&LOAD, batch.machine(), 0.25);
}

#[test]
fn a_page_like_the_last_two_is_filled_in() {
    let mut machine = Machine::default();
    for (round, fills) in (0..5).zip([false, false, true, true, true]) {
        let figures = [("eth0", 10u64.pow(round), true), ("eth1", 7, false)];
        assert_eq!(machine.fills(|batch| devices(batch, &figures)), fills, "round {round}");
    }
}

#[test]
fn a_figure_that_seemed_to_stay_gets_a_gap_for_good() {
    let mut machine = Machine::default();
    let ups = [true, true, true, false, false, true];
    let fills = ups.map(|is_up| machine.fills(|batch| devices(batch, &[("eth0", 1, is_up)])));
    assert_eq!(fills, [false, false, true, false, false, true]);
}

#[test]
fn an_odd_page_costs_no_form() {
    let mut machine = Machine::default();
    let ups = [true, true, true, false, true, true];
    let fills = ups.map(|is_up| machine.fills(|batch| devices(batch, &[("eth0", 1, is_up)])));
    assert_eq!(fills, [false, false, true, false, true, true]);
}

#[test]
fn what_comes_or_goes_or_changes_places_is_never_written_into_the_old_form() {
    let mut machine = Machine::default();
    let (a, b, c) = (("a", 1, true), ("b", 2, true), ("c", 3, true));
    for figures in [&[a, b][..], &[a], &[b], &[b, a], &[a, b, c], &[]] {
        let fills = [(); 3].map(|()| machine.fills(|batch| devices(batch, figures)));
        assert_eq!(fills, [false, false, true], "{figures:?}");
    }
    // The labels stay, but one of two loses a figure, and the other one gets it.
    for without in ["a", "b", "a"] {
        let put = |batch: &mut Batch| {
            for device in ["a", "b"] {
                let of = batch.entity(&["device"], [device]);
                batch.put(&BYTES, of, 5u64);
                batch.put_some(&UP, of, (device != without).then_some(true));
            }
        };
        assert_eq!([(); 3].map(|()| machine.fills(put)), [false, false, true], "without {without}");
    }
}

#[test]
fn where_a_family_ends_is_part_of_the_shape() {
    let mut machine = Machine::default();
    let put = |first: usize| {
        move |batch: &mut Batch| {
            for (at, device) in ["a", "b", "c"].into_iter().enumerate() {
                let of = batch.entity(&["device"], [device]);
                batch.put(if at < first { &BYTES } else { &UP }, of, 5u64);
            }
        }
    };
    for first in [2, 1, 2] {
        assert_eq!([(); 3].map(|()| machine.fills(put(first))), [false, false, true], "{first}");
    }
}

#[test]
fn zeros_of_either_sign_are_told_apart() {
    let mut machine = Machine::default();
    for zero in [0.0, -0.0, 0.0] {
        (0..3).for_each(|_| _ = machine.fills(|batch| batch.put(&LOAD, batch.machine(), zero)));
    }
}

#[test]
fn each_format_has_its_own_form() {
    let mut machine = Machine::default();
    for format in [Format::Text, Format::OpenMetrics, Format::Text] {
        let fills = [(); 3].map(|()| machine.fills_as(format, |batch| devices(batch, &[("eth0", 1, true)])));
        assert_eq!(fills, [false, false, true], "{format:?}");
    }
}

#[test]
fn families_that_are_left_out_leave_no_gap() {
    let mut machine = Machine::default();
    let fills = [1u64, 2, 3, 4].map(|figure| {
        machine.fills(|batch| {
            devices(batch, &[("eth0", figure, true)]);
            batch.put(&LEFT_OUT, batch.machine(), figure);
        })
    });
    assert_eq!(fills, [false, false, true, true]);
}

#[test]
fn distributions_and_long_pages_have_no_form() {
    let mut machine = Machine::default();
    let distribution = || Distribution { points: vec![(1.0, 2.0)], count: Some(2.0), sum: None };
    let put = |batch: &mut Batch| batch.put_distribution(&SIZES, batch.machine(), distribution());
    assert!(!(0..4).any(|_| machine.fills(put)));
    let names: Vec<String> = (0..=FIGURES_MAX).map(|at| format!("device{at}")).collect();
    let figures: Vec<_> = names.iter().map(|name| (name.as_str(), 1, true)).collect();
    assert!(!(0..4).any(|_| machine.fills(|batch| devices(batch, &figures))));
    assert!(!(0..4).any(|_| machine.fills(|batch| devices(batch, &[(&"x".repeat(BYTES_MAX), 1, true)]))));
}

#[test]
fn a_form_may_be_longer_than_a_block() {
    let mut machine = Machine::default();
    let names: Vec<String> = (0..500).map(|at| format!("{at}{}", "x".repeat(50 - at / 50))).collect();
    let fills = [1u64, 20, 3_000_000_000, 4].map(|figure| {
        let figures: Vec<_> =
            names.iter().enumerate().map(|(at, name)| (&**name, figure * at as u64, at % 3 > 0)).collect();
        machine.fills(|batch| devices(batch, &figures))
    });
    assert_eq!(fills, [false, false, true, true]);
    assert!(machine.length > 1 << 16, "{} bytes", machine.length);
}

proptest! {
    /// Of each device, whether it has the one family, the other, or both; some rounds are like the one before.
    #[test]
    fn whatever_happens_pages_are_as_without_a_form(
        names in prop::array::uniform3("[a-c]|\\PC{0,9}"),
        rounds in prop::collection::vec((prop::array::uniform3(prop_oneof![9 => 1..3u8, 1 => 0..4u8]), prop::array::uniform3(0..3u64), 1..5), 1..9),
    ) {
        let mut machine = Machine::default();
        for (families, figures, times) in rounds {
            for time in 0..times {
                machine.fills(|batch| {
                    for ((name, families), figure) in names.iter().zip(families).zip(figures) {
                        let of = batch.entity(&["device"], [name]);
                        let has = |family: u8| families & family > 0;
                        batch.put_some(&BYTES, of, has(1).then_some(figure.pow(time as u32)));
                        batch.put_some(&UP, of, has(2).then_some(figure));
                    }
                });
            }
        }
    }
}
