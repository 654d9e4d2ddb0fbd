//! `adjtimex(2)`: how well the clock is kept, by ntpd, chronyd, systemd-timesyncd or a pulse per second.
//!
//! The call asks for nothing to be changed and needs no right, but seccomp profiles of containers may refuse it to all
//! that lack the capability SYS_TIME.

use crate::kit::{Error, Host, Options, Timex};
use crate::model::{Batch, Family, Value, counter, gauge};
use crate::{Collector, Group, Spec};

static OFFSET: Family =
    gauge("node_timex_offset_seconds", "What the clock is still to be corrected by, in seconds.", &[]);
static FREQUENCY: Family = gauge(
    "node_timex_frequency_adjustment_ratio",
    "How fast the clock is made to go, as a ratio to its own speed.",
    &[],
);
static MAXERROR: Family =
    gauge("node_timex_maxerror_seconds", "How far off the clock can be at most, in seconds.", &[]);
static ESTERROR: Family =
    gauge("node_timex_estimated_error_seconds", "How far off the clock is thought to be, in seconds.", &[]);
static STATUS: Family = gauge("node_timex_status", "The status bits (STA_*) as a number.", &[]);
static CONSTANT: Family = gauge(
    "node_timex_loop_time_constant",
    "Time constant of the loop that corrects the clock, as the kernel counts it.",
    &[],
);
static TICK: Family = gauge("node_timex_tick_seconds", "Time between two ticks of the clock, in seconds.", &[]);
static PPS_FREQUENCY: Family = gauge(
    "node_timex_pps_frequency_hertz",
    "Frequency offset measured by the pulse per second, in hertz per hertz.",
    &[],
);
static PPS_JITTER: Family = gauge("node_timex_pps_jitter_seconds", "Jitter of the pulse per second, in seconds.", &[]);
static PPS_SHIFT: Family = gauge(
    "node_timex_pps_shift_seconds",
    "Length of a calibration by the pulse per second, as a power of two of seconds.",
    &[],
);
static PPS_STABILITY: Family = gauge(
    "node_timex_pps_stability_hertz",
    "How much the frequency measured by the pulse per second wanders, in hertz per hertz.",
    &[],
);
static PPS_JITTER_TOTAL: Family =
    counter("node_timex_pps_jitter_total", "How often a pulse was off by more than the limit of jitter.", &[]);
static PPS_CALIBRATION: Family =
    counter("node_timex_pps_calibration_total", "Calibrations by the pulse per second.", &[]);
static PPS_ERROR: Family =
    counter("node_timex_pps_error_total", "Calibrations by the pulse per second that failed.", &[]);
static PPS_STABILITY_EXCEEDED: Family = counter(
    "node_timex_pps_stability_exceeded_total",
    "How often the frequency measured by the pulse per second wandered by more than its limit.",
    &[],
);
static TAI_OFFSET: Family = gauge(
    "node_timex_tai_offset_seconds",
    "By how much atomic time (TAI) is ahead of the clock, in seconds; 0 where nobody told the kernel.",
    &[],
);
static SYNC_STATUS: Family =
    gauge("node_timex_sync_status", "Whether something keeps the clock right (1) or not (0).", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec::new(
    Group::Node,
    "timex",
    "State of the kernel's clock from adjtimex(2).",
    &[
        &OFFSET,
        &FREQUENCY,
        &MAXERROR,
        &ESTERROR,
        &STATUS,
        &CONSTANT,
        &TICK,
        &PPS_FREQUENCY,
        &PPS_JITTER,
        &PPS_SHIFT,
        &PPS_STABILITY,
        &PPS_JITTER_TOTAL,
        &PPS_CALIBRATION,
        &PPS_ERROR,
        &PPS_STABILITY_EXCEEDED,
        &TAI_OFFSET,
        &SYNC_STATUS,
    ],
    open,
);

/// `TIME_ERROR`: nothing keeps the clock right.
const TIME_ERROR: i64 = 5;
/// `STA_NANO`: `offset` and `jitter` are nanoseconds.
const STA_NANO: i64 = 0x2000;
const MICRO: u8 = 6;
const NANO: u8 = 9;

struct Clock;

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if host.adjtimex().is_err_and(|error| error.is_absent()) {
        return Ok(None);
    }
    Ok(Some(Box::new(Clock)))
}

