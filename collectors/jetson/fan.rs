//! The fan of a Jetson board: how hard it is driven, how fast it turns, and who decides.
//!
//! L4T 32 has `/sys/devices/pwm-fan/`; later releases have the hardware monitors `pwmfan` and `pwm_tach`, and a daemon that
//! tells its mind in `/var/lib/nvfancontrol/status`.

use crate::kit::{Error, Host, Options, Root, jetson, parse};
use crate::model::{Batch, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::BTreeMap;
use std::time::Duration;

/// The folder of the driver of L4T 32.
const OLD: &str = "devices/pwm-fan";
const STATUS: &str = "var/lib/nvfancontrol/status";
const FAN: &[&str; 1] = &["fan"];
const MODE: &[&str; 2] = &["fan", "mode"];
const PROFILE: &[&str; 4] = &["fan", "profile", "governor", "control"];
/// What a fan is driven with at most.
const PWM_MAX: f64 = 255.0;

static PWM: Family = gauge("jetson_fan_pwm_ratio", "How hard the fan is driven, as a ratio of its full power.", FAN);
static TARGET: Family = gauge(
    "jetson_fan_target_pwm_ratio",
    "How hard the fan is to be driven, as a ratio of its full power; with L4T 32.",
    FAN,
);
static RPM: Family = gauge(
    "jetson_fan_rpm",
    "Revolutions of the fan a minute, where it has a tachometer; 0 while it is driven means that it is stuck.",
    FAN,
);
static MODES: Family = gauge(
    "jetson_fan_mode",
    "Always 1: who drives the fan: nobody (off), a program (manual), or the kernel by temperature (automatic).",
    MODE,
);
static PROFILES: Family = gauge(
    "jetson_fan_profile_info",
    "Always 1: what nvfancontrol, the daemon that drives the fan, says of its profile, governor and control.",
    PROFILE,
);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "fan",
        "Fan of a Jetson board: power, speed, and who drives it.",
        &[&PWM, &TARGET, &RPM, &MODES, &PROFILES],
        open,
    )
};

#[derive(Default)]
struct Fan {
    look: jetson::Look,
    /// The folders of fans, and of tachometers with the file that they have.
    fans: Vec<String>,
    tachometers: Vec<String>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(Fan::default()) as Box<dyn Collector>))
}

impl Collector for Fan {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            self.fans = jetson::monitors(host, "pwmfan")?;
            self.tachometers = jetson::monitors(host, "pwm_tach")?;
        }
        for (number, folder) in (1..).zip(&self.fans) {
            let fan = i32::to_string(&number);
            let of = out.entity(FAN, [&fan]);
            put_ratio(&PWM, of, host.number(Root::Sys, format_args!("{folder}/pwm1")), out);
            let mode = host.number(Root::Sys, format_args!("{folder}/pwm1_enable"));
            put_mode(&fan, out.found(mode).map(mode_of), out);
        }
        if self.fans.is_empty() {
            put_old(host, out);
        }
        // Nothing says which tachometer is which fan's, unless there is one of each.
        if let ([tachometer], true) = (&self.tachometers[..], self.fans.len() <= 1) {
            let of = out.entity(FAN, ["1"]);
            let rpm = turns(tachometer, host);
            let rpm = jetson::sensed(rpm, out);
            out.put_some(&RPM, of, rpm);
        }
        let status = host.read(Root::Rootfs, STATUS).map(profiles);
        for (fan, [profile, governor, control]) in out.found(status).unwrap_or_default() {
            let of = out.entity(PROFILE, [&fan, &profile, &governor, &control]);
            out.put(&PROFILES, of, 1u64);
        }
        Ok(())
    }
}

/// Revolutions a minute: `rpm` of L4T 35 and 36, `fan1_input` of newer kernels.
fn turns(tachometer: &str, host: &mut Host) -> Result<u64, Error> {
    match host.number(Root::Sys, format_args!("{tachometer}/rpm")) {
        Err(error) if error.is_absent() => host.number(Root::Sys, format_args!("{tachometer}/fan1_input")),
        rpm => rpm,
    }
}

fn put_ratio(family: &'static Family, of: crate::model::Entity, pwm: Result<u64, Error>, out: &mut Batch) {
    if let Some(pwm) = jetson::sensed(pwm, out) {
        out.put(family, of, Value::Float(pwm as f64 / PWM_MAX));
    }
}

fn put_mode(fan: &str, mode: Option<&str>, out: &mut Batch) {
    if let Some(mode) = mode {
        let of = out.entity(MODE, [fan, mode]);
        out.put(&MODES, of, 1u64);
    }
}

