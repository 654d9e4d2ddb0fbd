//! Cgroups: which there are, what each of them is, and how their files are read.
//!
//! A [`Forest`] keeps the cgroups of the machine from round to round, with whatever its owner wants to keep of each. The
//! same on cgroup v1, where every controller has a tree of its own, on v2, where there is one, and where both are mounted.

mod file;
mod forest;
mod health;
mod name;
mod pids;
mod trees;
mod who;
mod within;
mod written;

pub use file::Handle;
pub(in crate::kit) use file::TreeFolder;
pub use forest::{Forest, Life, Node};
pub use health::{Health, Healths};
pub use name::{Kind, Qos, Runtime, is_of_a_user};
pub use trees::{Controller, Trees};
pub(super) use who::read_anyhow;
pub use who::{Named, Names, VolumeData};
pub(in crate::kit) use within::Within;
pub use written::{Layer, Written};
