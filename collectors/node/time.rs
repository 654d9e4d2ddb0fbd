//! The clock, the time zone from `/etc/localtime`, and `/sys/devices/system/clocksource`.
//!
//! The zone is the machine's, not the daemon's: its file is looked for below the machine's root. `/etc/localtime` is
//! mostly a link, and an absolute one points outside of a root that is mounted elsewhere; so links are followed
//! below that root.
//! A machine without that file is on UTC, as localtime(5) has it.

mod zone;

use crate::kit::{Error, Host, KeptFile, Options, Root, parse};
use crate::model::{Batch, Family, Value, gauge};
use crate::{Collector, Group, Spec};
use std::time::Duration;
use zone::Zone;

static SECONDS: Family = gauge("node_time_seconds", "The machine's clock, in seconds since 1970.", &[]);
static ZONE_OFFSET: Family = gauge(
    "node_time_zone_offset_seconds",
    "How far the machine's local time is ahead of UTC now, in seconds.",
    &["time_zone"],
);
static AVAILABLE: Family = gauge(
    "node_time_clocksource_available_info",
    "A hardware clock that the kernel could use; always 1.",
    &["clocksource", "device"],
);
static CURRENT: Family = gauge(
    "node_time_clocksource_current_info",
    "The hardware clock that the kernel uses; always 1.",
    &["clocksource", "device"],
);

/// Its row in the table.
pub static SPEC: Spec = Spec::new(
    Group::Node,
    "time",
    "The clock, the time zone, and the hardware clocks behind them.",
    &[&SECONDS, &ZONE_OFFSET, &AVAILABLE, &CURRENT],
    open,
);

const CLOCKSOURCES: &str = "devices/system/clocksource";
const LOCALTIME: &str = "etc/localtime";
/// The largest zone of the tz database has 4 KiB.
const ZONE_BYTES_MAX: usize = 64 << 10;
/// How often the zone's file is read again: somebody may set another zone.
const ZONE_PACE: Duration = Duration::from_secs(300);

struct Time {
    sources: Vec<Source>,
    zone: Option<Zone>,
    zone_due: Duration,
}

struct Source {
    device: String,
    available: KeptFile,
    current: KeptFile,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    let folders = host.names(Root::Sys, CLOCKSOURCES).unwrap_or_default();
    let sources = folders.iter().filter_map(|folder| {
        let file = |name| KeptFile::new(Root::Sys, format!("{CLOCKSOURCES}/{folder}/{name}"));
        let device = folder.strip_prefix("clocksource")?.to_owned();
        let available = file("available_clocksource").rarely();
        Some(Source { device, available, current: file("current_clocksource") })
    });
    Ok(Some(Box::new(Time { sources: sources.collect(), zone: None, zone_due: Duration::ZERO })))
}

impl Collector for Time {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let machine = out.machine();
        let now = host.wall();
        out.put_some(&SECONDS, machine, i64::try_from(now.as_nanos()).ok().map(|nanos| Value::Scaled(nanos, 9)));
        if host.monotonic() >= self.zone_due {
            self.zone = out.ok(localtime(host));
            self.zone_due = host.monotonic() + ZONE_PACE;
        }
        let now = i64::try_from(now.as_secs()).ok();
        if let Some((name, offset)) = self.zone.as_ref().zip(now).and_then(|(zone, now)| zone.at(now)) {
            let of = out.entity(&["time_zone"], [name]);
            out.put(&ZONE_OFFSET, of, offset);
        }
        for Source { device, available, current } in &mut self.sources {
            for (file, family) in [(available, &AVAILABLE), (current, &CURRENT)] {
                let Some(text) = out.ok(host.read_kept(file)) else { continue };
                for name in parse::words(text) {
                    let of = out.entity(&["clocksource", "device"], [&*parse::text(name), device]);
                    out.put(family, of, 1u64);
                }
            }
        }
        Ok(())
    }
}