/// The driver of L4T 32.
fn put_old(host: &mut Host, out: &mut Batch) {
    let of = out.entity(FAN, ["1"]);
    for (family, file) in [(&PWM, "cur_pwm"), (&TARGET, "target_pwm")] {
        put_ratio(family, of, host.number(Root::Sys, format_args!("{OLD}/{file}")), out);
    }
    let rpm = host.number(Root::Sys, format_args!("{OLD}/rpm_measured"));
    let rpm = jetson::sensed(rpm, out);
    out.put_some(&RPM, of, rpm);
    let control = host.number(Root::Sys, format_args!("{OLD}/temp_control"));
    let control = out.found(control).map(|control| if control == 0 { "manual" } else { "automatic" });
    put_mode("1", control, out);
}

/// What a fan's `pwm1_enable` says.
fn mode_of(enable: u64) -> &'static str {
    match enable {
        0 => "off",
        1 => "manual",
        2.. => "automatic",
    }
}

/// `FAN1:FAN_PROFILE:quiet`: by fan, its profile, governor and control.
fn profiles(text: &[u8]) -> BTreeMap<String, [String; 3]> {
    const KEYS: [&str; 3] = ["FAN_PROFILE", "FAN_GOVERNOR", "FAN_CONTROL"];
    const FANS_MAX: usize = 16;
    let mut fans: BTreeMap<String, [String; 3]> = BTreeMap::new();
    for line in parse::lines_of_record(text) {
        let line = parse::text(line);
        let mut parts = line.splitn(3, ':');
        let (Some(fan), Some(key), Some(word)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let number = fan.trim().strip_prefix("FAN").filter(|number| parse::number(number.as_bytes()).is_some());
        let place = KEYS.iter().position(|known| *known == key.trim());
        if let (Some(number), Some(place)) = (number, place)
            && (fans.len() < FANS_MAX || fans.contains_key(number))
        {
            fans.entry(number.to_owned()).or_default()[place] = word.trim().to_owned();
        }
    }
    fans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;
    use proptest::prelude::*;

    const TEGRA: (&str, &str) = ("proc/device-tree/compatible", "nvidia,tegra234\0");

    #[test]
    fn a_fan_of_new_releases() {
        let tree = Tree::new(&[
            TEGRA,
            ("sys/class/hwmon/hwmon0/name", "pwm_tach\n"),
            ("sys/class/hwmon/hwmon0/rpm", "1744\n"),
            ("sys/class/hwmon/hwmon1/name", "pwmfan\n"),
            ("sys/class/hwmon/hwmon1/pwm1", "51\n"),
            ("sys/class/hwmon/hwmon1/pwm1_enable", "1\n"),
            (
                "rootfs/var/lib/nvfancontrol/status",
                "FAN1:FAN_PROFILE:quiet\nFAN1:FAN_GOVERNOR:pid\nx\nFAN1:FAN_CONTROL:close_loop\n",
            ),
        ]);
        let expected = |rpm| {
            format!(
                "jetson_fan_mode{{fan=\"1\",mode=\"manual\"}} 1\n\
                 jetson_fan_profile_info{{fan=\"1\",profile=\"quiet\",governor=\"pid\",control=\"close_loop\"}} 1\n\
                 jetson_fan_pwm_ratio{{fan=\"1\"}} 0.2\njetson_fan_rpm{{fan=\"1\"}} {rpm}\n"
            )
        };
        tree.check(&SPEC, &[], &expected(1744));
        tree.remove("sys/class/hwmon/hwmon0/rpm");
        tree.write("sys/class/hwmon/hwmon0/fan1_input", "0\n");
        tree.check(&SPEC, &[], &expected(0));
        tree.write("sys/class/hwmon/hwmon2/name", "pwm_tach\n");
        assert!(!tree.open(&SPEC, &[]).round().contains("jetson_fan_rpm"));
    }

    #[test]
    fn a_fan_of_old_releases() {
        let tree = Tree::new(&[
            TEGRA,
            ("sys/devices/pwm-fan/target_pwm", "255\n"),
            ("sys/devices/pwm-fan/cur_pwm", "0\n"),
            ("sys/devices/pwm-fan/rpm_measured", "0\n"),
            ("sys/devices/pwm-fan/temp_control", "1\n"),
        ]);
        let expected = "jetson_fan_mode{fan=\"1\",mode=\"automatic\"} 1\njetson_fan_pwm_ratio{fan=\"1\"} 0\n\
                        jetson_fan_rpm{fan=\"1\"} 0\njetson_fan_target_pwm_ratio{fan=\"1\"} 1\n";
        tree.check(&SPEC, &[], expected);
    }

    #[test]
    fn boards_without_a_fan() {
        Tree::new(&[TEGRA]).check(&SPEC, &[], "");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, enable: u64) {
            profiles(&bytes);
            mode_of(enable);
        }
    }
}
