//! What `adjtimex(2)` says of the kernel's clock, live or recorded.

use super::calls::errno;
use super::{Error, Host, sys};
use rustix::io::Errno;

/// The state of the kernel's clock, in the kernel's words and units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timex {
    /// What the call returned: 0 to 5, of which 5 (`TIME_ERROR`) says that nothing keeps the clock right.
    pub state: i64,
    /// Microseconds, or nanoseconds where `status` has `STA_NANO`.
    pub offset: i64,
    /// 2^-16 parts per million.
    pub freq: i64,
    /// Microseconds.
    pub maxerror: i64,
    /// Microseconds.
    pub esterror: i64,
    /// A bit for each `STA_*`.
    pub status: i64,
    /// The time constant of the loop that corrects the clock.
    pub constant: i64,
    /// Microseconds between two ticks.
    pub tick: i64,
    /// 2^-16 parts per million.
    pub ppsfreq: i64,
    /// In the unit of `offset`.
    pub jitter: i64,
    /// The interval of the calibration, as a power of two of seconds.
    pub shift: i64,
    /// 2^-16 parts per million.
    pub stabil: i64,
    /// How often the jitter was too large.
    pub jitcnt: i64,
    /// Intervals of calibration.
    pub calcnt: i64,
    /// Intervals of calibration that failed.
    pub errcnt: i64,
    /// How often the frequency wandered too far.
    pub stbcnt: i64,
    /// Seconds by which atomic time is ahead.
    pub tai: i64,
}

impl Timex {
    fn live() -> Result<Self, Errno> {
        let (state, timex) = sys::adjtimex()?;
        Ok(Self {
            state,
            offset: timex.offset,
            freq: timex.freq,
            maxerror: timex.maxerror,
            esterror: timex.esterror,
            status: timex.status.into(),
            constant: timex.constant,
            tick: timex.tick,
            ppsfreq: timex.ppsfreq,
            jitter: timex.jitter,
            shift: timex.shift.into(),
            stabil: timex.stabil,
            jitcnt: timex.jitcnt,
            calcnt: timex.calcnt,
            errcnt: timex.errcnt,
            stbcnt: timex.stbcnt,
            tai: timex.tai.into(),
        })
    }

    /// Recorded: `FIELD NUMBER` for each field that is not 0, or `ERRNO` alone; `Err` is a line that is neither.
    pub(super) fn recorded(text: &str) -> Result<Result<Self, Errno>, &str> {
        let mut timex = Self::default();
        for line in text.lines() {
            let Some((field, number)) = line.split_once(' ') else { return errno(line).map(Err).ok_or(line) };
            let field = timex.field(field).ok_or(line)?;
            *field = number.parse().map_err(|_| line)?;
        }
        Ok(Ok(timex))
    }

    fn field(&mut self, name: &str) -> Option<&mut i64> {
        Some(match name {
            "state" => &mut self.state,
            "offset" => &mut self.offset,
            "freq" => &mut self.freq,
            "maxerror" => &mut self.maxerror,
            "esterror" => &mut self.esterror,
            "status" => &mut self.status,
            "constant" => &mut self.constant,
            "tick" => &mut self.tick,
            "ppsfreq" => &mut self.ppsfreq,
            "jitter" => &mut self.jitter,
            "shift" => &mut self.shift,
            "stabil" => &mut self.stabil,
            "jitcnt" => &mut self.jitcnt,
            "calcnt" => &mut self.calcnt,
            "errcnt" => &mut self.errcnt,
            "stbcnt" => &mut self.stbcnt,
            "tai" => &mut self.tai,
            _ => return None,
        })
    }
}

impl Host {
    /// Asks for the state of the kernel's clock, and changes nothing.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn adjtimex(&self) -> Result<Timex, Error> {
        let answer = self.machine.replay.as_ref().map_or_else(Timex::live, |replay| replay.timex);
        answer.map_err(|errno| match errno {
            // Reading needs no right; seccomp profiles of containers refuse the call as a whole.
            Errno::PERM | Errno::ACCESS => Error::Denied {
                path: "adjtimex".to_owned(),
                grant: "a seccomp profile that allows the call: most do so with capability SYS_TIME",
            },
            errno => Error::from_errno("adjtimex", errno),
        })
    }
}
