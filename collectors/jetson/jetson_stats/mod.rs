//! Figures of a Jetson board under the names that exporters built on jetson-stats gave them, for dashboards that ask for them.
//!
//! They are in percent, milliwatts, kibibytes and gibibytes, as there; but what can't be read is absent, and not 0. Of the
//! hardware only what the device tree has is told: what the board is called inside NVIDIA is in an EEPROM, and which code
//! runs on its GPU in no file. The serial number is left out.

mod machine;

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
static MODE: Family =
    gauge("jetson_nvpmode_info", "Always 1: the power mode that the board is in.", &["nvpmode", "mode"]);
const BOARD_LABELS: &[&str; 4] = &["board_info", "machine", "jetpack", "l4t"];
const HARDWARE_LABELS: &[&str; 3] = &["board_hw", "soc", "module"];
static BOARD: Family = gauge("jetson_info_board_info", "Always 1: the board and its software.", BOARD_LABELS);
static HARDWARE: Family =
    gauge("jetson_info_hardware_info", "Always 1: the chip, and the number of the module.", HARDWARE_LABELS);

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "jetson_stats",
        "Figures of a Jetson board under the names of exporters built on jetson-stats.",
        &[
            &GPU,
            &FAN,
            &TEMPERATURE,
            &POWER,
            &MODE,
            &BOARD,
            &HARDWARE,
            &machine::CPU,
            &machine::RAM,
            &machine::SWAP,
            &machine::DISK,
            &machine::UPTIME,
        ],
        open,
    )
};

struct JetsonStats {
    board: jetson::Identity,
    machine: machine::Watch,
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
    let Some(board) = jetson::identity(host) else { return Ok(None) };
    Ok(Some(Box::new(JetsonStats {
        board,
        machine: machine::Watch::default(),
        look: jetson::Look::default(),
        gpu: None,
        fan: None,
        zones: Vec::new(),
        rails: Vec::new(),
        modes: BTreeMap::new(),
    })))
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
            let of = out.entity(&["nvpmode", "mode"], ["mode", name]);
            out.put(&MODE, of, 1u64);
        }
        self.put_board(out);
        self.machine.put(host, out);
        Ok(())
    }
}

impl JetsonStats {
    fn put_board(&self, out: &mut Batch) {
        let board = &self.board;
        let of = out.entity(BOARD_LABELS, ["info", &board.model, board.jetpack, &board.l4t]);
        out.put(&BOARD, of, 1u64);
        // As they are written there: P3448-0000.
        let module = board.part_number.to_ascii_uppercase();
        let of = out.entity(HARDWARE_LABELS, ["hardware", &board.soc, &module]);
        out.put(&HARDWARE, of, 1u64);
    }

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
        let expected = "jetson_info_board_info{board_info=\"info\"} 1\n\
                        jetson_info_hardware_info{board_hw=\"hardware\",soc=\"tegra194\"} 1\n\
                        jetson_nvpmode_info{nvpmode=\"mode\",mode=\"MODE_15W\"} 1\n\
                        jetson_temperatures{temperature=\"ao\"} 26.5\n\
                        jetson_temperatures{temperature=\"tboard\"} 27\n\
                        jetson_temperatures{temperature=\"thermal\"} 27.45\n\
                        jetson_usage_fan{fan=\"speed\"} 20\n\
                        jetson_usage_gpu{gpu=\"val\"} 43.7\n\
                        jetson_usage_power{power=\"gpu\"} 1155\n\
                        jetson_usage_power{power=\"sys5v\"} 2692\n";
        Tree::new(&XAVIER).check(&SPEC, &[], expected);
        Tree::new(&XAVIER[..1]).check(&SPEC, &[], &expected[..expected.find("jetson_nvp").unwrap()]);
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }

    #[test]
    fn the_machine_under_the_names_of_others() {
        let memory = "MemTotal: 1000 kB\nMemFree: 400 kB\nBuffers: 50 kB\nCached: 150 kB\nSwapTotal: 500 kB\nSwapFree: 480 kB\n\
                      NvMapMemUsed: 30 kB\n";
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,p2972-0000+p2888-0004\0nvidia,tegra194\0"),
            ("proc/device-tree/model", "NVIDIA Jetson AGX Xavier Developer Kit\0"),
            ("rootfs/etc/nv_tegra_release", "# R32 (release), REVISION: 7.3, GCID: 1\n"),
            ("proc/uptime", "93784.51 187000.11\n"),
            ("proc/stat", "cpu  9 0 9 9 9\ncpu0 10 0 10 60 20\ncpu1 10 0 10 60 20\n"),
            ("proc/meminfo", memory),
            ("proc/1/mountinfo", "22 1 259:1 / / rw shared:1 - ext4 /dev/mmcblk0p1 rw\n"),
            ("calls/statfs", "/ 4096 7864320 3932160 3538944 1 1\n"),
        ]);
        let first = "jetson_info_board_info{board_info=\"info\",machine=\"NVIDIA Jetson AGX Xavier Developer Kit\",\
                     jetpack=\"4.6.3\",l4t=\"32.7.3\"} 1\n\
                     jetson_info_hardware_info{board_hw=\"hardware\",soc=\"tegra194\",module=\"P2888-0004\"} 1\n\
                     jetson_uptime{uptime=\"days\"} 1\njetson_uptime{uptime=\"hours\"} 2\njetson_uptime{uptime=\"minutes\"} 3\n";
        let last = "jetson_usage_disk{disk=\"used\"} 15\njetson_usage_disk{disk=\"total\"} 30\n\
                    jetson_usage_disk{disk=\"available\"} 15\njetson_usage_disk{disk=\"available_no_root\"} 13.5\n\
                    jetson_usage_ram{ram=\"used\"} 400\njetson_usage_ram{ram=\"shared\"} 30\n\
                    jetson_usage_swap{swap=\"used\"} 20\njetson_usage_swap{swap=\"total\"} 500\n";
        let mut opened = tree.open(&SPEC, &[]);
        assert_eq!(opened.round(), format!("{first}{last}"));
        // The second CPU's counts fell.
        tree.write("proc/stat", "cpu  9 0 9 9 9\ncpu0 15 0 15 80 30\ncpu1 0 0 10 60 20\ncpu2 1 0 1 1 1\n");
        assert_eq!(opened.round(), format!("{first}jetson_usage_cpu{{cpu=\"cpu_1\"}} 25\n{last}"));
        tree.write("proc/stat", "cpu  9 0 9 9 9\ncpu0 15 0 15 80 30\ncpu1 1 0 10 60 20\n");
        tree.write("proc/meminfo", "MemTotal: 1000 kB\n");
        assert_eq!(
            opened.round(),
            format!("{first}jetson_usage_cpu{{cpu=\"cpu_2\"}} 100\n{}", last.split_once("jetson_usage_ram").unwrap().0)
        );
    }

    #[test]
    fn zones_as_jetson_stats_calls_them() {
        let names = ["CPU-therm", "cv0-thermal", "Tdiode_tegra", "tj"].map(zone_name);
        assert_eq!(names, ["cpu", "cv0", "tdiode", "tj"]);
    }
}
