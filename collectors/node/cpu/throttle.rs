//! `/sys/devices/system/cpu/cpuN/{thermal_throttle,topology}`: how often a core or a package was slowed down by its heat.
//!
//! The CPUs of a core share its count, so one file per core and one per package is read, and which ones is found out
//! anew when CPUs come or go. Only Intel's CPUs count; some old kernels do so for cores alone.

use super::FOLDER;
use crate::kit::{Error, Host, KeptFile, Root, parse};
use crate::model::{Batch, Family, counter};
use std::collections::BTreeSet;

pub(super) static CORE_THROTTLES: Family =
    counter("node_cpu_core_throttles_total", "How often the core was slowed down by its heat.", &["core", "package"]);
pub(super) static PACKAGE_THROTTLES: Family =
    counter("node_cpu_package_throttles_total", "How often the package was slowed down by its heat.", &["package"]);

/// The counts that are there.
#[derive(Default)]
pub(super) struct Throttles {
    cores: Vec<Count>,
    packages: Vec<Count>,
    /// How many more rounds look which counts there are: a CPU is online a moment before it has its files.
    looks: u8,
}

/// A count of a core, or of a package.
struct Count {
    file: KeptFile,
    package: String,
    core: String,
}

impl Throttles {
    /// CPUs came or went.
    pub(super) fn cpus_changed(&mut self) {
        self.looks = 2;
    }

    pub(super) fn put(&mut self, host: &mut Host, out: &mut Batch) {
        if self.looks > 0 {
            self.looks -= 1;
            self.find(host, out);
        }
        for count in &mut self.cores {
            if let Some(number) = count.read(host, out) {
                let of = out.entity(&["core", "package"], [&count.core, &count.package]);
                out.put(&CORE_THROTTLES, of, number);
            }
        }
        for count in &mut self.packages {
            if let Some(number) = count.read(host, out) {
                let of = out.entity(&["package"], [&count.package]);
                out.put(&PACKAGE_THROTTLES, of, number);
            }
        }
    }

    /// Where CPUs share a count, the first by name tells it, as in node_exporter.
    fn find(&mut self, host: &mut Host, out: &mut Batch) {
        self.cores.clear();
        self.packages.clear();
        let (mut cores, mut packages) = (BTreeSet::new(), BTreeSet::new());
        let names = host.names(Root::Sys, FOLDER);
        let names = if names.as_ref().is_err_and(Error::is_absent) { None } else { out.ok(names) };
        for cpu in names.into_iter().flatten().filter(|name| is_cpu(name)) {
            if !host.exists(Root::Sys, format_args!("{FOLDER}/{cpu}/thermal_throttle")) {
                continue;
            }
            let mut id = |file| host.number(Root::Sys, format_args!("{FOLDER}/{cpu}/topology/{file}")).ok();
            let (Some(package), Some(core)) = (id("physical_package_id"), id("core_id")) else { continue };
            let mut count = |file| Count::open(host, &cpu, file, package, core);
            if !cores.contains(&(package, core))
                && let Some(count) = count("core_throttle_count")
            {
                cores.insert((package, core));
                self.cores.push(count);
            }
            if !packages.contains(&package)
                && let Some(count) = count("package_throttle_count")
            {
                packages.insert(package);
                self.packages.push(count);
            }
        }
    }
}

impl Count {
    /// `None`: the CPU has no such count.
    fn open(host: &mut Host, cpu: &str, file: &str, package: u64, core: u64) -> Option<Self> {
        let path = format!("{FOLDER}/{cpu}/thermal_throttle/{file}");
        host.number(Root::Sys, &path).ok()?;
        let file = KeptFile::new(Root::Sys, path);
        Some(Self { file, package: package.to_string(), core: core.to_string() })
    }

    /// A CPU that is gone has taken its count along.
    fn read(&mut self, host: &mut Host, out: &mut Batch) -> Option<u64> {
        match host.read_kept(&mut self.file) {
            Ok(text) => {
                let number = parse::number(parse::trim(text));
                let malformed = || Error::malformed("/sys/devices/system/cpu/cpu*/thermal_throttle", 1, "a count");
                out.ok(number.ok_or_else(malformed))
            }
            Err(Error::Absent { .. } | Error::Gone { .. }) => None,
            Err(error) => {
                out.fault(error);
                None
            }
        }
    }
}

/// `cpu12`, but not `cpufreq`.
fn is_cpu(name: &str) -> bool {
    name.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}
