//! What wholenode reads from the machine: one file per collector, in one folder per group.
//!
//! A collector knows the kernel and no format. It imports [`kit`] (the door to the machine), [`model`] (what is said)
//! and nothing else: never a sibling, never the daemon.

pub mod container;
pub mod families;
pub mod jetson;
pub mod kit;
pub mod model;
pub mod node;
pub mod power;

use kit::{Error, Host, Opt, Options};
use model::{Batch, Family, POINTS_MAX};
use std::time::Duration;

/// Reads one part of the machine.
pub trait Collector: Send {
    /// Puts this round's points into `out`. Failures that cost only their own value go to `out.fault(error)`.
    ///
    /// # Errors
    /// The round failed as a whole; what was put is dropped.
    fn collect(&mut self, host: &mut Host, out: &mut Batch) -> Result<(), Error>;
}

/// What a collector's file exports: its row in [`ALL`].
#[derive(Debug)]
pub struct Spec {
    /// The one word for its file, flag, configuration key and label.
    pub name: &'static str,
    /// The page it is on.
    pub group: Group,
    /// One line for the help and the reference.
    pub about: &'static str,
    /// The families it may put, as far as the code knows their names.
    pub families: &'static [&'static Family],
    /// The families that the machine or a user names at run time, for the reference: a pattern, its type, its meaning.
    pub run_time: &'static [RunTime],
    /// What it can be told.
    pub options: &'static [Opt],
    /// Whether it is on unless told otherwise.
    pub default: bool,
    /// When and where it runs.
    pub pace: Pace,
    /// How many points a round takes.
    pub points_max: usize,
    /// The gauge that is set to 1 when points of this collector were left out of a page.
    pub clash: Option<&'static Family>,
    /// The gauge that says on every page whether the collector failed: 1 if it did, else 0.
    pub scrape_error: Option<&'static Family>,
    /// Makes the collector; `Ok(None)`: this machine has no such thing now. It is asked again later.
    pub open: Open,
}

/// See [`Spec::open`].
pub type Open = fn(&mut Host, &Options) -> Result<Option<Box<dyn Collector>>, Error>;

impl Spec {
    /// A row with what most collectors have: on by default, in every round, no options.
    pub const fn new(
        group: Group,
        name: &'static str,
        about: &'static str,
        families: &'static [&'static Family],
        open: Open,
    ) -> Self {
        Self {
            name,
            group,
            about,
            families,
            run_time: &[],
            options: &[],
            default: true,
            pace: Pace::Round,
            points_max: POINTS_MAX,
            clash: None,
            scrape_error: None,
            open,
        }
    }
}

/// A collector that is on, and what it was told.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Its row.
    pub spec: &'static Spec,
    /// Its options.
    pub options: Options,
}

impl PartialEq for Chosen {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name && self.options == other.options
    }
}

/// Families that are named at run time, as the reference tells them.
#[derive(Debug)]
pub struct RunTime {
    /// The names, with the changing part in angle brackets.
    pub pattern: &'static str,
    /// How their points behave.
    pub kind: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Their labels.
    pub labels: &'static [&'static str],
}

/// A folder of collectors, and a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// The machine itself: `node_*`.
    Node,
    /// Containers, pods and services: `container_*`, `machine_*`.
    Container,
    /// Measured energy, and who used it: `node_energy_*`, `node_power_*`, `container_energy_*`.
    Power,
    /// Jetson boards: `jetson_*`.
    Jetson,
}

impl Group {
    /// All groups.
    pub const ALL: [Group; 4] = [Group::Node, Group::Container, Group::Power, Group::Jetson];

    /// The page's name, and the folder's.
    pub fn name(self) -> &'static str {
        match self {
            Group::Node => "node",
            Group::Container => "container",
            Group::Power => "power",
            Group::Jetson => "jetson",
        }
    }

    /// One line for the landing page.
    pub fn about(self) -> &'static str {
        match self {
            Group::Node => "the machine itself, under node_exporter's names",
            Group::Container => "containers, pods and services, under cAdvisor's names",
            Group::Power => "measured energy of the machine and its parts, and the share of each container and service",
            Group::Jetson => "Jetson boards: GPU, engines, memory controller, rails, fan, power mode",
        }
    }

    /// Other names of the page, that rules elsewhere match on.
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Group::Node | Group::Power | Group::Jetson => &[],
            Group::Container => &["cadvisor"],
        }
    }
}

