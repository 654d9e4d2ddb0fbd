//! `/proc/cpuinfo`: what the CPUs are, and the clock that each runs at.
//!
//! It is read only when asked for. The text is long, and on x86 it takes time: Linux 4.15 to 5.17 wake every CPU and
//! wait 10 ms to measure the clocks. ARM tells its features and no clock.

use super::CPU;
use crate::families::cpu::FREQUENCY_HERTZ;
use crate::kit::{Error, Filter, Host, KeptFile, Options, parse};
use crate::model::{Batch, Family, Value, gauge};

pub(super) static INFO: Family = gauge(
    "node_cpu_info",
    "Always 1: what the CPU is, from /proc/cpuinfo.",
    &["cachesize", "core", "cpu", "family", "microcode", "model", "model_name", "package", "stepping", "vendor"],
);
pub(super) static FLAG_INFO: Family =
    gauge("node_cpu_flag_info", "Always 1: a feature of the first CPU, from /proc/cpuinfo.", &["flag"]);
pub(super) static BUG_INFO: Family =
    gauge("node_cpu_bug_info", "Always 1: a flaw of the first CPU, from /proc/cpuinfo.", &["bug"]);

/// What is asked for.
pub(super) struct Info {
    file: KeptFile,
    flags: Option<Filter>,
    bugs: Option<Filter>,
}

impl Info {
    /// Asking for flags or bugs asks for the rest too.
    pub(super) fn asked_for(options: &Options) -> Option<Self> {
        let filter = |name| options.text(name).map(|_| options.filter(name, ""));
        let (flags, bugs) = (filter("info.flags-include"), filter("info.bugs-include"));
        let is_asked = options.flag("info") || flags.is_some() || bugs.is_some();
        is_asked.then(|| Self { file: KeptFile::new(crate::kit::Root::Proc, "cpuinfo"), flags, bugs })
    }

    pub(super) fn put(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let text = host.read_kept(&mut self.file)?;
        let mut flags = self.flags.as_ref();
        let mut bugs = self.bugs.as_ref();
        let mut record: Option<Record<'_>> = None;
        for (line, number) in parse::lines(text).zip(1..) {
            let Some((name, value)) = field(line) else { continue };
            match name {
                b"processor" => {
                    put(record.take(), out);
                    match parse::number(parse::trim(value)) {
                        Some(_) => record = Some(Record { cpu: value, ..Record::default() }),
                        None => out.fault(Error::malformed("/proc/cpuinfo", number, "the number of a CPU")),
                    }
                }
                b"flags" | b"Features" => words(&FLAG_INFO, &["flag"], flags.take(), value, out),
                b"bugs" => words(&BUG_INFO, &["bug"], bugs.take(), value, out),
                _ => {
                    if let Some(place) = record.as_mut().and_then(|record| record.place(name)) {
                        *place = value;
                    }
                }
            }
        }
        let is_empty = record.is_none();
        put(record, out);
        if is_empty { Err(Error::malformed("/proc/cpuinfo", 0, "a record for each CPU")) } else { Ok(()) }
    }
}

/// What is told of a CPU; what is not told is empty.
#[derive(Default)]
struct Record<'a> {
    package: &'a [u8],
    core: &'a [u8],
    cpu: &'a [u8],
    vendor: &'a [u8],
    family: &'a [u8],
    model: &'a [u8],
    model_name: &'a [u8],
    microcode: &'a [u8],
    stepping: &'a [u8],
    cachesize: &'a [u8],
    mhz: &'a [u8],
}

impl<'a> Record<'a> {
    /// Where the field belongs.
    fn place(&mut self, name: &[u8]) -> Option<&mut &'a [u8]> {
        Some(match name {
            b"physical id" => &mut self.package,
            b"core id" => &mut self.core,
            b"vendor_id" | b"vendor" => &mut self.vendor,
            b"cpu family" => &mut self.family,
            b"model" => &mut self.model,
            b"model name" => &mut self.model_name,
            b"microcode" => &mut self.microcode,
            b"stepping" => &mut self.stepping,
            b"cache size" => &mut self.cachesize,
            b"cpu MHz" => &mut self.mhz,
            _ => return None,
        })
    }
}

fn put(record: Option<Record<'_>>, out: &mut Batch) {
    let Some(of) = record else { return };
    let text = |value| String::from_utf8_lossy(value);
    let (package, core, cpu) = (text(of.package), text(of.core), text(of.cpu));
    let place = out.entity(CPU, [&cpu]);
    let place = out.part(place, &["core", "package"], [&core, &package]);
    let labels = &["vendor", "family", "model", "model_name", "microcode", "stepping", "cachesize"];
    let values = [of.vendor, of.family, of.model, of.model_name, of.microcode, of.stepping, of.cachesize].map(text);
    let info = out.part(place, labels, values.each_ref().map(|value| &**value));
    out.put(&INFO, info, true);
    if !of.mhz.is_empty() {
        let hertz = hertz(of.mhz).ok_or_else(|| Error::malformed("/proc/cpuinfo", 0, "megahertz"));
        let hertz = out.ok(hertz);
        out.put_some(&FREQUENCY_HERTZ, place, hertz);
    }
}

/// Puts those of the words that were asked for.
fn words(
    family: &'static Family,
    label: &'static [&'static str; 1],
    asked: Option<&Filter>,
    value: &[u8],
    out: &mut Batch,
) {
    let Some(asked) = asked else { return };
    for word in parse::words(value).map(parse::text).filter(|word| asked.keeps(word)) {
        let of = out.entity(label, [&word]);
        out.put(family, of, true);
    }
}

/// `model name : AMD EPYC`: the name, and all behind the colon and one blank.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let value = &line[colon + 1..];
    Some((parse::trim(&line[..colon]), value.strip_prefix(b" ").unwrap_or(value)))
}

/// `2593.906`: the clock in hertz; kernels print thousandths of a megahertz.
fn hertz(mhz: &[u8]) -> Option<Value> {
    let mhz = parse::float(parse::trim(mhz)).filter(|mhz| (0.0..1e9).contains(mhz))?;
    Some(Value::Int((mhz * 1e6).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_left_as_they_are() {
        assert_eq!(field(b"model name\t:   Old CPU "), Some((&b"model name"[..], &b"  Old CPU "[..])));
        assert_eq!(field(b"power management:"), Some((&b"power management"[..], &b""[..])));
        assert_eq!(field(b"none"), None);
    }

    #[test]
    fn clocks_in_hertz() {
        assert_eq!(hertz(b"2593.906"), Some(Value::Int(2_593_906_000)));
        for bad in [&b""[..], b"-1", b"NaN", b"inf", b"1e30", b"fast"] {
            assert_eq!(hertz(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            field(&bytes);
            hertz(&bytes);
        }
    }
}
