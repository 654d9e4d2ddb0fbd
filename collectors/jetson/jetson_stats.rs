//! Figures of a Jetson board under the names that exporters built on jetson-stats gave them, for dashboards that ask for them.
//!
//! They are in percent and milliwatts, as there. What those exporters tell of processors, memory and disks is told under
//! node_exporter's names; their `jetson_uptime` has the figure in a label and is left out.

use crate::kit::jetson::{self, Rail, power_mode};
use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Family, Value, gauge};
use crate::{Collector, Group, Pace, Spec};
use std::collections::BTreeMap;
use std::time::Duration;

/// The fan of L4T 32; later releases have a hardware monitor.
const OLD_FAN: &str = "devices/pwm-fan/cur_pwm";
const PWM_MAX: f64 = 255.0;

static GPU: Family = gauge("jetson_usage_gpu", "How busy the GPU is, in percent.", &["gpu"]);
static FAN: Family = gauge("jetson_usage_fan", "How hard the fan is driven, in percent of its full power.", &["fan"]);
static TEMPERATURE: Family =
    gauge("jetson_temperatures", "Temperature of a part of the board, in degrees Celsius.", &["temperature"]);
static POWER: Family = gauge("jetson_usage_power", "Power through a rail, in milliwatts.", &["power"]);
static MODE: Family = gauge("jetson_nvpmode_info", "Always 1: the power mode that the board is in.", &["mode"]);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "jetson_stats",
        "Figures of a Jetson board under the names of exporters built on jetson-stats.",
        &[&GPU, &FAN, &TEMPERATURE, &POWER, &MODE],
        open,
    )
};

#[derive(Default)]
struct JetsonStats {
    look: jetson::Look,
    /// The GPU's folder of devfreq.
    gpu: Option<String>,
    fan: Option<String>,
    /// Folders of thermal zones, with the names that they have here.
    zones: Vec<(String, String)>,
    rails: Vec<Rail>,
    modes: BTreeMap<u64, String>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    Ok(jetson::is_one(host).then(|| Box::new(JetsonStats::default()) as Box<dyn Collector>))
}

impl Collector for JetsonStats {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            self.find(host, out)?;
        }
        if let Some(clock) = &self.gpu {
            // A GPU without power tells no load, or an error.
            let load = host.number(Root::Sys, format_args!("{clock}/device/load")).ok().filter(|load| *load <= 1000);
            let of = out.entity(&["gpu"], ["val"]);
            out.put_some(&GPU, of, load.map(|load| Value::Scaled(load as i64, 1)));
        }
        if let Some(file) = &self.fan {
            let pwm = host.number(Root::Sys, file);
            let percent = jetson::sensed(pwm, out).map(|pwm| Value::Float(pwm as f64 * 100.0 / PWM_MAX));
            let of = out.entity(&["fan"], ["speed"]);
            out.put_some(&FAN, of, percent);
        }
        for (folder, name) in &self.zones {
            let temp = host.signed(Root::Sys, format_args!("{folder}/temp"));
            let temp = jetson::sensed(temp, out).filter(|temp| jetson::is_measured(*temp));
            let of = out.entity(&["temperature"], [name]);
            out.put_some(&TEMPERATURE, of, temp.map(|temp| Value::Scaled(temp, 3)));
        }
        for rail in &self.rails {
            let power = rail.read(host, out).power;
            let of = out.entity(&["power"], [&rail.name.to_ascii_lowercase()]);
            out.put_some(&POWER, of, power.map(|power| Value::Scaled(power, 3)));
        }
        let id = host.read(Root::Rootfs, power_mode::STATUS).map(power_mode::mode);
        if let Some(name) = out.found(id).flatten().and_then(|id| self.modes.get(&id)) {
            let of = out.entity(&["mode"], [name]);
            out.put(&MODE, of, 1u64);
        }
        Ok(())
    }
}

