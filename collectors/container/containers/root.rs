//! The whole machine, as a root cgroup would tell of it: what those lack, or count at great cost, is in procfs.

use super::life::seconds;
use super::metrics::{Metric, Page};
use super::state::State;
use super::{Reader, io, memory, pressure, survive};
use crate::kit::cgroup::{Node, Trees};
use crate::kit::{Error, Host, parse};
use crate::model::Value;

/// Puts it.
pub(super) fn put(
    reader: &mut Reader,
    host: &mut Host,
    trees: &Trees,
    node: &mut Node<State>,
    page: &mut Page<'_>,
) -> Result<(), Error> {
    let network = reader.networks.put_root(host, page);
    page.out.found(network);
    let used = host.read_kept(&mut reader.stat).map(used);
    let used = page.out.ok(used).flatten();
    let total = page.out.part(page.of, &["cpu"], ["total"]);
    page.put_of(Metric::CpuUsage, total, used);
    reader.filesystems.put_root(host, page);
    survive(memory::put_root(host, &mut reader.meminfo, page), page)?;
    page.put(Metric::OomEvents, reader.kills.all());
    survive(pressure::put(host, trees, node, &mut reader.stalls, page), page)?;
    survive(io::put(host, trees, node, &mut reader.disks, page), page)?;
    let (wall, boot) = (host.machine().clock.wall(), host.machine().clock.boot());
    page.put(Metric::StartTime, wall.checked_sub(boot).and_then(seconds));
    page.put(Metric::LastSeen, seconds(wall));
    Ok(())
}

/// `cpu  10 20 30 400 50 6 7 8 0 0`: the time used by all, from `/proc/stat`, in hundredths of a second: user, nice,
/// system, and interrupts. Time that guests had is in user and nice.
fn used(stat: &[u8]) -> Option<Value> {
    let line = parse::lines(stat).next()?.strip_prefix(b"cpu ")?;
    let mut ticks = [0; 7];
    for (place, word) in ticks.iter_mut().zip(parse::words(line)) {
        *place = parse::signed(word)?;
    }
    let [user, nice, system, _idle, _iowait, irq, softirq] = ticks;
    let sum = [user, nice, system, irq, softirq].into_iter().try_fold(0i64, i64::checked_add)?;
    Some(Value::Scaled(sum, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_used_by_all() {
        assert_eq!(used(b"cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1\n"), Some(Value::Scaled(73, 2)));
        assert_eq!(used(b"intr 1\n"), None);
    }
}