/// The zone of the machine.
fn localtime(host: &mut Host) -> Result<Zone, Error> {
    let path = host.follow(Root::Rootfs, LOCALTIME)?;
    if path == LOCALTIME && !host.exists(Root::Rootfs, LOCALTIME) {
        return Ok(Zone::utc());
    }
    let path = format!("{}/{path}", host.root(Root::Rootfs));
    let (bytes, _) = host.read_regular(&path, ZONE_BYTES_MAX)?;
    zone::parse(bytes).ok_or_else(|| Error::malformed(&path, 0, "a time zone (TZif)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    const SOURCE: &str = "sys/devices/system/clocksource/clocksource0";
    const CLOCK: (&str, &str) = ("calls/clock", "wall 86400.25\nboot 10\n");

    /// A zone without changes, all of whose bytes happen to be text: one type, an hour ahead, `CET`.
    fn cet() -> String {
        let counts = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04";
        format!("TZif\0{}{counts}\0\0\x0e\x10\0\0CET\0", "\0".repeat(15))
    }

    #[test]
    fn clock_zone_and_clocksources() {
        let tree = Tree::new(&[
            CLOCK,
            ("rootfs/etc/localtime", &cet()),
            (&format!("{SOURCE}/available_clocksource"), "tsc hpet \n"),
            (&format!("{SOURCE}/current_clocksource"), "tsc\n"),
            ("sys/devices/system/clocksource/power/", ""),
        ]);
        let page = "node_time_clocksource_available_info{clocksource=\"tsc\",device=\"0\"} 1\n\
                    node_time_clocksource_available_info{clocksource=\"hpet\",device=\"0\"} 1\n\
                    node_time_clocksource_current_info{clocksource=\"tsc\",device=\"0\"} 1\n\
                    node_time_seconds 86400.25\nnode_time_zone_offset_seconds{time_zone=\"CET\"} 3600\n";
        tree.check(&SPEC, &[], page);
        tree.remove(&format!("{SOURCE}/available_clocksource"));
        let page = format!("{}! absent\n", page.split_at(page.find("node_time_clocksource_current").unwrap()).1);
        tree.check(&SPEC, &[], &page);
    }

    #[test]
    fn a_link_is_followed_below_the_machines_root() {
        let seconds = "node_time_seconds 86400.25\n";
        let page = format!("{seconds}node_time_zone_offset_seconds{{time_zone=\"CET\"}} 3600\n");
        let tree = Tree::new(&[CLOCK, ("rootfs/etc/localtime", "-> /zones/CET"), ("rootfs/zones/CET", &cet())]);
        tree.check(&SPEC, &[], &page);
        let tree = Tree::new(&[CLOCK, ("rootfs/etc/localtime", "-> /etc/localtime")]);
        tree.check(&SPEC, &[], &format!("{seconds}! other\n"));
    }

    #[test]
    fn no_file_is_utc_and_a_bad_one_no_zone() {
        let tree = Tree::new(&[CLOCK, ("rootfs/etc/", "")]);
        let seconds = "node_time_seconds 86400.25\n";
        tree.check(&SPEC, &[], &format!("{seconds}node_time_zone_offset_seconds{{time_zone=\"UTC\"}} 0\n"));
        tree.write("rootfs/etc/localtime", "TZif");
        tree.check(&SPEC, &[], &format!("{seconds}! malformed\n"));
        tree.remove("rootfs/etc/localtime");
        tree.write("rootfs/etc/localtime", "-> /zones/none");
        tree.check(&SPEC, &[], &format!("{seconds}! absent\n"));
    }

    #[test]
    fn another_zone_is_noticed_after_a_while() {
        let tree = Tree::new(&[CLOCK, ("rootfs/etc/", "")]);
        let mut opened = tree.open(&SPEC, &[]);
        assert!(opened.round().contains("UTC"));
        tree.write("rootfs/etc/localtime", &cet());
        assert!(opened.round().contains("UTC"));
        opened.advance(ZONE_PACE);
        assert!(opened.round().contains("CET"));
    }
}
