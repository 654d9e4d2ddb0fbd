//! SELinux: `/sys/fs/selinux/enforce`, `/proc/self/attr/current`, and `SELINUX=` of `/etc/selinux/config`.
//!
//! It is enabled where its filesystem is mounted and a policy was loaded: before, every process is called `kernel`. The
//! mode of the configuration file holds from the next start on.

use crate::kit::{Error, Host, Options, Root, parse};
use crate::model::{Batch, Family, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

static ENABLED: Family = gauge("node_selinux_enabled", "Whether SELinux is enabled.", &[]);
static CONFIG_MODE: Family = gauge(
    "node_selinux_config_mode",
    "What SELinux is set to from the next start on: 1 enforcing, 0 permissive, -1 disabled.",
    &[],
);
static CURRENT_MODE: Family =
    gauge("node_selinux_current_mode", "What SELinux does now: 1 enforcing, 0 permissive.", &[]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::ZERO },
    ..Spec::new(
        Group::Node,
        "selinux",
        "Whether SELinux is enabled, and its mode.",
        &[&ENABLED, &CONFIG_MODE, &CURRENT_MODE],
        open,
    )
};

const ENFORCE: &str = "fs/selinux/enforce";
const CONFIG: &str = "etc/selinux/config";
/// How large the configuration file may be.
const CONFIG_MAX: usize = 64 << 10;
/// How often it is read again.
const CONFIG_PACE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Selinux {
    config: Option<i64>,
    config_due: Duration,
}

fn open(_: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(Some(Box::new(Selinux::default())))
}

impl Collector for Selinux {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let machine = out.machine();
        let is_enabled = host.exists(Root::Sys, ENFORCE) && has_policy(host);
        out.put(&ENABLED, machine, is_enabled);
        if !is_enabled {
            return Ok(());
        }
        let current = out.ok(host.signed(Root::Sys, ENFORCE));
        out.put_some(&CURRENT_MODE, machine, current);
        if host.monotonic() >= self.config_due {
            self.config = out.ok(configured(host));
            self.config_due = host.monotonic() + CONFIG_PACE;
        }
        out.put_some(&CONFIG_MODE, machine, self.config);
        Ok(())
    }
}

fn has_policy(host: &mut Host) -> bool {
    let label = host.read(Root::Proc, "self/attr/current");
    !label.is_ok_and(|label| label.strip_suffix(b"\0").unwrap_or(label) == b"kernel")
}

/// What is configured. Without a file, that is nothing: disabled.
fn configured(host: &mut Host) -> Result<i64, Error> {
    let path = host.follow(Root::Rootfs, CONFIG)?;
    let path = format!("{}/{path}", host.root(Root::Rootfs));
    match host.read_regular(&path, CONFIG_MAX) {
        Ok((text, _)) => Ok(mode(text)),
        Err(error) if error.is_absent() => Ok(mode(b"")),
        Err(error) => Err(error),
    }
}

/// `SELINUX=enforcing`: the mode; the first such line counts, and any other word means disabled.
fn mode(text: &[u8]) -> i64 {
    let mut values = text.split(|byte| *byte == b'\n').filter_map(|line| parse::trim(line).strip_prefix(b"SELINUX="));
    match values.next() {
        Some(b"enforcing" | b"\"enforcing\"") => 1,
        Some(b"permissive" | b"\"permissive\"") => 0,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const FILE: &str = "sys/fs/selinux/enforce";
    const ETC: &str = "rootfs/etc/selinux/config";
    const DISABLED: &str = "node_selinux_enabled 0\n";

    #[test]
    fn modes_now_and_after_the_next_start() {
        let config = "# SELINUX=disabled\n\nSELINUX=permissive\nSELINUXTYPE=targeted\n";
        let page = |config, current| {
            format!("node_selinux_config_mode {config}\nnode_selinux_current_mode {current}\nnode_selinux_enabled 1\n")
        };
        let tree = Tree::new(&[(FILE, "1"), (ETC, config)]);
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), page(0, 1));
        tree.write(FILE, "0");
        tree.write(ETC, "SELINUX=\"enforcing\"");
        assert_eq!(opened.round(), page(0, 0));
        opened.advance(CONFIG_PACE);
        assert_eq!(opened.round(), page(1, 0));
        Tree::new(&[(FILE, "0")]).check(&SPEC, &[], &page(-1, 0));
    }

    #[test]
    fn without_a_policy_it_is_disabled() {
        Tree::new(&[]).check(&SPEC, &[], DISABLED);
        Tree::new(&[(FILE, "0"), ("proc/self/attr/current", "kernel\0")]).check(&SPEC, &[], DISABLED);
        let label = "system_u:system_r:init_t:s0\0";
        let said = Tree::new(&[(FILE, "0"), ("proc/self/attr/current", label)]).open(&SPEC, &[]).round();
        assert!(said.contains("node_selinux_enabled 1\n"), "{said}");
    }

    #[test]
    fn a_mode_that_can_not_be_read_is_not_told() {
        let tree = Tree::new(&[(FILE, "x"), ("rootfs/etc/selinux/config/", "")]);
        tree.check(&SPEC, &[], "node_selinux_enabled 1\n! malformed\n! other\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            prop_assert!((-1..=1).contains(&mode(&bytes)));
        }
    }
}