/// When and where a collector runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// With every page, in the fast lane: its reads were measured to take less than 1 ms in the worst case.
    Round,
    /// Apart from those, when `min` has passed since its last round: it may be slow, or never return.
    Apart {
        /// The shortest time between two rounds.
        min: Duration,
    },
    /// By a clock of its own, apart from the others, whether anybody asks or not: what it counts would be lost otherwise.
    Every {
        /// The time between two rounds.
        period: Duration,
    },
}

/// All collectors, in the order of the reference. Where two put the same series, the earlier one wins.
pub static ALL: &[&Spec] = &[
    &node::arp::SPEC,
    &node::bcache::SPEC,
    &node::bcachefs::SPEC,
    &node::bonding::SPEC,
    &node::btrfs::SPEC,
    &node::buddyinfo::SPEC,
    &node::cgroups::SPEC,
    &node::conntrack::SPEC,
    &node::cpu::SPEC,
    &node::cpu_vulnerabilities::SPEC,
    &node::cpufreq::SPEC,
    &node::diskstats::SPEC,
    &node::dmi::SPEC,
    &node::dmmultipath::SPEC,
    &node::drbd::SPEC,
    &node::drm::SPEC,
    &node::edac::SPEC,
    &node::entropy::SPEC,
    &node::ethtool::SPEC,
    &node::fibrechannel::SPEC,
    &node::filefd::SPEC,
    &node::filesystem::SPEC,
    &node::hwmon::SPEC,
    &node::infiniband::SPEC,
    &node::interrupts::SPEC,
    &node::ipvs::SPEC,
    &node::kernel_hung::SPEC,
    &node::ksmd::SPEC,
    &node::lnstat::SPEC,
    &node::loadavg::SPEC,
    &node::logind::SPEC,
    &node::mdadm::SPEC,
    &node::meminfo::SPEC,
    &node::meminfo_numa::SPEC,
    &node::mountstats::SPEC,
    &node::netclass::SPEC,
    &node::netdev::SPEC,
    &node::netstat::SPEC,
    &node::network_route::SPEC,
    &node::nfs::SPEC,
    &node::nfsd::SPEC,
    &node::nvme::SPEC,
    &node::nvmesubsystem::SPEC,
    &node::os::SPEC,
    &node::pcidevice::SPEC,
    &node::powersupplyclass::SPEC,
    &node::pressure::SPEC,
    &node::processes::SPEC,
    &node::qdisc::SPEC,
    &node::rapl::SPEC,
    &node::schedstat::SPEC,
    &node::selinux::SPEC,
    &node::slabinfo::SPEC,
    &node::sockstat::SPEC,
    &node::softirqs::SPEC,
    &node::softnet::SPEC,
    &node::stat::SPEC,
    &node::swap::SPEC,
    &node::sysctl::SPEC,
    &node::systemd::SPEC,
    &node::tapestats::SPEC,
    &node::tcpstat::SPEC,
    &node::textfile::SPEC,
    &node::thermal_zone::SPEC,
    &node::time::SPEC,
    &node::timex::SPEC,
    &node::udp_queues::SPEC,
    &node::uname::SPEC,
    &node::vmstat::SPEC,
    &node::watchdog::SPEC,
    &node::wifi::SPEC,
    &node::xfrm::SPEC,
    &node::xfs::SPEC,
    &node::zfs::SPEC,
    &node::zoneinfo::SPEC,
    &container::containers::SPEC,
    &container::machine::SPEC,
    &container::volumes::SPEC,
    &power::power::SPEC,
    &jetson::board::SPEC,
    &jetson::devfreq::SPEC,
    &jetson::emc::SPEC,
    &jetson::engines::SPEC,
    &jetson::fan::SPEC,
    &jetson::free_block::SPEC,
    &jetson::jetson_clocks::SPEC,
    &jetson::jetson_stats::SPEC,
    &jetson::nvmap::SPEC,
    &jetson::nvpmodel::SPEC,
    &jetson::overcurrent::SPEC,
    &jetson::rails::SPEC,
    &jetson::tegra_gpu::SPEC,
    &jetson::temperatures::SPEC,
    &jetson::zram::SPEC,
];