impl JetsonStats {
    fn find(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let clocks = jetson::clocked(host)?;
        self.gpu = clocks.into_iter().find(|clock| clock.of_gpu().as_deref() == Some("gpc")).map(|clock| clock.folder);
        let fan = jetson::monitors(host, "pwmfan")?.into_iter().next().map(|folder| format!("{folder}/pwm1"));
        self.fan = fan.or_else(|| host.exists(Root::Sys, OLD_FAN).then(|| OLD_FAN.to_owned()));
        self.zones.clear();
        for jetson::Sensor { folder, name, .. } in jetson::sensors(host, out)? {
            let name = zone_name(&name);
            if self.zones.iter().all(|(_, known)| *known != name) {
                self.zones.push((folder, name));
            }
        }
        self.rails = jetson::rails(host, out)?;
        let mut seen = std::collections::BTreeSet::new();
        self.rails.retain(|rail| seen.insert(rail.name.to_ascii_lowercase()));
        let path = host.follow(Root::Rootfs, power_mode::NAMES)?;
        self.modes = out.found(host.read(Root::Rootfs, path).map(power_mode::names)).unwrap_or_default();
        Ok(())
    }
}

/// `AO-therm`, `cpu-thermal`, `Tboard_tegra`, `thermal-fan-est`: `ao`, `cpu`, `tboard`, `thermal`.
fn zone_name(sensor: &str) -> String {
    let name = sensor.to_ascii_lowercase();
    let ends = ["-thermal", "-therm", "_tegra", "-fan-est"];
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    const XAVIER: [(&str, &str); 20] = [
        ("proc/device-tree/compatible", "nvidia,tegra194\0"),
        ("sys/class/devfreq/17000000.gv11b/device/of_node/name", "gv11b\0"),
        ("sys/class/devfreq/17000000.gv11b/device/load", "437\n"),
        ("sys/devices/pwm-fan/cur_pwm", "51\n"),
        ("sys/class/thermal/thermal_zone0/type", "AO-therm\n"),
        ("sys/class/thermal/thermal_zone0/temp", "26500\n"),
        ("sys/class/thermal/thermal_zone1/type", "Tboard_tegra\n"),
        ("sys/class/thermal/thermal_zone1/temp", "27000\n"),
        ("sys/class/thermal/thermal_zone2/type", "PMIC-Die\n"),
        ("sys/class/thermal/thermal_zone2/temp", "100000\n"),
        ("sys/class/thermal/thermal_zone3/type", "thermal-fan-est\n"),
        ("sys/class/thermal/thermal_zone3/temp", "27450\n"),
        ("sys/class/thermal/thermal_zone4/type", "GPU-therm\n"),
        ("sys/class/thermal/thermal_zone4/temp", "-256000\n"),
        ("sys/bus/i2c/drivers/ina3221x/1-0040/iio:device0/rail_name_0", "GPU\n"),
        ("sys/bus/i2c/drivers/ina3221x/1-0040/iio:device0/in_power0_input", "1155\n"),
        ("sys/bus/i2c/drivers/ina3221x/1-0041/iio:device1/rail_name_0", "SYS5V\n"),
        ("sys/bus/i2c/drivers/ina3221x/1-0041/iio:device1/in_power0_input", "2692\n"),
        ("rootfs/var/lib/nvpmodel/status", "pmode:0002\n"),
        ("rootfs/etc/nvpmodel.conf", "< POWER_MODEL ID=2 NAME=MODE_15W >\n"),
    ];

    #[test]
    fn a_board_under_the_names_of_others() {
        let expected = "jetson_nvpmode_info{mode=\"MODE_15W\"} 1\n\
                        jetson_temperatures{temperature=\"ao\"} 26.5\n\
                        jetson_temperatures{temperature=\"tboard\"} 27\n\
                        jetson_temperatures{temperature=\"thermal\"} 27.45\n\
                        jetson_usage_fan{fan=\"speed\"} 20\n\
                        jetson_usage_gpu{gpu=\"val\"} 43.7\n\
                        jetson_usage_power{power=\"gpu\"} 1155\n\
                        jetson_usage_power{power=\"sys5v\"} 2692\n";
        Tree::new(&XAVIER).check(&SPEC, &[], expected);
        Tree::new(&XAVIER[..1]).check(&SPEC, &[], "");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn zones_as_jetson_stats_calls_them() {
        let names = ["CPU-therm", "cv0-thermal", "Tdiode_tegra", "tj"].map(zone_name);
        assert_eq!(names, ["cpu", "cv0", "tdiode", "tj"]);
    }
}