impl Collector for Clock {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let timex = host.adjtimex()?;
        for (family, value) in values(&timex) {
            out.put(family, out.machine(), value);
        }
        Ok(())
    }
}

fn values(timex: &Timex) -> [(&'static Family, Value); 17] {
    let fine = if timex.status & STA_NANO == 0 { MICRO } else { NANO };
    [
        (&OFFSET, Value::Scaled(timex.offset, fine)),
        (&FREQUENCY, Value::Float(1.0 + ppm(timex.freq) / 1e6)),
        (&MAXERROR, Value::Scaled(timex.maxerror, MICRO)),
        (&ESTERROR, Value::Scaled(timex.esterror, MICRO)),
        (&STATUS, Value::Int(timex.status)),
        (&CONSTANT, Value::Int(timex.constant)),
        (&TICK, Value::Scaled(timex.tick, MICRO)),
        (&PPS_FREQUENCY, Value::Float(ppm(timex.ppsfreq) / 1e6)),
        (&PPS_JITTER, Value::Scaled(timex.jitter, fine)),
        (&PPS_SHIFT, Value::Int(timex.shift)),
        (&PPS_STABILITY, Value::Float(ppm(timex.stabil) / 1e6)),
        (&PPS_JITTER_TOTAL, Value::Int(timex.jitcnt)),
        (&PPS_CALIBRATION, Value::Int(timex.calcnt)),
        (&PPS_ERROR, Value::Int(timex.errcnt)),
        (&PPS_STABILITY_EXCEEDED, Value::Int(timex.stbcnt)),
        (&TAI_OFFSET, Value::Int(timex.tai)),
        (&SYNC_STATUS, Value::from(timex.state != TIME_ERROR)),
    ]
}

/// The kernel's frequencies are 2^-16 parts per million.
fn ppm(frequency: i64) -> f64 {
    frequency as f64 / 65536.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn a_clock_that_is_kept_right() {
        let text =
            "offset -153045\nfreq 655360\nmaxerror 17500\nesterror 12\nstatus 8193\nconstant 7\ntick 10000\ntai 37\n";
        let expected = "\
node_timex_estimated_error_seconds 0.000012
node_timex_frequency_adjustment_ratio 1.00001
node_timex_loop_time_constant 7
node_timex_maxerror_seconds 0.0175
node_timex_offset_seconds -0.000153045
node_timex_pps_calibration_total 0
node_timex_pps_error_total 0
node_timex_pps_frequency_hertz 0
node_timex_pps_jitter_seconds 0
node_timex_pps_jitter_total 0
node_timex_pps_shift_seconds 0
node_timex_pps_stability_exceeded_total 0
node_timex_pps_stability_hertz 0
node_timex_status 8193
node_timex_sync_status 1
node_timex_tai_offset_seconds 37
node_timex_tick_seconds 0.01
";
        Tree::new(&[("calls/adjtimex", text)]).check(&SPEC, &[], expected);
    }

    #[test]
    fn a_clock_that_nothing_keeps_and_that_counts_microseconds() {
        let text = "state 5\nstatus 64\noffset 12\njitter 3\nppsfreq 65536\nstabil 131072\n";
        let round = Tree::new(&[("calls/adjtimex", text)]).open(&SPEC, &[]).round();
        for line in [
            "node_timex_sync_status 0",
            "node_timex_offset_seconds 0.000012",
            "node_timex_pps_jitter_seconds 0.000003",
            "node_timex_pps_frequency_hertz 0.000001",
            "node_timex_pps_stability_hertz 0.000002",
        ] {
            assert!(round.lines().any(|said| said == line), "{line}\n{round}");
        }
    }

    #[test]
    fn a_profile_that_refuses_the_call_is_told_of() {
        let tree = Tree::new(&[("calls/adjtimex", "EPERM\n")]);
        tree.check(&SPEC, &[], "! denied\n");
        let error = tree.host().adjtimex().unwrap_err().to_string();
        assert!(
            error.starts_with("adjtimex: permission denied (needs a seccomp profile that allows the call"),
            "{error}"
        );
    }

    #[test]
    fn a_tree_without_the_call_has_no_clock() {
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }
}
