//! A Jetson's GPU under the names of dcgm-exporter, which does not run there: one dashboard for the edge and the data centre.
//!
//! Only what means the same: power where a rail feeds the GPU alone, and no memory, which is the board's. Thor's GPU answers
//! to NVML and is left to it.

use crate::families::dcgm::{GPU, GPU_TEMP, GPU_UTIL, POWER_USAGE, SM_CLOCK};
use crate::kit::jetson::{self, Rail};
use crate::kit::{Error, Host, Options, Root};
use crate::model::{Batch, Value};
use crate::{Collector, Group, Pace, Spec};
use std::time::Duration;

/// Rails that feed the GPU and nothing else.
const RAILS: &[&str] = &["GPU", "POM_5V_GPU", "VDD_GPU", "VDD_SYS_GPU"];
const ZONES: &str = "class/thermal";

/// Its row in the table.
pub static SPEC: Spec = Spec {
    default: false,
    pace: Pace::Apart { min: Duration::from_secs(1) },
    ..Spec::new(
        Group::Jetson,
        "tegra_gpu",
        "A Jetson's GPU under dcgm-exporter's names.",
        &[&GPU_UTIL, &GPU_TEMP, &SM_CLOCK, &POWER_USAGE],
        open,
    )
};

struct TegraGpu {
    look: jetson::Look,
    /// What the board is called.
    model: String,
    /// The GPU's folder of devfreq, and that of its thermal zone.
    clock: Option<String>,
    zone: Option<String>,
    rail: Option<Rail>,
}

fn open(host: &mut Host, _: &Options) -> Result<Option<Box<dyn Collector>>, Error> {
    if !jetson::is_one(host) {
        return Ok(None);
    }
    let model = jetson::property(host, "model").into_iter().next().unwrap_or_default();
    let look = jetson::Look::default();
    Ok(Some(Box::new(TegraGpu { look, model, clock: None, zone: None, rail: None })))
}

impl Collector for TegraGpu {
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        if self.look.is_due(host) {
            self.find(host, out)?;
        }
        let Some(clock) = &self.clock else { return Ok(()) };
        let name = host.uname(|uname| uname.nodename.to_string());
        let of = out.entity(GPU, ["0", &self.model, &name]);
        // A GPU without power tells no load, or an error.
        let load = host.number(Root::Sys, format_args!("{clock}/device/load")).ok().filter(|load| *load <= 1000);
        out.put_some(&GPU_UTIL, of, load.map(|load| Value::Scaled(load as i64, 1)));
        let rate = host.signed(Root::Sys, format_args!("{clock}/cur_freq"));
        let rate = jetson::sensed(rate, out);
        out.put_some(&SM_CLOCK, of, rate.map(|hertz| Value::Scaled(hertz, 6)));
        if let Some(zone) = &self.zone {
            let temp = host.signed(Root::Sys, format_args!("{zone}/temp"));
            let temp = jetson::sensed(temp, out).filter(|temp| *temp > -256_000);
            out.put_some(&GPU_TEMP, of, temp.map(|temp| Value::Scaled(temp, 3)));
        }
        if let Some(rail) = &self.rail {
            let power = rail.read(host, out).power;
            out.put_some(&POWER_USAGE, of, power.map(|power| Value::Scaled(power, 6)));
        }
        Ok(())
    }
}

impl TegraGpu {
    fn find(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error> {
        let clocks = jetson::clocked(host)?;
        self.clock =
            clocks.into_iter().find(|clock| clock.of_gpu().as_deref() == Some("gpc")).map(|clock| clock.folder);
        self.zone = None;
        for zone in host.names(Root::Sys, ZONES).unwrap_or_default() {
            let kind = host.text(Root::Sys, format_args!("{ZONES}/{zone}/type")).unwrap_or_default();
            if kind.to_ascii_lowercase().starts_with("gpu-therm") && zone.starts_with("thermal_zone") {
                self.zone = Some(format!("{ZONES}/{zone}"));
            }
        }
        self.rail = jetson::rails(host, out)?.into_iter().find(|rail| RAILS.contains(&rail.name.as_str()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::testing::Tree;

    #[test]
    fn a_gpu_under_the_names_of_another() {
        let rails = "sys/bus/i2c/drivers/ina3221x/0-0040/iio:device0";
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra186\0"),
            ("proc/device-tree/model", "Jetson TX2\0"),
            ("calls/uname", "Linux\ntx2\n"),
            ("sys/class/devfreq/17000000.gp10b/device/of_node/name", "gp10b\0"),
            ("sys/class/devfreq/17000000.gp10b/device/load", "842\n"),
            ("sys/class/devfreq/17000000.gp10b/cur_freq", "140250000\n"),
            ("sys/class/thermal/thermal_zone2/type", "GPU-therm\n"),
            ("sys/class/thermal/thermal_zone2/temp", "28500\n"),
            (&format!("{rails}/rail_name_0"), "VDD_GPU\n"),
            (&format!("{rails}/in_power0_input"), "76\n"),
        ]);
        let of = "{gpu=\"0\",modelName=\"Jetson TX2\",Hostname=\"tx2\"}";
        let common = format!("DCGM_FI_DEV_GPU_TEMP{of} 28.5\nDCGM_FI_DEV_GPU_UTIL{of} 84.2\n");
        let clock = format!("DCGM_FI_DEV_SM_CLOCK{of} 140.25\n");
        tree.check(&SPEC, &[], &format!("{common}DCGM_FI_DEV_POWER_USAGE{of} 0.076\n{clock}"));
        tree.write(&format!("{rails}/rail_name_0"), "VDD_CPU_GPU_CV\n");
        tree.check(&SPEC, &[], &format!("{common}{clock}"));
        tree.write(
            "calls/errno",
            "sys/class/thermal/thermal_zone2/temp EAGAIN\nsys/class/devfreq/17000000.gp10b/device/load EIO\n",
        );
        tree.check(&SPEC, &[], &clock);
    }

    #[test]
    fn thor_is_left_to_nvml() {
        let tree = Tree::new(&[
            ("proc/device-tree/compatible", "nvidia,tegra264\0"),
            ("sys/class/devfreq/gpu-gpc-0/cur_freq", "314000000\n"),
        ]);
        tree.check(&SPEC, &[], "");
        Tree::new(&[]).check(&SPEC, &[], "absent\n");
    }
}
